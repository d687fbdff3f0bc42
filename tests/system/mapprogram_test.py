"""RewriteMap prg: questions and answers, many at once; programs that die, hang, say too much; the spawner killed under them."""
import os
import signal
import threading
import time
import unittest

from server import ServerTest, alive, wait_for

MAP = '''#!/bin/sh
echo $$ >>@DIR@/pids/$1
echo "begins $1 $2" >&2
while read -r key; do
	case $key in
	null) echo Null;;
	empty) echo;;
	die) exit 3;;
	once) if [ -e @DIR@/pids/died ]; then echo again; else touch @DIR@/pids/died; kill -9 $$; fi;;
	hang) exec sleep 60;;
	long) head -c 20000 /dev/zero | tr '\\0' x; echo;;
	*) echo "$1-$key";;
	esac
done
'''
CONF = '''\
StartServers 2
RewriteEngine on
RewriteMap m "prg:@DIR@/bin/map m 'two words'"
RewriteMap gone prg:@DIR@/bin/gone
RewriteMap off prg:@DIR@/bin/off
RewriteRule ^/cookie/(.*)$ - [CO=n:v:.example.org,E=N:1]
RewriteRule ^/(?:ask|cookie)/(.*)$ /got/${m:$1|none} [R,L]
RewriteRule ^/gone/(.*)$ /got/${gone:$1|none} [R,L]
RewriteRule ^/off/(.*)$ /got/${off:$1|none} [R,L]
RewriteRule ^/both/(.*)$ /got/${m:a$1}-${m:${m:$1}} [R,L]
<Directory @DIR@/htdocs/sub>
  Options FollowSymLinks
  RewriteEngine on
  RewriteRule ^(.*)$ /got/${m:dir-$1} [R,L]
</Directory>
'''


class Maps(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF, {'bin/map': MAP, 'bin/gone': '#!/bin/sh\nexit 0\n', 'bin/off': '#!/no/such/interpreter\n', 'htdocs/sub/x': 'x'})
        for name in ('map', 'gone', 'off'):
            os.chmod(cls.s.path('bin/' + name), 0o755)
        os.makedirs(cls.s.path('pids'))
        os.chmod(cls.s.path('pids'), 0o777)
        cls.s.start()

    def value(self, path):
        answer = self.s.get(path)
        self.assertEqual(answer.status, 302, answer)
        return answer.headers['location'].split('/got/')[1]

    def pid(self):
        """Of the program that runs now."""
        return wait_for(lambda: [p for p in map(int, self.s.read('pids/m').split()) if alive(p)], 'the program runs')[-1]

    def test_values(self):
        for key, value in (('a', 'm-a'), ('a%20b', 'm-a%20b'), ('null', 'none'), ('empty', ''), ('', 'm-'), ('x%0Ay', 'none')):
            with self.subTest(key):
                self.assertEqual(self.value('/ask/' + key), value)
        self.assertEqual(self.value('/both/k'), 'm-ak-m-m-k')
        self.assertEqual(self.s.get('/sub/x').headers['location'].split('/got/')[1], 'm-dir-x')
        self.s.logged('begins m two words: said by .*bin/map')

    def test_what_rules_set_is_set_once(self):
        with self.s.connect() as c:
            c.send('GET /cookie/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            self.assertEqual(c.rest().count(b'Set-Cookie'), 1)

    def test_many_at_once(self):
        wrong = []

        def ask(n):
            with self.s.connect() as c:
                for i in range(30):
                    at = c.request('/ask/%d-%d' % (n, i)).headers.get('location', '')
                    if not at.endswith('/got/m-%d-%d' % (n, i)):
                        wrong.append(at)
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    def test_a_line_it_died_over_is_asked_again(self):
        before = self.pid()
        self.assertEqual(self.value('/ask/once'), 'again')
        self.assertNotEqual(self.pid(), before)
        self.s.logged('the RewriteMap m .*signal 9.*started again')

    def test_two_deaths_are_no_value(self):
        self.assertEqual(self.value('/ask/die'), 'none')
        self.s.logged('exit status 3')
        wait_for(lambda: self.s.get('/ask/c').status == 302, 'another answers')
        self.assertEqual(self.value('/ask/c'), 'm-c')

    def test_programs_that_cannot_serve(self):
        self.assertEqual(self.value('/gone/x'), 'none')
        self.s.logged('RewriteMap gone .*exit status 0')
        self.assertEqual(self.value('/off/x'), 'none')
        self.s.logged('RewriteMap off .*cannot be started')

    def test_killed_and_idle(self):
        before = self.pid()
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: not alive(before), 'it is dead')
        wait_for(lambda: self.s.get('/ask/d').headers.get('location', '').endswith('/got/m-d'), 'another answers')

    def test_a_line_that_is_too_long(self):
        self.assertEqual(self.s.get('/ask/long').status, 503)
        self.assertEqual(self.value('/ask/e'), 'm-e')

    def test_one_that_hangs_stops_nobody(self):
        before = self.pid()
        with self.s.connect() as c:
            c.send('GET /ask/hang HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            for _ in range(20):
                self.assertEqual(self.s.get('/index.html').status, 200)
            self.assertEqual(c.response().status, 503)
        self.s.logged('did not answer in time')
        wait_for(lambda: not alive(before), 'it is ended')
        wait_for(lambda: self.s.get('/ask/f').headers.get('location', '').endswith('/got/m-f'), 'another answers')

    def test_spawner_killed_under_a_question(self):
        old, program = self.s.role('spawn'), self.pid()
        os.kill(program, signal.SIGSTOP)
        with self.s.connect() as c:
            c.send('GET /ask/g HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            time.sleep(0.2)
            os.kill(old, signal.SIGKILL)
            self.assertTrue(c.response().headers['location'].endswith('/got/m-g'))
        wait_for(lambda: not alive(program), 'its program goes with it')


class Generations(ServerTest):
    def test_a_restart_has_its_own(self):
        s = self.configure('RewriteEngine on\nRewriteMap m "prg:@DIR@/bin/map m"\nRewriteRule ^/ask/(.*)$ /got/${m:$1} [R,L]\n',
                       {'bin/map': MAP, 'pids/m': ''})
        os.chmod(s.path('bin/map'), 0o755)
        for name in ('pids', 'pids/m'):
            os.chmod(s.path(name), 0o777)
        s.start()
        self.assertTrue(s.get('/ask/a').headers['location'].endswith('/got/m-a'))
        first = int(wait_for(lambda: s.read('pids/m'), 'it runs').split()[0])
        os.kill(s.pid, signal.SIGUSR1)
        wait_for(lambda: len(s.read('pids/m').split()) == 2, 'the new generation has one')
        wait_for(lambda: not alive(first), 'the old one has ended')
        self.assertTrue(s.get('/ask/b').headers['location'].endswith('/got/m-b'))
        second = int(s.read('pids/m').split()[1])
        s.stop()
        self.assertFalse(alive(second))

    def test_one_process(self):
        s = self.configure('RewriteEngine on\nRewriteMap m "prg:@DIR@/bin/map m"\nRewriteRule ^/ask/(.*)$ /got/${m:$1|none} [R,L]\n',
                       {'bin/map': MAP, 'pids/m': ''})
        os.chmod(s.path('bin/map'), 0o755)
        for name in ('pids', 'pids/m'):
            os.chmod(s.path(name), 0o777)
        s.start_foreground('-X')
        for key, value in (('a', 'm-a'), ('null', 'none'), ('once', 'again'), ('die', 'none'), ('b', 'm-b')):
            self.assertEqual(s.get('/ask/' + key).headers['location'].split('/got/')[1], value)
        program = int(s.read('pids/m').split()[-1])
        s.stop()
        wait_for(lambda: not alive(program), 'it goes with the server')


if __name__ == '__main__':
    unittest.main()
