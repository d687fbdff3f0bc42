"""HTTP/1 on the wire: bodies both ways, framing, limits, time-outs, and clients that are slow, rude or gone."""
import hashlib
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from server import SANITIZED, SSL_ON, Conn, ServerTest, alive, context, status_of, wait_for

TLS_HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
HANDLERS = '''\
<Location "/echo">
SetHandler test-echo
</Location>
<Location "/stream">
SetHandler test-stream
</Location>
'''
BASE = HANDLERS + TLS_HOST
ONE_CHILD = 'StartServers 1\nMaxSpareServers 1\nServerLimit 1\n'
GET = 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n'
BOTH = (('plain', False), ('tls', True))


def noise(n):
    return (hashlib.sha512(str(n).encode()).digest() * (n // 64 + 1))[:n]


def chunked(data, size=7000):
    out = b''.join(b'%x\r\n%s\r\n' % (len(data[at:at + size]), data[at:at + size]) for at in range(0, len(data), size))
    return out + b'0\r\n\r\n'


def cpu(pid):
    """Seconds of processor time."""
    with open('/proc/%d/stat' % pid) as f:
        part = f.read().rsplit(')', 1)[1].split()
    return (int(part[11]) + int(part[12])) / os.sysconf('SC_CLK_TCK')


def resident(pid):
    return int(status_of(pid)['VmRSS'].split()[0])


def statuses(data):
    return [int(s) for s in re.findall(rb'HTTP/1\.[01] (\d\d\d) ', data)]


def descriptors(pid):
    return len(os.listdir('/proc/%d/fd' % pid))


def reset(conn):
    """The end of a client that is gone: RST, no FIN."""
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    conn.sock.close()


def curl(*args):
    done = subprocess.run(['curl', '-sS', '--max-time', '30', *args], capture_output=True)
    if done.returncode:
        raise AssertionError('curl %s: %s' % (' '.join(args), done.stderr.decode()))
    return done.stdout


def both_ways(conn, data, step=65536, pause=0):
    """Sends all while it reads all that comes until the response is whole; returns the response."""
    failed = []

    def sender():
        try:
            for at in range(0, len(data), step):
                conn.sock.sendall(data[at:at + step])
        except OSError as e:
            failed.append(e)

    thread = threading.Thread(target=sender)
    thread.start()
    try:
        if pause:
            time.sleep(pause)
        return conn.response()
    finally:
        thread.join(30)
        if failed:
            raise failed[0]


class Streaming(ServerTest):
    def test_bodies_both_ways(self):
        s = self.serve(BASE)
        for (name, tls), size in ((b, n) for b in BOTH for n in (1, 5, 16383, 16384, 65536, 70000, 1000000)):
            data = noise(size)
            with self.subTest(name, size=size), s.connect(tls) as c:
                if size < 100000:       # more would need a client that reads while it sends
                    self.assertEqual(c.request('/echo', 'POST', body=data).body, data)
                c.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + chunked(data[:100000]))
                self.assertTrue(c.response().body == data[:100000])
                self.assertEqual(c.request('/').body, b'index\n')

    def test_five_megabytes_at_once_in_both_directions(self):
        s = self.serve(BASE)
        data = noise(5000000)
        with s.connect() as c:
            c.send('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(data))
            self.assertTrue(both_ways(c, data).body == data)
            c.send('POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
            self.assertTrue(both_ways(c, chunked(data, 99999), pause=0.5).body == data)

    def test_five_megabytes_over_tls(self):
        s = self.serve(BASE)
        data = noise(5000000)
        path = s.write('sent', data)
        for length in ((), ('-H', 'Transfer-Encoding: chunked')):
            done = curl('-k', '--data-binary', '@' + path, '-H', 'Expect:', *length, 'https://127.0.0.1:%d/echo' % s.tls_port)
            self.assertTrue(done == data, len(done))

    def test_long_streams(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            for size in (0, 1, 65535, 65536, 65537, 3000000):
                with self.subTest(name, size=size), s.connect(tls) as c:
                    answer = c.request('/stream?n=%d' % size)
                    self.assertEqual(answer.headers['transfer-encoding'], 'chunked')
                    self.assertNotIn('content-length', answer.headers)
                    self.assertEqual(len(answer.body), size)
                    self.assertEqual(c.request('/').status, 200)

    def test_slow_reader(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.send(GET % '/stream?n=9000000' + GET % '/')
                time.sleep(0.5)
                self.assertEqual(len(c.response().body), 9000000)
                self.assertEqual(c.response().body, b'index\n')

    def test_upload_that_nobody_reads_back_is_held_up(self):
        """A client that only sends meets back-pressure; the child does not collect what it cannot hand on."""
        s = self.serve(ONE_CHILD + BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                self.assertEqual(c.request('/').status, 200)
                pid, = s.workers()
                before = resident(pid)
                c.send('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n')
                c.sock.setblocking(False)
                block, sent, quiet = noise(65536), 0, time.monotonic()
                while sent < 50000000 and time.monotonic() - quiet < 1:
                    try:
                        sent += c.sock.send(block)
                        quiet = time.monotonic()
                    except (BlockingIOError, ssl.SSLWantWriteError):
                        select.select([], [c.sock], [], 0.1)
                self.assertLess(sent, 45000000)
                self.assertLess(resident(pid) - before, 100000 if SANITIZED else 2000)
                spent = cpu(pid)
                time.sleep(0.5)
                self.assertLess(cpu(pid) - spent, 0.05)
                reset(c)
        self.assertEqual(s.get().status, 200)

    def test_large_file_is_the_same(self):
        data = noise(64) * 800000
        s = self.serve(BASE, {'htdocs/big': data})
        wanted = hashlib.sha256(data).digest()
        for scheme, port in (('http', s.port), ('https', s.tls_port)):
            with self.subTest(scheme):
                body = curl('-k', '%s://127.0.0.1:%d/big' % (scheme, port))
                self.assertEqual((len(body), hashlib.sha256(body).digest()), (len(data), wanted))

    def test_file_that_shrinks_ends_the_connection(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            path = s.write('htdocs/big', bytes(30000000))
            with self.subTest(name), s.connect(tls) as c:
                c.send(GET % '/big')
                self.assertEqual(c.head().headers['content-length'], '30000000')
                c.take(10000)
                os.truncate(path, 1000)
                self.assertLess(len(c.rest()), 29990000)
                s.logged('BH0520.*became shorter')
        self.assertEqual(s.get().status, 200)

    def test_one_large_stream_does_not_hold_up_others(self):
        s = self.serve(ONE_CHILD + BASE)
        stop = threading.Event()

        def drain(c):
            while not stop.is_set():
                if not c.sock.recv(1 << 20):
                    break

        with s.connect() as c:
            c.send(GET % '/stream?n=20000000000')
            thread = threading.Thread(target=drain, args=(c,))
            thread.start()
            try:
                time.sleep(0.2)
                began = time.monotonic()
                for _ in range(5):
                    self.assertEqual(s.get().status, 200)
                self.assertLess(time.monotonic() - began, 3)
            finally:
                stop.set()
                thread.join()


class Continue(ServerTest):
    HEAD = 'POST %s HTTP/%s\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'

    def test_sent_when_the_handler_reads(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.send(self.HEAD % ('/echo', '1.1'))
                self.assertEqual(c.head().status, 100)
                c.send('hello')
                self.assertEqual(c.response().body, b'hello')
                self.assertEqual(c.request('/').status, 200)

    def test_not_sent_where_the_body_has_begun(self):
        s = self.serve(BASE)
        with s.connect() as c:
            c.send(self.HEAD % ('/echo', '1.1') + 'hello')
            self.assertEqual(c.head().status, 200)

    def test_not_sent_after_an_error(self):
        s = self.serve(BASE + '<Location "/no">\nRequire all denied\n</Location>\n')
        for method, path, status in (('POST', '/no', 403), ('POST', '/none', 404), ('PUT', '/index.html', 405)):
            with self.subTest(path), s.connect() as c:
                c.send((self.HEAD % (path, '1.1')).replace('POST', method))
                answer = c.response()
                self.assertEqual((answer.status, answer.headers['connection']), (status, 'close'))
                self.assertEqual(c.rest(), b'')

    def test_means_nothing_in_1_0(self):
        s = self.serve(BASE)
        with s.connect() as c:
            c.send(self.HEAD % ('/echo', '1.0'))
            time.sleep(0.3)
            c.send('hello')
            data = c.rest()
            self.assertEqual((statuses(data), data[-5:]), ([200], b'hello'))


class Connections(ServerTest):
    def test_pipelined_requests_of_all_kinds(self):
        s = self.serve(BASE + 'MaxKeepAliveRequests 0\n', {'htdocs/big': noise(300000)})
        kinds = [(GET % '/', 'GET', b'index\n'), ('HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n', 'HEAD', b''), (GET % '/big', 'GET', noise(300000)),
                 ('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello', 'POST', b'hello'), (GET % '/stream?n=100000', 'GET', b'x' * 100000),
                 ('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello', 'POST', None),
                 ('\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n', 'POST', b'abc')] * 9
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.send(''.join(k[0] for k in kinds))
                for _, method, body in kinds:
                    answer = c.response(method)
                    self.assertEqual(answer.status, 404 if body is None else 200)
                    if body is not None:
                        self.assertTrue(answer.body == body)

    def test_many_pipelined_each_in_a_record(self):
        s = self.serve(BASE + 'MaxKeepAliveRequests 0\n')
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                for _ in range(150):
                    c.send(GET % '/')
                for _ in range(150):
                    self.assertEqual(c.response().body, b'index\n')

    def test_half_closed_client_is_answered(self):
        s = self.serve(BASE)
        with s.connect() as c:
            c.send(GET % '/' + GET % '/stream?n=3000000' + 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n')
            c.send(noise(100000))
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual([len(c.response().body) for _ in range(3)], [6, 3000000, 100000])
            self.assertEqual(c.rest(), b'')

    def test_answered_before_the_body_ended_that_never_ends(self):
        s = self.serve(BASE)
        with s.connect() as c:
            c.send('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello')
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(statuses(c.rest()), [404])

    def test_unread_bodies(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.send('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n')
                answer = c.response()
                self.assertEqual(answer.status, 404)
                self.assertNotEqual(answer.headers.get('connection'), 'close')
                c.send(bytes(500000) + (GET % '/').encode())
                self.assertEqual(c.response().body, b'index\n')
            with self.subTest(name, case='large'), s.connect(tls) as c:
                c.send('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n')
                answer = c.response()
                self.assertEqual((answer.status, answer.headers['connection']), (404, 'close'))
                self.assertEqual(c.rest(), b'')

    def test_kept_open_or_closed(self):
        s = self.serve(BASE)
        cases = ((1, '', None), (1, 'Connection: close\r\n', 'close'), (1, 'Connection: foo, Close\r\n', 'close'), (1, 'Connection: keep-alive\r\n', 'Keep-Alive'),
                 (0, '', 'close'), (0, 'Connection: Keep-Alive\r\n', 'Keep-Alive'), (0, 'Connection: keep-alive, close\r\n', 'close'))
        for minor, fields, wanted in cases:
            with self.subTest(minor=minor, fields=fields), s.connect() as c:
                c.send('GET / HTTP/1.%d\r\nHost: x\r\n%s\r\n' % (minor, fields))
                answer = c.response()
                self.assertEqual(answer.headers.get('connection'), wanted)
                self.assertEqual('keep-alive' in answer.headers, wanted == 'Keep-Alive')
                if wanted == 'close':
                    self.assertEqual(c.rest(), b'')
                else:
                    self.assertEqual(c.request('/').status, 200)

    def test_length_unknown_to_1_0_ends_with_the_connection(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.send('GET /stream?n=100000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
                answer = c.response()
                self.assertEqual((answer.headers['connection'], len(answer.body)), ('close', 100000))
                self.assertFalse({'transfer-encoding', 'content-length'} & set(answer.headers))

    def test_head(self):
        s = self.serve(BASE)
        time.sleep(1.1)                 # the entity tag is weak while the file is new
        with s.connect() as c:
            whole = c.request('/')
            short = c.request('/', 'HEAD')
            self.assertEqual({k: v for k, v in whole.headers.items() if k != 'date'}, {k: v for k, v in short.headers.items() if k != 'date'})
            for path in ('/stream?n=100000', '/echo', '/none'):
                c.request(path, 'HEAD')
            self.assertEqual(c.request('/').body, b'index\n')

    def test_fields_of_the_connection(self):
        s = self.serve(BASE)
        text = s.raw('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        for name in (b'Date', b'Content-Length', b'Server', b'Connection'):
            self.assertEqual(len(re.findall(rb'(?m)^' + name + rb': ', text)), 1, text)
        self.assertRegex(text, rb'\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n')
        self.assertRegex(text, rb'\r\nContent-Length: 6\r\n')

    def test_limits_of_keeping_alive(self):
        s = self.serve(BASE + 'MaxKeepAliveRequests 3\n')
        with s.connect() as c:
            c.send(GET % '/' * 50)
            self.assertEqual([c.response().headers.get('connection') for _ in range(3)], [None, None, 'close'])
            self.assertEqual(c.rest(), b'')
        for conf in ('KeepAlive Off\n', 'KeepAliveTimeout 0\n'):
            s = self.serve(BASE + conf)
            with self.subTest(conf), s.connect() as c:
                c.send(GET % '/' * 2)
                self.assertEqual(statuses(c.rest()), [200])

    def test_pretending_to_be_1_0_keeps_its_word(self):
        s = self.serve(BASE + 'SetEnvIf User-Agent old force-response-1.0\n')
        with s.connect() as c:
            answer = c.request('/', headers='User-Agent: old\r\n')
            self.assertEqual((answer.version, answer.headers['connection']), ('HTTP/1.0', 'Keep-Alive'))
            self.assertEqual(c.request('/').status, 200)

    def test_clients_that_leave_at_any_byte(self):
        s = self.serve(ONE_CHILD + BASE)
        requests = ('GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
        self.assertEqual(s.get().status, 200)
        pid, = s.workers()
        before = descriptors(pid)
        for text in requests:
            for cut in range(len(text)):
                for end in (reset, lambda c: c.sock.close()):
                    c = s.connect()
                    c.send(text[:cut])
                    end(c)
        for cut in range(0, len(requests[1]), 5):
            c = s.connect(True)
            c.send(requests[1][:cut])
            reset(c)
        self.assertEqual(s.get().status, 200)
        self.assertEqual(s.workers(), [pid])
        wait_for(lambda: descriptors(pid) <= before, 'the descriptors are closed')

    def test_byte_by_byte(self):
        s = self.serve(BASE)
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                for b in b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n':
                    c.send(bytes([b]))
                    time.sleep(0.001)
                self.assertEqual([c.response().body, c.response().body], [b'hello', b'index\n'])


class Limits(ServerTest):
    def test_of_heads(self):
        s = self.serve(BASE)
        for text, status in (('GET /%s HTTP/1.1\r\nHost: x\r\n\r\n' % ('a' * 9000), 414), ('GET /' + 'a' * 9000, 414),
                             ('GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n' % ('a' * 9000), 431), ('GET / HTTP/1.1\r\nHost: x\r\nX: ' + 'a' * 9000, 431),
                             ('GET / HTTP/1.1\r\nHost: x\r\n' + 'X: y\r\n' * 101 + '\r\n', 431), ('GET / HTTP/1.1\r\nHost: x\r\n' + 'X: y\r\n' * 90 + '\r\n', 200),
                             ('GET / HTTP/1.1\r\nHost: x\r\n' + 'X: %s\r\n' % ('a' * 8000) * 9 + '\r\n', 431)):
            with self.subTest(text[:40], n=len(text)), s.connect() as c:
                c.send(text)
                self.assertEqual(c.response().status, status)

    def test_of_bodies(self):
        s = self.serve(BASE + 'LimitRequestBody 1000\n')
        with s.connect() as c:
            self.assertEqual(c.request('/echo', 'POST', body=bytes(1000)).status, 200)
            c.send('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n')
            answer = c.response()
            self.assertEqual((answer.status, answer.headers['connection']), (413, 'close'))
        with s.connect() as c:
            c.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + chunked(bytes(1000)))
            self.assertEqual(len(c.response().body), 1000)
            c.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + chunked(bytes(1001)))
            self.assertNotIn(b'\r\n0\r\n\r\n', c.rest())
            s.logged('BH0522.*413')

    def test_a_document_for_what_could_not_be_read_has_a_head(self):
        s = self.serve('HttpProtocolOptions Allow0.9\n' + ''.join('ErrorDocument %d /bad.html\n' % n for n in (400, 404, 414, 501)), {'htdocs/bad.html': 'bad\n'})
        for request, status in (('GET /%s HTTP/1.1\r\n\r\n' % ('x' * 9000), 414), ('GET /  HTTP/1.1\r\n\r\n', 400), ('%s / HTTP/1.1\r\n\r\n' % ('X' * 40), 501)):
            with self.subTest(request[:20]):
                head, _, body = s.raw(request).partition(b'\r\n\r\n')
                self.assertEqual((statuses(head), body), ([status], b'bad\n'))
        self.assertEqual(s.raw('GET /none\r\n'), b'bad\n')

    def test_rubbish_is_answered_at_once(self):
        s = self.serve(BASE)
        for text in ('hello\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\x00' * 100, 'GET  / HTTP/1.1\r\n\r\n', '\xff\xfe\xfd'):
            with self.subTest(text[:20]):
                began = time.monotonic()
                self.assertIn(statuses(s.raw(text))[0], (400, 505))
                self.assertLess(time.monotonic() - began, 3)


class Timeouts(ServerTest):
    def until_closed(self, c, most=8):
        c.sock.settimeout(most)
        began = time.monotonic()
        data = c.rest()
        return data, time.monotonic() - began

    def test_of_reading(self):
        s = self.serve(BASE + 'RequestReadTimeout handshake=1 header=1 body=1\nKeepAliveTimeout 2\n')
        for name, tls in BOTH:
            with self.subTest(name, case='head'), s.connect(tls) as c:
                c.send('GET / HT')
                data, took = self.until_closed(c)
                self.assertEqual(statuses(data), [408])
                self.assertTrue(0.7 < took < 3, took)
            with self.subTest(name, case='body'), s.connect(tls) as c:
                c.send('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
                data, took = self.until_closed(c)
                self.assertEqual(statuses(data), [404])
                self.assertTrue(0.7 < took < 3, took)
            with self.subTest(name, case='kept'), s.connect(tls) as c:
                c.request('/')
                data, took = self.until_closed(c)
                self.assertEqual(data, b'')
                self.assertTrue(1.7 < took < 4, took)
            with self.subTest(name, case='the next head'), s.connect(tls) as c:
                c.request('/')
                time.sleep(1.5)
                c.send('GET /')
                data, took = self.until_closed(c)
                self.assertEqual(statuses(data), [408])
                self.assertTrue(0.7 < took < 3, took)
        for port in (s.port, s.tls_port):
            with self.subTest(case='silence', port=port), s.connect(port=port) as c:
                data, took = self.until_closed(c)
                self.assertEqual(data, b'')
                self.assertTrue(0.7 < took < 3, took)
        s.logged('BH0507')
        s.logged('BH0521.*408')

    def test_a_body_that_drips_is_not_put_off_by_what_is_sent_back(self):
        s = self.serve(BASE + 'RequestReadTimeout body=1\n')
        with s.connect() as c:
            c.send('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n')
            began, closed = time.monotonic(), False
            try:
                while not closed and time.monotonic() - began < 4:
                    c.send('x')
                    time.sleep(0.05)
                    closed = bool(select.select([c.sock], [], [], 0)[0]) and not c.sock.recv(1000)
            except (BrokenPipeError, ConnectionResetError):
                closed = True
            self.assertTrue(closed)
            self.assertTrue(0.7 < time.monotonic() - began < 2.5, time.monotonic() - began)

    def test_least_rates_and_no_limits(self):
        s = self.serve(BASE + 'RequestReadTimeout header=1-9,MinRate=20\n')
        with s.connect() as c:
            for b in b'GET / HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyyyy\r\n\r\n':
                c.send(bytes([b]))
                time.sleep(0.03)
            self.assertEqual(c.response().status, 200)
        s = self.serve(BASE + 'RequestReadTimeout header=0 body=0\n')
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                time.sleep(0.3)
                c.send('GET / HT')
                time.sleep(0.3)
                c.send('TP/1.1\r\nHost: x\r\n\r\n')
                self.assertEqual(c.response().status, 200)

    def test_of_clients_that_take_nothing(self):
        s = self.serve(ONE_CHILD + BASE + 'Timeout 1\nKeepAliveTimeout 1\n', {'htdocs/big': bytes(30000000)})
        self.assertEqual(s.get(tls=True).status, 200)
        pid, = s.workers()
        for name, tls in BOTH:
            for path in ('/big', '/stream?n=30000000'):
                with self.subTest(name, path=path), s.connect(tls) as c:
                    c.send(GET % path)
                    c.take(1)
                    before = descriptors(pid)
                    time.sleep(0.5)
                    busy = cpu(pid)
                    time.sleep(0.3)
                    self.assertLess(cpu(pid) - busy, 0.05)
                    wait_for(lambda: descriptors(pid) < before, 'the connection is closed', 5)
        s.logged('BH0523')

    def test_a_long_upload_is_no_silence(self):
        """Timeout counts from the last byte in either direction: an upload that takes longer sends nothing back meanwhile."""
        s = self.serve(ONE_CHILD + BASE + 'Timeout 1\nLimitRequestBody 0\n<Location "/late">\nSetHandler test-late\n</Location>\n')
        pid, = s.workers()
        with s.connect() as c:
            c.send('POST /late HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
            began, sent, block = time.monotonic(), 0, b'100000\r\n' + bytes(1 << 20) + b'\r\n'
            while time.monotonic() - began < 2:
                c.send(block)
                time.sleep(0.01)
            os.kill(pid, signal.SIGSTOP)        # so much comes meanwhile that one turn does not take it
            c.sock.setblocking(False)
            try:
                while sent < len(block):
                    sent += c.sock.send(block[sent:])
            except BlockingIOError:
                pass
            os.kill(pid, signal.SIGCONT)
            c.sock.settimeout(10)
            c.send(block[sent:] + b'0\r\n\r\n')
            self.assertEqual(c.response().status, 500)

    def test_a_handler_has_its_time_after_a_long_upload(self):
        s = self.serve(BASE + 'Timeout 1\n<Location "/silent">\nSetHandler test-silent\n</Location>\n')
        with s.connect() as c:
            c.send('POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n')
            for _ in range(20):
                c.send('x')
                time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(c.response().status, 504)
            self.assertTrue(0.5 < time.monotonic() - began < 4, time.monotonic() - began)

    def test_a_slow_reader_keeps_its_pipelined_request(self):
        """KeepAliveTimeout and the head's time begin when the client has taken the answer before."""
        s = self.serve(BASE + 'KeepAliveTimeout 1\nRequestReadTimeout header=1\n')
        for name, tls in BOTH:
            with self.subTest(name):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.settimeout(20)
                sock.connect(('127.0.0.1', s.tls_port if tls else s.port))
                if tls:
                    sock = context().wrap_socket(sock)
                with Conn(sock) as c:
                    c.send((GET % '/stream?n=60000') * 99 + GET % '/')
                    end = time.monotonic() + 4
                    while time.monotonic() < end:
                        c.buf += c.sock.recv(2000)
                        time.sleep(0.05)
                    self.assertEqual([len(c.response().body) for _ in range(99)], [60000] * 99)
                    self.assertEqual(c.response().status, 200)


class Handlers(ServerTest):
    def test_each_one_that_began_is_ended(self):
        """Whatever took its place: an error page, an error document, the end of the connection."""
        s = self.serve(ONE_CHILD + BASE + 'RequestReadTimeout body=1\nLimitRequestBody 100\n<Location "/late">\nSetHandler test-late\n</Location>\n'
                       '<Location "/late/document">\nErrorDocument 500 /index.html\n</Location>\n'
                       '<Location "/late/text">\nErrorDocument 500 "failed"\n</Location>\n<Location "/count">\nSetHandler test-late-count\n</Location>\n',)
        for path, status in (('/late/page', 500), ('/late/document', 500), ('/late/text', 500)):
            with self.subTest(path):
                self.assertEqual(s.get(path, method='POST', body=b'x').status, status)
                self.assertEqual(s.get('/count').body, b'0')
        with self.subTest('too long'), s.connect() as c:
            c.send(b'POST /late/long HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + chunked(bytes(200)))
            self.assertEqual(c.response().status, 413)
            self.assertEqual(s.get('/count').body, b'0')
        with self.subTest('too slow'), s.connect() as c:
            c.send('POST /late/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx')
            self.assertEqual(c.response().status, 408)
            self.assertEqual(s.get('/count').body, b'0')
        c = s.connect()
        c.send('POST /late/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx')
        wait_for(lambda: s.get('/count').body == b'1', 'it has begun')
        reset(c)
        wait_for(lambda: s.get('/count').body == b'0', 'it is ended')


    @unittest.skipIf(SANITIZED, 'the sanitizer ends what asks for so much memory')
    def test_a_head_without_memory_ends_the_connection(self):
        s = self.serve(ONE_CHILD + BASE + '<Location "/none">\nSetHandler test-no-memory\n</Location>\n')
        for name, tls in BOTH:
            with self.subTest(name), s.connect(tls) as c:
                c.sock.settimeout(5)
                c.send(GET % '/none')
                self.assertEqual(c.rest(), b'')
        s.logged('BH0520.*out of memory')
        self.assertEqual(s.get().status, 200)


class WrongProtocol(ServerTest):
    def test_F10_plain_http_on_the_tls_port(self):
        s = self.serve('ServerName named.test\n' + BASE)
        port = s.tls_port
        own = r'https://[\w.]+:%d/' % port
        for text, link in (('GET /x HTTP/1.1\r\nHost: www.example:80\r\n\r\n', 'https://www.example:%d/' % port), ('GET / HTTP/1.0\r\n\r\n', own),
                           ('POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 3\r\n\r\nabc', r'https://\[::1\]:%d/' % port),
                           ('GET / HTTP/1.1\r\nHost: a b\r\n\r\n', own), ('\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n', None), ('GET /\r\n\r\n', own)):
            with self.subTest(text):
                began = time.monotonic()
                data = s.raw(text, port=port)
                self.assertLess(time.monotonic() - began, 2)
                self.assertEqual(statuses(data), [400])
                if link:
                    self.assertRegex(data.decode(), link)
                self.assertIn(b'Connection: close', data)
        s.logged('BH0503')

    def test_F11_tls_on_a_plain_port(self):
        s = self.serve(BASE)
        with s.connect() as c, self.assertRaises(ssl.SSLError) as caught:
            context().wrap_socket(c.sock)
        self.assertRegex(str(caught.exception), '(?i)handshake.failure')
        s.logged('BH0504.*SSLEngine on')

    def test_rubbish_on_the_tls_port_is_ended_at_once(self):
        s = self.serve(BASE)
        for data in (b'\x16\x03\x01\x00\x05hello', b'\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10' + bytes(50), bytes(20), b'SSH-2.0-OpenSSH\r\n', b'\x15\x03\x01\x00\x02\x02\x28'):
            with self.subTest(data):
                began = time.monotonic()
                self.assertIn(s.raw(data, port=s.tls_port)[:1], (b'', b'\x15'))
                self.assertLess(time.monotonic() - began, 1.5)
        self.assertEqual(s.get(tls=True).status, 200)


class Ends(ServerTest):
    def test_what_is_under_way_is_finished(self):
        """A graceful restart with connections in every state: each request is answered, and told that it was the last."""
        s = self.serve(BASE + 'KeepAliveTimeout 10\n', {'htdocs/big': noise(9000000)})
        for name, tls in BOTH:
            with self.subTest(name):
                old = s.workers()
                starts = {'idle': (GET % '/', ''), 'new': ('', ''), 'head': ('GET / HTTP/1.1\r\nHo', 'st: x\r\n\r\n'), 'response': (GET % '/big', ''),
                          'body': ('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc', 'def'), 'stream': (GET % '/stream?n=9000000', '')}
                held = {state: s.connect(tls) for state in starts}
                if not tls:             # a handshake that is under way
                    hello = s.connect(port=s.tls_port)
                    self.addCleanup(hello.sock.close)
                for state, c in held.items():
                    self.addCleanup(c.sock.close)
                    c.send(starts[state][0])
                self.assertEqual(held['idle'].response().status, 200)
                time.sleep(0.2)
                os.kill(s.pid, signal.SIGUSR1)
                wait_for(lambda: set(s.workers()) - set(old), 'new children')
                time.sleep(0.5)
                for state, c in held.items():
                    c.send(starts[state][1])
                if not tls:
                    with Conn(context().wrap_socket(hello.sock, server_hostname='localhost')) as c:
                        self.assertEqual(c.request('/').status, 200)
                for state in ('idle', 'new'):
                    answer = held[state].request('/')
                    self.assertEqual((answer.status, answer.headers.get('connection')), (200, 'close'))
                answer = held['head'].response()
                self.assertEqual((answer.status, answer.headers.get('connection')), (200, 'close'))
                self.assertEqual(held['body'].response().body, b'abcdef')
                self.assertTrue(held['response'].response().body == noise(9000000))
                self.assertEqual(len(held['stream'].response().body), 9000000)
                for c in held.values():
                    c.sock.close()
                wait_for(lambda: not any(map(alive, old)), 'the old children end', 15)

    def test_children_that_have_served_their_number(self):
        s = self.serve(BASE + 'MaxConnectionsPerChild 3\nKeepAliveTimeout 1\n')
        first = s.workers()
        for n in range(30):
            self.assertEqual(s.get(tls=n % 2).status, 200)
        wait_for(lambda: not any(map(alive, first)), 'the first children have ended')

    def test_one_connection_a_child(self):
        s = self.serve(BASE + 'ConnectionsPerChild 1\nMaxRequestWorkers 4\nServerLimit 4\nStartServers 4\nMinSpareServers 1\nMaxSpareServers 4\n')
        held = [s.connect() for _ in range(4)]
        for c in held:
            self.assertEqual(c.request('/').status, 200)
        late = s.connect(timeout=30)
        late.send(GET % '/')
        time.sleep(0.3)
        self.assertFalse(select.select([late.sock], [], [], 0)[0])
        held.pop().sock.close()
        self.assertEqual(late.response().status, 200)
        for c in held + [late]:
            c.sock.close()
        for n in range(20):
            self.assertEqual(s.get(tls=n % 2).status, 200)


class Quiet(ServerTest):
    def test_nothing_spins(self):
        """Connections in every state cost no processor time while nothing happens."""
        s = self.serve(ONE_CHILD + BASE + 'Timeout 30\nKeepAliveTimeout 30\n', {'htdocs/big': bytes(30000000)})
        self.assertEqual(s.get(tls=True).status, 200)
        pid, = s.workers()
        held = []

        def hold(c, text, half=False):
            self.addCleanup(c.sock.close)
            held.append(c)
            c.send(text)
            if half:
                c.sock.shutdown(socket.SHUT_WR)

        for text in ('', 'GET / HT', GET % '/', GET % '/big' + GET % '/', GET % '/stream?n=30000000', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab',
                     'POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n' + 'x' * 100000):
            hold(s.connect(), text)
            hold(s.connect(), text, True)
            hold(s.connect(True), text)
        for data in (b'', b'\x16', b'\x16\x03\x01\x02\x00\x01'):
            hold(s.connect(port=s.tls_port), data)
        time.sleep(2.5)                 # what is closed lingers two seconds
        before = cpu(pid)
        time.sleep(2)
        self.assertLess(cpu(pid) - before, 0.05)


if __name__ == '__main__':
    unittest.main()
