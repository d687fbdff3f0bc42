"""Children that do not go on, and children that are looked at while they work: HangTimeout, bulkhead-crash live."""
import glob
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import unittest

from server import BIN, ROOT, SANITIZED, SSL_ON, ServerTest, account, children_of, context, needs_root, status_of, wait_for

CONF = ('StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nServerLimit 1\n<Location "/hang">\nSetHandler test-hang\n</Location>\n'
        '<Location "/echo">\nSetHandler test-echo\n</Location>\n')
LIVE = signal.SIGRTMIN + 1
TOOL = os.environ.get('BULKHEAD_CRASH') or os.path.join(os.path.dirname(BIN), '..', 'bin', 'bulkhead-crash')
unsanitized = unittest.skipIf(SANITIZED, 'sanitizers keep their own handler of SIGABRT')


def field(text, key):
    found = re.search(r'^%s: (.*)$' % re.escape(key), text, re.M)
    return found[1] if found else None


class Case(ServerTest):
    def child(self, s):
        return s.role('bulkhead-child')

    def only_report(self, s, kind):
        path, = wait_for(lambda: glob.glob(s.path('crash/bulkhead-%s-*.txt' % kind)), lambda: 'a report; the log has\n' + s.error_log)
        text = wait_for(lambda: (t := s.read(os.path.relpath(path, s.dir))).endswith('end: complete\n') and t, 'it is complete')
        return path, text

    def ask(self, s, path):
        c = s.connect()
        self.addCleanup(c.sock.close)
        c.send('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path)
        return c


class Hangs(Case):
    @unsanitized
    def test_child_that_hangs_is_reported_ended_and_replaced(self):
        s = self.serve(CONF + 'HangTimeout 5\n')
        pid = self.child(s)
        c, began = self.ask(s, '/hang/there?ms=600000&secret=1'), time.monotonic()
        s.logged(r'BH0160: child pid %d in slot \d+ has not gone on for \d+ s' % pid, 20)
        took = time.monotonic() - began
        self.assertGreater(took, 4)
        self.assertLess(took, 12)
        self.assertEqual(c.rest(), b'')
        path, text = self.only_report(s, 'crash')
        self.assertEqual(field(text, 'class'), 'hang')
        self.assertRegex(field(text, 'signature'), r'^hang (.*<)?hang_start<')
        self.assertRegex(text, r'(?m)^frame: .* hang_start\+0x')
        self.assertEqual(field(text, 'path'), '/hang/there')
        self.assertEqual(field(text, 'sender'), 'pid=%d uid=%d' % (s.pid, os.geteuid()))
        self.assertNotIn('secret', text)
        s.logged(r'BH0125: child pid %d hung while it served GET /hang/there' % pid)
        s.logged(r'BH0120: child pid %d exit signal Aborted \(6\).*: it hung' % pid)
        s.logged(r'BH0126: SIGABRT \(hang\) in .*%s' % re.escape(path))
        self.assertEqual(s.get().status, 200)
        self.assertNotEqual(self.child(s), pid)

    def test_child_that_does_not_end_either_is_killed(self):
        s = self.serve(CONF + 'HangTimeout 5\n')
        pid = self.child(s)
        self.ask(s, '/hang?ms=600000&deaf')
        s.logged(r'BH0160: child pid %d' % pid, 20)
        s.logged(r'BH0161: child pid %d did not end within \d+ s after SIGABRT: it is killed' % pid, 10)
        s.logged(r'BH0120: child pid %d exit signal Killed \(9\).*: it hung' % pid)
        s.logged(r'BH0127: no report of the hang of pid %d: it did not come to its crash handler' % pid)
        self.assertEqual(s.get().status, 200)

    def test_neither_long_work_nor_silence_nor_a_stop_is_a_hang(self):
        s = self.serve(CONF + 'HangTimeout 5\nTimeout 60\n')
        pid = self.child(s)
        with s.connect() as idle, s.connect() as c:
            self.assertEqual(idle.request().status, 200)
            for _ in range(3):
                self.assertEqual(c.request('/hang?ms=3000').body, b'went on\n')
            waiting = self.ask(s, '/hang?ms=2000')
            time.sleep(0.3)
            os.kill(pid, signal.SIGSTOP)
            try:
                s.logged(r'BH0162: child pid %d in slot \d+ is stopped' % pid, 20)
                time.sleep(7)
                self.assertEqual(s.error_log.count('BH0162'), 1)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual(waiting.response().body, b'went on\n')
        self.assertEqual(s.workers(), [pid])
        self.assertNotIn('BH0160', s.error_log)

    @unsanitized
    def test_all_processes_asleep_for_long_is_no_hang(self):
        """As when a machine is suspended, or a control group frozen: master and children miss the same time."""
        s = self.serve(CONF + 'HangTimeout 5\n')
        pid = self.child(s)
        waiting = self.ask(s, '/hang?ms=11000')
        time.sleep(0.3)
        for p in (s.pid, pid):
            os.kill(p, signal.SIGSTOP)
        time.sleep(9)
        for p in (s.pid, pid):
            os.kill(p, signal.SIGCONT)
        self.assertEqual(waiting.response().body, b'went on\n')
        self.assertNotIn('BH0160', s.error_log)
        self.assertEqual(s.workers(), [pid])

    def test_directive(self):
        for value, said in (('0', None), ('5', None), ('2min', None), ('3', '3 is too short'), ('1500ms', 'too short'), ('x', 'not a length of time')):
            with self.subTest(value):
                s = self.configure('HangTimeout %s\n' % value)
                done = s.run('-t')
                self.assertEqual(done.returncode, 1 if said else 0, done.stdout)
                self.assertIn(said or 'Syntax OK', done.stdout)


class Live(Case):
    def live(self, s, pid, *more):
        return subprocess.run([TOOL, 'live', '-d', s.path('crash'), *more, str(pid)], capture_output=True, text=True, timeout=60)

    def test_idle_child_is_looked_at_and_goes_on(self):
        s = self.serve(CONF)
        pid = self.child(s)
        with s.connect() as c:
            self.assertEqual(c.request().status, 200)
            for n in range(1, 4):
                time.sleep(0.3)         # its turn with the request is over; on a busy machine perhaps not
                os.kill(pid, LIVE)
                wait_for(lambda: s.error_log.count('BH0163') == n, lambda: s.error_log)
                self.assertEqual(c.request().status, 200)
        files = sorted(glob.glob(s.path('crash/*')))
        self.assertEqual(len(files), 3, files)
        texts = {path: s.read(os.path.relpath(path, s.dir)) for path in files}
        waited = [t for t in texts.values() if field(t, 'connection').startswith('none: the process was waiting')]
        self.assertGreaterEqual(len(waited), 1, texts)
        self.assertLess(min(int(re.search(r'us=(\d+)', field(t, 'snapshot'))[1]) for t in texts.values()), 50000 if SANITIZED else 5000)
        for path, text in texts.items():
            self.assertRegex(os.path.basename(path), r'^bulkhead-live-\d{8}-\d{6}-%d(-\d)?\.txt$' % pid)
            self.assertEqual((field(text, 'class'), field(text, 'ended')), ('live', 'no, it goes on'))
            self.assertRegex(field(text, 'signature'), r'^live loop_turn<conn_run' if text in waited else r'^live \w')
            self.assertEqual(os.stat(path).st_uid, account().pw_uid if ROOT else os.geteuid())
        self.assertEqual(s.workers(), [pid])
        self.assertNotIn('BH0120', s.error_log)

    def test_tool_shows_where_a_busy_child_is(self):
        s = self.serve(CONF)
        pid = self.child(s)
        c = self.ask(s, '/hang/about?ms=12000&key=hidden')
        time.sleep(0.3)
        for n in range(2):
            began = time.monotonic()
            done = self.live(s, pid)
            self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
            self.assertLess(time.monotonic() - began, 5)
            self.assertRegex(done.stdout, r'^child %d is at work in (hang_start|clock_ms) .*, serving GET /hang/about for 127' % pid)
            self.assertRegex(done.stdout, r'(?m)^  #\d +hang_start\+0x')
            self.assertNotIn('hidden', done.stdout)
            self.assertEqual(os.listdir(s.path('crash')), [])
        self.assertEqual(c.response().body, b'went on\n')
        for _ in range(5):              # its turn with the request may not be over on a busy machine
            time.sleep(0.3)
            done = self.live(s, pid, '--keep')
            self.assertEqual(done.returncode, 0, done.stderr)
            if 'while it waited' in done.stdout:
                break
        self.assertRegex(done.stdout, 'while it waited')
        self.assertRegex(os.listdir(s.path('crash'))[0], r'^bulkhead-live-.*-%d\.txt$' % pid)
        self.assertEqual(s.workers(), [pid])

    def test_tool_harms_nobody_and_says_why(self):
        s = self.serve(CONF + '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        sleeper = subprocess.Popen(['sleep', '60'])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        child, before = self.child(s), children_of(s.pid)
        gone = subprocess.Popen(['true'])
        gone.wait()
        for word, said in ((s.pid, 'is the master; its children are %d' % child), (s.role('bulkhead-keys'), 'is a keyholder'), (s.role('bulkhead-log'), 'is the logger'),
                           (sleeper.pid, 'is no child'), (gone.pid, 'there is no process'), ('x', 'is no number'), ('-1', 'no option'), (0, 'is no number')):
            with self.subTest(word):
                done = self.live(s, word)
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)
        os.kill(child, signal.SIGSTOP)
        try:
            wait_for(lambda: status_of(child)['State'][0] == 'T', 'it is stopped')
            self.assertIn('its state is T (stopped)', self.live(s, child).stderr)
        finally:
            os.kill(child, signal.SIGCONT)
        self.assertIsNone(sleeper.poll())
        self.assertEqual(children_of(s.pid), before)
        if ROOT:
            os.mkdir(s.path('other'), 0o755)
            me = account()
            done = subprocess.run(['setpriv', '--reuid', str(me.pw_uid), '--regid', str(me.pw_gid), '--clear-groups', TOOL, 'live', '-d', s.path('other'), str(child)],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn('left no report in ' + s.path('other'), done.stderr)
            done = subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', TOOL, 'live', '-d', s.path('other'), str(child)],
                                  capture_output=True, text=True)
            self.assertIn('you may not send it signals', done.stderr)
        self.assertEqual(s.workers(), [child])

    def test_busy_child_is_looked_at_again_and_again(self):
        """A child that gets the signal thousands of times a second serves on and makes no mistake."""
        s = self.serve(CONF + 'MaxKeepAliveRequests 0\nTimeout 20\n<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        pid, ended, sent = self.child(s), threading.Event(), [0]

        def pester():
            while not ended.is_set():
                os.kill(pid, LIVE)
                sent[0] += 1
                time.sleep(0.0005)
        thread = threading.Thread(target=pester)
        thread.start()
        try:
            body = os.urandom(300000)
            began = time.monotonic()
            while time.monotonic() - began < 2 or (sent[0] <= 200 and time.monotonic() - began < 30):
                for ctx in (None, context(ssl.TLSVersion.TLSv1_2), context()):
                    with s.connect(ctx=ctx) as c:
                        for _ in range(4):
                            self.assertEqual(c.request('/echo', 'POST', body=body).body, body)
        finally:
            ended.set()
            thread.join()
        self.assertGreater(sent[0], 200)
        self.assertEqual(s.workers(), [pid])
        self.assertNotIn('BH0120', s.error_log)
        self.assertGreaterEqual(len(glob.glob(s.path('crash/bulkhead-live-*'))), 1)

    @needs_root
    def test_only_root_is_obeyed(self):
        s = self.serve(CONF)
        pid, me = self.child(s), account()
        done = subprocess.run(['setpriv', '--reuid', str(me.pw_uid), '--regid', str(me.pw_gid), '--clear-groups', 'kill', '-%d' % LIVE, str(pid)],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        time.sleep(1)
        self.assertEqual(glob.glob(s.path('crash/*')), [])
        self.assertEqual(s.workers(), [pid])
        os.kill(pid, LIVE)
        self.only_report(s, 'live')

    def test_signal_to_the_others_does_nothing(self):
        s = self.serve(CONF + '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        before = children_of(s.pid)
        for pid in [s.pid] + before:
            os.kill(pid, LIVE)
        time.sleep(0.5)
        self.assertEqual(children_of(s.pid), before)
        self.assertEqual(s.get(tls=True).status, 200)


if __name__ == '__main__':
    unittest.main()
