"""Servers behind that mean harm or are broken: answers without end, of many parts, cut off anywhere, that come unasked or never. Bounds hold, and the log says which."""
import re
import socket
import struct
import threading
import time
import unittest

from backend import Backend
from server import SANITIZED, ServerTest, wait_for

CONFIG = '''\
StartServers 1
ServerLimit 1
MaxRequestWorkers 8
ConnectionsPerChild 8
ProxyTimeout 60
ProxyPass "/http/" "http://127.0.0.1:@BACK@/"
ProxyPass "/short/" "http://127.0.0.1:@BACK@/short/" timeout=1
ProxyPass "/bounded/" "http://127.0.0.1:@BACK@/bounded/" max=2 acquire=50
ProxyPass "/fcgi/" "fcgi://127.0.0.1:@BACK@/"
ProxyPass "/scgi/" "scgi://127.0.0.1:@BACK@/"
'''
OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'
WHOLE = OK + b'Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'


def record(kind, content=b'', padding=0, version=1):
    return struct.pack('>BBHHBB', version, kind, 1, len(content), padding, 0) + content + bytes(padding)


OUT, ERR, END = 6, 7, record(3, bytes(8))
PAGE = record(OUT, b'Content-Type: text/plain\r\n\r\nhello') + END
# What comes first, and then again and again; where to; the status of the answer; what the log says.
ENDLESS = [
    (b'', b'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n', '/http/', 502, 'too many interim heads'),
    (OK, b'X-Y: ' + b'z' * 500 + b'\r\n', '/http/', 502, 'longer than 64 KiB'),
    (b'HTTP/1.1 200 ', b'O' * 1000, '/http/', 502, 'longer than 64 KiB'),
    (OK + b'A:\r\n' * 501 + b'\r\n', b'', '/http/', 502, 'more than 500 fields'),
    (CHUNKED + b'1;', b'a' * 1000, '/http/', 200, 'chunks are broken'),
    (CHUNKED + b'1\r\na\r\n0\r\n', b'X-T: ' + b'a' * 1000 + b'\r\n', '/http/', 200, 'chunks are broken'),
    (b'', record(OUT, b'X-Y: ' + b'z' * 500 + b'\r\n'), '/fcgi/', 502, r'BH075\d'),
    (b'', record(OUT, b'X', version=9), '/fcgi/', 502, r'BH075\d'),
    (b'', b'X-Y: ' + b'z' * 500 + b'\n', '/scgi/', 502, r'BH075\d'),
]


class Back(Backend):
    """Does `act` with each connection, once something has come on it."""

    def __init__(self):
        self.act, self.released = None, threading.Event()
        super().__init__()

    def serve(self, s):
        with s:
            s.settimeout(60)
            try:
                while s.recv(65536):
                    if self.act(s):
                        return
            except OSError:
                pass


class Hostile(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.back = Back()
        cls.addClassCleanup(cls.back.listener.close)
        cls.s = cls.shared(CONFIG.replace('@BACK@', str(cls.back.port)), {'htdocs/a.txt': 'a'}).start()
        cls.worker = cls.s.role('bulkhead-child')

    def setUp(self):
        self.back.released.clear()
        self.addCleanup(self.back.released.set)

    def tearDown(self):
        self.back.released.set()
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-2000:])
        wait_for(lambda: self.s.get('/a.txt').status == 200, 'it serves')

    def ask(self, path, **kw):
        with self.s.connect(timeout=60) as c:
            c.send('GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' % path)
            return c.rest()

    def memory(self):
        with open('/proc/%d/smaps_rollup' % self.worker) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(('Private_Dirty:', 'Private_Clean:', 'Swap:')))

    def test_without_end(self):
        before = self.memory()
        for first, more, path, status, words in ENDLESS:
            with self.subTest(path=path, first=first[:40], more=more[:40]):
                logged = len(self.s.error_log)

                def act(s):
                    s.sendall(first)
                    while more:
                        s.sendall(more * 50)
                    return s.recv(1) or True
                self.back.act = act
                got = self.ask(path + 'x')
                self.assertIn(status, [int(n) for n in re.findall(rb'^HTTP/1\.1 (\d+)', got, re.M)])
                self.assertNotIn(b'\r\n0\r\n\r\n', got if status == 200 else b'')       # it is seen to be cut off
                wait_for(lambda: re.search(words, self.s.error_log[logged:]), lambda: 'told: ' + self.s.error_log[logged:], 60)
        if not SANITIZED:
            self.assertLess(self.memory() - before, 8 << 10)

    def test_cut_off_after_each_byte(self):
        """What is not whole is not passed on as if it were, however the connection ends."""
        for path, page in ('/http/x', WHOLE), ('/fcgi/x', PAGE):
            for at in range(len(page)):
                linger = struct.pack('ii', at % 2, 0)

                def act(s):
                    s.sendall(page[:at])
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return True
                self.back.act = act
                got = self.ask(path)
                status = int(got.split(b' ')[1])
                if status == 200:
                    self.assertFalse(got.endswith(b'0\r\n\r\n') and b'hello' not in got, (path, at, got))
                    if path == '/http/x':
                        self.assertFalse(got.endswith(b'0\r\n\r\n'), (at, got))
                else:
                    self.assertIn(status, (500, 502), (path, at))

    def test_more_than_was_asked(self):
        """What comes behind an answer, or unasked, is no answer to the next request."""
        def act(s):
            s.sendall(OK + b'Content-Length: 5\r\n\r\nfirst' + OK + b'Content-Length: 5\r\n\r\nstray')
        self.back.act = act
        with self.s.connect() as c:
            for _ in range(5):
                self.assertEqual(c.request('/http/x').body, b'first')

        def late(s):
            s.sendall(OK + b'Content-Length: 5\r\n\r\nfirst')
            self.back.released.wait(60)
            s.sendall(OK + b'Content-Length: 5\r\n\r\nstray')
        self.back.act = late
        with self.s.connect() as c:
            for _ in range(3):
                self.back.released.clear()
                self.assertEqual(c.request('/http/x').body, b'first')
                self.back.released.set()
                time.sleep(0.05)                # it comes while the connection is kept
        self.back.released.set()

    def test_never_reads(self):
        self.back.act = lambda s: self.back.released.wait(60)
        with self.s.connect(timeout=60) as c:
            c.send('POST /short/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n')
            try:
                c.send(b'x' * 50000000)
            except OSError:
                pass
            self.assertRegex(c.rest(), rb'^HTTP/1\.1 504 ')
        self.s.logged(r'BH0751: /short/x: http://127\.0\.0\.1:%d/' % self.back.port)

    def test_slow_one_that_has_all_connections_is_named(self):
        self.back.act = lambda s: self.back.released.wait(60) and s.sendall(OK + b'Content-Length: 4\r\n\r\nslow')
        clients = [self.s.connect(timeout=60) for _ in range(12)]
        for c in clients:
            c.send('GET /http/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        self.s.logged(r'BH0916: all 8 connections .*; 8 wait for http://127\.0\.0\.1:%d/: max= with acquire= ' % self.back.port, timeout=60)
        self.back.released.set()
        for c in clients:
            self.assertEqual(c.response().body, b'slow')
            c.sock.close()

    def test_slow_one_that_is_bounded_starves_nobody(self):
        self.back.act = lambda s: self.back.released.wait(60) and s.sendall(OK + b'Content-Length: 4\r\n\r\nslow')
        clients = [self.s.connect(timeout=60) for _ in range(6)]
        for c in clients:
            c.send('GET /bounded/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        wait_for(lambda: self.s.error_log.count('BH0748: /bounded/x') >= 4, 'four are sent away', 60)
        for _ in range(3):
            self.assertEqual(self.s.get('/a.txt').status, 200)
        self.back.released.set()
        self.assertEqual(sorted(c.response().status for c in clients), [200, 200, 503, 503, 503, 503])
        for c in clients:
            c.sock.close()


if __name__ == '__main__':
    unittest.main()
