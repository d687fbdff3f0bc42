"""ErrorLogFormat, LogLevel by place, GlobalLog, and ids that tie messages to access lines."""
import re
import unittest

from server import ServerTest, wait_for

CONF = '''
LogLevel warn
ErrorLogFormat "%{cu}t|%l|%-m|%a|%-L|%{c}L|%-{Referer}i|%-{SEEN}e|%v|% %7F% |%M"
ErrorLogFormat connection "connection %{c}L from %a"
ErrorLogFormat request "request %L %{X-One}i"
CustomLog "@DIR@/logs/access" "%>s %L %{c}L %^FB %U"
SetEnvIf Request_URI . SEEN=yes
<Location "/closed">
    Require all denied
</Location>
<Location "/loud">
    LogLevel debug
</Location>
<Location "/loud/quiet">
    LogLevel crit authz_core:error
</Location>
<If "%{QUERY_STRING} == 'if'">
    LogLevel info
</If>
GlobalLog "@DIR@/logs/global" "%v %U"
<VirtualHost *:@PORT@>
    ServerName first.test
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName own.test
    CustomLog "@DIR@/logs/own" "%U"
    ErrorLogFormat "own %M"
</VirtualHost>
'''


class ErrorLog(ServerTest):
    def test_formats_ids_levels_and_global_logs(self):
        s = self.serve(CONF)
        with s.connect() as c:
            self.assertEqual(c.request('/', host='first.test').status, 200)
            self.assertEqual(c.request('/closed', host='first.test', headers='X-One: "1"\r\nReferer: a"b\r\n').status, 403)
            self.assertEqual(c.request('/closed', host='first.test', headers='X-One: 2\r\n').status, 403)
        self.assertEqual(s.get('/closed', host='own.test').status, 403)
        for path in ('/none', '/loud/none', '/loud/quiet/none', '/none?if'):
            self.assertEqual(s.get(path, host='first.test').status, 404)
        s.stop()
        lines = [line.split() for line in s.read('logs/access').splitlines()]          # in order within a child alone
        denied, again = [line for line in lines if line[0] == '403']
        first, = [line for line in lines if line[0] == '200']
        self.assertEqual(first[:3], ['200', '-', '-'])                 # nothing had been said about either
        self.assertRegex(first[3], r'^\d+$')
        self.assertTrue(denied[1] != again[1] and denied[2] == again[2] and len(denied[2]) == 16)
        log = s.error_log
        address = r'127\.0\.0\.1:\d+'
        self.assertRegex(log, r'(?m)^connection %s from %s\nrequest %s \\"1\\"\n' % (re.escape(denied[2]), address, re.escape(denied[1]))
                         + r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\|error\|authz_core\|%s\|%s\|%s\|a\\"b\|yes\|first\.test\|\|.*client denied' % (
                             address, re.escape(denied[1]), re.escape(denied[2])))
        self.assertEqual(log.count('connection %s ' % denied[2]), 1)
        self.assertIn('\nrequest %s 2\n' % again[1], log)
        self.assertRegex(log, r'(?m)^own client denied')
        # What is not there is told at info: within /loud and <If>, and not elsewhere; the place of the call from debug on.
        told = re.findall(r'(?m)\|info\|\w+\|.*BH0460: (\S+) does not exist', log)
        self.assertEqual(sorted(path[len(s.path('htdocs')):] for path in told), ['/loud', '/none'], log)        # two children may have told it
        self.assertRegex(log, r'(?m)\|debug\|core\|.*\|\w+\.c\(\d+\)\|GET /loud/none')
        self.assertNotIn('GET /loud/quiet/none', log)
        self.assertEqual(s.read('logs/own'), '/closed\n')
        self.assertEqual(s.read('logs/global').splitlines().count('own.test /closed'), 1)
        self.assertEqual(len(s.read('logs/global').splitlines()), 8)

    def test_faults_are_refused(self):
        for line, said in (('ErrorLogFormat "%Z"', r'"%Z" is no item'), ('ErrorLogFormat per-line "%l"', 'neither "connection" nor "request"'),
                           ('ErrorLogFormat "[%t] %l"', 'no %M'), ('ErrorLogFormat request "%M"', 'take %M out'),
                           ('LogLevel nosuch:debug', 'there is no module "nosuch"'), ('LogLevel warn mod_nosuch.c:debug', 'there is no module'),
                           ('<VirtualHost *:1>\nGlobalLog logs/x "%U"\n</VirtualHost>', 'GlobalLog'),
                           ('<Directory "/">\nLogLevel chatty\n</Directory>', 'is no log level')):
            with self.subTest(line):
                s = self.configure(line + '\n')
                done = s.run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stdout)
        done = self.configure('LogLevel warn dav:debug ldap_module:info mod_http2.c:info rewrite:trace3\n').run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_log_programs(self):
        """Their words may be quoted; one that is not there refuses the start, and is a warning where only the text is judged."""
        s = self.configure('CustomLog "|@DIR@/logger \'@DIR@/logs/two words\'" "%U %{Connection}o %{HTTPS}x"\n')
        s.write('logger', '#!/bin/sh\nexec cat >>"$1"\n', 0o755)
        s.start()
        self.assertEqual(s.get('/').status, 200)
        wait_for(lambda: s.read('logs/two words') == '/index.html close off\n', lambda: 'the line: ' + s.read('logs/two words'))
        for line in ('CustomLog "|/no/such/program logs/x" "%U"', 'ErrorLog "|/no/such/program"'):
            with self.subTest(line):
                s = self.configure(line + '\n')
                done = s.run('-t')
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, r'case.conf:1: warning: the log program /no/such/program cannot be run.*: the start would be refused')
                done = s.run('-k', 'start')
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout, r'case.conf:1: .*the log program /no/such/program cannot be run')


if __name__ == '__main__':
    unittest.main()
