"""OCSP about certificates of clients (SSLOCSPEnable): a real responder, the server's own process that asks it; the responder dead, slow, lying, the
process killed; nobody else is held up."""
import os
import signal
import ssl
import subprocess
import threading
import time

from server import ServerTest, SSL_ON, children_of, context, process_name, wait_for
from staple_test import Authority

HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + 'SSLVerifyClient %s\nSSLCACertificateFile %s\nSSLOCSPEnable %s\n%s</VirtualHost>\n'
PLAIN = '<VirtualHost *:@TLS2@>\n' + SSL_ON + '</VirtualHost>\n'
WAYS = ({'high': ssl.TLSVersion.TLSv1_2}, {})


class Clients(ServerTest):
    def begin(self, more='', enable='on', verify='require', run=None, **kw):
        self.ca = Authority(self)
        self.pairs = {name: self.ca.leaf(name, state) for name, state in (('good', 'V'), ('bad', 'R'), ('stranger', '-'))}
        s = self.configure(HOST % (verify, self.ca.path('ca.pem'), enable, more.replace('@OCSP@', 'http://127.0.0.1:%d/x' % self.ca.port)) + PLAIN, {'htdocs/secret/x': 'x'}, **kw)
        return s.start_foreground(*run) if run else s.start()

    def ctx(self, who, **kw):
        ctx = context(**kw)
        ctx.post_handshake_auth = True
        if who:
            ctx.load_cert_chain(*self.pairs[who])
        return ctx

    def status(self, s, who, path='/', ctx=None, **kw):
        try:
            with s.connect(ctx=ctx or self.ctx(who, **kw)) as c:
                return c.request(path, close=True).status
        except (OSError, EOFError):
            return None

    def test_good_and_bad(self):
        s = self.begin()
        for kw in WAYS:
            self.assertEqual([self.status(s, who, **kw) for who in self.pairs], [200, None, None], kw)
        self.assertEqual(self.ca.seen, 3)       # remembered; who is unknown, for a moment
        s.logged(r'CN=localhost: certificate revoked \(23\).* responder http://127.0.0.1:\d+/ocsp: revoked; see SSLOCSPEnable')
        s.logged(r'application verification failure \(50\).*it does not know the certificate; see SSLOCSPEnable')

    def test_alerts(self):
        s = self.begin()
        for version in ('-tls1_2', '-tls1_3'):
            cert, key = self.pairs['bad']
            done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-ign_eof', version, '-cert', cert, '-key', key],
                                  input='GET / HTTP/1.0\r\n\r\n', capture_output=True, text=True, timeout=20)
            self.assertIn('SSL alert number 44', done.stderr + done.stdout)

    def test_resumed_sessions_are_looked_at(self):
        s = self.begin('SSLOCSPResponseMaxAge 300\n')
        for kw in WAYS:
            ctx = self.ctx('good', **kw)
            with s.connect(ctx=ctx) as c:
                self.assertEqual(c.request('/').status, 200)
                session = c.sock.session
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual((c.request('/').status, c.sock.session_reused), (200, True))
        for pid in (p for p in children_of(s.pid) if process_name(p) == 'bulkhead-ocsp'):
            os.kill(pid, signal.SIGKILL)        # it forgets
        s.logged('BH0516: checker pid')
        self.ca.state('good', 'R')
        with self.assertRaises((OSError, EOFError)):
            with s.connect(ctx=ctx, session=session) as c:
                c.request('/')
        self.assertEqual(self.status(s, 'bad'), None)

    def test_dead_and_slow_responders(self):
        s = self.begin('SSLOCSPResponderTimeout 1\n')
        self.ca.trick = lambda request, handler: time.sleep(4)
        found = []
        workers = [threading.Thread(target=lambda: found.append(self.status(s, 'good'))) for _ in range(6)]
        start = time.monotonic()
        for w in workers:
            w.start()
        time.sleep(0.1)
        for _ in range(5):                      # others are not held up
            with s.connect(ctx=context(), port=int(s.expand('@TLS2@'))) as c:
                self.assertEqual(c.request('/').status, 200)
        self.assertLess(time.monotonic() - start, 0.9)
        for w in workers:
            w.join()
        self.assertEqual((found, self.ca.seen), ([None] * 6, 1))
        self.assertLess(time.monotonic() - start, 3)
        s.logged(r'no answer: Connection timed out; see whether the responder is well; SSLOCSPResponderTimeout')
        self.ca.close()
        self.assertIsNone(self.status(s, 'stranger'))
        s.logged('no connection to 127.0.0.1 port')

    def test_default_responder_and_lenience(self):
        s = self.begin('SSLOCSPDefaultResponder @OCSP@\nSSLOCSPOverrideResponder on\nSSLOCSPUseRequestNonce off\n', 'leaf')
        self.assertEqual([self.status(s, who) for who in ('good', 'bad')], [200, None])
        self.ca.key('none', '/CN=none')
        subprocess.run(['openssl', 'x509', '-req', '-in', self.ca.path('none.pem'), '-CA', self.ca.path('ca.pem'), '-CAkey', self.ca.path('ca.key'), '-out', self.ca.path('none.crt')],
                       check=True, capture_output=True)
        self.pairs['none'] = self.ca.path('none.crt'), self.ca.path('none.key')
        ca = self.ca.path('ca.pem')
        for enable, wanted in (('on', None), ('on no_ocsp_for_cert_ok', 200)):
            other = self.serve(HOST % ('require', ca, enable, ''))
            self.assertEqual(self.status(other, 'none'), wanted)

    def test_answers_that_do_not_count(self):
        s = self.begin()
        old = self.ca.answer

        def without_nonce(request, handler):
            subprocess.run(['openssl', 'ocsp', '-issuer', self.ca.path('ca.pem'), '-cert', self.ca.path('good.crt'), '-no_nonce', '-reqout', self.ca.path('plain')],
                           check=True, capture_output=True)
            with open(self.ca.path('plain'), 'rb') as f:
                return old(f.read())

        self.ca.trick = without_nonce
        self.assertIsNone(self.status(s, 'good'))
        s.logged("it does not repeat the request's nonce; write SSLOCSPUseRequestNonce off")
        self.ca.trick = lambda request, handler: b'rubbish'
        self.assertIsNone(self.status(s, 'stranger'))
        s.logged('it is no OCSP answer')

    def test_by_place(self):
        s = self.begin('<Location "/secret">\nSSLVerifyClient require\n</Location>\n', verify='none')
        self.assertEqual([self.status(s, who, '/secret/x') for who in ('good', 'bad', 'stranger', None)], [200, 403, 403, 403])
        s.logged(r"reason: the client's certificate does not count: certificate revoked \(23\), responder http")

    def test_in_one_process(self):
        s = self.begin('SSLOCSPResponderTimeout 2\n', run=('-X',))
        for kw in WAYS:
            self.assertEqual([self.status(s, who, **kw) for who in ('good', 'bad')], [200, None])

    def test_through_a_proxy(self):
        s = self.begin('SSLOCSPProxyURL @OCSP@\n')
        targets = []

        def proxy(request, handler):
            targets.append(handler.path)
            return self.ca.answer(request)

        self.ca.trick = proxy
        self.assertEqual(self.status(s, 'good'), 200)
        self.assertEqual(targets, ['http://127.0.0.1:%d/ocsp' % self.ca.port])

    def test_a_restart_before_the_answer(self):
        s = self.begin()
        self.ca.trick = lambda request, handler: time.sleep(0.5) or self.ca.answer(request)
        ctx = self.ctx('good')
        with s.connect(ctx=ctx) as c:
            os.kill(s.pid, signal.SIGUSR1)      # the child that waits has the checker of its generation
            self.assertEqual(c.request('/', close=True).status, 200)
