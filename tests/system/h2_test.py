"""HTTP/2 with real clients (curl, nghttp, h2load), and what an administrator sees of it: protocols, variables, log lines, drains."""
import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import unittest

import h2raw
from server import SSL_ON, ServerTest, context, needs_root, wait_for

HOSTS = '''\
Protocols h2 h2c http/1.1
H2WebSockets On
LogFormat "%r|%>s|%B|%H|%{HTTP2}e|%{H2_STREAM_ID}e|%X" h2
CustomLog logs/access h2
AddOutputFilterByType DEFLATE text/plain
ProxyPass /back/ http://127.0.0.1:@PORT@/
ProxyPass /socket ws://127.0.0.1:@SOCKET@/socket
ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"
<Location /echo>
    SetHandler test-echo
</Location>
<Location /hint>
    H2EarlyHints On
    H2EarlyHint Link "</a.css>;rel=preload;as=style"
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    Protocols http/1.1
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    H2MaxHeaderBlockLen 1000
    Timeout 600
    H2EarlyHints On
    H2EarlyHint X-Long "''' + 2000 * 'a' + '''"
    <Location /a.txt>
        Header set X-Long "''' + 2000 * 'a' + '''"
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@TLS@>
''' + SSL_ON + '''\
</VirtualHost>
<VirtualHost 127.0.0.1:@TLS2@>
    Protocols http/1.1 h2
    SSLProtocol TLSv1.2
    SSLCipherSuite ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256
    SSLHonorCipherOrder Off
''' + SSL_ON + '''\
</VirtualHost>
<VirtualHost 127.0.0.1:@TLS3@>
    ProtocolsHonorOrder Off
    Protocols h2 http/1.1
    H2ModernTLSOnly Off
    SSLCipherSuite ALL
    <Location /secret>
        SSLVerifyClient require
    </Location>
    SSLCACertificateFile "@cert@"
''' + SSL_ON + '''\
</VirtualHost>
'''
BIG = bytes(range(256)) * 4000
PROGRAM = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nenv | sort\nif [ -n "$HTTP_X_BODY" ]; then wc -c; fi\n'
NPH = '#!/bin/sh\nprintf "HTTP/1.1 203 Fine\\r\\nX-Own: yes\\r\\nConnection: close\\r\\n\\r\\nnph\\n"\n'


def curl(*args, fails=False, **kw):
    done = subprocess.run(['curl', '-sk', '--max-time', '60', *args], capture_output=True, **kw)
    if done.returncode and not fails:
        raise AssertionError('curl %s: %d %s' % (args, done.returncode, done.stderr.decode()))
    return done.stdout


class WebSocketBackend(threading.Thread):
    """One after another: answers the handshake, and gives back what comes until it comes to an end."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port, self.heads = self.listener.getsockname()[1], []

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            head = b''
            while b'\r\n\r\n' not in head:
                head += sock.recv(4096) or b'\r\n\r\n'
            self.heads.append(head.decode('latin-1'))
            key = re.search(r'(?i)sec-websocket-key: *(\S+)', self.heads[-1])
            accept = hashlib.sha1(((key[1] if key else '') + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()
            sock.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n'
                         % base64.b64encode(accept))
            data = b'hello'
            while data:
                sock.sendall(data)
                data = sock.recv(65536)
            sock.close()


class Http2(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.backend = WebSocketBackend()
        cls.backend.start()
        cls.addClassCleanup(cls.backend.listener.close)
        cls.server = cls.shared(HOSTS.replace('@SOCKET@', str(cls.backend.port)), {
            'htdocs/big': BIG, 'htdocs/a.txt': 'text\n' * 2000, 'htdocs/hint/index.html': 'hinted\n', 'htdocs/secret/index.html': 'secret\n'})
        for name, text in ('env', PROGRAM), ('nph-own', NPH):
            cls.server.write('cgi-bin/' + name, text, 0o755)
        cls.server.start()

    def url(self, path='/', port='TLS'):
        return '%s://127.0.0.1:%s%s' % ('https' if 'TLS' in port else 'http', self.server.expand('@%s@' % port), path)

    def version(self, *args):
        return curl('-o', '/dev/null', '-w', '%{http_version} %{response_code}', *args).decode()

    # ------------------------------------------------ which protocol

    def test_what_is_spoken(self):
        cbc = ('--ciphers', 'ECDHE-ECDSA-AES128-SHA', '--tls-max', '1.2')
        for args, wanted in (
                (('--http2', self.url()), '2 200'), (('--http1.1', self.url()), '1.1 200'), (('--no-alpn', self.url()), '1.1 200'),
                (('--http2', self.url(port='TLS2')), '1.1 200'),                        # the server's order
                (('--http2', self.url(port='TLS3')), '2 200'),                          # the client's
                (('--http2', *cbc, self.url(port='TLS2')), '1.1 200'), (('--http2', *cbc, self.url(port='TLS3')), '2 200'),
                (('--http2', self.url(port='PORT')), '2 200'),                          # Upgrade
                (('--http2-prior-knowledge', self.url(port='PORT')), '2 200'),
                (('--http2', '-d', 'x', self.url('/echo', 'PORT')), '1.1 200'),         # not with a body
                (('--http2', self.url(port='PORT2')), '1.1 200')):
            with self.subTest(args=args):
                self.assertEqual(self.version(*args), wanted)
        self.assertEqual(subprocess.run(['curl', '-s', '--http2-prior-knowledge', self.url(port='PORT2')], capture_output=True).stdout, b'')

    def test_a_suite_that_is_not_for_it(self):
        """RFC 9113, 9.2.2: of what h2 is the only protocol for, nothing is chosen; it goes on in HTTP/1.1."""
        cbc = ('--ciphers', 'ECDHE-ECDSA-AES128-SHA', '--tls-max', '1.2')
        self.assertEqual(self.version('--http2', *cbc, self.url(port='TLS2')), '1.1 200')

    # ------------------------------------------------ requests

    def test_content(self):
        self.assertEqual(curl('--http2', self.url('/big')), BIG)
        self.assertEqual(curl('--http2', '-r', '1000-1999', self.url('/big')), BIG[1000:2000])
        self.assertEqual(curl('--http2', '--compressed', self.url('/a.txt')), b'text\n' * 2000)
        head = curl('--http2', '-I', self.url('/big')).decode()
        self.assertIn('content-length: %d' % len(BIG), head)
        self.assertIn('HTTP/2 404', curl('--http2', '-I', self.url('/none')).decode())
        tag = re.search(r'etag: (\S+)', head)[1]
        self.assertEqual(self.version('--http2', '-H', 'If-None-Match: ' + tag, self.url('/big')), '2 304')

    def test_bodies(self):
        self.assertEqual(curl('--http2', '--data-binary', '@-', self.url('/echo'), input=BIG), BIG)
        self.assertEqual(curl('--http2', '-H', 'Expect: 100-continue', '-T', '-', self.url('/echo'), input=BIG), BIG)
        self.assertIn(b'%d\n' % len(BIG), curl('--http2', '-H', 'X-Body: 1', '-T', '-', self.url('/cgi-bin/env'), input=BIG))
        self.assertEqual(curl('--http2', '-T', '-', self.url('/back/echo'), input=BIG), BIG)

    def test_programs(self):
        env = curl('--http2', '-b', 'a=1; b=2', self.url('/cgi-bin/env')).decode()
        for line in 'SERVER_PROTOCOL=HTTP/2.0', 'HTTP2=on', 'H2_STREAM_ID=1', 'H2PUSH=off', 'HTTP_HOST=127.0.0.1:%d' % self.server.tls_port, 'HTTP_COOKIE=a=1; b=2':
            self.assertIn(line + '\n', env)
        own = curl('--http2', '-i', self.url('/cgi-bin/nph-own')).decode()
        self.assertIn('HTTP/2 203', own)
        self.assertIn('x-own: yes', own)
        self.assertTrue(own.endswith('\n\r\nnph\n'), own)
        self.assertNotIn('connection', own)

    def test_hints(self):
        answer = curl('--http2', '-i', self.url('/hint/')).decode()
        self.assertRegex(answer, r'^HTTP/2 103 \r\nlink: </a.css>;rel=preload;as=style\r\n\r\nHTTP/2 200 ')
        self.assertNotIn('103', curl('--http2', '-i', self.url('/')).decode().split('\r\n')[0])
        self.assertRegex(curl('--http1.1', '-i', self.url('/hint/')).decode(), r'^HTTP/1.1 200 ')

    def test_heads_that_are_too_long(self):
        url = ('--http2-prior-knowledge', self.url('/a.txt', 'PORT3'))
        done = subprocess.run(['curl', '-sS', '--max-time', '100', *url], capture_output=True, text=True)
        self.assertIn('INTERNAL_ERROR', done.stderr)                # not a wait until Timeout
        self.server.logged('BH0807: /a.txt: ')
        answer = curl('-i', '--http2-prior-knowledge', self.url('/hint/', 'PORT3')).decode()
        self.assertRegex(answer, r'^HTTP/2 200 ')                   # a hint is no more than missing

    def test_log_lines(self):
        curl('--http2', self.url('/a.txt?logged'))
        curl('--http2', '-I', self.url('/a.txt?head'))
        wait_for(lambda: '?head' in self.server.read('logs/access'), 'the line is there')
        lines = self.server.read('logs/access')
        self.assertIn('GET /a.txt?logged HTTP/2.0|200|10000|HTTP/2.0|on|1|+\n', lines)
        self.assertIn('HEAD /a.txt?head HTTP/2.0|200|0|HTTP/2.0|on|1|+\n', lines)

    def test_a_certificate_that_a_place_wants(self):
        """Its client comes again with HTTP/1.1, where it can be asked."""
        self.assertIn('HTTP/2', curl('-o', '/dev/null', '-w', 'HTTP/%{http_version}', '--http2', self.url('/', 'TLS3')).decode())
        ctx = context()
        ctx.post_handshake_auth = True
        ctx.set_alpn_protocols(['h2'])
        with h2raw.Client(self.server.connect(ctx=ctx, port=int(self.server.expand('@TLS3@'))).sock) as c:
            c.send(h2raw.START)
            self.assertEqual(h2raw.code_name(c.request(1, '/secret/', scheme='https').code), 'HTTP_1_1_REQUIRED')
            self.assertEqual(c.request(3, '/', scheme='https').status, 200)             # the connection goes on
        self.server.logged('BH0801')

    # ------------------------------------------------ many streams

    def test_nghttp(self):
        urls = [self.url(p) for p in ('/', '/big', '/a.txt', '/cgi-bin/env', '/none')]
        done = subprocess.run(['nghttp', '-ns', *urls], capture_output=True, text=True, timeout=60)
        self.assertEqual(sorted(re.findall(r' (\d{3}) +\S+ (/\S*)$', done.stdout, re.M)),
                         [('200', '/'), ('200', '/a.txt'), ('200', '/big'), ('200', '/cgi-bin/env'), ('404', '/none')], done.stdout)

    def test_h2load(self):
        for url, n in (self.url('/a.txt'), 1000), (self.url('/big', 'PORT'), 100), (self.url('/back/a.txt', 'PORT'), 200):
            done = subprocess.run(['h2load', '-n', str(n), '-c', '3', '-m', '50', url], capture_output=True, text=True, timeout=120)
            self.assertIn('%d succeeded, 0 failed, 0 errored' % n, done.stdout, url)

    def test_slow_readers_get_all(self):
        """Small windows: what does not fit waits, in its handler too."""
        for path in '/big', '/back/big', '/cgi-bin/env':
            with self.subTest(path=path), h2raw.Client.over(self.server, start=h2raw.PREFACE + h2raw.settings((h2raw.INITIAL_WINDOW, 3000))) as c:
                for n in range(1, 20, 2):
                    c.send(h2raw.get(n, path))
                for n in range(1, 20, 2):
                    s = c.response(n)
                    self.assertEqual(s.status, 200)
                    if 'big' in path:
                        self.assertEqual(s.body, BIG)

    def test_priorities(self):
        """RFC 9218: what is urgent is sent first, though it was asked for last."""
        with h2raw.Client.over(self.server, start=h2raw.PREFACE + h2raw.settings((h2raw.INITIAL_WINDOW, 1 << 24))) as c:
            c.alive()
            c.send(h2raw.get(1, '/big', ('priority', 'u=5')) + h2raw.get(3, '/big', ('priority', 'u=1')))
            c.response(3)
            self.assertFalse(c.streams[1].ended)
            self.assertEqual(c.response(1).body, BIG)

    def test_a_stream_that_ends_early_costs_no_other(self):
        with h2raw.Client.over(self.server) as c:
            c.send(h2raw.get(1, '/big') + h2raw.rst(1) + h2raw.get(3, '/a.txt'))
            self.assertEqual(c.response(3).status, 200)

    # ------------------------------------------------ WebSockets

    def tunnel(self, c, n, path='/socket'):
        fields = [(':method', 'CONNECT'), (':protocol', 'websocket'), (':scheme', 'http'), (':path', path), (':authority', 'localhost'),
                  ('sec-websocket-version', '13')]
        c.send(h2raw.headers(n, fields, h2raw.END_HEADERS))

    def test_websocket(self):
        with h2raw.Client.over(self.server) as c:
            c.until(lambda: c.settings, 'settings')
            self.assertEqual(c.settings.get(h2raw.ENABLE_CONNECT), 1)
            self.tunnel(c, 1)
            s = c.until(lambda: c.streams.get(1) and c.streams[1].status and c.streams[1], 'the tunnel is open')
            self.assertEqual((s.status, s.get('sec-websocket-accept'), s.get('upgrade')), (200, None, None))
            c.until(lambda: s.body == b'hello', 'the backend speaks first')
            c.send(h2raw.data(1, b'x' * 5000, end=False))
            c.until(lambda: len(s.body) == 5005, 'what was said comes back')
            self.assertEqual(c.request(3, '/').status, 200)         # beside it
            c.send(h2raw.data(1, b'', end=True))
            self.assertTrue(c.response(1).over)
        self.assertRegex(self.backend.heads[-1], r'^GET /socket HTTP/1\.1\r\n')
        self.assertRegex(self.backend.heads[-1], r'(?i)\r\nsec-websocket-key: *[A-Za-z0-9+/]{22}==\r\n')

    def test_websocket_where_there_is_none(self):
        with h2raw.Client.over(self.server) as c:
            self.tunnel(c, 1, '/')
            self.assertEqual(c.response(1).status, 501)


@needs_root
class Http2Ends(ServerTest):
    def test_drain(self):
        """GOAWAY that refuses nothing, then one that does; what is under way is answered."""
        server = self.serve('Protocols h2c\n<Location /echo>\nSetHandler test-echo\n</Location>\n')
        with h2raw.Client.over(server) as c:
            c.send(h2raw.post(1))
            c.alive()
            os.kill(server.pid, signal.SIGUSR1)
            c.until(lambda: c.goaways, 'the first GOAWAY')
            self.assertEqual(c.goaways[0], (0x7fffffff, 0))
            self.assertEqual(c.request(3, '/').status, 200)         # it may have been on its way
            c.until(lambda: len(c.goaways) > 1, 'the second GOAWAY')
            self.assertEqual(c.goaways[1], (3, 0))
            c.send(h2raw.data(1, b'late'))
            self.assertEqual(c.response(1).body, b'late')
            c.until(lambda: c.eof, 'the connection ends')

    def test_time_limits(self):
        server = self.serve('''\
            Protocols h2c
            Timeout 1
            KeepAliveTimeout 1
            RequestReadTimeout header=1 body=1
            ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"
            <Location /silent>
                SetHandler test-silent
            </Location>
            ''', {'htdocs/big': BIG})
        server.write('cgi-bin/cat', '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n$(cat)"\n', 0o755)
        with h2raw.Client.over(server) as c:
            c.send(h2raw.post(1, '/cgi-bin/cat') + h2raw.get(3, '/silent'))
            self.assertEqual((c.response(1).status, c.response(3).status), (408, 504))
            self.assertEqual(c.ending(), 'NO_ERROR')                                    # idle
        with h2raw.Client.over(server, start=h2raw.PREFACE + h2raw.settings((h2raw.INITIAL_WINDOW, 100)), widens=False) as c:
            c.send(h2raw.get(1, '/big'))
            self.assertEqual(h2raw.code_name(c.response(1).code), 'CANCEL')             # its window stays shut
        server.logged('BH0804')
        with h2raw.Client.over(server, acknowledges=False) as c:
            c.send(h2raw.headers(1, h2raw.request_fields(), h2raw.END_STREAM))          # CONTINUATION never comes
            self.assertEqual(c.ending(), 'PROTOCOL_ERROR')
        server.logged('BH0803')


if __name__ == '__main__':
    unittest.main()
