"""Bodies that are larger than any buffer, in both directions, through files, programs, servers behind and FastCGI: what the child holds meanwhile,
how much is taken from a program or server for a client that takes nothing, lengths beyond 2^32.

BULKHEAD_LARGE=5120 moves that many MiB each time, in place of 64, and prints what was measured.
"""
import os
import socket
import struct
import threading
import time
import unittest

from backend import Backend
from server import SANITIZED, SSL_ON, ServerTest, status_of, wait_for

SIZE = int(os.environ.get('BULKHEAD_LARGE', '64')) << 20
HUGE = 5 << 30                          # of sparse files, and of lengths that are said
ENDLESS = 1 << 40
GROWTH = 4096                           # KiB by which the child may grow: its buffers, what the C library keeps
HELD = 24 << 20                         # bytes that may lie on the way: the kernel's buffers of two connections, up to 6 MiB each end
CONF = '''
    StartServers 1
    ServerLimit 1
    LimitRequestBody 0
    Timeout 120
    RequestReadTimeout header=0 body=0
    ScriptAlias "/cgi-bin/" "@DIR@/cgi-bin/"
    ProxyPass "/http/" "http://127.0.0.1:@HTTP@/"
    ProxyPass "/fcgi/" "fcgi://127.0.0.1:@FCGI@/"
    <Location /limited>
        LimitRequestBody 1000
    </Location>
    <VirtualHost *:@TLS@>
        %s
    </VirtualHost>
''' % SSL_ON
SCRIPTS = {
    'send': '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\n\\n"\nexec head -c "$QUERY_STRING" /dev/zero\n',
    'count': '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nexec wc -c\n',
    'deaf': '#!/bin/sh\nread line <@DIR@/run/fifo\n',
    'length': '#!/bin/sh\necho "$CONTENT_LENGTH" >@DIR@/told/length\n',
}
BLOCK = bytes(1 << 20)


class Sized(Backend):
    """Serves connections in threads. GET /N sends N bytes, POST counts those of the body; `sent` and `got` tell how far it is."""

    def __init__(self):
        self.sent = self.got = 0
        self.reads = threading.Event()          # POST /wait does not read before
        super().__init__()

    def serve(self, sock):
        try:
            with sock, sock.makefile('rb') as f:
                self.talk(sock, f)
        except OSError:
            pass

    def send(self, sock, size, wrap=lambda block: block):
        while size > 0:
            block = memoryview(BLOCK)[:min(size, self.piece)]
            sock.sendall(wrap(block))
            self.sent += len(block)
            size -= len(block)

    def drain(self, f, size):
        room = memoryview(bytearray(1 << 18))
        while size > 0:
            n = f.readinto(room[:min(size, len(room))])
            if not n:
                return
            self.got += n
            size -= n


class Http(Sized):
    piece = 1 << 18

    def talk(self, sock, f):
        while True:
            line = f.readline().decode()
            if not line:
                return
            method, path = line.split(' ')[:2]
            fields = {}
            while True:
                name, _, value = f.readline().decode().strip().partition(':')
                if not name:
                    break
                fields[name.lower()] = value.strip()
            if method == 'POST':
                if path == '/wait':
                    self.reads.wait(60)
                if path == '/wait' or path == '/length':
                    f.read(path == '/length')               # what is not read would break the connection off, and the answer with it
                    answer = str(fields.get('content-length'))
                elif 'content-length' in fields:
                    self.drain(f, int(fields['content-length']))
                    answer = str(self.got)
                else:
                    answer = self.chunked(f)
                sock.sendall(('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(answer), answer)).encode())
                return
            sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % int(path[1:]))
            if method == 'GET':
                self.send(sock, int(path[1:]))

    def chunked(self, f):
        """Whatever the proxy makes of chunks: the first byte of the body is an answer enough where the rest never comes."""
        size = int(f.readline().split(b';')[0], 16)
        return '%d %s' % (size, f.read(1).decode())


class FastCgi(Sized):
    piece = 65528

    def record(self, kind, data):
        return struct.pack('>BBHHBB', 1, kind, 1, len(data), 0, 0) + data

    def params(self, f):
        data = b''
        while True:
            _, kind, _, n, padding, _ = struct.unpack('>BBHHBB', f.read(8))
            part = f.read(n + padding)[:n]
            if kind == 4 and not part:
                break
            if kind == 4:
                data += part
        found, at = {}, 0

        def length():
            nonlocal at
            n = data[at]
            at += 1 if n < 128 else 4
            return n if n < 128 else struct.unpack('>I', data[at - 4:at])[0] & 0x7fffffff
        while at < len(data):
            name, value = length(), length()
            found[data[at:at + name].decode()] = data[at + name:at + name + value].decode()
            at += name + value
        return found

    def talk(self, sock, f):
        params = self.params(f)
        if params['REQUEST_METHOD'] == 'POST':
            while True:
                n, padding = struct.unpack('>4xHBx', f.read(8))
                if not n:
                    break
                self.drain(f, n)
                f.read(padding)
            body = str(self.got).encode()
            sock.sendall(self.record(6, b'Content-Type: text/plain\r\n\r\n' + body))
        else:
            sock.sendall(self.record(6, b'Content-Type: application/octet-stream\r\n\r\n'))
            self.send(sock, int(params['REQUEST_URI'].rsplit('/', 1)[1]), lambda block: self.record(6, bytes(block)))
        sock.sendall(self.record(6, b'') + self.record(3, bytes(8)))


class Large(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.http, cls.fcgi = Http(), FastCgi()
        for backend in (cls.http, cls.fcgi):
            cls.addClassCleanup(backend.listener.close)
        cls.s = s = cls.shared(CONF.replace('@HTTP@', str(cls.http.port)).replace('@FCGI@', str(cls.fcgi.port)))
        for name, text in SCRIPTS.items():
            s.write('cgi-bin/' + name, text, 0o755)
        os.mkdir(s.path('told'))
        os.chmod(s.path('told'), 0o777)
        os.mkfifo(s.path('run/fifo'), 0o666)
        for name, size in (('size', SIZE), ('huge', HUGE)):
            with open(s.write('htdocs/' + name, ''), 'r+b') as f:
                f.truncate(size - 4)
                f.seek(size - 4)
                f.write(b'end\n')
        s.start()
        cls.child = wait_for(s.workers, 'a child')[0]
        cls.s.get('/')

    def memory(self, name):
        return int(status_of(self.child)[name].split()[0])

    def forget_peak(self):
        """VmHWM begins anew. False where that is not allowed: it stands for all of the child's life."""
        try:
            with open('/proc/%d/clear_refs' % self.child, 'w') as f:
                f.write('5')
            return True
        except OSError:
            return False

    def held(self, what, before, *more):
        grown = self.memory('VmHWM') - before
        if 'BULKHEAD_LARGE' in os.environ:
            print('\n%s: the child grows by %d KiB%s' % (what, grown, ''.join('; ' + m for m in more)))
        if not SANITIZED:
            self.assertLess(grown, GROWTH, what)

    def begin(self):
        self.http.sent = self.http.got = self.fcgi.sent = self.fcgi.got = 0
        return self.memory('VmRSS' if self.forget_peak() else 'VmHWM')

    def body(self, c, head):
        """The length of a body that is thrown away as it comes."""
        room, total = memoryview(bytearray(1 << 18)), 0
        chunked = head.headers.get('transfer-encoding') == 'chunked'
        if chunked:
            while True:
                size = left = int(c.line(), 16)
                while left:
                    part = min(left, len(c.buf))
                    if part:
                        c.buf = c.buf[part:]
                    else:
                        part = c.sock.recv_into(room[:min(left, len(room))])
                        self.assertTrue(part, 'the connection ends inside a chunk')
                    left -= part
                c.line()
                if not size:
                    return total
                total += size
        length = int(head.headers['content-length'])
        total, c.buf = len(c.buf), b''
        while total < length:
            n = c.sock.recv_into(room)
            self.assertTrue(n, 'the connection ends inside the body')
            total += n
        return total

    def download(self, path, tls=False):
        before, began = self.begin(), time.monotonic()
        with self.s.connect(tls, timeout=120) as c:
            c.send('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path)
            head = c.head()
            self.assertEqual((head.status, self.body(c, head)), (200, SIZE))
        self.held('%s of %d MiB%s' % (path, SIZE >> 20, ' in TLS' if tls else ''), before, '%.1f s' % (time.monotonic() - began))

    def upload(self, path, chunked=False):
        before, began = self.begin(), time.monotonic()
        with self.s.connect(timeout=120) as c:
            c.send('POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n' % (path, 'Transfer-Encoding: chunked' if chunked else 'Content-Length: %d' % SIZE))
            for _ in range(SIZE >> 20):
                c.send(b'100000\r\n' + BLOCK + b'\r\n' if chunked else BLOCK)
            if chunked:
                c.send('0\r\n\r\n')
            answer = c.response()
            self.assertEqual((answer.status, answer.body.strip()), (200, b'%d' % SIZE))
        self.held('%s takes %d MiB%s' % (path, SIZE >> 20, ' in chunks' if chunked else ''), before, '%.1f s' % (time.monotonic() - began))

    def test_downloads(self):
        for path in ('/size', '/cgi-bin/send?%d' % SIZE, '/http/%d' % SIZE, '/fcgi/%d' % SIZE):
            with self.subTest(path):
                self.download(path)
        self.download('/size', tls=True)
        self.download('/http/%d' % SIZE, tls=True)

    def test_uploads(self):
        for path in ('/cgi-bin/count', '/http/count', '/fcgi/count'):
            with self.subTest(path):
                self.upload(path)
        self.upload('/cgi-bin/count', chunked=True)

    def steady(self, value):
        """What it comes to: the same twenty times in a row. Where it would go on later, it is a smaller number, which only proves less."""
        last, same = None, 0
        while same < 20:
            now = value()
            last, same = now, same + 1 if now == last else 0
            time.sleep(0.02)
        return last

    def program_wrote(self, name):
        """Bytes that a program of the test has written so far."""
        total = 0
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/cmdline' % pid, 'rb') as f:
                    if f.read().split(b'\0')[:3] != name:
                        continue
                with open('/proc/%s/io' % pid) as f:
                    total += int(f.read().split('wchar: ')[1].split()[0])
            except (OSError, IndexError):
                continue
        return total

    def test_client_that_takes_nothing(self):
        number = ENDLESS + os.getpid()
        rows = (('/cgi-bin/send?%d' % number, lambda: self.program_wrote([b'head', b'-c', b'%d' % number])),
                ('/http/%d' % ENDLESS, lambda: self.http.sent), ('/fcgi/%d' % ENDLESS, lambda: self.fcgi.sent))
        for path, taken in rows:
            with self.subTest(path):
                before = self.begin()
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                with sock:
                    sock.settimeout(60)
                    sock.connect(('127.0.0.1', self.s.port))
                    sock.sendall(('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path).encode())
                    self.assertTrue(sock.recv(100).startswith(b'HTTP/1.1 200'))
                    wait_for(taken, 'something was taken', 60)
                    got = self.steady(taken)
                    self.assertLess(got, HELD)
                    self.held(path + ', a client that takes nothing', before, '%d KiB were taken' % (got >> 10))
                    self.assertEqual(self.s.get('/').status, 200)           # and nobody else waits

    def test_server_that_reads_nothing(self):
        for path in ('/http/wait', '/cgi-bin/deaf'):
            with self.subTest(path):
                before, sent = self.begin(), 0
                with self.s.connect() as c:
                    c.send('POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % (path, ENDLESS))
                    c.sock.setblocking(False)
                    refused = 0
                    while refused < 20:
                        try:
                            sent, refused = sent + c.sock.send(BLOCK), 0
                        except BlockingIOError:
                            refused += 1
                            time.sleep(0.02)
                    self.assertLess(sent, HELD)
                    self.held(path + ' reads nothing', before, 'the client could send %d KiB' % (sent >> 10))
                    self.assertEqual(self.s.get('/').status, 200)
                self.http.reads.set()

    def test_lengths_beyond_32_bits(self):
        self.assertEqual(self.s.get('/huge', method='HEAD').headers['content-length'], str(HUGE))
        answer = self.s.get('/huge', headers='Range: bytes=%d-\r\n' % (HUGE - 6))
        self.assertEqual((answer.status, answer.body, answer.headers['content-range']), (206, b'\0\0end\n', 'bytes %d-%d/%d' % (HUGE - 6, HUGE - 1, HUGE)))
        self.assertEqual(self.s.get('/huge', headers='Range: bytes=-3\r\n').body, b'nd\n')
        self.assertEqual(self.s.get('/http/%d' % HUGE, method='HEAD').headers['content-length'], str(HUGE))
        with self.s.connect() as c:
            c.send('GET /http/%d HTTP/1.1\r\nHost: localhost\r\n\r\n' % HUGE)
            self.assertEqual(c.head().headers['content-length'], str(HUGE))
            self.assertEqual(c.take(4), bytes(4))
        with self.s.connect() as c:
            c.send('POST /http/length HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nx' % HUGE)
            self.assertEqual(c.response().body, b'%d' % HUGE)
        with self.s.connect() as c:
            c.send('POST /cgi-bin/length HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nx' % HUGE)
            wait_for(lambda: self.s.read('told/length') == '%d\n' % HUGE, lambda: 'CONTENT_LENGTH is told, not ' + self.s.read('told/length'), 60)
        with self.s.connect() as c:
            c.send('POST /limited HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % ((1 << 32) + 10))
            self.assertEqual(c.response().status, 413)
        with self.s.connect() as c:
            c.send('POST /cgi-bin/length HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % (1 << 64))
            self.assertIn(c.response().status, (400, 413))
        with self.s.connect() as c:
            c.send('POST /http/chunk HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nx' % HUGE)
            size, first = c.response().body.split()
            self.assertEqual((int(size) > 0, first), (True, b'x'))


if __name__ == '__main__':
    unittest.main()
