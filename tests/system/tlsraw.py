"""tlsraw.py - TLS by hand, so that each byte of it can be wrong: messages, records, and the client's side of a 1.2 and a 1.3 handshake.

    p = Peer(port)
    p.record(HANDSHAKE, hello())
    p.end()                     # how it ended: alerts, 'eof' | 'reset' | 'open', what came before

    c = Client13(port); c.connect(); c.record(DATA, b'GET / …'); c.data()

Certificates and signatures are not looked at: the server is the one under test.
"""
import collections
import hashlib
import hmac
import os
import socket
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CCS, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24
HELLO, SERVER_HELLO, TICKET, END_OF_EARLY, ENCRYPTED_EXTENSIONS, CERTIFICATE, SERVER_KEY = 1, 2, 4, 5, 8, 11, 12
REQUEST, DONE, VERIFY, CLIENT_KEY, FINISHED, KEY_UPDATE = 13, 14, 15, 16, 20, 24
SNI, MAX_FRAGMENT, STATUS, GROUPS, POINTS, SIGNATURES, BEAT, ALPN, EMS, RECORD_LIMIT = 0, 1, 5, 10, 11, 13, 15, 16, 23, 28
SESSION_TICKET, PSK, EARLY_DATA, VERSIONS, COOKIE, PSK_MODES, SHARES, RENEGOTIATION = 35, 41, 42, 43, 44, 45, 51, 0xff01
X25519, P256 = 29, 23
SUITES12 = b'\xc0\x2b\xc0\x2f\xc0\x0a\xc0\x14'
SUITES13 = b'\x13\x01'

End = collections.namedtuple('End', 'alerts how got')


def vec(size, data):
    return len(data).to_bytes(size, 'big') + data


def message(kind, body, length=None):
    return bytes([kind]) + (len(body) if length is None else length).to_bytes(3, 'big') + body


def record(kind, body, version=0x0301, length=None):
    return struct.pack('>BHH', kind, version, len(body) if length is None else length) + body


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def records(kind, data, size, version=0x0301):
    """A message cut into records of that size."""
    return b''.join(record(kind, part, version) for part in pieces(data, size))


def server_name(*names, kind=0):
    return vec(2, b''.join(bytes([kind]) + vec(2, n) for n in names))


def share(group=X25519, key=None):
    if key is None:
        key = X25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return struct.pack('>H', group) + vec(2, key)


def extensions12():
    return {SNI: server_name(b'localhost'), GROUPS: vec(2, b'\x00\x1d\x00\x17'), POINTS: b'\x01\x00', SIGNATURES: vec(2, b'\x04\x03\x08\x04\x04\x01'),
            RENEGOTIATION: b'\x00'}


def extensions13(key=None):
    ext = extensions12()
    del ext[RENEGOTIATION], ext[POINTS]
    ext.update({VERSIONS: b'\x02\x03\x04', PSK_MODES: b'\x01\x01', SHARES: vec(2, share(key=key))})
    return ext


def pack(ext):
    """Extensions as a dict or as (type, bytes) in order."""
    items = ext.items() if isinstance(ext, dict) else ext
    return b''.join(struct.pack('>H', kind) + vec(2, body) for kind, body in items)


def hello_body(ext=None, version=0x0303, session=b'', suites=None, compression=b'\x00', random=None, raw_extensions=None):
    ext = extensions13() if ext is None else ext
    if suites is None:
        suites = SUITES13 + SUITES12 if VERSIONS in dict(ext) else SUITES12
    tail = pack(ext) if raw_extensions is None else raw_extensions
    return struct.pack('>H', version) + (random or os.urandom(32)) + vec(1, session) + vec(2, suites) + vec(1, compression) + vec(2, tail)


def hello(ext=None, **kw):
    return message(HELLO, hello_body(ext, **kw))


def hello13(change=(), without=(), **kw):
    ext = extensions13()
    ext.update(change)
    return hello({k: v for k, v in ext.items() if k not in without}, **kw)


def hello12(change=(), without=(), **kw):
    ext = extensions12()
    ext.update(change)
    return hello({k: v for k, v in ext.items() if k not in without}, **kw)


def unpack(data):
    ext = {}
    while data:
        kind, n = struct.unpack('>HH', data[:4])
        ext[kind], data = data[4:4 + n], data[4 + n:]
    return ext


class Peer:
    """A connection; clear text until a handshake sets keys."""

    def __init__(self, port, timeout=3):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout, self.buf, self.messages, self.seal, self.open, self.ended = timeout, b'', b'', None, None, None
        self.version = 0x0301

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """What the server no longer takes is no matter here: what it said is."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass
        return self

    def sealed(self, kind, body):
        return self.seal(kind, body) if self.seal else record(kind, body, self.version)

    def record(self, kind, body):
        return self.send(self.sealed(kind, body))

    def fill(self, n, until):
        while len(self.buf) < n and not self.ended:
            self.sock.settimeout(max(until - time.monotonic(), 0.001))
            try:
                data = self.sock.recv(65536)
                self.ended = None if data else 'eof'
                self.buf += data
            except TimeoutError:
                return False
            except ConnectionError:
                self.ended = 'reset'
        return len(self.buf) >= n

    def next(self, timeout=None):
        """The next record (type, text), or None: nothing came, or the end."""
        until = time.monotonic() + (timeout or self.timeout)
        if not self.fill(5, until):
            return None
        kind, _, n = struct.unpack('>BHH', self.buf[:5])
        if not self.fill(5 + n, until):
            return None
        raw, self.buf = self.buf[:5 + n], self.buf[5 + n:]
        if self.open and kind != CCS:
            try:
                return self.open(raw)
            except InvalidTag:                          # an alert from before the keys
                pass
        return kind, raw[5:]

    def message(self):
        """The next handshake message (type, whole bytes); an AssertionError says what came instead."""
        while len(self.messages) < 4 or len(self.messages) < 4 + int.from_bytes(self.messages[1:4], 'big'):
            got = self.next()
            if got and got[0] == CCS:
                continue
            if not got or got[0] != HANDSHAKE:
                raise AssertionError('wanted a handshake message, got %r (%s)' % (got, self.ended))
            self.messages += got[1]
        n = 4 + int.from_bytes(self.messages[1:4], 'big')
        whole, self.messages = self.messages[:n], self.messages[n:]
        return whole[0], whole

    def end(self, timeout=None):
        """Reads until the server ends the connection."""
        alerts, got = [], []
        until = time.monotonic() + (timeout or self.timeout)
        while True:
            r = self.next(max(until - time.monotonic(), 0.001))
            if r is None:
                return End(alerts, self.ended or 'open', got)
            if r[0] == ALERT and len(r[1]) == 2:
                alerts.append(tuple(r[1]))
            else:
                got.append(r)

    def data(self, stop=b'index\n', timeout=None):
        """Application data until its end is seen."""
        text = b''
        until = time.monotonic() + (timeout or self.timeout)
        while stop not in text:
            r = self.next(max(until - time.monotonic(), 0.001))
            if r is None:
                raise AssertionError('wanted %r, got %r (%s)' % (stop, text, self.ended))
            if r[0] == DATA:
                text += r[1]
            elif r[0] == ALERT:
                raise AssertionError('alert %r' % (tuple(r[1]),))
        return text

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self


def new_key():
    key = X25519PrivateKey.generate()
    return key, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Before13(Peer):
    """The end of a handshake, as it is up to TLS 1.2."""

    def done(self):
        """The server's ChangeCipherSpec and Finished."""
        while True:
            got = self.next()
            if got is None or got[0] == ALERT:
                raise AssertionError('no ChangeCipherSpec: %r' % (got,))
            if got[0] == CCS:
                break
        self.open = self.reader
        if self.message()[0] != FINISHED:
            raise AssertionError('no Finished')
        return self

    def connect(self, **kw):
        return self.start(**kw).change().done()


class Client12(Before13):
    """ECDHE with X25519, AES-128-GCM, SHA-256."""

    def prf(self, secret, label, seed, n):
        seed = label + seed
        out, a = b'', seed
        while len(out) < n:
            a = hmac.digest(secret, a, 'sha256')
            out += hmac.digest(secret, a + seed, 'sha256')
        return out[:n]

    def say(self, kind, body):
        """A message that belongs to the transcript."""
        m = message(kind, body)
        self.transcript += m
        return m

    def start(self, change=(), **kw):
        """As far as the server's ServerHelloDone."""
        self.transcript = hello12(change, suites=b'\xc0\x2b', **kw)
        self.client_random = self.transcript[6:38]
        self.record(HANDSHAKE, self.transcript)
        self.version, kind = 0x0303, None
        while kind != DONE:
            kind, whole = self.message()
            self.transcript += whole
            if kind == SERVER_HELLO:
                self.server_random, self.server_ext = whole[6:38], unpack(whole[4 + 34 + 1 + whole[38] + 3:][2:])
            elif kind == SERVER_KEY:
                public = whole[8:8 + whole[7]]
        key, self.public = new_key()
        shared = key.exchange(X25519PublicKey.from_public_bytes(public))
        self.master = self.prf(shared, b'master secret', self.client_random + self.server_random, 48)
        block = self.prf(self.master, b'key expansion', self.server_random + self.client_random, 40)
        self.keys = (block[:16], block[32:36]), (block[16:32], block[36:40])
        return self

    def client_key(self):
        return self.say(CLIENT_KEY, vec(1, self.public))

    def finished(self):
        return self.say(FINISHED, self.prf(self.master, b'client finished', hashlib.sha256(self.transcript).digest(), 12))

    def encrypt(self):
        (key, salt), (peer_key, peer_salt) = self.keys
        aead, peer, self.wrote, self.read = AESGCM(key), AESGCM(peer_key), 0, 0

        def seal(kind, body, version=0x0303):
            nonce, self.wrote = self.wrote.to_bytes(8, 'big'), self.wrote + 1
            return record(kind, nonce + aead.encrypt(salt + nonce, body, nonce + struct.pack('>BHH', kind, version, len(body))), version)

        def unseal(raw):
            seq = self.read.to_bytes(8, 'big')
            text = peer.decrypt(peer_salt + raw[5:13], raw[13:], seq + raw[:3] + struct.pack('>H', len(raw) - 5 - 24))
            self.read += 1
            return raw[0], text
        self.seal, self.reader = seal, unseal
        return self

    def change(self, finished=None):
        """ClientKeyExchange, ChangeCipherSpec, Finished."""
        self.record(HANDSHAKE, self.client_key())
        self.record(CCS, b'\x01')
        self.encrypt()
        self.record(HANDSHAKE, self.finished() if finished is None else finished)
        return self


class Client13(Peer):
    """X25519, TLS_AES_128_GCM_SHA256."""

    def expand(self, secret, label, context=b'', n=32):
        info = struct.pack('>H', n) + vec(1, b'tls13 ' + label) + vec(1, context)
        out, block, i = b'', b'', 1
        while len(out) < n:
            block = hmac.digest(secret, block + info + bytes([i]), 'sha256')
            out, i = out + block, i + 1
        return out[:n]

    def digest(self):
        return hashlib.sha256(self.transcript).digest()

    def set_write(self, secret):
        key, iv, seq = AESGCM(self.expand(secret, b'key', n=16)), int.from_bytes(self.expand(secret, b'iv', n=12), 'big'), iter(range(1 << 30))

        def seal(kind, body, outer=DATA, padding=0, version=0x0303, inner=None):
            plain = body + bytes([kind]) + bytes(padding) if inner is None else inner
            head = struct.pack('>BHH', outer, version, len(plain) + 16)
            return head + key.encrypt((iv ^ next(seq)).to_bytes(12, 'big'), plain, head)
        self.write_secret, self.seal = secret, seal

    def set_read(self, secret):
        key, iv = AESGCM(self.expand(secret, b'key', n=16)), int.from_bytes(self.expand(secret, b'iv', n=12), 'big')
        state = [0]

        def unseal(raw):
            plain = key.decrypt((iv ^ state[0]).to_bytes(12, 'big'), raw[5:], raw[:5]).rstrip(b'\0')
            state[0] += 1
            return plain[-1], plain[:-1]
        self.read_secret, self.open = secret, unseal

    def start(self, change=(), session=b'', **kw):
        """As far as the server's Finished: what we send now is under the handshake's keys."""
        key, public = new_key()
        self.transcript = hello13({SHARES: vec(2, share(key=public)), **dict(change)}, suites=SUITES13, session=session, **kw)
        self.record(HANDSHAKE, self.transcript)
        self.version = 0x0303
        kind, whole = self.message()
        if kind != SERVER_HELLO:
            raise AssertionError('no ServerHello')
        self.transcript += whole
        ext = unpack(whole[4 + 34 + 1 + whole[38] + 3:][2:])
        shared = key.exchange(X25519PublicKey.from_public_bytes(ext[SHARES][4:]))
        early = hmac.digest(bytes(32), bytes(32), 'sha256')
        secret = hmac.digest(self.expand(early, b'derived', hashlib.sha256(b'').digest()), shared, 'sha256')
        self.client = self.expand(secret, b'c hs traffic', self.digest())
        self.set_read(self.expand(secret, b's hs traffic', self.digest()))
        self.master = hmac.digest(self.expand(secret, b'derived', hashlib.sha256(b'').digest()), bytes(32), 'sha256')
        self.server_ext, kind = ext, None
        while kind != FINISHED:
            kind, whole = self.message()
            self.transcript += whole
            if kind == ENCRYPTED_EXTENSIONS:
                ext.update(unpack(whole[6:]))
        self.set_write(self.client)
        self.set_read(self.expand(self.master, b's ap traffic', self.digest()))
        return self

    def finished(self):
        return message(FINISHED, hmac.digest(self.expand(self.client, b'finished'), self.digest(), 'sha256'))

    def application(self):
        self.set_write(self.expand(self.master, b'c ap traffic', self.digest()))
        return self

    def done(self, finished=None):
        self.record(HANDSHAKE, self.finished() if finished is None else finished)
        return self.application()

    def update_write(self):
        self.set_write(self.expand(self.write_secret, b'traffic upd'))

    def update_read(self):
        self.set_read(self.expand(self.read_secret, b'traffic upd'))

    def connect(self, **kw):
        return self.start(**kw).done()
