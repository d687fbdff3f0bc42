"""Certificates of clients against the whole server, with openssl, gnutls-cli and curl as clients and authorities that openssl makes: who is let in
and with which alert the others are not, what is resumed after a graceful restart with other rules, hosts and sections that ask for more."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from server import SSL_ON, ServerTest, alive, certificate, needs_localhost, wait_for

REQUEST = 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n'
# By ID, by a ticket of 1.2, by a ticket of 1.3.
WAYS = (('-tls1_2', '-no_ticket'), ('-tls1_2',), ('-tls1_3',))
LEAF, CA = 'basicConstraints=CA:FALSE\n', 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + '%s</VirtualHost>\n'


class Authorities:
    """Certificates and lists of revoked ones in a folder."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='bulkhead-clients-')
        os.chmod(self.dir, 0o755)
        self.make('ca', None, CA)
        self.make('inter', 'ca', CA)
        self.make('other', None, CA)
        for name, issuer in (('alice', 'ca'), ('bob', 'ca'), ('deep', 'inter'), ('mallory', 'other')):
            self.make(name, issuer, LEAF)
        self.make('late', 'ca', LEAF, days=-1)
        self.make('self', None, LEAF)
        self.join('deep-chain.pem', 'deep.pem', 'inter.pem')
        self.join('both.pem', 'ca.pem', 'other.pem')
        self.revoke('clean.crl', 'ca')
        self.revoke('bob.crl', 'ca', 'bob')

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *args):
        subprocess.run(['openssl', *args], check=True, capture_output=True)

    def join(self, name, *parts):
        with open(self.path(name), 'w') as f:
            for part in parts:
                with open(self.path(part)) as p:
                    f.write(p.read())

    def make(self, name, issuer, extensions, days=30):
        pem, key, csr, ext = (self.path(name + end) for end in ('.pem', '.key', '.csr', '.ext'))
        with open(ext, 'w') as f:
            f.write(extensions)
        self.openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', csr, '-subj', '/O=Test/CN=' + name)
        signer = ('-CA', self.path(issuer + '.pem'), '-CAkey', self.path(issuer + '.key'), '-CAcreateserial') if issuer else ('-signkey', key)
        self.openssl('x509', '-req', '-in', csr, '-out', pem, '-days', str(days), '-extfile', ext, *signer)

    def revoke(self, name, issuer, *names):
        base = self.path('db-' + name)
        os.mkdir(base)
        with open(base + '/conf', 'w') as f:
            f.write('[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\ncrlnumber=%s/number\ndefault_md=sha256\ndefault_crl_days=30\n' % (base, base))
        open(base + '/index', 'w').close()
        with open(base + '/number', 'w') as f:
            f.write('01\n')
        who = ('ca', '-config', base + '/conf', '-cert', self.path(issuer + '.pem'), '-keyfile', self.path(issuer + '.key'))
        for one in names:
            self.openssl(*who, '-revoke', self.path(one + '.pem'))
        self.openssl(*who, '-gencrl', '-out', self.path(name))


class ClientTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.pki = Authorities()
        cls.addClassCleanup(shutil.rmtree, cls.pki.dir)

    def asks(self, mode='require', ca='ca.pem', more=''):
        return 'SSLVerifyClient %s\nSSLCACertificateFile %s\n%s' % (mode, self.pki.path(ca), more)

    def lists(self, name, how='leaf'):
        return self.asks(more='SSLCARevocationCheck %s\nSSLCARevocationFile %s\n' % (how, self.pki.path(name)))

    def named(self, name, lines=''):
        cert, key = certificate(name)
        return '<VirtualHost *:@TLS@>\nServerName %s\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s</VirtualHost>\n' % (name, cert, key, lines)

    def shows(self, who, chain=False):
        """Arguments of openssl."""
        return ('-cert', self.pki.path(who + '.pem'), '-key', self.pki.path(who + '.key'),
                *(('-cert_chain', self.pki.path('inter.pem')) if chain else ())) if who else ()

    def client(self, server, *args, who=None, path='/', sni='localhost', host=None, chain=False):
        """openssl s_client: the status of the answer or None, whether the session was resumed, and all it says."""
        done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % server.tls_port, '-ign_eof', '-servername', sni, *args, *self.shows(who, chain)],
                              input=REQUEST % (path, host or sni), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, errors='replace')
        status = re.search(r'HTTP/1.1 (\d+)', done.stdout)
        return int(status[1]) if status else None, bool(re.search(r'^Reused, ', done.stdout, re.M)), done.stdout

    def alert(self, server, *args, **kw):
        found = re.search(r'SSL alert number (\d+)', self.client(server, *args, **kw)[2])
        return int(found[1]) if found else None

    def change(self, server, conf):
        old = server.workers()
        server.write('case.conf', conf)
        os.kill(server.pid, signal.SIGUSR1)
        wait_for(lambda: not any(map(alive, old)) and server.workers(), 'a new generation', 30)


class LetIn(ClientTest):
    def test_alerts_and_log(self):
        s = self.serve(HOST % self.asks())
        for who, alerts, words in (('mallory', (48, 48), 'unable to get local issuer certificate (20), issued by CN=other,O=Test; see SSLCACertificateFile'),
                                   ('late', (45, 45), r'CN=late,O=Test: certificate has expired (10)'), ('self', (48, 48), 'self-signed certificate (18)'),
                                   (None, (40, 116), 'host localhost requires a certificate of the client, and it gave none')):
            for version, number in zip(('-tls1_2', '-tls1_3'), alerts):
                with self.subTest(who=who, version=version):
                    self.assertEqual(self.alert(s, version, who=who), number)
            self.assertEqual(len(re.findall(r'\[client 127\.0\.0\.1:\d+\] BH0506: TLS handshake failed: .*' + re.escape(words), s.error_log)), 2, who)
        for version in ('-tls1_2', '-tls1_3'):
            self.assertEqual(self.client(s, version, who='alice')[0], 200)

    def test_intermediate_and_depth(self):
        for depth, wanted in ((1, None), (2, 200)):
            s = self.serve(HOST % self.asks(more='SSLVerifyDepth %d\n' % depth))
            for version in ('-tls1_2', '-tls1_3'):
                self.assertEqual(self.client(s, version, who='deep', chain=True)[0], wanted)
                self.assertEqual(self.client(s, version, who='deep')[0], None)
            self.assertEqual(self.client(s, who='alice')[0], 200)

    def test_revoked(self):
        s = self.serve(HOST % self.lists('bob.crl', 'chain'))
        for version in ('-tls1_2', '-tls1_3'):
            self.assertEqual(self.client(s, version, who='alice')[0], 200)
            self.assertEqual(self.alert(s, version, who='bob'), 44)

    def test_names_that_are_told(self):
        for more, names in (('', ['ca']), ('SSLCADNRequestFile %s\n' % self.pki.path('both.pem'), ['ca', 'other'])):
            s = self.serve(HOST % self.asks(more=more))
            for version in ('-tls1_2', '-tls1_3'):
                text = self.client(s, version, who='alice')[2]
                self.assertEqual(re.findall(r'^O = Test, CN = (\w+)$', text.split('Acceptable client certificate CA names')[1].split('Requested')[0], re.M), names)

    @needs_localhost
    def test_gnutls_client(self):
        s = self.serve(HOST % self.asks())
        for version in ('1.2', '1.3'):
            for who, wanted in (('alice', True), ('mallory', False), (None, False)):
                pair = ('--x509certfile', self.pki.path(who + '.pem'), '--x509keyfile', self.pki.path(who + '.key')) if who else ()
                done = subprocess.run(['gnutls-cli', '--insecure', '-p', str(s.tls_port), '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS' + version, *pair, 'localhost'],
                                      input=REQUEST % ('/', 'localhost'), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
                self.assertEqual('HTTP/1.1 200' in done.stdout, wanted, (version, who, done.stdout))

    def test_curl(self):
        s = self.serve(HOST % self.asks())
        for who, wanted in (('alice', '200'), ('mallory', '000'), (None, '000')):
            pair = ('--cert', self.pki.path(who + '.pem'), '--key', self.pki.path(who + '.key')) if who else ()
            done = subprocess.run(['curl', '-sko', '/dev/null', '-w', '%{http_code}', *pair, 'https://127.0.0.1:%d/' % s.tls_port], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.stdout, wanted, who)

    def test_log_line_and_user(self):
        s = self.serve('CustomLog "@DIR@/logs/who" "%u|%{SSL_CLIENT_VERIFY}x|%{SSL_CLIENT_S_DN}x|%{SSL_CLIENT_I_DN_CN}x|%{SSL_SESSION_RESUMED}x|%{X-Auth}o"\n'
                       + HOST % self.asks('optional', more='SSLUserName SSL_CLIENT_S_DN_CN\nHeader set X-Auth "expr=<%{AUTH_TYPE}>"\n'))
        path = s.path('session')
        for n, (more, who) in enumerate(((('-tls1_3', '-sess_out', path), 'alice'), (('-tls1_3', '-sess_in', path), 'alice'), ((), None))):
            self.assertEqual(self.client(s, *more, who=who)[0], 200)
            wait_for(lambda: s.read('logs/who').count('\n') == n + 1, 'its line')       # else another child may log the next one first
        self.assertEqual(s.read('logs/who').splitlines(), ['alice|SUCCESS|CN=alice,O=Test|ca|Initial|<ClientCert>', 'alice|SUCCESS|CN=alice,O=Test|ca|Resumed|<ClientCert>', '-|NONE|-|-|Initial|<>'])

    def test_without_a_list_the_start_is_refused(self):
        s = self.configure(HOST % self.asks(more='SSLCARevocationCheck chain\n'))
        done = s.run('-t')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('revocation is checked, but no list of revoked certificates is named\n    add SSLCARevocationFile', done.stdout)


class Holes(ClientTest):
    """What changed at a graceful restart between two connections of a client, by each way of resuming."""

    def changed(self, before, after, first, then, wanted):
        s = self.serve(HOST % before)
        sessions = []
        for way in WAYS:
            sessions.append(s.path('session' + ''.join(way)))
            self.assertEqual(self.client(s, *way, '-sess_out', sessions[-1], who=first)[:2], (200, False))
        self.change(s, HOST % after)
        for way, path in zip(WAYS, sessions):
            with self.subTest(way):
                self.assertEqual(self.client(s, *way, '-sess_in', path, who=then)[:2] if wanted else self.client(s, *way, '-sess_in', path, who=then)[0], wanted)

    def test_nothing(self):
        self.changed(self.asks(), self.asks(), 'alice', 'alice', (200, True))

    def test_host_now_requires_a_certificate(self):
        self.changed('', self.asks(), None, None, None)
        self.changed('', self.asks(), None, 'alice', (200, False))

    def test_authority_exchanged(self):
        self.changed(self.asks(), self.asks(ca='other.pem'), 'alice', 'alice', None)

    def test_authority_added(self):
        self.changed(self.asks(), self.asks(ca='both.pem'), 'alice', 'alice', (200, False))

    def test_revoked_by_a_new_list_in_the_same_file(self):
        live = self.pki.path('live.crl')
        for who, wanted in (('bob', None), ('alice', (200, False))):
            shutil.copy(self.pki.path('clean.crl'), live)
            s = self.serve(HOST % self.lists('live.crl'))
            sessions = [s.path('session' + ''.join(way)) for way in WAYS]
            for way, path in zip(WAYS, sessions):
                self.assertEqual(self.client(s, *way, '-sess_out', path, who=who)[:2], (200, False))
                self.assertEqual(self.client(s, *way, '-sess_in', path, who=who)[:2], (200, True))
            shutil.copy(self.pki.path('bob.crl'), live)
            self.change(s, HOST % self.lists('live.crl'))
            for way, path in zip(WAYS, sessions):
                with self.subTest((who, way)):
                    found = self.client(s, *way, '-sess_in', path, who=who)
                    self.assertEqual(found[:2] if wanted else found[0], wanted)

    def test_session_of_another_host(self):
        s = self.serve(self.named('open.test') + self.named('closed.test', self.asks()))
        for way in WAYS:
            with self.subTest(way):
                path = s.path('session' + ''.join(way))
                self.assertEqual(self.client(s, *way, '-sess_out', path, sni='open.test')[0], 200)
                self.assertEqual(self.client(s, *way, '-sess_in', path, sni='closed.test')[0], None)
                self.assertEqual(self.client(s, *way, '-sess_in', path, sni='closed.test', who='alice')[:2], (200, False))


class Places(ClientTest):
    def test_F31_F32_request_for_a_stricter_host(self):
        s = self.serve(self.named('open.test') + self.named('closed.test', self.asks()) + self.named('twin.test', self.asks()) + self.named('other.test', self.asks(ca='other.pem'))
                       + self.named('may.test', self.asks('optional')))
        for sni, host, who, wanted in (('open.test', 'closed.test', None, 421), ('open.test', 'may.test', None, 421), ('closed.test', 'twin.test', 'alice', 200),
                                       ('closed.test', 'other.test', 'alice', 421), ('closed.test', 'may.test', 'alice', 200), ('may.test', 'closed.test', 'alice', 421),
                                       ('closed.test', 'open.test', 'alice', 421)):
            with self.subTest((sni, host)):
                self.assertEqual(self.client(s, sni=sni, host=host, who=who)[0], wanted)

    def test_stricter_section_of_a_host_that_asks(self):
        s = self.serve(HOST % self.asks('optional', more='SSLVerifyDepth 2\n<Location "/secret">\nSSLVerifyClient require\n</Location>\n'
                                        '<Location "/near">\nSSLVerifyClient require\nSSLVerifyDepth 1\n</Location>\n<Location "/checked">\nRequire ssl-verify-client\n</Location>\n'),
                       {'htdocs/%s/x' % n: 'x' for n in ('secret', 'near', 'checked')})
        for who, chain, wanted in ((None, False, [403, 403, 403]), ('alice', False, [200] * 3), ('deep', True, [200, 403, 200])):
            self.assertEqual([self.client(s, path='/%s/x' % n, who=who, chain=chain)[0] for n in ('secret', 'near', 'checked')], wanted)
            self.assertEqual(self.client(s, who=who, chain=chain)[0], 200)
        self.assertIn('reason: the client gave no certificate (SSLVerifyClient)', s.error_log)

    def test_section_weaker_than_its_host(self):
        s = self.serve(HOST % self.asks(more='<Location "/same">\nSSLVerifyClient require\n</Location>\n<Location "/weak">\nSSLVerifyClient none\n</Location>\n'))
        self.assertEqual(self.client(s, who='alice')[0], 200)
        self.assertIsNone(self.client(s, path='/weak')[0])


if __name__ == '__main__':
    unittest.main()
