"""What means two things is not passed on: malformed requests and answers, both ways, against a server behind that records every byte."""
import socket
import unittest

from backend import Backend
from server import ServerTest

CONFIG = '''
StartServers 1
MinSpareServers 1
MaxSpareServers 1
ServerLimit 1
ProxyTimeout 20
ProxyPass "/" "http://127.0.0.1:@BACK@/"
'''
HIDDEN = b'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n'
# What stands in front of a request that is hidden in the body, or behind it, and whether a strict reader sees that as a request of its own.
REQUESTS = [
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' % (len(HIDDEN) + 5), False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n' % len(HIDDEN), False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, %d\r\n\r\n' % len(HIDDEN), False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nX: y\0\r\n\r\n', False),
    (b'POST /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n', False),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n', False),
    (b'GET /a HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\nContent-Length: %d\r\n\r\n' % len(HIDDEN), False),
    (b'GET /a HTTP/1.1\r\nHost: x\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(HIDDEN), HIDDEN), True),
    (b'GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c, websocket\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n', True),
    (b'GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\n\r\n', True),
    (b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc\r\n', True),
]
# Answers to a first request; what they are answered with, and whether a second on the same connection of the client may follow.
TRUE = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue'
STRAY = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray'
ANSWERS = [
    (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 502),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\ntrue', 502),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\ntrue', 502),
    (b'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ntrue', 502),
    (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 502),
    (b'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 502),
    (b'HTTP/1.1 200 OK\r\nX: a\rContent-Length: 0\r\n\r\n', 502),
    (b'HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n', 502),
    (b'HTTP/1.1 200 OK\r\n X: a\r\n\r\n', 502),
    (b'HTTP/1.1 200 OK\r\nX : a\r\n\r\n', 502),
    (b'HTTP/1.1 2000 OK\r\n\r\n', 502),
    (b'HTTP/1.1 099 OK\r\n\r\n', 502),
    (b'HTTP/2.0 200 OK\r\n\r\n', 502),
    (b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', 502),
    (b'HTTP/1.1 100 Continue\r\n\r\n' * 40, 502),
    (b'ICY 200 OK\r\n\r\n', 502),
    (TRUE, 200),
    (b'HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n', 204),
    (b'HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n', 304),
    (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n', 200),
    (b'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n' + TRUE, 200),
]


class Recorder(Backend):
    """Keeps what comes on each connection, and answers the first request of one with `answer`, later ones with TRUE."""

    def __init__(self):
        self.answer, self.got = TRUE, []
        super().__init__()

    def serve(self, s):
        mine = bytearray()
        self.got.append(mine)
        try:
            with s:
                while data := s.recv(65536):
                    mine += data
                    if b'/special' in data:
                        s.sendall(self.answer)
                    elif b' HTTP/1.1\r\n' in data:
                        s.sendall(TRUE)
        except OSError:
            pass


class Smuggling(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.back = Recorder()
        cls.addClassCleanup(cls.back.listener.close)
        cls.s = cls.shared(CONFIG.replace('@BACK@', str(cls.back.port))).start()

    def test_requests(self):
        for front, own in REQUESTS:
            with self.subTest(front):
                for kept in self.back.got:          # the connection may be the one of the row before
                    kept.clear()
                with socket.create_connection(('127.0.0.1', self.s.port), timeout=20) as c:
                    c.sendall(front + HIDDEN + b'GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
                    got = b''
                    while data := c.recv(65536):
                        got += data
                self.assertIn(b'HTTP/1.1 ', got)
                sent = b''.join(self.back.got)
                lines = [line for line in sent.split(b'\r\n') if line.endswith(b' HTTP/1.1')]
                if own:
                    self.assertEqual(lines.count(b'GET /hidden HTTP/1.1'), 1 + (b'%s\r\n0' % HIDDEN in front), lines)
                else:
                    self.assertLessEqual(sent.count(b'/hidden'), 1 if b'Content-Length\r\n' in front else 0, sent)
                for name in (b'Transfer-Encoding : ', b'HTTP2-Settings', b'Upgrade:', b'\0'):
                    self.assertNotIn(name, sent)
                # No head that goes out can be read in two ways.
                for head in sent.split(b'\r\n\r\n'):
                    self.assertLessEqual(head.lower().count(b'content-length:') + head.lower().count(b'transfer-encoding:'), 1)

    def test_answers(self):
        for answer, status in ANSWERS:
            for stray in (b'', STRAY):
                with self.subTest(answer + stray):
                    self.back.answer = answer + stray
                    with self.s.connect() as c:
                        c.send(b'GET /special HTTP/1.1\r\nHost: x\r\n\r\n')
                        if b' 103 ' in answer:
                            self.assertEqual(c.head().status, 103)
                        self.assertEqual(c.response().status, status)
                    # Whatever came behind is nobody's answer: neither of this client nor of another.
                    for _ in range(3):
                        again = self.s.get('/plain')
                        self.assertEqual((again.status, again.body), (200, b'true'))


if __name__ == '__main__':
    unittest.main()
