"""What RFC 9113 (and 7541, 8441, 9218) demand of a server, one row a rule: frames that a client sends, and what must come back."""
import base64
import collections
import re
import socket
import ssl
import struct
import threading
import unittest

from backend import Backend
from h2raw import *  # noqa: F403: the vocabulary of the tables
from server import SSL_ON, ServerTest, context, wait_for

CONF = '''\
Protocols h2 h2c http/1.1
StartServers 1
ServerLimit 1
H2WebSockets on
ProxyPass "/ws" "ws://127.0.0.1:1/"
<Location "/echo">
SetHandler test-echo
</Location>
<Location "/stream">
SetHandler test-stream
</Location>
<Location "/silent">
SetHandler test-silent
</Location>
<Location "/seen">
Header always set X-Cookie "expr=%%{HTTP_COOKIE}"
Header always set X-Host "expr=%%{HTTP_HOST}"
</Location>
<VirtualHost *:@TLS@>
%s</VirtualHost>
''' % SSL_ON

# What must come back. A stream that is in error may not end the connection: a ping and another request are answered. Where the RFC
# lets a server choose, all that it may do is named.
Want = collections.namedtuple('Want', 'kind values stream')


def conn(*codes):
    return Want('conn', codes, 0)


def stream(*codes, on=1):
    return Want('stream', codes, on)


def either(stream_codes, conn_codes, on=1):
    return Want('either', (stream_codes, conn_codes), on)


def answer(*statuses, on=1):
    return Want('answer', statuses, on)


# 8.1.1: a malformed request is a stream error of the type PROTOCOL_ERROR; a response may come first.
MALFORMED = Want('malformed', ('PROTOCOL_ERROR',), 1)
ALIVE = Want('alive', (), 0)


def bad(*fields):
    """A GET with these fields behind the usual."""
    return [get(1, '/', *fields)]


def head(*fields):
    """A request with exactly these fields."""
    return [headers(1, fields)]


def drop(name, method='GET'):
    return head(*((n, v) for n, v in request_fields(method=method) if n != name))


def cut(fragment, size):
    return [fragment[at:at + size] for at in range(0, len(fragment), size)] or [b'']


def continued(n, fragment, size, flags=END_STREAM):
    """A field block in one HEADERS and as many CONTINUATIONs as it takes."""
    parts = cut(fragment, size)
    frames = [frame(HEADERS, flags | (END_HEADERS if len(parts) == 1 else 0), n, parts[0])]
    frames += [frame(CONTINUATION, 0, n, part) for part in parts[1:-1]]
    return b''.join(frames + [frame(CONTINUATION, END_HEADERS, n, part) for part in parts[1:][-1:]])


def padded(kind, flags, n, payload, pad, fill=b'\0'):
    return frame(kind, flags | PADDED, n, bytes([pad]) + payload + fill * pad)


class Wait(int):
    """Among the frames of a row: wait until the stream is over (a negative one: until its head has come)."""


GET = block(request_fields())
OPEN = post(1, '/silent')               # a stream that stays open on both sides
OVER = [get(1), Wait(1)]                # one that has been closed by END_STREAM both ways
MAX = (1 << 31) - 1

# section, what, frames behind the preface and an empty SETTINGS (or with a preface of their own), what must come back
FRAMES = (
    ('4.1', 'unknown type on the connection', [frame(0xfa, 0xff, 0, b'x' * 100)], ALIVE),
    ('4.1', 'unknown type on an idle stream', [frame(0xfa, 0xff, 1, b'x'), get(1)], answer(200)),
    ('4.1', 'unknown type on an open stream', [OPEN, frame(0xfa, 0, 1, b'x')], ALIVE),
    ('4.1', 'unknown type on a closed stream', [*OVER, frame(0xfb, 1, 1, b'')], ALIVE),
    ('4.1', 'unknown flags', [headers(1, GET, 0x5 | 0xc2), ping(b'87654321', 0xfe)], answer(200)),
    ('4.1', 'unknown flags of DATA', [post(1), frame(DATA, 0xf7, 1, b'x')], answer(200)),
    ('4.1', 'unknown flags of SETTINGS', [frame(SETTINGS, 0xfe)], ALIVE),
    ('4.1', 'the reserved bit', [frame(HEADERS, 5, 1 << 31 | 1, GET)], answer(200)),
    ('4.1', 'the reserved bit of a window update', [get(1, '/stream?n=9'), frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 31 | 5))], answer(200)),
    ('4.2', 'DATA of 16384 bytes', [post(1), data(1, b'x' * 16384)], answer(200)),
    ('4.2', 'DATA of 16385 bytes', [post(1, '/silent'), data(1, b'x' * 16385)], either(['FRAME_SIZE_ERROR'], ['FRAME_SIZE_ERROR'])),
    ('4.2', 'HEADERS of 16385 bytes', [frame(HEADERS, 5, 1, GET + literal('x', 'y' * (16384 - len(GET))))], conn('FRAME_SIZE_ERROR')),
    ('4.2', 'SETTINGS of 16386 bytes', [settings(*[(99, 1)] * 2731)], conn('FRAME_SIZE_ERROR')),
    ('4.2', 'unknown type of 16385 bytes', [frame(0xfa, 0, 0, b'x' * 16385)], conn('FRAME_SIZE_ERROR')),
    ('4.2', 'unknown type of 16384 bytes', [frame(0xfa, 0, 0, b'x' * 16384)], ALIVE),
    ('4.3', 'a block in eight pieces', [continued(1, GET, len(GET) // 8 + 1)], answer(200)),
    ('4.3', 'pieces of one byte', [continued(1, b'\x82\x84\x86\x01\x01x', 1)], answer(200)),
    ('4.3', 'an empty HEADERS and the block in CONTINUATION', [frame(HEADERS, 1, 1) + frame(CONTINUATION, 4, 1, GET)], answer(200)),
    ('4.3', 'an empty CONTINUATION at the end', [frame(HEADERS, 1, 1, GET) + frame(CONTINUATION, 4, 1)], answer(200)),
    ('4.3', 'a block that ends within a field', [headers(1, GET[:-3])], conn('COMPRESSION_ERROR')),

    # RFC 7541
    ('7541 2.3.3', 'index past the table', [headers(1, GET + indexed(62))], conn('COMPRESSION_ERROR')),
    ('7541 2.3.3', 'a name by an index past the table', [headers(1, GET + literal(100, 'x'))], conn('COMPRESSION_ERROR')),
    ('7541 6.1', 'index 0', [headers(1, GET + b'\x80')], conn('COMPRESSION_ERROR')),
    ('7541 5.1', 'an integer that never ends', [headers(1, GET + b'\xff' + b'\x80' * 20 + b'\x01')], conn('COMPRESSION_ERROR')),
    ('7541 5.1', 'an integer of 64 bits', [headers(1, GET + b'\x00\x7f' + b'\xff' * 9 + b'\x01')], conn('COMPRESSION_ERROR')),
    ('7541 5.2', 'Huffman: padding of a whole byte', [headers(1, GET + b'\x00\x01a\x82\x1f\xff')], conn('COMPRESSION_ERROR')),
    ('7541 5.2', 'Huffman: padding with zeros', [headers(1, GET + b'\x00\x01a\x81\x18')], conn('COMPRESSION_ERROR')),
    ('7541 5.2', 'Huffman: EOS', [headers(1, GET + b'\x00\x01a\x84\xff\xff\xff\xff')], conn('COMPRESSION_ERROR')),
    ('7541 6.3', 'table size above what is allowed', [headers(1, table_size(1 << 20) + GET)], conn('COMPRESSION_ERROR')),
    ('7541 4.2', 'table size behind a field', [headers(1, GET + table_size(0))], conn('COMPRESSION_ERROR')),
    ('7541 4.2', 'table sizes at the start', [headers(1, table_size(0) + table_size(100) + GET)], answer(200)),
    ('7541 3.2', 'fields out of the dynamic table', [headers(1, block(request_fields(), index=True)) +
                                                     headers(3, b''.join(map(indexed, (65, 64, 63, 62))))], answer(200, on=3)),
    ('7541 4.4', 'a field larger than the table empties it', [headers(1, GET + literal('a', 'b', True) + literal('x', 'y' * 4100, True)) +
                                                              headers(3, GET + indexed(62))], conn('COMPRESSION_ERROR')),
    ('4.3', 'the block of a malformed request counts', [headers(1, literal('X', 'y', True) + GET + literal('a', 'b', True)) +
                                                        headers(3, GET + indexed(62))], answer(200, on=3)),
    ('5.1', 'the block of a request that was reset counts', [OPEN + rst(1) + headers(1, literal('a', 'b', True)) + headers(3, GET + indexed(62))],
     Want('ignored', ('STREAM_CLOSED',), 1)),

    # 5.1 states
    ('5.1', 'idle: DATA', [data(1, b'x')], conn('PROTOCOL_ERROR')),
    ('5.1', 'idle: RST_STREAM', [rst(1)], conn('PROTOCOL_ERROR')),
    ('5.1', 'idle: WINDOW_UPDATE', [window(1, 1)], conn('PROTOCOL_ERROR')),
    ('5.1', 'idle: CONTINUATION', [frame(CONTINUATION, 4, 1, GET)], conn('PROTOCOL_ERROR')),
    ('5.1', 'idle: PRIORITY', [priority(1), priority(101), get(1)], answer(200)),
    ('5.1', 'half-closed: DATA', [get(1, '/silent'), data(1, b'x')], either(['STREAM_CLOSED'], ['STREAM_CLOSED'])),
    ('5.1', 'half-closed: HEADERS', [get(1, '/silent'), get(1)], either(['STREAM_CLOSED'], ['STREAM_CLOSED'])),
    ('5.1', 'half-closed: CONTINUATION', [get(1, '/silent'), frame(CONTINUATION, 4, 1, GET)], either(['STREAM_CLOSED'], ['STREAM_CLOSED', 'PROTOCOL_ERROR'])),
    ('5.1', 'half-closed: the rest is allowed', [get(1, '/silent') + window(1, 5) + priority(1) + rst(1)], ALIVE),
    ('5.1', 'reset: DATA', [OPEN + rst(1) + data(1, b'x')], Want('ignored', ('STREAM_CLOSED',), 1)),
    ('5.1', 'reset: HEADERS', [OPEN + rst(1) + get(1)], Want('ignored', ('STREAM_CLOSED',), 1)),
    ('5.1', 'reset: WINDOW_UPDATE, RST_STREAM, PRIORITY', [OPEN + rst(1) + window(1, 1) + rst(1) + priority(1)], Want('ignored', ('STREAM_CLOSED',), 1)),
    ('5.1', 'closed: DATA', [*OVER, data(1, b'x')], Want('ignored', ('STREAM_CLOSED',), 1)),
    ('5.1', 'closed: HEADERS', [*OVER, get(1)], Want('ignored', ('STREAM_CLOSED', 'PROTOCOL_ERROR'), 1)),
    ('5.1', 'closed: CONTINUATION', [*OVER, frame(CONTINUATION, 4, 1, GET)], conn('STREAM_CLOSED', 'PROTOCOL_ERROR')),
    ('5.1', 'closed: PRIORITY', [*OVER, priority(1)], ALIVE),
    ('5.1', 'closed: WINDOW_UPDATE and RST_STREAM', [*OVER, window(1, 1), rst(1)], ALIVE),
    ('5.1.1', 'an even stream', [get(2)], conn('PROTOCOL_ERROR')),
    # (a server need not remember which streams were left out and which are over)
    ('5.1.1', 'a lower stream than before', [get(5), Wait(5), get(3)], Want('ignored', ('PROTOCOL_ERROR', 'STREAM_CLOSED'), 3)),
    ('5.1.1', 'streams left out', [get(1) + get(7) + get(99)], answer(200, on=99)),
    ('5.1.1', 'the last stream of all', [get(MAX)], Want('served', (200,), MAX)),
    ('5.3.1', 'a stream that depends on itself', [priority(1, on=1), get(1)], Want('alive or', ('PROTOCOL_ERROR',), 1)),
    ('5.3.1', 'HEADERS that depend on themselves', [frame(HEADERS, 0x25, 1, b'\0\0\0\1\x0f' + GET)], Want('alive or', ('PROTOCOL_ERROR',), 1)),
    ('5.5', 'an unknown frame inside of a block', [frame(HEADERS, 1, 1, GET) + frame(0xfa, 0, 0)], conn('PROTOCOL_ERROR')),

    # 6.1 DATA, 6.2 HEADERS
    ('6.1', 'DATA on stream 0', [data(0, b'x')], conn('PROTOCOL_ERROR')),
    ('6.1', 'padding', [post(1), padded(DATA, 1, 1, b'abc', 200)], answer(200)),
    ('6.1', 'only padding', [post(1), padded(DATA, 1, 1, b'', 255)], answer(200)),
    ('6.1', 'as much padding as payload', [OPEN, frame(DATA, PADDED, 1, b'\6hello')], conn('PROTOCOL_ERROR')),
    ('6.1', 'padding without its length', [OPEN, frame(DATA, PADDED, 1)], conn('FRAME_SIZE_ERROR', 'PROTOCOL_ERROR')),
    ('6.2', 'HEADERS on stream 0', [get(0)], conn('PROTOCOL_ERROR')),
    ('6.2', 'padding', [padded(HEADERS, 5, 1, GET, 99)], answer(200)),
    ('6.2', 'padding and priority', [padded(HEADERS, 0x25, 1, b'\0\0\0\0\x0f' + GET, 1)], answer(200)),
    ('6.2', 'more padding than frame', [frame(HEADERS, 5 | PADDED, 1, bytes([len(GET) + 1]) + GET)], conn('PROTOCOL_ERROR')),
    ('6.2', 'padding without its length', [frame(HEADERS, 5 | PADDED, 1)], conn('FRAME_SIZE_ERROR', 'PROTOCOL_ERROR')),
    ('6.2', 'too short for its priority', [frame(HEADERS, 0x25, 1, b'\0\0\0')], conn('FRAME_SIZE_ERROR')),
    ('6.2', 'another frame inside of a block', [frame(HEADERS, 1, 1, GET) + ping()], conn('PROTOCOL_ERROR')),
    ('6.2', 'another HEADERS inside of a block', [frame(HEADERS, 1, 1, GET) + get(3)], conn('PROTOCOL_ERROR')),

    # 6.3 … 6.10
    # (who has said that such priorities do not count here need not look at them: 9218, 2.1)
    ('6.3', 'PRIORITY on stream 0', [priority(0)], Want('ignored', ('PROTOCOL_ERROR',), 1)),
    ('6.3', 'PRIORITY of 4 bytes', [OPEN, frame(PRIORITY, 0, 1, b'\0\0\0\0')], either(['FRAME_SIZE_ERROR'], ['FRAME_SIZE_ERROR'])),
    ('6.4', 'RST_STREAM on stream 0', [rst(0)], conn('PROTOCOL_ERROR')),
    ('6.4', 'RST_STREAM of 3 bytes', [OPEN, frame(RST_STREAM, 0, 1, b'\0\0\0')], conn('FRAME_SIZE_ERROR')),
    ('6.4', 'RST_STREAM of 5 bytes', [OPEN, frame(RST_STREAM, 0, 1, b'\0\0\0\0\0')], conn('FRAME_SIZE_ERROR')),
    ('6.4', 'RST_STREAM with an unknown code', [OPEN, rst(1, 0xfedcba98), get(3)], answer(200, on=3)),
    ('6.5', 'an acknowledgement with a payload', [frame(SETTINGS, ACK, 0, b'\0\1\0\0\0\0')], conn('FRAME_SIZE_ERROR')),
    ('6.5', 'SETTINGS on a stream', [settings(stream=1)], conn('PROTOCOL_ERROR')),
    ('6.5', 'SETTINGS of 5 bytes', [frame(SETTINGS, 0, 0, b'\0\1\0\0\0')], conn('FRAME_SIZE_ERROR')),
    ('6.5.2', 'ENABLE_PUSH 2', [settings((ENABLE_PUSH, 2))], conn('PROTOCOL_ERROR')),
    ('6.5.2', 'INITIAL_WINDOW_SIZE 2^31', [settings((INITIAL_WINDOW, 1 << 31))], conn('FLOW_CONTROL_ERROR')),
    ('6.5.2', 'INITIAL_WINDOW_SIZE 2^31 - 1', [settings((INITIAL_WINDOW, MAX)), get(1)], answer(200)),
    ('6.5.2', 'MAX_FRAME_SIZE 16383', [settings((MAX_FRAME, 16383))], conn('PROTOCOL_ERROR')),
    ('6.5.2', 'MAX_FRAME_SIZE 2^24', [settings((MAX_FRAME, 1 << 24))], conn('PROTOCOL_ERROR')),
    ('6.5.2', 'the largest values', [settings((1, 0xffffffff), (3, 0xffffffff), (5, (1 << 24) - 1), (6, 0xffffffff)), get(1)], answer(200)),
    ('6.5.2', 'no table', [settings((HEADER_TABLE_SIZE, 0)), get(1), Wait(1), get(3)], answer(200, on=3)),
    ('6.5.2', 'unknown settings', [settings((0, 1), (77, 2), (0xffff, 0xffffffff)), get(1)], answer(200)),
    ('6.5.3', 'the last value of one frame counts', [settings((INITIAL_WINDOW, 0), (INITIAL_WINDOW, 100)), get(1)], answer(200)),
    ('6.5.3', 'a wrong value behind good ones', [settings((MAX_LIST, 9999), (ENABLE_PUSH, 0), (ENABLE_PUSH, 3))], conn('PROTOCOL_ERROR')),
    ('8441 3', 'ENABLE_CONNECT_PROTOCOL 2', [settings((ENABLE_CONNECT, 2))], conn('PROTOCOL_ERROR')),
    ('9218 2.1', 'NO_RFC7540_PRIORITIES 2', [settings((NO_PRIORITIES, 2))], conn('PROTOCOL_ERROR')),
    ('9218 2.1', 'NO_RFC7540_PRIORITIES 1', [PREFACE + settings((NO_PRIORITIES, 1)), get(1)], answer(200)),
    ('6.6', 'PUSH_PROMISE', [OPEN, frame(PUSH_PROMISE, 4, 1, b'\0\0\0\2' + GET)], conn('PROTOCOL_ERROR')),
    ('6.7', 'PING on a stream', [ping(stream=1)], conn('PROTOCOL_ERROR')),
    ('6.7', 'PING of 7 bytes', [ping(b'1234567')], conn('FRAME_SIZE_ERROR')),
    ('6.7', 'PING of 9 bytes', [ping(b'123456789')], conn('FRAME_SIZE_ERROR')),
    ('6.7', 'an acknowledgement is not answered', [ping(b'unwanted', ACK)], Want('no ping', (b'unwanted',), 0)),
    ('6.8', 'GOAWAY on a stream', [goaway(stream=1)], conn('PROTOCOL_ERROR')),
    ('6.8', 'GOAWAY of 7 bytes', [frame(GOAWAY, 0, 0, b'\0' * 7)], conn('FRAME_SIZE_ERROR')),
    ('6.8', 'what was asked for before GOAWAY is answered', [get(1, '/stream?n=70000') + goaway(debug=b'good bye')], Want('served', (200,), 1)),
    ('6.8', 'GOAWAY with an unknown code', [get(1, '/stream?n=70000') + goaway(0xdeadbeef)], Want('served', (200,), 1)),
    ('6.9', 'WINDOW_UPDATE of 0 on a stream', [OPEN, window(1, 0)], either(['PROTOCOL_ERROR'], ['PROTOCOL_ERROR'])),
    ('6.9', 'WINDOW_UPDATE of 0 on the connection', [window(0, 0)], conn('PROTOCOL_ERROR')),
    ('6.9', 'WINDOW_UPDATE of 3 bytes', [frame(WINDOW_UPDATE, 0, 0, b'\0\0\1')], conn('FRAME_SIZE_ERROR')),
    ('6.9', 'WINDOW_UPDATE of 5 bytes', [OPEN, frame(WINDOW_UPDATE, 0, 1, b'\0\0\0\0\1')], conn('FRAME_SIZE_ERROR')),
    ('6.9.1', 'a window of more than 2^31 - 1 on the connection', [window(0, MAX)], conn('FLOW_CONTROL_ERROR')),
    ('6.9.1', 'a window of 2^31 - 1 on the connection', [window(0, MAX - 65535), get(1)], answer(200)),
    ('6.9.1', 'a window of more than 2^31 - 1 on a stream', [OPEN, window(1, MAX)], stream('FLOW_CONTROL_ERROR')),
    ('6.9.1', 'in two steps', [OPEN, window(1, MAX - 65535), window(1, 1)], stream('FLOW_CONTROL_ERROR')),
    # (the RFC wants an error of the connection; nghttp2 makes one of each stream whose window it is)
    ('6.9.2', 'SETTINGS that make a window too large', [OPEN, window(1, MAX - 65535), settings((INITIAL_WINDOW, 65536))],
     either(['FLOW_CONTROL_ERROR'], ['FLOW_CONTROL_ERROR'])),
    ('6.10', 'CONTINUATION on stream 0', [frame(HEADERS, 1, 1, GET[:9]) + frame(CONTINUATION, 4, 0, GET[9:])], conn('PROTOCOL_ERROR')),
    ('6.10', 'CONTINUATION on another stream', [frame(HEADERS, 1, 1, GET[:9]) + frame(CONTINUATION, 4, 3, GET[9:])], conn('PROTOCOL_ERROR')),
    ('6.10', 'CONTINUATION behind END_HEADERS', [OPEN, frame(CONTINUATION, 4, 1, block([('a', 'b')]))], conn('PROTOCOL_ERROR', 'STREAM_CLOSED')),
    ('6.10', 'CONTINUATION behind DATA', [OPEN, data(1, b'x', False), frame(CONTINUATION, 4, 1, block([('a', 'b')]))], conn('PROTOCOL_ERROR')),
    ('6.10', 'DATA inside of a block', [OPEN + frame(HEADERS, 1, 3, GET) + data(1, b'x')], conn('PROTOCOL_ERROR')),
    ('6.10', 'SETTINGS inside of a block', [frame(HEADERS, 1, 1, GET) + settings()], conn('PROTOCOL_ERROR')),
)

TRAILER = [('x-sum', '1')]
MESSAGES = (
    ('8.1', 'trailers', [post(1), data(1, b'x', False), headers(1, TRAILER)], answer(200)),
    ('8.1', 'trailers behind an empty body', [post(1), headers(1, TRAILER)], answer(200)),
    ('8.1', 'trailers without END_STREAM', [post(1, '/silent'), headers(1, TRAILER, END_HEADERS)], MALFORMED),
    ('8.1', 'trailers with a pseudo-header field', [post(1, '/silent'), headers(1, [(':path', '/')])], MALFORMED),
    ('8.1', 'trailers with an upper-case name', [post(1, '/silent'), headers(1, [('X-Sum', '1')])], MALFORMED),
    ('8.1', 'trailers that belong to the connection', [post(1, '/silent'), headers(1, [('connection', 'close')])], MALFORMED),
    ('8.1', 'DATA behind trailers', [post(1, '/silent'), headers(1, TRAILER), data(1, b'x')], either(['STREAM_CLOSED'], ['STREAM_CLOSED'])),
    ('8.1.1', 'content-length and as much', [post(1, '/echo', ('content-length', '3')), data(1, b'abc')], answer(200)),
    ('8.1.1', 'content-length and less', [post(1, '/silent', ('content-length', '4')), data(1, b'abc')], MALFORMED),
    ('8.1.1', 'content-length and more', [post(1, '/silent', ('content-length', '2')), data(1, b'abc', False)], MALFORMED),
    ('8.1.1', 'content-length and none', bad(('content-length', '2')), MALFORMED),
    ('8.1.1', 'content-length and less, trailers', [post(1, '/silent', ('content-length', '4')), data(1, b'abc', False), headers(1, TRAILER)], MALFORMED),
    ('8.1.1', 'content-length 0 and none', bad(('content-length', '0')), answer(200)),
    ('8.1.1', 'two lengths', [post(1, '/silent', ('content-length', '3'), ('content-length', '4'))], MALFORMED),
    *(('8.1.1', 'content-length: %r' % value, [post(1, '/silent', ('content-length', value))], MALFORMED)
      for value in ('', '-1', '+3', '3x', '0x3', '3,3', ' 3', '99999999999999999999')),
    ('8.2.1', 'an upper-case name', bad(('X-Upper', '1')), MALFORMED),
    ('8.2.1', 'an empty name', bad(('', '1')), MALFORMED),
    *(('8.2.1', 'a name with %r' % c, bad(('x' + c + 'y', '1')), MALFORMED) for c in '\0 \t\r\n:\x7f\x80\xff"(),/;<=>?@[]{}\\'),
    *(('8.2.1', 'a value with %r' % c, bad(('x', 'a' + c + 'b')), MALFORMED) for c in '\0\r\n'),
    *(('8.2.1', 'the value %r' % value, bad(('x', value)), MALFORMED) for value in (' a', 'a ', '\ta', 'a\t')),
    ('8.2.1', 'an empty value', bad(('x', '')), answer(200)),
    ('8.2.1', 'tabs and high bytes in a value', bad(('x', 'a\tb\xff')), answer(200)),
    *(('8.2.2', '%s: %s' % field, bad(field), MALFORMED)
      for field in (('connection', 'close'), ('connection', 'x'), ('keep-alive', '5'), ('proxy-connection', 'keep-alive'),
                    ('transfer-encoding', 'chunked'), ('upgrade', 'websocket'), ('te', 'gzip'), ('te', 'trailers, deflate'))),
    ('8.2.2', 'te: trailers', bad(('te', 'trailers')), answer(200)),
    ('8.3', 'an unknown pseudo-header field', head(*request_fields(), (':x', '1')), MALFORMED),
    ('8.3', 'one of responses', head(*request_fields(), (':status', '200')), MALFORMED),
    ('8.3', 'one behind a regular field', head(*request_fields()[:3], ('x', 'y'), (':authority', 'localhost')), MALFORMED),
    *(('8.3', 'twice ' + name, head(*request_fields(), (name, value)), MALFORMED) for name, value in request_fields()),
    *(('8.3.1', 'without ' + name, drop(name), MALFORMED) for name in (':method', ':scheme', ':path')),
    ('8.3.1', 'no host at all', drop(':authority'), MALFORMED),
    ('8.3.1', 'host for :authority', head(*request_fields()[:3], ('host', 'localhost')), answer(200)),
    ('8.3.1', 'both, the same', bad(('host', 'localhost')), answer(200)),
    ('8.3.1', 'both, not the same', bad(('host', 'elsewhere')), MALFORMED),
    ('8.3.1', 'host twice', head(*request_fields()[:3], ('host', 'localhost'), ('host', 'localhost')), MALFORMED),
    ('8.3.1', 'an empty :path', [get(1, '')], MALFORMED),
    *(('8.3.1', 'the :path %r' % path, [get(1, path)], MALFORMED) for path in ('x', '*', '?a', '/a b', '/\0', '/\x7f', '/#x', '/\r\n')),
    ('8.3.1', 'an empty :method', [get(1, method='')], MALFORMED),
    *(('8.3.1', 'the :method %r' % method, [get(1, method=method)], MALFORMED) for method in ('G T', 'GET ', 'G\0', 'GET,', '\xff')),
    ('8.3.1', 'an unknown method', [get(1, method='BREW')], answer(405, 501)),
    ('8.3.1', 'a method in lower case is another', [get(1, method='get')], answer(405, 501)),
    *(('8.3.1', 'the :scheme %r' % scheme, [get(1, scheme=scheme)], MALFORMED) for scheme in ('', 'h ttp', '1', 'ht\0tp')),
    *(('8.3.1', 'the :authority %r' % name, [get(1, authority=name)], MALFORMED)
      for name in ('', 'user@localhost', 'a b', 'a/b', 'a\0b', 'localhost:x', 'localhost:99999', '[::1')),
    ('8.3.1', 'OPTIONS *', [get(1, '*', method='OPTIONS')], answer(200)),
    ('8.5', 'CONNECT', head((':method', 'CONNECT'), (':authority', 'localhost:443')), answer(400, 403, 405, 501)),
    ('8.5', 'CONNECT with :scheme', head((':method', 'CONNECT'), (':authority', 'localhost:443'), (':scheme', 'http')), MALFORMED),
    ('8.5', 'CONNECT with :path', head((':method', 'CONNECT'), (':authority', 'localhost:443'), (':path', '/')), MALFORMED),
    ('8.5', 'CONNECT without :authority', head((':method', 'CONNECT')), MALFORMED),
    ('8441 4', ':protocol with GET', head(*request_fields(), (':protocol', 'websocket')), MALFORMED),
    ('8441 4', ':protocol twice', [headers(1, request_fields('/ws', 'CONNECT') + [(':protocol', 'websocket')] * 2, END_HEADERS)], MALFORMED),
    *(('8441 4', 'extended CONNECT without ' + name,
       [headers(1, [f for f in request_fields('/ws', 'CONNECT') if f[0] != name] + [(':protocol', 'websocket')], END_HEADERS)], MALFORMED)
      for name in (':scheme', ':path', ':authority')),
    ('8441 4', 'an unknown :protocol', [headers(1, request_fields('/ws', 'CONNECT') + [(':protocol', 'smoke')], END_HEADERS)], answer(400, 501)),
    ('8441 5', 'websocket where nothing takes it', [headers(1, request_fields('/', 'CONNECT') + [(':protocol', 'websocket')], END_HEADERS)],
     answer(400, 403, 404, 405, 501)),
    *(('9218 4', 'priority: ' + value, bad(('priority', value)), answer(200)) for value in ('u=0', 'u=7, i', 'i=?0', 'u=9', 'u=', '(((', '\xff', 'u=1;x=2, y')),
    ('9218 7.1', 'PRIORITY_UPDATE', [get(1, '/silent') + priority_update(1, b'u=0') + priority_update(1, b'u=7, i')], ALIVE),
    ('9218 7.1', 'PRIORITY_UPDATE of an idle stream', [priority_update(1, b'u=0') + get(1)], answer(200)),
    ('9218 7.1', 'PRIORITY_UPDATE that says nothing', [OPEN + priority_update(1, b'')], ALIVE),
)


# ---------------------------------------------------------------- the judge

def play(c, steps):
    if not isinstance(steps[0], Wait) and not steps[0].startswith(PREFACE):
        c.send(START)
    for step in steps:
        if not isinstance(step, Wait):
            c.send(step)
        elif step > 0:
            c.response(int(step))
        else:
            c.until(lambda: -step in c.streams and c.streams[-step].fields is not None, 'a head')


def serves(c, n=0x3fffff01):
    """Nothing of what was said ends the connection: a ping and a new request are answered."""
    c.alive()
    s = c.request(n)
    if s.status != 200 or bytes(s.body) != b'index\n' or not s.ended:
        raise AssertionError('stream %d: %s %r; frames: %s' % (n, s.status, s.code, c.story()))


def ended_with(c, codes):
    how = c.ending()
    if how not in codes:
        raise AssertionError('the connection ended with %s; frames: %s' % (how, c.story()))


def judge(c, want):
    n = want.stream
    known = lambda: n in c.streams and c.streams[n].over  # noqa: E731
    s = c.stream(n)
    code = lambda: None if s.code is None else code_name(s.code)  # noqa: E731
    fail = lambda text: AssertionError('%s: stream %d: status %s, %s; frames: %s' % (text, n, s.status, code(), c.story()))  # noqa: E731
    if want.kind == 'conn':
        ended_with(c, want.values)
    elif want.kind == 'alive':
        serves(c)
        if any(f.kind == RST_STREAM for f in c.frames):
            raise fail('a stream was reset')
    elif want.kind == 'answer':
        c.response(n)
        if s.status not in want.values or not s.ended or s.code not in (None, 0):
            raise fail('another answer')
        serves(c)
    elif want.kind == 'served':                 # nothing may be asked behind it
        c.response(n)
        if s.status not in want.values or not s.ended:
            raise fail('another answer')
    elif want.kind == 'stream':
        c.until(known, 'stream %d ends' % n)
        if code() not in want.values:
            raise fail('another error')
        serves(c)
    elif want.kind == 'malformed':
        c.until(known, 'stream %d ends' % n)
        if code() not in want.values and not (s.status == 400 and s.ended):
            raise fail('it was taken')
        serves(c)
    elif want.kind == 'either':
        c.until(lambda: s.code is not None or c.eof, 'stream or connection ends')
        if s.code is None or c.eof:
            ended_with(c, want.values[1])
        elif code() not in want.values[0]:
            raise fail('another error')
        else:
            serves(c)
    elif want.kind == 'ignored':                # or not: all of it is allowed
        c.send(ping(b'ignored?'))
        c.until(lambda: c.eof or b'ignored?' in c.pings, 'an answer')
        if c.eof:
            ended_with(c, want.values)
        elif s.code not in (None, 0) and code() not in want.values:
            raise fail('another error')
        else:
            serves(c)
    elif want.kind == 'alive or':
        c.send(ping(b'ignored?'))
        c.until(lambda: c.eof or b'ignored?' in c.pings, 'an answer')
        if c.eof:
            ended_with(c, want.values)
        else:
            serves(c)
    elif want.kind == 'no ping':
        serves(c)
        if want.values[0] in c.pings:
            raise fail('the acknowledgement of a ping was answered')
    else:
        raise ValueError(want.kind)


class Rows(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF).start()
        cls.worker = cls.s.role('bulkhead-child')

    def tearDown(self):
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-2000:])

    def rows(self, table, tls):
        for section, what, steps, want in table:
            with self.subTest(section + ': ' + what), Client.over(self.s, tls, b'') as c:
                play(c, steps)
                judge(c, want)

    def test_frames(self):
        self.rows(FRAMES, False)

    def test_frames_over_tls(self):
        self.rows(FRAMES, True)

    def test_messages(self):
        self.rows(MESSAGES, False)

    # ---------------------------------------------------------------- 3: how it begins

    def test_beginning(self):
        for what, start, codes in (
                ('4.3: PING first', PREFACE + ping(), ['PROTOCOL_ERROR']),
                ('4.3: a request first', PREFACE + get(1), ['PROTOCOL_ERROR']),
                ('4.3: an acknowledgement first', PREFACE + settings(flags=ACK), ['PROTOCOL_ERROR', 'eof']),
                ('3.4: half of it, and rubbish', PREFACE[:18] + b'rubbish', ['PROTOCOL_ERROR', 'eof']),
                ('3.4: the wrong end', PREFACE[:20] + b'\n\n\n\n' + settings(), ['PROTOCOL_ERROR', 'eof'])):
            with self.subTest(what), Client.over(self.s, True, start) as c:
                ended_with(c, codes)
        for what, start in (('a request of HTTP/1.1', b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), ('rubbish', b'rubbish' * 9)):
            with self.subTest(what), Client.over(self.s, True, start) as c:
                try:
                    ended_with(c, ['PROTOCOL_ERROR', 'eof'])
                except Broken:          # it may be told so in HTTP/1.1
                    self.assertFalse(c.goaways)

    def test_preface_in_pieces(self):
        for tls in False, True:
            with self.subTest(tls=tls), Client.over(self.s, tls, b'') as c:
                for part in cut(PREFACE + settings() + get(1), 5):
                    c.sock.sendall(part)
                c.offered.append({})
                self.assertEqual(c.response(1).status, 200)

    def test_settings(self):
        """6.5.3: each is acknowledged; the server's own come first; 8441: it takes extended CONNECT."""
        with Client.over(self.s, start=START + settings((MAX_LIST, 5)) * 3) as c:
            c.until(lambda: c.acks == 4, 'four acknowledgements')
            self.assertGreaterEqual(c.settings[MAX_STREAMS], 1)
            self.assertEqual(c.settings.get(ENABLE_CONNECT, 0), 1)
            serves(c)

    def test_too_many_streams(self):
        """5.1.2: what is more than allowed is refused; who is refused can ask again."""
        with Client.over(self.s) as c:
            c.until(lambda: c.acks, 'settings')
            c.alive()
            most = c.settings[MAX_STREAMS]
            c.send(b''.join(post(1 + 2 * i, '/silent') for i in range(most + 1)))
            last = c.stream(1 + 2 * most)
            c.until(lambda: c.eof or last.over, 'an end')
            if c.eof:
                ended_with(c, ['PROTOCOL_ERROR', 'REFUSED_STREAM', 'ENHANCE_YOUR_CALM'])
            else:
                self.assertIn(code_name(last.code), ('PROTOCOL_ERROR', 'REFUSED_STREAM'))
                c.send(rst(1))
                serves(c)

    # ---------------------------------------------------------------- 5.2, 6.9: flow control

    def test_windows_are_kept(self):
        """Client looks at each frame; here they are small, grow, shrink below zero, and are closed."""
        with Client.over(self.s, start=PREFACE + settings((INITIAL_WINDOW, 0)), widens=False) as c:
            c.send(get(1, '/stream?n=40000'))
            s = c.until(lambda: c.streams.get(1), 'a head')
            c.alive()
            self.assertEqual(len(s.body), 0)
            c.send(window(1, 1))
            c.until(lambda: len(s.body) == 1, 'one byte')
            c.send(settings((INITIAL_WINDOW, 5000)))
            c.until(lambda: len(s.body) == 5001, 'what the window holds')
            c.send(settings((INITIAL_WINDOW, 10)))
            c.alive()
            c.send(window(1, 4990))             # up to nothing
            c.alive()
            self.assertEqual(len(s.body), 5001)
            c.send(window(1, 20))
            c.until(lambda: len(s.body) == 5021, 'what came on top')
            c.send(window(1, 1 << 20) + get(3, '/stream?n=80000'))      # now all wait for the connection's
            c.until(lambda: s.ended, 'the end')
            c.send(window(3, 1 << 20))
            t = c.stream(3)
            c.until(lambda: c.window == 0, 'the connection\'s window is used up')
            c.alive()
            c.send(window(0, 1 << 20))
            c.until(lambda: t.ended and len(t.body) == 80000, 'the rest')

    def test_the_window_of_the_server(self):
        """A client that sends more than it may: FLOW_CONTROL_ERROR. Padding counts, and what it may send comes back as it is read."""
        with Client.over(self.s) as c:
            c.until(lambda: c.acks, 'settings')
            c.send(post(1, '/silent'))
            sent, first = 0, c.settings.get(INITIAL_WINDOW, 65535)
            for i in range(200):                # test-silent reads all: what it has read may be sent again
                part = padded(DATA, 0, 1, b'x' * 16000, 255) if i % 2 else data(1, b'x' * 16384, False)
                sent += len(part) - 9
                c.until(lambda: sent <= first + c.updates[1] and sent <= 65535 + c.updates[0], 'the window opens; %d bytes were sent' % sent)
                c.send(part)
            c.alive()
            self.assertFalse(c.stream(1).over, c.story())
        with Client.over(self.s) as c:          # nobody reads the body of a file's request: it may be refused, dropped, or held
            c.until(lambda: c.settings is not None, 'settings')
            c.acknowledges = c.widens = False
            c.send(post(1, '/stream?n=100000000'))
            c.until(lambda: c.streams.get(1) and c.streams[1].fields, 'a head')
            for _ in range(600):
                if not c.send(data(1, b'x' * 16384, False)):
                    break
            c.until(lambda: c.eof or c.streams[1].over, 'an end')
            self.assertIn(code_name(c.goaways[-1][1]) if c.goaways else code_name(c.streams[1].code or 0), ('FLOW_CONTROL_ERROR', 'NO_ERROR'))

    # ---------------------------------------------------------------- 8: messages

    def test_without_body(self):
        with Client.over(self.s) as c:
            s = c.request(1, '/', method='HEAD')
            self.assertEqual((s.status, s.get('content-length'), s.ended), (200, '6', True))
            tag = s.get('etag')
            s = c.request(3, '/', ('if-none-match', tag))
            self.assertEqual((s.status, bytes(s.body), s.ended), (304, b'', True))
            s = c.request(5, '/', ('range', 'bytes=1-2'))
            self.assertEqual((s.status, bytes(s.body)), (206, b'nd'))

    def test_fields_of_requests(self):
        with Client.over(self.s) as c:
            s = c.request(1, '/seen', ('cookie', 'a=1'), ('cookie', 'b=2'), ('cookie', 'c=3'))
            self.assertEqual(s.get('x-cookie'), 'a=1; b=2; c=3')         # 8.2.3
            s = c.request(3, '/seen', authority='LocalHost:80')
            self.assertEqual(s.get('x-host').lower(), 'localhost:80')
            c.send(headers(5, request_fields('/seen')[:3] + [('host', 'localhost')]))
            self.assertEqual(c.response(5).get('x-host'), 'localhost')

    def test_continue(self):
        with Client.over(self.s) as c:
            c.send(post(1, '/echo', ('expect', '100-continue'), ('content-length', '5')))
            c.until(lambda: c.streams.get(1) and c.streams[1].interim, '100')
            self.assertEqual(c.streams[1].interim[0][0], 100)
            c.send(data(1, b'hello'))
            self.assertEqual(bytes(c.response(1).body), b'hello')
            c.send(post(3, '/missing', ('expect', '100-continue'), ('content-length', '5')))
            self.assertEqual(c.response(3).status, 404)
            serves(c)

    def test_answered_before_the_body(self):
        """8.1: the answer is whole; then the client may be told by NO_ERROR to stop sending. What it sends is dropped."""
        with Client.over(self.s) as c:
            c.send(post(1, '/missing', ('content-length', '100000')) + data(1, b'x' * 1000, False))
            s = c.response(1)
            self.assertEqual((s.status, s.ended), (404, True))
            c.send(data(1, b'x' * 1000, False))
            serves(c)

    def test_many_streams_at_once(self):
        with Client.over(self.s, True) as c:
            c.until(lambda: c.settings is not None, 'settings')
            streams = range(1, 2 * min(c.settings[MAX_STREAMS], 100), 2)
            c.send(b''.join(get(n, '/stream?n=%d' % (n * 100)) for n in streams))
            for n in streams:
                s = c.response(n)
                self.assertEqual((s.status, len(s.body), s.ended), (200, n * 100, True))
            content = [b'%d ' % n * 300 for n in streams]
            c.send(b''.join(post(n + 1000) for n in streams))
            c.send(b''.join(data(n + 1000, part[:100], False) for n, part in zip(streams, content)))
            c.send(b''.join(data(n + 1000, part[100:]) for n, part in zip(reversed(streams), reversed(content))))
            for n, part in zip(streams, content):
                self.assertEqual(bytes(c.response(n + 1000).body), part)

    def test_a_head_that_waits_for_others(self):
        """Requests are begun some at a time. Each comes to its end, though nothing follows it: whole, of one field, or not of any."""
        for fields in (request_fields('/stream?n=10'), [(':method', 'GET')], []):
            for before in range(30, 36):
                with self.subTest(fields=fields, before=before), Client.over(self.s, widens=False) as c:
                    c.alive()
                    c.send(b''.join(get(n, '/stream?n=10') for n in range(1, 2 * before, 2)) + headers(2 * before + 1, fields))
                    for n in range(1, 2 * before, 2):
                        self.assertEqual(len(c.response(n).body), 10)
                    s = c.response(2 * before + 1)
                    self.assertEqual((s.status, s.code), (200, None) if len(fields) > 1 else (None, CODES.index('PROTOCOL_ERROR')))

    def test_priority(self):
        """9218: what is urgent comes first, when both are ready and only the connection's window holds them up."""
        with Client.over(self.s, start=PREFACE + settings((INITIAL_WINDOW, 1 << 20)), widens=False) as c:
            c.send(get(1, '/stream?n=1000000', ('priority', 'u=7')))
            c.until(lambda: c.window == 0, 'the window is used up')
            c.send(get(3, '/stream?n=300000', ('priority', 'u=0')))
            c.until(lambda: c.streams[3].fields if 3 in c.streams else None, 'a head')
            c.alive()
            before = len(c.streams[1].body)
            c.send(window(0, 200000))
            c.until(lambda: c.window == 0, 'the window is used up')
            self.assertGreater(len(c.streams[3].body), 4 * (len(c.streams[1].body) - before))

    # ---------------------------------------------------------------- 3, 9: TLS and the way from HTTP/1.1

    def alpn(self, *offered, ctx=None):
        ctx = ctx or context()
        ctx.set_alpn_protocols(offered)
        with self.s.connect(ctx=ctx) as c:
            return c.sock.selected_alpn_protocol()

    def test_alpn(self):
        self.assertEqual(self.alpn('h2'), 'h2')
        self.assertEqual(self.alpn('h2', 'http/1.1'), 'h2')
        self.assertEqual(self.alpn('http/1.1'), 'http/1.1')
        self.assertIn(self.alpn('h2c', 'http/1.1'), (None, 'http/1.1'))          # 3.1: h2c is not for TLS

    def test_suites_that_are_forbidden(self):
        """9.2.2: with a suite of the black list there is no h2, or it ends with INADEQUATE_SECURITY."""
        ctx = context(ssl.TLSVersion.TLSv1_2)
        ctx.set_ciphers('ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0')
        ctx.set_alpn_protocols(['h2', 'http/1.1'])
        try:
            with self.s.connect(ctx=ctx) as conn:
                if conn.sock.selected_alpn_protocol() == 'h2':
                    c = Client(conn.sock)
                    c.send(START)
                    ended_with(c, ['INADEQUATE_SECURITY'])
                else:
                    self.assertEqual(conn.request('/').status, 200)
        except ssl.SSLError:            # no suite in common
            pass

    UPGRADE = 'GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n'
    ASKS = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'
    CODED = base64.urlsafe_b64encode(struct.pack('>HI', INITIAL_WINDOW, 3)).decode().rstrip('=')

    def test_upgrade(self):
        """RFC 7540, 3.2: 101, then the answer on stream 1, by the settings of the head."""
        with self.s.connect() as h1:
            h1.send(self.UPGRADE % ('', self.ASKS + 'HTTP2-Settings: %s\r\n' % self.CODED))
            answer = h1.head()
            self.assertEqual((answer.status, answer.headers.get('upgrade'), answer.headers.get('connection', '').lower()), (101, 'h2c', 'upgrade'))
            c = Client(h1.sock)
            c.buf, c.initial = h1.buf, 3
            c.send(START)
            s = c.stream(1)
            c.until(lambda: len(s.body) == 3, 'three bytes')
            c.alive()
            self.assertEqual(bytes(s.body), b'ind')
            c.send(window(1, 50))
            c.until(lambda: s.ended, 'the end')
            c.send(data(1, b'x'))               # it is half-closed, or closed
            c.until(lambda: c.eof or s.over, 'an answer')
        with self.s.connect() as h1:            # no preface behind it
            h1.send(self.UPGRADE % ('', self.ASKS + 'HTTP2-Settings: AAMAAABk\r\n'))
            self.assertEqual(h1.head().status, 101)
            c = Client(h1.sock)
            c.buf = h1.buf
            c.send(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
            ended_with(c, ['PROTOCOL_ERROR', 'eof'])

    def test_upgrade_with_wrong_settings(self):
        wrong = base64.b64encode(struct.pack('>HI', ENABLE_PUSH, 7)).decode()
        with self.s.connect() as h1:
            h1.send(self.UPGRADE % ('', self.ASKS + 'HTTP2-Settings: %s\r\n' % wrong))
            answer = h1.head()
            if answer.status == 101:
                c = Client(h1.sock)
                c.buf = h1.buf
                ended_with(c, ['PROTOCOL_ERROR'])
            else:
                self.assertIn(answer.status, (200, 400))

    def test_no_upgrade(self):
        coded = 'HTTP2-Settings: AAMAAABk\r\n'
        for what, fields in (
                ('no settings', self.ASKS), ('settings twice', self.ASKS + coded * 2), ('settings not in base64', self.ASKS + 'HTTP2-Settings: %%\r\n'),
                ('not as long as settings are', self.ASKS + 'HTTP2-Settings: AAMA\r\n'), ('h2', self.ASKS.replace('h2c', 'h2') + coded),
                ('not in Connection', 'Upgrade: h2c\r\n' + coded), ('settings not in Connection', 'Connection: Upgrade\r\nUpgrade: h2c\r\n' + coded)):
            with self.subTest(what), self.s.connect() as c:
                c.send(self.UPGRADE % ('', fields))
                answer = c.response()
                self.assertIn(answer.status, (200, 400))
                if answer.status == 200:
                    self.assertEqual(answer.body, b'index\n')
        with self.s.connect(tls=True) as c:     # 3.2: not over TLS
            c.send(self.UPGRADE % ('', self.ASKS + coded))
            self.assertEqual(c.response().status, 200)


class Back(Backend):
    """A server behind that keeps all that came on each connection, and answers what is whole with its own head."""

    def __init__(self):
        self.seen, self.closed = [], []
        self.lock = threading.Lock()
        super().__init__()

    @staticmethod
    def length(data):
        """Of the first request; None: it is not whole."""
        head, end, body = data.partition(b'\r\n\r\n')
        fields = head.lower()
        if not end:
            return None
        if b'transfer-encoding: chunked' in fields:
            return len(head) + 4 + body.index(b'0\r\n\r\n') + 5 if b'0\r\n\r\n' in body else None
        n = re.search(rb'content-length: (\d+)', fields)
        whole = len(head) + 4 + (int(n[1]) if n else 0)
        return whole if len(data) >= whole else None

    def serve(self, s):
        with self.lock:
            at = len(self.seen)
            self.seen.append(b'')
            self.closed.append(False)
        with s:
            data = b''
            while True:
                more = s.recv(65536)
                if not more:
                    self.closed[at] = True
                    return
                self.seen[at] += more
                data += more
                n = self.length(data)
                if n:
                    head, data = data[:n].split(b'\r\n\r\n')[0], data[n:]
                    s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(head) + head)


class Behind(ServerTest):
    """What a client of HTTP/2 sends is written in HTTP/1 for servers behind: nothing of it may be read there as something else."""

    @classmethod
    def setUpClass(cls):
        cls.back = Back()
        cls.addClassCleanup(cls.back.listener.close)
        cls.s = cls.shared('Protocols h2c http/1.1\nStartServers 1\nServerLimit 1\nProxyPass "/" "http://127.0.0.1:%d/"\n' % cls.back.port).start()

    def head(self, s):
        self.assertEqual((s.status, s.ended), (200, True))
        lines = bytes(s.body).decode('latin-1').split('\r\n')
        return lines[0], dict((line.lower().split(': ', 1) + [''])[:2] for line in lines[1:])

    def test_heads(self):
        with Client.over(self.s) as c:
            line, fields = self.head(c.request(1, '/a?b=c%0d%0aX:%20y', ('cookie', 'a=1'), ('x', ''), ('cookie', 'b=2'), ('te', 'trailers'), ('y', 'z\xff')))
            self.assertEqual(line, 'GET /a?b=c%0d%0aX:%20y HTTP/1.1')
            self.assertEqual((fields['cookie'], fields['x'], fields['y']), ('a=1; b=2', '', 'z\xff'))
            self.assertFalse([name for name in fields if name.startswith(':') or name in ('transfer-encoding', 'http2-settings', 'content-length')])
            c.send(post(3, '/p') + data(3, b'GET /evil HTTP/1.1\r\n\r\n', False) + headers(3, TRAILER))
            line, fields = self.head(c.response(3))
            self.assertEqual((line, fields.get('transfer-encoding', 'chunked')), ('POST /p HTTP/1.1', 'chunked'))
            c.send(post(5, '/q', ('content-length', '5')) + data(5, b'hello'))
            self.assertEqual(self.head(c.response(5))[1]['content-length'], '5')

    def test_bodies_that_are_not_whole(self):
        """The connection behind on which a body stays short is closed: nothing of the next request may be taken for its rest."""
        for what, frames in (
                ('less than its length', [post(1, '/short', ('content-length', '50')), data(1, b'x' * 20)]),
                ('more than its length', [post(1, '/short', ('content-length', '50')), data(1, b'x' * 20, False), data(1, b'x' * 31)]),
                ('reset with a length', [post(1, '/short', ('content-length', '50')), data(1, b'x' * 20, False), rst(1)]),
                ('reset in chunks', [post(1, '/short'), data(1, b'x' * 20, False), rst(1)]),
                ('reset before its body', [post(1, '/short', ('content-length', '50')), rst(1)])):
            with self.subTest(what), Client.over(self.s) as c:
                for part in frames:
                    c.send(part)
                    c.alive()                   # each part has been handed on
                self.assertEqual(self.head(c.request(3, '/next'))[0], 'GET /next HTTP/1.1')
                for i, seen in list(enumerate(self.back.seen)):
                    at = seen.rfind(b'POST /short')
                    if at >= 0 and not Back.length(seen[at:]):
                        self.assertNotIn(b'/next', seen[at:])
                        wait_for(lambda i=i: self.back.closed[i], 'the connection behind is closed')
        # What is reset at once may never have been handed on.
        wait_for(lambda: sum(seen.count(b'POST /short') for seen in self.back.seen) >= 3, 'most of them came')


if __name__ == '__main__':
    unittest.main()
