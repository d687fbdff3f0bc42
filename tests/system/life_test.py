"""Life and death of the processes: kills, stops, restarts under load, numbers of children, limits. Each test looks from outside, through
sockets and /proc."""
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import unittest

import load
from load import Load
from server import SANITIZED, SSL_ON, ServerTest, alive, children_of, context, listening, process_name, status_of, wait_for

TWO = 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\nServerLimit 2\nMaxKeepAliveRequests 0\n'
TLS = '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
STREAM = '<Location "/stream">\nSetHandler test-stream\n</Location>\n'
TICKS = os.sysconf('SC_CLK_TCK')


def ticks(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return sum(map(int, f.read().rsplit(')', 1)[1].split()[11:13]))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def descriptors(pid):
    return sorted(os.readlink('/proc/%d/fd/%s' % (pid, fd)) for fd in os.listdir('/proc/%d/fd' % pid) if os.path.lexists('/proc/%d/fd/%s' % (pid, fd)))


def kinds_of(links):
    """Descriptors by what they are, without the numbers of sockets and pipes."""
    return sorted(re.sub(r':\[\d+\]', '', link) for link in links)


class Life(ServerTest):
    def replaced(self, s, role, victims, timeout=10):
        """The victims are gone and as many others are there."""
        wait_for(lambda: not any(map(alive, victims)), 'the killed ones are gone')
        return wait_for(lambda: len(role(s)) >= len(victims) and role(s), lambda: 'replaced; there are %r' % [process_name(p) for p in children_of(s.pid)], timeout)

    def restart(self, s, number=signal.SIGUSR1, timeout=20):
        before = len(re.findall('BH0102', s.error_log))
        os.kill(s.pid, number)
        wait_for(lambda: len(re.findall('BH0102', s.error_log)) > before, lambda: 'restarted; the log has\n' + s.error_log[-2000:], timeout)


def workers(s):
    return s.workers()


def keyholders(s):
    return s.roles('keys')


def loggers(s):
    return s.roles('log')


class Kills(Life):
    def test_killed_child_is_replaced_and_the_other_goes_on(self):
        s = self.serve(TWO)
        wait_for(lambda: len(s.workers()) == 2, 'two children')
        with Load(s, (load.CLOSE, load.KEEP)) as clients:
            for _ in range(4):
                victim = s.workers()[0]
                os.kill(victim, signal.SIGKILL)
                s.logged(r'BH0120: child pid %d exit signal Killed \(9\)' % victim)
                wait_for(lambda: len(s.workers()) == 2 and victim not in s.workers(), 'a new child')
                time.sleep(0.1)
            wait_for(lambda: len(clients.answered) > 100, 'clients are answered', 60)
        clients.tell(self)
        self.assertLessEqual(len(clients.failed), 4 * 2)

    def test_killed_keyholder_costs_at_most_the_handshake_in_flight(self):
        s = self.serve(TWO + TLS)
        wait_for(lambda: len(s.workers()) == 2 and s.roles('keys'), 'it is complete')
        with Load(s, (load.TLS_CLOSE,) * 2) as clients:
            for _ in range(5):
                victim = s.role('keys')
                n = len(s.roles('keys'))
                os.kill(victim, signal.SIGKILL)
                wait_for(lambda: victim not in s.roles('keys') and len(s.roles('keys')) == n, 'a new keyholder')
                self.assertEqual(s.get(tls=True).status, 200)
                time.sleep(0.2)
            wait_for(lambda: len(clients.answered) > 50, 'clients are answered', 60)
        clients.tell(self)
        self.assertRegex(s.error_log, r'keyholder pid \d+ .*exit signal Killed')
        self.assertLessEqual(len(clients.failed), 5, clients.failed)
        self.assertLess(clients.slowest, 3)

    def test_killed_logger_is_replaced_and_nobody_waits(self):
        s = self.serve(TWO + 'CustomLog "@DIR@/logs/access" "%q"\n')
        with Load(s) as clients:
            for _ in range(3):
                victim = wait_for(lambda: s.roles('log'), 'a logger')[0]
                os.kill(victim, signal.SIGKILL)
                self.assertNotIn(victim, self.replaced(s, loggers, [victim]))
                time.sleep(0.1)
        clients.tell(self)
        self.assertEqual(clients.failed, [])
        s.logged(r'logger pid \d+ exit signal Killed')

    def test_killed_master_takes_all_along_and_a_new_start_binds_at_once(self):
        s = self.serve(TWO + TLS + STREAM)
        family = wait_for(lambda: len(children_of(s.pid)) >= 4 and children_of(s.pid), 'all roles')
        with s.connect() as idle, s.connect() as busy:
            self.assertEqual(idle.request().status, 200)
            busy.send('GET /stream?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            busy.head()
            began = time.monotonic()
            os.kill(s.pid, signal.SIGKILL)
            wait_for(s.gone, 'the master is dead')
            done = s.run('-k', 'start')
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertLess(time.monotonic() - began, 7)
            old, s.pid = s.pid, s.read_pid()
            self.assertNotEqual(old, s.pid)
            self.assertEqual(s.get().status, 200)
            self.assertEqual(s.get(tls=True).status, 200)
            wait_for(lambda: not any(map(alive, family)), lambda: 'the old roles are gone, not %r' % [process_name(p) for p in family if alive(p)],
                     began + 6 - time.monotonic())

    def test_all_at_once(self):
        s = self.serve(TWO + TLS)
        for _ in range(2):
            family = wait_for(lambda: len(children_of(s.pid)) >= 4 and children_of(s.pid), 'all roles')
            for pid in family:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not any(map(alive, family)), 'gone')
            wait_for(lambda: len(s.workers()) == 2 and s.roles('keys') and s.roles('log'), lambda: 'all are back: %s' % s.error_log[-1500:])
            self.assertEqual([s.get().status, s.get(tls=True).status], [200, 200])

    def test_storm_of_kills(self):
        """60 children are killed as fast as they come, in five seconds on an idle machine: at the end it serves, and no more was
        lost than what was in flight."""
        s = self.serve('StartServers 8\nMinSpareServers 8\nMaxSpareServers 8\nServerLimit 8\n')
        used = ticks(s.pid)
        with Load(s, (load.CLOSE, load.CLOSE, load.KEEP), pause=0.005) as clients:
            kills, end = 0, time.monotonic() + 30
            while kills < 60 and time.monotonic() < end:
                for pid in s.workers()[:1]:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                time.sleep(0.06)
            self.assertEqual(kills, 60)
            wait_for(lambda: len(s.workers()) == 8, 'all children are there again, without any back-off', 10)
            before = len(clients.answered)
            wait_for(lambda: len(clients.answered) > before + 20, 'requests are served again', 15)
        clients.tell(self, kills=kills, master_ticks=ticks(s.pid) - used)
        self.assertLessEqual(len(clients.failed), kills * 3)
        self.assertLess(ticks(s.pid) - used, TICKS)
        self.assertEqual(s.get().status, 200)
        self.assertTrue(alive(s.pid))

    def test_stopped_child_does_not_hold_up_the_end(self):
        s = self.serve(TWO)
        victim = wait_for(lambda: s.workers(), 'children')[0]
        os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()
        os.kill(s.pid, signal.SIGTERM)
        wait_for(s.gone, 'it ends', 10)
        self.assertFalse(alive(victim))
        self.assertLess(time.monotonic() - began, 8)


class Strangers(Life):
    """Signals that somebody else sends to children, and processes that hang."""

    def test_child_that_is_told_to_end_is_replaced(self):
        s = self.serve(TWO)
        with Load(s) as clients:
            for number in (signal.SIGTERM, signal.SIGQUIT):
                victim = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')[0]
                time.sleep(0.1)
                os.kill(victim, number)
                wait_for(lambda: len(s.workers()) == 2 and victim not in s.workers(), 'a new child')
        clients.tell(self)
        self.assertLessEqual(len(clients.failed), 2)
        self.assertEqual(s.get().status, 200)

    def test_hanging_keyholder_holds_up_nobody_for_ever(self):
        s = self.serve('StartServers 1\nServerLimit 1\nMaxSpareServers 1\n' + TLS)
        self.assertEqual(s.get(tls=True).status, 200)
        victim = s.role('keys')
        os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()
        self.served(s)                          # it may be lost: until the keyholder is replaced
        self.assertEqual(s.get().status, 200)
        self.assertLess(time.monotonic() - began, 15)
        wait_for(lambda: self.served(s), 'handshakes again')
        self.assertNotEqual(s.role('keys'), victim)

    def served(self, s):
        try:
            return s.get(tls=True).status == 200
        except (OSError, EOFError):
            return False

    def test_hanging_logger_holds_up_nobody_for_long(self):
        s = self.serve('StartServers 1\nServerLimit 1\nMaxSpareServers 1\nMaxKeepAliveRequests 0\nCustomLog "@DIR@/logs/access" "%q %{X}i end"\n')
        victim = s.role('log')
        os.kill(victim, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with s.connect() as c:
                for n in range(1, 101):
                    self.assertEqual(c.request('/?%d' % n, headers='X: %s\r\n' % ('x' * 2000)).status, 200)
            self.assertLess(time.monotonic() - began, 10)
        finally:
            os.kill(victim, signal.SIGCONT)
        s.logged(r'BH0143: \d+ log lines')
        self.assertEqual(s.get('/?101').status, 200)
        wait_for(lambda: '?101 ' in s.read('logs/access'), 'lines again')
        lost = sum(map(int, re.findall(r'BH0143: (\d+) log lines', s.error_log)))
        self.assertEqual(s.read('logs/access').count(' end\n') + lost, 101)

    def test_told_to_stop_in_the_middle_of_a_restart(self):
        for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.04):
            for number in (signal.SIGTERM, signal.SIGWINCH):
                with self.subTest(delay=delay, signal=number):
                    s = self.serve(TWO + TLS)
                    os.kill(s.pid, signal.SIGUSR1)
                    time.sleep(delay)
                    family = children_of(s.pid)
                    os.kill(s.pid, number)
                    wait_for(s.gone, 'it ends')
                    wait_for(lambda: not any(map(alive, family)), 'nothing is left')
                    self.assertIsNone(s.read_pid())


class Stops(Life):
    def test_signals_that_stop(self):
        for number, how in ((signal.SIGTERM, 'stop'), (signal.SIGINT, 'stop'), (signal.SIGWINCH, 'graceful-stop'), (None, 'stop'), (None, 'graceful-stop')):
            with self.subTest(signal=number, k=how):
                s = self.serve(TWO + TLS)
                family = children_of(s.pid)
                if number:
                    os.kill(s.pid, number)
                else:
                    self.assertEqual(s.run('-k', how).returncode, 0)
                wait_for(s.gone, 'it ends')
                wait_for(lambda: not any(map(alive, family)), 'its children end')
                self.assertFalse(listening(s.port))
                self.assertFalse(os.path.exists(s.path('run/pid')))
                self.assertEqual([name for name in os.listdir(s.path('run')) if 'lock' not in name], [], 'nothing is left in the runtime folder')

    def test_graceful_stop_finishes_what_is_under_way(self):
        s = self.serve(TWO + STREAM)
        size = 60000000
        with s.connect() as c, s.connect() as idle:
            self.assertEqual(idle.request().status, 200)
            c.send('GET /stream?n=%d HTTP/1.1\r\nHost: x\r\n\r\n' % size)
            c.head()
            os.kill(s.pid, signal.SIGWINCH)
            wait_for(lambda: not listening(s.port), 'it listens no more')
            self.assertEqual(idle.rest(), b'', 'idle connections are closed')
            self.assertTrue(alive(s.pid))
            got = sum(len(c.sock.recv(1 << 20)) for _ in range(50))
            self.assertGreater(got + len(c.rest()) + 100, size)
        wait_for(s.gone, 'it ends after the last answer')

    def test_stop_does_not_wait_for_slow_readers(self):
        s = self.serve(TWO + STREAM)
        with s.connect() as c:
            c.send('GET /stream?n=60000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            c.head()
            began = time.monotonic()
            os.kill(s.pid, signal.SIGTERM)
            wait_for(s.gone, 'it ends')
            self.assertLess(time.monotonic() - began, 3)

    def test_foreground_ends_with_code_0(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH):
            s = self.configure(TWO)
            s.start_foreground('-D', 'FOREGROUND')
            self.assertEqual(s.read_pid(), s.pid)
            self.assertEqual(s.get().status, 200)
            os.kill(s.pid, number)
            self.assertEqual(s.process.wait(10), 0)


class PidFile(Life):
    def test_stale_pid_file(self):
        ended = subprocess.Popen(['true'])
        ended.wait()
        sleeper = subprocess.Popen(['sleep', '60'])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        for content in ('%d\n' % ended.pid, '', 'rubbish\n', '%d\n' % sleeper.pid, '1\n'):
            with self.subTest(content):
                s = self.configure()
                s.write('run/pid', content)
                stopped = s.run('-k', 'stop')
                self.assertRegex(stopped.stdout, '(?i)not running|no pid')
                s.start()
                self.assertEqual(s.get().status, 200)
                self.assertEqual(s.read_pid(), s.pid)
                s.stop()
        self.assertIsNone(sleeper.poll())

    def test_symbolic_link_is_refused_and_its_target_untouched(self):
        s = self.configure(files={'precious': 'keep me\n'})
        os.symlink(s.path('precious'), s.path('run/pid'))
        done = s.run('-k', 'start')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'(?i)%s.*symbolic link' % re.escape(s.path('run/pid')))
        self.assertEqual(s.read('precious'), 'keep me\n')
        self.assertFalse(listening(s.port))

    def test_second_start_is_refused_and_the_first_serves_on(self):
        s = self.serve(TWO)
        done = s.run('-k', 'start')
        self.assertRegex(done.stdout, r'already running.*%d|%d.*already running' % (s.pid, s.pid))
        self.assertEqual(s.read_pid(), s.pid)
        self.assertEqual(s.get().status, 200)
        plain = s.run()
        self.assertRegex(plain.stdout, 'already running')

    def test_two_starts_at_once(self):
        """One wins; the other says so and leaves pid file and port alone."""
        s = self.configure(TWO)
        both = [subprocess.Popen(s.command('-k', 'start'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        said = [p.communicate(timeout=30)[0] for p in both]
        s.pid = s.read_pid()
        self.assertTrue(alive(s.pid), said)
        self.assertEqual(s.get().status, 200)
        self.assertRegex(''.join(said), 'already running')


class Restarts(Life):
    def test_ten_graceful_restarts_under_load_lose_nothing(self):
        s = self.serve(TWO + TLS)
        masters = s.pid
        with Load(s, load.ALL) as clients:
            time.sleep(0.3)
            for _ in range(10):
                self.restart(s)
                time.sleep(0.15)
            wait_for(lambda: len(clients.answered) > 300, 'clients are answered', 60)
        clients.tell(self)
        self.assertEqual(clients.failed, [])
        self.assertLess(clients.slowest, 5)
        self.assertEqual(s.read_pid(), masters)

    def test_restarts_in_a_row_without_waiting(self):
        s = self.serve(TWO + TLS)
        with Load(s, load.ALL) as clients:
            for _ in range(12):
                os.kill(s.pid, signal.SIGUSR1)
                time.sleep(0.03)
            time.sleep(1)
        clients.tell(self)
        self.assertEqual(clients.failed, [])
        wait_for(lambda: len(s.workers()) == 2, lambda: 'only the last generation is left: %r' % s.workers())
        self.assertEqual(s.get().status, 200)

    def resumptions(self, s):
        """One client of each kind, with what it needs to resume."""
        made = []
        for name, high, tickets in (('1.2 by ID', ssl.TLSVersion.TLSv1_2, False), ('1.2 by ticket', ssl.TLSVersion.TLSv1_2, True), ('1.3 by ticket', ssl.TLSVersion.TLSv1_3, True)):
            ctx = context(high, tickets)
            with s.connect(ctx=ctx) as c:
                self.assertEqual(c.request().status, 200)
                made.append((name, ctx, c.sock.session))
        return made

    def test_sessions_and_tickets_outlive_restarts_and_kills(self):
        s = self.serve(TWO + 'SSLSessionCache "shmcb:@DIR@/run/cache(512000)"\n' + TLS)
        made = self.resumptions(s)
        resumed = {}

        def again(when):
            for name, ctx, session in made:
                with s.connect(ctx=ctx, session=session) as c:
                    self.assertEqual(c.request().status, 200)
                    resumed[when, name] = c.sock.session_reused
        again('at once')
        for _ in range(2):
            self.restart(s)
        again('after graceful restarts')
        old = set(s.workers())
        self.restart(s, signal.SIGHUP)
        wait_for(lambda: len(s.workers()) == 2 and not old & set(s.workers()), 'only new children')
        again('after a restart')
        for pid in children_of(s.pid):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(s.workers()) == 2 and s.roles('keys'), 'all are back')
        again('after kills')
        self.assertEqual([k for k, v in resumed.items() if not v], [])

    def test_broken_configuration_leaves_the_old_one(self):
        for number in (signal.SIGUSR1, signal.SIGHUP):
            with self.subTest(number):
                s = self.serve(TWO + 'Header set X-Gen old\n')
                old = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'children')
                with Load(s) as clients:
                    s.write('case.conf', TWO + 'Header set X-Gen new\nNoSuchDirective 1\n')
                    os.kill(s.pid, number)
                    s.logged(r'case\.conf:7: .*NoSuchDirective')
                    s.logged('BH0154')
                    self.assertEqual(s.get().headers['x-gen'], 'old')
                self.assertEqual(clients.failed, [])
                self.assertEqual(s.workers(), old)
                s.write('case.conf', TWO + 'Header set X-Gen new\n')
                os.kill(s.pid, number)
                wait_for(lambda: s.get().headers['x-gen'] == 'new', 'the mended configuration')

    def test_what_only_the_making_finds_leaves_the_old_one(self):
        """A port that another program holds, a key that was deleted: found at the latest when the generation is made."""
        s = self.serve(TWO + 'Listen 127.0.0.1:@PORT@\nHeader set X-Gen old\n')
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            s.write('case.conf', TWO + 'Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:%d\nHeader set X-Gen new\n' % taken.getsockname()[1])
            os.kill(s.pid, signal.SIGUSR1)
            s.logged('BH0154', 15)
            self.assertRegex(s.error_log, r'case\.conf:7.*%d' % taken.getsockname()[1])
            self.assertEqual(s.get().headers['x-gen'], 'old')
        s.write('case.conf', TWO + 'Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@\n<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile @DIR@/absent.pem\n'
                'SSLCertificateKeyFile @DIR@/absent.key\n</VirtualHost>\n')
        os.kill(s.pid, signal.SIGUSR1)
        wait_for(lambda: s.error_log.count('BH0154') == 2, lambda: 'refused again: ' + s.error_log)
        self.assertRegex(s.error_log, r'case\.conf:1[01]: .*absent\.(pem|key)')
        self.assertEqual(s.get().headers['x-gen'], 'old')

    def test_ports_come_and_go(self):
        s = self.serve(TWO + 'Listen 127.0.0.1:@PORT@\n')
        other = int(s.expand('@PORT2@'))
        with s.connect() as c:
            self.assertEqual(c.request().status, 200)
            s.write('case.conf', TWO + 'Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@PORT2@\n')
            os.kill(s.pid, signal.SIGUSR1)
            wait_for(lambda: listening(other), 'the new port')
            self.assertEqual([s.get().status, s.get(port=other).status], [200, 200])
            s.write('case.conf', TWO + 'Listen 127.0.0.1:@PORT2@\n')
            self.restart(s)
            wait_for(lambda: not listening(s.port), 'the old port is closed')
            self.assertEqual(s.get(port=other).status, 200)
        s.write('case.conf', TWO + 'Listen 127.0.0.1:@PORT@\n')
        self.restart(s)
        self.assertEqual(s.get().status, 200)

    def test_logs_are_reopened(self):
        s = self.serve(TWO + 'CustomLog "@DIR@/logs/access" "%U%q"\n')
        for n, number in enumerate((signal.SIGUSR1, signal.SIGHUP), 1):
            s.get('/?before=%d' % n)
            wait_for(lambda: 'before=%d' % n in s.read('logs/access'), 'the first line')
            for name in ('access', 'error_log'):
                os.rename(s.path('logs/' + name), s.path('logs/%s.%d' % (name, n)))
            os.kill(s.pid, number)
            for name in ('access', 'error_log'):
                wait_for(lambda: os.path.exists(s.path('logs/' + name)), 'a new ' + name)
            s.logged('BH0102')
            # A child that had accepted already when it was told to end still writes into the old one.
            wait_for(lambda: s.get('/?after=%d' % n).status == 200 and 'after=%d' % n in s.read('logs/access'), 'a line in the new log')
            self.assertNotIn('before=%d' % n, s.read('logs/access'))

    def test_request_under_way_ends_with_the_old_configuration(self):
        s = self.serve(TWO + STREAM + 'Header set X-Gen old\n')
        size = 60000000
        with s.connect() as c:
            c.send('GET /stream?n=%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' % size)
            self.assertEqual(c.head().headers['x-gen'], 'old')
            s.write('case.conf', TWO + STREAM + 'Header set X-Gen new\n')
            self.restart(s)
            wait_for(lambda: s.get().headers['x-gen'] == 'new', 'no old child accepts any more')
            self.assertGreater(len(c.rest()), size)

    def test_the_oldest_of_three_generations_ends(self):
        """A client that never reads holds its generation; the third restart ends it, so that not more than two live."""
        s = self.serve(TWO + STREAM)
        with s.connect() as c:
            c.send('GET /stream?n=60000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            c.head()
            holder = None
            self.restart(s)
            wait_for(lambda: len(s.workers()) == 3, lambda: 'the new children and the held one: %r' % s.workers())
            holder = s.workers()[0]
            self.restart(s)
            self.assertFalse(alive(holder))
            self.assertEqual(s.get().status, 200)

    def test_twenty_restarts_leak_nothing(self):
        s = self.serve(TWO + 'CustomLog "@DIR@/logs/access" common\n' + TLS)

        def settled():
            wait_for(lambda: len(s.workers()) == 2 and len(s.roles('keys')) <= 2, lambda: 'one generation: %r' % [process_name(p) for p in children_of(s.pid)])
            time.sleep(0.3)
            return kinds_of(descriptors(s.pid)), kinds_of(descriptors(s.role('log'))), sorted(process_name(p) for p in children_of(s.pid)), int(status_of(s.pid)['VmRSS'].split()[0])
        for _ in range(3):
            self.restart(s)
        before = settled()
        for _ in range(20):
            self.restart(s)
        after = settled()
        self.assertEqual(before[0], after[0], "the master's descriptors")
        self.assertEqual(before[1], after[1], "the logger's descriptors")
        self.assertEqual(before[2], after[2], 'processes')
        if not SANITIZED:
            self.assertLess(after[3] - before[3], 2000, "KiB that the master grew by")


class Numbers(Life):
    def test_listeners_are_exclusive(self):
        s = self.serve(TWO + TLS)
        for pid in wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'children'):
            watched = []
            for fd in os.listdir('/proc/%d/fd' % pid):
                if 'eventpoll' in os.readlink('/proc/%d/fd/%s' % (pid, fd)):
                    with open('/proc/%d/fdinfo/%s' % (pid, fd)) as f:
                        watched += [int(x, 16) for x in re.findall(r'events:\s*([0-9a-f]+)', f.read())]
            self.assertEqual(len([x for x in watched if x & 0x10000000]), 2, '%x' % (watched and watched[0]))

    def test_both_children_take_part_at_low_load(self):
        s = self.serve(TWO + 'CustomLog "@DIR@/logs/pids" "%P"\n')
        wait_for(lambda: len(s.workers()) == 2, 'children')
        for _ in range(200):
            self.assertEqual(s.get().status, 200)
            time.sleep(0.003)
        pids = wait_for(lambda: s.read('logs/pids').count('\n') == 200 and s.read('logs/pids').split(), 'all lines')
        shares = {pid: pids.count(pid) for pid in set(pids)}
        self.assertEqual(len(shares), 2, shares)
        self.assertGreaterEqual(min(shares.values()), 20, shares)

    def test_one_connection_a_child_follows_the_load(self):
        s = self.serve('ConnectionsPerChild 1\nStartServers 1\nMinSpareServers 1\nMaxSpareServers 2\nServerLimit 4\nMaxRequestWorkers 4\nKeepAliveTimeout 60\n')
        conns = []
        try:
            for n in range(1, 5):
                conns.append(s.connect())
                self.assertEqual(conns[-1].request().status, 200)
                wait_for(lambda: len(s.workers()) == min(n + 1, 4), lambda: '%d children for %d connections, not %d' % (min(n + 1, 4), n, len(s.workers())))
            waiting = s.connect()
            conns.append(waiting)
            waiting.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            waiting.sock.settimeout(0.5)
            self.assertRaises(TimeoutError, waiting.more)
            self.assertEqual(len(s.workers()), 4)
            conns.pop(0).sock.close()
            waiting.sock.settimeout(5)
            self.assertEqual(waiting.response().status, 200)
        finally:
            for c in conns:
                c.sock.close()
        wait_for(lambda: len(s.workers()) <= 2, 'spare ones leave', 15)
        self.assertEqual(s.get().status, 200)

    def test_at_their_limit_and_back(self):
        """All children full: further connections wait in the queue and are served as soon as one is closed: nobody stays deaf."""
        s = self.serve('ConnectionsPerChild 4\nStartServers 2\nServerLimit 2\nMaxRequestWorkers 8\nKeepAliveTimeout 60\n')
        conns = [s.connect() for _ in range(16)]
        try:
            for c in conns:
                c.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n' % ('keep-alive' if c in conns[:8] else 'close'))
            for c in conns[:8]:
                self.assertEqual(c.response().status, 200)
            for c in conns[:8]:
                c.sock.close()
            for c in conns[8:]:
                self.assertEqual(c.response().status, 200)
        finally:
            for c in conns:
                c.sock.close()
        self.assertEqual(s.get().status, 200)

    def test_maximum_of_connections_per_child(self):
        s = self.serve('StartServers 1\nServerLimit 1\nMaxSpareServers 1\nMaxConnectionsPerChild 5\nCustomLog "@DIR@/logs/pids" "%P"\n')
        for _ in range(23):
            self.assertEqual(s.get().status, 200)
        pids = wait_for(lambda: s.read('logs/pids').count('\n') == 23 and s.read('logs/pids').split(), 'all lines')
        self.assertLessEqual(max(pids.count(pid) for pid in pids), 5)
        self.assertNotRegex(s.error_log, 'BH0120')

    def test_child_without_free_descriptors(self):
        """Accepting fails: what is open goes on, others wait or are told off, one line says so, and no CPU is burnt."""
        s = self.configure('StartServers 1\nServerLimit 1\nMaxSpareServers 1\nMaxKeepAliveRequests 0\n<Location "/s">\nSetHandler test-stream\n</Location>\n')
        done = subprocess.run(['prlimit', '--nofile=64:64', *s.command('-k', 'start')], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        s.pid = s.read_pid()
        self.assertRegex(s.error_log, 'BH0114: only 64 descriptors .* up to [1-9]')
        pid = wait_for(s.workers, 'a child')[0]
        held = [s.connect() for _ in range(3)]
        extra = []
        try:
            for c in held:
                self.assertEqual(c.request('/s?n=10').status, 200)
            for _ in range(70):
                extra.append(s.connect())
            s.logged('(?i)too many open files.*BH0500')
            before = ticks(pid)
            for _ in range(10):
                time.sleep(0.1)
                for c in held:
                    self.assertEqual(c.request('/s?n=1000').status, 200)
            self.assertLess(ticks(pid) - before, TICKS // 5)
            self.assertEqual(len(re.findall('BH0500', s.error_log)), 1, s.error_log)
            for c in extra:
                c.sock.close()
            wait_for(lambda: s.get('/s?n=10').status == 200, 'it serves again')
            self.assertEqual(pid, s.workers()[0])
            self.assertEqual(held[0].request('/').status, 200)
        finally:
            for c in held + extra:
                c.sock.close()

    def test_idle_server_sleeps(self):
        s = self.serve(TWO + TLS)
        with s.connect() as kept, s.connect(tls=True) as secure:
            self.assertEqual([kept.request().status, secure.request().status], [200, 200])
            time.sleep(0.5)
            family = [s.pid] + children_of(s.pid)
            before = {pid: ticks(pid) for pid in family}
            time.sleep(3)
            used = {'%s %d' % (process_name(pid), pid): ticks(pid) - before[pid] for pid in family}
        self.assertLessEqual(sum(used.values()), 2, used)


if __name__ == '__main__':
    unittest.main()
