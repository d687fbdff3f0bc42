"""The widest configuration: TLS 1.0 to 1.3, all suites, all groups. Raw records as in tlsrobust_test.py, here of what a host with the defaults never
speaks: RSA, DHE and ECDHE of every group with CBC in TLS 1.0 to 1.2, and the shares of every group in 1.3. What is wrong in a padding, in a MAC
or in what RSA hides must all look the same to the client."""
import itertools
import struct
import subprocess
import unittest

from server import ServerTest, alive, certificate
from tlsold import NIST, ClientOld
from tlsraw import ALERT, CCS, CLIENT_KEY, DATA, FINISHED, GROUPS, HANDSHAKE, SERVER_HELLO, SHARES, Peer, hello12, hello13, message, record, share, vec
from tlsrobust_test import BAD_MAC, DECODE, DECRYPT, FAILURE, GET, ILLEGAL, NO_RENEGOTIATION, OVERFLOW, UNEXPECTED

OLD = (0x0301, 0x0302, 0x0303)
NAMES = {0x0301: '1.0', 0x0302: '1.1', 0x0303: '1.2', 23: 'P-256', 24: 'P-384', 25: 'P-521', 29: 'X25519', 30: 'X448'}
CURVES, FIELDS = (23, 24, 25, 29, 30), {256: 256, 257: 384, 258: 512, 259: 768, 260: 1024}     # FFDHE: bytes of a number
WAYS = [('RSA', 29), ('DHE', 29)] + [('ECDHE', group) for group in CURVES]
SIZES = {23: 32, 24: 48, 25: 66, 29: 32, 30: 56}


def wide():
    text = 'StartServers 2\nMinSpareServers 1\nMaxSpareServers 4\nRequestReadTimeout handshake=20\n<VirtualHost *:@TLS@>\nSSLEngine on\n'
    for kind in ('ec', 'rsa'):
        text += 'SSLCertificateFile %s\nSSLCertificateKeyFile %s\n' % certificate('localhost', kind)
    return text + ('SSLProtocol all +TLSv1 +TLSv1.1\nSSLCipherSuite ALL:aNULL:@SECLEVEL=0\nSSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:'
                   'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256\n'
                   'SSLOpenSSLConfCmd Groups X25519:P-256:P-384:P-521:X448:ffdhe2048:ffdhe3072:ffdhe4096:ffdhe6144:ffdhe8192\n</VirtualHost>\n')


class Widest(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(wide()).start()
        cls.port, cls.children = cls.s.tls_port, cls.s.workers()

    def tearDown(self):
        self.assertTrue(all(map(alive, self.children)))
        self.assertNotRegex(self.s.error_log, r'BH02\d\d.*(signal|crash)|AddressSanitizer|runtime error')

    def ends(self, c, alerts):
        end = c.end()
        self.assertEqual(end.how, 'eof', end)
        self.assertIn(end.alerts[-1][1] if end.alerts and end.alerts[-1][0] == 2 else None, alerts, end)
        return end.alerts[-1]

    def rows(self, versions=OLD, ways=WAYS):
        for version, (exchange, group) in itertools.product(versions, ways):
            name = '%s %s %s' % (NAMES[version], exchange, NAMES[group] if exchange == 'ECDHE' else '')
            with self.subTest(name), ClientOld(self.port, version, exchange, group) as c:
                yield c

    def test_all_are_served(self):
        for c in self.rows():
            c.connect().record(DATA, GET)
            self.assertIn(b'200 OK', c.data())
            self.assertEqual(c.chosen, c.want)

    def test_suites_of_13(self):
        for suite in (b'\x13\x01', b'\x13\x02', b'\x13\x03', b'\x13\x04', b'\x13\x05'):
            with self.subTest(suite), Peer(self.port) as p:
                p.send(record(HANDSHAKE, hello13(suites=suite)))
                kind, whole = p.message()
                self.assertEqual((kind, whole[39:41] if whole[38] == 0 else None), (SERVER_HELLO, suite))

    def test_groups_of_13(self):
        """Each with its share at once, and after a retry for one that came without."""
        for name in ('X25519', 'P-256', 'P-384', 'P-521', 'X448', 'ffdhe2048', 'ffdhe3072', 'ffdhe4096', 'ffdhe6144', 'ffdhe8192'):
            for groups in (name, 'brainpoolP256r1:' + name) if name in ('X448', 'P-521', 'ffdhe2048') else (name,):
                with self.subTest(groups):
                    done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % self.port, '-servername', 'localhost', '-tls1_3', '-groups', groups, '-ign_eof'],
                                          input='GET / HTTP/1.0\r\n\r\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, errors='replace')
                    self.assertIn('200 OK', done.stdout)

    def test_finished(self):
        for c in self.rows():
            c.start().change(finished=message(FINISHED, bytes(12)))
            self.ends(c, {DECRYPT})
        for c in self.rows(ways=WAYS[:1]):
            c.start().record(HANDSHAKE, c.say(CLIENT_KEY, c.key_body))
            c.record(HANDSHAKE, message(FINISHED, bytes(12)))
            self.ends(c, {UNEXPECTED})

    def test_records_of_cbc(self):
        """RFC 5246, 6.2.3.2: one alert for all, so that nobody learns which was wrong."""
        spoilt = {'MAC': dict(mac=bytes(20)), 'padding that differs': dict(padding=lambda n: bytes([n - 1]) + bytes([n]) * n if n else b'\x11' + bytes([16]) * 16),
                  'padding longer than the record': dict(padding=lambda n: bytes([255]) * (n + 1)), 'no padding': dict(padding=lambda n: bytes(n) + b'\xfe'),
                  'half a block': dict(cut=5), 'no whole block': dict(cut=33)}
        for name, how in spoilt.items():
            for c in self.rows(ways=(('ECDHE', 29),)):
                with self.subTest(name):
                    c.connect()
                    n = 15 - (len(GET) + 20) % 16
                    how = {k: v(n) if callable(v) else v for k, v in how.items()}
                    c.send(c.sealed_cbc(DATA, GET, **how))
                    self.ends(c, {BAD_MAC})
        for c in self.rows(ways=(('ECDHE', 29),)):
            with self.subTest('too long'):
                c.connect().send(c.sealed_cbc(DATA, bytes(16385)))
                self.ends(c, {OVERFLOW})
        for c in self.rows(ways=(('ECDHE', 29),)):
            with self.subTest('padding of 255 bytes is good'):
                c.connect()
                n = 15 - (len(GET) + 20) % 16 + 240
                c.send(c.sealed_cbc(DATA, GET, padding=bytes([n]) * (n + 1)))
                self.assertIn(b'200 OK', c.data())

    def test_what_rsa_hides(self):
        """RFC 5246, 7.4.7.1: whatever comes out of the decryption, the handshake fails at Finished, and in the same way."""
        for version in OLD:
            seen = set()
            for name in ('other version', 'wrong type of block', 'no zero', 'zero in the padding', 'short secret', 'long secret', 'no secret', 'zeros', 'ones', 'random'):
                with self.subTest(name, version=NAMES[version]), ClientOld(self.port, version, 'RSA') as c:
                    c.start()
                    n, secret = c.size, c.secret
                    if name == 'other version':
                        secret = c.secret = b'\x02\x02' + secret[2:]
                    block = {'other version': lambda: c.pad(secret), 'wrong type of block': lambda: c.pad(secret, b'\x00\x01'),
                             'no zero': lambda: c.pad(secret, zero=b'\x55'), 'zero in the padding': lambda: c.pad(secret)[:5] + b'\0' + c.pad(secret)[6:],
                             'short secret': lambda: c.pad(secret[:47]), 'long secret': lambda: c.pad(secret + b'x'), 'no secret': lambda: c.pad(b''),
                             'zeros': lambda: bytes(n), 'ones': lambda: b'\0' + b'\xff' * (n - 1), 'random': lambda: b'\x17' + bytes(n - 1)}[name]()
                    c.change(vec(2, c.rsa(block)))
                    seen.add(self.ends(c, {BAD_MAC}))
            self.assertEqual(len(seen), 1)
            for name, body in (('nothing', b''), ('no bytes', vec(2, b'')), ('too short', vec(2, bytes(255))), ('cut', vec(2, bytes(256))[:-1]), ('more behind it', vec(2, bytes(256)) + b'x')):
                with self.subTest(name, version=NAMES[version]), ClientOld(self.port, version, 'RSA') as c:
                    c.start().change(body)
                    self.ends(c, {DECODE, BAD_MAC, DECRYPT, ILLEGAL})

    def test_numbers_of_dhe(self):
        for name in ('0', '1', 'p - 1', 'p', 'p + 1'):
            for c in self.rows(ways=(('DHE', 29),)):
                with self.subTest(name):
                    c.start()
                    y = {'0': 0, '1': 1, 'p - 1': c.p - 1, 'p': c.p, 'p + 1': c.p + 1}[name]
                    c.change(vec(2, y.to_bytes((c.p.bit_length() + 7) // 8, 'big')))
                    self.ends(c, {ILLEGAL})
        for name, body in (('nothing', b''), ('no bytes', vec(2, b'')), ('cut', vec(2, bytes(256))[:-1])):
            for c in self.rows(ways=(('DHE', 29),)):
                with self.subTest(name):
                    c.start().change(body)
                    self.ends(c, {DECODE, ILLEGAL})

    def test_points_of_ecdhe(self):
        for group in CURVES:
            n = SIZES[group]
            points = {'short': bytes(n - 1), 'nothing': b'', 'long': b'\x04' + bytes(2 * n + 1)}
            if group in NIST:
                points.update({'off the curve': b'\x04' + bytes(2 * n - 1) + b'\x05', 'compressed': b'\x02' + bytes(n), 'infinite': b'\0', 'x alone': b'\x04' + bytes(n)})
            else:
                points.update({'zero': bytes(n), 'one': b'\x01' + bytes(n - 1)})
            for name, point in points.items():
                for c in self.rows(ways=(('ECDHE', group),)):
                    with self.subTest(name):
                        c.start().change(vec(1, point))
                        self.ends(c, {ILLEGAL, DECODE})

    def test_shares_of_13(self):
        for group in CURVES:
            n = SIZES[group]
            keys = {'short': bytes(n - 1), 'long': bytes(2 * n + 2)}
            keys.update({'off the curve': b'\x04' + bytes(2 * n - 1) + b'\x05', 'compressed': b'\x02' + bytes(n)} if group in NIST else {'zero': bytes(n)})
            for name, key in keys.items():
                with self.subTest(name, group=NAMES[group]), Peer(self.port) as p:
                    p.send(record(HANDSHAKE, hello13({GROUPS: vec(2, struct.pack('>H', group)), SHARES: vec(2, share(group, key))})))
                    self.ends(p, {ILLEGAL})
        for group, n in FIELDS.items():
            for name, key in (('0', bytes(n)), ('1', bytes(n - 1) + b'\x01'), ('all ones', b'\xff' * n), ('short', bytes(n - 1)), ('long', bytes(n + 1))):
                with self.subTest(name, group=group), Peer(self.port) as p:
                    p.send(record(HANDSHAKE, hello13({GROUPS: vec(2, struct.pack('>H', group)), SHARES: vec(2, share(group, key))})))
                    self.ends(p, {ILLEGAL})

    def test_what_comes_at_the_wrong_time(self):
        for c in self.rows(ways=(('RSA', 29), ('ECDHE', 29))):
            c.start().record(CCS, b'\x01')
            self.ends(c, {UNEXPECTED})
        for c in self.rows(ways=(('RSA', 29), ('ECDHE', 29))):
            c.start().record(DATA, GET)
            self.ends(c, {UNEXPECTED})
        for c in self.rows(ways=(('ECDHE', 29),)):
            c.connect().record(HANDSHAKE, hello12(version=c.want))
            self.assertEqual(c.end().alerts, [(1, NO_RENEGOTIATION), (2, FAILURE)])
        for c in self.rows(ways=(('ECDHE', 29),)):
            c.connect().record(ALERT, b'\x01\x00')
            self.assertEqual(c.end().alerts, [(1, 0)])


if __name__ == '__main__':
    unittest.main()
