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
        cls.s = cls.configure(cls, CONF, {'htdocs/many/%03d-%s.%d' % (i, 'name' * 10, i): '' for i in range(300)})
        for i in range(190):
            cls.s.write('htdocs/variants/a.%d.txt' % i, 'x')
        cls.s.start()
        cls.worker = cls.s.role('bulkhead-child')

    @classmethod
    def tearDownClass(cls):
        cls.doClassCleanups()

    @classmethod
    def addCleanup(cls, *args):
        cls.addClassCleanup(*args)

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
        for rules in (''.join('RedirectMatch a.*a.*%dt$ /\n' % i for i in range(18000)), ''.join('<If true>\nSetEnv A%d 1\n</If>\n' % i for i in range(20000))):
            self.s.write('htdocs/rules/.htaccess', rules)
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
