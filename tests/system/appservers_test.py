"""FastCGI, SCGI and uwsgi: what application servers behind are told, and what clients get of each kind of answer, good or broken."""
import re
import struct
import unittest

from backend import Backend
from large_test import FastCgi
from server import ServerTest, wait_for

KINDS = ('fcgi', 'scgi', 'uwsgi')
SHOWN = ('REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'CONTENT_LENGTH', 'HTTP_X_A', 'EXTRA', 'REMOTE_USER')
CONFIG = '''\
%s
<Location /fcgi/rules>
    ProxyFCGIBackendType GENERIC
    ProxyFCGISetEnvIf "true" EXTRA "%%{REQUEST_METHOD}!"
    ProxyFCGISetEnvIf "%%{REQUEST_METHOD} == 'POST'" EXTRA other
    ProxyFCGISetEnvIf "true" !REMOTE_USER
</Location>
<Location /fcgi/rules/more>
    ProxyFCGISetEnvIf "true" REMOTE_USER
</Location>
<Location /scgi/stay>
    ProxySCGIInternalRedirect Off
</Location>
'''


class App:
    """What all three answer: the path behind the kind names it."""

    def answer(self, seen, body):
        """The parts of the answer; None in the end: it breaks off, and is no whole answer."""
        shown = '|'.join(seen.get(name, '-') for name in SHOWN).encode()
        return {'empty': [], 'endless': [b'X-A: ' + b'x' * 70000], 'head': [b'Content-Type: text/plain\r\n'], 'rubbish': [b'this is no head\r\n\r\n'],
                'redirect': [b'Location: /inside.txt\r\nX-Kept: 1\r\n\r\nnot shown'], 'stay': [b'Location: /inside.txt\r\n\r\n'],
                'far': [b'Location: http://far.test/x\r\n\r\n'], 'missing': [self.status(b'404 None') + b'Content-Type: text/plain\r\n\r\nnone'],
                'short': [b'Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n' + b'x' * 50, None],
                'long': [b'Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n' + b'x' * 50],
                'pieces': [b'Content-Ty', b'pe: text/plain\r', b'\n\r', b'\n' + b'in ', b'pieces']}.get(
                    re.split('[/?]', seen['REQUEST_URI'])[2], [b'Content-Type: text/plain\r\n\r\n' + shown + b'\n' + body])

    def status(self, words):
        return b'Status: ' + words + b'\r\n'


class Scgi(Backend, App):
    def serve(self, sock):
        with sock, sock.makefile('rb') as f:
            n = b''
            while not n.endswith(b':'):
                n += f.read(1)
            words = f.read(int(n[:-1])).decode().split('\0')
            self.comma = f.read(1)
            self.first = words[0]
            seen = dict(zip(words[::2], words[1::2]))
            body = f.read(int(seen['CONTENT_LENGTH']))
            for part in self.answer(seen, body):
                if part is not None:
                    sock.sendall(part)


class Uwsgi(Backend, App):
    def serve(self, sock):
        with sock, sock.makefile('rb') as f:
            modifier, n, other = struct.unpack('<BHB', f.read(4))
            data, seen, at = f.read(n), {}, 0
            assert modifier == other == 0
            while at < n:
                words = []
                for _ in range(2):
                    size = struct.unpack('<H', data[at:at + 2])[0]
                    words.append(data[at + 2:at + 2 + size].decode())
                    at += 2 + size
                seen[words[0]] = words[1]
            body = f.read(int(seen.get('CONTENT_LENGTH') or 0))
            for part in self.answer(seen, body):
                if part is not None:
                    sock.sendall(part)

    def status(self, words):
        return b'HTTP/1.1 ' + words + b'\r\n'


class Fcgi(FastCgi, App):
    def talk(self, sock, f):
        seen, body = self.params(f), b''
        while True:
            n, padding = struct.unpack('>4xHBx', f.read(8))
            body += f.read(n + padding)[:n]
            if not n:
                break
        what = seen['REQUEST_URI'].split('/')[2]
        if what == 'busy':
            sock.sendall(self.record(3, struct.pack('>IB3x', 0, 2)))
            return
        if what == 'other':
            sock.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            return
        if what == 'says':
            sock.sendall(self.record(7, b'one\r\ntwo') + self.record(7, b' halves\nthree'))
        for part in self.answer(seen, body):
            if part is None:
                return
            for at in range(0, len(part), 60000):
                sock.sendall(self.record(6, part[at:at + 60000]))
        sock.sendall(self.record(6, b'') + self.record(3, bytes(8)))


class AppServers(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.behind = {'fcgi': Fcgi(), 'scgi': Scgi(), 'uwsgi': Uwsgi()}
        for backend in cls.behind.values():
            cls.addClassCleanup(backend.listener.close)
        cls.s = cls.shared(CONFIG % '\n'.join('ProxyPass /%s/ %s://127.0.0.1:%d/ retry=0' % (kind, kind, cls.behind[kind].port) for kind in KINDS),
                           {'htdocs/inside.txt': 'inside'})
        cls.s.start()

    def test_what_they_are_told(self):
        for kind in KINDS:
            with self.subTest(kind):
                answer = self.s.get('/%s/shown?a=b' % kind, headers='X-A: c\r\n')
                self.assertEqual((answer.status, answer.headers['content-type']), (200, 'text/plain'))
                words = answer.body.decode().split('\n')[0].split('|')
                self.assertEqual((words[0], words[3], words[5]), ('GET', 'a=b', 'c'), words)
                answer = self.s.get('/%s/shown' % kind, method='POST', body=b'x' * 100000)
                self.assertEqual((answer.body.decode().split('|')[4], answer.body.decode().split('\n')[1]), ('100000', 'x' * 100000))
        self.assertEqual((self.behind['scgi'].first, self.behind['scgi'].comma), ('CONTENT_LENGTH', b','))

    def test_a_body_without_a_length_is_gathered(self):
        for kind in KINDS:
            with self.subTest(kind):
                answer = self.s.raw('POST /%s/shown HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
                                    '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n' % kind).decode()
                self.assertTrue(answer.startswith('HTTP/1.1 200 ') and '|5|' in answer and '\nabcde' in answer, answer)

    def test_rules_for_variables(self):
        for path, method, extra in (('rules', 'GET', 'GET!'), ('rules', 'POST', 'other'), ('rules/more', 'GET', 'GET!')):
            words = self.s.get('/fcgi/%s' % path, method=method).body.decode().split('\n')[0].split('|')
            self.assertEqual((words[6], words[7]), (extra, '' if 'more' in path else '-'))

    def test_answers(self):
        for kind in KINDS:
            with self.subTest(kind):
                for path, status, location, body in (('pieces', 200, None, 'in pieces'), ('missing', 404, None, 'none'), ('far', 302, 'http://far.test/x', None),
                                                     ('redirect', 200, None, 'inside')):
                    answer = self.s.get('/%s/%s' % (kind, path))
                    self.assertEqual((answer.status, answer.headers.get('location')), (status, location), path)
                    self.assertIn(body, (None, answer.body.decode()), path)
        answer = self.s.get('/scgi/stay')
        self.assertEqual((answer.status, answer.headers['location']), (302, 'http://localhost/inside.txt'))

    def test_answers_that_are_none(self):
        for kind in KINDS:
            with self.subTest(kind):
                for path, told in (('empty', 'there is nothing in it|before the end of its answer'), ('head', 'it ends within its head|before the end of its answer'),
                                   ('rubbish', 'this is no head'), ('endless', 'its head is longer than 64 KiB')):
                    self.assertEqual(self.s.get('/%s/%s' % (kind, path)).status, 502, path)
                    wait_for(lambda: re.search('%s://.*(%s)' % (kind, told), self.s.error_log), (kind, told))
        for path, status, told in (('busy', 502, 'it says that it is overloaded'), ('other', 502, 'it is no FastCGI')):
            self.assertEqual(self.s.get('/fcgi/' + path).status, status)
            wait_for(lambda: told in self.s.error_log, told)

    def test_an_answer_of_another_length_than_it_says(self):
        for kind in KINDS:
            with self.subTest(kind):
                with self.s.connect() as c:
                    c.send('GET /%s/short HTTP/1.1\r\nHost: a.test\r\n\r\n' % kind)
                    answer = c.rest()                       # the connection ends, so that the client sees that half is missing
                    self.assertTrue(answer.endswith(b'\r\n\r\n' + b'x' * 50), answer)
                answer = self.s.get('/%s/long' % kind)
                self.assertEqual(answer.body, b'x' * 5)

    def test_what_they_complain_of_is_logged(self):
        self.assertEqual(self.s.get('/fcgi/says').status, 200)
        for line in ('one', 'two halves', 'three'):
            wait_for(lambda: re.search(r'BH0760: %s: said by fcgi://\S+ for /fcgi/says' % line, self.s.error_log), line)


if __name__ == '__main__':
    unittest.main()
