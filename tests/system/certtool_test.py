"""bulkhead-cert: what it makes, shows and converts, each answer asked of openssl and certtool as well. The tests named after the
questions F16 … F25 run the commands of the manual's examples."""
import hashlib
import http.server
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from server import BIN, SANITIZED, ServerTest, free_port, listening, needs_root, wait_for

TOOL = os.path.join(os.path.dirname(os.path.dirname(BIN)), 'bin', 'bulkhead-cert')
KINDS = {'ecdsa-p256': 'ECDSA P-256', 'ecdsa-p384': 'ECDSA P-384', 'ed25519': 'Ed25519', 'rsa-2048': 'RSA 2048 bits', 'rsa': 'RSA 3072 bits'}


class Folder(unittest.TestCase):
    """Commands in a folder of the test's own."""

    def setUp(self):
        # Each file is synced: in memory that costs nothing.
        self.dir = tempfile.mkdtemp(prefix='bulkhead-certtool-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), 'wb') as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return name

    def read(self, name):
        with open(self.path(name), 'rb') as f:
            return f.read()

    def mode(self, name):
        return stat.S_IMODE(os.stat(self.path(name)).st_mode)

    def run_tool(self, *args, status=0, input=None, text=True, **kw):
        done = subprocess.run([TOOL, *args], cwd=self.dir, capture_output=True, timeout=60, start_new_session=True, text=text,
                              **({'stdin': subprocess.DEVNULL} if input is None else {'input': input}), **kw)
        self.assertEqual(done.returncode, status, '%s\n%s%s' % (' '.join(args), done.stdout, done.stderr))
        return done

    def example(self, command, status=0):
        """A line of the manual, as it stands there."""
        return self.run_tool(*shlex.split(command)[1:], status=status).stdout

    def example_asked(self, command, answers):
        return self.on_terminal(shlex.split(command)[1:], answers)

    def sh(self, *args, status=0, **kw):
        done = subprocess.run(args, cwd=self.dir, capture_output=True, text=True, timeout=60, **kw)
        self.assertEqual(done.returncode, status, '%s\n%s%s' % (' '.join(args), done.stdout, done.stderr))
        return done.stdout + done.stderr

    def show(self, *files, **kw):
        return json.loads(self.run_tool('show', '--json', *files, **kw).stdout)

    def openssl_id(self, *args):
        """SHA-256 of the public key, as openssl has it."""
        pub = subprocess.run(['openssl', *args], cwd=self.dir, capture_output=True, check=True).stdout
        der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'], input=pub, capture_output=True, check=True).stdout
        return hashlib.sha256(der).digest().hex(':')

    def on_terminal(self, args, answers, status=0):
        """Runs it with a terminal of its own, answers the questions; what the terminal showed."""
        pid, fd = pty.fork()
        if pid == 0:
            try:
                os.chdir(self.dir)
                os.execv(TOOL, [TOOL, *args])
            finally:
                os._exit(99)
        shown, end = b'', time.monotonic() + 30
        for question, answer in answers:
            while question.encode() not in shown:
                self.assertLess(time.monotonic(), end)
                shown += os.read(fd, 4096)
            time.sleep(0.05)
            if isinstance(answer, int):
                os.kill(pid, answer)
            else:
                os.write(fd, answer.encode() + b'\n')
            seen, shown = shown, shown[shown.index(question.encode()) + len(question):]
        try:
            while True:
                more = os.read(fd, 4096)
                if not more:
                    break
                shown += more
        except OSError:
            pass
        os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.assertEqual(code, status, seen + shown)
        return (seen + shown).decode()


class Making(Folder):
    def test_new_of_each_kind(self):
        for kind, words in KINDS.items():
            with self.subTest(kind):
                self.run_tool('new', '-a', kind, '-o', kind + '.pem', '-k', kind + '.key', 'www.example.org', '*.example.org', '192.0.2.1', '2001:db8::1',
                              'email:a@example.org', 'URI:https://example.org/x')
                got = self.show(kind + '.pem')[0]
                self.assertEqual((got['key'], got['subject'], got['authority']), (words, 'CN=www.example.org', False))
                self.assertIn(got['days-left'], (364, 365))
                self.assertEqual(got['names'], ['www.example.org', '*.example.org', 'IP 192.0.2.1', 'IP 2001:db8::1', 'email a@example.org',
                                                'URI https://example.org/x'])
                self.assertEqual(got['purposes'], ['TLS server'])
                text = self.sh('openssl', 'x509', '-in', kind + '.pem', '-noout', '-text')
                self.assertIn('DNS:www.example.org, DNS:*.example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, email:a@example.org, '
                              'URI:https://example.org/x', text)
                self.assertIn('CA:FALSE', text)
                self.assertIn('TLS Web Server Authentication', text)
                self.sh('openssl', 'verify', '-CAfile', kind + '.pem', '-purpose', 'sslserver', '-verify_hostname', 'a.example.org', '-x509_strict', kind + '.pem')
                self.assertIn('DNSname: *.example.org', self.sh('certtool', '-i', '--infile', kind + '.pem'))
                self.sh('openssl', 'pkey', '-in', kind + '.key', '-check', '-noout')
                self.sh('certtool', '-k', '--infile', kind + '.key')

    def test_files_have_their_modes_whatever_the_umask_is(self):
        for mask in (0o000, 0o777, 0o022):
            self.run_tool('new', '--force', 'a.example', umask=mask)
            self.assertEqual((self.mode('a.example.key'), self.mode('a.example.pem')), (0o400, 0o444))
        self.assertEqual(sorted(os.listdir(self.dir)), ['a.example.key', 'a.example.pem'])

    def test_no_key_is_lost(self):
        self.run_tool('new', 'a.example')
        key, cert = self.read('a.example.key'), self.read('a.example.pem')
        self.assertIn('holds a private key, which would be lost', self.run_tool('new', 'a.example', status=2).stderr)
        self.assertIn('holds a private key', self.run_tool('csr', '--use-key', 'a.example.key', '-o', 'a.example.key', 'a.example', status=2).stderr)
        self.assertEqual((self.read('a.example.key'), self.read('a.example.pem')), (key, cert))
        self.sh('openssl', 'pkey', '-in', 'a.example.key', '-outform', 'DER', '-out', 'k.der')
        self.sh('openssl', 'pkcs12', '-export', '-inkey', 'a.example.key', '-in', 'a.example.pem', '-passout', 'pass:x', '-out', 'k.p12')
        for name in ('k.der', 'k.p12'):
            self.assertIn('holds a private key', self.run_tool('new', '-o', name, '-k', 'n.key', 'a.example', status=2).stderr)
        # The certificate may be made anew for the key that is there, and keeps its file's mode.
        os.chmod(self.path('a.example.pem'), 0o640)
        self.run_tool('new', '--use-key', 'a.example.key', 'a.example')
        self.assertNotEqual(self.read('a.example.pem'), cert)
        self.assertEqual((self.read('a.example.key'), self.mode('a.example.pem')), (key, 0o640))
        os.chmod(self.path('a.example.key'), 0o666)
        self.run_tool('new', '--force', 'a.example')
        self.assertNotEqual(self.read('a.example.key'), key)
        self.assertEqual(self.mode('a.example.key') & 0o077 & ~0o040, 0)

    def test_nothing_is_left_where_one_file_cannot_be_written(self):
        self.assertIn('cannot be made', self.run_tool('new', '-o', 'none/a.pem', '-k', 'a.key', 'a.example', status=2).stderr)
        self.assertEqual(os.listdir(self.dir), [])
        os.mkdir(self.path('d'))
        self.assertIn('no regular file', self.run_tool('new', '-o', 'd', 'a.example', status=2).stderr)

    def test_links_stay(self):
        os.mkdir(self.path('archive'))
        self.write('archive/1.pem', '')
        os.symlink('archive/1.pem', self.path('live.pem'))
        self.run_tool('new', '-o', 'live.pem', 'a.example')
        self.assertTrue(os.path.islink(self.path('live.pem')))
        self.assertIn(b'BEGIN CERTIFICATE', self.read('archive/1.pem'))

    @needs_root
    def test_owner_stays(self):
        self.run_tool('new', 'a.example')
        os.chown(self.path('a.example.pem'), 33, 33)
        self.run_tool('new', '--use-key', 'a.example.key', 'a.example')
        st = os.stat(self.path('a.example.pem'))
        self.assertEqual((st.st_uid, st.st_gid), (33, 33))

    def test_subject_days_and_extensions(self):
        self.run_tool('new', '--subject', 'CN=x,O=Exämple,C=DE', '--days', '30', '--must-staple', '--ca-issuers', 'http://ca.example/ca.crt',
                      '--ocsp', 'http://ocsp.example/', 'bücher.example')
        got = self.show('xn--bcher-kva.example.pem')[0]
        self.assertEqual((got['subject'], got['must-staple'], got['issuer-at'], got['ocsp-at']),
                         ('CN=x,O=Exämple,C=DE', True, ['http://ca.example/ca.crt'], ['http://ocsp.example/']))
        self.assertIn(got['days-left'], (29, 30))
        self.assertEqual(got['names'], ['xn--bcher-kva.example'])
        text = self.sh('openssl', 'x509', '-in', 'xn--bcher-kva.example.pem', '-noout', '-text')
        for words in ('status_request', 'CA Issuers - URI:http://ca.example/ca.crt', 'OCSP - URI:http://ocsp.example/'):
            self.assertIn(words, text)
        self.run_tool('new', '--client', '-o', 'c.pem', '-k', 'c.key', 'email:me@example.org')
        self.assertEqual(self.show('c.pem')[0]['purposes'], ['TLS client'])
        self.assertIn('Apple', self.run_tool('new', '--days', '826', 'b.example').stderr)

    def test_wrong_use_is_told(self):
        for args, words in ((('new',), 'for which NAME'), (('new', 'a b'), 'no DNS name'), (('new', 'IP:300.1.1.1'), 'no address'),
                            (('new', '-a', 'dsa', 'x.y'), 'no algorithm dsa'), (('new', '--days', '0', 'x.y'), 'from 1 to 36500'),
                            (('new', '--ca', 'x', 'x.y'), 'go together'), (('new', '--nonsense'), 'no option --nonsense'), (('new', '-a'), 'needs a value'),
                            (('csr', '--days', '3', 'x.y'), 'no option of this command'), (('nothing',), 'no command nothing'),
                            (('new', '--subject', 'nonsense', 'x.y'), 'is no subject'), (('sign', 'x'), 'who signs'), (('ca',), 'for which NAME'),
                            (('show',), 'which FILE'), (('match', '/etc/passwd'), 'holds no'), (('passphrase', 'drop', 'x'), 'add, change or remove'),
                            (('convert', 'x'), 'where to?')):
            with self.subTest(args):
                done = self.run_tool(*args, status=2)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stdout, '')
        self.assertEqual(os.listdir(self.dir), [])
        for args in ((), ('help', 'new'), ('new', '--help'), ('--help',), ('--version',)):
            self.assertIn('bulkhead-cert', (lambda d: d.stdout + d.stderr)(self.run_tool(*args, status=0 if args else 2)))

    def test_an_authority_signs_only_what_it_may(self):
        self.run_tool('ca', 'Root')
        self.run_tool('csr', 'a.example')
        self.run_tool('new', 'b.example')
        sign = ('sign', 'a.example.csr', '--ca', 'ca.pem', '--ca-key')
        self.assertRegex(self.run_tool(*sign, 'a.example.key', status=2).stderr, r'ca\.pem \(key id [0-9a-f:]{23}\) and a\.example\.key .* do not belong together')
        self.assertIn('is no authority', self.run_tool('sign', 'a.example.csr', '--ca', 'b.example.pem', '--ca-key', 'b.example.key', status=2).stderr)
        self.assertIn('path length 0', self.run_tool('ca', '--ca', 'ca.pem', '--ca-key', 'ca.key', '-o', 'i.pem', '-k', 'i.key', 'Inter', status=2).stderr)
        self.assertFalse(os.path.exists(self.path('a.example.pem')) or os.path.exists(self.path('i.key')))
        self.run_tool('ca', '--days', '20', '-o', 'short.pem', '-k', 'short.key', 'Short')
        self.assertIn('ends with its authority', self.run_tool('sign', 'a.example.csr', '--ca', 'short.pem', '--ca-key', 'short.key').stderr)
        self.assertIn(self.show('a.example.pem')[0]['days-left'], (19, 20))

    def test_a_chain_of_authorities(self):
        self.run_tool('ca', '--path-length', '1', '-o', 'root.pem', '-k', 'root.key', 'Root')
        self.run_tool('ca', '--ca', 'root.pem', '--ca-key', 'root.key', '-o', 'inter.pem', '-k', 'inter.key', '-a', 'rsa-2048', 'Inter')
        self.run_tool('new', '--ca', 'inter.pem', '--ca-key', 'inter.key', 'a.example')
        got = self.show('a.example.pem')
        self.assertEqual([c['subject'] for c in got], ['CN=a.example', 'CN=Inter'])        # the root stays out
        self.assertEqual(got[1]['path-length'], 0)
        self.sh('openssl', 'verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'a.example.pem', '-purpose', 'sslserver', 'a.example.pem')
        self.write('chain.pem', self.read('a.example.pem') + self.read('root.pem'))
        self.assertIn('Chain verification output: Verified', self.sh('certtool', '--verify-chain', '--infile', 'chain.pem'))

    def test_a_request_gets_names_and_nothing_else(self):
        self.run_tool('ca', 'Root')
        self.sh('openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'k', '-subj', '/O=Ours/CN=evil.example', '-out', 'r.csr',
                '-addext', 'subjectAltName=DNS:evil.example,DNS:bank.example,otherName:1.2.3.4;UTF8:x', '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=keyCertSign')
        told = self.run_tool('sign', 'r.csr', '--ca', 'ca.pem', '--ca-key', 'ca.key').stderr
        for words in ('subject CN=evil.example,O=Ours', 'evil.example', 'bank.example', 'left out: 1', 'basic constraints: decided here', 'key usage: decided here'):
            self.assertIn(words, told)
        got = self.show('r.pem')[0]
        self.assertEqual((got['authority'], got['names'], got['usage']), (False, ['evil.example', 'bank.example'], ['digital signature', 'key encipherment']))
        self.run_tool('sign', 'r.csr', '--ca', 'ca.pem', '--ca-key', 'ca.key', '--san', 'good.example', '-o', 'g.pem')
        self.assertEqual(self.show('g.pem')[0]['names'], ['good.example'])
        der = bytearray(subprocess.run(['openssl', 'req', '-in', self.path('r.csr'), '-outform', 'DER'], capture_output=True, check=True).stdout)
        der[-1] ^= 1
        self.write('forged.csr', bytes(der))
        self.assertIn('signature of the request', self.run_tool('sign', 'forged.csr', '--ca', 'ca.pem', '--ca-key', 'ca.key', status=2).stderr)
        self.sh('openssl', 'req', '-new', '-newkey', 'rsa:1024', '-nodes', '-keyout', 'k', '-subj', '/CN=w.example', '-out', 'w.csr')
        self.assertIn('too weak: RSA with 1024', self.run_tool('sign', 'w.csr', '--ca', 'ca.pem', '--ca-key', 'ca.key', status=2).stderr)

    def test_on_a_terminal_somebody_agrees_first(self):
        self.run_tool('ca', 'Root')
        self.run_tool('csr', 'a.example')
        sign = ['sign', 'a.example.csr', '--ca', 'ca.pem', '--ca-key', 'ca.key']
        self.on_terminal(sign, [('[y/N] ', 'n')], status=2)
        self.assertFalse(os.path.exists(self.path('a.example.pem')))
        self.on_terminal(sign, [('[y/N] ', 'y')])
        self.assertTrue(os.path.exists(self.path('a.example.pem')))

    def test_a_terminal_sees_no_key_unasked(self):
        self.run_tool('new', 'a.example')
        shown = self.on_terminal(['convert', 'a.example.key', '-o', '-'], [('private key', '')], status=2)
        self.assertIn('would be shown on this terminal', shown)
        self.assertNotIn('BEGIN', shown)
        self.assertIn('BEGIN PRIVATE KEY', self.on_terminal(['convert', 'a.example.key', '-o', '-', '--force'], [('-----', '')]))
        self.assertIn('BEGIN PRIVATE KEY', self.run_tool('convert', 'a.example.key', '-o', '-').stdout)

    @unittest.skipIf(SANITIZED, 'sanitizers need to look into the process')
    def test_it_leaves_no_core(self):
        fifo = self.path('fifo')
        os.mkfifo(fifo)
        p = subprocess.Popen([TOOL, 'show', fifo])
        try:
            end = time.monotonic() + 10
            while os.stat('/proc/%d' % p.pid).st_uid == os.getuid() and os.getuid() and time.monotonic() < end:
                time.sleep(0.02)
            while time.monotonic() < end:
                with open('/proc/%d/limits' % p.pid) as f:
                    if re.search(r'^Max core file size +0 +0 ', f.read(), re.M):
                        break
                time.sleep(0.02)
            else:
                self.fail('RLIMIT_CORE')
        finally:
            p.kill()
            p.wait()


class Reading(Folder):
    def test_what_is_wrong_with_a_file_and_what_mends_it(self):
        self.run_tool('ca', 'Root')
        self.run_tool('csr', 'a.example')
        self.write('empty', '')
        self.write('text', 'hello\n')
        self.write('utf16', '-----BEGIN CERTIFICATE-----\n'.encode('utf-16'))
        self.write('cut', self.read('ca.pem')[:200])
        self.write('damaged', self.read('ca.pem').replace(b'MII', b'AAA', 1))
        self.write('der', b'\x30\x82\x01\x00\x02')
        self.sh('openssl', 'x509', '-in', 'ca.pem', '-trustout', '-out', 'trusted')
        self.sh('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', 'ssh') if shutil.which('ssh-keygen') else self.write('ssh', '-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n'
                                                                                                                 '-----END OPENSSH PRIVATE KEY-----\n')
        for name, words, remedy in (('none', 'No such file', ''), ('empty', 'is empty', 'where the file came from'), ('text', 'holds no certificate', 'file text'),
                                    ('utf16', 'UTF-16', 'iconv'), ('cut', 'no line that ends it', 'copy it again'), ('damaged', 'cannot be read', 'damaged'),
                                    ('der', 'looks like DER', 'asn1parse'), ('trusted', 'form of its own', 'openssl x509'), ('ssh', 'form of its own', 'ssh-keygen'),
                                    ('.', 'cannot be read', '')):
            with self.subTest(name):
                told = self.run_tool('show', name, status=2).stderr
                self.assertIn(words, told)
                self.assertIn(remedy, told)
        for args, words, remedy in ((('sign', 'a.example.key', '--ca', 'ca.pem', '--ca-key', 'ca.key'), 'holds a private key, where a certificate request', 'bulkhead-cert csr --use-key a.example.key'),
                                    (('sign', 'ca.pem', '--ca', 'ca.pem', '--ca-key', 'ca.key'), 'holds a certificate, where', 'signed already'),
                                    (('sign', 'a.example.csr', '--ca', 'a.example.csr', '--ca-key', 'ca.key'), 'holds a certificate request (CSR), where a certificate is', 'bulkhead-cert sign a.example.csr'),
                                    (('sign', 'a.example.csr', '--ca', 'ca.key', '--ca-key', 'ca.key'), 'holds a private key, where a certificate is', 'bulkhead-cert new --use-key'),
                                    (('sign', 'a.example.csr', '--ca', 'ca.pem', '--ca-key', 'ca.pem'), 'where a private key', 'bulkhead-cert match ca.pem'),
                                    (('convert', 'ca.pem', '--only', 'key', '-o', 'x'), 'where a private key', 'match')):
            with self.subTest(args):
                told = self.run_tool(*args, status=2).stderr
                self.assertIn(words, told)
                self.assertIn(remedy, told)

    def test_a_terminal_is_not_commanded_by_a_certificate(self):
        self.sh('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'k', '-out', 'c', '-utf8',
                '-subj', '/CN=\x1b]0;x\x07\u009b31m\u202eevil')
        done = self.run_tool('show', 'c')
        self.assertNotRegex(done.stdout, '[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202e]')
        self.assertIn('evil', done.stdout)
        self.assertIn('evil', self.show('c')[0]['subject'])

    def test_a_revocation_list(self):
        self.run_tool('ca', 'Root')
        self.run_tool('new', '--ca', 'ca.pem', '--ca-key', 'ca.key', 'a.example')
        self.write('t', 'crl_next_update = 10\ncrl_number = 5\n')
        self.sh('certtool', '--generate-crl', '--load-ca-privkey', 'ca.key', '--load-ca-certificate', 'ca.pem', '--load-certificate', 'a.example.pem',
                '--template', 't', '--outfile', 'crl.pem')
        got = self.show('crl.pem')[0]
        self.assertEqual((got['kind'], got['issuer'], got['revoked-count']), ('revocation list', 'CN=Root', 1))
        self.assertEqual(got['revoked'][0]['serial'], self.show('a.example.pem')[0]['serial'])
        text = self.run_tool('show', 'crl.pem').stdout
        self.assertIn('revoked      1', text)
        self.run_tool('convert', 'crl.pem', '--to', 'der', '-o', 'crl.der')
        self.sh('openssl', 'crl', '-inform', 'DER', '-in', 'crl.der', '-noout', '-CAfile', 'ca.pem')

    def test_show_goes_on_after_a_bad_file(self):
        self.run_tool('new', 'a.example')
        done = self.run_tool('show', 'none', 'a.example.pem', status=2)
        self.assertIn('CN=a.example', done.stdout)
        self.assertIn('none', done.stderr)

    def test_show_never_shows_what_is_private(self):
        self.run_tool('new', '-a', 'rsa-2048', 'a.example')
        text = self.sh('openssl', 'rsa', '-in', 'a.example.key', '-noout', '-text')
        secret = re.sub(r'\s', '', re.search(r'privateExponent:(.*?)prime1', text, re.S)[1])[:60]
        shown = self.run_tool('show', 'a.example.key').stdout + self.run_tool('show', '--json', 'a.example.key').stdout
        self.assertNotIn(secret, shown)
        self.assertNotIn(secret.replace(':', ''), shown.replace(':', ''))


class Phrases(Folder):
    def setUp(self):
        super().setUp()
        self.write('old', 'old phrase\nrest\n')
        self.write('new', 'new phrase\n')
        self.write('wrong', 'wrong\n')
        self.run_tool('new', '-a', 'rsa-2048', 'a.example')
        self.id = self.show('a.example.key')[0]['key-id']

    def opens(self, name, phrase):
        self.sh('openssl', 'pkey', '-in', name, '-passin', 'pass:' + phrase, '-noout')
        self.sh('certtool', '-k', '--infile', name, '--password', phrase)

    def test_add_change_remove(self):
        os.chmod(self.path('a.example.key'), 0o440)
        self.run_tool('passphrase', 'add', 'a.example.key', '--new-phrase-file', 'old')
        self.assertEqual(self.mode('a.example.key'), 0o440)
        self.opens('a.example.key', 'old phrase')
        got = self.show('a.example.key')[0]
        self.assertTrue(got['encrypted'] and 'PBES2' in got['protection'] and 'key-id' not in got, got)
        self.assertEqual(self.show('a.example.key', '--phrase-file', 'old')[0]['key-id'], self.id)
        before = self.read('a.example.key')
        self.assertIn('does not open', self.run_tool('passphrase', 'change', 'a.example.key', '--phrase-file', 'wrong', '--new-phrase-file', 'new', status=2).stderr)
        self.assertEqual(self.read('a.example.key'), before)
        self.run_tool('passphrase', 'change', 'a.example.key', '--phrase-file', 'old', '--new-phrase-file', 'new')
        self.opens('a.example.key', 'new phrase')
        self.assertEqual(self.mode('a.example.key'), 0o440)
        self.run_tool('passphrase', 'remove', 'a.example.key', '--phrase-file', 'new')
        self.assertEqual(self.mode('a.example.key'), 0o400)
        self.assertEqual(self.show('a.example.key')[0]['key-id'], self.id)
        for what, words in (('change', 'has no pass phrase'), ('remove', 'has no pass phrase')):
            self.assertIn(words, self.run_tool('passphrase', what, 'a.example.key', status=2).stderr)
        self.run_tool('passphrase', 'add', 'a.example.key', '--new-phrase-file', '-', input='typed\n')
        self.assertIn('has a pass phrase', self.run_tool('passphrase', 'add', 'a.example.key', status=2).stderr)
        self.run_tool('passphrase', 'change', 'a.example.key', '--phrase-file', '-', '--new-phrase-file', '-', input='typed\nsecond\n')
        self.opens('a.example.key', 'second')
        self.assertIn('is empty', self.run_tool('passphrase', 'change', 'a.example.key', '--phrase-file', '-', '--new-phrase-file', '-', input='second\n\n', status=2).stderr)
        self.assertIn('no terminal', self.run_tool('passphrase', 'remove', 'a.example.key', status=2).stderr)

    def test_on_the_terminal_without_echo(self):
        shown = self.on_terminal(['passphrase', 'add', 'a.example.key'], [('New pass phrase', 'sEcret1'), ('Once more', 'sEcret1')])
        self.assertNotIn('sEcret1', shown)
        self.opens('a.example.key', 'sEcret1')
        shown = self.on_terminal(['passphrase', 'change', 'a.example.key'], [('Pass phrase for', 'sEcret1'), ('New pass', 'b'), ('Once more', 'c')], status=2)
        self.assertIn('two different', shown)
        self.opens('a.example.key', 'sEcret1')
        self.on_terminal(['passphrase', 'remove', 'a.example.key'], [('Pass phrase for', signal.SIGINT)], status=-signal.SIGINT)
        self.opens('a.example.key', 'sEcret1')
        self.on_terminal(['passphrase', 'remove', 'a.example.key'], [('Pass phrase for', 'sEcret1')])
        self.sh('openssl', 'pkey', '-in', 'a.example.key', '-noout')

    def test_what_else_is_in_the_file_stays(self):
        self.write('both.pem', self.read('a.example.key') + self.read('a.example.pem'))
        os.chmod(self.path('both.pem'), 0o600)
        self.run_tool('passphrase', 'add', 'both.pem', '--new-phrase-file', 'new')
        self.assertEqual([x['kind'] for x in self.show('both.pem')], ['private key', 'certificate'])
        self.opens('both.pem', 'new phrase')
        self.sh('openssl', 'x509', '-in', 'both.pem', '-noout')

    def test_old_forms_are_read(self):
        for args in (('rsa', '-traditional', '-aes128'), ('rsa', '-traditional', '-des3'), ('pkcs8', '-topk8', '-v2', 'aes-256-cbc'), ('pkcs8', '-topk8', '-outform', 'DER'),
                     ('pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA512')):
            with self.subTest(args):
                self.sh('openssl', args[0], '-in', 'a.example.key', '-passout', 'pass:old phrase', '-out', 'k', *args[1:])
                self.assertTrue(self.show('k')[0]['encrypted'])
                self.assertEqual(self.show('k', '--phrase-file', 'old')[0]['key-id'], self.id)
                self.run_tool('passphrase', 'change', 'k', '--phrase-file', 'old', '--new-phrase-file', 'new')
                self.sh('openssl', 'pkey', '-in', 'k', '-passin', 'pass:new phrase', '-noout')

    def test_a_new_key_may_be_encrypted_at_once(self):
        self.run_tool('new', '--encrypt', '--new-phrase-file', 'new', 'b.example')
        self.opens('b.example.key', 'new phrase')
        self.run_tool('csr', '--use-key', 'b.example.key', '--phrase-file', 'new', 'b.example')
        self.sh('openssl', 'req', '-in', 'b.example.csr', '-verify', '-noout')
        self.run_tool('match', 'b.example.key', 'b.example.csr', 'b.example.pem', '--phrase-file', 'new')

    def test_no_phrase_in_the_arguments(self):
        self.assertIn('no option --password', self.run_tool('passphrase', 'add', 'a.example.key', '--password', 'x', status=2).stderr)
        self.assertIn('file secret cannot be opened', self.run_tool('passphrase', 'add', 'a.example.key', '--new-phrase-file', 'secret', status=2).stderr)


class Converting(Folder):
    def setUp(self):
        super().setUp()
        self.write('phrase', 'p w\n')
        self.run_tool('ca', '--path-length', '1', '-o', 'root.pem', '-k', 'root.key', 'Root')
        self.run_tool('ca', '--ca', 'root.pem', '--ca-key', 'root.key', 'Inter')
        self.run_tool('new', '--ca', 'ca.pem', '--ca-key', 'ca.key', 'a.example')

    def test_der_and_back(self):
        self.run_tool('csr', '--use-key', 'a.example.key', 'a.example')
        self.run_tool('convert', 'a.example.pem', '--only', 'cert', '-o', 'x', '--to', 'der', status=2)      # two of them
        self.run_tool('convert', 'root.pem', '-o', 'root.der', '--to', 'der')
        self.run_tool('convert', 'a.example.key', '-o', 'k.der', '--to', 'der')
        self.run_tool('convert', 'a.example.csr', '-o', 'r.der', '--to', 'der')
        self.assertEqual(self.read('root.der'), subprocess.run(['openssl', 'x509', '-in', self.path('root.pem'), '-outform', 'DER'], capture_output=True).stdout)
        self.sh('openssl', 'pkey', '-inform', 'DER', '-in', 'k.der', '-noout', '-check')
        self.sh('openssl', 'req', '-inform', 'DER', '-in', 'r.der', '-noout', '-verify')
        self.assertEqual((self.mode('k.der'), self.mode('root.der')), (0o400, 0o444))
        for name, of in (('root.der', 'root.pem'), ('k.der', 'a.example.key'), ('r.der', 'a.example.csr')):
            self.run_tool('convert', name, '-o', 'back')
            self.assertEqual(self.read('back'), self.read(of))
            os.unlink(self.path('back'))
        self.assertIn('DER holds one object', self.run_tool('convert', 'a.example.pem', '-o', 'x', '--to', 'der', status=2).stderr)

    def test_pkcs12_and_back(self):
        self.run_tool('convert', 'a.example.key', 'a.example.pem', 'root.pem', '--to', 'pkcs12', '-o', 'a.p12', '--new-phrase-file', 'phrase', '--name', 'shop')
        self.assertEqual(self.mode('a.p12'), 0o400)
        text = self.sh('openssl', 'pkcs12', '-in', 'a.p12', '-passin', 'pass:p w', '-nodes', '-info')
        self.assertIn('friendlyName: shop', text)
        self.assertIn('AES-256-CBC', text)
        self.assertEqual(text.count('BEGIN CERTIFICATE'), 3)
        self.assertEqual(len(set(re.findall(r'localKeyID: (.*)', text))), 1)
        self.assertIn('BEGIN CERTIFICATE', self.sh('certtool', '--p12-info', '--inder', '--infile', 'a.p12', '--password', 'p w'))
        self.assertIn('is PKCS#12', self.run_tool('show', 'a.p12', status=2).stderr)
        self.assertIn('does not open', self.run_tool('show', 'a.p12', '--phrase-file', 'root.pem', status=2).stderr)
        self.assertEqual(sorted(x['kind'] for x in self.show('a.p12', '--phrase-file', 'phrase')), ['certificate'] * 3 + ['private key'])
        self.run_tool('convert', 'a.p12', '--phrase-file', 'phrase', '--only', 'key', '--plain', '-o', 'k')
        self.assertEqual((self.read('k'), self.mode('k')), (self.read('a.example.key'), 0o400))
        self.run_tool('convert', 'a.p12', '--phrase-file', 'phrase', '--only', 'key', '-o', 'enc')
        self.sh('openssl', 'pkey', '-in', 'enc', '-passin', 'pass:p w', '-noout')
        self.run_tool('convert', 'a.p12', '--phrase-file', 'phrase', '--only', 'cert', '-o', 'certs')
        self.assertEqual(self.read('certs'), self.read('a.example.pem') + self.read('root.pem'))
        self.assertIn('without a pass phrase is refused', self.run_tool('convert', 'k', '--to', 'pkcs12', '--plain', '-o', 'y', status=2).stderr)

    def test_foreign_pkcs12_and_pkcs7(self):
        for extra in ((), ('-legacy',)):
            self.sh('openssl', 'pkcs12', '-export', '-inkey', 'a.example.key', '-in', 'a.example.pem', '-passout', 'pass:p w', '-out', 'f.p12', *extra)
            self.assertEqual(sorted(x['kind'] for x in self.show('f.p12', '--phrase-file', 'phrase')), ['certificate', 'certificate', 'private key'])
        self.sh('openssl', 'crl2pkcs7', '-nocrl', '-certfile', 'a.example.pem', '-out', 'f.p7b')
        self.assertEqual(len(self.show('f.p7b')), 2)
        self.sh('openssl', 'crl2pkcs7', '-nocrl', '-certfile', 'a.example.pem', '-outform', 'DER', '-out', 'f.p7c')
        self.run_tool('convert', 'f.p7c', '-o', 'chain')
        self.assertEqual(sorted(x['subject'] for x in self.show('chain')), ['CN=Inter', 'CN=a.example'])

    def test_keys_stay_encrypted_unless_told(self):
        self.run_tool('new', '-a', 'rsa-2048', '--new-phrase-file', 'phrase', 'e.example')
        self.run_tool('convert', 'e.example.key', '--phrase-file', 'phrase', '--to', 'der', '-o', 'e.der')
        self.sh('openssl', 'pkey', '-inform', 'DER', '-in', 'e.der', '-passin', 'pass:p w', '-noout')
        self.assertIn('cannot be encrypted well', self.run_tool('convert', 'e.example.key', '--phrase-file', 'phrase', '--to', 'traditional', '-o', 't', status=2).stderr)
        self.run_tool('convert', 'e.example.key', '--phrase-file', 'phrase', '--to', 'traditional', '--plain', '-o', 't')
        self.assertIn(b'BEGIN RSA PRIVATE KEY', self.read('t'))
        self.sh('openssl', 'rsa', '-in', 't', '-check', '-noout')
        self.assertIn('holds a private key', self.run_tool('convert', 'root.pem', '-o', 't', status=2).stderr)


class Faq(Folder, ServerTest):
    def test_the_examples_of_the_manual_are_those_that_are_run_here(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
        with open(os.path.join(root, 'docs', 'bulkhead-cert.8')) as f:
            shown = re.findall(r'^\.Dl (bulkhead-cert .*)$', f.read().replace('\\-', '-'), re.M)
        with open(__file__) as f:
            run = [m[1] for m in re.findall(r'self\.example(?:_asked)?\((["\'])(bulkhead-cert .*?)\1[,)]', f.read())]
        self.assertEqual(sorted(set(shown)), sorted(set(run)))

    def test_F16_what_keys_requests_and_certificates_are(self):
        self.example('bulkhead-cert csr www.example.org')
        self.example('bulkhead-cert new -o test.pem -k test.key www.example.org')
        text = self.example('bulkhead-cert show www.example.org.key www.example.org.csr test.pem')
        for words in ('www.example.org.key: private key', 'www.example.org.csr: request', 'test.pem: certificate', 'ECDSA P-256', 'signed with its own key', ' days left)'):
            self.assertIn(words, text)
        for name, args in (('www.example.org.key', ('pkey', '-in', 'www.example.org.key', '-pubout')), ('test.pem', ('x509', '-in', 'test.pem', '-noout', '-pubkey'))):
            self.assertIn(self.openssl_id(*args), text, name)

    def test_F17_a_self_signed_certificate(self):
        self.example('bulkhead-cert new www.example.org example.org 192.0.2.10')
        self.sh('openssl', 'verify', '-CAfile', 'www.example.org.pem', '-verify_hostname', 'example.org', 'www.example.org.pem')
        self.sh('openssl', 'verify', '-CAfile', 'www.example.org.pem', '-verify_ip', '192.0.2.10', 'www.example.org.pem')
        self.example('bulkhead-cert new -a rsa -o rsa.pem -k rsa.key www.example.org')
        self.example('bulkhead-cert new -a ed25519 -o ed.pem -k ed.key www.example.org')
        for name in ('rsa', 'ed'):
            self.sh('openssl', 'verify', '-CAfile', name + '.pem', '-verify_hostname', 'www.example.org', name + '.pem')
            self.assertIn('DNSname: www.example.org', self.sh('certtool', '-i', '--infile', name + '.pem'))

    def test_F18_key_and_request(self):
        self.example('bulkhead-cert csr www.example.org example.org')
        self.assertIn('verify OK', self.sh('openssl', 'req', '-in', 'www.example.org.csr', '-verify', '-noout'))
        self.assertIn('DNS:www.example.org, DNS:example.org', self.sh('openssl', 'req', '-in', 'www.example.org.csr', '-noout', '-text'))
        self.assertIn('Self signature: verified', self.sh('certtool', '--crq-info', '--infile', 'www.example.org.csr'))
        self.assertEqual(self.mode('www.example.org.key'), 0o400)

    def test_F19_an_authority_of_ones_own(self):
        self.example("bulkhead-cert ca 'Example CA'")
        self.example('bulkhead-cert csr www.example.org')
        self.example('bulkhead-cert sign www.example.org.csr --ca ca.pem --ca-key ca.key')
        self.sh('openssl', 'verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'ca.pem', '-verify_hostname', 'www.example.org', 'www.example.org.pem')
        self.write('chain', self.read('www.example.org.pem') + self.read('ca.pem'))
        self.assertIn('Chain verification output: Verified', self.sh('certtool', '--verify-chain', '--infile', 'chain'))

    def test_F20_change_the_pass_phrase(self):
        self.write('old.txt', 'old')
        self.write('new.txt', 'new')
        self.example('bulkhead-cert new --new-phrase-file old.txt www.example.org')
        os.chmod(self.path('www.example.org.key'), 0o440)
        inode = os.stat(self.path('www.example.org.key')).st_ino
        shown = self.example_asked('bulkhead-cert passphrase change www.example.org.key', [('Pass phrase for', 'old'), ('New pass phrase', 'new'), ('Once more', 'new')])
        self.assertIn('encrypted with the new pass phrase', shown)
        self.sh('openssl', 'pkey', '-in', 'www.example.org.key', '-passin', 'pass:new', '-noout')
        self.sh('openssl', 'pkey', '-in', 'www.example.org.key', '-passin', 'pass:old', '-noout', status=1)
        self.assertEqual(self.mode('www.example.org.key'), 0o440)
        self.assertNotEqual(os.stat(self.path('www.example.org.key')).st_ino, inode)
        self.example('bulkhead-cert passphrase change --phrase-file new.txt --new-phrase-file old.txt www.example.org.key')
        self.sh('openssl', 'pkey', '-in', 'www.example.org.key', '-passin', 'pass:old', '-noout')

    def test_F21_get_rid_of_the_pass_phrase(self):
        self.write('old.txt', 'old')
        self.example('bulkhead-cert new --new-phrase-file old.txt www.example.org')
        os.chmod(self.path('www.example.org.key'), 0o644)
        shown = self.example_asked('bulkhead-cert passphrase remove www.example.org.key', [('Pass phrase for', 'old')])
        self.assertIn('can now pose as its owner', shown)
        self.assertEqual(self.mode('www.example.org.key'), 0o400)
        self.sh('openssl', 'pkey', '-in', 'www.example.org.key', '-noout')

    def test_F22_do_they_belong_together(self):
        self.example('bulkhead-cert csr www.example.org')
        self.example('bulkhead-cert new --use-key www.example.org.key www.example.org')
        text = self.example('bulkhead-cert match www.example.org.pem www.example.org.key www.example.org.csr')
        key_id = self.openssl_id('pkey', '-in', 'www.example.org.key', '-pubout')
        self.assertEqual(text.count(key_id), 3)
        self.assertIn('They match.', text)
        self.example('bulkhead-cert new -o other.pem -k other.key www.example.org')
        text = self.example('bulkhead-cert match other.pem www.example.org.key', status=1)
        self.assertIn('They do not match', text)
        self.assertIn(self.openssl_id('x509', '-in', 'other.pem', '-noout', '-pubkey'), text)
        got = json.loads(self.run_tool('match', '--json', 'other.pem', 'www.example.org.csr', status=1).stdout)
        self.assertEqual((got['match'], [k['holds'] for k in got['keys']]), (False, ['a certificate', 'a certificate request (CSR)']))
        self.write('both', self.read('other.pem') + self.read('other.key'))
        self.run_tool('match', 'both')

    def test_a_request_for_a_certificate_that_must_staple(self):
        self.run_tool('csr', '--must-staple', 'www.example.org')
        self.assertIn('status_request', self.sh('openssl', 'req', '-in', 'www.example.org.csr', '-noout', '-text'))

    def test_F23_pem_der_and_pkcs12(self):
        self.write('phrase.txt', 'secret')
        self.example('bulkhead-cert new www.example.org')
        self.example('bulkhead-cert convert www.example.org.pem --to der -o www.example.org.cer')
        self.sh('openssl', 'x509', '-inform', 'DER', '-in', 'www.example.org.cer', '-noout')
        self.example('bulkhead-cert convert www.example.org.cer -o again.pem')
        self.assertEqual(self.read('again.pem'), self.read('www.example.org.pem'))
        self.example('bulkhead-cert convert www.example.org.key www.example.org.pem --to pkcs12 --new-phrase-file phrase.txt -o www.p12')
        self.sh('openssl', 'pkcs12', '-in', 'www.p12', '-passin', 'pass:secret', '-nodes')
        self.example('bulkhead-cert convert www.p12 --phrase-file phrase.txt --only key --plain -o again.key')
        self.assertEqual(self.read('again.key'), self.read('www.example.org.key'))

    def test_F24_an_intermediate_certificate_is_missing(self):
        site = Site(self)
        with Web({'/inter.der': self.read('inter.der')}, site.port) as web:
            site.make()
            # The server says it at start and -t, and serves all the same.
            told = self.serve_check(site, 'www.example.org.pem')
            self.assertRegex(told, r'warning: the certificate of the issuer CN=Inter is neither in \S+www\.example\.org\.pem nor among the authorities')
            self.assertIn('it is at http://127.0.0.1:%d/inter.der' % site.port, told)
            text = self.example('bulkhead-cert check --trust root.pem www.example.org.pem', status=1)
            self.assertIn('finding: the certificate of the issuer CN=Inter', text)
            self.assertEqual(web.asked, [])
            text = self.example('bulkhead-cert check --trust root.pem --fetch www.example.org.pem -o full.pem', status=1)
            self.assertIn('it was fetched from http://127.0.0.1:%d/inter.der, and is in full.pem' % site.port, text)
            self.assertEqual(web.asked, ['/inter.der'])
        text = self.example('bulkhead-cert check --trust root.pem --name www.example.org full.pem')
        self.assertIn('Good for', text)
        self.sh('openssl', 'verify', '-CAfile', 'root.pem', '-untrusted', 'full.pem', '-verify_hostname', 'www.example.org', '-purpose', 'sslserver', 'full.pem')
        self.write('chain', self.read('full.pem') + self.read('root.pem'))
        self.assertIn('Chain verification output: Verified', self.sh('certtool', '--verify-chain', '--infile', 'chain'))
        self.assertNotIn('issuer', self.serve_check(site, 'chain'))

    def serve_check(self, site, cert):
        """What bulkhead -t says of a host with that certificate."""
        s = self.server('SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n' % (self.path(cert), self.path('www.example.org.key')), 'www.example.org')
        told = s.run('-t').stdout
        self.assertIn('Syntax OK', told)
        return told

    def server(self, tls, name):
        return self.configure('<VirtualHost 127.0.0.1:@TLS@>\nServerName %s\n%s</VirtualHost>\n' % (name, tls))

    def test_F24_at_start_and_t(self):
        for args, name, words in ((('new', '--days', '20'), 'www.example.org', r'expires on \d{4}-\d\d-\d\d \d\d:\d\d UTC, in (19|20) days'),
                                  (('new',), 'other.example', r'does not cover the name other\.example, but www\.example\.org: browsers refuse it there'),
                                  (('new', '--days', '22'), 'www.example.org', None)):
            with self.subTest(words):
                self.run_tool(*args, '--force', 'www.example.org')
                s = self.server('SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n' % (self.path('www.example.org.pem'), self.path('www.example.org.key')), name)
                tested = s.run('-t').stdout
                s.start()                       # served all the same
                for told in (tested, s.output):
                    if words:
                        self.assertRegex(told, 'warning: .*' + words)
                        self.assertEqual(len(re.findall(words, told)), 1)
                    else:
                        self.assertNotIn('warning', told)
                s.stop()

    def test_F25_two_kinds_of_certificates_in_one_host(self):
        self.example("bulkhead-cert ca 'Example CA'")
        self.example('bulkhead-cert new --ca ca.pem --ca-key ca.key -o ecdsa.pem -k ecdsa.key www.example.org')
        self.example('bulkhead-cert new --ca ca.pem --ca-key ca.key -a rsa-2048 -o rsa.pem -k rsa.key www.example.org')
        s = self.server('SSLEngine on\n' + ''.join('SSLCertificateFile %s\nSSLCertificateKeyFile %s\n' % (self.path(k + '.pem'), self.path(k + '.key')) for k in ('ecdsa', 'rsa')),
                        'www.example.org')
        s.start()
        for signatures, words in (('ECDSA+SHA256', 'Peer signature type: ECDSA'), ('RSA-PSS+SHA256', 'Peer signature type: RSA-PSS')):
            text = self.sh('openssl', 's_client', '-connect', '127.0.0.1:%s' % s.expand('@TLS@'), '-servername', 'www.example.org', '-verify_hostname', 'www.example.org',
                           '-CAfile', 'ca.pem', '-verify_return_error', '-sigalgs', signatures, stdin=subprocess.DEVNULL)
            self.assertIn(words, text)
            self.assertIn('Verify return code: 0 (ok)', text)
        text = self.run_tool('check', '--trust', 'ca.pem', '--sni', 'www.example.org', '127.0.0.1:%s' % s.expand('@TLS@')).stdout
        self.assertIn('ECDSA', text)


class Checking(Folder):
    """check, of files and of servers that openssl and gnutls-serv make."""

    def found(self, *args, status=1):
        got = json.loads(self.run_tool('check', '--json', *args, status=status).stdout)
        self.assertEqual(got['good'], status == 0)
        return got, [('(%s)' if f['hint'] else '%s') % f['id'] for f in got['findings']]

    def chain(self):
        self.run_tool('ca', '--path-length', '1', '-o', 'root.pem', '-k', 'root.key', 'Root')
        self.run_tool('ca', '--ca', 'root.pem', '--ca-key', 'root.key', 'Inter')
        self.run_tool('new', '--ca', 'ca.pem', '--ca-key', 'ca.key', 'a.example')

    def test_files(self):
        self.chain()
        self.write('only', self.read('a.example.pem').partition(b'-----BEGIN CERTIFICATE-----')[0] + self.read('a.example.pem').split(b'-----END')[0] + b'-----END CERTIFICATE-----\n')
        self.write('turned', self.read('ca.pem') + self.read('only'))
        self.write('rooted', self.read('a.example.pem') + self.read('root.pem'))
        trust = ('--trust', 'root.pem')
        for args, faults in ((('a.example.pem', '--name', 'a.example'), []), (('a.example.pem', '--name', 'b.example'), ['name-missing']),
                             (('a.example.pem', '--days', '400'), ['expires-soon']), (('only',), ['issuer-missing']), (('only', '--chain', 'ca.pem'), []),
                             (('turned',), ['order']), (('rooted',), ['(root-sent)'])):
            with self.subTest(args):
                self.assertEqual(self.found(*trust, *args, status=1 if [f for f in faults if f[0] != '('] else 0)[1], faults)
        self.assertEqual(self.found('rooted')[1], ['root-unknown'])             # by the system's authorities
        self.run_tool('check', *trust, 'turned', '-o', 'right', status=1)
        self.assertEqual(self.read('right'), self.read('a.example.pem'))
        done = self.run_tool('check', '-q', *trust, 'turned', status=1)
        self.assertEqual(done.stdout + done.stderr, '')

    def test_what_cannot_be_checked(self):
        self.run_tool('new', 'a.example')
        for args, words in ((('none.pem',), 'No such file'), (('a.example.key',), 'where a certificate is needed'), (('--trust', '/none', 'a.example.pem'), 'no authority in /none'),
                            (('127.0.0.1:1',), 'cannot be reached'), (('no.such.invalid:443',), 'no address of'), ((), 'name one FILE'), (('--days', 'x', 'y'), 'no value for')):
            with self.subTest(args):
                self.assertIn(words, self.run_tool('check', *args, status=2).stderr)

    def serve(self, *args):
        port = free_port()
        p = subprocess.Popen(['openssl', 's_server', '-accept', str(port), '-quiet', '-www', *args], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (p.kill(), p.wait()))
        wait_for(lambda: listening(port), 'openssl s_server')
        return '127.0.0.1:%d' % port

    def test_servers(self):
        self.chain()
        at = self.serve('-cert', 'a.example.pem', '-key', 'a.example.key', '-cert_chain', 'ca.pem')
        args = ('--trust', 'root.pem', '--sni', 'a.example', at)
        got, faults = self.found(*args, status=0)
        self.assertEqual((faults, got['chain'], got['protocol'], got['sni'], got['stapled']), ([], ['CN=a.example', 'CN=Inter'], 'TLS1.3', 'a.example', False))
        self.assertEqual(self.found('--trust', 'root.pem', at)[1], ['name-missing'])    # it does not name the address
        self.assertIn('asked for a.example, no OCSP answer, 2 certificates', self.run_tool('check', *args).stdout)
        self.assertEqual(self.found('--trust', 'root.pem', '--sni', 'a.example', self.serve('-cert', 'a.example.pem', '-key', 'a.example.key', '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'))[1],
                         ['issuer-missing', 'protocol'])

    def test_stapling(self):
        self.run_tool('ca', 'Root')
        self.run_tool('new', '--must-staple', '--ca', 'ca.pem', '--ca-key', 'ca.key', 'a.example')
        args = ('--trust', 'ca.pem', '--sni', 'a.example')
        serve = ('-cert', 'a.example.pem', '-key', 'a.example.key')
        self.assertEqual(self.found(*args, self.serve(*serve))[1], ['must-staple'])
        serial = self.show('a.example.pem')[0]['serial'].replace(':', '').upper()
        for state, faults in (('V\t350101000000Z\t', ['(must-staple)']), ('R\t350101000000Z\t260101000000Z', ['(must-staple)', 'staple'])):
            self.write('index', '%s\t%s\tunknown\t/CN=a.example\n' % (state, serial))
            self.sh('openssl', 'ocsp', '-index', 'index', '-CA', 'ca.pem', '-rsigner', 'ca.pem', '-rkey', 'ca.key', '-issuer', 'ca.pem', '-cert', 'a.example.pem',
                    '-ndays', '7', '-respout', 'answer')
            got, found = self.found(*args, self.serve(*serve, '-status_file', 'answer'), status=1 if len(faults) > 1 else 0)
            self.assertEqual((found, got['stapled']), (faults, True))

    def test_servers_that_are_none(self):
        with socket.socket() as listener:
            listener.bind(('127.0.0.1', 0))
            listener.listen()
            at = '127.0.0.1:%d' % listener.getsockname()[1]
            before = time.monotonic()
            self.assertIn('did not finish the TLS handshake: Connection timed out', self.run_tool('check', '--timeout', '1', at, status=2).stderr)
            self.assertLess(time.monotonic() - before, 10)
            thread = threading.Thread(target=lambda: (lambda c: (c.sendall(b'HTTP/1.0 400 no\r\n\r\n'), c.recv(10000), c.close()))(listener.accept()[0]))
            listener.accept()[0].close()
            thread.start()
            self.assertIn('port for plain HTTP', self.run_tool('check', at, status=2).stderr)
            thread.join()

    def test_fetch_takes_nothing_else(self):
        site = Site(self)
        for body, words in ((self.read('root.pem'), 'another certificate'), (b'nonsense', 'holds no certificate'), (None, 'answered with 404')):
            with Web({'/inter.der': body} if body else {}, site.port):
                site.make()
                self.assertIn(words, self.run_tool('check', '--trust', 'root.pem', '--fetch', 'www.example.org.pem', status=1).stderr)
        self.assertIn('cannot be reached', self.run_tool('check', '--trust', 'root.pem', '--fetch', 'www.example.org.pem', status=1).stderr)


class Site:
    """Root, Inter, and a certificate that says where Inter's can be had, without Inter's beside it."""

    def __init__(self, test):
        self.test, self.port = test, free_port()
        test.run_tool('ca', '--path-length', '1', '-o', 'root.pem', '-k', 'root.key', 'Root')
        test.run_tool('ca', '--ca', 'root.pem', '--ca-key', 'root.key', '-o', 'inter.pem', '-k', 'inter.key', 'Inter')
        test.run_tool('convert', 'inter.pem', '--to', 'der', '-o', 'inter.der')

    def make(self):
        t = self.test
        t.run_tool('new', '--force', '--ca', 'inter.pem', '--ca-key', 'inter.key', '--ca-issuers', 'http://127.0.0.1:%d/inter.der' % self.port, 'www.example.org')
        whole = t.read('www.example.org.pem')
        os.chmod(t.path('www.example.org.pem'), 0o644)
        t.write('www.example.org.pem', whole[:whole.index(b'-----END CERTIFICATE-----') + 26])


class Web:
    """Files by plain HTTP."""

    def __init__(self, files, port):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = files.get(self.path)
                self.send_response(200 if body else 404)
                self.end_headers()
                self.wfile.write(body or b'')

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(('127.0.0.1', port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


if __name__ == '__main__':
    unittest.main()
