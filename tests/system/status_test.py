"""The status page: numbers that add up, also over children that were killed; what it shows and to whom."""
import os
import signal

from server import ServerTest, wait_for

CONFIG = '''
StartServers 2
<Location "/status">
    SetHandler server-status
    Require ip 127.0.0.1
</Location>
'''


class Status(ServerTest):
    def lines(self, s):
        answer = s.get('/status?auto')
        self.assertEqual(answer.status, 200)
        return dict(line.split(': ', 1) for line in answer.body.decode().splitlines() if ': ' in line)

    def test_totals_outlive_children(self):
        s = self.serve(CONFIG, {'htdocs/a.txt': 'x' * 5000})
        for _ in range(20):
            s.get('/a.txt')
        before = self.lines(s)
        self.assertGreaterEqual(int(before['Total Accesses']), 20)
        self.assertGreaterEqual(int(before['Total kBytes']), 97)
        self.assertGreaterEqual(int(before['BusyWorkers']), 1)
        self.assertRegex(before['Scoreboard'], r'^[_SWG.]+$')
        for pid in s.workers():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(s.workers()) == 2, lambda: 'two new children')
        after = self.lines(s)
        self.assertGreater(int(after['Total Accesses']), int(before['Total Accesses']))
        self.assertGreaterEqual(int(after['Total kBytes']), int(before['Total kBytes']))

    def test_the_page_shows_no_query(self):
        s = self.serve(CONFIG)
        answer = s.get('/status?refresh=7&secret=word')
        self.assertEqual((answer.status, answer.headers['refresh'], answer.headers['cache-control']), (200, '7', 'no-store'))
        self.assertIn('Server uptime', answer.body.decode())
        self.assertIn('<td>/status</td>', answer.body.decode())
        self.assertNotIn('secret', answer.body.decode())
        for pid in s.workers():
            self.assertIn('>%d<' % pid, answer.body.decode())

    def test_less_of_it_and_where_it_is_not_shown(self):
        s = self.serve(CONFIG + 'ExtendedStatus Off\n')
        self.assertNotIn('<td>/status</td>', s.get('/status').body.decode())
        s = self.serve('<Directory "@DIR@/htdocs">\nAllowOverride FileInfo\n</Directory>\n', {'htdocs/d/.htaccess': 'SetHandler server-status\n', 'htdocs/d/x': ''})
        answer = s.get('/d/x')
        self.assertEqual(answer.status, 503)
        self.assertIn('per-directory file', answer.body.decode())
