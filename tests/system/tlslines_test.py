"""Lines that say TLS's settings in other words (SSLOpenSSLConfCmd, SSLPolicy, GnuTLSPriorities), SSLVHostSNIPolicy, SSLFailureLines, and what -S shows."""
import re
import ssl
import subprocess
import unittest

from server import SSL_ON, ServerTest, certificate, context, wait_for

HOST = '<VirtualHost *:@TLS@>\nServerName %s\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s</VirtualHost>\n'


class Lines(ServerTest):
    def named(self, name, lines=''):
        return HOST % (name, *certificate(name), lines)

    def agreed(self, s, name, *args):
        done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', name, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20)
        found = re.search(r'^New, (TLSv[\d.]+), Cipher is ([\w-]+)$', done.stdout, re.M)
        return (re.search(r'Protocol *: *(TLSv[\d.]+)', done.stdout) or found or [None, None])[1] if found else None, found and found[2], done.stdout

    def test_in_words_of_other_libraries(self):
        cases = {
            'min.test': 'SSLOpenSSLConfCmd MinProtocol TLSv1.3\n', 'max.test': 'SSLOpenSSLConfCmd MaxProtocol TLSv1.2\n',
            'suite.test': 'SSLOpenSSLConfCmd CipherString ECDHE-ECDSA-AES256-GCM-SHA384\n', 'modern.test': 'SSLPolicy modern\n',
            'policy.test': 'SSLPolicy modern\nSSLProtocol TLSv1.2\n', 'gnutls.test': 'GnuTLSPriorities NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM\n',
            'sign.test': 'SSLOpenSSLConfCmd SignatureAlgorithms ECDSA+SHA384\n',
        }
        s = self.serve(''.join(self.named(name, lines) for name, lines in cases.items()))
        for name, args, protocol, suite in (
                ('min.test', ['-tls1_2'], None, None), ('min.test', [], 'TLSv1.3', None), ('max.test', [], 'TLSv1.2', None), ('max.test', ['-tls1_3'], None, None),
                ('suite.test', ['-tls1_2'], 'TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'), ('suite.test', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'], None, None),
                ('modern.test', ['-tls1_2'], None, None), ('modern.test', [], 'TLSv1.3', None), ('policy.test', [], 'TLSv1.2', None),
                ('gnutls.test', [], 'TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'), ('gnutls.test', ['-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'], None, None),
                ('sign.test', ['-tls1_2', '-sigalgs', 'ECDSA+SHA256'], None, None)):
            with self.subTest((name, args)):
                found = self.agreed(s, name, *args)
                self.assertEqual(found[0], protocol, found[2][-600:])
                if suite:
                    self.assertEqual(found[1], suite)
        self.assertIn('Peer signing digest: SHA384', self.agreed(s, 'sign.test', '-tls1_2')[2])

    def test_hosts_that_share_a_connection(self):
        for policy, wanted in (('strict', [200, 421, 421, 421]), ('secure', [200, 200, 421, 421]), ('authonly', [200, 200, 200, 421]), ('insecure', [200] * 4)):
            s = self.serve('SSLVHostSNIPolicy %s\n' % policy + self.named('a.test') + self.named('twin.test') + self.named('old.test', 'SSLProtocol TLSv1.2 TLSv1.3\nSSLCipherSuite ECDHE\n')
                           + self.named('closed.test', 'SSLVerifyClient optional\nSSLCACertificateFile %s\n' % certificate('a.test')[0]))
            with s.connect(ctx=context(), sni='a.test') as c:
                self.assertEqual([c.request('/', host=h).status for h in ('a.test', 'twin.test', 'old.test', 'closed.test')], wanted, policy)

    def test_budget_of_lines(self):
        s = self.serve('StartServers 1\nMaxRequestWorkers 1\nServerLimit 1\nSSLFailureLines 2\nSSLOpenSSLConfCmd MinProtocol TLSv1.3\n<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        for _ in range(5):
            with self.assertRaises((OSError, ssl.SSLError)):
                s.connect(ctx=context(high=ssl.TLSVersion.TLSv1_2)).sock.close()
        s.stop()
        self.assertEqual(s.error_log.count('BH0506'), 2)
        self.assertIn('no common protocol 3', s.error_log)

    def test_what_the_dump_shows(self):
        s = self.serve(self.named('a.test') + self.named('b.test', 'SSLVerifyClient optional\nSSLSessionTickets off\nSSLCACertificateFile %s\nSSLOCSPEnable leaf\n' % certificate('a.test')[0]))
        ctx = context(high=ssl.TLSVersion.TLSv1_2, tickets=False)
        with s.connect(ctx=ctx, sni='a.test') as c:
            c.request('/', host='a.test')
            session = c.sock.session
        with s.connect(ctx=ctx, sni='a.test', session=session) as c:
            c.request('/', host='a.test')
            self.assertTrue(c.sock.session_reused)
        shown = wait_for(lambda: s.run('-S').stdout, 'a dump')
        self.assertIn('TLS client certificates: none; sessions: shared cache and tickets, 300 s', shown)
        self.assertIn('TLS client certificates: optional, responders are asked (leaf); sessions: shared cache and no tickets, 300 s', shown)
        self.assertRegex(shown, r'the running server resumed 1 sessions by ID, did not find \d+, stored 1; 1 are there now')
        s.stop()
        self.assertNotIn('the running server', s.run('-S').stdout)


if __name__ == '__main__':
    unittest.main()
