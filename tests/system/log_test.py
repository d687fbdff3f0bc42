"""Logs under stress: whatever is killed, each answered request has its line, once and whole."""
import collections
import os
import random
import re
import resource
import signal
import subprocess
import threading
import time
import unittest

import load
from load import Load
from server import SSL_ON, ServerTest, alive, needs_root, wait_for

LOG = 'CustomLog "@DIR@/logs/access" "%U%q %>s %{User-Agent}i end"\n'
THREE = 'StartServers 3\nMinSpareServers 3\nMaxSpareServers 3\nServerLimit 3\nMaxKeepAliveRequests 0\n'
TLS = '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
LINE = re.compile(r'/(?:index\.html)?\?id=(\d+) 200 \S+ end')


class Case(ServerTest):
    def compare(self, clients, text):
        """(lost, twice, torn) of what was answered."""
        seen, torn = collections.Counter(), []
        for line in text.split('\n')[:-1]:
            found = LINE.fullmatch(line)
            if found:
                seen[int(found[1])] += 1
            else:
                torn.append(line[:200])
        if text and not text.endswith('\n'):
            torn.append('the end: ' + text[-100:])
        return ([n for n in clients.answered if not seen[n]], [n for n, times in seen.items() if times > 1], torn)


class Logs(Case):
    def test_killed_children_lose_no_line(self):
        """Three servers side by side, each with 100 kills at random moments."""
        many = 'StartServers 16\nMinSpareServers 16\nMaxSpareServers 16\nServerLimit 16\nMaxKeepAliveRequests 0\n'
        servers = [self.serve(many + LOG + TLS) for _ in range(3)]
        loads = [Load(s, (load.CLOSE, load.KEEP, load.TLS_KEEP), pause=0.001) for s in servers]
        kills = [0, 0, 0]

        def kill(i, rng=random.Random(4711)):
            end = time.monotonic() + 60
            while kills[i] < 100 and time.monotonic() < end:
                there = servers[i].workers()
                if there:
                    try:
                        os.kill(rng.choice(there), signal.SIGKILL)
                        kills[i] += 1
                    except ProcessLookupError:
                        pass
                time.sleep(rng.uniform(0, 0.12))
        threads = [threading.Thread(target=kill, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for clients in loads:
            clients.stop()
        for s in servers:
            s.stop()
        bad = []
        for s, clients, n in zip(servers, loads, kills):
            lost, twice, torn = self.compare(clients, s.read('logs/access'))
            clients.tell(self, kills=n, lost=len(lost), twice=len(twice), torn=len(torn))
            bad += [('lost', lost), ('twice', twice), ('torn', torn)]
            self.assertGreater(len(clients.answered), 500)
            self.assertLess(len(clients.failed), 3 * n)
        self.assertGreater(sum(kills), 200)
        self.assertEqual([entry for entry in bad if entry[1]], [])

    def test_killed_loggers_lose_and_double_nothing(self):
        s = self.serve(THREE + LOG)
        with Load(s, (load.KEEP,) * 4, pause=0) as clients:
            for n in range(20):
                victim = wait_for(lambda: s.roles('log'), 'a logger')[0]
                time.sleep(random.Random(n).uniform(0.005, 0.1))
                os.kill(victim, signal.SIGKILL)
                wait_for(lambda: not alive(victim), 'it is dead')
        s.stop()
        lost, twice, torn = self.compare(clients, s.read('logs/access'))
        clients.tell(self, lost=len(lost), twice=len(twice), torn=len(torn))
        self.assertEqual(clients.failed, [])
        self.assertEqual([lost, twice, torn], [[], [], []])

    def test_restarts_lose_no_line(self):
        """A file is rotated at each graceful restart: what the old children still answer stands in the old or the new one."""
        s = self.serve(THREE + LOG)
        with Load(s, (load.CLOSE, load.KEEP, load.KEEP), pause=0) as clients:
            for n in range(6):
                time.sleep(0.15)
                os.rename(s.path('logs/access'), s.path('logs/access.%d' % n))
                os.kill(s.pid, signal.SIGUSR1)
                wait_for(lambda: s.error_log.count('BH0102') == n + 1, 'restarted')
        s.stop()
        lost, twice, torn = self.compare(clients, ''.join(s.read('logs/' + name) for name in os.listdir(s.path('logs')) if name.startswith('access')))
        clients.tell(self, lost=len(lost), twice=len(twice), torn=len(torn))
        self.assertEqual(clients.failed, [])
        self.assertEqual([lost, twice, torn], [[], [], []])

    def test_logger_that_dies_around_a_restart(self):
        """The old generation's last lines wait in the rings when it is gone, and no logger knows its table any more."""
        s = self.serve(THREE + LOG)
        with s.connect() as c:
            for n in range(20):
                self.assertEqual(c.request('/?id=%d' % n, headers='User-Agent: a\r\n').status, 200)
        wait_for(lambda: 'id=19 ' in s.read('logs/access'), 'lines')
        logger, old = s.roles('log')[0], s.workers()
        os.kill(logger, signal.SIGSTOP)
        with s.connect() as c:
            for n in range(20, 40):
                self.assertEqual(c.request('/?id=%d' % n, headers='User-Agent: a\r\n').status, 200)
        os.rename(s.path('logs/access'), s.path('logs/access.old'))
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        wait_for(lambda: not any(alive(pid) for pid in old), 'the old children end')
        time.sleep(0.3)
        os.kill(logger, signal.SIGKILL)
        wait_for(lambda: 'id=39 ' in s.read('logs/access.old'), lambda: 'the last lines arrive: ' + s.error_log)
        wait_for(lambda: not [fd for fd in os.listdir('/proc/%d/fd' % s.pid) if os.path.realpath('/proc/%d/fd/%s' % (s.pid, fd)) == s.path('logs/access.old')],
                 'the master lets go of the old log')
        self.assertEqual(s.get('/?id=40', headers='User-Agent: a\r\n').status, 200)
        s.stop()
        lines = [line for name in ('access.old', 'access') for line in s.read('logs/' + name).split('\n')[:-1]]
        self.assertEqual(len(lines), 41)
        self.assertNotIn('BH0144', s.error_log)

    def test_programs_get_lines_and_are_started_again(self):
        s = self.configure(THREE + 'CustomLog "|@DIR@/logger @DIR@/logs/piped" "%U%q %>s %{User-Agent}i end"\n' + LOG)
        s.write('logger', '#!/bin/sh\nexec cat >>"$1"\n', 0o755)
        s.start()
        with Load(s, (load.CLOSE, load.KEEP)) as clients:
            for n in range(3):
                time.sleep(0.2)
                program = wait_for(lambda: [p for p in map(int, filter(str.isdigit, os.listdir('/proc'))) if self.has_open(p, s.path('logs/piped'))], 'the program')[0]
                os.kill(program, signal.SIGTERM)
                wait_for(lambda: s.error_log.count('BH0146') > n, lambda: 'its end is logged: ' + s.error_log[-1000:])
            time.sleep(0.3)
        s.stop()
        wait_for(lambda: self.compare(clients, s.read('logs/piped'))[2] == [], 'the program has written all')
        lost, twice, torn = self.compare(clients, s.read('logs/piped'))
        clients.tell(self, lost=len(lost), twice=len(twice), torn=len(torn))
        self.assertEqual(clients.failed, [])
        self.assertEqual((twice, torn), ([], []))
        self.assertLessEqual(len(lost), 3 * 200, 'what a killed program had read already is lost with it, no more')
        self.assertEqual(self.compare(clients, s.read('logs/access')), ([], [], []))

    def test_program_that_cannot_be_started_again(self):
        """No descriptor for a pipe: said once, tried again, and neither the other logs nor a new logger suffer from it."""
        s = self.configure(THREE + 'CustomLog "|@DIR@/logger @DIR@/logs/piped" "%U%q"\n' + LOG)
        s.write('logger', '#!/bin/sh\nexec cat >>"$1"\n', 0o755)
        s.start()
        program = wait_for(lambda: [p for p in map(int, filter(str.isdigit, os.listdir('/proc'))) if self.has_open(p, s.path('logs/piped'))], 'the program')[0]
        limits = resource.prlimit(s.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (6, limits[1]))
        os.kill(program, signal.SIGTERM)
        s.logged('BH0147')
        time.sleep(0.5)
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, limits)
        os.kill(s.role('log'), signal.SIGKILL)
        s.logged('BH0140')
        with s.connect() as c:
            for n in range(3):
                self.assertEqual(c.request('/?id=%d' % n, headers='User-Agent: a\r\n').status, 200)
        wait_for(lambda: self.compare_ids(s, range(3)), 'the other log goes on')
        s.logged('BH0148')
        self.assertEqual(s.get('/?id=3').status, 200)
        wait_for(lambda: '/index.html?id=3\n' in s.read('logs/piped'), 'the program gets lines again')
        self.assertEqual(s.error_log.count('BH0147'), 1, s.error_log)
        self.assertEqual(s.error_log.count('BH0140'), 1, s.error_log)

    def compare_ids(self, s, ids):
        text = s.read('logs/access')
        return all('id=%d 200' % n in text for n in ids)

    def test_program_that_ends_at_once_is_started_ever_more_seldom(self):
        s = self.configure(THREE + 'CustomLog "|/bin/false" "%U"\n' + LOG)
        s.start()
        time.sleep(2)
        ends = s.error_log.count('BH0146')
        self.assertGreater(ends, 2)
        self.assertLess(ends, 8)

    def has_open(self, pid, path):
        try:
            return any(os.path.realpath('/proc/%d/fd/%s' % (pid, fd)) == path for fd in os.listdir('/proc/%d/fd' % pid)) and pid != os.getpid()
        except OSError:
            return False

    def test_program_that_reads_nothing_does_not_stop_the_server(self):
        s = self.configure(THREE + 'CustomLog "|@DIR@/sleeper" "%U%q %{X}i"\n' + LOG)
        s.write('sleeper', '#!/bin/sh\nexec sleep 60\n', 0o755)
        s.start()
        began = time.monotonic()
        with s.connect() as c:
            for n in range(400):
                self.assertEqual(c.request('/?id=%d' % n, headers='X: %s\r\nUser-Agent: a\r\n' % ('x' * 1000)).status, 200)
        took = time.monotonic() - began
        s.stop()
        self.assertLess(took, 10)
        self.assertRegex(s.error_log, 'BH0141: the log .*sleeper')
        self.assertRegex(s.error_log, r'BH0143: \d+ log lines for .*sleeper')
        here = s.read('logs/access').count('end\n')
        dropped = sum(map(int, re.findall(r'BH0143: (\d+) log lines of slot', s.error_log)))
        self.assertLessEqual(400 - here, dropped, 'what the other log lacks is told')
        self.assertGreater(here, 200)


@needs_root
class FullDisk(Case):
    def small_disk(self, s, kib=128):
        os.makedirs(s.path('small'))
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%dk,mode=755' % kib, 'bulkhead-test', s.path('small')], capture_output=True, text=True)
        if done.returncode:
            self.skipTest('mounting a small file system is not allowed here: ' + done.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '-l', s.path('small')], check=True)

    def fill(self, s):
        with open(s.path('small/filler'), 'wb') as f:
            try:
                while True:
                    f.write(b'x' * 4096)
                    f.flush()
            except OSError:
                try:
                    f.close()
                except OSError:
                    pass

    def test_full_disk(self):
        s = self.configure(THREE + LOG.replace('/logs/', '/small/'))
        self.small_disk(s)
        s.start()
        self.assertEqual(s.get('/?id=0', headers='User-Agent: a\r\n').status, 200)
        wait_for(lambda: 'id=0' in s.read('small/access'), 'a line')
        self.fill(s)
        with Load(s, (load.CLOSE, load.KEEP), pause=0.005) as clients:
            clients.last = 1000
            s.logged('BH0141.*No space left|No space left.*BH0141')
            time.sleep(1)
        self.assertEqual(clients.failed, [])
        # Not one for each line: a shorter batch may fit into the last page before the next one fails again.
        self.assertLess(s.error_log.count('BH0141'), 6, s.error_log)
        os.unlink(s.path('small/filler'))
        s.logged('BH0142')
        wait_for(lambda: self.compare(clients, s.read('small/access'))[0] == [], 'the lines that waited are written')
        lost, twice, torn = self.compare(clients, s.read('small/access'))
        clients.tell(self, lost=len(lost), twice=len(twice), torn=len(torn))
        self.assertEqual((twice, torn), ([], []))

    def test_full_for_long(self):
        """More lines than the rings hold: some are lost and counted, requests are answered all the same."""
        s = self.configure('StartServers 1\nServerLimit 1\nMaxKeepAliveRequests 0\nLimitRequestLine 16000\n' + LOG.replace('/logs/', '/small/'))
        self.small_disk(s)
        s.start()
        self.fill(s)
        began = time.monotonic()
        with s.connect() as c:
            for n in range(1, 61):
                self.assertEqual(c.request('/?id=%d' % n, headers='User-Agent: %s\r\n' % ('u' * 2000)).status, 200)
        self.assertLess(time.monotonic() - began, 20)
        os.unlink(s.path('small/filler'))
        s.logged(r'BH0143: \d+ log lines')
        self.assertEqual(s.get('/?id=100', headers='User-Agent: a\r\n').status, 200)
        wait_for(lambda: 'id=100 ' in s.read('small/access'), 'a new line')
        s.stop()
        lost = sum(map(int, re.findall(r'BH0143: (\d+) log lines', s.error_log)))
        self.assertEqual(s.read('small/access').count(' end\n') + lost, 61)

    def test_everything_full(self):
        """The error log lies there too."""
        s = self.configure(THREE + LOG.replace('/logs/', '/small/') + 'ErrorLog "@DIR@/small/error_log"\n')
        self.small_disk(s)
        s.start()
        self.fill(s)
        for n in range(20):
            self.assertEqual(s.get('/lost%d' % n).status, 404)
        for pid in s.workers():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: s.workers() and s.get('/?id=1').status == 200, 'it serves')
        os.unlink(s.path('small/filler'))
        wait_for(lambda: 'lost19' in s.read('small/access'), 'the lines that waited')


if __name__ == '__main__':
    unittest.main()
