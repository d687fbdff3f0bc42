"""-X: one process in the foreground, for debuggers, valgrind and sanitizers (F38)."""
import os
import re
import shutil
import signal
import ssl
import time
import unittest

from server import ROOT, SANITIZED, SSL_ON, ServerTest, account, children_of, context, listening, needs_root, status_of

CONF = ('Redirect 301 /old http://localhost/new\nErrorDocument 404 /missing.html\nAlias /other "@DIR@/other"\nCustomLog "@DIR@/logs/access" "%>s %U %{SSL_PROTOCOL}x"\n'
        '<Directory "@DIR@/other">\nRequire all granted\n</Directory>\n<Directory "@DIR@/htdocs/closed">\nRequire all denied\n</Directory>\n'
        '<Location "/echo">\nSetHandler test-echo\n</Location>\n<Location "/stream">\nSetHandler test-stream\n</Location>\nHeader always set X-One 1\n'
        '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
FILES = {'htdocs/missing.html': 'we have lost it\n', 'htdocs/big': b'0123456789' * 50000, 'other/a.txt': 'other\n', 'htdocs/sub/index.html': 'sub\n', 'htdocs/closed/x': 'x\n'}


class Single(ServerTest):
    def one_of_each(self, s):
        """One request of each kind, plain and over TLS."""
        for ctx in (None, context(ssl.TLSVersion.TLSv1_2), context()):
            with s.connect(ctx=ctx) as c:
                self.assertEqual(c.request().body, b'index\n')
                self.assertEqual(c.request('/sub/').body, b'sub\n')
                self.assertEqual(c.request('/sub').status, 301)
                tag = c.request('/big', 'HEAD').headers['etag']
                self.assertEqual(c.request('/big', headers='If-None-Match: %s\r\n' % tag).status, 304)
                self.assertEqual(len(c.request('/big').body), 500000)
                self.assertEqual(c.request('/other/a.txt').body, b'other\n')
                lost = c.request('/nowhere')
                self.assertEqual((lost.status, lost.body), (404, b'we have lost it\n'))
                self.assertEqual(c.request('/closed/x').status, 403)
                moved = c.request('/old/page')
                self.assertEqual((moved.status, moved.headers['location']), (301, 'http://localhost/new/page'))
                self.assertEqual(c.request('/echo', 'POST', body=b'sent ' * 40000).body, b'sent ' * 40000)
                self.assertEqual(len(c.request('/stream?n=300000').body), 300000)
                self.assertIn(c.request('/', 'BREW').status, (405, 501))
                session = getattr(c.sock, 'session', None)
            if session:
                with s.connect(ctx=ctx, session=session) as c:
                    self.assertEqual(c.request().status, 200)
                    self.assertTrue(c.sock.session_reused)
        self.assertIn(b' 400 ', s.raw('rubbish\r\n\r\n'))
        self.assertIn(b' 400 ', s.raw('GET / HTTP/1.1\r\n\r\n'))
        self.assertIn(b' 400 ', s.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n', port=s.tls_port))
        with s.connect() as c:
            c.send('GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo')      # leaves in the middle
        with s.connect(port=s.tls_port) as c:
            c.send(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')
        with s.connect(port=s.tls_port) as c:
            c.send(b'\x16\x03\x01\x00\x05hello')
            c.rest()

    def end(self, s, number):
        os.kill(s.pid, number)
        code = s.process.wait(60)
        self.assertFalse(listening(s.port))
        self.assertIsNone(s.read_pid(), 'the pid file is gone, or empty where it lies in a folder of root')
        return code

    def test_F38_serves_and_ends_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH):
            with self.subTest(number):
                s = self.configure(CONF, FILES)
                s.start_foreground('-X')
                self.assertEqual(s.read_pid(), s.pid)
                self.assertEqual(children_of(s.pid), [])
                self.one_of_each(s)
                self.assertEqual(self.end(s, number), 0, s.read('logs/stderr'))
                self.assertIn('200 /index.html TLSv1.3', s.read('logs/access'))

    @needs_root
    def test_drops_root(self):
        s = self.configure(CONF, FILES)
        s.start_foreground('-X')
        self.assertEqual(s.get().status, 200)
        status = status_of(s.pid)
        self.assertEqual(status['Uid'].split(), [str(account().pw_uid)] * 4)
        self.assertEqual(status['Gid'].split(), [str(account().pw_gid)] * 4)
        self.assertNotIn('0', status['Groups'].split())
        for name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb'):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(self.end(s, signal.SIGTERM), 0)

    def test_second_start_and_broken_configuration(self):
        s = self.configure(CONF, FILES)
        s.start_foreground('-X')
        again = s.run('-X')
        self.assertNotEqual(again.returncode, 0)
        self.assertIn('already running', again.stdout)
        self.assertEqual(s.get().status, 200)
        self.assertEqual(self.end(s, signal.SIGINT), 0)
        s.write('case.conf', 'NoSuch 1\n')
        broken = s.run('-X')
        self.assertNotEqual(broken.returncode, 0)
        self.assertIn('case.conf:1', broken.stdout)

    def test_ends_while_clients_are_connected(self):
        s = self.configure(CONF, FILES)
        s.start_foreground('-X')
        with s.connect() as idle, s.connect(tls=True) as secure, s.connect() as busy:
            self.assertEqual([idle.request().status, secure.request().status], [200, 200])
            busy.send('GET /stream?n=60000000 HTTP/1.1\r\nHost: x\r\n\r\n')
            busy.head()
            began = time.monotonic()
            self.assertEqual(self.end(s, signal.SIGINT), 0)
            self.assertLess(time.monotonic() - began, 8)

    @unittest.skipIf(SANITIZED, 'sanitizers keep their own handler of faults')
    def test_crash_leaves_its_report_and_names_it(self):
        s = self.configure(CONF + '<Location "/crash">\nSetHandler test-crash\n</Location>\n', FILES)
        for number in (signal.SIGSEGV, signal.SIGABRT):
            with self.subTest(number):
                s.start_foreground('-X')
                with s.connect() as idle, s.connect(tls=True) as c:
                    self.assertEqual(idle.request().status, 200)
                    began = time.monotonic()
                    with self.assertRaises((EOFError, ConnectionResetError, ssl.SSLError)):
                        c.request('/crash/here?s=%d&secret' % number)
                    self.assertLess(time.monotonic() - began, 1)
                    self.assertEqual(idle.rest(), b'')
                    self.assertEqual(s.process.wait(20), -number)
                said = re.search(r'(?m)^bulkhead: it crashed: %s \(\S+\) .*in crash_start.*serving GET /crash/here for 127.*; report (\S+);' % number.name, s.read('logs/stderr'))
                self.assertTrue(said, s.read('logs/stderr'))
                with open(said[1]) as f:
                    text = f.read()
                self.assertTrue(text.endswith('end: complete\n'))
                self.assertRegex(text, r'(?m)^frame: .* crash_start\+0x')
                self.assertRegex(text, r'(?m)^process: pid=%d .*role=single' % s.pid)
                self.assertRegex(text, r'(?m)^ended: not yet, it will be by ' + number.name)
                self.assertNotIn('secret', text)
                if ROOT:
                    self.assertEqual(os.stat(said[1]).st_uid, account().pw_uid)

    @unittest.skipIf(SANITIZED, 'sanitizers keep their own handler of faults')
    def test_F38_debugger_gets_the_signal_first(self):
        s = self.configure(CONF + '<Location "/crash">\nSetHandler test-crash\n</Location>\n', FILES)
        s.start_foreground('-X', prefix=['gdb', '-nx', '-q', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off', '-ex', 'run', '-ex', 'bt 3', '--args'])
        with self.assertRaises((EOFError, ConnectionResetError)):
            s.get('/crash?s=11')
        s.process.wait(30)
        self.assertRegex(s.read('logs/stderr'), r'(?s)Program received signal SIGSEGV.*#0 .*crash_start')
        self.assertEqual(os.listdir(s.path('crash')), [])

    @unittest.skipIf(SANITIZED, 'valgrind and sanitizers exclude each other')
    @unittest.skipUnless(shutil.which('valgrind'), 'valgrind is not installed')
    def test_F38_clean_under_valgrind(self):
        s = self.configure(CONF, FILES)
        report = s.path('logs/valgrind')
        s.write('logs/valgrind', '', 0o666)
        s.start_foreground('-X', prefix=['valgrind', '--vgdb=no', '--error-exitcode=99', '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite',
                                         '--num-callers=30', '--log-file=' + report, '--suppressions=' + os.path.join(os.path.dirname(os.path.abspath(__file__)), 'valgrind.supp')])
        self.one_of_each(s)
        code = self.end(s, signal.SIGINT)
        self.assertEqual(code, 0, s.read('logs/valgrind')[-6000:])
        self.assertIn('ERROR SUMMARY: 0 errors', s.read('logs/valgrind'))

    @unittest.skipIf(SANITIZED, 'the sanitizers cannot run under strace')
    def test_allow_override_none_costs_no_call(self):
        """A request for a file deep below looks at that file alone: no folder on the way, no per-directory file."""
        s = self.configure('<Directory "@DIR@/htdocs">\nAllowOverride None\n</Directory>\n', {'htdocs/a/b/c/d.txt': 'deep\n'})
        s.start_foreground('-X', prefix=('strace', '-f', '-qq', '-e', 'trace=%file,openat2', '-o', s.path('calls')))
        s.pid = s.read_pid()            # strace ends with it
        for _ in range(3):
            self.assertEqual(s.get('/a/b/c/d.txt').body, b'deep\n')
        calls = [line for line in s.read('calls').splitlines() if 'htdocs' in line or '.ht' in line]
        asked = [line for line in calls if 'a/b/c/d.txt' in line]
        self.assertEqual(len(asked), 3, calls)
        for line in calls[calls.index(asked[0]):]:
            self.assertRegex(line, r'openat2?\(.*a/b/c/d\.txt')


if __name__ == '__main__':
    unittest.main()
