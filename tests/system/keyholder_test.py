"""
Private keys and who has them: what a child that was taken over can do to the keyholder (its socket is taken from it, and nonsense is
sent), keyholders that are killed or hang while children ask, and a search of every process's memory for the keys themselves.
"""
import base64
import ctypes
import glob
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from cryptography.hazmat.primitives import serialization
from server import PKI, SANITIZED, SSL_ON, Server, ServerTest, certificate, context, needs_root, wait_for

RUN, RESULT, ERROR = 5, 6, 7            # of server/tls/keyproto.h
SIGN_HASH, ECDSA_SHA256 = 0, 14         # enum key_operation, gnutls_sign_algorithm_t
PIDFD_GETFD = 438


def steal(pid, fd):
    """A duplicate of another process's descriptor, as a socket; None where it is another kind."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    got = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    os.close(pidfd)
    try:
        return socket.socket(fileno=got) if got >= 0 else None
    except OSError:
        os.close(got)
        return None


def request(key, operation, algorithm, data, length=None):
    return struct.pack('IIII', key, operation, algorithm, len(data) if length is None else length) + data


def ask(sock, kind, number, data, fds=()):
    socket.send_fds(sock, [struct.pack('II', kind, number), data], list(fds))
    while True:
        answer = sock.recv(20000)
        if struct.unpack_from('II', answer)[1] == number:
            return struct.unpack_from('I', answer)[0], answer[8:]


def keyholder_socket(pid):
    """The child's end of its socket to the keyholder: the one where a request for a key that is not there gets an error."""
    for name in os.listdir('/proc/%d/fd' % pid):
        sock = steal(pid, int(name))
        if not sock:
            continue
        sock.settimeout(1)
        try:
            if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET and ask(sock, RUN, 1 << 30, request(999, 0, 0, b'x'))[0] == ERROR:
                sock.settimeout(10)
                return sock
        except OSError:
            pass
        sock.close()
    raise AssertionError('no socket to a keyholder')


class Hostile(ServerTest):
    @needs_root
    def test_no_request_ends_the_keyholder(self):
        s = self.serve('StartServers 2\nMaxRequestWorkers 64\n<VirtualHost *:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n')
        holders = s.roles('keys')
        chance = random.Random(20)
        with keyholder_socket(s.workers()[0]) as sock, open('/dev/null', 'rb') as null:
            number = 1 << 29
            for _ in range(3000):
                number += 1
                data = chance.randbytes(chance.choice((0, 1, 15, 16, 17, 48, 300, 16384)))
                if chance.random() < 0.6:
                    data = request(chance.choice((0, 0, 1, 2 ** 32 - 1)), chance.choice((0, 1, 2, 3, 2 ** 32 - 1)), chance.choice((0, 1, 6, 14, 99, 2 ** 32 - 1)),
                                   data[:16300], chance.choice((None, 0, 1, 2 ** 32 - 1)))
                kind = chance.choice((RUN, RUN, RUN, RESULT, 1, 4, 8, 9, 2 ** 32 - 1))
                got, _ = ask(sock, kind, number, data, [null.fileno()] * chance.choice((0, 0, 0, 1, 8)))
                self.assertEqual(got, ERROR, (kind, data[:40]))
            # It was listening: the same socket signs a hash.
            got, signature = ask(sock, RUN, number + 1, request(0, SIGN_HASH, ECDSA_SHA256, bytes(32)))
            self.assertEqual((got, signature[:1]), (RESULT, b'\x30'))
            # Many at once, none of them read: neither waits the keyholder, nor another child.
            sock.setblocking(False)
            try:
                for n in range(5000):
                    socket.send_fds(sock, [struct.pack('II', RUN, n) + request(999, 0, 0, b'x')], [])
            except BlockingIOError:
                pass
            other = keyholder_socket(s.workers()[1])
            self.assertEqual(ask(other, RUN, 1 << 29, request(0, SIGN_HASH, ECDSA_SHA256, bytes(32)))[0], RESULT)
            other.close()
        self.assertEqual(s.roles('keys'), holders)
        self.assertEqual(len(s.workers()), 2)

    @needs_root
    def test_child_that_asks_too_often_waits(self):
        s = self.serve('StartServers 2\nMaxRequestWorkers 64\nSSLKeyRequestLimit 100\n<VirtualHost *:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n')
        question = request(0, SIGN_HASH, ECDSA_SHA256, bytes(32))
        with keyholder_socket(s.workers()[0]) as sock:
            began = time.monotonic()
            for n in range(180):
                self.assertEqual(ask(sock, RUN, (1 << 29) + n, question)[0], RESULT)
            self.assertGreater(time.monotonic() - began, 0.6)
            # Meanwhile nobody else waits: neither another child nor the one that serves.
            sock.send(struct.pack('II', RUN, 1) + question)
            began = time.monotonic()
            with keyholder_socket(s.workers()[1]) as other:
                self.assertEqual(ask(other, RUN, 1 << 29, question)[0], RESULT)
            self.assertLess(time.monotonic() - began, 0.5)
        s.logged(r'BH0701: the child in slot \d asks for more than 100 key operations a second .* made to wait \d+ times')


def key_bytes(path):
    """What of a private key may lie in memory: its numbers, as they are written and as big integers are kept, and its text."""
    with open(path, 'rb') as f:
        text = f.read()
    key = serialization.load_pem_private_key(text, None)
    if hasattr(key, 'private_numbers'):
        n = key.private_numbers()
        numbers = [n.d, n.p, n.q, n.dmp1] if hasattr(n, 'p') else [n.private_value]
        secrets = [number.to_bytes((number.bit_length() + 7) // 8, 'big') for number in numbers]
    else:
        secrets = [key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())]
    body = b''.join(line for line in text.split(b'-----BEGIN')[-1].splitlines()[1:] if b'-----' not in line)
    # Of the text only what no certificate has: an RSA key begins with the public number, an EC key ends with the public point.
    at = len(body) // 2 if len(body) > 1000 else 52 if len(body) > 100 else 24
    # The middle of each number: the ends may be cut.
    return [s[1:-1][:24] for s in secrets] + [s[::-1][1:-1][:24] for s in secrets] + [body[at:at + 32], base64.b64decode(body[at // 4 * 4:][:32])]


def found_in(pid, patterns):
    """Those that lie in the memory of a process, whatever kind of memory it is."""
    found = set()
    with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if rights[0] != 'r' or '[v' in line:
                continue
            start, end = (int(x, 16) for x in span.split('-'))
            if end - start > 1 << 30:   # what sanitizers reserve
                continue
            try:
                mem.seek(start)
                data = mem.read(end - start)
            except OSError:
                continue
            found.update(p for p in patterns if p in data)
    return found


def ed25519(name):
    cert, key = os.path.join(PKI, name + '-ed.pem'), os.path.join(PKI, name + '-ed.key')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '30', '-subj', '/CN=' + name, '-keyout', key, '-out', cert,
                    '-addext', 'subjectAltName=DNS:' + name], check=True, capture_output=True)
    return cert, key


HOSTS = {'ec.test': certificate('ec.test'), 'rsa.test': certificate('rsa.test', 'rsa'), 'ed.test': ed25519('ed.test')}


def hosts_text():
    return ''.join('<VirtualHost *:@TLS@>\nServerName %s\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n</VirtualHost>\n' % (n, *files)
                   for n, files in HOSTS.items())


@needs_root
class Lives(unittest.TestCase):
    """One server for all; each test leaves it serving."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server('StartServers 2\nMinSpareServers 2\nMaxRequestWorkers 2048\nKeepAliveTimeout 60\nSSLKeyTimeout 1\n' + hosts_text()).start()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.stop()
        finally:
            cls.server.remove()

    def shake(self, name='ec.test', high=None):
        with self.server.connect(ctx=context(high), sni=name) as c:
            return c.request(host=name).status

    def holders(self, besides=()):
        """Those that live, once none of the others does."""
        return wait_for(lambda: not set(self.server.roles('keys')) & set(besides) and self.server.roles('keys'), 'keyholders are replaced')

    def test_no_key_in_any_other_process(self):
        for name in HOSTS:
            for high in (None, ssl.TLSVersion.TLSv1_2):
                for _ in range(4):
                    self.assertEqual(self.shake(name, high), 200)
        holders = self.server.roles('keys')
        wanted = {p: name for name, (_, key) in HOSTS.items() for p in key_bytes(key)}
        everyone = [self.server.pid] + [p for p in map(int, filter(str.isdigit, os.listdir('/proc'))) if self.parent(p) == self.server.pid]
        self.assertGreater(len(everyone), len(holders) + 3)
        for pid in everyone:
            found = {wanted[p] for p in found_in(pid, wanted)}
            # The search finds what it looks for where it is.
            self.assertEqual(found, set(HOSTS) if pid in holders else set(), (pid, holders))

    @staticmethod
    def parent(pid):
        try:
            with open('/proc/%d/stat' % pid) as f:
                return int(f.read().rsplit(')', 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return 0

    def test_one_that_hangs_is_replaced_while_children_wait(self):
        old = self.holders()
        with self.server.connect(ctx=context(), sni='ec.test') as kept:
            self.assertEqual(kept.request(host='ec.test').status, 200)
            for pid in old:
                os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            results = []
            threads = [threading.Thread(target=lambda: results.append(self.shake())) for _ in range(4)]
            for t in threads:
                t.start()
            self.assertEqual(kept.request(host='ec.test').status, 200)
            self.assertLess(time.monotonic() - began, 1.5)
            for t in threads:
                t.join()
        self.assertEqual(results, [200] * 4)
        wait_for(lambda: any(re.search('BH0700: keyholder pid %d .* hangs' % pid, self.server.error_log) for pid in old), 'it is told')
        for pid in set(old) & set(self.server.roles('keys')):   # of children that were not asked
            os.kill(pid, signal.SIGCONT)

    def test_one_that_is_idle_is_left_alone(self):
        old = self.holders()
        time.sleep(0.4)
        self.assertEqual(self.shake(), 200)
        self.assertEqual(self.holders(), old)

    def test_killed_under_load(self):
        old, ended, done, failed = self.holders(), threading.Event(), [0], []

        def load(name):
            while not ended.is_set():
                try:
                    self.shake(name)
                    done[0] += 1
                except OSError as e:
                    failed.append(e)

        threads = [threading.Thread(target=load, args=(name,)) for name in ('ec.test', 'rsa.test', 'ed.test', 'ec.test')]
        for t in threads:
            t.start()
        for pid in old:
            time.sleep(0.4)
            os.kill(pid, signal.SIGKILL)
        self.holders(besides=old)
        time.sleep(0.4)
        ended.set()
        for t in threads:
            t.join()
        self.assertGreater(done[0], 50)
        # Those that were in flight may be lost, one a client and kill; in truth they are asked again.
        self.assertLessEqual(len(failed), len(threads) * len(old), failed)

class Advice(ServerTest):
    def test_what_an_ecdsa_certificate_would_save(self):
        host = '<VirtualHost *:@TLS@>\nServerName %s\nSSLEngine on\n%s</VirtualHost>\n'
        files = 'SSLCertificateFile %s\nSSLCertificateKeyFile %s\n'
        rsa, ec = files % certificate('rsa.test', 'rsa'), files % certificate('ec.test')
        done = self.configure(host % ('rsa.test', rsa) + host % ('other.test', rsa) + host % ('third.test', rsa + ec)).run('-t')
        self.assertRegex(done.stdout, r'host rsa.test and 1 other: RSA keys alone: each full handshake costs about 1\.7 ms .*2048 bits.* 0\.05 ms')
        self.assertEqual(done.returncode, 0)
        self.assertNotIn('RSA keys alone', self.configure(host % ('third.test', rsa + ec)).run('-t').stdout)


class Direct(ServerTest):
    @needs_root
    @unittest.skipIf(SANITIZED, 'sanitizers have a heap of their own')
    def test_isolation_off(self):
        """Children sign themselves: with a plain key and an encrypted one, and those of a graceful restart do."""
        cert, key = certificate('ec.test')
        sealed = os.path.join(PKI, 'sealed.key')
        subprocess.run(['openssl', 'pkey', '-in', certificate('rsa.test', 'rsa')[1], '-aes256', '-passout', 'pass:horse-staple-77', '-out', sealed], check=True, capture_output=True)
        s = self.configure('StartServers 2\nSSLPrivateKeyIsolation off\nSSLPassPhraseDialog "exec:@DIR@/ask"\n<VirtualHost *:@TLS@>\nServerName ec.test\nSSLEngine on\n'
                       'SSLCertificateFile %s\nSSLCertificateKeyFile %s\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n</VirtualHost>\n'
                       % (cert, key, certificate('rsa.test', 'rsa')[0], sealed))
        s.write('ask', '#!/bin/sh\nrm "$0"\necho horse-staple-77\n', 0o755)      # it can be asked once
        s.start()
        s.logged('BH0702: SSLPrivateKeyIsolation off: each child has the private keys')
        wait_for(lambda: not s.roles('keys'), 'no keyholder stays')
        rsa = context(ssl.TLSVersion.TLSv1_2)
        rsa.set_ciphers('ECDHE-RSA-AES128-GCM-SHA256')
        for graceful in (False, True):
            if graceful:
                old = s.workers()
                self.assertEqual(s.run('-k', 'graceful').returncode, 0)
                wait_for(lambda: s.workers() and not set(old) & set(s.workers()), 'the old children end', 20)
            for ctx in (context(), rsa):
                with s.connect(ctx=ctx, sni='ec.test') as c:
                    self.assertEqual(c.request(host='ec.test').status, 200)
        found = {name for pid in s.workers() for name in ('ec', 'rsa') if found_in(pid, key_bytes(certificate(name + '.test', name)[1]))}
        self.assertEqual(found, {'ec', 'rsa'})
        for pid in s.workers():
            self.assertFalse(found_in(pid, [b'horse-staple-77']), 'the phrase')
        with open('/proc/%d/smaps' % s.workers()[0]) as f:
            heap = re.search(r'\[heap\]\n(?:\w+:.*\n)*VmFlags: (.*)', f.read())
        self.assertIn(' dd', ' ' + heap[1])
        self.assertIn(' lo', ' ' + heap[1])
        self.look_into_core(s)

    def look_into_core(self, s):
        """The keys are in the memory of this child, but not in what it leaves."""
        victim = s.workers()[0]
        os.kill(victim, signal.SIGSEGV)
        s.logged(r'BH0120: child pid %d exit signal Segmentation fault' % victim)
        with open('/proc/sys/kernel/core_pattern') as f:
            if f.read().startswith(('|', '/')):
                return                  # it goes elsewhere
        path = wait_for(lambda: glob.glob(s.path('crash/core*')), 'there is a core')[0]
        with open(path, 'rb') as f:
            core = f.read()
        self.assertIn(b'bulkhead', core)
        for name in ('ec', 'rsa'):
            self.assertEqual([p for p in key_bytes(certificate(name + '.test', name)[1]) if p in core], [])


if __name__ == '__main__':
    unittest.main()
