"""What TLS must not fall for: each row sends bytes that no honest client sends, and says which alert the RFCs ask for.

After every row the connection has ended in order (the alert was readable, no reset, no waiting for a time limit), and after all of them the
same children live, with as many descriptors and no more memory. Where GnuTLS answers something else, LIBRARY says what, and
docs/tls-robustness.md must name it.
"""
import os
import re
import struct
import time
import unittest

from server import SANITIZED, SSL_ON, ServerTest, alive, status_of, wait_for
from tlsraw import (ALERT, ALPN, BEAT, CCS, CERTIFICATE, CLIENT_KEY, DATA, EARLY_DATA, EMS, END_OF_EARLY, FINISHED, GROUPS, HANDSHAKE, HEARTBEAT, HELLO,
                    KEY_UPDATE, MAX_FRAGMENT, P256, POINTS, PSK, PSK_MODES, RECORD_LIMIT, RENEGOTIATION, SERVER_HELLO, SESSION_TICKET, SHARES, SIGNATURES, SNI,
                    STATUS, SUITES12, SUITES13, TICKET, VERIFY, VERSIONS, X25519, Client12, Client13, Peer, extensions12, extensions13, hello, hello12, hello13,
                    hello_body, message, new_key, pack, record, records, server_name, share, vec)

HOST = ('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@\nListen 127.0.0.1:@TLS2@\nStartServers 2\nMinSpareServers 1\nMaxSpareServers 4\nRequestReadTimeout handshake=20\n'
        '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n<VirtualHost *:@TLS2@>\n' + SSL_ON + 'SSLProtocol all +TLSv1 +TLSv1.1\nSSLCipherSuite ALL:@SECLEVEL=0\n</VirtualHost>\n')
GET = b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
CLOSE_NOTIFY, UNEXPECTED, BAD_MAC, OVERFLOW, FAILURE, ILLEGAL, DECODE, DECRYPT = 0, 10, 20, 22, 40, 47, 50, 51
VERSION, FALLBACK, NO_RENEGOTIATION, MISSING, UNSUPPORTED, NO_PROTOCOL = 70, 86, 100, 109, 110, 120

# What GnuTLS 3.7.9 does where the RFCs ask for an alert, or for another: (fatal alert or None, how the connection is then).
LIBRARY = {
    'ChangeCipherSpec within the hello': (None, 'open'),
    'ChangeCipherSpec of 2': (None, 'open'),
    'alert of level 9': (None, 'open'),
    'empty handshake record behind the handshake': (None, 'open'),
    'empty handshake record, 1.3': (None, 'open'),
    'alert of 4 bytes, 1.3': (None, 'eof'),
    'record without a type': (BAD_MAC, 'eof'),
    'record without a type or padding': (BAD_MAC, 'eof'),
    'KeyUpdate with more behind it': (None, 'open'),
    'second hello with other suites': (None, 'open'),
}


# ---------------------------------------------------------------------------------------------- rows

def cut(body, at, by):
    """A byte of a hello's body changed: what a length says is wrong by so much."""
    return body[:at] + bytes([(body[at] + by) % 256]) + body[at + 1:]


def lying_lengths():
    """Every length inside a hello, one too small and one too large."""
    session, base = bytes(range(32)), extensions13()
    body = hello_body(base, session=session)
    places = {'session_id': 34, 'cipher_suites': 68, 'compression_methods': 35 + 32 + 2 + len(SUITES13 + SUITES12),
              'extensions': 35 + 32 + 2 + len(SUITES13 + SUITES12) + 3}
    at = places['extensions'] + 1
    for kind, value in base.items():
        places['extension %d' % kind] = at + 3
        inner = {SNI: [1, 4], GROUPS: [1], SIGNATURES: [1], VERSIONS: [0], PSK_MODES: [0], SHARES: [1, 5]}[kind]
        for n, offset in enumerate(inner):
            places['extension %d, inner %d' % (kind, n + 1)] = at + 4 + offset
        at += 4 + len(value)
    for name, place in places.items():
        for by in (-1, 1):
            if name == 'extension 51, inner 2':
                yield 'length of %s %+d' % (name, by), record(HANDSHAKE, message(HELLO, cut(body, place, by))), {DECODE, ILLEGAL}
                continue
            yield 'length of %s %+d' % (name, by), record(HANDSHAKE, message(HELLO, cut(body, place, by))), {DECODE}


def clear(kind, body, **kw):
    return record(kind, body, **kw)


def H(message_bytes, **kw):
    return record(HANDSHAKE, message_bytes, **kw)


SSL2 = bytes([0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16]) + bytes(range(1, 22)) + os.urandom(16)
BIG = 16384
FILL = 0xfafa           # an extension that nobody knows

# (name, bytes of the first flight, alerts) of a connection
FIRST = [
    ('hello of SSL 2', SSL2, {VERSION}),
    ('hello of SSL 2 that asks for SSL 2', SSL2[:3] + b'\x00\x02' + SSL2[5:], {VERSION}),
    ('hello of SSL 3', H(hello12(version=0x0300), version=0x0300), {VERSION}),
    ('hello of version 2.0', H(hello12(version=0x0200)), {VERSION}),
    ('record of version 2.0', H(hello13(), version=0x0200), {VERSION, UNEXPECTED, DECODE}),
    ('record of version 4.5', H(hello13(), version=0x0405), {VERSION, UNEXPECTED, DECODE}),
    ('record type 25', clear(25, hello13()), {UNEXPECTED}),
    ('record type 0', clear(0, hello13()), {UNEXPECTED}),
    ('record type 255', clear(255, hello13()), {UNEXPECTED, VERSION}),
    ('heartbeat first', clear(HEARTBEAT, b'\x01\x00\x03abc' + bytes(16)), {UNEXPECTED}),
    ('data first', clear(DATA, GET), {UNEXPECTED}),
    ('ChangeCipherSpec first', clear(CCS, b'\x01'), {UNEXPECTED}),
    ('ChangeCipherSpec, then a hello', clear(CCS, b'\x01') + H(hello13()), {UNEXPECTED}),
    ('warning first', clear(ALERT, b'\x01\x5a') + H(hello13()), {UNEXPECTED}),
    ('empty handshake record first', H(b''), {UNEXPECTED}),
    ('empty handshake record, then a hello', H(b'') + H(hello13()), {UNEXPECTED}),
    ('empty handshake record within the hello', H(hello13()[:20]) + H(b'') + H(hello13()[20:]), {UNEXPECTED}),
    ('empty data record within the hello', H(hello13()[:20]) + clear(DATA, b'') + H(hello13()[20:]), {UNEXPECTED}),
    ('data within the hello', H(hello13()[:20]) + clear(DATA, b'x') + H(hello13()[20:]), {UNEXPECTED}),
    ('ChangeCipherSpec within the hello', H(hello13()[:20]) + clear(CCS, b'\x01') + H(hello13()[20:]), {UNEXPECTED}),
    ('record of 2^14+1 bytes', H(hello13({FILL: bytes(BIG)})[:BIG + 1]) + b'x', {OVERFLOW}),
    ('record of 2^14+257 bytes', H(hello13({FILL: bytes(BIG + 1000)})[:BIG + 257]) + b'x', {OVERFLOW}),
    ('record that says 65535 bytes', clear(HANDSHAKE, hello13(), length=65535), {OVERFLOW}),
    ('message type 0 first', H(message(0, b'')), {UNEXPECTED}),
    ('message type 99 first', H(message(99, bytes(50))), {UNEXPECTED}),
    ('ServerHello first', H(message(SERVER_HELLO, hello_body()[:80])), {UNEXPECTED}),
    ('Finished first', H(message(FINISHED, bytes(12))), {UNEXPECTED}),
    ('ClientKeyExchange first', H(message(CLIENT_KEY, vec(1, bytes(32)))), {UNEXPECTED}),
    ('KeyUpdate first', H(message(KEY_UPDATE, b'\x00')), {UNEXPECTED}),
    ('empty hello', H(message(HELLO, b'')), {DECODE}),
    ('hello of 37 bytes', H(message(HELLO, hello_body()[:37])), {DECODE}),
    ('hello cut within its extensions', H(message(HELLO, hello_body()[:-3])), {DECODE}),
    ('hello with a byte behind its extensions', H(message(HELLO, hello_body() + b'\x00')), {DECODE}),
    ('hello that says 128 KiB', H(message(HELLO, hello_body(), 131072)), {DECODE, ILLEGAL, OVERFLOW}),
    ('hello of 128 KiB', records(HANDSHAKE, message(HELLO, hello_body({**extensions13(), FILL: bytes(65000)}, session=b'') + bytes(66000)), BIG), {DECODE, ILLEGAL}),
    ('two hellos in one record', H(hello12() + hello12()), {UNEXPECTED}),
    ('two hellos', H(hello12()) + H(hello12(), version=0x0303), {UNEXPECTED}),
    ('session_id of 33 bytes', H(hello13(session=bytes(33))), {DECODE, ILLEGAL}),
    ('no suites', H(hello13(suites=b'')), {DECODE, ILLEGAL, FAILURE}),
    ('odd suites', H(hello13(suites=SUITES13 + b'\x00')), {DECODE}),
    ('unknown suites only', H(hello13(suites=b'\xfa\xfa\x0a\x0a')), {FAILURE}),
    ('no compression', H(hello13(compression=b'')), {DECODE}),
    ('compression without null, 1.3', H(hello13(compression=b'\x01')), {ILLEGAL}),
    ('compression without null, 1.2', H(hello12(compression=b'\x01')), {ILLEGAL, DECODE, FAILURE}),
    ('compression beside null in 1.3', H(hello13(compression=b'\x01\x00')), {ILLEGAL}),
    ('fallback from 1.3', H(hello12(suites=SUITES12 + b'\x56\x00')), {FALLBACK}),
    ('fallback to 1.1', H(hello12(suites=SUITES12 + b'\x56\x00', version=0x0302)), {FALLBACK, VERSION}),
    ('duplicate supported_versions', H(hello(list(extensions13().items()) + [(VERSIONS, b'\x02\x03\x04')])), {ILLEGAL}),
    ('duplicate server_name', H(hello(list(extensions12().items()) + [(SNI, server_name(b'localhost'))])), {ILLEGAL}),
    ('duplicate unknown extension', H(hello(list(extensions13().items()) + [(FILL, b''), (FILL, b'')])), {ILLEGAL}),
    ('duplicate renegotiation_info', H(hello(list(extensions12().items()) + [(RENEGOTIATION, b'\x00')])), {ILLEGAL}),
    ('renegotiation_info with a value', H(hello12({RENEGOTIATION: b'\x0c' + bytes(12)})), {FAILURE}),
    ('protocols without ours', H(hello13({ALPN: vec(2, vec(1, b'spdy/3'))})), {NO_PROTOCOL}),
    ('protocols without ours, 1.2', H(hello12({ALPN: vec(2, vec(1, b'spdy/3'))})), {NO_PROTOCOL}),
    ('protocol without a name', H(hello13({ALPN: vec(2, vec(1, b'') + vec(1, b'http/1.1'))})), {DECODE, ILLEGAL}),
    ('no protocols', H(hello13({ALPN: vec(2, b'')})), {DECODE, ILLEGAL}),
    ('protocol longer than its list', H(hello13({ALPN: vec(2, b'\x20http/1.1')})), {DECODE}),
    ('server_name without names', H(hello13({SNI: vec(2, b'')})), {DECODE, ILLEGAL}),
    ('server_name that is empty', H(hello13({SNI: server_name(b'')})), {DECODE, ILLEGAL}),
    ('server_name: IPv6', H(hello13({SNI: server_name(b'::1')})), {ILLEGAL, DECODE, 112}),
    ('server_name: a NUL', H(hello13({SNI: server_name(b'local\x00host')})), {ILLEGAL, DECODE, 112}),
    ('server_name: UTF-8', H(hello13({SNI: server_name('bücher.test'.encode())})), {ILLEGAL, DECODE, 112}),
    ('server_name: a path', H(hello13({SNI: server_name(b'../../etc/passwd')})), {ILLEGAL, DECODE, 112}),
    ('extension server_name without content', H(hello13({SNI: b''})), {DECODE}),
    ('supported_versions without versions', H(hello13({VERSIONS: b'\x00'})), {DECODE}),
    ('supported_versions of 3 bytes', H(hello13({VERSIONS: b'\x03\x03\x04\x03'})), {DECODE}),
    ('supported_versions of unknown ones', H(hello13({VERSIONS: b'\x04\x7f\x1c\x0a\x0a'})), {VERSION}),
    ('supported_versions of SSL 3', H(hello13({VERSIONS: b'\x02\x03\x00'})), {VERSION}),
    ('supported_groups without groups', H(hello13({GROUPS: vec(2, b'')})), {DECODE}),
    ('supported_groups of 3 bytes', H(hello13({GROUPS: vec(2, b'\x00\x1d\x00')})), {DECODE}),
    ('supported_groups of unknown ones', H(hello13({GROUPS: vec(2, b'\xfa\xfa'), SHARES: vec(2, share(0xfafa, bytes(32)))})), {FAILURE}),
    ('signature_algorithms without any', H(hello13({SIGNATURES: vec(2, b'')})), {DECODE}),
    ('signature_algorithms of 3 bytes', H(hello13({SIGNATURES: vec(2, b'\x04\x03\x08')})), {DECODE}),
    ('signature_algorithms of unknown ones', H(hello13({SIGNATURES: vec(2, b'\xfa\xfa')})), {FAILURE}),
    ('1.3 without supported_groups', H(hello13(without=[GROUPS])), {MISSING}),
    ('1.3 without key_share', H(hello13(without=[SHARES])), {MISSING}),
    ('1.3 without signature_algorithms', H(hello13(without=[SIGNATURES])), {MISSING}),
    ('key_share twice of one group', H(hello13({SHARES: vec(2, share() + share())})), {ILLEGAL}),
    ('key_share of 31 bytes', H(hello13({SHARES: vec(2, share(key=bytes(31)))})), {ILLEGAL}),
    ('key_share of 33 bytes', H(hello13({SHARES: vec(2, share(key=bytes(33)))})), {ILLEGAL}),
    ('key_share without a key', H(hello13({SHARES: vec(2, share(key=b''))})), {DECODE, ILLEGAL}),
    ('key_share that is zero', H(hello13({SHARES: vec(2, share(key=bytes(32)))})), {ILLEGAL}),
    ('key_share off the curve', H(hello13({SHARES: vec(2, share(P256, b'\x04' + bytes(63) + b'\x05'))})), {ILLEGAL}),
    ('key_share of P-256, compressed', H(hello13({SHARES: vec(2, share(P256, b'\x02' + bytes(32)))})), {ILLEGAL}),
    ('psk not last', H(hello([(PSK, vec(2, vec(2, bytes(32)) + bytes(4)) + vec(2, vec(1, bytes(32))))] + list(extensions13().items()))), {ILLEGAL}),
    ('psk without modes', H(hello13({PSK: vec(2, vec(2, bytes(32)) + bytes(4)) + vec(2, vec(1, bytes(32)))}, without=[PSK_MODES])), {MISSING}),
    ('psk without binders', H(hello13({PSK: vec(2, vec(2, bytes(32)) + bytes(4))})), {DECODE}),
    ('psk without identities', H(hello13({PSK: vec(2, b'') + vec(2, vec(1, bytes(32)))})), {DECODE, ILLEGAL}),
    ('psk_key_exchange_modes without modes', H(hello13({PSK_MODES: b'\x00'})), {DECODE}),
    ('max_fragment_length 5', H(hello12({MAX_FRAGMENT: b'\x05'})), {ILLEGAL}),
    ('max_fragment_length of 2 bytes', H(hello12({MAX_FRAGMENT: b'\x01\x01'})), {DECODE, ILLEGAL}),
    ('record_size_limit 63', H(hello13({RECORD_LIMIT: b'\x00\x3f'})), {ILLEGAL}),
    ('record_size_limit of 1 byte', H(hello13({RECORD_LIMIT: b'\x40'})), {DECODE}),
    ('point formats without uncompressed', H(hello12({POINTS: b'\x01\x01'})), {ILLEGAL}),
    ('point formats without any', H(hello12({POINTS: b'\x00'})), {DECODE, ILLEGAL}),
    ('extended_master_secret with a value', H(hello12({EMS: b'x'})), {DECODE, ILLEGAL}),
    ('status_request cut', H(hello13({STATUS: b'\x01\x00'})), {DECODE}),
] + list(lying_lengths())

# (name, bytes, what must come: the type of the first message)
SERVED = [
    ('hello in records of one byte', records(HANDSHAKE, hello13(), 1)),
    ('hello of 1.2 in records of one byte', records(HANDSHAKE, hello12(), 1)),
    ('hello of 40000 bytes', records(HANDSHAKE, hello13({FILL: bytes(40000)}), BIG)),
    ('record of version 3.255', H(hello13(), version=0x03ff)),
    ('hello of version 3.4 without a list', H(hello12(version=0x0304))),
    ('hello of version 4.5', H(hello12(version=0x0405))),
    ('supported_versions with 1.2 alone', H(hello13({VERSIONS: b'\x02\x03\x03'}))),
    ('supported_versions with unknown ones first', H(hello13({VERSIONS: b'\x06\x0a\x0a\x7f\x1c\x03\x04'}))),
    ('no server_name', H(hello13(without=[SNI]))),
    ('server_name: an address', H(hello13({SNI: server_name(b'127.0.0.1')}))),
    ('server_name: 300 bytes', H(hello13({SNI: server_name(b'a' * 300)}))),
    ('server_name: a dot at the end', H(hello13({SNI: server_name(b'localhost.')}))),
    ('server_name: capitals', H(hello13({SNI: server_name(b'LOCALHOST')}))),
    ('server_name: unknown to us', H(hello13({SNI: server_name(b'nobody.test')}))),
    ('server_name: of type 7', H(hello13({SNI: server_name(b'localhost', kind=7)}))),
    ('key_share without shares', H(hello13({SHARES: vec(2, b'')}))),
    ('key_share of an unknown group', H(hello13({SHARES: vec(2, share(0xfafa, b'x'))}))),
    ('key_share of an unknown group first', H(hello13({SHARES: vec(2, share(0xfafa, b'x') + share())}))),
    ('heartbeat extension', H(hello13({BEAT: b'\x01'}))),
    ('ticket of junk', H(hello12({SESSION_TICKET: bytes(200)}))),
    ('ticket of junk, 3 bytes', H(hello12({SESSION_TICKET: bytes(3)}))),
    ('psk of junk', H(hello13({PSK: vec(2, vec(2, bytes(200)) + bytes(4)) + vec(2, vec(1, bytes(32)))}))),
    ('max_fragment_length 1', H(hello12({MAX_FRAGMENT: b'\x01'}))),
    ('record_size_limit 64', H(hello13({RECORD_LIMIT: b'\x00\x40'}))),
    ('protocols with ours last', H(hello13({ALPN: vec(2, vec(1, b'h2x') + vec(1, b'http/1.1'))}))),
    ('protocol http/1.0', H(hello13({ALPN: vec(2, vec(1, b'http/1.0'))}))),
    ('SCSV of a fallback at the highest version', H(hello13(suites=SUITES13 + b'\x56\x00'))),
]


# ---------------------------------------------------------------------------------------------- scripts: (name, class, function, alerts)

def change_early(c):
    c.start()
    c.record(CCS, b'\x01')


def change_twice(c):
    c.start()
    c.record(HANDSHAKE, c.client_key())
    c.record(CCS, b'\x01')
    c.record(CCS, b'\x01')


def change_of(value):
    def f(c):
        c.start()
        c.record(HANDSHAKE, c.client_key())
        c.record(CCS, value)
    return f


def finished_clear(c):
    c.start()
    c.record(HANDSHAKE, c.client_key())
    c.record(HANDSHAKE, c.finished())


def finished_wrong(c):
    c.start().change(message(FINISHED, bytes(12)))


def finished_long(c):
    c.start().change(message(FINISHED, bytes(13)))


def key_of(body):
    def f(c):
        c.start()
        c.record(HANDSHAKE, message(CLIENT_KEY, body))
        c.record(CCS, b'\x01')
        c.encrypt().record(HANDSHAKE, c.finished())
    return f


def key_twice(c):
    c.start()
    key = c.client_key()
    c.record(HANDSHAKE, key)
    c.record(HANDSHAKE, key)


def started(kind, body):
    """A record in the middle of the handshake."""
    def f(c):
        c.start()
        c.record(kind, body)
    return f


def started_raw(data):
    def f(c):
        c.start()
        c.send(data)
    return f


def after(kind, body, times=1):
    """Records behind the handshake."""
    def f(c):
        c.connect()
        for _ in range(times):
            c.record(kind, body)
    return f


def after_raw(data):
    def f(c):
        c.connect()
        c.send(data)
    return f


def spoilt(kind, body, byte=-1):
    def f(c):
        c.connect()
        raw = bytearray(c.sealed(kind, body))
        raw[byte] ^= 1
        c.send(bytes(raw))
    return f


def spoilt_finished(c):
    c.start()
    if isinstance(c, Client12):
        c.record(HANDSHAKE, c.client_key())
        c.record(CCS, b'\x01')
        c.encrypt()
    raw = bytearray(c.sealed(HANDSHAKE, c.finished()))
    raw[-1] ^= 1
    c.send(bytes(raw))


def inner(**kw):
    def f(c):
        c.connect()
        c.send(c.seal(DATA, b'', **kw))
    return f


def wrong_13(body):
    def f(c):
        c.start()
        c.record(HANDSHAKE, body(c) if callable(body) else body)
    return f


def update_flood(value):
    def f(c):
        c.connect()
        for _ in range(2000):
            c.record(HANDSHAKE, message(KEY_UPDATE, bytes([value])))
            c.update_write()
    return f


def update_with_more(c):
    c.connect()
    c.record(HANDSHAKE, message(KEY_UPDATE, b'\x00') + message(KEY_UPDATE, b'\x00'))


def retry(second):
    """The second hello of two."""
    def f(c):
        first = hello13({SHARES: vec(2, b'')}, suites=SUITES13)
        c.record(HANDSHAKE, first)
        if c.message()[0] != SERVER_HELLO:
            raise AssertionError('no retry asked for')
        c.record(HANDSHAKE, second(first))
    return f


def split_by(kind, body):
    """A message of the handshake in two records, with another between."""
    def f(c):
        c.start()
        m = c.client_key() if isinstance(c, Client12) else c.finished()
        c.record(HANDSHAKE, m[:10])
        c.record(kind, body)
        c.record(HANDSHAKE, m[10:])
    return f


def identity_of(port):
    """A ticket as a 1.3 client presents it: with its age."""
    with Client13(port) as c:
        c.connect()
        while True:
            kind, text = c.next()
            if kind == HANDSHAKE and text[0] == TICKET:
                n = 9 + text[12]
                at = 4 + n
                size = int.from_bytes(text[at:at + 2], 'big')
                return vec(2, text[at + 2:at + 2 + size]) + text[8:12]          # an age of nothing


def wrong_binder(c):
    identity = identity_of(c.sock.getpeername()[1])
    c.record(HANDSHAKE, hello13({PSK: vec(2, identity) + vec(2, vec(1, bytes(32)))}, suites=SUITES13))


def binders_missing(c):
    identity = identity_of(c.sock.getpeername()[1])
    c.record(HANDSHAKE, hello13({PSK: vec(2, identity * 2) + vec(2, vec(1, bytes(32)))}, suites=SUITES13))


WARNING = b'\x01\x5a'                   # user_canceled
SCRIPTS = [
    ('ChangeCipherSpec before the key', Client12, change_early, {UNEXPECTED}),
    ('ChangeCipherSpec twice', Client12, change_twice, {UNEXPECTED, BAD_MAC}),
    ('ChangeCipherSpec of 2', Client12, change_of(b'\x02'), {UNEXPECTED, DECODE, ILLEGAL}),
    ('ChangeCipherSpec of 2 bytes', Client12, change_of(b'\x01\x01'), {UNEXPECTED, DECODE, ILLEGAL}),
    ('ChangeCipherSpec of no bytes', Client12, change_of(b''), {UNEXPECTED, DECODE, ILLEGAL}),
    ('Finished without ChangeCipherSpec', Client12, finished_clear, {UNEXPECTED}),
    ('Finished that is wrong', Client12, finished_wrong, {DECRYPT}),
    ('Finished of 13 bytes', Client12, finished_long, {DECODE, DECRYPT}),
    ('Finished with a bad MAC', Client12, spoilt_finished, {BAD_MAC}),
    ('ClientKeyExchange without content', Client12, key_of(b''), {DECODE}),
    ('ClientKeyExchange of no key', Client12, key_of(b'\x00'), {DECODE, ILLEGAL}),
    ('ClientKeyExchange with a byte behind it', Client12, key_of(vec(1, new_key()[1]) + b'x'), {DECODE}),
    ('ClientKeyExchange cut', Client12, key_of(b'\x20' + bytes(31)), {DECODE}),
    ('ClientKeyExchange of 31 bytes', Client12, key_of(vec(1, bytes(31))), {ILLEGAL, DECODE}),
    ('ClientKeyExchange that is zero', Client12, key_of(vec(1, bytes(32))), {ILLEGAL, FAILURE}),
    ('ClientKeyExchange twice', Client12, key_twice, {UNEXPECTED}),
    ('Certificate that nobody asked for', Client12, started(HANDSHAKE, message(CERTIFICATE, bytes(3))), {UNEXPECTED}),
    ('CertificateVerify first', Client12, started(HANDSHAKE, message(VERIFY, bytes(70))), {UNEXPECTED}),
    ('message type 99 in the handshake', Client12, started(HANDSHAKE, message(99, b'')), {UNEXPECTED}),
    ('hello in the handshake', Client12, started(HANDSHAKE, hello12()), {UNEXPECTED}),
    ('data in the handshake', Client12, started(DATA, GET), {UNEXPECTED}),
    ('heartbeat in the handshake', Client12, started(HEARTBEAT, b'\x01\x00\x03abc' + bytes(16)), {UNEXPECTED}),
    ('record type 77 in the handshake', Client12, started(77, b'x'), {UNEXPECTED}),
    ('empty handshake record in the handshake', Client12, started(HANDSHAKE, b''), {UNEXPECTED}),
    ('alert of one byte', Client12, started(ALERT, b'\x01'), {UNEXPECTED, DECODE}),
    ('alert of no bytes', Client12, started(ALERT, b''), {UNEXPECTED, DECODE}),
    ('alert of level 9', Client12, started(ALERT, b'\x09\x5a'), {ILLEGAL, DECODE, UNEXPECTED}),
    ('record of 65535 bytes in the handshake', Client12, started_raw(record(HANDSHAKE, b'', 0x0303, 65535)), {OVERFLOW}),
    ('record of SSL 2 in the handshake', Client12, started_raw(SSL2), {UNEXPECTED, DECODE, VERSION}),
    ('record of another version in the handshake', Client12, started_raw(record(HANDSHAKE, message(CLIENT_KEY, vec(1, bytes(32))), 0x0200)), {VERSION, UNEXPECTED}),
    ('data within a message', Client12, split_by(DATA, b'x'), {UNEXPECTED}),
    ('ChangeCipherSpec within a message', Client12, split_by(CCS, b'\x01'), {UNEXPECTED}),
    ('flood of warnings in the handshake', Client12, started_raw(record(ALERT, WARNING, 0x0303) * 3000), {UNEXPECTED}),
    ('flood of warnings', Client12, after(ALERT, WARNING, 3000), {UNEXPECTED}),
    ('flood of empty records', Client12, after(DATA, b'', 3000), {UNEXPECTED}),
    ('bad MAC', Client12, spoilt(DATA, GET), {BAD_MAC}),
    ('bad nonce', Client12, spoilt(DATA, GET, 6), {BAD_MAC}),
    ('record shorter than its MAC', Client12, after_raw(record(DATA, bytes(10), 0x0303)), {BAD_MAC, DECODE}),
    ('empty record in clear', Client12, after_raw(record(DATA, b'', 0x0303)), {BAD_MAC, DECODE}),
    ('record in clear', Client12, after_raw(record(DATA, GET, 0x0303)), {BAD_MAC}),
    ('record of 2^14+2049 bytes', Client12, after_raw(record(DATA, bytes(BIG + 2049), 0x0303)), {OVERFLOW}),
    ('record of 2^14+1 bytes of text', Client12, after(DATA, bytes(BIG + 1)), {OVERFLOW}),
    ('ChangeCipherSpec behind the handshake', Client12, after(CCS, b'\x01'), {UNEXPECTED}),
    ('heartbeat behind the handshake', Client12, after(HEARTBEAT, b'\x01\x00\x03abc' + bytes(16)), {UNEXPECTED}),
    ('record type 77', Client12, after(77, b'x'), {UNEXPECTED}),
    ('Finished again', Client12, after(HANDSHAKE, message(FINISHED, bytes(12))), {UNEXPECTED}),
    ('KeyUpdate in 1.2', Client12, after(HANDSHAKE, message(KEY_UPDATE, b'\x00')), {UNEXPECTED}),
    ('HelloRequest from the client', Client12, after(HANDSHAKE, message(0, b'')), {UNEXPECTED}),
    ('empty handshake record behind the handshake', Client12, after(HANDSHAKE, b''), {UNEXPECTED}),
    ('new handshake', Client12, after(HANDSHAKE, hello12()), {FAILURE}),

    ('Finished that is wrong, 1.3', Client13, wrong_13(message(FINISHED, bytes(32))), {DECRYPT}),
    ('Finished of 31 bytes, 1.3', Client13, wrong_13(message(FINISHED, bytes(31))), {DECODE}),
    ('Finished of 33 bytes, 1.3', Client13, wrong_13(lambda c: message(FINISHED, c.finished()[4:] + b'x')), {DECODE}),
    ('Finished with a byte behind it', Client13, wrong_13(lambda c: c.finished() + b'x'), {UNEXPECTED, DECODE}),
    ('Finished with a bad MAC, 1.3', Client13, spoilt_finished, {BAD_MAC}),
    ('Finished in clear', Client13, started_raw(record(HANDSHAKE, message(FINISHED, bytes(32)), 0x0303)), {UNEXPECTED, BAD_MAC}),
    ('hello in clear in the handshake', Client13, started_raw(record(HANDSHAKE, hello13(), 0x0303)), {UNEXPECTED, BAD_MAC}),
    ('hello in the handshake, 1.3', Client13, wrong_13(hello13()), {UNEXPECTED}),
    ('KeyUpdate in the handshake', Client13, wrong_13(message(KEY_UPDATE, b'\x00')), {UNEXPECTED}),
    ('EndOfEarlyData without early data', Client13, wrong_13(message(END_OF_EARLY, b'')), {UNEXPECTED}),
    ('Certificate that nobody asked for, 1.3', Client13, wrong_13(message(CERTIFICATE, bytes(4))), {UNEXPECTED}),
    ('message type 99 in the handshake, 1.3', Client13, wrong_13(message(99, b'')), {UNEXPECTED}),
    ('data in the handshake, 1.3', Client13, started(DATA, GET), {UNEXPECTED}),
    ('data within a message, 1.3', Client13, split_by(DATA, b'x'), {UNEXPECTED}),
    ('empty handshake record in the handshake, 1.3', Client13, started(HANDSHAKE, b''), {UNEXPECTED}),
    ('ChangeCipherSpec of 2, 1.3', Client13, started_raw(record(CCS, b'\x02', 0x0303)), {UNEXPECTED}),
    ('ChangeCipherSpec of 2 bytes, 1.3', Client13, started_raw(record(CCS, b'\x01\x01', 0x0303)), {UNEXPECTED}),
    ('ChangeCipherSpec sealed', Client13, started(CCS, b'\x01'), {UNEXPECTED}),
    ('flood of ChangeCipherSpec', Client13, started_raw(record(CCS, b'\x01', 0x0303) * 20000), {UNEXPECTED}),
    ('ChangeCipherSpec behind the handshake, 1.3', Client13, after_raw(record(CCS, b'\x01', 0x0303)), {UNEXPECTED}),
    ('bad MAC, 1.3', Client13, spoilt(DATA, GET), {BAD_MAC}),
    ('record in clear, 1.3', Client13, after_raw(record(DATA, GET, 0x0303)), {BAD_MAC}),
    ('record shorter than its MAC, 1.3', Client13, after_raw(record(DATA, bytes(10), 0x0303)), {BAD_MAC, DECODE}),
    ('empty record in clear, 1.3', Client13, after_raw(record(DATA, b'', 0x0303)), {BAD_MAC, DECODE, UNEXPECTED}),
    ('record of 2^14+257 bytes, 1.3', Client13, after_raw(record(DATA, bytes(BIG + 257), 0x0303)), {OVERFLOW}),
    ('record of 2^14+1 bytes of text, 1.3', Client13, after(DATA, bytes(BIG + 1)), {OVERFLOW}),
    ('record with more than 2^14+1 bytes inside', Client13, inner(inner=b'x' + bytes([DATA]) + bytes(BIG)), {OVERFLOW}),
    ('record without a type', Client13, inner(inner=bytes(20)), {UNEXPECTED}),
    ('record without a type or padding', Client13, inner(inner=b''), {UNEXPECTED}),
    ('record of inner type 77', Client13, after(77, b'x'), {UNEXPECTED}),
    ('record sealed as a handshake outside', Client13, inner(outer=HANDSHAKE), {UNEXPECTED, BAD_MAC}),
    ('empty handshake record, 1.3', Client13, after(HANDSHAKE, b''), {UNEXPECTED}),
    ('empty alert, 1.3', Client13, after(ALERT, b''), {UNEXPECTED, DECODE}),
    ('alert of 4 bytes, 1.3', Client13, after(ALERT, WARNING * 2), {UNEXPECTED, DECODE}),
    ('heartbeat, 1.3', Client13, after(HEARTBEAT, b'\x01\x00\x03abc' + bytes(16)), {UNEXPECTED}),
    ('flood of warnings, 1.3', Client13, after(ALERT, WARNING, 3000), {UNEXPECTED, None}),       # no other warnings exist in 1.3: an alert is the end
    ('hello behind the handshake', Client13, after(HANDSHAKE, hello13()), {UNEXPECTED}),
    ('Finished again, 1.3', Client13, after(HANDSHAKE, message(FINISHED, bytes(32))), {UNEXPECTED}),
    ('ticket from the client', Client13, after(HANDSHAKE, message(TICKET, bytes(30))), {UNEXPECTED}),
    ('Certificate behind the handshake', Client13, after(HANDSHAKE, message(CERTIFICATE, bytes(4))), {UNEXPECTED}),
    ('KeyUpdate of 2', Client13, after(HANDSHAKE, message(KEY_UPDATE, b'\x02')), {ILLEGAL}),
    ('KeyUpdate of 2 bytes', Client13, after(HANDSHAKE, message(KEY_UPDATE, b'\x00\x00')), {DECODE}),
    ('KeyUpdate of no bytes', Client13, after(HANDSHAKE, message(KEY_UPDATE, b'')), {DECODE}),
    ('KeyUpdate with more behind it', Client13, update_with_more, {UNEXPECTED}),
    ('flood of KeyUpdate', Client13, update_flood(0), {UNEXPECTED}),
    ('flood of KeyUpdate that ask for one', Client13, update_flood(1), {UNEXPECTED}),
    ('data within a KeyUpdate', Client13, lambda c: c.connect().record(HANDSHAKE, message(KEY_UPDATE, b'\x00')[:3]).record(DATA, b'x'), {UNEXPECTED}),
    ('second hello without the share asked for', Client13, retry(lambda first: first), {ILLEGAL}),
    ('second hello of another version', Client13, retry(lambda first: hello12()), {ILLEGAL, UNEXPECTED, VERSION, FAILURE}),
    ('second hello with other suites', Client13, retry(lambda first: hello13(suites=b'\x13\x03')), {ILLEGAL}),
    ('wrong binder', Client13, wrong_binder, {DECRYPT, ILLEGAL}),
    ('fewer binders than identities', Client13, binders_missing, {ILLEGAL, DECODE}),
]


# ---------------------------------------------------------------------------------------------- what is no error

def one_byte_12(c):
    c.start()
    c.send(b''.join(c.sealed(HANDSHAKE, bytes([b])) for b in c.client_key()))
    c.record(CCS, b'\x01')
    c.encrypt()
    c.send(b''.join(c.sealed(HANDSHAKE, bytes([b])) for b in c.finished()))
    c.done()
    c.send(b''.join(c.sealed(DATA, bytes([b])) for b in GET))
    c.data()


def one_byte_13(c):
    c.start()
    c.send(b''.join(c.sealed(HANDSHAKE, bytes([b])) for b in c.finished()))
    c.application()
    c.send(b''.join(c.sealed(DATA, bytes([b])) for b in GET))
    c.data()


def same_segment_12(c):
    c.start()
    data = c.sealed(HANDSHAKE, c.client_key()) + c.sealed(CCS, b'\x01')
    c.encrypt()
    c.send(data + c.sealed(HANDSHAKE, c.finished()) + c.sealed(DATA, GET))
    c.done().data()


def same_segment_13(c):
    c.start()
    data = record(CCS, b'\x01', 0x0303) + c.sealed(HANDSHAKE, c.finished())
    c.application()
    c.send(data + c.sealed(DATA, GET))
    c.data()


def byte_by_byte(c):
    c.start()
    data = c.sealed(HANDSHAKE, c.finished())
    c.application()
    for b in data + c.sealed(DATA, GET):
        c.send(bytes([b]))
        time.sleep(0.0005)
    c.data()


def empty_records(n):
    def f(c):
        c.connect()
        c.send(b''.join(c.sealed(DATA, b'') for _ in range(n)))
        c.record(DATA, GET)
        c.data()
    return f


def middlebox(c):
    c.start(session=os.urandom(32))
    c.send(record(CCS, b'\x01', 0x0303))
    c.done().record(DATA, GET)
    c.data()


def padded(c):
    c.connect()
    c.send(c.seal(DATA, GET[:1], padding=BIG - 1) + c.seal(DATA, b'', padding=100) + c.seal(DATA, GET[1:], padding=1))
    c.data()


def early_then_handshake(c):
    send = c.send

    def with_junk(data):
        c.send = send
        return send(data + record(DATA, os.urandom(100), 0x0303) * 3)
    c.send = with_junk
    c.start({EARLY_DATA: b'', PSK_MODES: b'\x01\x01', PSK: vec(2, vec(2, bytes(200)) + bytes(4)) + vec(2, vec(1, bytes(32)))})
    c.done().record(DATA, GET)
    c.data()


def few_updates(c):
    c.connect()
    for _ in range(3):
        c.record(HANDSHAKE, message(KEY_UPDATE, b'\x01'))
        c.update_write()
    c.record(DATA, GET)
    text = b''
    while b'index\n' not in text:
        kind, part = c.next()
        if kind == HANDSHAKE and part[0] == KEY_UPDATE:
            c.update_read()
        elif kind == DATA:
            text += part


def close_both(c):
    c.connect().record(ALERT, b'\x01\x00')
    check_end(c, [(1, 0)])


def close_fatal_level(c):
    c.connect().record(ALERT, b'\x02\x00')
    check_end(c, None)


def close_with_request(c):
    c.connect()
    c.send(c.sealed(DATA, GET) + c.sealed(ALERT, b'\x01\x00'))
    c.data()
    check_end(c, [(1, 0)])


def half_closed(c):
    """End of the stream without close_notify: the request before it is answered."""
    c.connect().record(DATA, GET)
    c.half_close()
    c.data()
    check_end(c, [(1, 0)])


def half_closed_idle(c):
    c.connect().half_close()
    check_end(c, None)


def fatal_ends(c):
    """A fatal alert of the client's is the end: nothing is answered."""
    c.connect().record(ALERT, b'\x02\x28')
    check_end(c, [])


def fatal_in_handshake(c):
    c.start()
    c.record(ALERT, b'\x02\x28')
    check_end(c, [])


def close_in_handshake(c):
    c.start()
    c.record(ALERT, b'\x01\x00')
    check_end(c, None)


def check_end(c, alerts):
    end = c.end()
    if end.how != 'eof' or (alerts is not None and end.alerts != alerts):
        raise AssertionError('ended %r, alerts %r' % (end.how, end.alerts))


BIG_GET = b'GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n'


def small_records_12(c):
    c.connect(change={RECORD_LIMIT: b'\x02\x58'}).record(DATA, BIG_GET)
    answer(c, 600)


def small_records_13(c):
    c.connect(change={RECORD_LIMIT: b'\x02\x59'}).record(DATA, BIG_GET)
    answer(c, 600)


def small_fragments(c):
    """Where the server took it (it is in its hello); it need not."""
    c.connect(change={MAX_FRAGMENT: b'\x01'}).record(DATA, BIG_GET)
    answer(c, 512 if MAX_FRAGMENT in c.server_ext else BIG)


def answer(c, most, stop=b'end'):
    text = b''
    while stop not in text:
        r = c.next()
        if r is None or r[0] == ALERT:
            raise AssertionError('got %r after %r (%s)' % (r, text[-100:], c.ended))
        if r[0] == DATA:
            text += r[1]
            if len(r[1]) > most:
                raise AssertionError('a record of %d bytes where %d are allowed' % (len(r[1]), most))


def sentinel(c):
    """RFC 8446, 4.1.3: a server of 1.3 that is made to speak 1.2 says so in its random."""
    c.record(HANDSHAKE, hello12())
    whole = c.message()[1]
    if whole[30:38] != b'DOWNGRD\x01':
        raise AssertionError('the random ends with %r' % whole[30:38])


GOOD = [
    ('records of one byte', Client12, one_byte_12),
    ('records of one byte, 1.3', Client13, one_byte_13),
    ('Finished and request in one segment', Client12, same_segment_12),
    ('Finished and request in one segment, 1.3', Client13, same_segment_13),
    ('segments of one byte', Client13, byte_by_byte),
    ('empty records', Client12, empty_records(20)),
    ('empty records, 1.3', Client13, empty_records(20)),
    ('ChangeCipherSpec for middleboxes', Client13, middlebox),
    ('padding', Client13, padded),
    ('early data of junk is passed over (RFC 8446, 4.2.10)', Client13, early_then_handshake),
    ('a few KeyUpdates', Client13, few_updates),
    ('close_notify is answered', Client12, close_both),
    ('close_notify is answered, 1.3', Client13, close_both),
    ('close_notify of level fatal', Client13, close_fatal_level),
    ('request and close_notify', Client12, close_with_request),
    ('request and close_notify, 1.3', Client13, close_with_request),
    ('request and end of stream', Client12, half_closed),
    ('request and end of stream, 1.3', Client13, half_closed),
    ('end of stream', Client12, half_closed_idle),
    ('end of stream, 1.3', Client13, half_closed_idle),
    ('fatal alert', Client12, fatal_ends),
    ('fatal alert, 1.3', Client13, fatal_ends),
    ('fatal alert in the handshake', Client12, fatal_in_handshake),
    ('close_notify in the handshake', Client12, close_in_handshake),
    ('record_size_limit', Client12, small_records_12),
    ('record_size_limit, 1.3', Client13, small_records_13),
    ('max_fragment_length', Client12, small_fragments),
    ('sign of a downgrade', Client12, sentinel),
]


# ---------------------------------------------------------------------------------------------- the tests

class Robust(ServerTest):
    PORTS = ('TLS', 'TLS2')

    @classmethod
    def setUpClass(cls):
        cls.ended = {}

    def setUp(self):
        self.s = self.serve(HOST, {'htdocs/big': b'b' * 5000 + b'end'})
        self.ports = [int(self.s.expand('@%s@' % name)) for name in self.PORTS]
        for port in self.ports:         # what children allocate once is there
            for cls in (Client12, Client13):
                for _ in range(20):
                    with cls(port) as c:
                        c.connect().record(DATA, GET)
                        c.data()
        self.before = self.measure()

    def measure(self):
        """pid → (descriptors, resident KiB)"""
        return {p: (len(os.listdir('/proc/%d/fd' % p)), int(status_of(p)['VmRSS'].split()[0])) for p in self.s.workers()}

    def tearDown(self):
        # Children may be added or taken away for load; none may crash, and those that are still there hold nothing.
        self.assertNotRegex(self.s.error_log, r'BH02\d\d.*(signal|crash)|AddressSanitizer|runtime error')
        kept = [p for p in self.before if alive(p)]
        self.assertTrue(kept, 'no child of before is alive')
        self.assertEqual(len(kept), len(self.before), self.s.error_log[-2000:])
        for pid in kept:
            wait_for(lambda: len(os.listdir('/proc/%d/fd' % pid)) <= self.before[pid][0], 'child %d has its descriptors closed' % pid, 5)
            if not SANITIZED:
                self.assertLess(self.measure()[pid][1] - self.before[pid][1], 2048, 'KiB that child %d grew' % pid)

    def ends(self, name, c, alerts):
        known = LIBRARY.get(name)
        end = c.end(0.7 if known and known[1] == 'open' else None)
        last = end.alerts[-1][1] if end.alerts and end.alerts[-1][0] == 2 else None
        if known:
            self.assertEqual((last, end.how), known, '%s: GnuTLS did otherwise when it was measured' % name)
        else:
            self.assertEqual(end.how, 'eof', '%s: %r' % (name, end))
            self.assertIn(last, alerts, '%s: %r' % (name, end))

    def test_first_flights(self):
        for port in self.ports:
            for name, data, alerts in FIRST:
                with self.subTest(name, port=self.ports.index(port)), Peer(port) as p:
                    p.send(data)
                    self.ends(name, p, alerts)

    def test_odd_hellos_that_are_served(self):
        for port in self.ports:
            for name, data in SERVED:
                with self.subTest(name, port=self.ports.index(port)), Peer(port) as p:
                    p.send(data)
                    self.assertEqual(p.message()[0], SERVER_HELLO)

    def test_handshakes_and_records(self):
        for port in self.ports:
            for name, cls, script, alerts in SCRIPTS:
                with self.subTest(name, port=self.ports.index(port)), cls(port) as c:
                    script(c)
                    self.ends(name, c, alerts)

    def test_what_is_no_error(self):
        for port in self.ports:
            for name, cls, script in GOOD:
                with self.subTest(name, port=self.ports.index(port)), cls(port) as c:
                    script(c)

    def test_hello_that_ends_anywhere(self):
        """The client goes away in the middle: the connection ends at once, whatever was missing."""
        data = H(hello13())
        for n in list(range(0, 12)) + list(range(12, len(data), 17)):
            with self.subTest(n), Peer(self.ports[0]) as p:
                p.send(data[:n]).half_close()
                self.assertEqual(p.end().how, 'eof')

    def test_renegotiation_is_refused_by_a_warning_first(self):
        with Client12(self.ports[0]) as c:
            c.connect().record(HANDSHAKE, hello12())
            self.assertEqual(c.end().alerts, [(1, NO_RENEGOTIATION), (2, FAILURE)])

    def test_the_log_explains(self):
        for data, line in ((SSL2, 'BH0505'), (H(hello12(version=0x0300), version=0x0300), 'BH0506.*(no protocol in common|version)'),
                           (H(message(HELLO, hello_body()[:60])), 'BH0506.*malformed'), (H(hello13({ALPN: vec(2, vec(1, b'spdy/3'))})), 'BH0506.*no application protocol in common: by ALPN'),
                           (H(hello12(suites=SUITES12 + b'\x56\x00')), r'BH0506.*tries an older one \(TLS_FALLBACK_SCSV\)')):
            with self.subTest(line), Peer(self.ports[0]) as p:
                p.send(data).end()
                self.s.logged(line)

    def test_the_manual_names_what_the_library_does(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'tls-robustness.md')) as f:
            rows = re.findall(r'(?m)^\| ([^|]+) \|', f.read())
        self.assertEqual([name for name in LIBRARY if name not in rows], [])
        self.assertEqual([name for name in LIBRARY if name not in [r[0] for r in FIRST + SCRIPTS]], [])


if __name__ == '__main__':
    unittest.main()
