"""goaccess, a program that many read their logs with, counts in our combined log what was asked for."""
import json
import shutil
import subprocess
import unittest

from server import ServerTest


@unittest.skipUnless(shutil.which('goaccess'), 'goaccess is not installed')
class Goaccess(ServerTest):
    def test_counts(self):
        s = self.serve('''
            LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-agent}i\\"" combined
            CustomLog "@DIR@/logs/access" combined
            ''', {'htdocs/a.html': 'a', 'htdocs/b.css': 'b'})
        agent = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n'
        with s.connect() as c:
            for path in ('/a.html', '/a.html', '/b.css', '/none', '/a.html?q="x"', '/%22%0aFORGED'):
                c.request(path, headers=agent + 'Referer: http://elsewhere.test/"quoted\\\r\n')
            c.request('/a.html', 'HEAD', headers=agent)
        s.stop()
        done = subprocess.run(['goaccess', s.path('logs/access'), '--log-format=COMBINED', '--no-global-config', '--no-progress', '-o', s.path('report.json')],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout)
        report = json.loads(s.read('report.json'))
        self.assertEqual({name: report['general'][name] for name in ('total_requests', 'valid_requests', 'failed_requests')},
                         {'total_requests': 7, 'valid_requests': 7, 'failed_requests': 0})
        self.assertEqual(sum(row['hits']['count'] for row in report['not_found']['data']), 2)
        self.assertEqual({row['data']: row['hits']['count'] for row in report['hosts']['data']}, {'127.0.0.1': 7})


if __name__ == '__main__':
    unittest.main()
