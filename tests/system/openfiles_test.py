"""Files that a child keeps open (KeepFilesOpen): whatever changes is met by the next request, and nothing is held where nobody asks."""
import contextlib
import os
import signal
import time
import unittest

from server import ServerTest, wait_for


def held(s, name):
    """How often the children hold the file open."""
    wanted, n = os.path.realpath(s.path(name)), 0
    for pid in s.workers():
        for fd in os.listdir('/proc/%d/fd' % pid):
            try:
                n += os.readlink('/proc/%d/fd/%s' % (pid, fd)).startswith(wanted)
            except OSError:
                pass
    return n


class OpenFiles(ServerTest):
    NAMES = ('short.txt', 'shut.txt', 'gone.txt', 'new.txt', 'linked.txt', 'sub/there.txt', 'shutfolder/x.txt')

    def settled(self, extra=''):
        s = self.serve('StartServers 1\nMaxRequestWorkers 100\n' + extra +
                       '<Directory "@DIR@/htdocs">\nAllowOverride All\n</Directory>\n',
                       {'htdocs/' + name: 'the content of ' + name for name in self.NAMES})
        time.sleep(3.1)                         # files that were changed just now are not kept
        return s

    def ask(self, c, path):
        c.send('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path)
        return c.response()

    def test_changes_count_at_once(self):
        s = self.settled()
        with s.connect() as c:
            for _ in range(2):
                for name in self.NAMES:
                    self.assertEqual(self.ask(c, '/' + name).body.decode(), 'the content of ' + name)
            if os.major(os.stat(s.path('htdocs')).st_dev):
                self.assertGreaterEqual([held(s, 'htdocs/' + name) for name in self.NAMES].count(1), len(self.NAMES) - 2)  # names may meet in a place of the table
            os.truncate(s.path('htdocs/short.txt'), 3)
            os.chmod(s.path('htdocs/shut.txt'), 0)
            os.unlink(s.path('htdocs/gone.txt'))
            s.write('htdocs/new.tmp', 'new content')
            os.rename(s.path('htdocs/new.tmp'), s.path('htdocs/new.txt'))
            os.unlink(s.path('htdocs/linked.txt'))
            os.symlink('short.txt', s.path('htdocs/linked.txt'))
            s.write('htdocs/sub/.htaccess', 'Require all denied\n')
            os.chmod(s.path('htdocs/shutfolder'), 0)
            answers = [self.ask(c, '/' + name) for name in self.NAMES]
            self.assertEqual([a.status for a in answers], [200, 403, 404, 200, 200, 403, 403])
            self.assertEqual([answers[i].body for i in (0, 3, 4)], [b'the', b'new content', b'the'])
            os.chmod(s.path('htdocs/shutfolder'), 0o755)
            self.assertEqual(held(s, 'htdocs/gone.txt'), 0)
        wait_for(lambda: held(s, 'htdocs') == 0, 'the files are closed when the last client has gone')

    def test_a_slow_client_gets_what_it_began_with(self):
        s = self.configure('StartServers 1\nMaxRequestWorkers 100\n', {'htdocs/large.bin': 'x' * 1000000})
        s.start()
        time.sleep(3.1)
        with s.connect() as other, s.connect() as c:
            self.ask(other, '/large.bin')
            c.send('GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n' * 30)  # more than sockets hold
            time.sleep(0.2)
            s.write('htdocs/new.tmp', 'y' * 1000000)
            os.rename(s.path('htdocs/new.tmp'), s.path('htdocs/large.bin'))
            self.assertEqual(self.ask(other, '/large.bin').body, b'y' * 1000000)
            bodies = [c.response().body for _ in range(30)]
            self.assertEqual({(len(b), b[:1], b[-1:]) for b in bodies} | {(1000000, b'y', b'y')}, {(1000000, b'x', b'x'), (1000000, b'y', b'y')})
            self.assertEqual(bodies[0][:1], b'x')

    def test_what_was_changed_before_a_request_is_met_among_many(self):
        """One turn of the loop has requests of before and behind a change: the child is stopped while they come."""
        s = self.settled()
        child = s.workers()[0]
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(s.connect()) for _ in range(12)]
            for c in clients:
                self.assertEqual(self.ask(c, '/new.txt').body, b'the content of new.txt')
            stack.callback(os.kill, child, signal.SIGCONT)
            for content in ('second form', 'third, and longer'):
                os.kill(child, signal.SIGSTOP)
                for c in clients[:6]:
                    c.send('GET /new.txt HTTP/1.1\r\nHost: localhost\r\n\r\n')
                s.write('htdocs/new.tmp', content)
                os.rename(s.path('htdocs/new.tmp'), s.path('htdocs/new.txt'))
                for c in clients[6:]:
                    c.send('GET /new.txt HTTP/1.1\r\nHost: localhost\r\n\r\n' * 2)
                os.kill(child, signal.SIGCONT)
                self.assertEqual({c.response().status for c in clients[:6]}, {200})
                self.assertEqual({c.response().body.decode() for c in clients[6:] for _ in range(2)}, {content})

    def test_none_are_kept_where_that_is_off(self):
        s = self.settled('KeepFilesOpen 0\n')
        with s.connect() as c:
            for name in self.NAMES:
                self.assertEqual(self.ask(c, '/' + name).status, 200)
            self.assertEqual(held(s, 'htdocs'), 0)


if __name__ == '__main__':
    unittest.main()
