"""Many connections of few: limits by address, and room made for those who wait."""
import os
import re
import signal
import socket

from server import ServerTest, wait_for


class Case(ServerTest):
    def setUp(self):
        self.open = []

    def tearDown(self):
        for c in self.open:
            c.close()

    def says(self, pattern):
        wait_for(lambda: re.search(pattern, self.s.error_log), lambda: self.s.error_log)


class PerAddress(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('''\
StartServers 3
ServerLimit 3
MaxRequestWorkers 300
MaxConnectionsPerAddress 6
MaxConnectionsPerAddressExcept 127.0.0.9
KeepAliveTimeout 60
''', {'htdocs/a.txt': 'a'})
        cls.s.start()

    def connect(self, address):
        """A connection that was answered, or None: it was closed without a byte."""
        c = socket.socket()
        self.open.append(c)
        c.settimeout(30)
        c.bind((address, 0))
        c.connect(('127.0.0.1', self.s.port))
        try:
            c.sendall(b'GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n')
            return c if c.recv(4096).startswith(b'HTTP/1.1 200') else None
        except ConnectionError:
            return None

    def test_counted_over_all_children(self):
        taken = [self.connect('127.0.0.2') for _ in range(6)]
        self.assertNotIn(None, taken)
        self.assertIsNone(self.connect('127.0.0.2'))
        self.assertIsNotNone(self.connect('127.0.0.3'))
        self.says(r'BH0850: connections from 127\.0\.0\.2 are refused: 6 of it are open \(MaxConnectionsPerAddress 6\)')
        taken[0].close()
        wait_for(lambda: self.connect('127.0.0.2'), lambda: self.s.error_log)

    def test_exceptions(self):
        self.assertNotIn(None, [self.connect('127.0.0.9') for _ in range(20)])

    def test_killed_child_takes_its_counts_along(self):
        taken = [self.connect('127.0.0.4') for _ in range(6)]
        self.assertNotIn(None, taken)
        self.assertIsNone(self.connect('127.0.0.4'))
        for pid in self.s.workers():
            os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            wait_for(lambda: self.connect('127.0.0.4'), lambda: self.s.error_log)


class Full(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('''\
StartServers 1
ServerLimit 1
ConnectionsPerChild 16
MaxRequestWorkers 16
KeepAliveTimeout 300
RequestReadTimeout handshake=300 header=300 body=300
''', {'htdocs/a.txt': 'a', 'htdocs/large.bin': b'x' * (32 << 20)})
        cls.s.start()

    def connect(self, first=b''):
        c = socket.create_connection(('127.0.0.1', self.s.port), timeout=60)
        self.open.append(c)
        c.sendall(first)
        return c

    def answered(self):
        c = self.connect(b'GET /a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        return c.recv(4096).startswith(b'HTTP/1.1 200')

    def fill(self, first):
        for _ in range(20):
            self.connect(first)

    def test_who_never_asks_gives_way(self):
        for first in b'', b'GET / HTTP/1.1\r\nX: ':
            self.fill(first)
            self.assertTrue(self.answered())
        self.says(r'BH0851: all 16 connections of this child are taken, and clients wait: closed \d+ that had not asked anything yet')

    def test_who_idles_gives_way(self):
        self.fill(b'GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n')
        self.assertTrue(self.answered())

    def test_who_is_answered_stays(self):
        slow = self.connect(b'GET /large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        self.assertTrue(slow.recv(1000).startswith(b'HTTP/1.1 200'))
        self.fill(b'')
        self.assertTrue(self.answered())
        left = 0
        while data := slow.recv(1 << 20):
            left += len(data)
        self.assertGreater(left, (32 << 20) - 1000)
