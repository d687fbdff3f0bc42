"""faults_test.py - what runs out or goes wrong around the server: memory of a child, descriptors, processes, the time of day, disks,
names, limits. Calls are made to fail by tests/fault/preload/faults.c. docs/limits.md has the table of what must happen then.
"""
import errno
import mmap
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time
import unittest
from email.utils import parsedate_to_datetime

from server import BIN, SANITIZED, ServerTest, alive, children_of, context, needs_root, status_of, wait_for, SSL_ON

PRELOAD = os.path.join(os.path.dirname(BIN), 'fault/preload.so')
NAMES = ('pid', 'spared', 'failing', 'seen', 'failed', 'wall', 'accepts', 'accept_error', 'forks', 'landlock', 'restrict', 'seccomp')
ONE = 'StartServers 1\nServerLimit 1\nMaxSpareServers 1\n'
TWO = 'StartServers 2\nServerLimit 2\nMaxSpareServers 2\n'
DEEP = os.environ.get('FAULTS_DEEP')    # every single allocation, instead of one in some


class Control:
    """The numbers of the preloaded library, as attributes."""

    def __init__(self, path):
        with open(path, 'wb') as f:
            f.write(bytes(8 * len(NAMES)))
        os.chmod(path, 0o666)
        with open(path, 'r+b') as f:
            self.__dict__['memory'] = mmap.mmap(f.fileno(), 0)

    def __getattr__(self, name):
        return struct.unpack_from('q', self.memory, 8 * NAMES.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into('q', self.memory, 8 * NAMES.index(name), value)

    def clear(self):
        self.memory[:] = bytes(len(self.memory))


@unittest.skipIf(SANITIZED, 'the sanitizers have their own malloc')
class Faulty(ServerTest):
    def faulty(self, *args, **kw):
        """A server with the library, and its numbers."""
        s = self.configure(*args, **kw)
        return s, self.begin(s)

    @staticmethod
    def begin(s):
        control = Control(s.path('faults'))
        s.start(env={'LD_PRELOAD': PRELOAD, 'FAULTS_CONTROL': s.path('faults')})
        return control


class Memory(Faulty):
    """One allocation after the other fails in a child, alone or with all that follow: what it was for is given up, nothing else."""
    CONF = ONE + '''\
        KeepAliveTimeout 120
        MaxKeepAliveRequests 0
        ProxyPass "/p/" "http://127.0.0.1:@PORT@/"
        <VirtualHost 127.0.0.1:@TLS@>
        ServerName localhost
        Protocols h2 http/1.1
        SSLEngine on
        SSLCertificateFile "@cert@"
        SSLCertificateKeyFile "@key@"
        </VirtualHost>
        <Directory "@DIR@/htdocs">
        Options +Indexes +Includes +ExecCGI
        AllowOverride All
        AddHandler cgi-script .cgi
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
        AddOutputFilter DEFLATE .txt
        </Directory>
    '''
    FILES = {'htdocs/a.txt': 'a' * 3000, 'htdocs/s.shtml': '<!--#include virtual="/a.txt" --><!--#echo var="DATE_LOCAL" -->',
             'htdocs/d/x': '1', 'htdocs/d/.htaccess': 'Header set X-A b\n'}

    @classmethod
    def setUpClass(cls):
        cls.server = s = cls.shared(cls.CONF, cls.FILES)
        s.write('htdocs/c.cgi', '#!/bin/sh\necho Content-Type: text/plain\necho\necho hello\n', 0o755)
        cls.faults = cls.begin(s)

    def plain(self, path, **kw):
        with self.server.connect(timeout=60) as c:
            return c.request(path, close=True, **kw).status

    def secure(self):
        with self.server.connect(tls=True, timeout=60) as c:
            return c.request('/a.txt', close=True).status

    def curl(self, path):
        done = subprocess.run(['curl', '-sk', '--http2', '-m', '60', '-o', self.server.path('got'), '-w', '%{http_code}',
                               'https://127.0.0.1:%d%s' % (self.server.tls_port, path)], capture_output=True, text=True)
        if done.returncode == 28:
            raise TimeoutError
        return int(done.stdout) if done.returncode == 0 else 0

    def one(self, child, request, spared, failing):
        """The status, or 0 for none. And how many allocations failed."""
        f = self.faults
        f.failing, f.pid, f.failed, f.spared = 0, child, 0, spared
        f.failing = failing
        try:
            status = request()
        except (EOFError, OSError) as e:
            self.assertNotIsInstance(e, TimeoutError, 'no answer where allocation %d fails' % spared)
            status = 0
        f.failing = 0
        return status, f.failed

    def sweep(self, request, step=1, also=frozenset()):
        s, seen, child = self.server, set(), self.server.workers()
        self.assertEqual(len(child), 1)
        with s.connect(timeout=60) as held:
            self.assertEqual(held.request('/a.txt').status, 200)
            self.assertEqual([request(), request()], [200, 200])
            spared, calm = 0, 0
            while calm < 3:
                status, failed = self.one(child[0], request, spared, 1 if spared // step % 2 else 1000000)
                seen.add(status)
                calm = 0 if failed else calm + 1
                self.assertEqual(s.workers(), child, 'allocation %d fails: the child dies' % spared)
                self.assertEqual(held.request('/a.txt').status, 200, 'allocation %d fails: another connection ends' % spared)
                self.assertLess(spared, 1000)
                spared += 1 if DEEP else step
            self.assertEqual(request(), 200)
            self.assertEqual(held.request('/a.txt').status, 200)
        self.assertEqual(seen - {0, 200, 500, 503} - also, set())
        self.assertIn(0, seen)
        self.assertNotIn('crashed by', s.error_log)

    def test_files(self):
        self.sweep(lambda: self.plain('/a.txt', headers='Accept-Encoding: gzip\r\n'))

    def test_folders_and_their_files(self):
        self.sweep(lambda: self.plain('/d/'))

    def test_pages_with_includes(self):
        self.sweep(lambda: self.plain('/s.shtml'))

    def test_programs(self):
        self.sweep(lambda: self.plain('/c.cgi', method='POST', body=b'x' * 5000))

    def test_proxied(self):
        self.sweep(lambda: self.plain('/p/a.txt'), also={502})

    def test_tls(self):
        """GnuTLS gives up a handshake. GMP, of which it makes keys, would end the process, and has a reserve (base/reserve.h)."""
        self.sweep(self.secure, 3)

    def test_http2(self):
        self.sweep(lambda: self.curl('/a.txt'), 7)

    def test_programs_by_http2(self):
        self.sweep(lambda: self.curl('/c.cgi'), 11)


class Processes(Faulty):
    def test_no_child_can_be_forked(self):
        """EAGAIN of fork, as of a full pids.max: who is there serves on, the message names the limits, and it is tried again."""
        s, f = self.faulty(TWO)
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        with s.connect() as a:
            self.assertEqual(a.request().status, 200)
            mine = a.request('/').status
            f.forks = 2
            victim = children[0]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: not alive(victim), 'it is dead')
            s.logged('BH0121: no further child can be forked, next try in 1 s.*pids.max')
            self.assertEqual(s.get().status, 200)
            wait_for(lambda: len(s.workers()) == 2, 'a child is forked again', 30)
            self.assertEqual([mine, f.forks], [200, 0])
        self.assertEqual(s.get().status, 200)
        self.assertLessEqual(s.error_log.count('BH0121'), 2)

    def test_no_helper_can_be_forked(self):
        """The spawner's successor gets no process, twice: what that means is told, and it comes later."""
        s, f = self.faulty('ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"\n', {'cgi-bin/x': '#!/bin/sh\necho Content-Type: text/plain\necho\necho hello\n'})
        os.chmod(s.path('cgi-bin/x'), 0o755)
        self.assertEqual(s.get('/cgi-bin/x').body, b'hello\n')
        f.forks = 2
        os.kill(s.roles('spawn')[0], signal.SIGKILL)
        s.logged('BH0661: no spawner for generation 1: no spawner can be forked: Resource temporarily unavailable.* answer 503 or 504 until there is one')
        self.assertEqual(s.get('/').status, 200)
        wait_for(lambda: s.roles('spawn'), 'a spawner is forked again', 30)
        self.assertEqual(s.get('/cgi-bin/x').body, b'hello\n')
        self.assertEqual(f.forks, 0)

    def test_a_child_dies_before_its_accept(self):
        """It alone was told that a client waits, and there is no other in its place: the master has the rest look."""
        s, f = self.faulty(TWO + 'KeepAliveTimeout 60\n')
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        self.assertEqual(s.get().status, 200)
        f.forks, f.accept_error, f.accepts = 1000, 0, 1
        with s.connect(timeout=60) as c:
            self.assertEqual(c.request().status, 200)
            self.assertEqual(f.accepts, 0)
            self.assertEqual(len(set(s.workers()) & set(children)), 1)
            self.assertNotEqual(f.forks, 1000)

    def test_no_process_at_all_for_a_restart(self):
        """A restart that gets no process leaves what serves as it is."""
        s, f = self.faulty(TWO)
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        f.forks = 1000
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0154: the configuration is refused: the server goes on')
        self.assertRegex(s.error_log, 'BH0153: .*cannot be forked: Resource temporarily unavailable')
        f.forks = 0
        self.assertEqual(s.workers(), children)
        self.assertEqual(s.get().status, 200)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        self.assertEqual(s.get().status, 200)


class Descriptors(Faulty):
    def test_the_table_of_the_system_is_full(self):
        """ENFILE of accept: a pause each time, one line, and what is open goes on."""
        s, f = self.faulty(ONE + 'KeepAliveTimeout 60\n')
        with s.connect() as held:
            self.assertEqual(held.request().status, 200)
            f.accept_error = errno.ENFILE
            f.accepts = 10
            with s.connect(timeout=60) as waiting:
                waiting.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
                s.logged('BH0500')
                self.assertEqual(held.request().status, 200)
                f.accepts = 0
            self.assertEqual(s.get().status, 200)
            for _ in range(5):
                f.accepts = 1
                try:
                    s.get()
                except (EOFError, OSError):
                    pass
                wait_for(lambda: f.accepts == 0, 'it failed once more')
                self.assertEqual(s.get().status, 200)
            self.assertEqual(held.request().status, 200)
        self.assertEqual(s.error_log.count('BH0500'), 1, s.error_log)


LOGS = 'LogLevel notice\nCustomLog "@DIR@/logs/access" "%U%q %>s"\n'


@unittest.skipIf(SANITIZED, 'the sanitizers want more than any limit')
class Limits(ServerTest):
    """RLIMIT_*, as a service manager or a shell sets them."""

    def start_with(self, *limits, conf='', fails=False):
        s = self.configure(conf)
        done = subprocess.run(['prlimit', *limits, *s.command('-k', 'start')], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        s.output, s.pid = done.stdout, s.read_pid()
        self.assertEqual(done.returncode, 1 if fails else 0, done)
        return s

    def test_too_little_to_start_is_told(self):
        for limit, why in (('--fsize=4096', 'File too large'), ('--as=100000000', 'Cannot allocate memory'), ('--nofile=12', 'Too many open files')):
            with self.subTest(limit):
                s = self.start_with(limit, fails=True)
                self.assertIn(why, s.output)
                self.assertIsNone(s.read_pid())

    @needs_root     # others count their processes, and have more than one
    def test_little_is_enough(self):
        s = self.start_with('--memlock=0', '--nproc=1', '--stack=131072', '--sigpending=0', '--msgqueue=0', '--locks=0', '--core=0', '--nofile=64',
                            conf='StartServers 2\n<VirtualHost 127.0.0.1:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n')
        self.assertEqual(s.get().status, 200)
        self.assertEqual(s.get('/', tls=True).status, 200)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        self.assertEqual(s.get('/', tls=True).status, 200)

    def test_no_memory_for_a_restart(self):
        """The check meets the limit first: the restart is refused, and a child is replaced all the same."""
        s = self.serve(TWO + LOGS + '<VirtualHost 127.0.0.1:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n')
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        before = resource.prlimit(s.pid, resource.RLIMIT_AS)
        resource.prlimit(s.pid, resource.RLIMIT_AS, (int(status_of(s.pid)['VmSize'].split()[0]) * 1024, before[1]))
        s.write('case.conf', s.read('case.conf') + ''.join('Alias "/%s/%d" "@DIR@/htdocs"\n' % ('x' * 200, n) for n in range(3000)))
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0154: the configuration is refused: the server goes on')
        self.assertEqual(s.workers(), children)
        resource.prlimit(s.pid, resource.RLIMIT_AS, before)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102', 60)
        self.assertEqual(s.get('/', tls=True).status, 200)

    def test_log_that_reaches_its_limit(self):
        """As a full disk: said once, what waits is written when there is room, and nobody dies of SIGXFSZ."""
        s = self.serve(LOGS)
        self.assertEqual(s.get('/?000').status, 200)
        wait_for(lambda: s.read('logs/access').count('\n') == 1, 'a line')
        before = resource.prlimit(s.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(s.pid, resource.RLIMIT_FSIZE, (20000, before[1]))
        first = s.role('log')
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not alive(first), 'it is dead')
        logger = s.role('log')
        lines = ['/index.html?000 200'] + ['/index.html?%03d%s 200' % (n, 'x' * 1000) for n in range(1, 40)]
        for line in lines[1:]:
            self.assertEqual(s.get(line.split(' ')[0].replace('index.html', '')).status, 200)
        s.logged('File too large: BH0141: the log .*access cannot be written')
        self.assertLessEqual(os.path.getsize(s.path('logs/access')), 20000)
        self.assertEqual(s.roles('log'), [logger])
        resource.prlimit(s.pid, resource.RLIMIT_FSIZE, before)
        os.kill(logger, signal.SIGKILL)
        got = wait_for(lambda: s.read('logs/access').count('\n') >= 40 and s.read('logs/access').split('\n')[:-1], 'all lines', 30)
        self.assertEqual(sorted(got), lines)
        self.assertLess(s.error_log.count('File too large'), 5, s.error_log)
        self.assertNotIn('File size limit', s.error_log)


class Clock(Faulty):
    def ticks(self, pid):
        with open('/proc/%d/stat' % pid) as f:
            return sum(map(int, f.read().rsplit(')', 1)[1].split()[11:13]))

    def test_the_wall_clock_jumps(self):
        """Days ahead, back, and into the past: no time limit follows it, nobody spins or is taken for hanging, and dates are the new ones."""
        s = self.configure(TWO + LOGS + '''
            KeepAliveTimeout 60
            <Directory "@DIR@/htdocs">
            Options +ExecCGI
            AddHandler cgi-script .cgi
            </Directory>
            <VirtualHost 127.0.0.1:@TLS@>
            ServerName localhost
            ''' + SSL_ON + '</VirtualHost>\n')
        s.write('htdocs/c.cgi', '#!/bin/sh\nread x\necho Content-Type: text/plain\necho\necho hello\n', 0o755)
        f = self.begin(s)
        wait_for(lambda: len(s.workers()) == 2, 'two children')
        family = [s.pid] + children_of(s.pid)
        with s.connect() as held, s.connect() as program, s.connect() as slow:
            self.assertEqual(held.request().status, 200)
            for days in (3, 0, -400):
                program.send('POST /c.cgi HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n')
                slow.send('GET / HTTP/1.1\r\n')
                self.assertEqual(held.request().status, 200)
                f.wall = days * 86400
                answer = held.request()
                self.assertEqual(answer.status, 200)
                said = parsedate_to_datetime(answer.headers['date']).timestamp()
                self.assertLess(abs(said - time.time() - days * 86400), 3600)
                before = sum(map(self.ticks, family))
                time.sleep(0.5)
                self.assertLess(sum(map(self.ticks, family)) - before, os.sysconf('SC_CLK_TCK') // 4, 'they sleep')
                program.send('x\n')
                self.assertEqual(program.response().body, b'hello\n')
                slow.send('Host: x\r\n\r\n')
                self.assertEqual(slow.response().status, 200)
                ctx, session = context(ssl.TLSVersion.TLSv1_2), None
                for _ in range(3):
                    with s.connect(ctx=ctx, session=session) as c:
                        self.assertEqual(c.request(close=True).status, 200)
                        self.assertEqual(c.sock.session_reused, session is not None, 'days: %d' % days)
                        session = c.sock.session
        self.assertEqual([s.pid] + children_of(s.pid), family)
        self.assertNotRegex(s.error_log, ':(error|crit|emerg)\\]')


@needs_root
class Disks(ServerTest):
    def private(self, script, conf=''):
        """A server in mounts of its own, which the script makes: $1 is its folder."""
        s = self.configure(conf)
        apart = ['unshare', '-m', 'sh', '-c', 'd=$1; shift; %s; exec "$@"' % script.replace('$1', '$d'), 'sh', s.dir]
        if subprocess.run(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /mnt'], capture_output=True).returncode:
            self.skipTest('mounting is not allowed here')
        return s, apart

    def test_read_only_at_the_start(self):
        for folder, why in (('logs', 'logs/error_log.*Read-only file system'), ('run', 'run/.*Read-only file system')):
            with self.subTest(folder):
                s, apart = self.private('mount --bind "$1/%s" "$1/%s"; mount -o remount,bind,ro "$1/%s"' % (folder, folder, folder))
                done = subprocess.run(apart + s.command('-DFOREGROUND'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout, why)

    def test_read_only_all_but_the_logs(self):
        """What it has opened it keeps: documents, the folder of cores and that of the pid file may be read-only when it serves."""
        s, apart = self.private('true', TWO + LOGS)
        s.start_foreground('-DFOREGROUND', prefix=apart)
        inside = ['nsenter', '-t', str(s.pid), '-m', 'sh', '-c']
        subprocess.run(inside + ['mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"', s.dir], check=True)
        self.assertEqual(s.get('/?1').status, 200)
        children = s.workers()
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0154|goes on with')
        self.assertIn('Read-only file system', s.error_log)
        os.kill(children[0], signal.SIGKILL)
        wait_for(lambda: len(s.workers()) == 2 and children[0] not in s.workers(), 'a new child')
        self.assertEqual(s.get('/?2').status, 200)
        wait_for(lambda: '?2 200' in s.read('logs/access'), 'its line')
        subprocess.run(inside + ['umount -l "$0"', s.dir], check=True)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        self.assertEqual(s.get('/?3').status, 200)
        wait_for(lambda: '?3 200' in s.read('logs/access'), 'its line')

    @unittest.skipIf(SANITIZED, 'the sanitizers report crashes themselves')
    def test_no_room_for_reports_and_cores(self):
        s, apart = self.private('mkdir "$1/crash"; mount -t tmpfs -o size=64k none "$1/crash"; head -c 70000 /dev/zero >"$1/crash/filler"; chown www-data "$1/crash"',
                                TWO + LOGS + '<Location "/fault">\nSetHandler test-fault\n</Location>\n')
        s.start_foreground('-DFOREGROUND', prefix=apart)
        for n in range(2):
            before = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
            with s.connect() as c:
                c.send('GET /fault/null/3 HTTP/1.1\r\nHost: x\r\n\r\n')
                self.assertEqual(c.rest(), b'')
            wait_for(lambda: len(s.workers()) == 2 and s.workers() != before, 'a new child', 30)
            self.assertEqual(s.get('/').status, 200)
        s.logged('No space left on device')


class Names(ServerTest):
    @needs_root
    def test_no_name_server_answers_at_the_start(self):
        """The names of the configuration are looked up when they are needed: it starts, and nobody else waits for one."""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        try:
            silent.bind(('127.53.0.%d' % (os.getpid() % 250 + 1), 53))
        except OSError as e:
            self.skipTest(str(e))
        s = self.configure(TWO + LOGS + '''
            ProxyPass "/p/" "http://backend.example/"
            ProxyTimeout 2
            <Location "/named">
            Require host .example.com
            </Location>
            ''')
        s.write('resolv.conf', 'nameserver %s\n' % silent.getsockname()[0])
        apart = ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', s.path('resolv.conf')]
        s.start_foreground('-DFOREGROUND', prefix=apart)
        with s.connect(timeout=60) as waiting, s.connect(timeout=60) as denied:
            waiting.send('GET /p/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            denied.send('GET /named HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            for _ in range(20):
                self.assertEqual(s.get().status, 200)
            self.assertIn(waiting.response().status, (502, 503, 504))
            self.assertEqual(denied.response().status, 403)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102', 60)
        self.assertEqual(s.get().status, 200)


if __name__ == '__main__':
    unittest.main()
