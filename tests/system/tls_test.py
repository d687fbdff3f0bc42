"""TLS from outside: what curl, openssl and gnutls-cli see, resumption over children, kills and restarts, hosts by name, records."""
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time
import unittest

from server import SANITIZED, SSL_ON, ServerTest, alive, certificate, context, needs_localhost, wait_for

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + '%s</VirtualHost>\n'
CACHE = 'SSLSessionCache shmcb:@DIR@/run/cache(512000)\n'
REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'


def run(*args, text=REQUEST, timeout=20):
    """Output and errors of a client that is given some text."""
    done = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, errors='replace')
    return done.returncode, done.stdout


def named(name, kind='ec', extra=''):
    cert, key = certificate(name, kind)
    return ('<VirtualHost *:@TLS@>\nServerName %s\nDocumentRoot "@DIR@/%s"\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s</VirtualHost>\n'
            % (name, name, cert, key, extra))


def common_name(conn):
    der = conn.sock.getpeercert(True)
    return subprocess.run(['openssl', 'x509', '-inform', 'der', '-noout', '-subject', '-nameopt', 'multiline'], input=der, capture_output=True,
                          check=True).stdout.decode().split('= ')[-1].strip()


def resident(pid):
    """Bytes of a process's own memory that are in use."""
    with open('/proc/%d/smaps_rollup' % pid) as f:
        return sum(1024 * int(line.split()[1]) for line in f if line.startswith(('Private_Dirty:', 'Private_Clean:')))


class Records:
    """A TLS client whose records can be seen."""

    def __init__(self, port, high, sni='localhost'):
        ctx = context(high, tickets=False)
        self.sock = socket.create_connection(('127.0.0.1', port), 20)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.incoming, self.outgoing, server_hostname=sni)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.push()
                self.incoming.write(self.sock.recv(65536))
        self.push()
        self.records = []

    def push(self):
        self.sock.sendall(self.outgoing.read())

    def request(self, text):
        """The response's bytes; self.records are the lengths of the records they came in."""
        self.tls.write(text.encode())
        self.push()
        raw, plain, self.records = b'', b'', []
        self.sock.settimeout(1)
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    break
                raw += data
                self.incoming.write(data)
                try:
                    while True:
                        part = self.tls.read(65536)
                        if not part:
                            break
                        plain += part
                except ssl.SSLWantReadError:
                    pass
        except TimeoutError:
            pass
        while raw:
            kind, _, n = struct.unpack('>BHH', raw[:5])
            if kind == 23:
                self.records.append(n)
            raw = raw[5 + n:]
        return plain


class Clients(ServerTest):
    """The one-liners of the manual."""

    def setUp(self):
        self.s = self.serve(HOST % 'ServerName localhost\n')
        self.ca, self.port = certificate()[0], str(self.s.tls_port)

    def test_F09_curl(self):
        for args in ((), ('--tlsv1.2', '--tls-max', '1.2'), ('--tlsv1.3',), ('--http1.0',), ('--http2',)):
            with self.subTest(args):
                code, text = run('curl', '-sS', '-i', '--max-time', '10', *args, '--cacert', self.ca, 'https://localhost:%s/' % self.port, text='')
                self.assertEqual(code, 0, text)
                self.assertRegex(text, r'HTTP/1\.1 200 OK(?s:.*)index\n$')

    def test_F09_openssl(self):
        for args, version in (((), 'TLSv1.3'), (('-tls1_2',), 'TLSv1.2'), (('-tls1_3',), 'TLSv1.3')):
            with self.subTest(args):
                code, text = run('openssl', 's_client', '-connect', '127.0.0.1:' + self.port, '-servername', 'localhost', '-CAfile', self.ca, '-verify_return_error',
                                 '-ign_eof', *args)
                self.assertEqual(code, 0, text)
                self.assertIn('Verify return code: 0 (ok)', text)
                self.assertRegex(text, r'New, TLSv1\.[23], Cipher is \S+')
                self.assertIn(version, text)
                self.assertIn('index\n', text)

    @needs_localhost
    def test_F09_gnutls_cli(self):
        for priority in ('NORMAL', 'NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3'):
            with self.subTest(priority):
                code, text = run('gnutls-cli', '--x509cafile', self.ca, '--priority', priority, '-p', self.port, 'localhost')
                self.assertEqual(code, 0, text)
                self.assertIn('The certificate is trusted', text)
                self.assertIn('index\n', text)

    def test_protocols_of_yesterday_are_refused_with_an_alert(self):
        for args in (('-tls1_1',), ('-tls1',)):
            with self.subTest(args):
                code, text = run('openssl', 's_client', '-connect', '127.0.0.1:' + self.port, *args, '-cipher', 'ALL:@SECLEVEL=0')
                self.assertNotEqual(code, 0)
                self.assertRegex(text, '(?i)alert protocol version')
        self.s.logged('BH0506')


class Resumption(ServerTest):
    CHILDREN = 'StartServers 4\nMinSpareServers 4\nMaxSpareServers 6\nMaxConnectionsPerChild 2\n'

    def kill_children(self, s):
        old = s.workers()
        for pid in old:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(map(alive, old)) and s.workers(), 'new children')

    def restart(self, s):
        old = s.workers()
        os.kill(s.pid, signal.SIGUSR1)
        wait_for(lambda: not any(map(alive, old)) and len(s.workers()) > 1, 'a new generation', 30)

    def rounds(self, conf, between, high, tickets, rounds):
        s = self.serve(conf + HOST % '')
        ctx, session = context(high, tickets), None
        for n in range(rounds):
            if n:
                between(s, n)
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual(c.request('/').status, 200)
                if n:
                    self.assertTrue(c.sock.session_reused, 'round %d' % n)
                session = c.sock.session
        return s

    KINDS = (('by ID', CACHE + 'SSLSessionTickets off\n', TLS12, False), ('ticket of 1.2', CACHE, TLS12, True), ('ticket of 1.3', CACHE, TLS13, True),
             ('ticket without a cache', 'SSLSessionCache none\n', TLS13, True))

    def test_in_whichever_child(self):
        for name, conf, high, tickets in self.KINDS:
            with self.subTest(name):
                self.rounds(self.CHILDREN + conf, lambda s, n: None, high, tickets, 12)

    def test_after_children_were_killed(self):
        for name, conf, high, tickets in self.KINDS:
            with self.subTest(name):
                self.rounds(conf, lambda s, n: self.kill_children(s), high, tickets, 3)

    def test_over_graceful_restarts(self):
        for name, conf, high, tickets in self.KINDS:
            with self.subTest(name):
                self.rounds(conf, lambda s, n: self.restart(s), high, tickets, 3)

    @needs_localhost
    def test_clients_of_the_command_line(self):
        s = self.serve(CACHE + self.CHILDREN + HOST % '')
        port = str(s.tls_port)
        for args in (('-tls1_2', '-no_ticket'), ('-tls1_2',), ('-tls1_3',)):
            with self.subTest(args):
                path = s.path('session')
                client = ('openssl', 's_client', '-connect', '127.0.0.1:' + port, '-servername', 'localhost', '-ign_eof', *args)
                self.assertIn('index\n', run(*client, '-sess_out', path)[1])
                text = run(*client, '-sess_in', path)[1]
                self.assertRegex(text, '(?m)^Reused, TLSv1')
                self.assertIn('index\n', text)
        for priority in ('NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_TICKETS', 'NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3'):
            with self.subTest(priority):
                text = run('gnutls-cli', '--insecure', '--resume', '--waitresumption', '--priority', priority, '-p', port, 'localhost')[1]
                self.assertIn('This is a resumed session', text)
                self.assertIn('index\n', text)

    def test_not_under_another_name(self):
        s = self.serve(CACHE + named('one.test') + named('two.test'), {'one.test/index.html': '1', 'two.test/index.html': '2'})
        for high, tickets in ((TLS12, False), (TLS12, True), (TLS13, True)):
            with self.subTest(high=high, tickets=tickets):
                ctx = context(high, tickets)
                with s.connect(ctx=ctx, sni='one.test') as c:
                    c.request('/', host='one.test')
                    session = c.sock.session
                with s.connect(ctx=ctx, sni='two.test', session=session) as c:
                    self.assertEqual((c.request('/', host='two.test').body, c.sock.session_reused), (b'2', False))

    def test_none_where_both_are_off(self):
        s = self.serve('SSLSessionCache none\nSSLSessionTickets off\n' + HOST % '')
        for high in (TLS12, TLS13):
            ctx = context(high)
            with s.connect(ctx=ctx) as c:
                c.request('/')
                session = c.sock.session
            with s.connect(ctx=ctx, session=session) as c:
                c.request('/')
                self.assertFalse(c.sock.session_reused)


class Hosts(ServerTest):
    FILES = {'one.test/index.html': '1', 'two.test/index.html': '2', 'three.test/index.html': '3'}

    def test_F31_F32_each_name_has_its_certificate(self):
        s = self.serve(named('one.test') + named('two.test', 'rsa', 'ServerAlias *.two.test\n'), self.FILES)
        for sni, cn, body in (('one.test', 'one.test', b'1'), ('two.test', 'two.test', b'2'), ('a.two.test', 'two.test', b'2'), ('TWO.test', 'two.test', b'2'),
                              ('unknown.test', 'one.test', b'1'), (None, 'one.test', b'1')):
            with self.subTest(sni), s.connect(ctx=context(), sni=sni) as c:
                self.assertEqual(common_name(c), cn)
                self.assertEqual(c.request('/', host=sni or 'one.test').body, body)

    def test_F31_F32_protocols_by_name(self):
        s = self.serve(named('one.test', extra='SSLProtocol TLSv1.2\n') + named('two.test', extra='SSLProtocol TLSv1.3\n') + named('three.test'), self.FILES)
        for sni, works in (('one.test', (True, False)), ('two.test', (False, True)), ('three.test', (True, True))):
            for version, wanted in zip((TLS12, TLS13), works):
                ctx = context(version)
                ctx.minimum_version = version
                with self.subTest(sni, version=version):
                    if wanted:
                        with s.connect(ctx=ctx, sni=sni) as c:
                            self.assertEqual(c.request('/', host=sni).status, 200)
                    else:
                        with self.assertRaisesRegex(ssl.SSLError, '(?i)protocol.version'):
                            s.connect(ctx=ctx, sni=sni)

    def test_F31_F32_a_connection_for_one_host_is_not_for_another_with_other_rules(self):
        s = self.serve(named('one.test') + named('two.test', extra='SSLProtocol TLSv1.3\n') + named('three.test'), self.FILES)
        with s.connect(ctx=context(TLS12), sni='one.test') as c:
            self.assertEqual(c.request('/', host='three.test').body, b'3')
            self.assertEqual(c.request('/', host='two.test').status, 421)
            self.assertEqual(c.request('/', host='one.test').body, b'1')

    def test_F31_F32_strict_names(self):
        s = self.serve('SSLStrictSNIVHostCheck on\n' + named('one.test') + named('two.test'), self.FILES)
        with s.connect(ctx=context(), sni='two.test') as c:
            self.assertEqual(c.request('/', host='two.test').body, b'2')
        with s.connect(ctx=context(), sni=None) as c:
            self.assertEqual(c.request('/', host='two.test').status, 403)

    def test_F25_two_kinds_of_keys(self):
        (rsa, rsa_key), (ec, ec_key) = certificate('localhost', 'rsa'), certificate()
        s = self.serve('<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n'
                       '</VirtualHost>\n' % (rsa, rsa_key, ec, ec_key))
        for args, kind in ((('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), 'RSA'), (('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'), 'id-ecPublicKey'),
                           (('-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'), 'RSA'), (('-tls1_3', '-sigalgs', 'ECDSA+SHA256'), 'id-ecPublicKey'), ((), 'id-ecPublicKey')):
            with self.subTest(args):
                text = run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', 'localhost', '-ign_eof', *args)[1]
                self.assertIn('index\n', text)
                self.assertIn('a:PKEY: %s' % ('rsaEncryption' if kind == 'RSA' else kind), text)

    def test_alpn(self):
        s = self.serve(HOST % '')
        for offer, wanted in ((['http/1.1'], 'http/1.1'), (['h2', 'http/1.1'], 'http/1.1'), (None, None)):
            ctx = context()
            if offer:
                ctx.set_alpn_protocols(offer)
            with self.subTest(offer), s.connect(ctx=ctx) as c:
                self.assertEqual(c.sock.selected_alpn_protocol(), wanted)
                self.assertEqual(c.request('/').status, 200)


class Idle(ServerTest):
    """What a connection that waits for its next request costs its child: 11.7 KiB when this was written, most of them GnuTLS's."""

    MANY, MOST = 600, 12.5 * 1024

    @unittest.skipIf(SANITIZED, 'sanitizers keep memory of their own')
    def test_memory_of_connections_that_wait(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * self.MANY)), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        s = self.serve('StartServers 1\nServerLimit 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 2000\nConnectionsPerChild 2000\n'
                       'KeepAliveTimeout 60\n' + HOST % '')
        pid, = s.workers()
        open_ones = []
        self.addCleanup(lambda: [c.sock.close() for c in open_ones])
        for high in (TLS12, TLS13):
            ctx = context(high)
            self.more(s, ctx, 50, open_ones)                # what is made once, and the first pages
            before = resident(pid)
            self.more(s, ctx, self.MANY, open_ones)
            self.assertLess((resident(pid) - before) / self.MANY, self.MOST, high)

    def more(self, s, ctx, n, open_ones):
        for _ in range(n):
            c = s.connect(ctx=ctx)
            open_ones.append(c)
            self.assertEqual(c.request('/').status, 200)


class Wire(ServerTest):
    def test_head_and_small_body_are_one_record(self):
        s = self.serve(HOST % '' + 'KeepAliveTimeout 5\n', {'htdocs/small': b's' * 10000, 'htdocs/large': b'l' * 100000})
        for high in (TLS12, TLS13):
            client = Records(s.tls_port, high)
            self.addCleanup(client.sock.close)
            client.request('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')      # a ticket may come before this one
            for path, records in (('/', 1), ('/small', 1), ('/none', 1), ('/large', 7)):
                with self.subTest(path, high=high):
                    self.assertRegex(client.request('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path), rb'^HTTP/1\.1 (200|404) ')
                    self.assertEqual(len(client.records), records)

    def test_pipelined_answers_share_records(self):
        s = self.serve(HOST % '')
        client = Records(s.tls_port, TLS12)
        self.addCleanup(client.sock.close)
        self.assertEqual(client.request('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' * 10).count(b'index\n'), 10)
        self.assertEqual(len(client.records), 1)

    def test_hello_without_extensions_is_answered(self):
        (rsa, rsa_key), (ec, ec_key) = certificate('localhost', 'rsa'), certificate()
        s = self.serve('<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n'
                       '</VirtualHost>\n' % (rsa, rsa_key, ec, ec_key))
        suites = b'\xc0\x2f\xc0\x2b\x00\x9c\x00\xff'
        for tail in (b'', b'\x00\x00'):
            body = b'\x03\x03' + os.urandom(32) + b'\x00' + struct.pack('>H', len(suites)) + suites + b'\x01\x00' + tail
            hello = b'\x01' + struct.pack('>I', len(body))[1:] + body
            record = b'\x16\x03\x01' + struct.pack('>H', len(hello)) + hello
            with self.subTest(tail), s.connect(port=s.tls_port) as c:
                began = time.monotonic()
                c.send(record)
                answer = c.take(6)
                self.assertEqual((answer[0], answer[5]), (0x16, 2), answer)             # a ServerHello
                self.assertLess(time.monotonic() - began, 2)
            with self.subTest(tail, how='byte by byte'), s.connect(port=s.tls_port) as c:
                for b in record:
                    c.send(bytes([b]))
                    time.sleep(0.001)
                self.assertEqual(c.take(6)[5], 2)

    def test_hello_in_many_records(self):
        s = self.serve(HOST % '')
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(incoming, outgoing, server_hostname='localhost')
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()[5:]
        with s.connect(port=s.tls_port) as c:
            for at in range(0, len(hello), 50):
                part = hello[at:at + 50]
                c.send(b'\x16\x03\x01' + struct.pack('>H', len(part)) + part)
            self.assertEqual(c.take(6)[5], 2)

    def test_new_keys_between_requests(self):
        s = self.serve(HOST % '')
        client = subprocess.Popen(['openssl', 's_client', '-tls1_3', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', 'localhost'], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with client:
            for text in (b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', b'K\n', b'k\n', REQUEST.encode()):
                time.sleep(0.3)
                client.stdin.write(text)
                client.stdin.flush()
            output = client.stdout.read()
        self.assertEqual(output.count(b'index\n'), 2, output)
        self.assertEqual(output.count(b'KEYUPDATE'), 2, output)

    def test_end_is_told(self):
        """close_notify comes before the connection is closed, so that the client knows that nothing is missing."""
        s = self.serve(HOST % '')
        with s.connect(True) as c:
            c.sock.suppress_ragged_eofs = False
            c.send(REQUEST)
            c.response()
            self.assertEqual(c.sock.recv(1), b'')


if __name__ == '__main__':
    unittest.main()
