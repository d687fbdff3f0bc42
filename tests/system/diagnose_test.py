"""What an administrator is told: why handshakes failed, how much of it, and what cipher strings come to."""
import os
import re
import socket
import ssl
import subprocess
import time

from server import SSL_ON, ServerTest, certificate, context, wait_for
from tls_test import HOST, named, run

# Compared with OpenSSL, less what is not here: suites without certificate or encryption, ARIA, PSK, SRP, and old ciphers.
STRINGS = '''DEFAULT
ALL
HIGH
HIGH:!aNULL
HIGH:!aNULL:!MD5
HIGH:MEDIUM:!MD5:!RC4:!3DES:!aNULL
ALL:!aNULL:!eNULL
ALL:!ADH:!EXPORT56:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP:+eNULL
ECDHE+AESGCM
ECDHE+AESGCM:HIGH:!aNULL:@STRENGTH
EECDH+AESGCM:EDH+AESGCM
EECDH+ECDSA+AESGCM EECDH+aRSA+AESGCM EECDH+ECDSA+SHA384 EECDH+aRSA+SHA384 EECDH EDH+aRSA HIGH !RC4 !aNULL !eNULL !LOW !3DES !MD5 !EXP !PSK !SRP !DSS
ECDH+AESGCM:DH+AESGCM:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES:!aNULL:!MD5:!DSS
ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384
kRSA
kEDH
kECDHE:!AESCCM
aRSA
aECDSA
AES128:AES256
AES256:AES128
AESCCM:AESCCM8
CHACHA20:AESGCM
CAMELLIA
CAMELLIA256:CAMELLIA128
SHA1
SHA256
SHA384
SSLv3
TLSv1
TLSv1.2
TLSv1.2:-kRSA:kRSA
HIGH:-AES256:+ECDHE
AES:!SHA1:+SHA256
HIGH:@STRENGTH:!DHE'''.split('\n')


class Ciphers(ServerTest):
    @staticmethod
    def ours(*args):
        done = subprocess.run([os.environ.get('BULKHEAD', 'build/tests/bulkhead'), 'ciphers', *args], capture_output=True, text=True, timeout=20)
        return done.returncode, [line.split() for line in done.stdout.splitlines()], done.stderr

    def test_F28_same_suites_in_the_same_order_as_openssl(self):
        known = {row[0] for row in self.ours('ALL:aNULL')[1]} - {row[0] for row in self.ours('aNULL')[1]}
        self.assertGreater(len(known), 50)
        for string in STRINGS:
            with self.subTest(string):
                code, rows, said = self.ours('-v', string)
                self.assertEqual(code, 0, said)
                # Level 0: what is too weak for level 1 is not in our table, or is allowed by SSLCipherSuite here.
                text = subprocess.run(['openssl', 'ciphers', '-V', string + ':@SECLEVEL=0'], check=True, capture_output=True, text=True).stdout
                theirs = [line.split() for line in text.splitlines()]
                self.assertEqual([r[:8] for r in rows if r[3] != 'TLSv1.3'], [r for r in theirs if r[0] in known and r[3] != 'TLSv1.3'])
                self.assertEqual({r[0] for r in rows if r[3] == 'TLSv1.3'}, {'0x13,0x01', '0x13,0x02', '0x13,0x03'})

    def test_F29_anonymous_suites_only_by_name(self):
        for string in ('ALL', 'HIGH', 'DEFAULT', 'kEDH', 'ALL:aNULL:!aNULL', 'AES:aNULL:-AES:kRSA'):
            self.assertFalse([r for r in self.ours(string)[1] if r[5] == 'Au=None'], string)
        for string in ('aNULL', 'ADH', 'AECDH', 'ADH-AES128-SHA:AECDH'):
            theirs = subprocess.run(['openssl', 'ciphers', '-V', string + ':@SECLEVEL=0:!CAMELLIA:!ARIA:!SEED:!RC4:!3DES:!eNULL'], capture_output=True, text=True, check=True).stdout
            self.assertEqual([r[:8] for r in self.ours(string)[1] if r[3] != 'TLSv1.3'], [r for r in map(str.split, theirs.splitlines()) if r[3] != 'TLSv1.3'])

    def test_F28_names_of_gnutls_and_iana(self):
        listed = subprocess.run(['gnutls-cli', '--list'], capture_output=True, text=True, check=True).stdout
        numbers = {name: number for name, number in re.findall(r'^(TLS_\w+)\s+(0x\w\w, 0x\w\w)', listed, re.M)}
        code, rows, _ = self.ours('-ciphersuites', 'TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_8_SHA256', 'ALL')
        self.assertEqual(code, 0)
        iana = {}
        for line in subprocess.run(['openssl', 'ciphers', '-stdname', '-V', 'ALL:@SECLEVEL=0'], capture_output=True, text=True, check=True).stdout.splitlines():
            words = line.split()
            iana[words[0]] = words[2]
        self.assertEqual([r[0] for r in rows[:2]], ['0x13,0x01', '0x13,0x05'])
        for row in rows:
            self.assertEqual(numbers[row[8]].lower().replace(' ', ''), row[0].lower())
            if row[0] in iana:
                self.assertEqual(row[9], iana[row[0]])

    def test_F28_default_is_what_hosts_have(self):
        s = self.serve('<VirtualHost *:@TLS@>\n%s</VirtualHost>\n' % SSL_ON)
        wanted = [r[2] for r in self.ours()[1] if r[3] != 'TLSv1.3' and r[5] == 'Au=ECDSA']
        code, text = run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-tls1_2', '-cipher', 'ALL', '-ign_eof')
        self.assertIn('Cipher is %s\n' % wanted[0], text)
        for name in wanted:
            self.assertIn('Cipher is %s\n' % name, run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-tls1_2', '-cipher', name, '-ign_eof')[1])

    def test_F28_what_is_not_here(self):
        code, rows, said = self.ours('RC4-SHA:AES128-SHA:ARIA')
        self.assertEqual((code, rows[-1][2]), (0, 'AES128-SHA'))
        self.assertRegex(said, r'RC4-SHA: no suite(?s:.*)ARIA: no suite')
        self.assertNotIn('AES128-SHA:', said)
        for string, why in (('RC4-SHA', 'leaves no suite'), ('HIGH:!ALL', 'leaves no suite'), ('GARBAGE', 'GARBAGE(?s:.*)is unknown'),
                            ('eNULL', 'not available'), ('', 'leaves no suite')):
            with self.subTest(string):
                code, rows, said = self.ours(string)
                self.assertEqual((code, rows), (1, []))
                self.assertRegex(said, why)
        self.assertEqual(self.ours('-ciphersuites', 'AES128-SHA')[0], 1)
        self.assertEqual(self.ours('HIGH', 'ALL')[0], 1)
        self.assertEqual(self.ours('-x')[0], 1)


class Reasons(ServerTest):
    """Each by a real client."""

    def openssl(self, s, *args, sni='localhost'):
        return run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, *(('-servername', sni) if sni else ('-noservername',)), *args)[1]

    def test_F30_nothing_in_common(self):
        s = self.serve(named('localhost') + named('rsa.test', 'rsa') + named('new.test', extra='SSLProtocol TLSv1.3\n')
                       + named('narrow.test', extra='SSLOpenSSLConfCmd Groups P-384\n') + named('aes.test', extra='SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384\n')
                       + named('gcm.test', extra='SSLCipherSuite ECDHE+AESGCM+AES256\n'),
                       {'%s/index.html' % n: '' for n in ('localhost', 'rsa.test', 'new.test', 'narrow.test', 'aes.test', 'gcm.test')})
        for sni, args, alert, words in (
                ('new.test', ('-tls1_2',), 70, r'no protocol in common: the client offers TLSv1 TLSv1.1 TLSv1.2, host new.test allows TLSv1.3 \(SSLProtocol\); update the client'),
                ('localhost', ('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), 70, r'the client offers TLSv1 TLSv1.1, host localhost allows TLSv1.2 TLSv1.3.*update'),
                ('localhost', ('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), 40,
                 r'no cipher suite in common: the client offers ECDHE-RSA-AES128-GCM-SHA256; host localhost allows ECDHE-ECDSA.*certificate: EC.*another kind'),
                ('rsa.test', ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'), 40, r'host rsa.test allows ECDHE-RSA.*certificate: RSA\).*another kind'),
                ('gcm.test', ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'), 40, r'host gcm.test allows ECDHE-ECDSA-AES256-GCM-SHA384 .*add one of the client'),
                ('localhost', ('-tls1_2', '-cipher', 'PSK', '-psk', 'aa'), 40, r'the client offers .*obsolete, anonymous or unknown here: it must be updated'),
                ('aes.test', ('-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256'), 40, r'offers TLS_AES_128_GCM_SHA256; host aes.test allows TLS_AES_256_GCM_SHA384'),
                ('narrow.test', ('-tls1_3', '-groups', 'X25519:P-256'), 40, r'no group .* narrow.test: the client offers X25519 P-256; the host allows P-384; add'),
                ('narrow.test', ('-tls1_2', '-groups', 'X25519'), 40, r'no (group|certificate).*narrow.test'),
                ('localhost', ('-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'), 40, r'no certificate of host localhost \(EC.*\) fits .* signatures RSA-PSS\+SHA256, curves .*P-256'),
                ('localhost', ('-tls1_2', '-sigalgs', 'RSA+SHA256'), 40, r'allows ECDHE-ECDSA.*certificate: EC.*another kind')):
            with self.subTest(sni, args=args):
                before = len(s.error_log)
                text = self.openssl(s, *args, sni=sni)
                self.assertIn('SSL alert number %d\n' % alert, text)
                line = wait_for(lambda b=before: re.search(r'.*BH0506.*\n', s.error_log[b:]), 'a line')[0]
                self.assertRegex(line, r'\[ssl:info\].*\[client 127\.0\.0\.1:\d+\]')
                self.assertRegex(line, words)

    def test_F30_what_the_client_says_of_the_certificate(self):
        s = self.serve(HOST % '')
        for version in ('1.2', '1.3'):                                                          # OpenSSL says it in clear in 1.3
            before = len(s.error_log)
            run('curl', '-sS', '--tlsv' + version, '--tls-max', version, 'https://localhost:%d/' % s.tls_port, text='')     # no --cacert
            wait_for(lambda b=before: re.search(r'\[ssl:info\].*BH0506.*the client refused our certificate of host \S+: it does not know the authority '
                                                r'\(unknown CA\): is an intermediate', s.error_log[b:]), lambda: s.error_log)
        run('gnutls-cli', '-p', str(s.tls_port), 'localhost')
        self.assertNotIn('Decryption', s.error_log)

    def test_F30_expired_certificate_is_a_warning(self):
        s = self.configure('LogLevel warn\n' + named('old.test'), {'old.test/index.html': ''})
        path = s.path('old.pem')
        s.write('template', 'cn = old.test\nactivation_date = "2020-01-01"\nexpiration_date = "2020-02-01"\n')
        subprocess.run(['certtool', '--generate-self-signed', '--load-privkey', certificate('old.test')[1], '--template', s.path('template'), '--outfile', path],
                       check=True, capture_output=True)
        s.write('case.conf', s.read('case.conf').replace(certificate('old.test')[0], path))
        s.start()
        run('openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-CAfile', path, '-verify_return_error')
        s.logged(r'\[ssl:warn\].*BH0506.*certificate of host old.test: it holds it for expired')

    def test_first_bytes(self):
        s = self.serve(HOST % '')
        for data, words in ((b'\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10' + b'\1' * 37, r'BH0505: the hello of SSL 2'),
                            (b'\x16\3\1\0\4\2\0\0\0', r'BH0505: records of TLS came that begin no handshake'),
                            (b'SSH-2.0-x\r\n', r'BH0505: neither TLS nor HTTP'),
                            (b'GET / HTTP/1.0\r\n\r\n', r'BH0503: plain HTTP'),
                            (b'\x16\3\1\0\x2f\1\0\0\x2b\3\3' + b'r' * 32 + b'\0\0\2\xc0\x2b\1\0\0\1', r'BH0506.*ClientHello is malformed'),
                            (b'\x16\3\0\0\x2d\1\0\0\x29\3\0' + b'r' * 32 + b'\0\0\2\0\x35\1\0', r'BH0506.*the client offers SSLv3, .* allows .*must be updated')):
            with self.subTest(words), socket.create_connection(('127.0.0.1', s.tls_port), 10) as c:
                c.sendall(data)
                c.settimeout(10)
                c.recv(100)
                s.logged(words)

    def test_F30_unknown_name_gone_and_late(self):
        s = self.serve('SSLStrictSNIVHostCheck on\nLogLevel ssl:debug\nRequestReadTimeout handshake=1\n' + HOST % 'ServerName localhost\nRequestReadTimeout handshake=1\n')
        with socket.create_connection(('127.0.0.1', s.tls_port), 10) as c:
            s.logged('BH0507')
            c.settimeout(5)
            self.assertEqual(c.recv(1), b'')
        ctx = context()
        c, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ctx.wrap_bio(c, out, server_hostname='localhost')
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(('127.0.0.1', s.tls_port), 10) as sock:
            sock.sendall(out.read())
            sock.recv(1)
        s.logged(r'\[ssl:debug\].*BH0506.*the client went away')

    def test_default_level_is_silent_about_scans(self):
        s = self.serve('LogLevel warn\n' + HOST % '')
        for data in (b'\0' * 9, b'\x80\x2e\x01\x00\x02\x00\x15', b'GET / HTTP/1.0\r\n\r\n', b'\x16\3\1\0\4\2\0\0\0'):
            with socket.create_connection(('127.0.0.1', s.tls_port), 10) as c:
                c.sendall(data)
                c.settimeout(10)
                c.recv(100)
        self.openssl(s, '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256')
        time.sleep(0.3)
        self.assertNotRegex(s.error_log, r'BH05\d\d')

    def test_a_scan_fills_no_disk(self):
        s = self.serve('StartServers 1\nServerLimit 1\nMaxRequestWorkers 100\n' + HOST % '')
        for i in range(60):
            with socket.create_connection(('127.0.0.1', s.tls_port), 10) as c:
                c.sendall(b'SSH-2.0-x\r\n' if i % 3 else b'GET / HTTP/1.0\r\n\r\n')
                c.recv(100)
        s.logged('BH0505')
        self.openssl(s, '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256')
        s.logged('BH0506.*no cipher suite')                     # another reason has its own budget
        s.stop()
        self.assertEqual(len(re.findall('BH0505', s.error_log)), 10)
        self.assertEqual(len(re.findall('BH0503', s.error_log)), 10)
        self.assertRegex(s.error_log, r'\[ssl:info\].*BH0512.*: not TLS 30, plain HTTP on a TLS port 10\n')


class Anonymous(ServerTest):
    PRIORITY = 'NONE:+VERS-TLS1.2:+COMP-NULL:+CTYPE-ALL:+SIGN-ALL:+GROUP-ALL:+MAC-ALL:+AEAD:+CIPHER-ALL:+'

    def client(self, s, kx):
        return run('gnutls-cli', '--no-ca-verification', '--priority', self.PRIORITY + kx, '-p', str(s.tls_port), '127.0.0.1')

    def test_F29_work_where_they_are_named(self):
        s = self.serve(HOST % 'SSLCipherSuite HIGH:aNULL\n')
        self.assertRegex(s.output, r'case.conf:\d+: warning: SSLCipherSuite: suites without certificates are allowed \(A')
        for kx in ('ANON-ECDH', 'ANON-DH'):
            with self.subTest(kx):
                code, text = self.client(s, kx)
                self.assertIn('index\n', text)
                self.assertRegex(text, r'(?i)anon')
        self.assertIn('index\n', self.client(s, 'ECDHE-ECDSA')[1])

    def test_F29_not_elsewhere(self):
        for conf in ('', 'SSLCipherSuite ALL\n', 'SSLCipherSuite HIGH:aNULL\nSSLCACertificateFile @cert@\nSSLVerifyClient require\n'):
            s = self.serve(HOST % conf)
            for kx in ('ANON-ECDH', 'ANON-DH'):
                with self.subTest(conf, kx=kx):
                    code, text = self.client(s, kx)
                    self.assertNotIn('index\n', text)
                    self.assertIn('Handshake failed', text)
            s.logged('no cipher suite in common: the client offers ADH-.*anonymous or unknown here')
            s.stop()


class KeyLog(ServerTest):
    """SSLKEYLOGFILE is heeded by -X alone."""

    def conversation(self, s):
        with s.connect(tls=True) as c:
            self.assertEqual(c.request('/').status, 200)

    def test_no_process_of_a_server_writes_keys(self):
        s = self.configure(HOST % 'ServerName localhost\n')
        path = s.path('run/keys')
        s.start(env=dict(os.environ, SSLKEYLOGFILE=path))
        self.conversation(s)
        self.assertFalse(os.path.exists(path))

    def test_single_process_does(self):
        s = self.configure(HOST % 'ServerName localhost\n')
        path = s.path('run/keys')
        os.chmod(s.path('run'), 0o777)
        s.start_foreground('-X', prefix=('env', 'SSLKEYLOGFILE=' + path))
        self.conversation(s)
        wait_for(lambda: 'CLIENT_TRAFFIC_SECRET_0' in s.read('run/keys'), 'keys')
