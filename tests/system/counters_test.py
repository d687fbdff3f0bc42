"""What is counted for the status page: known traffic adds up, by host, by handshake, over children that are killed and over restarts; requests
that take long are shown while they do."""
import json
import os
import signal
import socket
import ssl
import subprocess

from server import SANITIZED, ServerTest, children_of, process_name, wait_for

CONFIG = '''
StartServers 2
Protocols h2 h2c http/1.1
Listen @PORT@
Listen @TLS@
<Location "/status">
    SetHandler server-status
    Require ip 127.0.0.1
</Location>
<VirtualHost *:@PORT@>
    ServerName main.test
    ProxyPass /slow http://127.0.0.1:@BACKEND@/slow
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName other.test
</VirtualHost>
<VirtualHost *:@TLS@>
    ServerName tls.test
    SSLEngine on
    SSLCertificateFile "@cert@"
    SSLCertificateKeyFile "@key@"
</VirtualHost>
'''


class Counters(ServerTest):
    def begin(self):
        self.backend = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.backend.close)
        self.backend.settimeout(20)
        s = self.serve(CONFIG.replace('@BACKEND@', str(self.backend.getsockname()[1])), {'htdocs/a.txt': 'x' * 5000})
        s.main_label, s.other_label, s.tls_label = 'main.test:%d' % s.port, 'other.test:%d' % s.port, 'tls.test:%d' % s.tls_port
        return s

    def status(self, s):
        answer = s.get('/status?json')
        self.assertEqual(answer.status, 200)
        return json.loads(answer.body)

    def host(self, status, name):
        return next(h for h in status['hosts'] if h['name'] == name)

    def ask(self, s, path, host, times=1):
        """The statuses of requests, all on one connection."""
        with s.connect() as c:
            return [c.request(path, host=host).status for _ in range(times)]

    def shake(self, s, version, session=None, tickets=True):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        ctx.minimum_version = ctx.maximum_version = version
        if not tickets:
            ctx.options |= ssl.OP_NO_TICKET
        return ctx

    def resume(self, s, version, tickets=True):
        """A full handshake and a resumed one."""
        ctx, session = self.shake(s, version, tickets=tickets), None
        for again in (False, True):
            with socket.create_connection(('127.0.0.1', s.tls_port), 20) as plain, ctx.wrap_socket(plain, server_hostname='tls.test', session=session) as c:
                c.sendall(b'GET /a.txt HTTP/1.1\r\nHost: tls.test\r\nConnection: close\r\n\r\n')
                while c.recv(65536):
                    pass
                session = c.session
                self.assertEqual(c.session_reused, again)

    def new_children(self, s, before):
        wait_for(lambda: len(s.workers()) == 2 and not set(s.workers()) & set(before), lambda: 'two new children for %s: %s' % (before, s.workers()))

    def test_hosts(self):
        s = self.begin()
        self.assertEqual(self.ask(s, '/a.txt', 'main.test', 30), [200] * 30)
        self.assertEqual(self.ask(s, '/nonesuch', 'main.test', 5), [404] * 5)
        self.assertEqual(self.ask(s, '/a.txt', 'other.test', 7), [200] * 7)
        status = self.status(s)
        main, other = self.host(status, s.main_label), self.host(status, s.other_label)
        self.assertEqual((main['responses']['2xx'], main['responses']['4xx'], main['requests']), (30, 5, 35))
        self.assertEqual((other['responses']['2xx'], other['requests']), (7, 7))
        self.assertGreaterEqual(other['bytes'], 7 * 5000)
        self.assertLess(other['bytes'], 7 * 6000)
        self.assertEqual(status['requests']['total'], 43)       # the page itself has begun, and is no host's yet
        self.assertEqual(self.host(self.status(s), s.main_label)['requests'], 36)
        self.assertEqual(self.host(status, s.tls_label)['requests'], 0)
        self.assertGreater(self.host(status, s.tls_label)['certificate_expires'], status['server']['now'])
        self.assertIsNone(main['certificate_expires'])

    def test_handshakes(self):
        s = self.begin()
        self.resume(s, ssl.TLSVersion.TLSv1_3)
        self.resume(s, ssl.TLSVersion.TLSv1_2)
        self.resume(s, ssl.TLSVersion.TLSv1_2, tickets=False)
        with self.assertRaises(ssl.SSLError):
            ctx = self.shake(s, ssl.TLSVersion.TLSv1_2)
            ctx.set_ciphers('ECDHE-RSA-AES128-GCM-SHA256')
            with socket.create_connection(('127.0.0.1', s.tls_port), 20) as plain:
                ctx.wrap_socket(plain, server_hostname='tls.test')
        self.assertIn(b' 400 ', s.raw(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', port=s.tls_port))
        tls = self.status(s)['tls']
        self.assertEqual((tls['versions']['TLSv1.2'], tls['versions']['TLSv1.3'], tls['versions']['TLSv1']), (4, 2, 0))
        self.assertEqual(tls['kinds'], {'full': 3, 'id': 1, 'ticket': 2})
        self.assertEqual(sum(tls['suites'].values()), 6)
        self.assertEqual((tls['handshakes'], tls['resumed'], tls['failed']), (6, 3, 1))
        self.assertEqual((tls['failures']['no common cipher suite'] + tls['failures']['no fitting certificate'], tls['failures']['plain HTTP on a TLS port']),
                         (1, 1))
        status = self.status(s)
        self.assertGreaterEqual(status['keys']['operations'], 3)
        self.assertEqual((status['cache']['hits'], status['cache']['live'] > 0), (1, True))
        # A keyholder that dies is one more that was replaced.
        holder = next(p for p in children_of(s.pid) if 'key' in process_name(p))
        os.kill(holder, signal.SIGKILL)
        wait_for(lambda: self.status(s)['keys']['restarts'] == 1, 'the keyholder is counted')

    def test_nothing_is_lost(self):
        s = self.begin()
        answered = 0
        for how in (signal.SIGKILL, signal.SIGSEGV, None):
            answered += len(self.ask(s, '/a.txt', 'other.test', 20))
            self.resume(s, ssl.TLSVersion.TLSv1_3)
            before = s.workers()
            if how:
                for pid in before:
                    os.kill(pid, how)
            else:
                s.run('-k', 'graceful')
            self.new_children(s, before)
            # The last old child's counts are there when it has been reaped: it takes no slot any more.
            wait_for(lambda: self.status(s)['children']['living'] == 2, 'the old children are reaped')
            status = self.status(s)
            self.assertEqual(self.host(status, s.other_label)['requests'], answered)
            self.assertEqual(self.host(status, s.other_label)['responses']['2xx'], answered)
        self.assertEqual(self.host(status, s.tls_label)['requests'], 6)
        self.assertEqual((status['tls']['handshakes'], status['tls']['kinds']['full'], status['tls']['kinds']['ticket']), (6, 3, 3))
        ends = status['children']['ends']
        self.assertEqual((ends['killed'], ends['crash'], ends['normal']), (2, 2, 2))
        if not SANITIZED:       # such children have no crash handler, so that nobody knows where they were
            self.assertEqual(sum(c['crashes'] for c in status['crashes']), 2)
            self.assertEqual({c['signal'] for c in status['crashes']}, {signal.SIGSEGV})
        server = status['server']
        self.assertEqual((server['generation'], server['graceful_restarts'], server['hard_restarts']), (2, 1, 0))
        self.assertGreaterEqual(server['restarted'], server['started'])

    def longest(self, s):
        return [r for r in self.status(s)['longest'] if r['path'] == '/slow/page']

    def answer(self, behind):
        behind.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')

    def test_requests_that_take_long(self):
        s = self.begin()
        with s.connect() as c:
            c.send(b'GET /slow/page?secret=word HTTP/1.1\r\nHost: main.test\r\n\r\n')
            behind, _ = self.backend.accept()
            with behind:
                behind.recv(4096)
                request = wait_for(lambda: self.longest(s), 'the request is shown')[0]
                self.assertEqual([request[k] for k in ('method', 'host', 'client', 'phase')], ['GET', 'main.test', '127.0.0.1', 'handler'])
                self.assertIn(request['pid'], s.workers())
                self.assertNotIn('secret', s.get('/status?json').body.decode())
                self.assertEqual(self.status(s)['connections']['working'], 2)
                self.answer(behind)
            self.assertEqual(c.response().body, b'ok')
            wait_for(lambda: not self.longest(s), 'it is shown no more')
            wait_for(lambda: self.status(s)['connections']['keepalive'] == 1, 'the connection waits for another request')

    def test_http2(self):
        s = self.begin()
        self.assertEqual(self.status(s)['h2']['connections_total'], 0)
        curl = ['curl', '-sS', '--http2-prior-knowledge', '--resolve', 'main.test:%d:127.0.0.1' % s.port, '--max-time', '60']
        subprocess.run(['nghttp', '-n', '-t', '60'] + ['http://127.0.0.1:%d/a.txt?%d' % (s.port, i) for i in range(3)], check=True)
        wait_for(lambda: self.status(s)['h2']['connections'] == 0, 'the connection is closed')
        h2 = self.status(s)['h2']
        self.assertEqual((h2['connections_total'], h2['streams_total'], h2['streams'], h2['resets_total']), (1, 3, 0, 0))
        with subprocess.Popen(curl + ['http://%s/slow/page?secret=word' % s.main_label], stdout=subprocess.PIPE) as slow:
            behind, _ = self.backend.accept()
            with behind:
                behind.recv(4096)
                request = wait_for(lambda: self.longest(s), 'the stream is shown')[0]
                self.assertEqual([request[k] for k in ('method', 'host', 'client', 'phase')], ['GET', 'main.test', '127.0.0.1', 'handler'])
                h2 = self.status(s)['h2']
                self.assertEqual((h2['connections'], h2['streams'], h2['streams_total']), (1, 1, 4))
                self.answer(behind)
            self.assertEqual(slow.communicate()[0], b'ok')
        wait_for(lambda: not self.longest(s), 'it is shown no more')
        wait_for(lambda: self.status(s)['h2']['connections'] == 0, 'the connection is closed')
