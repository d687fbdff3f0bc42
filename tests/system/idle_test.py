"""idle_test.py - a server that has nothing to do sleeps: no process of it wakes up by a clock, and thousands of idle connections wake it
once a second at most. Wake-ups are the kernel's count of voluntary switches.
"""
import time

from server import SSL_ON, ServerTest, children_of, context, process_name, status_of, wait_for

CONF = '''\
Listen 127.0.0.1:@PORT@
Listen 127.0.0.1:@TLS@
StartServers 2
KeepAliveTimeout 600
RequestReadTimeout handshake=5 header=5 body=5
ScriptAlias /cgi/ "@DIR@/cgi/"
<Location /named>
Require host example.org
</Location>
<Location /status>
SetHandler server-status
</Location>
<VirtualHost *:@TLS@>
%sSSLVerifyClient optional
SSLCACertificateFile "@cert@"
SSLOCSPEnable on
</VirtualHost>
''' % SSL_ON
CONNECTIONS = 200
SECONDS = 3


def wakes(pid):
    return int(status_of(pid)['voluntary_ctxt_switches'])


class Idle(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.shared(CONF, {'cgi/x': ''}).start()
        wait_for(lambda: len(cls.server.workers()) == 2, 'two children')

    def processes(self):
        return {pid: process_name(pid) for pid in children_of(self.server.pid)}

    def test_nobody_wakes_by_a_clock(self):
        """The master alone looks now and then whether children hang."""
        roles = set(self.processes().values())
        self.assertEqual(roles, {'bulkhead-child', 'bulkhead-keys', 'bulkhead-log', 'bulkhead-names', 'bulkhead-ocsp', 'bulkhead-spawn'})
        seen = []

        def quiet():
            before = {pid: wakes(pid) for pid in self.processes()}
            time.sleep(SECONDS)
            seen.append({name: wakes(pid) - before[pid] for pid, name in self.processes().items() if wakes(pid) != before[pid]})
            return not seen[-1]
        wait_for(quiet, lambda: 'all slept for %d s: %r' % (SECONDS, seen), 10 * SECONDS)

    def test_idle_connections_wake_nobody(self):
        """Each has time limits that moved when it had asked and was answered; those of all are looked at together."""
        ctx, held = context(), []
        for _ in range(CONNECTIONS):
            held.append(self.server.connect(ctx=ctx))
            self.addCleanup(held[-1].sock.close)
            self.assertEqual(held[-1].request().status, 200)
            time.sleep(0.005)
        before = {pid: wakes(pid) for pid in self.processes()}
        time.sleep(6)
        after = {name + str(pid): wakes(pid) - before[pid] for pid, name in self.processes().items()}
        self.assertLess(sum(after.values()), CONNECTIONS / 6, after)
        self.assertEqual(held[0].request().status, 200)
