"""tlsold.py - the client's side of TLS 1.0 to 1.2 by hand, with AES-128-CBC-SHA and each way to exchange keys: RSA, DHE, ECDHE of any group.
Each byte of it can be wrong; the rest is as in tlsraw.py.
"""
import hashlib
import hmac
import os
import struct

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tlsraw import CCS, CERTIFICATE, CLIENT_KEY, DONE, FINISHED, GROUPS, HANDSHAKE, SERVER_HELLO, SERVER_KEY, Before13, hello12, message, record, vec

SUITES = {'RSA': b'\x00\x2f', 'DHE': b'\x00\x33', 'ECDHE': b'\xc0\x13'}
NIST = {23: ec.SECP256R1, 24: ec.SECP384R1, 25: ec.SECP521R1}
FFDHE2048 = 256


def p_hash(name, secret, seed, n):
    out, a = b'', seed
    while len(out) < n:
        a = hmac.digest(secret, a, name)
        out += hmac.digest(secret, a + seed, name)
    return out[:n]


class BadMac(Exception):
    """A record of the server's that cannot be read."""


class ClientOld(Before13):
    """What is spoilt on the way is done by whoever calls: start() goes as far as ServerHelloDone, change() to Finished."""

    def __init__(self, port, version=0x0303, exchange='ECDHE', group=29, **kw):
        super().__init__(port, **kw)
        self.want, self.exchange, self.group = version, exchange, group

    # ------------------------------------------------------------------ secrets

    def prf(self, secret, label, seed, n):
        if self.want == 0x0303:
            return p_hash('sha256', secret, label + seed, n)
        half = (len(secret) + 1) // 2
        return bytes(a ^ b for a, b in zip(p_hash('md5', secret[:half], label + seed, n), p_hash('sha1', secret[-half:], label + seed, n)))

    def digest(self):
        if self.want == 0x0303:
            return hashlib.sha256(self.transcript).digest()
        return hashlib.md5(self.transcript).digest() + hashlib.sha1(self.transcript).digest()

    def agree(self, params):
        """(pre-master secret, the body of ClientKeyExchange)"""
        if self.exchange == 'RSA':
            pre = struct.pack('>H', self.want) + os.urandom(46)
            return pre, vec(2, self.rsa(self.pad(pre)))
        if self.exchange == 'DHE':
            p, g, ys = self.numbers(params)
            x = int.from_bytes(os.urandom(32), 'big')
            self.p, n = p, (p.bit_length() + 7) // 8
            return pow(ys, x, p).to_bytes(n, 'big').lstrip(b'\0'), vec(2, pow(g, x, p).to_bytes(n, 'big'))
        peer = params[4:4 + params[3]]
        if self.group in NIST:
            curve = NIST[self.group]()
            key = ec.generate_private_key(curve)
            public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, peer)), vec(1, public)
        private, public = (x448.X448PrivateKey, x448.X448PublicKey) if self.group == 30 else (x25519.X25519PrivateKey, x25519.X25519PublicKey)
        key = private.generate()
        return key.exchange(public.from_public_bytes(peer)), vec(1, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @staticmethod
    def numbers(params):
        found = []
        for _ in range(3):
            n = int.from_bytes(params[:2], 'big')
            found.append(int.from_bytes(params[2:2 + n], 'big'))
            params = params[2 + n:]
        return found

    def pad(self, pre, kind=b'\x00\x02', zero=b'\0'):
        """PKCS #1 v1.5, as large as the key."""
        fill = os.urandom(2 * self.size).replace(b'\0', b'')
        return kind + fill[:self.size - len(kind) - len(zero) - len(pre)] + zero + pre

    def rsa(self, block):
        public = self.server_key.public_numbers()
        return pow(int.from_bytes(block, 'big'), public.e, public.n).to_bytes(self.size, 'big')

    # ------------------------------------------------------------------ the handshake

    def say(self, kind, body):
        m = message(kind, body)
        self.transcript += m
        return m

    def start(self, change=(), **kw):
        suite = SUITES[self.exchange] + b'\x00\xff'
        self.transcript = hello12({GROUPS: vec(2, struct.pack('>H', self.group)), **dict(change)}, suites=suite, version=self.want, **kw)
        self.client_random, params = self.transcript[6:38], b''
        self.record(HANDSHAKE, self.transcript)
        kind = None
        while kind != DONE:
            kind, whole = self.message()
            self.version = self.want
            self.transcript += whole
            if kind == SERVER_HELLO:
                self.server_random, self.chosen = whole[6:38], struct.unpack('>H', whole[4:6])[0]
            elif kind == CERTIFICATE:
                self.server_key = x509.load_der_x509_certificate(whole[10:10 + int.from_bytes(whole[7:10], 'big')]).public_key()
                self.size = (self.server_key.key_size + 7) // 8
            elif kind == SERVER_KEY:
                params = whole[4:]
        self.secret, self.key_body = self.agree(params)
        return self

    def encrypt(self):
        master = self.master = self.prf(self.secret, b'master secret', self.client_random + self.server_random, 48)
        block = self.prf(master, b'key expansion', self.server_random + self.client_random, 104)
        self.mac, peer_mac, self.key, peer_key, iv, peer_iv = (block[a:b] for a, b in ((0, 20), (20, 40), (40, 56), (56, 72), (72, 88), (88, 104)))
        self.wrote, self.last, state = 0, iv, [0, peer_iv]

        def unseal(raw):
            at, data = (16, raw[5:]) if self.want > 0x0301 else (0, raw[5:])
            cipher = Cipher(algorithms.AES(peer_key), modes.CBC(data[:16] if at else state[1])).decryptor()
            plain = cipher.update(data[at:]) + cipher.finalize()
            body = plain[:-plain[-1] - 1]
            text, mac = body[:-20], body[-20:]
            if mac != self.mac_of(peer_mac, state[0], raw[0], text):
                raise BadMac
            state[:] = state[0] + 1, data[-16:]
            return raw[0], text
        self.seal, self.reader = self.sealed_cbc, unseal
        return self

    def mac_of(self, key, seq, kind, text):
        return hmac.digest(key, struct.pack('>QBHH', seq, kind, self.want, len(text)) + text, 'sha1')

    def sealed_cbc(self, kind, text, mac=None, padding=None, cut=0):
        """padding: all its bytes, the length among them; cut: so many bytes are missing at the end."""
        plain = text + (self.mac_of(self.mac, self.wrote, kind, text) if mac is None else mac)
        if padding is None:
            n = 15 - len(plain) % 16
            padding = bytes([n]) * (n + 1)
        iv = os.urandom(16) if self.want > 0x0301 else self.last
        cipher = Cipher(algorithms.AES(self.key), modes.CBC(iv)).encryptor()
        plain += padding
        sealed = cipher.update(plain + bytes(-len(plain) % 16)) + cipher.finalize()
        self.last, self.wrote = sealed[-16:] or self.last, self.wrote + 1
        sealed = (iv if self.want > 0x0301 else b'') + sealed
        return record(kind, sealed[:len(sealed) - cut], self.want)

    def finished(self):
        return self.say(FINISHED, self.prf(self.master, b'client finished', self.digest(), 12))

    def change(self, body=None, finished=None):
        self.record(HANDSHAKE, self.say(CLIENT_KEY, self.key_body if body is None else body))
        self.record(CCS, b'\x01')
        self.encrypt()
        return self.record(HANDSHAKE, self.finished() if finished is None else finished)
