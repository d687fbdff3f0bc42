"""Resumption from outside, against the whole server: tickets on the wire, files with ticket keys over a fleet and their rotation, what must not be
resumed after a restart with another configuration, real clients over kills and restarts, the session cache's lock."""
import fcntl
import os
import re
import signal
import ssl
import struct
import subprocess
import time
import unittest

from server import SANITIZED, SSL_ON, ServerTest, alive, certificate, children_of, context, needs_localhost, needs_root, wait_for

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + '%s</VirtualHost>\n'
REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
# By ID, by a ticket of 1.2, by a ticket of 1.3.
WAYS = (('-tls1_2', '-no_ticket'), ('-tls1_2',), ('-tls1_3',))
CHILDREN = 'StartServers 4\nMinSpareServers 4\nMaxSpareServers 6\nMaxConnectionsPerChild 2\n'


def run(*args, text=REQUEST, timeout=30):
    done = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, errors='replace')
    return done.stdout


def named(name, kind='ec', extra=''):
    cert, key = certificate(name, kind)
    return ('<VirtualHost *:@TLS@>\nServerName %s\nDocumentRoot "@DIR@/htdocs"\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s</VirtualHost>\n'
            % (name, cert, key, extra))


class TicketTest(ServerTest):
    def client(self, server, *args, sni='localhost'):
        """openssl s_client: 'Reused' or 'New', and the protocol. The answer must be a good one."""
        name = ('-servername', sni) if sni else ('-noservername',)
        text = run('openssl', 's_client', '-connect', '127.0.0.1:%d' % server.tls_port, '-ign_eof', *name, *args)
        self.assertIn('HTTP/1.1 200', text)
        return re.search(r'^(Reused|New), (TLSv1\.\d|SSLv3)', text, re.M)[1], text

    def begin(self, server, way, sni='localhost'):
        """A new session with s_client; its file."""
        path = server.path('session' + ''.join(way))
        self.assertEqual(self.client(server, *way, '-sess_out', path, sni=sni)[0], 'New')
        return path

    def resumes(self, server, way, path, sni='localhost'):
        return self.client(server, *way, '-sess_in', path, sni=sni)[0] == 'Reused'

    def restart(self, server):
        old = server.workers()
        os.kill(server.pid, signal.SIGUSR1)
        wait_for(lambda: not any(map(alive, old)) and server.workers(), 'a new generation', 30)

    def change(self, server, conf):
        server.write('case.conf', conf)
        self.restart(server)

    def kill_children(self, server):
        old = server.workers()
        for pid in old:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(map(alive, old)) and server.workers(), 'new children')


class Wire(TicketTest):
    """What a handshake of TLS 1.3 gives: one ticket, and none where it is of no use."""

    def tickets(self, server, *args):
        return len(re.findall(r'^<<< TLS 1\.3, Handshake \[length [0-9a-f]+\], NewSessionTicket', self.client(server, '-msg', '-tls1_3', *args)[1], re.M))

    def test_one_ticket_a_handshake(self):
        s = self.serve(HOST % '')
        self.assertEqual(self.tickets(s), 1)
        path = self.begin(s, ('-tls1_3',))
        self.assertEqual(self.tickets(s, '-sess_in', path), 1)

    def test_none_where_tickets_are_off(self):
        s = self.serve(HOST % 'SSLSessionTickets off\n')
        self.assertEqual(self.tickets(s), 0)

    @needs_localhost
    def test_none_for_a_client_that_cannot_use_it(self):
        """Without psk_key_exchange_modes (RFC 8446, 4.2.9)."""
        s = self.serve(HOST % '')
        for more, wanted in (('', 1), (':%NO_TICKETS', 0)):
            text = run('gnutls-cli', '--insecure', '-d', '5', '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3' + more, '-p', str(s.tls_port), 'localhost')
            self.assertIn('HTTP/1.1 200', text)
            self.assertEqual(bool(re.search(r"Sending extension PSK Key Exchange Modes", text)), bool(wanted))
            self.assertEqual(len(re.findall(r'NEW SESSION TICKET \(4\) was received', text)), wanted)


class Holes(TicketTest):
    """What changed between two connections of a client, by each way of resuming: always a good connection, resumed only where nothing that counts did."""

    def changed(self, before, after, resumed, sni=('localhost', 'localhost'), ways=WAYS, second=None):
        s = self.serve(before)
        sessions = [self.begin(s, way, sni[0]) for way in ways]
        if after != before:
            self.change(s, after)
        for way, path in zip(ways, sessions):
            with self.subTest(way):
                self.assertEqual(self.resumes(s, way if second is None else second, path, sni[1]), resumed)

    def test_nothing(self):
        self.changed(HOST % '', HOST % '', True)

    def test_other_name(self):
        self.changed(named('one.test') + named('two.test'), named('one.test') + named('two.test'), False, ('one.test', 'two.test'))

    def test_no_name_and_another_default_host(self):
        self.changed(named('one.test') + named('two.test'), named('one.test') + named('two.test'), False, ('two.test', None))

    def test_another_host_for_the_same_name(self):
        self.changed(named('one.test'), named('two.test'), False, ('one.test', 'one.test'))

    def test_suite_that_went(self):
        self.changed(HOST % '', HOST % 'SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384\nSSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384\n', False)

    def test_host_now_does_13(self):
        self.changed(HOST % 'SSLProtocol TLSv1.2\n', HOST % '', False, ways=WAYS[:2], second=())

    def test_host_now_12_only(self):
        self.changed(HOST % '', HOST % 'SSLProtocol TLSv1.2\n', False, ways=WAYS[2:], second=())

    def test_renewed_certificate(self):
        """The same host with a new certificate and key goes on with its sessions."""
        cert, key = certificate('renewed.test')
        self.changed(HOST % '', '<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n</VirtualHost>\n' % (cert, key), True)

    def test_time_over(self):
        s = self.serve('SSLSessionCacheTimeout 2\n' + HOST % '')
        sessions = [self.begin(s, way) for way in WAYS]
        for way, path in zip(WAYS, sessions):
            with self.subTest(way, time='within'):
                self.assertTrue(self.resumes(s, way, path))
        time.sleep(3.1)
        for way, path in zip(WAYS, sessions):
            with self.subTest(way, time='over'):
                self.assertFalse(self.resumes(s, way, path))


class RealClients(TicketTest):
    """A saved session over whichever children, kills and restarts."""

    def over(self, what):
        s = self.serve(CHILDREN + HOST % '')
        sessions = [self.begin(s, way) for way in WAYS]
        for turn in range(2):
            what(s)
            for way, path in zip(WAYS, sessions):
                with self.subTest(way, turn=turn):
                    self.assertTrue(self.resumes(s, way, path))

    def test_openssl_over_children(self):
        self.over(lambda s: [s.get('/', True) for _ in range(5)])

    def test_openssl_over_kills(self):
        self.over(self.kill_children)

    def test_openssl_over_restarts(self):
        self.over(self.restart)

    def test_openssl_over_another_size_of_the_cache(self):
        s = self.serve(HOST % '')
        sessions = [self.begin(s, way) for way in WAYS]
        for lines in ('SSLSessionCache shmcb:x(262144)\n', 'SSLSessionCache shmcb:x(1048576)\n'):
            self.change(s, lines + HOST % '')
            for _ in range(3):
                for way, path in zip(WAYS, sessions):
                    with self.subTest(way, lines=lines):
                        self.assertTrue(self.resumes(s, way, path))
                time.sleep(0.5)

    @needs_localhost
    def test_gnutls_cli(self):
        s = self.serve('StartServers 3\nMaxConnectionsPerChild 1\n' + HOST % '')
        for priority in ('NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_TICKETS', 'NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3'):
            with self.subTest(priority):
                text = run('gnutls-cli', '--insecure', '--resume', '--waitresumption', '--priority', priority, '-p', str(s.tls_port), 'localhost')
                self.assertIn('This is a resumed session', text)
                self.assertIn('HTTP/1.1 200', text)

    def test_curl(self):
        """Within one run: the connection is closed, the session kept."""
        s = self.serve('KeepAlive off\nStartServers 3\nMaxConnectionsPerChild 1\n' + HOST % '')
        url = 'https://localhost:%d/' % s.tls_port
        for args in (('--tlsv1.2', '--tls-max', '1.2'), ('--tlsv1.3',), ('--no-sessionid', '--tlsv1.3')):
            with self.subTest(args):
                text = run('curl', '-sSv', '--http1.1', '--max-time', '20', *args, '--cacert', certificate()[0], url, url, url, text='')
                self.assertEqual(text.count('index\n'), 3, text)
                self.assertEqual(len(re.findall('SSL re-?using session ID', text)), 0 if '--no-sessionid' in args else 2, text)

    def test_fatal_alert_ends_a_session(self):
        """RFC 5246, 7.2.2. Here the alert is the server's; those of clients are in tests/unit/tls/resume_test.c."""
        s = self.serve('SSLSessionTickets off\n' + HOST % '')
        for first in ('full', 'resumed'):
            with self.subTest(first):
                ctx = context(TLS12, False)
                with s.connect(ctx=ctx) as c:
                    c.request('/')
                    session = c.sock.session
                # A record whose seal is wrong, below the TLS layer: the server answers with a fatal alert.
                with s.connect(ctx=ctx, session=session if first == 'resumed' else None) as c:
                    self.assertEqual(c.sock.session_reused, first == 'resumed')
                    session = c.sock.session
                    os.write(c.sock.fileno(), b'\x17\x03\x03\x00\x20' + bytes(range(32)))
                    with self.assertRaisesRegex(ssl.SSLError, '(?i)bad.record.mac'):
                        c.sock.read(1)
                with s.connect(ctx=ctx, session=session) as c:
                    self.assertEqual(c.request('/').status, 200)
                    self.assertFalse(c.sock.session_reused)


class Files(TicketTest):
    def fleet(self, files, lines='SSLSessionTicketKeyFile @DIR@/keys/a\n', n=2):
        """Servers that have nothing in common but the files."""
        return [self.serve(HOST % lines, {'keys/' + name: content for name, content in files[i].items()}) for i in range(n)]

    def across(self, one, two):
        found = []
        for way in WAYS:
            path = self.begin(one, way)
            found.append(self.resumes(two, way, path))
        return found

    def test_a_fleet_resumes_one_anothers_tickets(self):
        for n in (48, 80):
            with self.subTest(n):
                a = os.urandom(n)
                one, two = self.fleet([{'a': a}, {'a': a}])
                self.assertEqual(self.across(one, two), [False, True, True])
                self.assertEqual(self.across(two, one), [False, True, True])

    def test_not_with_other_files(self):
        one, two = self.fleet([{'a': os.urandom(48)}, {'a': os.urandom(48)}])
        self.assertEqual(self.across(one, two), [False, False, False])

    def test_over_a_full_start(self):
        s = self.serve(HOST % 'SSLSessionTicketKeyFile @DIR@/a\n', {'a': os.urandom(80)})
        sessions = [self.begin(s, way) for way in WAYS]
        s.stop()
        s.start()
        self.assertEqual([self.resumes(s, way, path) for way, path in zip(WAYS, sessions)], [False, True, True])

    def test_rotation_without_a_full_handshake(self):
        """The new key in second place everywhere, then in first place: whichever machine has come how far."""
        old, new = os.urandom(48), os.urandom(48)
        first, second, third = ('SSLSessionTicketKeyFile ' + ' '.join('@DIR@/keys/' + n for n in names) + '\n' for names in (('old',), ('old', 'new'), ('new', 'old')))
        both = {'old': old, 'new': new}
        one, two = self.fleet([both, both], first)
        sessions = [(way, self.begin(one, way)) for way in WAYS[1:]]
        for server, lines in ((one, second), (two, second), (one, third), (two, third)):
            self.change(server, HOST % lines)
            for other in (one, two):
                for way, path in sessions:
                    with self.subTest(way, lines=lines):
                        self.assertTrue(self.resumes(other, way, path))
            self.assertEqual(self.across(one, two), [False, True, True])
            self.assertEqual(self.across(two, one), [False, True, True])

    def test_other_contents_by_a_graceful_restart(self):
        s = self.serve('SSLSessionCacheTimeout 4\n' + HOST % 'SSLSessionTicketKeyFile @DIR@/a\n', {'a': b'1two' * 12})
        sessions = [(way, self.begin(s, way)) for way in WAYS[1:]]
        s.write('a', b'2one' * 12)
        self.restart(s)
        for way, path in sessions:
            with self.subTest(way):
                self.assertTrue(self.resumes(s, way, path))
        # New ones are sealed by the new contents: a server that has these alone opens them.
        two = self.serve('SSLSessionCacheTimeout 4\n' + HOST % 'SSLSessionTicketKeyFile @DIR@/a\n', {'a': b'2one' * 12})
        self.assertEqual(self.across(s, two), [False, True, True])

    def test_hosts_with_and_without(self):
        """The main server's list holds for all hosts but those with one of their own."""
        a, b = os.urandom(48), os.urandom(48)
        conf = 'SSLSessionTicketKeyFile @DIR@/keys/a\n' + named('one.test') + named('two.test', extra='SSLSessionTicketKeyFile @DIR@/keys/b\n')
        one = self.serve(conf, {'keys/a': a, 'keys/b': b})
        two = self.serve(conf, {'keys/a': a, 'keys/b': os.urandom(48)})
        for name, wanted in (('one.test', True), ('two.test', False)):
            for way in WAYS[1:]:
                with self.subTest(name, way=way):
                    path = self.begin(one, way, name)
                    self.assertTrue(self.resumes(one, way, path, name))
                    self.assertEqual(self.resumes(two, way, path, name), wanted)

    def test_what_is_wrong_with_files(self):
        for name, content, mode, words in (('short', b'x' * 47, 0o600, r'case\.conf:\d+: error: .*47 bytes: it must have 48 or 80'),
                                           ('absent', None, 0, r'case\.conf:\d+: error: .*absent cannot be opened: No such file'),
                                           ('long', b'x' * 81, 0o600, r'case\.conf:\d+: error: .*81 bytes')):
            with self.subTest(name):
                s = self.configure(HOST % ('SSLSessionTicketKeyFile @DIR@/%s\n' % name))
                if content is not None:
                    s.write(name, content, mode)
                done = s.run('-t')
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, words)
                self.assertIn('head -c 80 /dev/urandom', done.stdout)
                done = s.run('-k', 'start')
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, r'case\.conf:\d+: SSLSessionTicketKeyFile: .*(bytes|cannot be opened)')

    def test_a_file_that_others_may_read(self):
        s = self.configure(HOST % 'SSLSessionTicketKeyFile @DIR@/open\n')
        s.write('open', os.urandom(48), 0o644)
        done = s.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'case\.conf:\d+: warning: .*open can be read by others \(mode 0644\)')
        self.assertIn('chmod 600', done.stdout)
        s.start()
        s.logged(r'BH0171: .*case\.conf:\d+: .*can be read by others')

    def test_a_bad_file_at_a_restart_is_refused(self):
        s = self.serve(HOST % 'SSLSessionTicketKeyFile @DIR@/a\n', {'a': os.urandom(48)})
        sessions = [(way, self.begin(s, way)) for way in WAYS[1:]]
        s.write('a', b'short')
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('5 bytes: it must have 48 or 80')
        s.logged('BH0154')
        for way, path in sessions:
            self.assertTrue(self.resumes(s, way, path))
            self.assertTrue(self.resumes(s, way, self.begin(s, way)))

    @needs_root
    @unittest.skipIf(SANITIZED, 'the sanitizers map terabytes')
    def test_the_bytes_are_nowhere_in_memory(self):
        secret = os.urandom(80)
        s = self.serve(HOST % 'SSLSessionTicketKeyFile @DIR@/a\n', {'a': secret})
        self.begin(s, ('-tls1_3',))
        looked = 0
        for pid in [s.pid] + children_of(s.pid):
            with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb', 0) as memory:
                for line in maps:
                    start, end, rights = re.match(r'(\w+)-(\w+) (\S+)', line).groups()
                    if rights[0] != 'r' or '[v' in line:
                        continue
                    try:
                        memory.seek(int(start, 16))
                        data = memory.read(int(end, 16) - int(start, 16))
                    except OSError:
                        continue
                    looked += len(data)
                    self.assertEqual([data.find(secret[i:i + 16]) for i in (0, 32, 64)], [-1, -1, -1], line)
        self.assertGreater(looked, 1 << 20)


class Settings(TicketTest):
    def test_refusals(self):
        for line, words in (('SSLEarlyData on', 'replayed'), ('SSLSessionCache dc:UNIX:/x', 'SSLSessionTicketKeyFile'), ('SSLSessionCache shmcb:x(1)', '8192'),
                            ('Mutex none', 'damaged'), ('SSLTicketKeyLifetime 1s', 'out of range'), ('Mutex file:@DIR@/a/b ssl-cache', 'mkdir -p'),
                            ('SSLMutex file:@DIR@/a/b/lock', 'mkdir -p'), ('SSLMutex file:@DIR@/run', 'is a folder'), ('SSLSessionCache shmcb:x(64M)', '67108864')):
            with self.subTest(line):
                s = self.configure(line + '\n' + HOST % '')
                for args in (('-t',), ('-k', 'start')):
                    done = s.run(*args)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertRegex(done.stdout, r'case\.conf:1: error: .*')
                    self.assertIn(words, done.stdout)

    def test_lockfile_that_is_another_file(self):
        s = self.configure('SSLMutex "file:@DIR@/precious"\n' + HOST % '', {'precious': 'not to be lost\n'})
        done = s.run('-k', 'start')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'case\.conf:1: .*/precious cannot be the lockfile: it holds something else; give the path')
        self.assertEqual(s.read('precious'), 'not to be lost\n')

    def test_kinds_of_locks(self):
        for lines, kept in (('Mutex pthread default\n', None), ('Mutex flock:@DIR@/run\n', 'ssl-cache'), ('Mutex file:@DIR@/new ssl-cache\n', 'new'),
                            ('SSLMutex file:@DIR@/mutex\n', 'mutex'), ('Mutex sysvsem\n', 'ssl-cache')):
            with self.subTest(lines):
                s = self.serve(lines + HOST % '')
                path = self.begin(s, WAYS[0])
                self.kill_children(s)
                self.assertTrue(self.resumes(s, WAYS[0], path))
                if kept:
                    self.assertTrue([n for n in os.listdir(s.path()) + os.listdir(s.path('run')) if kept in n])

    def test_no_cache(self):
        for kind in ('none', 'nonenotnull'):
            s = self.serve('SSLSessionCache %s\n' % kind + HOST % '')
            self.assertEqual([self.resumes(s, way, self.begin(s, way)) for way in WAYS], [False, True, True])
            # The ID is there all the same.
            text = self.client(s, '-tls1_2', '-no_ticket')[1]
            self.assertRegex(text, r'Session-ID: [0-9A-F]{64}')

    def test_lifetime_in_force(self):
        s = self.serve('SSLTicketKeyLifetime 1mi\nSSLSessionCacheTimeout 604800\n' + HOST % '')
        s.logged('BH0170: SSLTicketKeyLifetime is 60480 seconds in force, not 60')
        self.restart(s)
        self.assertEqual(s.error_log.count('BH0170'), 1)

    def test_a_lock_that_is_not_had_is_told(self):
        s = self.serve('StartServers 1\nSSLSessionTickets off\nMutex file:@DIR@ ssl-cache\n' + HOST % '')
        lockfile = [n for n in os.listdir(s.path()) if n.startswith('ssl-cache')]
        self.assertEqual(len(lockfile), 1)
        with open(s.path(lockfile[0]), 'r+b') as f:
            # struct flock: type, whence, start, length, pid; F_OFD_SETLK
            fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 512, 0))
            for _ in range(3):
                self.assertFalse(self.resumes(s, WAYS[0], self.begin(s, WAYS[0])))
            s.logged(r'BH0530: a TLS session was not kept: the lock of shard \d+ of the session cache.* was not free within \d+ ms')
        self.assertLess(s.error_log.count('BH0530'), 5)
        self.assertTrue(self.resumes(s, WAYS[0], self.begin(s, WAYS[0])))


if __name__ == '__main__':
    unittest.main()
