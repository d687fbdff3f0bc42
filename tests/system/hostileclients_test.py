"""Clients that mean harm by how they use a connection: slow ones, small pieces, floods. Others are answered all the while, and memory stays bounded."""
import select
import socket
import subprocess
import time

import h2raw
from server import SANITIZED, SSL_ON, ServerTest, context, wait_for
from tlsraw import HANDSHAKE, hello13, record

GET = b'GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n'
LAST = GET[:-2] + b'Connection: close\r\n\r\n'


def memory(pid):
    """KiB of memory that is the process's own."""
    with open('/proc/%d/smaps_rollup' % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(('Private_Dirty:', 'Private_Clean:', 'Swap:')))


class Case(ServerTest):
    def setUp(self):
        self.open = []

    def tearDown(self):
        for c in self.open:
            c.close()

    def connect(self, first=b'', window=None):
        c = socket.socket()
        self.open.append(c)
        c.settimeout(60)
        if window:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        c.connect(('127.0.0.1', self.s.port))
        c.sendall(first)
        return c

    def answered(self):
        with self.s.connect(timeout=60) as c:
            return c.request('/a.txt', close=True).status == 200


class Full(Case):
    """Every connection that there may be is taken by a client that lets its answer wait. With the time limits of this server they would have it for minutes."""
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('''\
Protocols h2c http/1.1
StartServers 1
ServerLimit 1
ConnectionsPerChild 16
MaxRequestWorkers 16
Timeout 600
KeepAliveTimeout 300
RequestReadTimeout handshake=300 header=300 body=300,MinRate=500
<Location "/echo">
SetHandler test-echo
</Location>
''', {'htdocs/a.txt': 'a', 'htdocs/large.bin': b'x' * (32 << 20)})
        cls.s.start()

    def broken(self, c):
        p = select.poll()
        p.register(c, 0)
        return bool(p.poll(0))

    def test_who_holds_up_the_own_answer_gives_way(self):
        large = b'GET /large.bin HTTP/1.1\r\nHost: localhost\r\n'
        ways = {
            'slow body': b'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx',
            'slow body of HTTP/2': h2raw.START + h2raw.headers(1, h2raw.block(h2raw.request_fields('/echo', 'POST')), h2raw.END_HEADERS) + h2raw.data(1, b'x', end=False),
            'takes nothing': large + b'\r\n',
            'takes nothing of the last answer': large + b'Connection: close\r\n\r\n',
            'a window of HTTP/2 that stays shut': h2raw.START + h2raw.headers(1, h2raw.block(h2raw.request_fields('/large.bin'))),
        }
        first = [(name, self.connect(data, 4096)) for name, data in ways.items() for _ in range(3)]
        for _ in range(40):                     # who waits
            self.connect(b'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx')
        for name, c in first:
            wait_for(lambda: self.broken(c), '%s gives way' % name, 60)
        self.tearDown()
        self.assertTrue(self.answered())
        self.s.logged(r'BH0851: .* [1-9]\d* that held up their own request or answer')


class Idle(Case):
    """Every connection that there may be is one of HTTP/2 that idles."""
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('''\
Protocols h2c http/1.1
StartServers 1
ServerLimit 1
ConnectionsPerChild 16
MaxRequestWorkers 16
KeepAliveTimeout 300
''', {'htdocs/a.txt': 'a'})
        cls.s.start()

    def test_as_many_as_are_needed_give_way_at_once(self):
        """None keeps its place for a moment longer, so that others need not go, too."""
        idle = [self.connect(h2raw.START + h2raw.headers(1, h2raw.block(h2raw.request_fields('/a.txt')))) for _ in range(20)]
        self.assertTrue(self.answered())
        self.assertLess(sum(self.ended(c) for c in idle), 14)

    def ended(self, c):
        """Has the server said GOAWAY, or closed?"""
        got = b''
        c.setblocking(False)
        try:
            while part := c.recv(65536):
                got += part
        except BlockingIOError:
            pass
        at = 0
        while at + 9 <= len(got):
            if got[at + 3] == h2raw.GOAWAY:
                return True
            at += 9 + int.from_bytes(got[at:at + 3], 'big')
        return False


class Pieces(Case):
    """One child serves all: whatever one client does, others are answered by it, and its memory stays bounded."""
    PATIENCE = 90

    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('''\
StartServers 1
ServerLimit 1
MaxKeepAliveRequests 0
LogLevel warn
<VirtualHost *:@PORT@>
</VirtualHost>
<VirtualHost *:@TLS@>
%s</VirtualHost>
<Location "/echo">
SetHandler test-echo
</Location>
''' % SSL_ON, {'htdocs/a.txt': 'a', 'htdocs/large.bin': b'x' * (8 << 20)})
        cls.s.start()
        cls.worker = cls.s.role('bulkhead-child')

    def setUp(self):
        super().setUp()
        self.assertTrue(self.answered())
        self.before = memory(self.worker)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-1000:])
        self.assertTrue(self.answered())

    def grown(self, most):
        """Has the child at most so many KiB more than before?"""
        if not SANITIZED:
            self.assertLess(memory(self.worker) - self.before, most)

    def tls(self, window=None):
        c = socket.socket()
        self.open.append(c)
        c.settimeout(60)
        if window:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        c.connect(('127.0.0.1', self.s.tls_port))
        c = context().wrap_socket(c, server_hostname='localhost')
        self.open.append(c)
        return c

    def exchange(self, c, data, each=None):
        """Sends all of it while whatever comes is read, until the server closes. `each`: now and then."""
        left, got, at = memoryview(data), [], time.monotonic() + self.PATIENCE
        c.setblocking(False)
        while True:
            self.assertLess(time.monotonic(), at)
            readable, writable, _ = select.select([c], [c] if left else [], [], 1)
            if writable:
                left = left[c.send(left):]
            if readable:
                got.append(c.recv(1 << 20))
                if not got[-1]:
                    return b''.join(got)
            if each:
                each()

    def test_requests_in_one_write(self):
        n = 2000 if SANITIZED else 20000
        others = []
        got = self.exchange(self.connect(), GET * n + LAST, lambda: len(others) < 5 and others.append(self.answered()))
        self.assertEqual(got.count(b'HTTP/1.1 200 OK\r\n'), n + 1)
        self.assertTrue(others and all(others))
        self.grown(8 << 10)

    def test_requests_whose_answers_nobody_reads(self):
        sent = []
        for _ in range(20):
            c = self.connect()
            c.setblocking(False)
            total = 0
            try:
                while total < 64 << 20:
                    total += c.send(GET * 20000)
            except BlockingIOError:
                pass
            sent.append(total)
        self.assertTrue(self.answered())
        self.assertLess(max(sent), 64 << 20)    # it is held up
        self.grown(20 * 512)

    def test_windows_that_stay_shut(self):
        for _ in range(40):
            self.tls(4096).sendall(GET.replace(b'a.txt', b'large.bin'))
        self.assertTrue(self.answered())
        self.grown(40 * 256)

    def test_heads_that_never_end(self):
        for _ in range(100):
            self.connect(GET[:-2] + b''.join(b'X-%d: %s\r\n' % (i, b'y' * 600) for i in range(90)))
        for c in self.open:
            c.settimeout(0)
            self.assertRaises(BlockingIOError, c.recv, 1)
        self.assertTrue(self.answered())
        self.grown(100 * 160)

    def test_chunks_of_a_byte(self):
        n = 2000 if SANITIZED else 30000
        head = b'POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
        for chunk, many in (b'1\r\n~\r\n', n), (b'1;' + b'y' * 4000 + b'\r\n~\r\n', 500):
            self.assertEqual(self.exchange(self.connect(), head + chunk * many + b'0\r\n\r\n').count(b'~'), many)
        self.assertTrue(self.answered())
        self.grown(4 << 10)

    def test_records_of_a_byte(self):
        c = self.tls()
        c.sendall(b'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n')
        for _ in range(2000):
            c.send(b'~')
        got = b''
        while part := c.recv(65536):
            got += part
        self.assertEqual(got.count(b'~'), 2000)
        self.grown(4 << 10)

    def test_new_keys_without_end(self):
        """Each costs the server more than its client."""
        p = subprocess.Popen(['openssl', 's_client', '-connect', '127.0.0.1:%d' % self.s.tls_port, '-tls1_3', '-brief'], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        with p.stdout:
            with p.stdin:
                try:
                    for _ in range(1000):
                        p.stdin.write(b'K\n')
                        time.sleep(0.01)        # one command is taken of what it reads at once
                except BrokenPipeError:
                    pass
            self.assertIn(b'alert unexpected message', p.stdout.read())
        p.wait(60)
        self.assertTrue(self.answered())
        self.grown(4 << 10)

    def test_handshakes_whose_clients_go_away(self):
        flight, kept = record(HANDSHAKE, hello13()), self.s.connect(tls=True)
        lines = self.s.error_log.count('\n')
        with kept:
            for i in range(400):
                c = socket.create_connection(('127.0.0.1', self.s.tls_port), 60)
                c.sendall(flight)
                self.open.append(c)
                if i % 40 == 0:
                    self.assertEqual(kept.request('/a.txt').status, 200)
            for c in self.open:
                c.close()
            self.assertEqual(kept.request('/a.txt').status, 200)
        self.assertLess(self.s.error_log.count('\n') - lines, 50)
        self.grown(400 * 64)
