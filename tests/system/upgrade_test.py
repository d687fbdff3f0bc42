"""Another program in the place of the one that runs (USR2, -k upgrade): what goes over, what is refused, the way back; and the
program's own execution anew after a storm of crashes. Each server runs from a copy of the program in its own folder."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest

import load
import staple_test
from load import Load
from server import BIN, SANITIZED, SSL_ON, Conn, Server, ServerTest, alive, certificate, children_of, context, process_name, remove_shared_memory, wait_for

TWO = 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\nServerLimit 2\nMaxKeepAliveRequests 0\nServerTokens Full\n'
TLS = 'SSLSessionCache "shmcb:@DIR@/run/cache(512000)"\n<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
LOCATIONS = '<Location "/stream">\nSetHandler test-stream\n</Location>\n<Location "/status">\nSetHandler server-status\n</Location>\n'


class Own(Server):
    """A server that runs from a program of its own, called "bulkhead" in its folder."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.put(BIN)

    def command(self, *args):
        return [self.path('bulkhead'), *super().command(*args)[1:]]

    def put(self, content):
        """Another program, as a package manager puts it there: by a rename. A path, or bytes."""
        new = self.path('bulkhead.new')
        if isinstance(content, bytes):
            with open(new, 'wb') as f:
                f.write(content)
        else:
            shutil.copy(content, new)
        os.chmod(new, 0o755)
        os.rename(new, self.path('bulkhead'))

    def count(self, word):
        return self.error_log.count(word)

    def upgrade(self, word='BH0870', how=None):
        """Asks for an upgrade and waits until the log has that word once more."""
        before = self.count(word)
        if how:
            how()
        else:
            os.kill(self.pid, signal.SIGUSR2)
        wait_for(lambda: self.count(word) > before, lambda: '%s; the log has\n%s' % (word, self.error_log[-3000:]), 60)

    def settled(self, old):
        """All processes of before are gone, and the new ones are complete."""
        wait_for(lambda: not any(map(alive, old)), lambda: 'gone: %r' % [process_name(p) for p in old if alive(p)], 30)
        return wait_for(lambda: len(self.workers()) == 2 and children_of(self.pid), 'two children', 30)


class UpgradeTest(ServerTest):
    def own(self, conf, start=True, **kw):
        s = Own(conf)
        self.addCleanup(self.clean, s)
        return s.start(**kw) if start else s


def other_version(layout=None):
    """This program under another number, and another build: its build-id. `layout`: as if it laid out shared memory otherwise."""
    with open(BIN, 'rb') as f:
        program = f.read()
    note = program.index(b'\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0') + 16
    program = program[:note] + bytes(reversed(program[note:note + 20])) + program[note + 20:]
    if layout:
        program = program.replace(b'layout-1 %', b'%s %%' % layout)
    number = re.search(rb'Bulkhead/(\d+\.\d+)\0', program)[1]
    other = b'9' * (len(number) - 2) + b'.7'
    return program.replace(b'Bulkhead/' + number, b'Bulkhead/' + other).replace(b'\0' + number + b'\0', b'\0' + other + b'\0'), other.decode()


class Upgrades(UpgradeTest):
    def sessions(self, s):
        made = []
        for name, high, tickets in (('ID', ssl.TLSVersion.TLSv1_2, False), ('ticket', ssl.TLSVersion.TLSv1_2, True), ('1.3', None, True)):
            ctx = context(high, tickets)
            with s.connect(ctx=ctx) as c:
                self.assertEqual(c.request().status, 200)
                made.append((name, ctx, c.sock.session))
        return made

    def resumed(self, s, made):
        for name, ctx, session in made:
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual(c.request().status, 200)
                self.assertTrue(c.sock.session_reused, name)

    def total(self, s):
        return int(re.search(r'Total Accesses: (\d+)', s.get('/status?auto').body.decode())[1])

    def test_everything_goes_over_and_nothing_is_lost(self):
        s = self.own(TWO + 'CustomLog "@DIR@/logs/access" "%q"\n' + TLS + LOCATIONS)
        program, version = other_version()
        made, pid = self.sessions(s), s.pid
        with s.connect() as busy, s.connect() as idle:
            self.assertEqual(idle.request().status, 200)
            busy.send('GET /stream?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertEqual(busy.head().status, 200)
            before = self.total(s)
            with Load(s, load.ALL) as clients:
                old = children_of(pid)
                self.assertNotIn(version, s.get().headers['server'])
                s.put(program)
                s.upgrade(how=lambda: self.assertEqual(s.run('-k', 'upgrade').returncode, 0))
                wait_for(lambda: version in s.get().headers['server'], 'the new program answers')
                self.resumed(s, made)
            clients.tell(self)
            self.assertTrue(set(old) & set(children_of(pid)), 'a request under way keeps its process')
            self.assertEqual(len(busy.take(1000)), 1000)
            n = 0
            while b'\r\n0\r\n\r\n' not in busy.buf[-16:]:
                n += len(busy.buf) - 16 if len(busy.buf) > 16 else 0
                busy.buf = busy.buf[-16:]
                busy.more()
            self.assertGreater(n, 29000000)
        self.assertEqual(clients.failed, [])
        self.assertGreater(len(clients.answered), 20)
        s.settled(old)
        self.assertGreaterEqual(self.total(s), before + len(clients.answered))
        if not SANITIZED:               # there crashes are the sanitizer's
            os.kill(s.workers()[0], signal.SIGSEGV)
            s.logged('BH0125: child pid .* was sent signal 11', 30)
        self.assertEqual([s.read_pid(), alive(pid)], [pid, True])
        wait_for(lambda: sorted(re.findall(r'id=(\d+)', s.read('logs/access')), key=int) == [str(n) for n in sorted(clients.answered)],
                 'each answered request has one line')

    def test_upgrades_in_a_row_leak_nothing(self):
        s = self.own(TWO + TLS)
        counts = []
        with Load(s, load.ALL, pause=0.01) as clients:
            for _ in range(4):
                old = children_of(s.pid)
                s.upgrade()
                s.settled(old)
                counts.append((len(os.listdir('/proc/%d/fd' % s.pid)), len(children_of(s.pid))))
        clients.tell(self, counts=counts)
        self.assertEqual(clients.failed, [])
        self.assertEqual(len(set(counts[1:])), 1, counts)

    def test_ports_and_settings_change_with_it(self):
        s = self.own('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@PORT2@\nHeader set X-Gen old\n')
        s.write('case.conf', 'Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@PORT3@\nHeader set X-Gen new\n')
        third = int(s.expand('@PORT3@'))
        old = children_of(s.pid)
        s.upgrade()
        wait_for(lambda: not any(map(alive, old)), 'the old ones are gone', 30)
        self.assertEqual([s.get(port=p).headers['x-gen'] for p in (s.port, third)], ['new', 'new'])
        with self.assertRaises(ConnectionRefusedError):
            s.connect(port=int(s.expand('@PORT2@')))

    def test_typed_phrase_goes_over(self):
        cert, key = certificate()
        s = self.own('SSLPassPhraseDialog exec:@DIR@/phrase\nListen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@\n<VirtualHost *:@TLS@>\nSSLEngine on\n'
                     'SSLCertificateFile %s\nSSLCertificateKeyFile @DIR@/closed.key\n</VirtualHost>\n' % cert, start=False)
        subprocess.run(['openssl', 'pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-in', key, '-out', s.path('closed.key'), '-passout', 'pass:only once'],
                       check=True, capture_output=True)
        s.write('phrase', '#!/bin/sh\necho asked >>@DIR@/asked\necho only once\n', 0o700)
        s.start()
        old = children_of(s.pid)
        for _ in range(2):
            s.upgrade()
        wait_for(lambda: not any(map(alive, old)), 'the old ones are gone', 30)
        self.assertEqual(s.get(tls=True).status, 200)
        self.assertEqual(s.read('asked'), 'asked\n')
        for name in ('environ', 'cmdline'):
            with open('/proc/%d/%s' % (s.pid, name), 'rb') as f:
                self.assertNotIn(b'only once', f.read())

    def test_answers_of_ocsp_responders_go_over(self):
        """The responder is gone, and so is the file with its answer."""
        authority = staple_test.Authority(self)
        s = self.own('DefaultStateDir "@DIR@/run"\nListen 127.0.0.1:@TLS@\n<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n'
                     'SSLUseStapling on\n</VirtualHost>\n' % authority.leaf('leaf'))

        def stapled():
            done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', 'localhost', '-status'],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            return b'Cert Status: good' in done.stdout
        wait_for(stapled, 'the answer is stapled', 30)
        authority.close()
        wait_for(lambda: os.path.isdir(s.path('run/ocsp')) and [f for f in os.listdir(s.path('run/ocsp')) if len(f) > 40], 'and kept in a file', 30)
        shutil.rmtree(s.path('run/ocsp'))
        for _ in range(2):
            old = s.workers()
            s.upgrade()
            wait_for(lambda: not any(map(alive, old)), 'the old ones are gone', 30)
            self.assertTrue(stapled())
        self.assertEqual(authority.seen, 1)
        self.assertNotIn('BH0191', s.error_log)

    def test_with_restarts_around_it(self):
        s = self.own(TWO)
        with Load(s) as clients:
            os.kill(s.pid, signal.SIGUSR1)
            os.kill(s.pid, signal.SIGUSR2)
            s.logged('BH0870', 60)
            served = s.count('BH0102') + s.count('BH0101')
            os.kill(s.pid, signal.SIGHUP)
            wait_for(lambda: s.count('BH0102') + s.count('BH0101') > served, lambda: 'restarted: ' + s.error_log[-2000:], 60)
            self.assertEqual(s.get().status, 200)
        # The restart by HUP ends connections as they are; none is refused.
        self.assertEqual([f for f in clients.failed if 'refused' in f[1] or 'status' in f[1]], [])

    def test_stop_in_the_middle(self):
        s = self.own(TWO)
        family = children_of(s.pid)
        os.kill(s.pid, signal.SIGUSR2)
        os.kill(s.pid, signal.SIGTERM)
        wait_for(s.gone, 'it ends', 30)
        wait_for(lambda: not any(map(alive, family)), 'with all its processes', 30)
        self.assertFalse(os.path.exists(s.path('run/pid')))

    def test_master_killed_in_the_middle(self):
        """At several moments: no process stays, and a new start serves."""
        s = self.own(TWO + TLS)
        for pause in (0, 0.01, 0.03, 0.1):
            os.kill(s.pid, signal.SIGUSR2)
            time.sleep(pause)
            family = children_of(s.pid)
            os.kill(s.pid, signal.SIGKILL)
            wait_for(s.gone, 'it is dead')
            s.start()
            self.assertEqual([s.get().status, s.get(tls=True).status], [200, 200])
            wait_for(lambda: not any(map(alive, family)), lambda: 'gone: %r' % [process_name(p) for p in family if alive(p)], 30)

    def test_none_runs(self):
        s = self.own(TWO, start=False)
        done = s.run('-k', 'upgrade')
        self.assertEqual(done.returncode, 1)
        self.assertIn('not running', done.stdout)


class OfBefore(UpgradeTest):
    """Children of the program before that have requests to finish. Each of these requests has a connection of its own, which takes nothing yet."""

    LOG = 'CustomLog "@DIR@/logs/access" "%q %X"\n'

    def hold(self, s, n, path='/stream?n=12000000&id=%d'):
        held = []
        for i in range(n):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(60)
            sock.bind(('127.0.0.2', 0))
            sock.connect(('127.0.0.1', s.port))
            c = Conn(sock)
            c.send('GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' % (path % i))
            self.assertEqual(c.head().status, 200)
            held.append(c)
        return held

    def whole(self, c):
        while b'\r\n0\r\n\r\n' not in c.buf[-16:]:
            c.buf = c.buf[-16:]
            c.more()

    def lines(self, s):
        return sorted(int(n) for n in re.findall(r'&id=(\d+)', s.read('logs/access')))

    def has_lines(self, s, ids):
        wait_for(lambda: self.lines(s) == ids, lambda: 'lines %r: %r' % (ids, s.read('logs/access')))

    def test_they_are_children_as_before(self):
        """On the status page, under MaxConnectionsPerAddress, with a report when they crash; their lines outlive them and any logger."""
        s = self.own(TWO.replace(' 2', ' 1') + 'MaxConnectionsPerAddress 6\nMaxConnectionsPerAddressExcept 127.0.0.1\n' + self.LOG + TLS + LOCATIONS)
        held, logger = self.hold(s, 6), s.role('log')
        old = s.workers()
        self.assertEqual(len(old), 1)
        s.put(other_version()[0])
        s.upgrade()
        self.assertFalse(alive(logger), 'one logger reads the rings')
        wait_for(lambda: not set(s.workers()) <= set(old), 'a new one')
        self.assertRegex(s.get('/status?json').body.decode(), r'"pid": ?%d\b' % old[0])
        with socket.socket() as one_more:
            one_more.bind(('127.0.0.2', 0))
            one_more.settimeout(30)
            one_more.connect(('127.0.0.1', s.port))
            try:
                self.assertEqual(one_more.recv(1), b'')
            except ConnectionResetError:
                pass
        s.logged(r'BH0850: connections from 127\.0\.0\.2 are refused: 6 of it are open')
        self.whole(held[0])
        os.kill(s.role('log'), signal.SIGKILL)
        self.whole(held[1])
        self.has_lines(s, [0, 1])
        with_log_stopped = s.role('log')
        os.kill(with_log_stopped, signal.SIGSTOP)
        self.whole(held[2])
        if SANITIZED:                   # there crashes are the sanitizer's
            os.kill(old[0], signal.SIGKILL)
        else:
            self.crashes(s, old[0])
        s.logged(r'BH0120: child pid %d exit signal .*generation 1\)' % old[0], 30)
        os.kill(with_log_stopped, signal.SIGKILL)
        self.has_lines(s, [0, 1, 2])
        wait_for(lambda: len(s.roles('log')) == 1, 'one logger')
        for word in ('BH0876', 'BH0881', 'BH0144'):
            self.assertNotIn(word, s.error_log)

    def crashes(self, s, pid):
        """Its file is no longer there, and its version is not that of the program that writes the report."""
        os.kill(pid, signal.SIGSEGV)
        s.logged('BH0125: child pid %d was sent signal 11' % pid, 30)
        report = s.logged(r'BH0126: .*; report (\S+\.txt)', 60)[1]
        with open(report) as f:
            text = f.read()
        self.assertRegex(text, r'Bulkhead/0\.')
        self.assertRegex(text, r'conn_run\b.*server/conn/\w+\.c')

    def test_time_is_bounded(self):
        s = self.own(TWO + 'GracefulShutdownTimeout 1\n' + self.LOG + LOCATIONS)
        self.hold(s, 1)
        old = s.workers()
        s.upgrade()
        wait_for(lambda: not any(map(alive, old)), 'they are ended', 30)
        self.has_lines(s, [0])
        self.assertEqual(s.get().status, 200)

    def test_back_and_on(self):
        """The new program serves already when it crashes: who wrote into the slots then is gone, and what lies in them is right."""
        s = self.own(TWO + self.LOG + TLS + LOCATIONS, start=False)
        s.start(env={'FAULT_UPGRADE': s.path('fault')})
        held, pids = self.hold(s, 3), s.workers()
        s.write('fault', 'late')
        s.upgrade('BH0873')
        self.whole(held[0])
        self.has_lines(s, [0])
        wait_for(lambda: len(s.roles('log')) == 1 and not set(s.roles('log')) & set(pids), 'one logger')
        held[1].sock.close()
        held[2].sock.close()
        self.has_lines(s, [0, 1, 2])
        s.settled(pids)
        held = self.hold(s, 1)
        s.upgrade()
        os.kill(s.role('log'), signal.SIGKILL)
        self.whole(held[0])
        self.has_lines(s, [0, 0, 1, 2])
        self.assertNotIn('BH0144', s.error_log)

    def test_master_killed_while_they_finish(self):
        s = self.own(TWO + self.LOG + LOCATIONS)
        held = self.hold(s, 2)
        s.upgrade()
        family = children_of(s.pid)
        os.kill(s.pid, signal.SIGKILL)
        wait_for(s.gone, 'it is dead')
        self.whole(held[0])
        self.whole(held[1])
        wait_for(lambda: not any(map(alive, family)), lambda: 'gone: %r' % [process_name(p) for p in family if alive(p)], 30)
        self.has_lines(s, [0, 1])
        s.start()
        self.assertEqual(s.get().status, 200)

    def test_where_memory_is_laid_out_otherwise(self):
        """They keep memory, logger and helpers of their own, of which none is replaced."""
        s = self.own(TWO + self.LOG + TLS + LOCATIONS)
        held = self.hold(s, 1)
        old = {role: s.roles(role) for role in ('keys', 'log')}
        before = s.workers()
        s.put(other_version(b'layout-x')[0])
        s.upgrade()
        s.logged('BH0881')
        self.whole(held[0])
        self.has_lines(s, [0])
        s.settled(before)
        self.assertEqual(s.get().status, 200)
        held, old, before = self.hold(s, 1), {role: s.roles(role) for role in ('keys', 'log')}, s.workers()
        s.put(BIN)
        s.upgrade()
        for role, name in (('keys', 'keyholder'), ('log', 'logger')):
            for pid in old[role]:
                os.kill(pid, signal.SIGKILL)
                s.logged('BH0876: %s pid %d of the program before exit signal Killed' % (name, pid), 30)
        left = wait_for(lambda: [p for p in before if alive(p)], 'one has a request')
        wait_for(lambda: len([p for p in before if alive(p)]) == 1, 'the idle one is gone', 30)
        left = [p for p in before if alive(p)]
        os.kill(left[0], signal.SIGKILL)
        s.logged('BH0876: child pid %d of the program before exit signal Killed' % left[0], 30)
        self.assertEqual([s.get().status, s.get(tls=True).status], [200, 200])
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102', 60)
        self.assertEqual(s.get().status, 200)


class Refusals(UpgradeTest):
    def test_what_cannot_take_over_changes_nothing(self):
        s = self.own(TWO)
        old = wait_for(lambda: len(s.workers()) == 2 and children_of(s.pid), 'complete')
        with open(BIN, 'rb') as f:
            program = f.read()
        machine = bytearray(program)
        machine[18:20] = b'\x08\x00' if program[18:20] != b'\x08\x00' else b'\x3e\x00'        # e_machine
        rows = ((b'no program\n', 'Exec format error'), (b'#!/bin/sh\nexit 0\n', 'it is a script'), (b'\x7fELF' + bytes(200), 'Exec format error'),
                (bytes(machine), 'Exec format error'), ('/bin/false', r'does not answer as Bulkhead would \(exit code 1\)'),
                ('/bin/true', r'does not answer as Bulkhead would \(exit code 0\)'), ('/bin/echo', 'takes over|cannot take over: --probe'))
        with Load(s) as clients:
            for content, why in rows:
                s.put(content)
                s.upgrade('BH0871')
                self.assertRegex(s.error_log.rstrip().rsplit('\n', 1)[-1], 'BH0871.*(%s)' % why)
            os.unlink(s.path('bulkhead'))
            s.upgrade('BH0871')
            self.assertRegex(s.error_log, 'BH0871: .*bulkhead cannot be opened')
            s.put(BIN)
            s.write('case.conf', TWO + 'NoSuchDirective 1\n')
            s.upgrade('refuses the configuration')
            self.assertRegex(s.error_log, r'case\.conf:7: .*NoSuchDirective')
            with socket.socket() as taken:
                taken.bind(('127.0.0.1', 0))
                taken.listen()
                port = taken.getsockname()[1]
                s.write('case.conf', TWO + 'Listen 127.0.0.1:%d\n' % port)
                s.upgrade('refuses the configuration')
                self.assertRegex(s.error_log, r'case\.conf:7: .*%d' % port)
        clients.tell(self)
        self.assertEqual(clients.failed, [])
        self.assertEqual(children_of(s.pid), old)
        s.write('case.conf', TWO)
        s.upgrade()
        self.assertEqual(s.get().status, 200)

    def test_way_back(self):
        """It passes its check, and fails when it is to take over: tests/system/fault_upgrade.c."""
        s = self.own(TWO + TLS, start=False)
        s.start(env={'FAULT_UPGRADE': s.path('fault')})
        with Load(s, load.ALL) as clients:
            for way, why in (('crash', 'it crashed by signal 11'), ('abort', 'it crashed by signal 6'), ('exit', 'it ended at its start'),
                             ('hang', 'it did not come to serve within two minutes'), ('error', 'a test wants it so')):
                s.write('fault', way)
                old = children_of(s.pid)
                s.upgrade('BH0873')
                self.assertRegex(s.error_log, 'BH0873: .*%s: Bulkhead/[0-9.]+ goes on' % why)
                s.settled(old)
                self.assertEqual(len(s.roles('log')), 1)
            s.upgrade()
        clients.tell(self)
        self.assertEqual(clients.failed, [])

    def test_neither_can_go_on(self):
        s = self.own(TWO + TLS, start=False)
        s.start(env={'FAULT_UPGRADE': s.path('fault')})
        s.write('fault', 'error always')
        with Load(s) as clients:
            s.upgrade('BH0874')
            self.assertEqual(s.get().status, 200)
            os.unlink(s.path('fault'))
            s.upgrade('BH0873', lambda: os.kill(s.pid, signal.SIGUSR1))
        self.assertEqual(clients.failed, [])
        s.write('fault', 'error always')
        s.upgrade('BH0874')
        family = children_of(s.pid)
        os.kill(s.pid, signal.SIGTERM)
        wait_for(s.gone, 'it ends', 30)
        wait_for(lambda: not any(map(alive, family)), 'all end', 30)
        self.assertEqual([os.path.exists(s.path('run/pid')), remove_shared_memory(s.dir)], [False, False])


def layout(pid):
    """Where the program lies."""
    with open('/proc/%d/maps' % pid) as f:
        return [line.split('-')[0] for line in f if 'bulkhead' in line.split('/')[-1]][0]


MANY = TWO.replace(' 2', ' 32')
storms = {}


def setUpModule():
    """A layout lasts ten seconds at least: these servers grow old while the other tests run."""
    for name in ('struck', 'changed'):
        storms[name] = Own(MANY)
        unittest.addModuleCleanup(storms[name].remove)
        unittest.addModuleCleanup(storms[name].stop)
        storms[name].start()


class WithStorm(UpgradeTest):
    def strike(self, s, until):
        """Crashes all children that serve, until the log has that word."""
        def crash():
            if s.count(until):
                return True
            for victim in s.workers():
                try:
                    os.kill(victim, signal.SIGSEGV)
                except ProcessLookupError:      # it has just ended
                    pass
            time.sleep(0.1)
        wait_for(crash, lambda: until + ': ' + s.error_log[-2000:], 60)

    def test_layout_is_new_after_a_storm_of_crashes(self):
        s = storms['struck']
        first, pid = layout(s.pid), s.pid
        self.strike(s, 'BH0877: so many')
        s.logged('BH0877: the program was executed anew', 60)
        wait_for(lambda: len(s.workers()) == 32, 'it is complete', 60)
        self.assertEqual(s.get().status, 200)
        self.assertNotEqual(layout(pid), first)
        self.assertGreaterEqual(s.count('BH0120: child pid'), 64)

    def test_not_while_the_configuration_is_being_changed(self):
        s = storms['changed']
        first = layout(s.pid)
        s.write('case.conf', MANY + 'Header set X-Gen unfinished\n')
        self.strike(s, 'BH0878')
        wait_for(lambda: s.workers(), 'some child is there again', 60)
        self.assertNotIn('x-gen', s.get().headers)
        self.assertEqual(layout(s.pid), first)


if __name__ == '__main__':
    unittest.main()
