"""The life of the session cache: made, found by others, left over, given another size while clients resume their sessions all the time.
Looked at from outside, through clients, /dev/shm, /proc and the log."""
import fcntl
import os
import re
import signal
import socket
import ssl
import stat
import struct
import subprocess
import threading
import time
import unittest

from server import ROOT, SANITIZED, SSL_ON, Conn, ServerTest, alive, children_of, context, needs_root, process_name, wait_for

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CHILDREN = 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\nServerLimit 4\nMaxKeepAliveRequests 0\n'
HOST = '<VirtualHost *:@TLS@>\n' + SSL_ON + '<Location "/stream">\nSetHandler test-stream\n</Location>\n</VirtualHost>\n'
F_OFD_SETLK, F_WRLCK, F_UNLCK = 37, 1, 2
LOCKS = 512                             # bytes of a lockfile: a shard each, of both segments while there are two
PRIVATE = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size="$0" none /dev/shm && exec "$@"']


def cache(size, more=''):
    return CHILDREN + 'SSLSessionCache %s\n' % ('"shmcb:@DIR@/run/cache(%d)"' % size if size else 'none') + 'SSLSessionCacheTimeout 600\n' + more + HOST


def can_mount():
    return subprocess.run(PRIVATE[:2] + ['sh', '-c', 'mount -t tmpfs none /dev/shm'], capture_output=True).returncode == 0


def whole_lock(fd, kind):
    """All shards' bytes of a lockfile, as a child would hold one of them."""
    fcntl.fcntl(fd, F_OFD_SETLK, struct.pack('hhqqi4x', kind, os.SEEK_SET, 0, LOCKS, 0))


def connect(s, ctx, session=None):
    """As the server's own, but the request does not wait until the end of the handshake is acknowledged."""
    sock = socket.create_connection(('127.0.0.1', s.tls_port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return Conn(ctx.wrap_socket(sock, server_hostname='localhost', session=session))
    except BaseException:
        sock.close()
        raise


class Resumer(threading.Thread):
    """Resumes session after session of those it was given, round and round, and notes each that was not resumed."""

    def __init__(self, server, sessions):
        super().__init__(daemon=True)
        self.server, self.sessions, self.stopping, self.resumed, self.missed, self.failed = server, list(sessions), False, 0, [], []
        self.start()

    def run(self):
        at = 0
        while not self.stopping:
            number, ctx, session = self.sessions[at % len(self.sessions)]
            at += 1
            try:
                with connect(self.server, ctx, session) as c:
                    if c.request(close=True).status == 200 and c.sock.session_reused:
                        self.resumed += 1
                    else:
                        self.missed.append((number, round(time.time() % 60, 3)))
            except (OSError, EOFError) as e:
                self.failed.append((number, str(e)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join(20)


class Cache(ServerTest):
    def session(self, s, number=0, high=TLS12, tickets=False):
        ctx = context(high, tickets)
        with connect(s, ctx) as c:
            self.assertEqual(c.request().status, 200)
            return number, ctx, c.sock.session

    def resumes(self, s, made):
        _, ctx, session = made
        with connect(s, ctx, session) as c:
            self.assertEqual(c.request().status, 200)
            return c.sock.session_reused

    def restart(self, s, conf, number=signal.SIGUSR1):
        before = len(re.findall('BH0102', s.error_log))
        s.write('case.conf', conf)
        os.kill(s.pid, number)
        wait_for(lambda: len(re.findall('BH0102', s.error_log)) > before, lambda: 'restarted; the log has\n' + s.error_log[-2000:], 20)

    def segments(self, s):
        """The names in /dev/shm that this server's master has mapped, with what stat says of each."""
        with open('/proc/%d/maps' % s.pid) as f:
            paths = sorted(set(re.findall(r' (/dev/shm/\S+)$', f.read(), re.M)))
        return {path: os.stat(path) for path in paths}

    def lockfile(self, s):
        name, = [name for name in os.listdir(s.path('run')) if name.endswith('.lock')]
        return s.path('run/' + name)

    def long_answer(self, s):
        """A connection that keeps its child, and so its generation, until it is closed: the client does not read on."""
        c = s.connect(tls=True)
        self.addCleanup(c.sock.close)
        c.send('GET /stream?n=3000000000 HTTP/1.1\r\nHost: localhost\r\n\r\n')
        c.head()
        return c

    def kill_all(self, s):
        family = [s.pid] + children_of(s.pid)
        os.kill(s.pid, signal.SIGSTOP)          # it must not replace them
        for pid in reversed(family):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, family)), 'all are dead')


class Size(Cache):
    def moves(self, before, after, n):
        """n sessions, resumed by two clients all the time; others come in; the old generation lives on for a while."""
        s = self.serve(cache(before))
        made = [self.session(s, i) for i in range(n)]
        held = self.long_answer(s)
        with Resumer(s, made) as one, Resumer(s, made[::-1]) as two:
            time.sleep(0.3)
            self.restart(s, cache(after))
            s.logged(r'BH0109: SSLSessionCache gets %d bytes instead of %d' % (after, before))
            until, later = time.monotonic() + 1.5, []
            while time.monotonic() < until:
                later.append(self.session(s, n + len(later)))
                one.sessions.append(later[-1])
                two.sessions.append(later[-1])
                time.sleep(0.05)
            self.assertNotRegex(s.error_log, 'BH0185', 'nothing moves while the old generation lives')
            held.sock.close()
            s.logged(r'BH0185: SSLSessionCache has %d bytes instead of %d: \d+ sessions were moved in \d+ ms' % (after, before))
            time.sleep(0.5)
            self.assertEqual([made for made in later if not self.resumes(s, made)], [], 'made while it was under way')
        moved = int(re.search(r'BH0185: .*: (\d+) sessions', s.error_log)[1])
        self.assertEqual((one.missed + two.missed, one.failed + two.failed), ([], []))
        self.assertGreater(min(one.resumed, two.resumed), n, 'each more than once')
        self.assertGreaterEqual(moved, n)
        self.assertEqual(len(self.segments(s)), 1)
        size, = (st.st_size for st in self.segments(s).values())
        self.assertLess(abs(size - after), 20000)
        self.assertNotRegex(s.error_log, 'BH0120|BH0184|BH0186')
        return s, made + later

    def test_F26_F27_growing_misses_no_session(self):
        s, made = self.moves(300000, 1500000, 200)
        self.restart(s, cache(1500000))
        self.assertEqual([number for number, *_ in made if not self.resumes(s, made[number])], [])
        self.assertEqual(len(re.findall('BH0109', s.error_log)), 1, 'the same size is no change')

    def test_F26_F27_shrinking_misses_no_session_that_fits(self):
        self.moves(1500000, 300000, 200)

    def test_restart_that_ends_old_connections(self):
        s = self.serve(cache(400000))
        made = [self.session(s, i) for i in range(50)]
        with Resumer(s, made) as clients:
            self.restart(s, cache(800000), signal.SIGHUP)
            s.logged('BH0185')
        self.assertEqual(clients.missed, [])

    def test_sessions_made_at_the_moment_of_the_change(self):
        """Each is resumed at once, by whichever child: one of before would not find what a new one has stored. The master is stopped when the
        new ones are there, so that they are beside the old ones for a while."""
        s = self.serve(cache(300000))
        stop, missed, failed, made = threading.Event(), [], [], [0]

        def family():
            with open('/proc/%d/task/%d/children' % (s.pid, s.pid)) as f:
                return set(f.read().split())

        def client():
            while not stop.is_set():
                try:
                    one = self.session(s)
                    made[0] += 1
                    for i in range(3):
                        if not self.resumes(s, one):
                            missed.append((i, round(time.time() % 60, 3)))
                except (OSError, EOFError) as e:
                    failed.append(str(e))
        clients = [threading.Thread(target=client) for _ in range(3)]
        for one in clients:
            one.start()
        for i in range(6):
            before = family()
            s.write('case.conf', cache((600000, 300000)[i % 2]))
            os.kill(s.pid, signal.SIGUSR1)
            while not any(process_name(int(pid)) == 'bulkhead-child' for pid in family() - before):
                pass
            os.kill(s.pid, signal.SIGSTOP)
            time.sleep(0.25)
            os.kill(s.pid, signal.SIGCONT)
            wait_for(lambda: len(re.findall('BH0185', s.error_log)) == i + 1, 'the change is done')
        stop.set()
        for one in clients:
            one.join()
        self.assertEqual((missed, failed), ([], []))
        self.assertGreater(made[0], 50)

    def held_job(self, s):
        """Whoever would store waits while the test holds every lock: so does the job that moves sessions."""
        fd = os.open(self.lockfile(s), os.O_RDWR)
        self.addCleanup(os.close, fd)
        whole_lock(fd, F_WRLCK)
        return fd

    def kill_job(self, s, tries=1):
        for i in range(tries):
            job = s.role('move')
            os.kill(job, signal.SIGKILL)
            wait_for(lambda: not alive(job), 'the job is dead')

    @needs_root
    def test_killed_job_is_run_again(self):
        s = self.serve(cache(300000, 'MutexTimeout 5\n'))
        made = [self.session(s, i) for i in range(100)]
        lock = self.held_job(s)
        with Resumer(s, made) as clients:
            self.restart(s, cache(900000, 'MutexTimeout 5\n'))
            self.kill_job(s, 2)
            wait_for(lambda: len(re.findall(r'BH0184: .*Killed', s.error_log)) == 2, 'both are told')
            s.role('move')
            whole_lock(lock, F_UNLCK)
            s.logged('BH0185: SSLSessionCache has 900000 bytes')
            time.sleep(0.2)
        self.assertEqual((clients.missed, clients.failed), ([], []))
        self.assertEqual([number for number, *_ in made if not self.resumes(s, made[number])], [])

    @needs_root
    def test_job_that_never_succeeds_is_given_up(self):
        s = self.serve(cache(300000, 'MutexTimeout 5\n'))
        made = [self.session(s, i) for i in range(20)]
        lock = self.held_job(s)
        self.restart(s, cache(900000, 'MutexTimeout 5\n'))
        self.kill_job(s, 3)
        s.logged(r'BH0186: SSLSessionCache has 900000 bytes .*lost.*Killed')
        whole_lock(lock, F_UNLCK)
        self.assertEqual(len(self.segments(s)), 1)
        again = self.session(s)
        self.assertTrue(self.resumes(s, again))
        for one in made:
            self.resumes(s, one)
        self.assertNotRegex(s.error_log, 'BH0120')

    @needs_root
    def test_job_has_no_rights(self):
        s = self.serve(cache(300000, 'MutexTimeout 5\n'))
        self.session(s)
        lock = self.held_job(s)
        self.restart(s, cache(900000, 'MutexTimeout 5\n'))
        job = s.role('move')

        def state():
            with open('/proc/%d/status' % job) as f:
                return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        wait_for(lambda: state()['Seccomp'] == SANDBOXED, 'it is in its sandbox')
        wait_for(lambda: state()['NoNewPrivs'] == '1', 'it has no way back')
        self.assertNotIn('0', state()['Uid'].split())
        self.assertEqual({state()[k].strip('0') for k in ('CapEff', 'CapPrm', 'CapBnd')}, {''})
        whole_lock(lock, F_UNLCK)
        s.logged('BH0185')

    def test_another_size_meanwhile_follows(self):
        s = self.serve(cache(300000))
        made = [self.session(s, i) for i in range(50)]
        held = self.long_answer(s)
        with Resumer(s, made) as clients:
            self.restart(s, cache(600000))
            self.restart(s, cache(900000))
            s.logged('BH0183: SSLSessionCache is to have 900000 bytes while it is being changed to 600000')
            held.sock.close()
            s.logged('BH0185: SSLSessionCache has 600000 bytes instead of 300000')
            s.logged('BH0185: SSLSessionCache has 900000 bytes instead of 600000', 20)
            time.sleep(0.3)
        self.assertEqual((clients.missed, clients.failed), ([], []))
        wait_for(lambda: len(s.workers()) == 2, lambda: 'as many children as before, not %r' % s.workers())
        self.assertEqual(len(self.segments(s)), 1)
        self.assertNotRegex(s.error_log, 'BH0120')

    def test_generation_that_cannot_serve(self):
        """Its size is in use when it fails: the children of the generation that stays follow, and then goes back to its own."""
        s = self.serve(cache(300000))
        made = [self.session(s, i) for i in range(50)]
        with Resumer(s, made) as clients:
            s.write('case.conf', cache(600000, 'ChrootDir "@DIR@/absent"\n'))
            os.kill(s.pid, signal.SIGUSR1)
            s.logged('BH0154', 20)
            s.logged('BH0185: SSLSessionCache has 600000 bytes instead of 300000', 20)
            s.logged('BH0185: SSLSessionCache has 300000 bytes instead of 600000', 20)
            time.sleep(0.3)
        self.assertEqual((clients.missed, clients.failed), ([], []))

    def test_from_none_and_to_none(self):
        s = self.serve(cache(0))
        ticket = self.session(s, 0, TLS13, True)
        self.assertFalse(self.resumes(s, self.session(s)))
        self.assertTrue(self.resumes(s, ticket))
        self.restart(s, cache(300000))
        s.logged('BH0185: SSLSessionCache has 300000 bytes instead of 0: 0 sessions')
        session = self.session(s)
        self.assertTrue(self.resumes(s, session))
        self.assertTrue(self.resumes(s, ticket))
        self.restart(s, cache(0))
        s.logged('BH0185: SSLSessionCache has 0 bytes instead of 300000')
        self.assertFalse(self.resumes(s, session))
        self.assertTrue(self.resumes(s, ticket))
        self.restart(s, cache(300000))
        wait_for(lambda: len(re.findall('BH0185', s.error_log)) == 3, 'and there it is again')
        self.assertTrue(self.resumes(s, self.session(s)))
        self.assertTrue(self.resumes(s, ticket))
        self.assertNotRegex(s.error_log, 'BH0120|BH0106')

    def test_mutex_stays_until_the_next_full_start(self):
        s = self.serve(cache(300000))
        lockfile, session = self.lockfile(s), self.session(s)
        self.restart(s, cache(300000, 'Mutex flock:@DIR@/elsewhere ssl-cache\nMutexTimeout 1\n'))
        s.logged('BH0182: .*next full start: lockfile %s, mechanism fcntl, 50 ms' % re.escape(lockfile))
        self.assertTrue(self.resumes(s, session))
        self.assertTrue(self.resumes(s, self.session(s)))
        self.assertFalse(os.path.exists(s.path('elsewhere')))

    def test_kill_of_all_amid_a_change_leaves_nothing(self):
        s = self.serve(cache(300000))
        self.long_answer(s)
        self.restart(s, cache(600000))
        before = self.segments(s)
        self.assertEqual(len(before), 2)
        self.kill_all(s)
        s.start()
        self.assertEqual(len(self.segments(s)), 1)
        self.assertLessEqual({path for path in before if os.path.exists(path)}, set(self.segments(s)))
        s.stop()
        self.assertEqual([path for path in before if os.path.exists(path)], [])


class Load(Cache):
    def test_F27_all_children_resume_by_default(self):
        """Nothing is configured but a certificate: IDs and tickets are good in every child."""
        s = self.serve(CHILDREN.replace('Servers 2', 'Servers 3') + 'CustomLog "@DIR@/logs/pids" "%P %{SSL_SESSION_RESUMED}x"\n' + HOST)
        wait_for(lambda: len(s.workers()) == 3, 'three children')
        made = [self.session(s, 0, *kind) for kind in ((TLS12, False), (TLS12, True), (TLS13, True))]
        rounds = 0
        while rounds < 40 or (rounds < 400 and len(set(re.findall(r'(\d+) Resumed', s.read('logs/pids')))) < 3):
            rounds += 1
            self.assertEqual([self.resumes(s, one) for one in made], [True] * 3)
        wait_for(lambda: len(set(re.findall(r'(\d+) Resumed', s.read('logs/pids')))) == 3, 'each child resumed some')

    def test_F26_full_expired_and_killed(self):
        """Far more sessions than the cache holds, short lives, children that are killed: whoever connects is served."""
        s = self.serve('SSLSessionCache "shmcb:@DIR@/run/cache(16384)"\nSSLSessionCacheTimeout 1\n' + CHILDREN + HOST)
        stop, resumed, failed = time.monotonic() + 4, [0, 0], []

        def client():
            made = []
            while time.monotonic() < stop:
                ctx, session = made.pop(0) if len(made) > 20 else (context(TLS12, tickets=False), None)
                try:
                    with connect(s, ctx, session) as c:
                        if c.request(close=True).body != b'index\n':
                            failed.append('body')
                        resumed[c.sock.session_reused] += session is not None
                        made.append((ctx, c.sock.session))
                except (OSError, EOFError) as e:
                    failed.append(str(e))
        clients = [threading.Thread(target=client) for _ in range(3)]
        for one in clients:
            one.start()
        kills = 0
        while time.monotonic() < stop:
            time.sleep(0.4)
            for victim in s.workers()[:1]:
                os.kill(victim, signal.SIGKILL)
                kills += 1
        for one in clients:
            one.join()
        self.assertLessEqual(len(failed), kills * len(clients), failed)
        self.assertGreater(min(resumed), 0, 'some are there still, some are not')
        old = self.session(s)
        self.assertTrue(self.resumes(s, old))
        time.sleep(2.1)
        self.assertFalse(self.resumes(s, old), 'expired')
        self.assertNotRegex(s.error_log, 'BH0125|BH0104')


class Place(Cache):
    @needs_root
    def test_F01_lockfile_below_a_closed_folder_serves_the_children(self):
        """Children that are not root store and resume, before and after the lockfile is deleted, also those that come later."""
        s = self.configure(cache(300000, 'Mutex file:@DIR@/closed/lock ssl-cache\n'))
        os.makedirs(s.path('closed/lock'))
        os.chmod(s.path('closed'), 0o700)
        s.start()
        name, = os.listdir(s.path('closed/lock'))
        made = [self.session(s, i) for i in range(20)]
        os.unlink(s.path('closed/lock/' + name))
        for when in 'deleted', 'killed', 'restarted':
            if when == 'killed':
                for pid in s.workers():
                    os.kill(pid, signal.SIGKILL)
            elif when == 'restarted':
                self.restart(s, s.read('case.conf'))
            made += [self.session(s, len(made) + i) for i in range(20)]
            self.assertEqual([number for number, *_ in made if not self.resumes(s, made[number])], [], when)
        self.assertEqual(os.listdir(s.path('closed/lock')), [])
        self.assertNotRegex(s.error_log, 'ermission denied|BH0106')

    def test_closed_to_others(self):
        s = self.serve(cache(300000))
        (path, segment), = self.segments(s).items()
        for what, st in (path, segment), ('lockfile', os.lstat(self.lockfile(s))):
            with self.subTest(what):
                self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, stat.S_ISREG(st.st_mode)), (0o600, os.geteuid(), True))
        lockfile = self.lockfile(s)
        s.stop()
        self.assertFalse(os.path.exists(path) or os.path.exists(lockfile), 'gone with the server')

    def test_two_servers_with_one_lockfile(self):
        s = self.serve(cache(300000, 'SSLMutex "file:@DIR@/run/both"\n'))
        other = self.configure(cache(300000, 'SSLMutex "file:%s"\n' % s.path('run/both')))
        done = other.run('-k', 'start')
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r'case\.conf:\d+: .*lockfile %s is in use .*\b%d\b' % (re.escape(s.path('run/both')), s.pid))
        self.assertIn('; stop that process, or give this instance a lockfile of its own', done.stdout)
        session = self.session(s)
        self.assertTrue(self.resumes(s, session))
        s.stop()
        other.start()
        self.assertTrue(self.resumes(other, self.session(other)))

    def test_left_overs_are_removed(self):
        s = self.serve(cache(300000))
        (path, before), = self.segments(s).items()
        lockfile, session = self.lockfile(s), self.session(s)
        self.kill_all(s)
        self.assertTrue(os.path.exists(path) and os.path.exists(lockfile), 'nobody is left to remove them')
        s.start()
        self.assertNotEqual(os.stat(path).st_ino, before.st_ino)
        self.assertEqual(list(self.segments(s)), [path])
        self.assertFalse(self.resumes(s, session), 'a new key')
        self.assertTrue(self.resumes(s, self.session(s)))
        s.stop()
        self.assertFalse(os.path.exists(path) or os.path.exists(lockfile))

    def test_killed_master_while_its_children_still_drain(self):
        s = self.serve(cache(300000))
        self.long_answer(s)
        family = children_of(s.pid)
        began = time.monotonic()
        os.kill(s.pid, signal.SIGKILL)
        wait_for(s.gone, 'the master is dead')
        s.start()
        self.assertTrue(any(alive(pid) and 'child' in process_name(pid) for pid in family), 'a child of before still drains')
        self.assertTrue(self.resumes(s, self.session(s)))
        self.assertLess(time.monotonic() - began, 4)
        wait_for(lambda: not any(map(alive, family)), 'they end', 8)
        self.assertTrue(self.resumes(s, self.session(s)))
        self.assertNotRegex(s.error_log, 'BH0120|BH0125')

    @unittest.skipUnless(ROOT and can_mount(), 'needs a mount namespace of its own')
    def test_full_memory_is_refused_at_start(self):
        s = self.configure(cache(2000000))
        done = subprocess.run([*PRIVATE, '1m', *s.command('-k', 'start')], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=30)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r'case\.conf:\d+: .*\b20\d{5} bytes .*/dev/shm has \d+ bytes free of 1048576')
        self.assertRegex(done.stdout, 'smaller|enlarge')

    @unittest.skipUnless(ROOT and can_mount(), 'needs a mount namespace of its own')
    def test_memory_that_fills_up_later_harms_nobody(self):
        """A cache that is there is there; what a restart asks for beyond the room is refused, and the server goes on."""
        s = self.configure(cache(200000))
        s.start_foreground('-D', 'FOREGROUND', prefix=[*PRIVATE, '300k'], wait=s.tls_port)
        inside = '/proc/%d/root/dev/shm/' % s.pid
        made = [self.session(s, i) for i in range(50)]
        self.restart(s, cache(400000))
        s.logged(r'BH0181: SSLSessionCache stays at 200000 bytes, 400000 cannot be had: .*/dev/shm has \d+ bytes free of 307200')
        self.assertEqual(len(os.listdir(inside)), 1)
        with self.assertRaises(OSError), open(inside + 'fill', 'wb', 0) as f:
            while True:
                f.write(bytes(65536))
        self.assertEqual([number for number, *_ in made if not self.resumes(s, made[number])], [])
        for i in range(600):                    # more than it holds: every page is used
            self.session(s)
        self.assertTrue(self.resumes(s, self.session(s)))
        self.assertNotRegex(s.error_log, 'BH0120')

    def test_what_is_told(self):
        s = self.configure(cache(512000, 'Mutex flock:@DIR@/run ssl-cache\nMutexTimeout 20ms\n'))
        self.assertRegex(s.run('-t').stdout, r'case\.conf:6: notice: SSLSessionCache: 512000 bytes hold about 1100 sessions \(TLS 1\.2, 356 bytes each\)\n')
        shown = s.run('-S').stdout
        self.assertRegex(shown, r'(?m)^Mutex ssl-cache: dir="%s" mechanism=flock file="%s/ssl-cache-\w+\.lock" timeout=20ms$' % ((re.escape(s.path('run')),) * 2))
        told = re.search(r'(?m)^SSLSessionCache: shmcb size=512000 sessions=\d+ timeout=600s segment="(\S+)"$', shown)
        s.start()
        self.assertRegex(s.error_log, 'ssl:info.*BH0180: SSLSessionCache: 512000 bytes hold about 1100 sessions')
        self.assertEqual(list(self.segments(s)), [told[1]])
        self.assertNotRegex(s.output, 'SSLSessionCache')
        none = self.configure(cache(0))
        self.assertRegex(none.run('-S').stdout, r'(?m)^SSLSessionCache: none$')
        self.assertNotRegex(none.run('-t').stdout, 'SSLSessionCache')


SANDBOXED = '0' if SANITIZED else '2'

if __name__ == '__main__':
    unittest.main()
