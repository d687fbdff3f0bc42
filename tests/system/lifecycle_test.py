"""Restarts in which everything changes: ports, hosts, accounts, certificates, the size of the session cache. Nobody is refused, every
session is resumed. RESTARTS=20 makes it longer."""
import os
import random
import re
import signal
import socket
import ssl
import unittest

import load
from load import Load
from server import ROOT, ServerTest, alive, certificate, context, listening, wait_for

TWO = 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\nServerLimit 2\nMaxKeepAliveRequests 0\n'
RESTARTS = int(os.environ.get('RESTARTS', 8))


def quiet_port():
    """A port that no client's connection gets: what is closed and opened again must not be taken by one of the load's meanwhile."""
    with open('/proc/sys/net/ipv4/ip_local_port_range') as f:
        first = int(f.read().split()[0])
    for port in random.sample(range(10000, first) if first > 12000 else range(61000, 65500), 1000):
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    raise unittest.SkipTest('no port below the range of clients is free')


class Changes(ServerTest):
    def settings(self, s, n):
        """The configuration of turn n. What the clients use stays: @PORT@, @TLS@ and its host."""
        ports = ['@PORT@', '@TLS@'] + (['@PORT2@'] if n % 2 else ['@PORT3@', '@TLS2@'])
        cert, key = certificate('renewed', 'rsa') if n % 3 == 1 else certificate()
        tls = 'SSLEngine on\nSSLCertificateFile "%s"\nSSLCertificateKeyFile "%s"\n' % (cert, key)
        hosts = ''.join('<VirtualHost *:@TLS@>\nServerName extra%d.test\n%s</VirtualHost>\n' % (i, tls) for i in range(n % 4))
        text = TWO + ''.join('Listen 127.0.0.1:%s\n' % p for p in ports)
        text += 'SSLSessionCache "shmcb:@DIR@/run/cache(%d)"\n' % (512000 if n % 3 else 1024000)
        text += 'User %s\n' % ('nobody' if n % 2 else 'www-data') if ROOT else ''
        return s.expand(text + '<VirtualHost *:@TLS@>\nServerName localhost\n%s</VirtualHost>\n' % tls + hosts +
                        ('' if n % 2 else '<VirtualHost *:@TLS2@>\n%s</VirtualHost>\n' % tls))

    def test_everything_changes_and_nothing_is_lost(self):
        s = self.configure('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@\n')
        s.vars.update((name, quiet_port()) for name in ('PORT2', 'PORT3', 'TLS2'))
        s.write('case.conf', self.settings(s, 0))
        s.start()
        sessions, missed = [], []
        for name, high, tickets in (('ID', ssl.TLSVersion.TLSv1_2, False), ('ticket', ssl.TLSVersion.TLSv1_2, True), ('1.3', None, True)):
            ctx = context(high, tickets)
            with s.connect(ctx=ctx) as c:
                self.assertEqual(c.request().status, 200)
                sessions.append((name, ctx, c.sock.session))
        with Load(s, load.ALL, limit=240) as clients:
            for n in range(1, RESTARTS + 1):
                s.write('case.conf', self.settings(s, n))
                before = s.error_log.count('BH0102')
                os.kill(s.pid, signal.SIGUSR1)
                wait_for(lambda: s.error_log.count('BH0102') > before, lambda: 'restarted; the log has\n' + s.error_log[-3000:], 60)
                for name, ctx, session in sessions:
                    with s.connect(ctx=ctx, session=session) as c:
                        self.assertEqual(c.request().status, 200)
                        if not c.sock.session_reused:
                            missed.append((n, name))
                there, gone = ('@PORT2@', '@PORT3@') if n % 2 else ('@PORT3@', '@PORT2@')
                self.assertTrue(listening(int(s.expand(there))), there)
                wait_for(lambda: not listening(int(s.expand(gone))), 'the port of before is closed', 30)
        clients.tell(self, restarts=RESTARTS, resumed='%d of %d' % (3 * RESTARTS - len(missed), 3 * RESTARTS))
        self.assertEqual([clients.failed, missed], [[], []])

    def test_old_processes_end_by_the_time_limit(self):
        """A client that reads nothing keeps its process until GracefulShutdownTimeout, over a restart as over an execution of the program."""
        s = self.serve(TWO + 'GracefulShutdownTimeout 1\n<Location "/stream">\nSetHandler test-stream\n</Location>\n')
        for number, word in ((signal.SIGUSR1, 'BH0102'), (signal.SIGUSR2, 'BH0870')):
            with s.connect() as c:
                c.send('GET /stream?n=60000000 HTTP/1.1\r\nHost: x\r\n\r\n')
                c.head()
                family = s.workers() + s.roles('keys')
                os.kill(s.pid, number)
                s.logged(word, 60)
                wait_for(lambda: not any(map(alive, family)), 'all processes of before are gone', 30)
                self.assertEqual(s.get().status, 200)
        self.assertEqual(len(re.findall('BH0120', s.error_log)), 0)


if __name__ == '__main__':
    unittest.main()
