"""Crashes: what the log, the report and the core say of one, what they must never contain, and who notices besides."""
import base64
import glob
import os
import re
import signal
import ssl
import subprocess
import time
import unittest

import load
from load import Load
from server import ROOT, SANITIZED, SSL_ON, ServerTest, account, alive, certificate, context, needs_root, status_of, wait_for

CRASH = ('StartServers 3\nMinSpareServers 3\nMaxSpareServers 3\nServerLimit 3\nMaxKeepAliveRequests 0\n'
         '<Location "/crash">\nSetHandler test-crash\n</Location>\n<Location "/forbidden">\nSetHandler test-forbidden\n</Location>\n'
         '<Location "/echo">\nSetHandler test-echo\n</Location>\n')
TLS = '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
NAMES = {signal.SIGSEGV: 'Segmentation fault', signal.SIGABRT: 'Aborted', signal.SIGFPE: 'Floating point exception', signal.SIGILL: 'Illegal instruction',
         signal.SIGBUS: 'Bus error', signal.SIGSYS: 'Bad system call'}
unsanitized = unittest.skipIf(SANITIZED, "sanitizers keep their own handler of faults, and their reports; there is no seccomp either")


def core_pattern():
    with open('/proc/sys/kernel/core_pattern') as f:
        return f.read().strip()


def memory(pid):
    """What a process has written into memory of its own; b'' where that may not be read."""
    parts = []
    try:
        with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb') as mem:
            for line in maps:
                low, high = (int(word, 16) for word in line.split()[0].split('-'))
                if line.split()[1] != 'rw-p' or high - low > 1 << 26:
                    continue
                try:
                    mem.seek(low)
                    parts.append(mem.read(high - low))
                except (OSError, ValueError, OverflowError):
                    pass
    except OSError:
        pass
    return b'\n'.join(parts)


def reports(s, folder='crash'):
    return sorted(glob.glob(s.path(folder + '/bulkhead-crash-*.txt')))


class Crash(ServerTest):
    def crash(self, s, path='/crash?s=11', tls=False, headers='', body=None, pid=None):
        """Sends one request that crashes a child. Returns how long the client waited for the end of its connection."""
        began = time.monotonic()
        try:
            with s.connect(tls) as c:
                c.request(path, headers=headers, body=body)
        except (EOFError, ConnectionResetError, ssl.SSLError):
            return time.monotonic() - began
        self.fail('there was an answer')

    def report(self, s, n=1, folder='crash'):
        """The text of the n-th report, once it is whole and the log has named it."""
        wait_for(lambda: s.error_log.count('BH0126') >= n, lambda: '%d reports; the log has\n%s' % (n, s.error_log[-3000:]), 20)
        path = max(reports(s, folder), key=os.path.getmtime)
        with open(path) as f:
            return path, f.read()

    def field(self, text, key):
        found = re.search(r'^%s: (.*)$' % re.escape(key), text, re.M)
        return found[1] if found else None


@unsanitized
class Reports(Crash):
    def test_F36_each_signal_is_named_reported_and_survived(self):
        s, told = self.serve(CRASH), []
        for n, number in enumerate((signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGBUS), 1):
            with self.subTest(number):
                waited = self.crash(s, '/crash/some/where?s=%d&token=hidden' % number)
                self.assertLess(waited, 1)
                path, text = self.report(s, n)
                pid = int(re.search(r'-(\d+)\.txt$', path)[1])
                s.logged(r'BH0120: child pid %d exit signal %s \(%d\)' % (pid, NAMES[number], number))
                self.assertRegex(s.error_log, r'BH0126: .*%s' % re.escape(path))
                lines = text.splitlines()
                self.assertEqual((lines[0], lines[-1]), ('crash-report: 1', 'end: complete'))
                self.assertTrue(text.isascii())
                self.assertRegex(self.field(text, 'signal'), r'^%s %d|%s' % (number.name, number, number.name))
                self.assertRegex(text, r'(?m)^frame: .* crash_start\+0x')
                self.assertEqual(self.field(text, 'method'), 'GET')
                self.assertEqual(self.field(text, 'path'), '/crash/some/where')
                self.assertRegex(self.field(text, 'virtual-host'), 'localhost')
                self.assertRegex(self.field(text, 'process'), r'\bpid=%d\b.*role=child' % pid)
                self.assertIn('crash_start', self.field(text, 'signature'))
                self.assertNotIn('hidden', text)
                self.assertIsNone(self.field(text, 'note'))
                told.append((int(re.search(r' clients-us=(\d+)', self.field(text, 'snapshot'))[1]), round(waited * 1e6)))
                status = os.stat(path)
                self.assertEqual(status.st_mode & 0o777, 0o600)
                if ROOT:
                    self.assertEqual((status.st_uid, os.stat(s.path('crash')).st_uid), (account().pw_uid,) * 2)
        print('fault to end of connection, connect to its end (us):', *('%d, %d;' % pair for pair in told))
        self.assertLess(min(told)[0], 1000)             # the least: others of this machine's processes may come between
        self.assertEqual(s.get().status, 200)

    @needs_root
    def test_F37_core_lies_beside_the_report_or_the_reason_is_told(self):
        s = self.serve(CRASH)
        self.crash(s)
        path, text = self.report(s)
        core = self.field(text, 'core')
        self.assertIn(core.split(':')[0] if core.startswith('none') else core, s.error_log)
        if core_pattern().startswith(('|', '/')):
            self.assertRegex(core, r'none: .*core_pattern|piped')
            return
        self.assertTrue(core.startswith(s.path('crash/core')), core)
        status = os.stat(core)
        self.assertEqual((status.st_uid, status.st_mode & 0o777), (account().pw_uid, 0o600))
        gdb = subprocess.run(['gdb', '-nx', '-q', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off', '-ex', 'bt 10', s.command()[0], core],
                             capture_output=True, text=True)
        self.assertRegex(gdb.stdout, r'crash_start')
        self.assertRegex(gdb.stdout, r'phases|handler')

    def test_report_without_core_tells_why(self):
        s = self.configure(CRASH)
        done = subprocess.run(['prlimit', '--core=0:0', *s.command('-k', 'start')], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        s.pid = s.read_pid()
        if not core_pattern().startswith('|'):
            s.logged('BH0129: .*RLIMIT_CORE is 0')
        self.crash(s)
        _, text = self.report(s)
        self.assertRegex(self.field(text, 'core'), 'none: .*(RLIMIT_CORE is 0|core_pattern)')
        self.assertTrue(text.endswith('end: complete\n'))

    def test_two_crashes_make_two_reports_and_cores_of_one_signature(self):
        s = self.serve(CRASH)
        for n in (1, 2):
            self.crash(s)
            self.report(s, n)
        texts = []
        for path in reports(s):
            with open(path) as f:
                texts.append(f.read())
        self.assertEqual(len(texts), 2)
        self.assertEqual(self.field(texts[0], 'signature'), self.field(texts[1], 'signature'))
        self.assertEqual(len({self.field(text, 'core') for text in texts}), 2)

    @needs_root
    def test_folder_below_a_closed_one_gets_its_report_and_core(self):
        s = self.configure(CRASH + 'CoreDumpDirectory "@DIR@/closed/crash"\n')
        os.mkdir(s.path('closed'), 0o700)
        s.start()
        self.crash(s)
        path, text = self.report(s, 1, 'closed/crash')
        self.assertTrue(text.endswith('end: complete\n'))
        self.assertEqual(os.stat(path).st_uid, account().pw_uid)
        if not core_pattern().startswith(('|', '/')):
            self.assertTrue(self.field(text, 'core').startswith(s.path('closed/crash/core')), self.field(text, 'core'))

    @needs_root
    def test_folder_that_cannot_be_used_is_told_and_does_not_hinder(self):
        s = self.configure(CRASH + 'CoreDumpDirectory "@DIR@/file/crash"\n', {'file': 'no folder\n'})
        done = s.run('-k', 'start')
        s.pid = s.read_pid()
        if done.returncode:
            self.assertRegex(done.stdout, r'case\.conf:\d+.*CoreDumpDirectory')
            return
        self.crash(s)
        s.logged(r'BH0120: .*Segmentation')
        self.assertRegex(s.error_log, re.escape(s.path('file/crash')))
        self.assertEqual(s.get().status, 200)

    @needs_root
    def test_F37_reason_is_the_true_one_where_the_folder_is_closed(self):
        s = self.configure(CRASH + 'CoreDumpDirectory "@DIR@/closed"\n')
        os.mkdir(s.path('closed'), 0o700)
        os.symlink('closed', s.path('link'))
        s.start()
        victim = wait_for(s.workers, 'children')[0]
        wait_for(lambda: int(status_of(victim)['SigCgt'], 16) >> signal.SIGSEGV - 1 & 1, 'the child has its handlers')
        os.kill(victim, signal.SIGSEGV)
        s.logged(r'BH0125: child pid %d was sent signal 11 by process %d; a report follows' % (victim, os.getpid()))
        s.logged(r'BH0126: .*no report in \S+/closed \(Permission denied\); no core: ')
        self.assertNotIn('RLIMIT_CORE', s.error_log)
        for name in ('link', 'httpd.conf', 'httpd.conf/below'):
            done = self.configure('CoreDumpDirectory "%s"\n' % s.path(name)).run('-t')
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn('%s: it is no folder' % s.path(name), done.stdout)
            self.assertIn('name a folder as CoreDumpDirectory', done.stdout)

    def test_F39_nothing_secret_is_in_report_or_core(self):
        s = self.serve(CRASH + TLS)
        secrets = {'header': b'hdr-4f1d0c7a2b', 'query': b'qry-93bb5e01c6', 'cookie': b'cki-77aa12e0d4', 'body': b'bdy-5c20b9e8f3', 'earlier header': b'old-e8812f6ab0',
                   'earlier body': b'obd-3d9f70c5a1'}
        text = {name: value.decode() for name, value in secrets.items()}
        for tls in (False, True):
            for _ in range(6):          # whichever child crashes then has met them
                with s.connect(tls) as c:
                    self.assertEqual(c.request('/echo', 'POST', 'Authorization: Bearer %s\r\n' % text['earlier header'], text['earlier body'].encode() * 20).status, 200)
        for n, tls in enumerate((False, True), 1):
            self.crash(s, '/crash?s=11&key=' + text['query'], tls, 'Authorization: Bearer %s\r\nCookie: id=%s\r\n' % (text['header'], text['cookie']),
                       text['body'].encode() * 5)
            self.report(s, n)
        numbers = subprocess.run(['openssl', 'ec', '-in', certificate()[1], '-noout', '-text'], capture_output=True, text=True, check=True).stdout
        key = bytes.fromhex(re.sub(r'[\s:]', '', re.search(r'priv:\n(.*?)pub:', numbers, re.S)[1]))[-32:]
        secrets['private key'], secrets['private key, reversed'] = key[4:28], key[::-1][4:28]
        with open(certificate()[1]) as f:
            secrets['private key in PEM'] = f.read().splitlines()[1][:40].encode()
        files = [os.path.join(s.path('crash'), name) for name in os.listdir(s.path('crash'))]
        self.assertGreaterEqual(len(files), 2)
        if not core_pattern().startswith(('|', '/')):
            self.assertEqual(len(files), 4, files)
        found = []
        for path in files + [s.path('logs/error_log')]:
            with open(path, 'rb') as f:
                data = f.read()
            found += [(os.path.basename(path), name, data.count(value)) for name, value in secrets.items() if value in data]
        self.assertEqual(found, [])

    def test_F39_no_session_key_is_in_report_or_core(self):
        """The client writes down what both sides know of its sessions (SSLKEYLOGFILE): none of it is in what the crash leaves."""
        s = self.configure(CRASH + TLS + 'SSLSessionTicketKeyFile "@DIR@/ticket.key"\n', {'ticket.key': os.urandom(48)})
        os.chmod(s.path('ticket.key'), 0o600)
        s.start()
        with open(s.path('ticket.key'), 'rb') as f:
            ticket = f.read()
        secrets = {'ticket key, bytes %d-%d' % (n, n + 16): ticket[n:n + 16] for n in (16, 32)}
        held, password = [], 'pwd-9d3f1b7c55'
        secrets['Basic password'] = password.encode()
        basic = base64.b64encode(b'someone:' + password.encode())
        secrets['Basic credentials'] = basic[:-4]
        for n, version in enumerate((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), 1):
            ctx = context(version)
            ctx.minimum_version = version
            ctx.keylog_filename = s.path('run/keylog')
            for _ in range(6):
                with s.connect(ctx=ctx) as c:
                    c.request('/', headers='Authorization: Basic %s\r\n' % basic.decode())
            try:
                with s.connect(ctx=ctx) as c:
                    c.request('/', headers='Authorization: Basic %s\r\n' % basic.decode())
                    held.append(b'\0'.join(memory(pid) for pid in s.workers()))
                    c.request('/crash?s=11', headers='Authorization: Basic %s\r\n' % basic.decode())
            except (EOFError, OSError):
                pass
            self.report(s, n)
        for label, _, value in (line.split() for line in s.read('run/keylog').splitlines() if not line.startswith('#')):
            secrets[label + ' ' + value[:8]] = bytes.fromhex(value)[:32]
        self.assertGreater(len(secrets), 20)
        for alive_then in filter(None, held):       # they are in the memory of those that live: the search would find them
            self.assertTrue([name for name, value in secrets.items() if value in alive_then and ('RANDOM' in name or 'TRAFFIC' in name)])
        files = [os.path.join(s.path('crash'), name) for name in os.listdir(s.path('crash'))]
        self.assertGreaterEqual(len(files), 2)
        found = []
        for path in files + [s.path('logs/error_log')]:
            with open(path, 'rb') as f:
                data = f.read()
            found += [(os.path.basename(path), name) for name, value in secrets.items() if value in data]
        self.assertEqual(found, [])

    def test_crashes_at_the_same_moment_are_not_mixed_up(self):
        """Where cores have one name for all, one may be overwritten: then its report says so, and never names another's."""
        s = self.serve(CRASH + 'CustomLog "@DIR@/logs/pids" "%P"\n')
        wait_for(lambda: len(s.workers()) == 3, 'three children')
        conns = {}
        with s.connect() as spare:
            spare.request()
            for n in range(2, 200):
                c = s.connect()
                self.addCleanup(c.sock.close)
                c.request()
                wait_for(lambda: s.read('logs/pids').count('\n') == n, 'its line')
                conns[int(s.read('logs/pids').split()[-1])] = c
                if len(conns) == 3:
                    break
            for c in conns.values():
                c.send('GET /crash?s=11 HTTP/1.1\r\nHost: localhost\r\n\r\n')
            self.report(s, len(conns))
        self.assertEqual(len(reports(s)), len(conns))
        for path in reports(s):
            with open(path) as f:
                text, pid = f.read(), re.search(r'-(\d+)\.txt$', path)[1]
            self.assertRegex(text, r'(?m)^process: pid=%s ' % pid)
            self.assertRegex(self.field(text, 'core'), r'^none: |core.*\b%s$' % pid)

    def test_reports_of_a_storm_are_bounded(self):
        """Twelve crashes in a row: the server lives on, a report is written of the first ones, the rest is counted."""
        s = self.serve(CRASH)
        for _ in range(12):
            wait_for(lambda: s.get().status == 200, 'it serves')
            self.crash(s)
        wait_for(lambda: s.error_log.count('BH0120') == 12, 'all ends are logged')
        time.sleep(0.5)
        self.assertLessEqual(len(reports(s)), 10)
        self.assertGreaterEqual(len(reports(s)), 3)
        self.assertEqual(s.get().status, 200)

    def test_keyholder_that_crashes_is_replaced_without_a_core_of_keys(self):
        s = self.serve(CRASH + TLS)
        victim = wait_for(lambda: s.roles('keys'), 'a keyholder')[0]
        os.kill(victim, signal.SIGSEGV)
        wait_for(lambda: not alive(victim), 'it is dead')
        self.assertEqual(s.get(tls=True).status, 200)
        s.logged(r'keyholder pid %d .*Segmentation fault \(11\), no core' % victim)
        self.assertEqual(glob.glob(s.path('crash/core*')), [])

    @needs_root
    def test_forbidden_system_call(self):
        s = self.serve(CRASH)
        self.assertLess(self.crash(s, '/forbidden'), 1)
        _, text = self.report(s)
        self.assertRegex(self.field(text, 'signal'), r'SIGSYS')
        self.assertRegex(self.field(text, 'system-call'), r'^(59|221)\b')
        self.assertEqual(self.field(text, 'class'), 'sandbox')
        self.assertRegex(text, r'(?m)^frame: .* forbidden_start\+0x')
        s.logged(r'BH0120: child pid \d+ exit signal Bad system call \(31\).*sandbox')


class Others(Crash):
    @unsanitized
    def test_connections_of_other_children_go_on(self):
        s = self.serve(CRASH + 'CustomLog "@DIR@/logs/pids" "%P"\n')
        wait_for(lambda: len(s.workers()) == 3, 'three children')
        held, conns = {}, []
        try:
            while len(conns) < 200 and (len(held) < 2 or len(conns) < 40):
                conns.append(s.connect())
                self.assertEqual(conns[-1].request().status, 200)
                wait_for(lambda: s.read('logs/pids').count('\n') == len(conns), 'its line')
                held.setdefault(int(s.read('logs/pids').split()[-1]), []).append(conns[-1])
            self.assertGreaterEqual(len(held), 2, 'they are spread')
            victim = min(held)
            began = time.monotonic()
            held[victim][0].send('GET /crash?s=11 HTTP/1.1\r\nHost: localhost\r\n\r\n')
            for c in held[victim]:
                self.assertEqual(c.rest(), b'')
            self.assertLess(time.monotonic() - began, 1, 'all its clients are told at once')
            for pid, others in held.items():
                for c in others if pid != victim else []:
                    self.assertEqual(c.request().status, 200)
        finally:
            for c in conns:
                c.sock.close()

    @unsanitized
    def test_cache_stays_usable(self):
        """Crashes while sessions are stored and fetched: the lock is free afterwards and nobody waits for it."""
        s = self.serve(CRASH + 'SSLSessionCache "shmcb:@DIR@/run/cache(512000)"\n' + TLS)
        ctx = context(ssl.TLSVersion.TLSv1_2, tickets=False)
        with Load(s, (load.TLS_CLOSE,) * 2, pause=0) as clients:
            for _ in range(6):
                try:
                    self.crash(s, tls=True)
                except OSError:
                    pass
                time.sleep(0.1)
        clients.tell(self)
        wait_for(lambda: s.get(tls=True).status == 200, 'it serves')
        began = time.monotonic()
        with s.connect(ctx=ctx) as c:
            c.request()
            session = c.sock.session
        for _ in range(6):
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual(c.request().status, 200)
                self.assertTrue(c.sock.session_reused)
        self.assertLess(time.monotonic() - began, 3)

    @unittest.skipUnless(SANITIZED, 'says what a sanitized build does instead')
    def test_sanitized_build_replaces_its_children_too(self):
        s = self.serve(CRASH)
        self.crash(s)
        s.logged(r'BH0120: child pid \d+')
        wait_for(lambda: s.get().status == 200, 'it serves')


if __name__ == '__main__':
    unittest.main()
