"""Under a service manager: the test is one (NOTIFY_SOCKET, LISTEN_FDS, WATCHDOG_USEC). The files for systemd, logrotate and
systemd-tmpfiles that are shipped, tried with these programs."""
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from server import BIN, ServerTest, needs_root, wait_for

ETC = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'conf', 'etc')
LINKED = 'libsystemd' in subprocess.run(['ldd', BIN], capture_output=True, text=True).stdout
needs_systemd = unittest.skipUnless(LINKED, 'built without libsystemd')


def program(name):
    return shutil.which(name) or shutil.which(name, path='/usr/sbin:/sbin')


class Manager:
    """Starts the server in the foreground, hears what it says, hands it sockets."""

    def __init__(self, server, sockets=(), watchdog=None):
        self.server, self.said = server, []
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(server.path('notify'))
        self.notify.settimeout(0.02)
        os.chmod(server.path('notify'), 0o666)
        env = dict(os.environ, NOTIFY_SOCKET=server.path('notify'))
        self.keep = list(sockets)

        def prepare():
            os.environ.update(env)
            if watchdog:
                os.environ.update(WATCHDOG_USEC=str(watchdog), WATCHDOG_PID=str(os.getpid()))
            if sockets:
                os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
            saved = [os.dup(s.fileno()) for s in sockets]
            for i, fd in enumerate(saved):
                os.dup2(fd, 100 + i)
            for i in range(len(saved)):
                os.dup2(100 + i, 3 + i, inheritable=True)

        pid = os.fork()
        if pid == 0:
            try:
                prepare()
                log = os.open(server.path('logs/stderr'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.setsid()
                os.closerange(3 + len(sockets), 256)
                os.execve(server.command()[0], server.command('-D', 'FOREGROUND'), dict(os.environ))
            finally:
                os._exit(99)
        self.pid = server.pid = pid

    def hear(self):
        try:
            while True:
                self.said.append(self.notify.recv(4096).decode())
        except (TimeoutError, BlockingIOError):
            pass
        return self.said

    def wait(self, word, since=0):
        """The first message with that word behind the first `since`; how many there are up to it."""
        def found():
            for i, text in enumerate(self.hear()):
                if i >= since and re.search(word, text, re.M):
                    return i + 1
        return wait_for(found, lambda: '%r in %r\n%s' % (word, self.said[since:], self.server.error_log[-2000:] + self.server.read('logs/stderr')), 60)

    def end(self):
        try:
            if self.pid:
                os.kill(self.pid, signal.SIGTERM)
                wait_for(self.stopped, 'it ends after SIGTERM', 15)
        finally:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = self.server.pid = None
            for s in [self.notify] + self.keep:
                s.close()

    def stopped(self):
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.pid = None
        return pid and 1 + os.waitstatus_to_exitcode(status)


def listener(family=socket.AF_INET, address='127.0.0.1'):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 0))
    s.listen(64)
    return s


@needs_systemd
class Notify(ServerTest):
    def manage(self, s, **kw):
        m = Manager(s, **kw)
        self.addCleanup(m.end)
        return m

    def test_what_is_told_from_start_to_end(self):
        s = self.configure('StartServers 2\n')
        m = self.manage(s)
        at = m.wait('^READY=1$')
        self.assertRegex(m.said[at - 1], r'(?m)^MAINPID=%d$' % m.pid)
        self.assertRegex(m.said[at - 1], r'(?m)^STATUS=generation 1 serves: \d+ children')
        self.assertEqual(s.get().status, 200)
        for number, generation in ((signal.SIGUSR1, 2), (signal.SIGHUP, 3), (signal.SIGUSR2, 4)):
            os.kill(m.pid, number)
            at = m.wait(r'^RELOADING=1$(?s:.*)^MONOTONIC_USEC=\d+$', at)
            at = m.wait(r'^READY=1$(?s:.*)^STATUS=generation %d serves' % generation, at)
        s.write('case.conf', 'NoSuchDirective\n')
        os.kill(m.pid, signal.SIGUSR1)
        at = m.wait('^RELOADING=1$', at)
        at = m.wait('^READY=1$(?s:.*)^STATUS=generation 4 serves', at)
        os.kill(m.pid, signal.SIGQUIT)
        m.wait('^STOPPING=1$', at)
        self.assertEqual(wait_for(m.stopped, 'it ends', 30), 1)

    def test_stop_as_the_unit_has_it(self):
        """Requests under way are finished; one that takes too long is ended in a way that has its line written."""
        with open(os.path.join(ETC, 'systemd/bulkhead.service')) as f:
            stop = shlex.split(re.search(r'(?m)^ExecStop=-(.*)$', f.read())[1])
        self.assertIn('timeout 15 ', stop[-1])
        stop[-1] = stop[-1].replace('timeout 15 ', 'timeout 1 ')
        s = self.configure('CustomLog "@DIR@/logs/access" "%q %X"\n<Location "/stream">\nSetHandler test-stream\n</Location>\n')
        m = self.manage(s)
        m.wait('^READY=1$')
        with s.connect() as slow:
            slow.send('GET /stream?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertEqual(slow.head().status, 200)
            subprocess.run(stop, env=dict(os.environ, MAINPID=str(m.pid)), timeout=60)
            m.wait('^STOPPING=1$')
            self.assertFalse(m.stopped())
            os.kill(m.pid, signal.SIGTERM)
            self.assertEqual(wait_for(m.stopped, 'it ends', 30), 1)
        self.assertEqual(s.read('logs/access'), '?n=30000000 X\n')
        self.assertEqual(subprocess.run(stop, env=dict(os.environ, MAINPID=''), timeout=60).returncode, 0)

    def test_signs_of_life(self):
        s = self.configure()
        m = self.manage(s, watchdog=400000)
        at = m.wait('^READY=1$')
        for _ in range(3):
            at = m.wait('^WATCHDOG=1$', at)
        os.kill(m.pid, signal.SIGUSR2)
        at = m.wait('^READY=1$', at)
        for _ in range(2):
            at = m.wait('^WATCHDOG=1$', at)

    def test_sockets_of_the_manager_are_used(self):
        """Two go with a Listen, one with none; a further Listen is bound."""
        one, two, surplus = listener(), listener(socket.AF_INET6, '::'), listener()
        ports = [x.getsockname()[1] for x in (one, two, surplus)]
        s = self.configure('Listen 127.0.0.1:%d\nListen %d\nListen 127.0.0.1:@PORT@\n' % tuple(ports[:2]))
        m = self.manage(s, sockets=(one, two, surplus))
        m.wait('^READY=1$')
        self.assertEqual([s.get(port=p).status for p in (ports[0], ports[1], s.port)], [200] * 3)
        s.logged(r'BH0880: .*127\.0\.0\.1:%d, which no Listen names' % ports[2])
        inodes = {re.search(r'\d+', os.readlink('/proc/self/fd/%d' % x.fileno()))[0] for x in (one, two, surplus)}

        def held(pid):
            found = set()
            for fd in os.listdir('/proc/%d/fd' % pid):
                try:
                    found |= {os.readlink('/proc/%d/fd/%s' % (pid, fd))[8:-1]} & inodes
                except FileNotFoundError:
                    pass
            return len(found)
        self.assertEqual(held(m.pid), 2)
        with open('/proc/%d/environ' % wait_for(s.workers, 'a child')[0], 'rb') as f:
            self.assertNotIn(b'LISTEN_FDS=7', f.read())
        os.kill(m.pid, signal.SIGUSR2)
        s.logged('BH0870')
        wait_for(lambda: held(m.pid) == 2, 'the same sockets')
        self.assertEqual([s.get(port=p).status for p in (ports[0], ports[1], s.port)], [200] * 3)

    def test_socket_of_another_kind_is_refused(self):
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(('127.0.0.1', 0))
        s = self.configure()
        m = self.manage(s, sockets=(datagrams,))
        self.assertEqual(wait_for(m.stopped, 'it ends', 30), 2)
        self.assertIn('the descriptor 3 is no listening stream socket', s.read('logs/stderr'))


class Files(ServerTest):
    def folder(self):
        path = tempfile.mkdtemp(prefix='bulkhead-test-')
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def unit(self):
        path = os.path.join(self.folder(), 'bulkhead.service')
        with open(os.path.join(ETC, 'systemd/bulkhead.service')) as f, open(path, 'w') as out:
            out.write(f.read().replace('/usr/sbin/bulkhead', BIN))
        shutil.copy(os.path.join(ETC, 'systemd/bulkhead.socket'), os.path.dirname(path))
        return path

    @unittest.skipUnless(program('systemd-analyze'), 'no systemd-analyze')
    def test_unit_is_valid_and_confined(self):
        unit = self.unit()
        done = subprocess.run(['systemd-analyze', 'verify', '--man=no', unit, unit.replace('.service', '.socket')], capture_output=True, text=True)
        self.assertEqual([done.returncode, [line for line in done.stderr.split('\n') if 'bulkhead' in line]], [0, []], done.stderr)
        done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=40', '--no-pager', unit], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r'Overall exposure level for bulkhead.service: [0-3]\.\d')

    @unittest.skipUnless(program('systemd-analyze'), 'no systemd-analyze')
    def test_calls_of_the_sandboxes_are_allowed_by_the_unit(self):
        """What a role sets up its sandbox with is not in systemd's usual group of calls."""
        with open(os.path.join(ETC, 'systemd/bulkhead.service')) as f:
            allowed = re.search(r'(?m)^SystemCallFilter=(.*)$', f.read())[1].split()
        allowed += self.all_of('@system-service')
        for call in ('seccomp', 'chroot', 'landlock_restrict_self', 'capset', 'setresuid', 'pidfd_open', 'memfd_create', 'execveat', 'tee', 'mlock2', 'close_range'):
            self.assertIn(call, allowed)

    def all_of(self, group):
        calls = set()
        for word in subprocess.run(['systemd-analyze', 'syscall-filter', '--no-pager', group], capture_output=True, text=True).stdout.split('\n')[1:]:
            word = word.strip()
            calls |= self.all_of(word) if word.startswith('@') else {word}
        return calls

    @needs_root
    @unittest.skipUnless(program('logrotate'), 'no logrotate')
    def test_logrotate_loses_no_line(self):
        s = self.serve('StartServers 2\nErrorLog "@DIR@/logs/error.log"\nCustomLog "@DIR@/logs/access.log" "%q"\n')
        with open(os.path.join(ETC, 'logrotate/bulkhead')) as f:
            text = f.read()
        self.assertIn('/var/log/bulkhead/*.log', text)
        s.write('rotate.conf', text.replace('/var/log/bulkhead', s.path('logs')).replace('/run/bulkhead/bulkhead.pid', s.path('run/pid')).replace('root adm', 'root root'))
        os.chown(s.path('rotate.conf'), 0, 0)
        n = 0
        for turn in range(2):
            for _ in range(20):
                n += 1
                s.get('/?id=%d' % n)
            # Until they are told to drain, processes of before may take a request, and write its line to the old file.
            wait_for(lambda: len(set(re.findall(r'id=\d+', s.read('logs/access.log') + s.read('logs/access.log.1')))) == n, 'the lines are written')
            done = subprocess.run([program('logrotate'), '-f', '-s', s.path('state'), s.path('rotate.conf')], capture_output=True, text=True)
            self.assertEqual([done.returncode, done.stderr], [0, ''])
            wait_for(lambda: 'BH0102' in s.read('logs/error.log'), 'the restart is done, and told in the new file', 30)
        wait_for(lambda: s.get('/?id=last') and 'id=last' in s.read('logs/access.log'), lambda: 'the new file is used: %s' % os.listdir(s.path('logs')))
        self.assertEqual(sorted(f for f in os.listdir(s.path('logs')) if 'access' in f), ['access.log', 'access.log.1', 'access.log.2.gz'])
        whole = subprocess.run(['zcat', s.path('logs/access.log.2.gz')], capture_output=True, text=True).stdout + s.read('logs/access.log.1')
        self.assertEqual(sorted(map(int, re.findall(r'id=(\d+)', whole))), list(range(1, n + 1)))
        self.assertEqual(os.stat(s.path('logs/access.log')).st_mode & 0o777, 0o640)

    @needs_root
    @unittest.skipUnless(program('systemd-tmpfiles'), 'no systemd-tmpfiles')
    def test_folders_are_made(self):
        root = self.folder()
        os.mkdir(root + '/etc')
        for name in ('passwd', 'group'):
            shutil.copy('/etc/' + name, root + '/etc/' + name)
        done = subprocess.run(['systemd-tmpfiles', '--create', '--root=' + root, os.path.abspath(os.path.join(ETC, 'tmpfiles/bulkhead.conf'))], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([(os.stat(root + p).st_mode & 0o777) for p in ('/run/bulkhead', '/var/log/bulkhead', '/var/lib/bulkhead', '/var/lib/bulkhead/crash')],
                         [0o755, 0o750, 0o755, 0o700])


if __name__ == '__main__':
    unittest.main()
