"""The third library of clients: NSS, through its tstclnt, which reconnects and says what it resumed. Those of OpenSSL and GnuTLS are in
tls_test.py, tickets_test.py, clientcert_test.py and bylocation_test.py."""
import os
import re
import subprocess
import unittest

from clientcert_test import ClientTest
from server import SSL_ON, certificate, needs_localhost, wait_for

REQUEST = 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
WHO = 'CustomLog "@DIR@/logs/who" "%{SSL_PROTOCOL}x %{SSL_SESSION_RESUMED}x %{SSL_CLIENT_VERIFY}x %{SSL_CLIENT_S_DN_CN}x %>s"\n'


@needs_localhost
class NSS(ClientTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db = 'sql:' + cls.pki.path('db')
        os.mkdir(cls.pki.path('db'))
        cls.sh('certutil', '-N', '-d', cls.db, '--empty-password')
        cls.sh('certutil', '-A', '-d', cls.db, '-n', 'host', '-t', 'CTP,,', '-i', certificate()[0])
        for name in ('alice', 'mallory'):
            p12 = cls.pki.path(name + '.p12')
            cls.sh('openssl', 'pkcs12', '-export', '-in', cls.pki.path(name + '.pem'), '-inkey', cls.pki.path(name + '.key'), '-name', name, '-out', p12,
                   '-passout', 'pass:x')
            cls.sh('pk12util', '-i', p12, '-d', cls.db, '-W', 'x')

    @staticmethod
    def sh(*args):
        subprocess.run(args, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)

    def nss(self, s, version, *args, path='/', who=None, times=3):
        """What the client says of `times` connections, and the server's lines about them."""
        # With a store it takes whatever certificate fits.
        store = ('-d', self.db, '-n', who) if who else ('-D', '-o')
        request = s.write('request', REQUEST % path)
        log = s.path('logs/who')
        seen = len(s.read('logs/who').splitlines()) if os.path.exists(log) else 0
        done = subprocess.run(['tstclnt', '-4', '-h', 'localhost', '-p', str(s.tls_port), *store, '-V', '%s:%s' % (version, version), '-A', request,
                               '-L', str(times), '-v', '-f', *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, errors='replace')
        text = done.stdout + done.stderr
        answers = text.count('HTTP/1.1 ')
        return text, wait_for(lambda: len(s.read('logs/who').splitlines()) >= seen + answers, 'a line for each answer') and s.read('logs/who').splitlines()[seen:]

    def test_handshakes_and_resumption(self):
        s = self.serve(WHO + '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        for version, name, args, stateless in (('tls1.2', 'TLSv1.2', (), 0), ('tls1.2', 'TLSv1.2', ('-u',), 2), ('tls1.3', 'TLSv1.3', ('-u',), 2)):
            with self.subTest(version, args=args):
                text, lines = self.nss(s, version, *args)
                self.assertEqual(text.count('index\n'), 3, text)
                self.assertEqual(re.findall(r'(\d+) stateless resumes', text)[-1], str(stateless), text)
                self.assertEqual(lines, ['%s %s NONE - 200' % (name, how) for how in ('Initial', 'Resumed', 'Resumed')])

    def test_certificates_of_clients(self):
        s = self.serve(WHO + '<VirtualHost *:@TLS@>\n' + SSL_ON + self.asks() + '</VirtualHost>\n')
        for version, name in (('tls1.2', 'TLSv1.2'), ('tls1.3', 'TLSv1.3')):
            with self.subTest(version):
                self.assertEqual(self.nss(s, version, '-u', who='alice')[1], ['%s %s SUCCESS alice 200' % (name, how) for how in ('Initial', 'Resumed', 'Resumed')])
                for who in ('mallory', None):
                    text, lines = self.nss(s, version, who=who, times=1)
                    self.assertEqual(lines, [], text)
                    self.assertRegex(text, r'SSL_ERROR_\w*(UNKNOWN_CA|CERT|HANDSHAKE)\w*_ALERT')

    def test_asked_after_the_handshake(self):
        s = self.serve(WHO + '<VirtualHost *:@TLS@>\n' + SSL_ON + 'SSLCACertificateFile %s\n<Location /closed>\nSSLVerifyClient require\n</Location>\n</VirtualHost>\n'
                       % self.pki.path('ca.pem'), {'htdocs/closed/index.html': 'closed\n'})
        text, lines = self.nss(s, 'tls1.3', '-E', path='/closed/', who='alice', times=1)
        self.assertEqual(lines, ['TLSv1.3 Initial SUCCESS alice 200'], text)
        self.assertIn('closed\n', text)
        self.assertEqual(self.nss(s, 'tls1.3', path='/closed/', who='alice', times=1)[1], ['TLSv1.3 Initial NONE - 403'])


if __name__ == '__main__':
    unittest.main()
