"""Questions that administrators of an HTTPS server ask, each where it comes up; the table in docs/testing.md has them all. Here are those that
no other file is about: HTTPS by hand, redirects into TLS and out of it, passwords only within TLS, old browsers, variables of programs,
compression, the log."""
import os
import re
import shlex
import ssl
import subprocess
import unittest

from auth_test import login, sha1
from server import SSL_ON, ServerTest, certificate, context, needs_localhost, wait_for
from tls_test import HOST, TLS12, TLS13, run

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
SWITCH = r'''
    RewriteEngine on
    RewriteCond %{HTTPS} !=on
    RewriteRule ^/(.*)_SSL$ https://%{SERVER_NAME}:@TLS@/$1 [R,L]
    RewriteCond %{HTTPS} =on
    RewriteRule ^/(.*)_NOSSL$ http://%{SERVER_NAME}:@PORT@/$1 [R,L]
'''
USERS = 'AuthType Basic\nAuthName "the realm"\nAuthUserFile "@DIR@/users"\nRequire valid-user\n'


class ByHand(ServerTest):
    @needs_localhost
    def test_F09_the_examples_of_the_manual(self):
        """Each as it stands there, with this server's port and authority."""
        s = self.serve(HOST % 'ServerName localhost\n')
        with open(os.path.join(TOP, 'docs', 'debugging.md')) as f:
            part = re.search(r'^## HTTPS by hand$(.*?)(?=^## )', f.read(), re.M | re.S)[1]
        commands = re.findall(r'^    \$ (.*)$', part, re.M)
        self.assertGreaterEqual({shlex.split(c.split('|')[-1])[0] for c in commands}, {'curl', 'gnutls-cli', 'openssl'})
        for command in commands:
            with self.subTest(command):
                mine = command.replace('www.example.org', 'localhost').replace('localhost:443', 'localhost:%d' % s.tls_port).replace('-p 443', '-p %d' % s.tls_port) \
                              .replace('https://localhost/', 'https://localhost:%d/' % s.tls_port).replace('/etc/ssl/certs/ca-certificates.crt', certificate()[0])
                self.assertIn(str(s.tls_port), mine)
                done = subprocess.run(['bash', '-c', 'set -o pipefail; ' + mine], cwd=s.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, timeout=30, errors='replace')
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, r'HTTP/1\.1 200|Verify return code: 0 \(ok\)|The certificate is trusted|Reused, TLS')


class Switching(ServerTest):
    def test_F12_links_into_tls_and_out_of_it(self):
        s = self.serve(SWITCH + '<VirtualHost *:@TLS@>\n' + SWITCH + 'RewriteCond %{SSL:SSL_PROTOCOL} ^TLSv1\nRewriteRule ^/seen$ - [NC,F]\n' + SSL_ON + '</VirtualHost>\n',
                       {'htdocs/shop/page.html': 'page\n'})
        for tls, other, port in ((False, 'https', s.tls_port), (True, 'http', s.port)):
            away, stay = ('SSL', 'NOSSL') if not tls else ('NOSSL', 'SSL')
            answer = s.get('/shop/page.html_' + away, tls=tls)
            self.assertEqual((answer.status, answer.headers['location']), (302, '%s://localhost:%d/shop/page.html' % (other, port)))
            self.assertEqual(s.get('/shop/page.html', tls=not tls).body, b'page\n')
            self.assertEqual(s.get('/shop/page.html_' + stay, tls=tls).status, 404)             # it is there already
        self.assertEqual([s.get('/SEEN', tls=tls).status for tls in (False, True)], [404, 403])

    def test_F13_passwords_only_within_tls(self):
        s = self.serve('LogLevel trace8\nCustomLog "@DIR@/logs/all" "%%u %%{Authorization}i"\n<Location "/door">\nSSLRequireSSL\n%s</Location>\n<VirtualHost *:@TLS@>\n%s</VirtualHost>\n'
                       % (USERS, SSL_ON), {'users': 'ann:%s\n' % sha1('se-cr-et'), 'htdocs/door/index.html': 'in\n'})
        asked = s.get('/door/')
        self.assertEqual((asked.status, asked.headers.get('www-authenticate')), (403, None))    # nobody is asked for a password in the clear
        self.assertEqual(s.get('/door/', headers=login('ann', 'se-cr-et')).status, 403)
        asked = s.get('/door/', tls=True)
        self.assertEqual((asked.status, asked.headers['www-authenticate']), (401, 'Basic realm="the realm"'))
        self.assertEqual(s.get('/door/', tls=True, headers=login('ann', 'wrong-one')).status, 401)
        self.assertEqual(s.get('/door/', tls=True, headers=login('ann', 'se-cr-et')).body, b'in\n')
        s.logged('SSL connection required')
        for word in ('se-cr-et', 'wrong-one'):
            self.assertNotIn(word, s.error_log)


class OldBrowsers(ServerTest):
    FILES = {'htdocs/page.html': '<p>page\n' * 400}
    CONF = ('AddOutputFilterByType DEFLATE text/html\nBrowserMatch old-1 nokeepalive\nBrowserMatch old-2 downgrade-1.0 force-response-1.0\nBrowserMatch old-3 ssl-unclean-shutdown nokeepalive\n'
            'BrowserMatch old-4 ssl-accurate-shutdown nokeepalive\nSetEnvIf User-Agent old-5 no-gzip\nBrowserMatch old-6 gzip-only-text/html\nBrowserMatch old-7 downgrade-1.0\n')

    def setUp(self):
        self.s = self.serve('<VirtualHost *:@TLS@>\n' + SSL_ON + self.CONF + '<Location /stream>\nSetHandler test-stream\n</Location>\n</VirtualHost>\n', self.FILES)

    def test_F14_versions_and_connections(self):
        for agent, version, stays in (('new', 'HTTP/1.1', True), ('old-1', 'HTTP/1.1', False), ('old-2', 'HTTP/1.0', False), ('old-7', 'HTTP/1.1', False)):
            with self.subTest(agent), self.s.connect(True) as c:
                answer = c.request('/', headers='User-Agent: %s\r\n' % agent)
                self.assertEqual((answer.status, answer.version, answer.headers.get('connection') != 'close'), (200, version, stays))
                if stays:
                    self.assertEqual(c.request('/', close=True).status, 200)
                self.assertEqual(c.rest(), b'')

    def test_F14_no_chunks_for_clients_of_1_0(self):
        for agent, chunks in (('new', 'chunked'), ('old-2', None), ('old-7', None)):
            with self.subTest(agent):
                answer = self.s.get('/stream?n=70000', tls=True, headers='User-Agent: %s\r\n' % agent)
                self.assertEqual((answer.headers.get('transfer-encoding'), len(answer.body)), (chunks, 70000))

    def test_F14_compression(self):
        for agent, coding in (('new', 'gzip'), ('old-5', None), ('old-6', 'gzip')):
            answer = self.s.get('/page.html', tls=True, headers='User-Agent: %s\r\nAccept-Encoding: gzip\r\n' % agent)
            self.assertEqual(answer.headers.get('content-encoding'), coding, agent)

    def test_F14_ends_of_connections(self):
        """Whether the client is told that the connection ends, and whether the server waits for its word."""
        for agent, told in (('old-1', True), ('old-3', False), ('old-4', True)):
            for version in (TLS12, TLS13):
                with self.subTest(agent, version=version):
                    ctx = context(version)
                    with self.s.connect(ctx=ctx) as c:
                        self.assertEqual(c.request('/', headers='User-Agent: %s\r\n' % agent).status, 200)
                        c.sock.suppress_ragged_eofs = False
                        if told:
                            self.assertEqual(c.sock.recv(1), b'')
                        else:
                            with self.assertRaises(ssl.SSLEOFError):
                                c.sock.recv(1)


class Programs(ServerTest):
    def test_F15_variables_of_tls(self):
        conf = ('LogLevel cgi:debug\nScriptAlias /cgi/ "@DIR@/cgi/"\n<VirtualHost *:@TLS@>\n' + SSL_ON
                + '<Location /cgi/all>\nSSLOptions +StdEnvVars +ExportCertData\n</Location>\n<Files "*.some">\nSSLOptions +StdEnvVars +OptRenegotiate\n</Files>\n</VirtualHost>\n')
        script = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nenv\n'
        s = self.configure(conf, {'cgi/' + name: script for name in ('all', 'none', 'x.some')})
        for name in ('all', 'none', 'x.some'):
            os.chmod(s.path('cgi/' + name), 0o755)
        s.start()
        self.assertRegex(s.run('-t').stdout, 'notice: SSLOptions: OptRenegotiate changes nothing')

        def env(name, tls=True):
            return dict(line.split('=', 1) for line in s.get('/cgi/' + name, tls=tls).body.decode().splitlines() if re.match(r'\w+=', line))
        some, every, none, plain = env('x.some'), env('all'), env('none'), env('all', False)
        self.assertEqual([e.get('HTTPS') for e in (some, every, none, plain)], ['on', 'on', 'on', None])
        self.assertEqual([[e.get(n) for n in ('SSL_PROTOCOL', 'SSL_TLS_SNI', 'SSL_SERVER_S_DN_CN', 'SSL_CLIENT_VERIFY')] for e in (some, every, none, plain)],
                         [['TLSv1.3', 'localhost', 'localhost', 'NONE']] * 2 + [[None, 'localhost', None, None], [None] * 4])
        self.assertEqual([e.get('SSL_SERVER_CERT', '')[:10] for e in (some, every, none, plain)], ['', '-----BEGIN', '', ''])
        s.logged(r'\[cgi:debug\].*BH0790: /cgi/none runs in TLS without the variables SSL_\*: "SSLOptions \+StdEnvVars" gives them')


class Negotiated(ServerTest):
    def test_F33_compression_is_never_of_tls(self):
        s = self.serve('AddOutputFilterByType DEFLATE text/html\nCustomLog "@DIR@/logs/method" "%{SSL_COMPRESS_METHOD}x"\n' + HOST % 'SSLCompression off\n',
                       {'htdocs/page.html': '<p>page\n' * 400})
        for version in ('-tls1_2', '-tls1_3'):
            text = run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-comp', '-ign_eof', version)[1]
            self.assertIn('Compression: NONE\n', text)
        self.assertEqual(s.get('/page.html', tls=True, headers='Accept-Encoding: gzip\r\n').headers['content-encoding'], 'gzip')
        self.assertEqual(wait_for(lambda: len(s.read('logs/method').split()) == 3 and s.read('logs/method').split(), 'three lines'), ['NULL'] * 3)
        # Nobody who asks for it gets it, and who demands it gets an alert: a hello with DEFLATE alone.
        body = b'\3\3' + bytes(32) + b'\0\0\2\xc0\x2b\1\1'
        with s.connect(port=s.tls_port) as c:
            c.send(b'\x16\3\1' + (len(body) + 4).to_bytes(2, 'big') + b'\1' + len(body).to_bytes(3, 'big') + body)
            self.assertEqual(c.rest()[0], 21)
        done = self.configure(HOST % 'SSLCompression on\n').run('-t')
        self.assertRegex(done.stdout, 'SSLCompression')

    def test_F34_what_was_negotiated_is_logged(self):
        s = self.serve('CustomLog "@DIR@/logs/tls" "%t %h %{SSL_PROTOCOL}x %{SSL_CIPHER}x \\"%r\\" %b"\n'
                       'CustomLog "@DIR@/logs/old" "%{version}c %{cipher}c %{subjectdn}c %{issuerdn}c %{SSL_TLS_SNI}x %{SSL_NO_SUCH}x"\n' + HOST % '')
        for version, cipher in ((TLS12, 'ECDHE-ECDSA-AES128-GCM-SHA256'), (TLS13, 'TLS_AES_128_GCM_SHA256')):
            ctx = context(version)
            if version == TLS12:
                ctx.set_ciphers(cipher)
            with s.connect(ctx=ctx) as c:
                c.request('/', close=True)
        s.get('/')
        # The lines of two children come in any order.
        lines = wait_for(lambda: len(s.read('logs/tls').splitlines()) == 3 and s.read('logs/tls').splitlines(), 'three lines')
        for line, words in zip(sorted(lines, key=lambda line: line.split()[3:]), ('- -', 'TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256', r'TLSv1.3 TLS_AES_\d+_GCM_SHA\d+')):
            self.assertRegex(line, r'^\[[^]]+\] 127\.0\.0\.1 %s "GET / HTTP/1\.1" 6$' % words)
        old = sorted(wait_for(lambda: len(s.read('logs/old').splitlines()) == 3 and s.read('logs/old').splitlines(), 'three lines'))
        self.assertEqual(old[0], '- - - - - -')
        self.assertRegex(old[1], r'^TLSv1\.2 ECDHE-ECDSA-AES128-GCM-SHA256 - - localhost -$')


if __name__ == '__main__':
    unittest.main()
