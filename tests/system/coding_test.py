"""Content codings over real connections: what curl makes of them, slow and impatient clients, programs that pause, hostile bodies,
and what becomes of fields, tags and log lines. One server for nearly all of it."""
import gzip
import os
import random
import re
import socket
import subprocess
import time
import unittest
import zlib

from server import ServerTest, wait_for

random.seed(4)
WORDS = [''.join(random.choices('abcdefghijklmnop', k=random.randint(2, 9))) for _ in range(3000)]
BIG = ' '.join(random.choices(WORDS, k=400000)).encode()        # more than 2 MB, and compressed more than any buffer holds
SMALL = 'word ' * 1000

CONF = '''
LogFormat "%U %>s %B %{ratio}n %{in}n %{out}n" coded
CustomLog "@DIR@/logs/coded" coded
DeflateFilterNote ratio
DeflateFilterNote Input in
DeflateFilterNote Output out
AddOutputFilterByType ZSTD;BROTLI_COMPRESS;DEFLATE text/plain
AddEncoding gzip .gz
<Location /echo>
    SetHandler test-echo
    SetInputFilter DEFLATE
</Location>
<Location /tight>
    SetHandler test-echo
    SetInputFilter DEFLATE
    DeflateInflateLimitRequestBody 100000
    DeflateInflateRatioLimit 1000000
</Location>
<Location /burst>
    SetHandler test-echo
    SetInputFilter DEFLATE
    DeflateInflateRatioLimit 20
    DeflateInflateRatioBurst 4
</Location>
<Location /late>
    SetHandler test-late
    SetInputFilter DEFLATE
</Location>
<Location /stream>
    SetHandler test-stream
    SetOutputFilter DEFLATE
</Location>
<Location /unpacked>
    SetOutputFilter INFLATE
</Location>
<Location /both>
    SetOutputFilter INFLATE;DEFLATE
</Location>
<Location /chain>
    FilterDeclare packed
    FilterProvider packed DEFLATE "%{CONTENT_TYPE} =~ m#^text/# && %{HTTP_USER_AGENT} !~ /old/"
    FilterProvider packed BROTLI_COMPRESS "resp('Content-Type') == 'image/svg+xml'"
    FilterChain packed
</Location>
<Location /chain/none>
    FilterChain !
</Location>
<Location /missing>
    AddOutputFilterByType SUBSTITUTE text/html
</Location>
'''


class Codings(ServerTest):
    @classmethod
    def setUpClass(cls):
        packed = gzip.compress(BIG)
        cls.s = cls.shared(CONF, {'htdocs/big.txt': '', 'htdocs/small.txt': SMALL, 'htdocs/empty.txt': '', 'htdocs/chain/a.css': SMALL, 'htdocs/chain/a.svg': SMALL,
                                  'htdocs/chain/none/a.css': SMALL, 'htdocs/missing/a.html': SMALL, 'htdocs/unpacked/x': '', 'htdocs/both/x': ''})
        for name, data in (('big.txt', BIG), ('unpacked/big.txt.gz', packed), ('unpacked/two.txt.gz', gzip.compress(b'one ') + gzip.compress(b'two')),
                           ('unpacked/cut.txt.gz', packed[:-1000]), ('unpacked/wrong.txt.gz', b'no gzip at all' * 100), ('both/big.txt.gz', packed)):
            with open(cls.s.path('htdocs/' + name), 'wb') as f:
                f.write(data)
        for name in ('big.txt', 'small.txt'):
            os.utime(cls.s.path('htdocs/' + name), (1e9, 1e9))
        cls.s.start()

    def get(self, path, accept='gzip', method='GET', **kw):
        return self.s.get(path, method=method, headers=('Accept-Encoding: %s\r\n' % accept if accept else '') + kw.pop('more', ''), **kw)

    def test_curl_understands_each_of_them(self):
        for coding in ('gzip', 'br', 'zstd'):
            for path, content in (('/big.txt', BIG), ('/small.txt', SMALL.encode())):
                done = subprocess.run(['curl', '-s', '--compressed', '-D', self.s.path('head'), '-H', 'Accept-Encoding: ' + coding,
                                       'http://127.0.0.1:%d%s' % (self.s.port, path)], capture_output=True, timeout=30)
                self.assertEqual(done.returncode, 0, coding)
                self.assertTrue(done.stdout == content, (coding, path, len(done.stdout)))
                self.assertRegex(self.s.read('head').lower(), 'content-encoding: %s\r?\n' % coding)
        self.assertEqual(self.get('/small.txt', 'gzip, deflate, br, zstd').headers['content-encoding'], 'zstd')

    def test_fields_of_a_coded_response(self):
        plain, coded = self.get('/small.txt', ''), self.get('/small.txt')
        self.assertEqual(plain.headers['accept-ranges'], 'bytes')
        self.assertNotIn('accept-ranges', coded.headers)
        self.assertNotIn('content-length', coded.headers)
        self.assertEqual(coded.headers['etag'], plain.headers['etag'][:-1] + '-gzip"')
        self.assertEqual(gzip.decompress(coded.body).decode(), SMALL)
        for accept, etag, status in (('gzip', coded, 304), ('gzip', plain, 200), ('', plain, 304), ('', coded, 200)):
            answer = self.get('/small.txt', accept, more='If-None-Match: %s\r\n' % etag.headers['etag'])
            self.assertEqual((answer.status, 'Accept-Encoding' in answer.headers['vary']), (status, True))
        self.assertEqual(self.get('/small.txt', more='Range: bytes=0-3\r\n').status, 200)
        self.assertEqual(self.get('/small.txt', 'br;q=0, gzip;q=0.0', more='Range: bytes=0-3\r\n').body, b'word')
        head = self.get('/small.txt', method='HEAD')
        self.assertEqual({k: v for k, v in head.headers.items() if k != 'date'}, {k: v for k, v in coded.headers.items() if k not in ('date', 'transfer-encoding')})
        empty = self.get('/empty.txt')
        self.assertEqual((empty.body, empty.headers.get('content-encoding'), empty.headers['content-length']), (b'', None, '0'))
        self.assertNotIn('content-encoding', self.get('/none').headers)

    def test_old_clients_and_one_connection_for_several(self):
        with self.s.connect() as c:
            c.send('GET /big.txt HTTP/1.0\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n')
            answer = c.response()
            self.assertEqual(answer.headers['connection'], 'close')
            self.assertTrue(gzip.decompress(answer.body) == BIG)
        with self.s.connect() as c:
            for path, content in (('/big.txt', BIG), ('/small.txt', SMALL.encode()), ('/big.txt', BIG)):
                c.send('GET %s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n' % path)
            for content in (BIG, SMALL.encode(), BIG):
                self.assertTrue(gzip.decompress(c.response().body) == content)
            self.assertEqual(c.request('/small.txt').body.decode(), SMALL)

    def test_a_slow_client_costs_little_and_holds_nobody_up(self):
        """20 responses of 200 MB that nobody reads: coded only as far as they are taken."""
        clients = []
        before = self.memory()
        for _ in range(20):
            client = socket.socket()
            self.addCleanup(client.close)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(('127.0.0.1', self.s.port))
            client.sendall(b'GET /stream?n=200000000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n')
            clients.append(client)
        slowest = 0
        for _ in range(50):
            began = time.monotonic()
            self.assertEqual(self.get('/small.txt', '').status, 200)
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 2)
        self.assertLess(self.memory() - before, 20 * 1024)      # KiB: half a MiB of gzip's own and some buffers for each
        for client in clients:
            client.close()
        self.assertEqual(self.get('/small.txt').status, 200)

    def memory(self):
        total = 0
        for pid in self.s.workers():
            with open('/proc/%d/status' % pid) as f:
                total += int(re.search(r'VmRSS:\s+(\d+)', f.read())[1])
        return total

    def test_a_long_stream_arrives_whole(self):
        answer = self.get('/stream?n=5000000')
        self.assertEqual(answer.headers['content-encoding'], 'gzip')
        self.assertEqual(gzip.decompress(answer.body), b'x' * 5000000)

    def test_what_is_given_before_a_pause_is_not_held_back(self):
        """The handler sends back what comes; each part is there before the next one is sent, in every coding."""
        for coding, length in (('gzip', zlib.decompressobj(31)), ('br', None), ('zstd', None)):
            with self.s.connect(timeout=5) as c:
                c.send('POST /echo HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n' % coding)
                c.send('5\r\nfirst\r\n')
                self.assertEqual(c.head().headers['content-encoding'], coding)
                got = self.chunk(c)
                if length:
                    while len(got) < 12:
                        got += self.chunk(c)
                    self.assertEqual(length.decompress(got), b'first')
                c.send('6\r\nsecond\r\n')
                more = self.chunk(c)
                self.assertTrue(more)
                if length:
                    self.assertEqual(length.decompress(more), b'second')
                c.send('0\r\n\r\n')
                while last := self.chunk(c):
                    more = last
                if length:
                    length.decompress(more)
                    self.assertTrue(length.eof)

    @staticmethod
    def chunk(c):
        data = c.take(int(c.line(), 16))
        c.line()
        return data

    def post(self, path, body, coding='gzip', chunked=False):
        if not chunked:
            return self.s.get(path, method='POST', body=body, headers='Content-Encoding: %s\r\n' % coding)
        with self.s.connect() as c:
            c.send('POST %s HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n' % (path, coding))
            for i in range(0, len(body), 1000):
                c.send(b'%x\r\n%s\r\n' % (len(body[i:i + 1000]), body[i:i + 1000]))
            c.send('0\r\n\r\n')
            return c.response()

    def test_bodies_are_unpacked(self):
        for coding, body in (('gzip', gzip.compress(BIG)), ('x-gzip', gzip.compress(BIG)), ('deflate', zlib.compress(BIG)), ('identity', BIG)):
            for chunked in (False, True):
                answer = self.post('/echo', body, coding, chunked)
                self.assertTrue(answer.status == 200 and answer.body == BIG, (coding, chunked, answer.status, len(answer.body)))

    def test_hostile_bodies(self):
        """Refused with a status where the answer has not begun; cut short where it has."""
        packed = gzip.compress(BIG)
        self.assertEqual(self.post('/tight', gzip.compress(bytes(99000))).body, bytes(99000))
        self.assertEqual(self.post('/echo', gzip.compress(bytes(30000))).body, bytes(30000))
        for path, body in (('/tight', gzip.compress(bytes(5000000))), ('/burst', gzip.compress(bytes(5000000))), ('/echo', packed[:5000]),
                           ('/echo', b'nothing packed ' * 50), ('/echo', packed[:2000] + b'broken' * 100), ('/echo', gzip.compress(bytes(400000000), 1))):
            self.assertIsNone(self.whole(path, body), (path, len(body)))
        for body, status in ((gzip.compress(bytes(50000000)), 413), (packed[:5000], 400), (b'nothing packed', 400), (gzip.compress(b'small'), 500)):
            self.assertEqual(self.post('/late', body).status, status)
        self.s.logged(r'BH0681: /tight answered with 413: its packed body grows beyond')
        self.s.logged(r'BH0681: /burst answered with 413: its packed body grows more than')
        self.s.logged(r'BH0681: /echo answered with 400: its packed body ends too early')
        self.s.logged(r'BH0681: /echo answered with 400: its packed body is not what')
        self.assertEqual(self.get('/small.txt').status, 200)

    def whole(self, path, body):
        """How long the body of a whole response 200 is, or None."""
        try:
            answer = self.post(path, body)
        except (OSError, EOFError, ValueError, AssertionError):
            return None
        return len(answer.body) if answer.status == 200 else None

    def test_inflate(self):
        answer = self.get('/unpacked/big.txt.gz', '')
        self.assertTrue(answer.body == BIG and 'content-encoding' not in answer.headers)
        self.assertEqual(self.get('/unpacked/two.txt.gz', '').body, b'one two')
        answer = self.get('/both/big.txt.gz')
        self.assertEqual(answer.headers['content-encoding'], 'gzip')
        self.assertTrue(gzip.decompress(answer.body) == BIG)
        for name in ('cut', 'wrong'):
            with self.s.connect() as c:
                c.send('GET /unpacked/%s.txt.gz HTTP/1.1\r\nHost: x\r\n\r\n' % name)
                self.assertFalse(c.rest().endswith(b'0\r\n\r\n'), name)

    def test_chains(self):
        def coding(path, more=''):
            return self.get(path, 'gzip, br', more=more).headers.get('content-encoding')
        self.assertEqual([coding('/chain/a.css'), coding('/chain/a.svg'), coding('/chain/none/a.css'), coding('/chain/a.css', 'User-Agent: old\r\n')],
                         ['gzip', 'br', None, None])
        self.assertEqual(self.get('/missing/a.html').status, 403)
        self.s.logged(r'BH0680: /missing/a.html denied: the filter "SUBSTITUTE"')

    def test_notes_for_the_log(self):
        answer = self.get('/small.txt?note')
        line = '/small.txt 200 %d %d %d %d\n' % (len(answer.body), len(answer.body) * 100 // len(SMALL), len(SMALL), len(answer.body))
        wait_for(lambda: line in self.s.read('logs/coded'), 'the line ' + line)


class Refused(ServerTest):
    def test_lines(self):
        for line, words in (('FilterProvider x SUBSTITUTE "true"', 'does not exist'), ('FilterProvider x DEFLATE "%{"', ''), ('FilterDeclare x FROB', 'no kind of filter'),
                            ('FilterChain -', 'names no filter'), ('AddOutputFilterByType DEFLATE texthtml', 'no media type'), ('DeflateFilterNote Some x', 'no kind of note'),
                            ('ZstdCompressionLevel 23', 'out of range'), ('DeflateAlterETag maybe', 'not known'), ('AllowMethods GET reset', 'reset')):
            where = '<Location />\n%s\n</Location>' if line.startswith('Allow') else '%s'
            s = self.configure(where % line + '\n')
            done = s.run('-t')
            self.assertNotEqual(done.returncode, 0, line)
            self.assertRegex(done.stdout, 'error: .*' + words)
        s = self.configure('BrotliCompressionQuality 11\n')
        self.assertRegex(s.run('-t').stdout, 'warning: BrotliCompressionQuality')


if __name__ == '__main__':
    unittest.main()
