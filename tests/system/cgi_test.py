"""Programs through the spawner: what they start with, how they fail, and what happens when a process between dies."""
import os
import re
import signal
import socket
import time
import unittest

from server import ServerTest, alive, wait_for

TEXT = '#!/bin/sh\necho "Content-Type: text/plain"\necho\n'
CONF = '''\
StartServers 1
ServerLimit 1
SetEnv LD_TEST_WORD named
SetEnvIf Request_URI . SAID_TWICE=early SAID_ONCE=early
SetEnv SAID_TWICE late
Header set X-Said "%{SAID_TWICE}e"
ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"
ScriptLog logs/script_log
ScriptLogBuffer 8
AddHandler cgi-script .cgi
AddType application/x-httpd-cgi .old
<Directory "@DIR@/htdocs/old">
  Options +ExecCGI
  RewriteEngine On
  RewriteRule rule$ - [T=application/x-httpd-cgi]
</Directory>
<Location /cgi-bin/late>
  CGIScriptTimeout 1
</Location>
<Location /cgi-bin/busy>
  RLimitCPU 1 2
</Location>
<Location /cgi-bin/words/alone>
  AcceptPathInfo Off
</Location>
'''
SCRIPTS = {
    'env': TEXT + 'env\n',
    'to-fragment': '#!/bin/sh\nprintf "Location: /cgi-bin/words?a+b#there\\n\\n"\n',
    'start': TEXT + 'grep -E "^SigIgn|^NoNewPrivs|^Seccomp:" /proc/$$/status\numask\nls -m /proc/$$/fd\nps -o sid= -p $$\necho $$\n',
    'echo': TEXT + 'cat\n',
    'deaf': TEXT + 'exec 0<&-\necho heard\n',
    'sleeps': '#!/bin/sh\necho $$ >@DIR@/pids/$1\nexec sleep 60\n',
    'late': '#!/bin/sh\necho $$ >@DIR@/pids/late\nsetsid sleep 60 &\necho $! >@DIR@/pids/gone\nwait\n',
    'busy': '#!/bin/sh\nwhile :; do :; done\n',
    'much': TEXT + 'echo $$ >@DIR@/pids/much\nexec head -c 100000000 /dev/zero\n',
    'tagged': '#!/bin/sh\nprintf "Content-Type: text/plain\\nETag: \\"e\\"\\n\\nbody"\n',
    'words': TEXT + 'printf "%s|" "$@"\n',
    'windows': '#!/bin/sh\r\necho\r\n',
    'lost': '#!/no/such/thing\n',
    'plain': 'echo no first line\n',
    'dies': '#!/bin/sh\nkill -9 $$\n',
    'closed': TEXT,
    'short': '#!/bin/sh\necho "the reason" >&2\nexit 3\n',
    'broken': '#!/bin/sh\necho "Content-Type: text/plain"\necho "no colon here"\necho\n',
    'nph-own': '#!/bin/sh\nprintf "HTTP/1.1 201 Mine\\r\\n\\r\\n"\n',
}


def rss(pid):
    with open('/proc/%d/status' % pid) as f:
        return int(next(line for line in f if line.startswith('VmRSS')).split()[1])


class Programs(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF, {'cgi-bin/' + name: text for name, text in SCRIPTS.items()})
        os.makedirs(cls.s.path('pids'))
        os.chmod(cls.s.path('pids'), 0o777)
        for name in SCRIPTS:
            os.chmod(cls.s.path('cgi-bin/' + name), 0o644 if name == 'closed' else 0o755)
        cls.s.start()

    def pid(self, name):
        return int(wait_for(lambda: os.path.exists(self.s.path('pids/' + name)) and self.s.read('pids/' + name).strip(), 'the program says its number'))

    def spawner(self):
        return wait_for(lambda: self.s.roles('spawn'), 'there is a spawner')[0]

    def hanging(self, name):
        """A connection whose program sleeps, and its pid."""
        path = self.s.path('pids/' + name)
        if os.path.exists(path):
            os.remove(path)
        c = self.s.connect()
        self.addClassCleanup(c.__exit__)
        c.send('GET /cgi-bin/sleeps?%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' % name)
        return c, self.pid(name)

    def test_starts_with_nothing_of_the_servers(self):
        lines = self.s.get('/cgi-bin/start').body.decode().replace(':\t', '\n').replace(' ', '').split()
        told = dict(zip(lines[0:6:2], lines[1:6:2]))
        libc_own = 3 << 31                      # signals 32 and 33: who started the tests may ignore them, and no program can change that
        self.assertEqual([int(told['SigIgn'], 16) & ~libc_own, told['NoNewPrivs'], told['Seccomp']], [0, '0', '0'])
        self.assertEqual(lines[6:8], ['0022', '0,1,10,2'])      # 10 is the shell's own: the script
        self.assertEqual(lines[8], lines[9])

    def test_variables_that_lead_astray(self):
        text = self.s.get('/cgi-bin/env').body.decode()
        self.assertIn('\nLD_TEST_WORD=named\n', text)
        self.assertIn('\nSAID_TWICE=late\n', text)
        self.assertIn('\nSAID_ONCE=early\n', text)
        self.assertEqual([self.s.get(p).headers['x-said'] for p in ('/cgi-bin/env', '/')], ['late', 'early'])
        self.assertRegex(text, r'(?m)^PATH=/')
        self.assertNotIn('BULKHEAD=', text)

    def test_the_type_of_programs(self):
        for name in 'a.old', 'rule', 'a.cgi', 'a.fcgi':
            self.s.write('htdocs/old/' + name, TEXT + 'echo ran\n', 0o755)
        self.s.write('htdocs/b.old', TEXT + 'echo ran\n', 0o755)
        self.assertEqual([self.s.get('/old/' + n).body for n in ('a.old', 'rule', 'a.cgi')], [b'ran\n'] * 3)
        self.assertEqual([self.s.get(p).status for p in ('/b.old', '/old/a.fcgi')], [403, 403])

    def test_host_of_an_absolute_target(self):
        for target, host in (('http://named.test/', 'named.test'), ('http://named.test:81/', 'named.test:81'), ('http://[::1]:81/', '[::1]:81')):
            self.assertIn('\nHTTP_HOST=%s\n' % host, self.s.get(target + 'cgi-bin/env', host='other.test').body.decode())

    def test_words_of_a_query(self):
        self.assertEqual(self.s.get('/cgi-bin/to-fragment').body, b'a|b|')
        self.assertEqual(self.s.get('/cgi-bin/words?a+b%20c+$d').body, b'a|b c|\\$d|')
        self.assertEqual(self.s.get('/cgi-bin/words?a=b').body, b'|')

    def test_bodies(self):
        with self.s.connect() as c:
            big = b'x' * 3000000
            self.assertEqual(c.request('/cgi-bin/echo', 'POST', body=big).body, big)
            self.assertEqual(c.request('/cgi-bin/echo', 'POST', body=b'again').body, b'again')
        self.assertEqual(self.s.get('/cgi-bin/deaf', method='POST', body=big).body, b'heard\n')

    def test_answer_does_not_wait_for_a_body_that_nobody_reads(self):
        for body in 'Content-Length: 1000\r\n\r\nsome', 'Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n':
            with self.s.connect(timeout=30) as c:
                c.send('POST /cgi-bin/env HTTP/1.1\r\nHost: localhost\r\n' + body)
                began = time.monotonic()
                self.assertTrue(c.sock.recv(100).startswith(b'HTTP/1.1 200'))
                self.assertLess(time.monotonic() - began, 15)           # RequestReadTimeout says 20 s

    def test_validators(self):
        self.assertEqual(self.s.get('/cgi-bin/tagged').body, b'body')
        self.assertEqual(self.s.get('/cgi-bin/tagged', headers='If-None-Match: "e"\r\n').status, 304)

    def test_why_they_fail(self):
        for name, status, why in (('windows', 500, 'carriage return'), ('lost', 500, '/no/such/thing'), ('plain', 500, 'neither a program of this machine'),
                                  ('closed', 500, 'chmod'), ('short', 500, 'exit status 3'), ('broken', 500, 'no colon'),
                                  ('none', 404, 'script not found'), ('dies', 500, 'ended by signal 9 .*look at RLimitCPU')):
            with self.subTest(name):
                self.assertEqual(self.s.get('/cgi-bin/' + name).status, status)
                self.s.logged(r'%s.*%s|%s.*%s' % (name, why, why, name))
        self.s.logged('the reason: said by .*short')
        self.assertEqual((self.s.get('/cgi-bin/words/alone').status, self.s.get('/cgi-bin/words/both').status), (404, 200))
        self.s.logged('BH0670: .*/words: AcceptPathInfo is off')

    def entry(self, name):
        """What ScriptLog has of the last request for a program, without its time."""
        text = wait_for(lambda: re.findall(r'%% \[\w{3} \w{3} \d\d [\d:]{8} \d{4}\] (\w+ /cgi-bin/' + name + r'\b(?:.*\n(?!%% \[))*.*\n)', self.s.read('logs/script_log')),
                        lambda: 'an entry for %s in\n%s' % (name, self.s.read('logs/script_log')))
        return text[-1]

    def test_script_log(self):
        self.s.get('/cgi-bin/closed?a=b')
        self.assertRegex(self.entry('closed'), r'^GET /cgi-bin/closed\?a=b HTTP/1.1\n%% 500 \S+/cgi-bin/closed\n%%error\nit cannot be executed: .*chmod.*\n$')
        self.s.get('/cgi-bin/none')
        self.assertRegex(self.entry('none'), r'\n%% 404 .*\n%%error\nscript not found')
        self.s.get('/cgi-bin/broken', method='POST', headers='X-A: b\r\nAuthorization: Basic secret\r\n', body=b'0123456789')
        self.assertRegex(self.entry('broken'), r'^POST .*\n%% 500 .*\n%request\nHost: localhost\n(?:.*\n)*X-A: b\nAuthorization: \(left out\)\n(?:.*\n)*'
                         r'\n01234567\n%response\nContent-Type: text/plain\n%stdout\nno colon here\n\n$')
        self.s.get('/cgi-bin/short')
        self.assertRegex(self.entry('short'), r'%request\n(?:.*\n)*%response\n%stderr\nthe reason\n$')
        self.assertNotIn('words', self.s.read('logs/script_log'))

    def test_source_is_not_sent_where_programs_may_not_run(self):
        self.s.write('htdocs/a.cgi', '#!/bin/sh\necho the-secret\n', 0o755)
        answer = self.s.get('/a.cgi')
        self.assertEqual(answer.status, 403)
        self.assertNotIn(b'the-secret', answer.body)
        self.s.logged('ExecCGI is off .*a.cgi is not run')

    def test_limit_of_the_processor(self):
        self.assertEqual(self.s.get('/cgi-bin/busy').status, 500)
        self.s.logged('busy.*signal.*RLimitCPU')

    def test_time_limit_ends_what_left_its_group(self):
        self.assertEqual(self.s.get('/cgi-bin/late').status, 504)
        for name in ('late', 'gone'):
            pid = self.pid(name)
            wait_for(lambda: not alive(pid), name + ' is ended', 10)
        self.s.logged('timeout waiting for output.*late')

    def test_slow_client_holds_the_program(self):
        child = self.s.workers()[0]
        before = rss(child)
        with self.s.connect() as c:
            c.send('GET /cgi-bin/much HTTP/1.1\r\nHost: localhost\r\n\r\n')
            pid = self.pid('much')
            time.sleep(1)
            self.assertTrue(alive(pid))
            self.assertLess(rss(child) - before, 4096)
        wait_for(lambda: not alive(pid), 'the program goes with its client', 10)

    def test_spawner_killed(self):
        c, pid = self.hanging('one')
        old = self.spawner()
        os.kill(old, signal.SIGKILL)
        self.assertEqual(c.response().status, 500)
        wait_for(lambda: not alive(pid), 'the program dies with it')
        self.s.logged('spawner pid %d .*replaced' % old)
        self.s.logged('sleeps.*the spawner')
        self.assertEqual(self.s.get('/cgi-bin/words').status, 200)
        self.assertNotEqual(self.spawner(), old)

    def test_spawner_stopped_and_killed(self):
        """What was ordered and not taken is run by its successor."""
        old = self.spawner()
        os.kill(old, signal.SIGSTOP)
        with self.s.connect() as c:
            c.send('GET /cgi-bin/words?x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            time.sleep(0.2)
            os.kill(old, signal.SIGKILL)
            self.assertEqual(c.response().body, b'x|')

    def test_child_killed(self):
        _, pid = self.hanging('two')
        child = self.s.workers()[0]
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not alive(pid), 'its program is ended', 10)
        wait_for(lambda: self.s.workers() and self.s.workers()[0] != child, 'another child')
        self.assertEqual(self.s.get('/cgi-bin/words?y').body, b'y|')

    def test_nph(self):
        answer = self.s.raw('GET /cgi-bin/nph-own HTTP/1.1\r\nHost: localhost\r\n\r\n')
        self.assertEqual(answer, b'HTTP/1.1 201 Mine\r\n\r\n')


class OneProcess(ServerTest):
    def test_programs_under_x(self):
        s = self.configure('ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"\n', {'cgi-bin/echo': TEXT + 'cat\n'})
        os.chmod(s.path('cgi-bin/echo'), 0o755)
        s.start_foreground('-X')
        with s.connect() as c:
            self.assertEqual(c.request('/cgi-bin/echo', 'POST', body=b'one process').body, b'one process')

    def test_length_of_the_script_log(self):
        s = self.configure('StartServers 1\nScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"\nScriptLog logs/script_log\nScriptLogLength 1\n', {'cgi-bin/x': 'x'})
        s.start()
        s.get('/cgi-bin/x')
        first = wait_for(lambda: s.read('logs/script_log'), 'an entry')
        for _ in range(3):
            s.get('/cgi-bin/none')
        s.stop()                                # the logger has written all
        self.assertEqual(s.read('logs/script_log'), first)

    def test_none_where_nothing_runs(self):
        s = self.serve('StartServers 1\n', {'htdocs/a.txt': 'a'})
        self.assertEqual(s.get('/a.txt').status, 200)
        self.assertFalse(s.roles('spawn'))

    def test_stop_ends_programs(self):
        s = self.configure('Options +ExecCGI\nAddHandler cgi-script .cgi\n', {'htdocs/a.cgi': '#!/bin/sh\necho $$ >@DIR@/pids/a\nsetsid sleep 60 &\necho $! >@DIR@/pids/b\nwait\n'})
        os.chmod(s.path('htdocs/a.cgi'), 0o755)
        os.makedirs(s.path('pids'))
        os.chmod(s.path('pids'), 0o777)
        s.start()
        with socket.create_connection(('127.0.0.1', s.port)) as c:
            c.sendall(b'GET /a.cgi HTTP/1.1\r\nHost: localhost\r\n\r\n')
            pids = [int(wait_for(lambda name=name: os.path.exists(s.path('pids/' + name)) and s.read('pids/' + name).strip(), 'it runs')) for name in 'ab']
            s.stop()
        for pid in pids:
            wait_for(lambda: not alive(pid), 'the program is ended', 10)


if __name__ == '__main__':
    unittest.main()
