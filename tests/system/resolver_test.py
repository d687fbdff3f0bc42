"""Require host and forward-dns: the resolver answers, is slow, dies; the children never wait for it. /etc/hosts is the name service."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from server import Conn, ServerTest, alive, needs_localhost, needs_root, process_name, status_of, wait_for

RULES = '''\
LogFormat "%U %>s" short
CustomLog "@DIR@/logs/access_log" short
<Location /host>
  Require host localhost
</Location>
<Location /other>
  Require host example.org
</Location>
<Location /forward>
  Require forward-dns localhost
</Location>
<Location /not>
  <RequireAll>
    Require all granted
    Require not host example.org
  </RequireAll>
</Location>
<Location /decided>
  Require ip 127.0.0.1
  Require host example.org
</Location>
<Location /late>
  Require host example.org
  Require ip 127.0.0.1
</Location>
<Location /lost>
  <RequireAll>
    Require host localhost
    Require ip 10.1
  </RequireAll>
</Location>
<Location /both>
  <RequireAll>
    Require host localhost
    Require forward-dns localhost
  </RequireAll>
</Location>
'''
FILES = {'htdocs/%s/index.html' % name: name + '\n' for name in ('host', 'other', 'forward', 'not', 'decided', 'late', 'lost', 'both', 'free')}
GRANTED = ('host', 'forward', 'not', 'decided', 'late', 'both', 'free')
LIMIT = 5


@needs_localhost
class Resolver(ServerTest):
    def serve_rules(self, extra='StartServers 1\nServerLimit 1\n'):
        server = self.serve(RULES + extra, FILES)
        self.resolver = self.one_resolver(server)
        return server

    def one_resolver(self, server):
        return wait_for(lambda: server.roles('names'), 'there is a resolver')[0]

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: alive(pid) and process_name(pid) == 'bulkhead-names' and os.kill(pid, signal.SIGCONT))

    def check(self, server):
        for name in FILES:
            name = name.split('/')[1]
            answer = server.get('/%s/' % name)
            self.assertEqual((answer.status, name), (200 if name in GRANTED else 403, name))
            if name in GRANTED:
                self.assertEqual(answer.body.decode(), name + '\n')

    def test_names_grant_and_deny(self):
        server = self.serve_rules()
        self.check(server)
        self.check(server)
        server.logged(r'client denied by server configuration: .*/other/')
        self.assertNotIn('BH0312', server.error_log)

    def test_names_in_one_process(self):
        server = self.configure(RULES, FILES)
        server.start_foreground('-X')
        self.check(server)
        with server.connect() as c:
            self.assertEqual([c.request('/host/').status, c.request('/forward/').status, c.request('/other/').status], [200, 200, 403])

    def test_no_resolver_without_need(self):
        server = self.serve('<Location />\nRequire local\n</Location>\n')
        self.assertEqual(server.get().status, 200)
        self.assertEqual(server.roles('names'), [])

    def test_a_check_accepts_the_rules(self):
        server = self.configure(RULES, FILES)
        self.assertIn('Syntax OK', server.run('-t').stdout)
        server.write('case.conf', '<Location />\nRequire host example.org,example.net\n</Location>\n')
        self.assertIn('is no host name', server.run('-t').stdout)

    @needs_root
    def test_the_resolver_has_no_rights(self):
        server = self.serve_rules()
        wait_for(lambda: status_of(self.resolver)['NoNewPrivs'] == '1', 'it has given up its rights')
        status = status_of(self.resolver)
        self.assertNotIn('0', status['Uid'].split())
        self.assertEqual(int(status['CapEff'], 16) | int(status['CapBnd'], 16), 0)
        self.assertEqual(server.get('/host/').status, 200)

    def test_a_stopped_resolver_stops_nobody_else(self):
        server = self.serve_rules()
        self.stop(self.resolver)
        with server.connect() as waiting, server.connect() as other:
            begun = time.monotonic()
            waiting.send('GET /host/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /free/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.2)
            for _ in range(20):         # the one child there is serves on
                for name in ('free', 'decided', 'late'):
                    self.assertEqual(other.request('/%s/' % name).status, 200)
                self.assertEqual(other.request('/lost/').status, 403)           # no name could change that
            self.assertLess(time.monotonic() - begun, LIMIT - 1)
            self.assertNotIn('BH0312', server.error_log)
            self.assertEqual(waiting.response().status, 403)
            took = time.monotonic() - begun
            self.assertTrue(LIMIT - 0.5 < took < LIMIT + 3, took)
            self.assertEqual(waiting.response().body, b'free\n')                # what was pipelined behind it
        server.logged(r'BH0312: .*no answer about 127\.0\.0\.1')
        self.assertEqual(server.error_log.count('BH0312'), 1)
        with server.connect() as c:     # fails closed, whatever stands around the rule
            self.assertEqual(c.request('/not/').status, 403)
        os.kill(self.resolver, signal.SIGCONT)
        self.check(server)

    def test_an_answer_wakes_the_request_in_its_place(self):
        server = self.serve_rules()
        self.stop(self.resolver)
        with server.connect() as c, server.connect() as d:
            c.send('GET /free/ HTTP/1.1\r\nHost: localhost\r\n\r\n' + ''.join('GET /%s/ HTTP/1.1\r\nHost: localhost\r\n\r\n' % n for n in ('both', 'free', 'other')))
            d.send('GET /forward/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            self.assertEqual(c.response().body, b'free\n')
            d.sock.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                d.more()
            d.sock.settimeout(20)
            os.kill(self.resolver, signal.SIGCONT)
            self.assertEqual([c.response().body for _ in range(2)], [b'both\n', b'free\n'])
            self.assertEqual(c.response().status, 403)
            self.assertEqual(d.response().body, b'forward\n')

    def test_over_tls_and_with_a_body(self):
        server = self.serve(RULES + '<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile "@cert@"\nSSLCertificateKeyFile "@key@"\n</VirtualHost>\n', FILES)
        resolver = self.one_resolver(server)
        self.stop(resolver)
        with server.connect(tls=True) as c:
            c.send('POST /host/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhelloGET /host/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.3)
            os.kill(resolver, signal.SIGCONT)
            self.assertIn(c.response().status, (404, 405))
            self.assertEqual(c.response().body, b'host\n')

    def test_clients_that_leave_while_they_wait(self):
        server = self.serve_rules()
        child, = server.workers()
        self.stop(self.resolver)
        before = len(os.listdir('/proc/%d/fd' % child))
        for hard in (True, False) * 10:
            c = server.connect()
            c.send('GET /host/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.02)
            if hard:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            c.sock.close()
        self.assertEqual(server.get('/free/').status, 200)
        wait_for(lambda: len(os.listdir('/proc/%d/fd' % child)) <= before, 'their descriptors are freed', LIMIT + 5)
        wait_for(lambda: server.read('logs/access_log').count('/host/ 403\n') == 20, 'nobody is logged as granted')
        os.kill(self.resolver, signal.SIGCONT)
        self.check(server)              # answers to those who left harm nobody
        self.assertEqual(server.workers(), [child])

    def test_a_killed_resolver_is_replaced(self):
        server = self.serve_rules()
        self.stop(self.resolver)
        with server.connect() as c:
            c.send('GET /host/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.2)
            os.kill(self.resolver, signal.SIGKILL)
            self.assertEqual(c.response().body, b'host\n')          # its question waited in the socket
        server.logged('BH0133.*resolver pid %d' % self.resolver)
        self.assertNotEqual(self.one_resolver(server), self.resolver)
        self.check(server)

    def test_restarts_and_drains(self):
        server = self.serve_rules()
        self.stop(self.resolver)
        with server.connect() as c:
            c.send('GET /host/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.2)
            server.run('-k', 'graceful')
            wait_for(lambda: len(server.roles('names')) == 2, 'the new generation has a resolver of its own')
            wait_for(lambda: server.get('/host/').status == 200, 'the new generation answers')
            os.kill(self.resolver, signal.SIGCONT)
            self.assertEqual(c.response().body, b'host\n')          # the old one finishes what waited
        wait_for(lambda: not alive(self.resolver), 'the old resolver ends with its generation')
        self.check(server)
        server.write('case.conf', '')
        server.run('-k', 'graceful')
        wait_for(lambda: not server.roles('names'), 'the last resolver ends')
        self.assertEqual(server.get('/other/').status, 200)


class NameServer(threading.Thread):
    """Answers PTR and A from a table, on 127.0.0.77; what is in `silent` gets no answer."""
    def __init__(self, table, silent=()):
        super().__init__(daemon=True)
        self.table, self.silent, self.asked = table, silent, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(('127.0.0.77', 53))

    def run(self):
        def wire(name):
            return b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\0'
        while True:
            try:
                question, peer = self.sock.recvfrom(1500)
            except OSError:
                return
            name, at = [], 12
            while question[at]:
                name.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            name, (kind,), at = '.'.join(name).lower(), struct.unpack('>H', question[at + 1:at + 3]), at + 5
            self.asked.append(name)
            if name in self.silent:
                continue
            found = self.table.get(name) if kind in (1, 12) else None
            data = b'' if not found else wire(found) if kind == 12 else socket.inet_aton(found)
            record = b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 60, len(data)) + data if found else b''
            flags = 0x8180 if name in self.table else 0x8183
            self.sock.sendto(question[:2] + struct.pack('>HHHHH', flags, 1, bool(record), 0, 0) + question[12:at] + record, peer)


@needs_root
class NamesFromDNS(ServerTest):
    """The server runs where /etc/resolv.conf names a name server of ours."""

    def test_names_count_only_if_they_lead_back(self):
        table = {'2.0.0.127.in-addr.arpa': 'WWW.example.org', '3.0.0.127.in-addr.arpa': 'www.example.org', 'www.example.org': '127.0.0.2'}
        try:
            dns = NameServer(table, silent=('9.0.0.127.in-addr.arpa',))
        except OSError as e:
            self.skipTest('no name server on 127.0.0.77: %s' % e)
        self.addCleanup(dns.sock.close)
        dns.start()
        server = self.configure('<Location />\nRequire host example.org\n</Location>\n<Location /f>\nRequire forward-dns www.example.org\n</Location>\n',
                                {'htdocs/f/index.html': 'f\n', 'resolv.conf': 'nameserver 127.0.0.77\n'})
        inside = ['unshare', '-m', 'sh', '-c', 'mount --bind %s /etc/resolv.conf && exec "$@"' % server.path('resolv.conf'), 'sh']
        if subprocess.run([*inside, 'true'], capture_output=True).returncode:
            self.skipTest('no mount namespace can be had')
        command = server.command
        server.command = lambda *args: inside + command(*args)
        server.start()

        def ask(address, path):
            with Conn(socket.create_connection(('127.0.0.1', server.port), 20, source_address=(address, 0))) as c:
                return c.request(path).status
        for _ in range(3):
            self.assertEqual([ask(a, p) for a in ('127.0.0.2', '127.0.0.3', '127.0.0.4') for p in ('/', '/f/')], [200, 200, 403, 403, 403, 403])
        self.assertEqual(len([name for name in dns.asked if name.endswith('.arpa')]), 3)       # remembered, whichever child asks
        begun = time.monotonic()
        self.assertEqual(ask('127.0.0.9', '/'), 403)
        self.assertLess(time.monotonic() - begun, LIMIT)
        server.logged(r'BH0312: .*no answer about 127\.0\.0\.9')
        self.assertNotIn('BH0133', server.error_log)


if __name__ == '__main__':
    unittest.main()
