"""h2raw.py - HTTP/2 by hand, so that each byte of it can be wrong: frames, field blocks, and a client that only reads and counts.

    c = Client(sock)            # a connected socket, plain or TLS; or Client.over(server, tls=True)
    c.send(PREFACE + settings() + get(1, '/'))
    c.response(1)               # Stream: status, fields, body, trailers …
    c.ending()                  # the error code of GOAWAY, or 'eof'

What it is told to send goes out as it is. What comes is held to RFC 9113 frame by frame, whatever the test is about: sizes, order,
flow control, field blocks, the rules for fields of a response. A server that breaks one of them fails the test with Broken.
All waiting has one long deadline (PATIENCE), for a machine that has other things to do.
"""
import collections
import select
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
KINDS = 'DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION'.split()
END_STREAM = ACK = 1
END_HEADERS, PADDED, WEIGHTED = 4, 8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST, ENABLE_CONNECT, NO_PRIORITIES = 1, 2, 3, 4, 5, 6, 8, 9
CODES = ('NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM CANCEL '
         'COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED').split()
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
PATIENCE = 60

STATIC = '''\
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304
:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length
content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server
set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'''
STATIC = [tuple(entry.partition(' ')[::2]) for entry in STATIC.replace('\n', '|').split('|')]

# The code of RFC 7541, appendix B, is canonical: the symbols of each length, in order, are all there is to it.
LENGTHS = {
    5: b'012aceiost', 6: b' %-./3456789=A_bdfghlmnpru', 7: b':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz', 8: b'&*,;XZ', 10: b'!"()?', 11: b"'+|",
    12: b'#>', 13: b'\0$@[]~', 14: b'^}', 15: b'<`{', 19: [92, 195, 208], 20: [128, 130, 131, 162, 184, 194, 224, 226],
    21: [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230],
    22: [129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233],
    23: [1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197,
         231, 239],
    24: [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237], 25: [199, 207, 234, 235],
    26: [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
    27: [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254],
    28: [2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249], 30: [10, 13, 22, 256]}


def huffman_codes():
    codes, code, last = {}, 0, 0
    for length, symbols in LENGTHS.items():
        code, last = code << (length - last), length
        for symbol in symbols:
            codes[length, code] = symbol
            code += 1
    return codes


HUFFMAN = huffman_codes()


class Broken(AssertionError):
    """The server did what RFC 9113 or RFC 7541 forbids."""


# ---------------------------------------------------------------- what a client sends

def frame(kind, flags=0, stream=0, payload=b'', length=None):
    return struct.pack('>I', len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def integer(value, bits, first=0):
    """RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def octets(text):
    data = text if isinstance(text, bytes) else text.encode('latin-1')
    return integer(len(data), 7) + data


def literal(name, value, index=False):
    """A field line without Huffman, in the dynamic table if `index`; a number for a name is an index."""
    first, bits = (0x40, 6) if index else (0, 4)
    if isinstance(name, int):
        return integer(name, bits, first) + octets(value)
    return bytes([first]) + octets(name) + octets(value)


def indexed(n):
    return integer(n, 7, 0x80)


def table_size(n):
    return integer(n, 5, 0x20)


def block(fields, index=False):
    return b''.join(literal(name, value, index) for name, value in fields)


def request_fields(path='/', method='GET', extra=(), scheme='http', authority='localhost'):
    return [(':method', method), (':scheme', scheme), (':path', path), (':authority', authority), *extra]


def headers(stream, fields, flags=END_STREAM | END_HEADERS, index=False):
    return frame(HEADERS, flags, stream, fields if isinstance(fields, bytes) else block(fields, index))


def get(stream, path='/', *extra, method='GET', **kw):
    return headers(stream, request_fields(path, method, extra, **kw))


def post(stream, path='/echo', *extra, method='POST', **kw):
    """The head of a request whose body is still to come."""
    return headers(stream, request_fields(path, method, extra, **kw), END_HEADERS)


def data(stream, content=b'', end=True):
    return frame(DATA, END_STREAM if end else 0, stream, content)


def settings(*pairs, flags=0, stream=0):
    return frame(SETTINGS, flags, stream, b''.join(struct.pack('>HI', *pair) for pair in pairs))


def ping(content=b'12345678', flags=0, stream=0):
    return frame(PING, flags, stream, content)


def window(stream, n):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack('>I', n))


def rst(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack('>I', code))


def goaway(code=0, last=0, debug=b'', stream=0):
    return frame(GOAWAY, 0, stream, struct.pack('>II', last, code) + debug)


def priority(stream, on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack('>IB', on, weight))


def priority_update(stream, value, on=0):
    return frame(PRIORITY_UPDATE, 0, on, struct.pack('>I', stream) + value)


START = PREFACE + settings()


# ---------------------------------------------------------------- what a server sends

class Decoder:
    """Field blocks back into field lines (RFC 7541); what it is given is a server's, so it is strict."""

    def __init__(self):
        self.table, self.limit, self.allowed = collections.deque(), 4096, 4096

    def integer(self, p, at, bits):
        value = p[at] & (1 << bits) - 1
        at += 1
        if value == (1 << bits) - 1:
            shift = 0
            while True:
                value += (p[at] & 127) << shift
                shift += 7
                at += 1
                if p[at - 1] < 128:
                    break
        return value, at

    def string(self, p, at):
        packed = p[at] & 128
        n, at = self.integer(p, at, 7)
        if at + n > len(p):
            raise Broken('a string of a field block ends behind it')
        text = p[at:at + n]
        return (self.unpack(text) if packed else text).decode('latin-1'), at + n

    @staticmethod
    def unpack(text):
        out, code, length = bytearray(), 0, 0
        for byte in text:
            for bit in range(7, -1, -1):
                code, length = code << 1 | byte >> bit & 1, length + 1
                symbol = HUFFMAN.get((length, code))
                if symbol is not None:
                    out.append(symbol)
                    code, length = 0, 0
        if length > 7 or code != (1 << length) - 1:
            raise Broken('a Huffman string is padded with %d bits %x' % (length, code))
        return bytes(out)

    def entry(self, index):
        if not 0 < index <= len(STATIC) + len(self.table):
            raise Broken('no field has the index %d' % index)
        return STATIC[index - 1] if index <= len(STATIC) else self.table[index - len(STATIC) - 1]

    def shrink(self):
        while sum(len(n) + len(v) + 32 for n, v in self.table) > self.limit:
            self.table.pop()

    def decode(self, p):
        fields, at = [], 0
        while at < len(p):
            first = p[at]
            if first & 0x80:
                index, at = self.integer(p, at, 7)
                fields.append(self.entry(index))
                continue
            if first & 0xe0 == 0x20:
                self.limit, at = self.integer(p, at, 5)
                if fields or self.limit > self.allowed:
                    raise Broken('a table size of %d where %d is allowed, behind %d fields' % (self.limit, self.allowed, len(fields)))
                self.shrink()
                continue
            index, at = self.integer(p, at, 6 if first & 0x40 else 4)
            if index:
                name = self.entry(index)[0]
            else:
                name, at = self.string(p, at)
            value, at = self.string(p, at)
            fields.append((name, value))
            if first & 0x40:
                self.table.appendleft((name, value))
                self.shrink()
        return fields


Frame = collections.namedtuple('Frame', 'kind flags stream payload')


def show(f):
    kind = KINDS[f.kind] if f.kind < len(KINDS) else str(f.kind)
    text = '%s%s on %d, %d bytes' % (kind, ' %#x' % f.flags if f.flags else '', f.stream, len(f.payload))
    if f.kind == GOAWAY:
        text += ': %s %r' % (code_name(struct.unpack('>I', f.payload[4:8])[0]), f.payload[8:])
    if f.kind == RST_STREAM:
        text += ': ' + code_name(struct.unpack('>I', f.payload)[0])
    return text


def code_name(code):
    return CODES[code] if code < len(CODES) else str(code)


class Stream:
    """What came on one stream. `fields`: of the response, a list; `code`: of RST_STREAM."""

    def __init__(self, window_size):
        self.status, self.fields, self.trailers, self.interim, self.body = None, None, None, [], bytearray()
        self.ended, self.code, self.window, self.head = False, None, window_size, False

    def get(self, name):
        return ', '.join(value for n, value in self.fields or () if n == name) or None

    @property
    def over(self):
        return self.ended or self.code is not None


class Client:
    """A connection. What it does by itself: settings are acknowledged, pings answered, windows widened, unless told otherwise."""

    def __init__(self, sock, acknowledges=True, widens=True):
        self.sock, self.buf, self.decoder, self.frames, self.sent = sock, b'', Decoder(), [], 0
        self.acknowledges, self.widens = acknowledges, widens
        self.streams, self.goaways, self.settings, self.pings, self.acks, self.eof = {}, [], None, [], 0, False
        self.updates = collections.Counter()    # what the server has let us send more, by stream
        self.heads = set()              # streams whose request is HEAD
        self.window, self.initial, self.offered = 65535, 65535, []       # INITIAL_WINDOW counts once it is acknowledged
        self.fragments, self.of, self.last_id, self.broken = None, None, 0, None

    @classmethod
    def over(cls, server, tls=False, start=START, port=None, small=False, **kw):
        """`small`: what the server sends and we do not read stays with the server."""
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(PATIENCE)
        sock.connect(('127.0.0.1', port or (server.tls_port if tls else server.port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
            ctx.set_alpn_protocols(['h2'])
            try:
                sock = ctx.wrap_socket(sock, server_hostname='localhost')
            except BaseException:
                sock.close()
                raise
        client = cls(sock, **kw)
        client.send(start)
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, content):
        """All of it, while nothing is read: no more than the buffers of both sides hold. False where the server has closed."""
        self.sock.settimeout(PATIENCE)
        self.note(content)
        try:
            self.sock.sendall(content)
            return True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            return False

    def flood(self, content, reads=True, quiet=1.0):
        """Sends as much of it as the server takes: 'taken' all of it; 'ended', it has closed; 'held', it took nothing for `quiet` seconds.
        For plain connections. Frames that come meanwhile are looked at only where `reads` is true."""
        self.note(content)
        view, at = memoryview(content), 0
        self.sock.settimeout(0)
        while at < len(view):
            readable, writable, _ = select.select([self.sock] if reads else [], [self.sock], [], quiet)
            if not readable and not writable:
                return 'held'
            try:
                if readable:
                    more = self.sock.recv(1 << 18)
                    self.eof = not more
                    self.buf += more
                    while self.next(0):
                        self.sock.settimeout(0)
                    self.sock.settimeout(0)
                    if not more:
                        return 'ended'
                if writable:
                    at += self.sock.send(view[at:at + 65536])
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self.drain()
                return 'ended'
        return 'taken'

    def drain(self):
        """What came before the end of a connection that cannot be written to any more."""
        while self.next(5):
            pass

    def note(self, content):
        """Whole frames of ours that change what the server may do."""
        at = len(PREFACE) if content.startswith(PREFACE) else 0
        while at + 9 <= len(content):
            n, kind, flags = int.from_bytes(content[at:at + 3], 'big'), content[at + 3], content[at + 4]
            stream, payload = struct.unpack('>I', content[at + 5:at + 9])[0] & 0x7fffffff, content[at + 9:at + 9 + n]
            at += 9 + n
            if kind == SETTINGS and not flags & ACK and n % 6 == 0:
                self.offered.append(dict(struct.unpack('>HI', payload[i:i + 6]) for i in range(0, n, 6)))
            elif kind == WINDOW_UPDATE and n == 4:
                more = struct.unpack('>I', payload)[0] & 0x7fffffff
                if stream:
                    self.stream(stream).window += more
                else:
                    self.window += more

    def stream(self, n):
        if n not in self.streams:
            self.streams[n] = Stream(self.initial)
        return self.streams[n]

    # ------------------------------------------------ reading

    def take(self, n, deadline):
        while len(self.buf) < n:
            left = deadline - time.monotonic()
            if left <= 0 or self.eof:
                return None
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                more = b''
            except (socket.timeout, ssl.SSLWantReadError):
                return None
            if not more:
                self.eof = True
                return None
            self.buf += more
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def next(self, timeout=PATIENCE):
        """The next frame, once all its consequences are noted; None: none came in time, or no more will (then `eof`)."""
        deadline = time.monotonic() + timeout
        head = self.take(9, deadline)
        if not head:
            return None
        n, stream = int.from_bytes(head[:3], 'big'), struct.unpack('>I', head[5:])[0]
        payload = self.take(n, deadline)
        if payload is None:
            if not self.eof:
                self.buf = head + self.buf
            return None
        f = Frame(head[3], head[4], stream, payload)
        self.frames.append(f)
        try:
            self.arrived(f, n)
        except Broken as e:
            raise Broken('%s; frames: %s' % (e, self.story())) from None
        return f

    def must(self, condition, text):
        if not condition:
            raise Broken(text)

    def arrived(self, f, n):
        self.must(n <= 16384, 'a frame of %d bytes' % n)
        self.must(f.stream < 1 << 31, 'the reserved bit is set')
        self.must(len(self.frames) > 1 or f.kind == SETTINGS and not f.flags & ACK, 'the first frame is %s' % show(f))
        self.must(self.fragments is None or f.kind == CONTINUATION and f.stream == self.of, '%s inside of a field block' % show(f))
        self.must(f.kind != PUSH_PROMISE, 'a push')
        if f.kind in (DATA, HEADERS, RST_STREAM, CONTINUATION, PRIORITY):
            self.must(f.stream % 2 == 1, 'no request has %s' % show(f))
        if f.kind in (SETTINGS, PING, GOAWAY):
            self.must(f.stream == 0, show(f))
        if f.kind <= CONTINUATION:
            getattr(self, 'on_' + KINDS[f.kind].lower())(f)

    def on_settings(self, f):
        if not f.flags & ACK:
            self.must(len(f.payload) % 6 == 0, show(f))
            now = dict(struct.unpack('>HI', f.payload[i:i + 6]) for i in range(0, len(f.payload), 6))
            self.must(now.get(ENABLE_PUSH, 0) == 0 and now.get(INITIAL_WINDOW, 0) < 1 << 31 and 16384 <= now.get(MAX_FRAME, 16384) < 1 << 24,
                      'settings %r' % now)
            self.must(now.get(ENABLE_CONNECT, 0) in (0, 1) and now.get(NO_PRIORITIES, 0) in (0, 1), 'settings %r' % now)
            self.settings = {**(self.settings or {}), **now}
            if self.acknowledges:
                self.send(settings(flags=ACK))
            return
        self.must(not f.payload and self.offered, 'an acknowledgement of settings that were not sent')
        ours = self.offered.pop(0)
        self.acks += 1
        if INITIAL_WINDOW in ours:
            for s in self.streams.values():
                s.window += ours[INITIAL_WINDOW] - self.initial
            self.initial = ours[INITIAL_WINDOW]
        if HEADER_TABLE_SIZE in ours:
            self.decoder.allowed = ours[HEADER_TABLE_SIZE]

    def on_ping(self, f):
        self.must(len(f.payload) == 8, show(f))
        if f.flags & ACK:
            self.pings.append(f.payload)
        elif self.acknowledges:
            self.send(ping(f.payload, ACK))

    def on_goaway(self, f):
        self.must(len(f.payload) >= 8, show(f))
        last, code = struct.unpack('>II', f.payload[:8])
        self.must(not self.goaways or last <= self.goaways[-1][0], 'GOAWAY tells more than the one before')
        self.goaways.append((last, code))

    def on_window_update(self, f):
        self.must(len(f.payload) == 4 and 0 < struct.unpack('>I', f.payload)[0] < 1 << 31, show(f))
        self.updates[f.stream] += struct.unpack('>I', f.payload)[0]

    def on_rst_stream(self, f):
        self.must(len(f.payload) == 4, show(f))
        self.must(self.stream(f.stream).code is None, 'a second RST_STREAM')
        self.stream(f.stream).code = struct.unpack('>I', f.payload)[0]

    def on_priority(self, f):
        self.must(len(f.payload) == 5, show(f))

    def unpadded(self, f):
        if not f.flags & PADDED:
            return f.payload
        self.must(f.payload and f.payload[0] < len(f.payload), 'more padding than frame')
        end = len(f.payload) - f.payload[0]
        self.must(not any(f.payload[end:]), 'padding that is not zero')
        return f.payload[1:end]

    def on_data(self, f):
        s = self.stream(f.stream)
        s.window -= len(f.payload)
        self.window -= len(f.payload)
        self.must(s.fields is not None and not s.over, '%s, which has no head or is over' % show(f))
        self.must(not f.payload or s.window >= 0 and self.window >= 0,
                  'flow control: %s leaves %d of the stream, %d of all' % (show(f), s.window, self.window))
        s.body += self.unpadded(f)
        self.must(f.stream not in self.heads or not s.body, 'a body for HEAD')
        if f.flags & END_STREAM:
            self.ended(f, s)
        elif self.widens and f.payload and (s.window < 32768 or self.window < 32768):
            self.send(window(f.stream, 1 << 20) + window(0, 1 << 20))

    def on_headers(self, f):
        p = self.unpadded(f)
        self.fragments, self.of, self.last_flags = p[5:] if f.flags & WEIGHTED else p, f.stream, f.flags
        if f.flags & END_HEADERS:
            self.whole(f)

    def on_continuation(self, f):
        self.must(self.fragments is not None, 'CONTINUATION of nothing')
        self.fragments += f.payload
        if f.flags & END_HEADERS:
            self.whole(f)

    def whole(self, f):
        fields, self.fragments = self.decoder.decode(self.fragments), None
        s = self.stream(f.stream)
        self.must(not s.over, '%s, which is over' % show(f))
        names = [name for name, _ in fields]
        for name, value in fields:
            self.must(name and name == name.lower() and not set(name[1:]) & set(' :\0\r\n\t'), 'a field called %r' % name)
            self.must(value == value.strip(' \t') and not set(value) & set('\0\r\n'), 'the field %s: %r' % (name, value))
        for name in 'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade':
            self.must(name not in names, 'the field %s in a response' % name)
        if s.fields is not None:
            self.must(self.last_flags & END_STREAM and not any(n.startswith(':') for n in names), 'trailers %r' % fields)
            s.trailers = fields
        else:
            self.must(names.count(':status') == 1 and names[0] == ':status' and not any(n.startswith(':') for n in names[1:]), 'a head %r' % fields)
            status = int(fields[0][1])
            if status < 200:
                self.must(not self.last_flags & END_STREAM and status != 101, 'an interim response %r' % fields)
                s.interim.append((status, fields[1:]))
                return
            s.status, s.fields = status, fields[1:]
        if self.last_flags & END_STREAM:
            self.ended(f, s)

    def ended(self, f, s):
        s.ended = True
        length = s.get('content-length')
        if length is not None and f.stream not in self.heads and s.status != 304:
            self.must(int(length) == len(s.body), 'content-length %s, and %d bytes' % (length, len(s.body)))

    # ------------------------------------------------ waiting

    def story(self):
        return '; '.join(map(show, self.frames[-30:])) + (' [closed]' if self.eof else '')

    def until(self, condition, what, timeout=PATIENCE):
        """Reads until condition() is true: its value. Fails when the connection ends before."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if not self.next(max(0, end - time.monotonic())):
                value = condition()
                if value:
                    return value
                raise AssertionError('%s before %s; frames: %s' % ('closed' if self.eof else 'time is up', what, self.story()))

    def response(self, n):
        """The stream once it is over, by END_STREAM or a reset."""
        self.until(lambda: n in self.streams and self.streams[n].over, 'stream %d is over' % n)
        return self.streams[n]

    def request(self, n, path='/', *extra, **kw):
        if kw.get('method') == 'HEAD':
            self.heads.add(n)
        self.send(get(n, path, *extra, **kw))
        return self.response(n)

    def alive(self, token=b'are you?'):
        """A ping comes back: all that was sent before has been read."""
        self.send(ping(token))
        self.until(lambda: token in self.pings, 'the ping comes back')

    def ending(self):
        """Reads until the server has closed: the name of the last GOAWAY's error code, 'eof' without one."""
        self.until(lambda: self.eof, 'the server closes')
        return code_name(self.goaways[-1][1]) if self.goaways else 'eof'
