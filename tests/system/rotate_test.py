"""Log files that change their name with the time or when they are full: no line is lost, or written twice, on the way."""
import collections
import glob
import os
import random
import re
import signal
import time
import unittest

from load import KEEP, Load
from server import ServerTest, needs_root, wait_for

THREE = 'StartServers 3\nMinSpareServers 3\nMaxSpareServers 3\nServerLimit 3\nMaxKeepAliveRequests 0\n'
LINE = re.compile(r'/(?:index\.html)?\?id=(\d+) 200')


def files(server, name):
    return sorted(glob.glob(server.path('logs/' + name)))


class Rotating(ServerTest):
    def settle(self, server, clients, name):
        """(lost, twice, torn) of what was answered, in all files of that name."""
        server.stop()
        seen, torn = collections.Counter(), []
        for path in files(server, name):
            with open(path) as f:
                for line in f:
                    found = LINE.fullmatch(line.rstrip('\n')) if line.endswith('\n') else None
                    if found:
                        seen[int(found[1])] += 1
                    else:
                        torn.append(line)
        return [n for n in clients.answered if not seen[n]], [n for n, times in seen.items() if times > 1], torn

    def test_by_time(self):
        s = self.serve(THREE + 'LogLevel info\nErrorLog "rotate:@DIR@/logs/error.%H.%M.%S"\nCustomLog "rotate:@DIR@/logs/access.%Y-%m-%d.%H%M%S" "%U%q %>s"\n')
        with Load(s, (KEEP,) * 3, pause=0.0005) as clients:
            time.sleep(2.6)
        self.assertEqual(self.settle(s, clients, 'access.*'), ([], [], []))
        names = files(s, 'access.*')
        self.assertTrue(2 <= len(names) <= 8, names)
        self.assertRegex(names[0], time.strftime(r'access\.%Y-%m-%d\.\d{6}$'))
        self.assertGreater(min(os.path.getsize(name) for name in names[1:-1] or names), 0)
        self.assertIn('BH0', s.read('logs/' + os.path.basename(files(s, 'error.*')[-1])))    # the master's own last words

    @needs_root
    def test_a_logger_killed_around_the_boundary(self):
        s = self.serve(THREE + 'CustomLog "rotate:@DIR@/logs/access.%S,every=2" "%U%q %>s"\n')
        rng, kills = random.Random(4711), 0
        with Load(s, (KEEP,) * 3, pause=0.0005) as clients:
            end = time.monotonic() + 6.5
            while time.monotonic() < end:
                time.sleep(max(0, 2 - time.time() % 2 + rng.uniform(-0.01, 0.03)))
                for pid in s.roles('log'):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                time.sleep(rng.uniform(1, 1.2))
        self.assertEqual(self.settle(s, clients, 'access.*'), ([], [], []))
        self.assertGreaterEqual(kills, 2)
        self.assertGreaterEqual(len(files(s, 'access.*')), 3)

    def test_by_size(self):
        s = self.serve(THREE + 'CustomLog "rotate:@DIR@/logs/access,size=20K" "%U%q %>s"\n')
        with Load(s, (KEEP,) * 3, pause=0.0005) as clients:
            wait_for(lambda: os.path.exists(s.path('logs/access.1')), 'a second file', 60)
        self.assertEqual(self.settle(s, clients, 'access*'), ([], [], []))
        self.assertIn(s.path('logs/access.1'), files(s, 'access*'))
        self.assertGreaterEqual(os.path.getsize(s.path('logs/access')), 20480)
        s.start()                               # goes on behind the last full one
        s.get('/')
        s.stop()
        self.assertEqual(self.settle(s, clients, 'access*')[0], [])

    def test_names_that_cannot_rotate(self):
        for name, said in (('rotate:logs/x', 'one file for ever'), ('rotate:logs/x,every=60', 'one file for ever'), ('rotate:logs/x.%H,every=x', 'no number of seconds'),
                           ('rotate:logs/x,size=5Q', 'no size'), ('rotate:', 'one file for ever')):
            with self.subTest(name):
                done = self.configure('CustomLog "%s" "%%U"\n' % name).run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stdout)


if __name__ == '__main__':
    unittest.main()
