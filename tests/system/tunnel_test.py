"""Tunnels to servers behind (ProxyPass upgrade=, extended CONNECT): sides that read nothing, end, break or stay silent; many at once; restarts and limits."""
import os
import signal
import socket
import ssl
import struct
import threading
import unittest

import h2raw
from backend import Backend
from server import SANITIZED, SSL_ON, Conn, ServerTest, context, wait_for

CONFIG = '''\
StartServers 1
ServerLimit 1
ProxyTimeout 300
Protocols h2c http/1.1
H2WebSockets On
ProxyPass "/ws/" "http://127.0.0.1:@BACK@/ws/" upgrade=websocket
ProxyPass "/brief/" "http://127.0.0.1:@BACK@/brief/" upgrade=websocket timeout=2
ProxyPass "/two/" "http://127.0.0.1:@BACK@/two/" upgrade=websocket max=2 acquire=50
<VirtualHost *:@PORT@>
</VirtualHost>
<VirtualHost *:@PORT2@>
Timeout 1
</VirtualHost>
<VirtualHost *:@TLS@>
%s</VirtualHost>
''' % SSL_ON
ASK = 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
ACCEPT = b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


class Back(Backend):
    """Opens each tunnel, and hands its end of it to the test."""

    def __init__(self):
        self.ends, self.lock = [], threading.Lock()
        super().__init__()

    def serve(self, s):
        head = b''
        while b'\r\n\r\n' not in head:
            head += s.recv(1) or b'\r\n\r\n'
        if b'Upgrade' not in head:
            s.sendall(b'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
            return
        s.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n' % ACCEPT)
        s.settimeout(60)
        with self.lock:
            self.ends.append(s)


class Case(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.back = Back()
        cls.addClassCleanup(cls.back.listener.close)

    def setUp(self):
        self.addCleanup(lambda: [s.close() for s in self.back.ends])

    def client(self, path='/ws/x', window=None, port=None, tls=False):
        c = socket.socket()
        self.addCleanup(c.close)
        c.settimeout(60)
        if window:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        c.connect(('127.0.0.1', port or (self.s.tls_port if tls else self.s.port)))
        if tls:
            c = context().wrap_socket(c, server_hostname='localhost')
            self.addCleanup(c.close)
        c.sendall((ASK % path).encode())
        return c

    def tunnel(self, *args, **kw):
        """Both ends of one."""
        n = len(self.back.ends)
        c = self.client(*args, **kw)
        head = b''
        while b'\r\n\r\n' not in head:
            head += c.recv(1) or self.fail('no tunnel: %r' % head)
        self.assertRegex(head, rb'^HTTP/1\.1 101 ')
        return c, wait_for(lambda: len(self.back.ends) > n and self.back.ends[-1], 'the server behind has its end', 60)

    def fill(self, s, content=b'~' * 65536):
        """Writes until nothing more is taken for a while. How many bytes."""
        sent = 0
        s.settimeout(0.5)
        try:
            while True:
                sent += s.send(content)
        except (TimeoutError, ssl.SSLWantWriteError, ConnectionError):
            s.settimeout(60)
            return sent

    def until(self, s, n):
        got = b''
        while len(got) < n:
            got += s.recv(n - len(got)) or self.fail('it ended: %r' % got)
        return got

    def ended(self, s):
        """The other side has, in whichever way."""
        try:
            while s.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def speaks(self, c, x):
        c.sendall(b'question')
        self.assertEqual(self.until(x, 8), b'question')
        x.sendall(b'answer')
        self.assertEqual(self.until(c, 6), b'answer')


class Tunnels(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s = cls.shared(CONFIG.replace('@BACK@', str(cls.back.port)), {'htdocs/a.txt': 'a'})
        cls.s.start()
        cls.worker = cls.s.role('bulkhead-child')

    def tearDown(self):
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-2000:])
        self.assertEqual(self.s.get('/a.txt').status, 200)

    def open_h2(self, window=None):
        n = len(self.back.ends)
        c = h2raw.Client.over(self.s, widens=window is None)
        self.addCleanup(c.sock.close)
        c.send(h2raw.headers(1, [(':method', 'CONNECT'), (':protocol', 'websocket'), (':scheme', 'http'), (':path', '/ws/x'), (':authority', 'localhost'),
                                 ('sec-websocket-version', '13')], h2raw.END_HEADERS))
        s = c.until(lambda: c.streams.get(1) and c.streams[1].status and c.streams[1], 'the tunnel is open')
        return c, s, wait_for(lambda: len(self.back.ends) > n and self.back.ends[-1], 'the server behind has its end', 60)

    def test_client_that_takes_nothing_is_let_go(self):
        """It has Timeout for that, as for every answer, whether or not the server behind is still there."""
        before = self.s.error_log.count('BH0523')
        for closes in (False, True):
            c, x = self.tunnel(window=4096, port=int(self.s.expand('@PORT2@')))
            self.fill(x)
            if closes:
                x.close()
            else:
                self.assertTrue(self.ended(x))
            wait_for(lambda: self.s.error_log.count('BH0523') == before + 1 + closes, 'it is let go', 60)

    def test_each_way_goes_on_while_the_other_stands(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                c, x = self.tunnel(window=4096, tls=tls)
                self.fill(x)
                c.sendall(b'stop')
                self.assertEqual(self.until(x, 4), b'stop')
                c, x = self.tunnel(tls=tls)
                self.fill(c)
                x.sendall(b'stop')
                self.assertEqual(self.until(c, 4), b'stop')

    def test_each_way_goes_on_in_http2(self):
        c, s, x = self.open_h2(window=0)
        self.fill(x)
        c.send(h2raw.data(1, b'stop', end=False))
        self.assertEqual(self.until(x, 4), b'stop')

    def test_client_that_ends_its_side_still_hears(self):
        c, x = self.tunnel()
        c.sendall(b'question')
        c.shutdown(socket.SHUT_WR)
        self.assertEqual(self.until(x, 8), b'question')
        self.assertEqual(x.recv(1), b'')
        x.sendall(b'answer' * 50000)
        x.close()
        self.assertEqual(len(self.until(c, 300000)), 300000)
        self.assertEqual(c.recv(1), b'')

    def test_client_that_ends_its_side_of_http2_still_hears(self):
        c, s, x = self.open_h2()
        c.send(h2raw.data(1, b'question'))
        self.assertEqual(self.until(x, 8), b'question')
        self.assertEqual(x.recv(1), b'')
        x.sendall(b'answer')
        x.close()
        s = c.response(1)
        self.assertEqual((s.body, s.over), (b'answer', True))

    def test_whoever_breaks_ends_it_for_the_other(self):
        for tls in (False, True):
            for breaks in (0, 1):
                with self.subTest(tls=tls, breaks=breaks):
                    both = self.tunnel(tls=tls)
                    self.speaks(*both)
                    both[breaks].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    both[breaks].close()
                    self.assertTrue(self.ended(both[1 - breaks]))

    def test_bytes_one_by_one(self):
        c, x = self.tunnel()
        n = 500 if SANITIZED else 2000
        for _ in range(n):
            c.send(b'c')
            x.send(b'x')
        self.assertEqual((self.until(x, n), self.until(c, n)), (b'c' * n, b'x' * n))

    def test_silence_ends_it_in_order(self):
        c, x = self.tunnel('/brief/x')
        self.assertEqual((c.recv(1), x.recv(1)), (b'', b''))
        self.s.logged(r'\[proxy:info\].* BH0915: /brief/x: .*timeout=')
        self.assertNotIn('BH0751', self.s.error_log)

    def test_bounded_by_max(self):
        first, second = self.tunnel('/two/x'), self.tunnel('/two/x')
        third = Conn(self.client('/two/x'))
        self.assertEqual(third.head().status, 503)
        self.s.logged(r'BH0748: /two/x: .*max=')
        first[0].close()
        self.assertTrue(self.ended(first[1]))
        first[1].close()
        self.speaks(*second)
        wait_for(lambda: self.s.get('/two/x').status == 204, 'its place is free', 60)
        self.speaks(*self.tunnel('/two/x'))

    def test_many(self):
        """They cost what is written in docs/limits.md, and others are answered beside them."""
        n = 50 if SANITIZED else 300
        before = self.memory()
        pairs = [self.tunnel() for _ in range(n)]
        if not SANITIZED:
            self.assertLess(self.memory() - before, n * 16)
        for pair in pairs[::10]:
            self.speaks(*pair)
        self.assertEqual(self.s.get('/a.txt').status, 200)

    def memory(self):
        with open('/proc/%d/smaps_rollup' % self.worker) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(('Private_Dirty:', 'Private_Clean:', 'Swap:')))


class Lives(Case):
    def test_restarts(self):
        """A tunnel outlives a restart, in the child that has it; GracefulShutdownTimeout ends it."""
        s = self.s = self.serve(CONFIG.replace('@BACK@', str(self.back.port)) + 'MaxConnectionsPerAddress 2\n')
        old = s.role('bulkhead-child')
        pair = self.tunnel()
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        s.logged('BH0102: generation 2 serves')
        wait_for(lambda: set(s.workers()) - {old}, 'there is a new child', 60)
        self.speaks(*pair)
        self.assertIn(old, s.workers())
        other = self.tunnel()
        refused = self.client()                         # the third of its address
        self.assertTrue(self.ended(refused))
        s.logged('BH0850')
        other[0].close()
        self.assertTrue(self.ended(other[1]))
        other[1].close()
        with open(s.path('case.conf'), 'a') as f:
            f.write('GracefulShutdownTimeout 1\n')
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        s.logged('BH0102: generation 3 serves')
        self.assertTrue(self.ended(pair[0]))
        third = self.tunnel()
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102: generation 4 serves')
        self.assertTrue(self.ended(third[0]))
        self.assertTrue(self.ended(third[1]))

    def test_killed_child(self):
        s = self.s = self.serve(CONFIG.replace('@BACK@', str(self.back.port)))
        pair = self.tunnel()
        os.kill(s.role('bulkhead-child'), signal.SIGKILL)
        self.assertTrue(self.ended(pair[0]))
        self.assertTrue(self.ended(pair[1]))
        self.speaks(*self.tunnel())
        self.assertIn('BH0120', s.error_log)


if __name__ == '__main__':
    unittest.main()
