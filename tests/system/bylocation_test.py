"""Certificates of clients by place: asked for behind the handshake in TLS 1.3, refused with the reason elsewhere; what the request's body and the
next requests do meanwhile; what a certificate that came late opens, and what it does not."""
import re
import shutil
import ssl
import threading
import time
import unittest

from clientcert_test import Authorities, HOST
from server import ServerTest, context, wait_for

LOG = 'CustomLog "@DIR@/logs/who" "%U %>s %u %{SSL_CLIENT_VERIFY}x %{SSL_CLIENT_S_DN_CN}x"\n'


class Places(ServerTest):
    """One server for all: its places differ."""

    @classmethod
    def setUpClass(cls):
        cls.pki = Authorities()
        cls.addClassCleanup(shutil.rmtree, cls.pki.dir)

    def setUp(self):
        places = ''.join('<Location "/%s">\n%s\n</Location>\n' % (name, lines) for name, lines in (
            ('secret', 'SSLVerifyClient require\nSSLUserName SSL_CLIENT_S_DN_CN'), ('deep', 'SSLVerifyClient require\nSSLVerifyDepth 2'),
            ('may', 'SSLVerifyClient optional'), ('any', 'SSLVerifyClient optional_no_ca'), ('small', 'SSLVerifyClient require\nSSLRenegBufferSize 1000'),
            ('suites', 'SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384\nSSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256')))
        self.s = self.serve(LOG + 'RequestReadTimeout handshake=2\n' + HOST % ('SSLCACertificateFile %s\n' % self.pki.path('ca.pem') + places),
                            {'htdocs/%s/x' % n: n for n in ('secret', 'deep', 'may', 'any', 'small', 'suites', 'open')})

    def ctx(self, who=None, late=True, chain=False, **kw):
        ctx = context(**kw)
        ctx.post_handshake_auth = late
        if who:
            ctx.load_cert_chain(self.pki.path('deep-chain.pem' if chain else who + '.pem'), self.pki.path(who + '.key'))
        return ctx

    def statuses(self, ctx, *paths):
        with self.s.connect(ctx=ctx) as c:
            return [c.request(p).status for p in paths]

    def logged(self, n):
        return wait_for(lambda: len(self.s.read('logs/who').splitlines()) >= n and self.s.read('logs/who').splitlines(), '%d lines' % n)

    def test_who_is_let_in(self):
        self.assertEqual(self.statuses(self.ctx('alice'), '/secret/x', '/open/x', '/secret/x', '/deep/x'), [200] * 4)
        self.assertEqual(self.logged(4)[:2], ['/secret/x 200 alice SUCCESS alice', '/open/x 200 - SUCCESS alice'])
        self.assertEqual(self.statuses(self.ctx(), '/open/x', '/secret/x', '/secret/x', '/open/x'), [200, 403, 403, 200])
        self.s.logged(re.escape('reason: the client gave no certificate (SSLVerifyClient)'))
        self.assertEqual(self.statuses(self.ctx('deep', chain=True), '/deep/x', '/secret/x', '/deep/x'), [200, 403, 200])
        self.s.logged(re.escape('certificate chain too long (22); see SSLVerifyDepth'))

    def test_a_bad_one_names_nobody(self):
        self.assertEqual(self.statuses(self.ctx('mallory'), '/secret/x', '/open/x', '/any/x', '/open/x', '/secret/x'), [403, 200, 200, 200, 403])
        self.assertEqual([line.split(' ', 2)[2] for line in self.logged(5)],
                         ['- FAILED:unable to get local issuer certificate -', '- NONE -', '- GENEROUS mallory', '- NONE -', '- FAILED:unable to get local issuer certificate -'])

    def test_optional_and_then_required(self):
        self.assertEqual(self.statuses(self.ctx(), '/may/x', '/may/x', '/secret/x'), [200, 200, 403])
        ctx = self.ctx()
        with self.s.connect(ctx=ctx) as c:
            self.assertEqual(c.request('/may/x').status, 200)
            ctx.load_cert_chain(self.pki.path('alice.pem'), self.pki.path('alice.key'))
        self.assertEqual(self.statuses(self.ctx('late'), '/may/x'), [403])

    def test_clients_that_cannot_be_asked(self):
        for ctx in (self.ctx('alice', late=False), self.ctx('alice', high=ssl.TLSVersion.TLSv1_2)):
            self.assertEqual(self.statuses(ctx, '/open/x', '/may/x', '/secret/x', '/open/x'), [200, 200, 403, 200])
        for words in ('it did not offer post-handshake authentication, as browsers do not; give the place a host of its own', 'before TLS 1.3 asking later takes a renegotiation'):
            self.s.logged(words)

    def test_a_resumed_session_has_it_no_longer(self):
        ctx = self.ctx('alice')
        with self.s.connect(ctx=ctx) as c:
            self.assertEqual(c.request('/secret/x').status, 200)
            session = c.sock.session
        ctx = self.ctx('alice')
        again = self.ctx()
        for asked, wanted in ((ctx, 200), (again, 403)):
            with self.s.connect(ctx=asked) as c:
                self.assertEqual(c.request('/open/x').status, 200)
                session = c.sock.session
            with self.s.connect(ctx=asked, session=session) as c:
                self.assertEqual((c.request('/secret/x').status, c.sock.session_reused), (wanted, True))

    def test_body_and_next_request_are_kept(self):
        for size, wanted in ((0, 200), (50000, 200), (120000, 200)):
            with self.s.connect(ctx=self.ctx('alice')) as c:
                c.send(b'POST /secret/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % size + b'b' * size + b'GET /open/x HTTP/1.1\r\nHost: localhost\r\n\r\n')
                self.assertEqual((c.response().status, c.response().body), (wanted, b'open'), size)

    def test_too_much_is_refused(self):
        for path, head, body in (('/secret/x', 'Content-Length: 200000', b'b' * 200000), ('/small/x', 'Content-Length: 1001', b'b' * 1001),
                                 ('/small/x', 'Transfer-Encoding: chunked', b'2000\r\n' + b'b' * 0x2000 + b'\r\n0\r\n\r\n')):
            with self.s.connect(ctx=self.ctx('alice')) as c:
                c.send(b'POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n' % (path.encode(), head.encode()))
                time.sleep(0.1)
                c.send(body)
                answer = c.response()
                self.assertEqual((answer.status, answer.headers.get('connection')), (413, 'close'), head)
        self.s.logged('BH0513')
        self.assertEqual(self.statuses(self.ctx('alice'), '/small/x'), [200])

    def test_who_does_not_answer_holds_nobody_up(self):
        with self.s.connect(ctx=self.ctx('alice')) as c:
            c.send(b'GET /secret/x HTTP/1.1\r\nHost: localhost\r\n\r\n')        # the answer comes when this client reads
            start = time.monotonic()
            for _ in range(8):
                self.assertEqual(self.s.get('/open/x', tls=True).status, 200)
            self.assertLess(time.monotonic() - start, 1.5)
            wait_for(lambda: 'did not answer within 2 s' in self.s.error_log, 'the end of its time')
            answer = c.response()
            self.assertEqual((answer.status, answer.headers.get('connection')), (403, 'close'))

    def test_who_goes_away_meanwhile(self):
        for _ in range(4):
            c = self.s.connect(ctx=self.ctx('alice'))
            c.send(b'GET /secret/x HTTP/1.1\r\nHost: localhost\r\n\r\n')
            c.sock.close()
        self.assertEqual({line.split(' ', 2)[1] for line in self.logged(4)}, {'403'})
        self.assertEqual(self.s.get('/open/x', tls=True).status, 200)

    def test_many_at_once(self):
        found = []
        workers = [threading.Thread(target=lambda who=who: found.append((who, self.statuses(self.ctx(who), '/secret/x', '/open/x', '/secret/x')))) for who in ('alice', 'mallory', None) * 6]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        self.assertEqual({who: statuses for who, statuses in found}, {'alice': [200] * 3, 'mallory': [403, 200, 403], None: [403, 200, 403]})
        self.assertEqual(len(found), 18)
        self.assertTrue(all(statuses == ([200] * 3 if who == 'alice' else [403, 200, 403]) for who, statuses in found))

    def test_suites_of_a_section(self):
        strong, weak = context(high=ssl.TLSVersion.TLSv1_2), context(high=ssl.TLSVersion.TLSv1_2)
        strong.set_ciphers('ECDHE-ECDSA-AES256-GCM-SHA384')
        weak.set_ciphers('ECDHE-ECDSA-AES128-GCM-SHA256')
        for ctx, wanted in ((strong, [200, 200]), (weak, [200, 403]), (context(), [200, 200])):
            self.assertEqual(self.statuses(ctx, '/open/x', '/suites/x'), wanted)
        self.s.logged('is not among those of SSLCipherSuite here')


class Lines(ServerTest):
    def test_what_is_said(self):
        pki = Places.pki
        place = '<Location "/secret">\nSSLVerifyClient require\n</Location>\n'
        for lines, code, words in (('SSLProtocol TLSv1.2\nSSLCACertificateFile %s\n' % pki.path('ca.pem') + place, 1, 'nor has it TLS 1.3'),
                                   ('SSLCACertificateFile %s\n' % pki.path('ca.pem') + place, 0, 'browsers, which cannot be asked then, get 403'),
                                   (place, 0, 'asks clients for certificates and knows no authority')):
            done = self.configure(HOST % lines).run('-t')
            self.assertEqual(bool(done.returncode), bool(code), done.stdout)
            self.assertIn(words, done.stdout)

    @classmethod
    def setUpClass(cls):
        Places.pki = Authorities()
        cls.addClassCleanup(shutil.rmtree, Places.pki.dir)


if __name__ == '__main__':
    unittest.main()
