"""Clients, and tenants who write per-directory files, that mean harm: what they ask for costs them an answer, never a child."""
import os
import time

from server import ServerTest

CONF = '''\
StartServers 1
ServerLimit 1
<Directory "@DIR@/htdocs">
  AllowOverride All
  Options All MultiViews
</Directory>
'''


class Hostile(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF, {'htdocs/many/%03d-%s.%d' % (i, 'name' * 10, i): '' for i in range(300)})
        for i in range(190):
            cls.s.write('htdocs/variants/a.%d.txt' % i, 'x')
        cls.s.start()
        cls.worker = cls.s.role('bulkhead-child')

    def tearDown(self):
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-1000:])

    def test_sorting_of_many_names(self):
        for query in '', '?C=S;O=D', '?C=M;O=A', '?C=N;O=D;V=1':
            answer = self.s.get('/many/' + query)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.body.count(b'name"') + answer.body.count(b'href="'), answer.body.count(b'href="'))
            self.assertGreater(answer.body.count(b'href="'), 300)
        self.assertIn(self.s.get('/variants/a').status, (200, 406))

    def test_rules_without_end(self):
        """More work than a turn may have is refused; others are served all the while, by the same child."""
        self.s.write('htdocs/rules/a.txt', 'a')
        self.s.write('htdocs/rules/.htaccess', ''.join('RedirectMatch a.*a.*%dt$ /\n' % i for i in range(18000)))
        began = time.monotonic()
        self.assertIn(self.s.get('/rules/' + 'a' * 200 + '/x.txt').status, (500, 503))
        self.assertLess(time.monotonic() - began, 12)
        self.assertEqual(self.s.get('/index.html').status, 200)

    def test_values_that_double(self):
        self.s.write('htdocs/double/a.txt', 'a')
        self.s.write('htdocs/double/.htaccess', 'Header set X aaaa\n' + 'Header edit* X a aa\n' * 40)
        self.s.raw('GET /double/a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        with open('/proc/%d/status' % self.worker) as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith('VmHWM'))
        self.assertLess(peak, 250000)

    def test_what_cannot_be_told_denies(self):
        """A client that makes the pattern fail which guards a folder is not let in."""
        self.s.write('htdocs/guarded/a.txt', 'a')
        self.s.write('htdocs/guarded/.htaccess', 'SetEnvIf User-Agent ^(([a-z]+)+[0-9]*)+!$ bad\n<RequireAll>\nRequire all granted\nRequire not env bad\n</RequireAll>\n')
        self.assertEqual(self.s.get('/guarded/a.txt', headers='User-Agent: good\r\n').status, 200)
        self.assertEqual(self.s.get('/guarded/a.txt', headers='User-Agent: bad!\r\n').status, 403)
        self.assertEqual(self.s.get('/guarded/a.txt', headers='User-Agent: %s-!\r\n' % ('ab' * 40)).status, 500)

    def test_subjects_written_by_hand(self):
        """Who writes down the name that FakeBasicAuth makes of a certificate is refused, whichever way leads to the place."""
        self.s.write('users', '/CN=bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n')
        self.s.write('htdocs/private/a.txt', 'secret')
        self.s.write('htdocs/private/.htaccess', 'AuthType Basic\nAuthName x\nAuthUserFile "@DIR@/users"\nRequire valid-user\n')
        self.s.write('htdocs/public/.htaccess', 'RewriteEngine on\nRewriteRule ^x$ /private/a.txt\nDirectoryIndex /private/a.txt\n')
        for path in '/private/a.txt', '/public/x', '/public/':
            answer = self.s.get(path, headers='Authorization: Basic L0NOPWJvYjpwYXNzd29yZA==\r\n')
            self.assertEqual((path, answer.status), (path, 403))
