"""Logs that go to syslog and journald: what a real datagram socket receives, also when its daemon is started anew."""
import os
import re
import socket
import time
import unittest

from server import ServerTest


class Daemon:
    """Binds a datagram socket as a system's log would."""

    def __init__(self, path):
        if os.path.exists(path):
            os.unlink(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.packets = []

    def wait(self, pattern, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for packet in self.packets:
                found = re.search(pattern, packet)
                if found:
                    return found
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.packets.append(self.sock.recv(65536).decode('latin-1'))
            except TimeoutError:
                pass
        raise AssertionError('no packet with %s among %s' % (pattern, self.packets))

    def close(self):
        self.sock.close()


class SystemLog(ServerTest):
    def begin(self, conf):
        s = self.configure(conf)
        paths = {'BULKHEAD_SYSLOG': s.path('log'), 'BULKHEAD_JOURNAL': s.path('journal')}
        daemons = [Daemon(path) for path in paths.values()]
        for daemon in daemons:
            self.addCleanup(daemon.close)
        s.start(env=paths)
        return s, daemons

    def test_packets(self):
        s, (syslog, journal) = self.begin('''
            ErrorLog syslog:daemon:web
            CustomLog syslog:local3 "%U %{X}i"
            CustomLog journald:notice "%U %>s\\n"
            <Location "/closed">
                Require all denied
            </Location>
            <VirtualHost *:@PORT@>
                ServerName main.test
            </VirtualHost>
            <VirtualHost *:@PORT@>
                ServerName journal.test
                ErrorLog journald
            </VirtualHost>
            ''')
        s.get('/closed', host='main.test', headers='X: a"b\r\n')
        s.get('/closed', host='journal.test')
        syslog.wait(r'^<27>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d web\[\d+\]: \[authz_core:error\] \[pid \d+\] \[client 127\.0\.0\.1:\d+\] client denied.*\)$')
        syslog.wait(r'^<158>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d bulkhead\[\d+\]: /closed a\\"b$')
        journal.wait(r'^PRIORITY=5\nSYSLOG_IDENTIFIER=bulkhead\nSYSLOG_PID=\d+\nMESSAGE=/closed 403 \n$')
        journal.wait(r'^PRIORITY=3\n(.*\n){2}MESSAGE=\[authz_core:error\] .*client denied.*\n$')
        syslog.close()                          # the daemon is started anew: the connection is made again
        s.get('/closed', host='main.test')
        again = Daemon(s.path('log'))
        self.addCleanup(again.close)
        time.sleep(0.8)
        s.get('/closed?then', host='main.test')
        again.wait('client denied')
        again.wait(': /closed -')
        self.assertTrue(all('\n' not in packet for packet in again.packets))

    def test_what_is_lost_is_counted(self):
        s, (_, journal) = self.begin('CustomLog journald "%U"\n')
        s.get('/index.html')
        journal.wait('MESSAGE=/index.html\n')
        journal.close()
        os.unlink(s.path('journal'))
        for _ in range(5):
            s.get('/')
        time.sleep(1.5)
        s.get('/')
        s.logged(r'BH0141: the log \S+/journal cannot be written')
        again = Daemon(s.path('journal'))
        self.addCleanup(again.close)
        time.sleep(0.6)
        s.get('/index.html')
        again.wait('MESSAGE=/index.html\n')
        self.assertRegex(s.logged(r'BH0143: (\d+) log lines for \S+/journal were lost').group(1), r'^[1-6]$')

    def test_refusals(self):
        for line, said in (('ErrorLog syslog:nowhere', 'is no facility of syslog'), ('ErrorLog "syslog:user:a b"', 'is no tag for syslog'),
                           ('CustomLog journald:loud "%U"', 'is no priority of journald')):
            with self.subTest(line):
                done = self.configure(line + '\n').run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stdout)
        s = self.configure('CustomLog journald "%U"\n')
        done = s.run('-k', 'start', env={'BULKHEAD_JOURNAL': s.path('none')})
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"does not listen at \S+/none: No such file or directory")


if __name__ == '__main__':
    unittest.main()
