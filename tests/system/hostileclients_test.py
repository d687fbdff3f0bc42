"""Clients that mean harm by how they use a connection: slow ones, small pieces, floods. Others are answered all the while, and memory stays bounded."""
import select
import socket

import h2raw
from server import ServerTest, wait_for

GET = b'GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n'


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
