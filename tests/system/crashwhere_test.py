"""What a report says of the moment of a crash: whichever phase a connection is in, its last events, and how long all took."""
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
import unittest

from crash_test import CRASH, TLS, Crash, reports, unsanitized
from server import context, needs_root, wait_for

ONE = CRASH.replace(' 3\n', ' 1\n') + '<Location "/later">\nSetHandler test-crash-later\n</Location>\nCrashReportLimit 20\n'


@unsanitized
class Where(Crash):
    def facts(self, text, *keys):
        return [self.field(text, key) for key in keys]

    def test_in_the_handler(self):
        s = self.serve(ONE)
        with s.connect() as c:
            c.request('/index.html?first=secret')
            c.send('GET /crash/x?s=11&second=secret HTTP/1.1\r\nHost: localhost\r\n\r\n')
            c.rest()
        _, text = self.report(s)
        self.assertEqual(self.facts(text, 'peer', 'virtual-host', 'phase', 'handler', 'method', 'path'),
                         ['127.0.0.1', 'localhost', 'handler', 'test-crash', 'GET', '/crash/x'])
        self.assertRegex(self.field(text, 'connection'), r'^\d+ kind=http age-ms=\d+$')
        self.assertRegex(self.field(text, 'served'), r'requests=2 ')
        events = re.findall(r'^event: (-?\d+) ms (\S+) (\d+)$', text, re.M)
        self.assertEqual([e[1] for e in events], ['accept', 'request', 'response', 'request'])
        self.assertEqual([e[2] for e in events][1:], ['1', '200', '2'])
        self.assertTrue(all(int(e[0]) <= 0 for e in events))
        self.assertNotIn('secret', text)

    def test_the_last_64_events_are_kept(self):
        s = self.serve(ONE)
        with s.connect() as c:
            for _ in range(50):
                c.request()
            c.send('GET /crash?s=11 HTTP/1.1\r\nHost: localhost\r\n\r\n')
            c.rest()
        _, text = self.report(s)
        events = re.findall(r'^event: .* ms (\S+) (\d+)$', text, re.M)
        self.assertEqual(len(events), 64)
        self.assertEqual(events[-1], ('request', '51'))
        self.assertEqual(events[0], ('response', '200'))

    def test_while_a_body_is_read(self):
        s = self.serve(ONE)
        with s.connect() as c:
            c.send('POST /later/up?q=secret HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n')
            time.sleep(0.2)             # the next turn is another one
            c.send('12345')
            c.rest()
        _, text = self.report(s)
        self.assertEqual(self.facts(text, 'phase', 'handler', 'method', 'path'), ['body', 'test-crash-later', 'POST', '/later/up'])

    def test_while_a_response_is_sent(self):
        s = self.serve(ONE)
        with s.connect() as c:
            c.send('GET /later/down?q=secret HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.2)
            c.rest()
        _, text = self.report(s)
        self.assertEqual(self.facts(text, 'phase', 'handler', 'method', 'path'), ['send', 'test-crash-later', 'GET', '/later/down'])
        self.assertRegex(self.field(text, 'request-age-ms'), r'^\d+$')

    def test_while_it_waits(self):
        s = self.serve(ONE)
        with s.connect() as c:
            c.request()
            time.sleep(1)               # its turn with the request is over
            os.kill(s.workers()[0], signal.SIGSEGV)
            c.rest()
        _, text = self.report(s)
        self.assertEqual(self.field(text, 'connection'), 'none: the process was waiting')
        self.assertEqual(self.field(text, 'class'), 'sent-by-pid')
        self.assertIsNone(self.field(text, 'path'))
        self.assertRegex(text, r'(?m)^event: .* response 200$')

    @needs_root
    def test_in_a_handshake(self):
        """The keyholder is held up: its child waits for the signature."""
        s = self.serve(ONE + TLS)
        keys = s.role('bulkhead-keys')
        os.kill(keys, signal.SIGSTOP)
        try:
            with socket.create_connection(('127.0.0.1', s.tls_port)) as sock:
                sock.settimeout(5)
                tls = context().wrap_socket(sock, server_hostname='localhost', do_handshake_on_connect=False)
                tls.setblocking(False)
                try:
                    tls.do_handshake()
                except OSError:
                    pass
                time.sleep(0.5)
                os.kill(s.workers()[0], signal.SIGSEGV)
                _, text = self.report(s)
                tls.close()
        finally:
            os.kill(keys, signal.SIGCONT)
        self.assertRegex(self.field(text, 'connection'), r'^\d+ kind=https ')
        self.assertEqual(self.facts(text, 'peer', 'phase', 'method'), ['127.0.0.1', 'handshake', ''])

    @needs_root
    @unittest.skipUnless(shutil.which('gdb'), 'needs gdb to crash at a place')
    def test_while_a_head_is_read(self):
        s = self.serve(ONE)
        with s.connect() as c:
            c.request('/before')
            gdb = subprocess.Popen(['gdb', '-nx', '-q', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off', '-p', str(s.workers()[0]),
                                    '-ex', 'break head_parse_request', '-ex', 'shell touch %s' % s.path('run/armed'), '-ex', 'continue', '-ex', 'delete',
                                    '-ex', 'signal SIGSEGV'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: os.path.exists(s.path('run/armed')), 'the breakpoint is set', 20)
                c.send('GET /half?q=secret HTTP/1.1\r\nHost: localhost\r\n\r\n')
                c.rest()
                gdb.wait(20)
            finally:
                gdb.kill()
                gdb.wait()
        _, text = self.report(s)
        self.assertEqual(self.facts(text, 'phase', 'method', 'path', 'handler'), ['head', '', '', ''])
        self.assertRegex(self.field(text, 'connection'), r'^\d+ kind=http ')

    def test_client_and_administrator_wait_for_no_time(self):
        """Tells the times; none decides, but that the client does not wait for the core."""
        s = self.serve(ONE.replace('Servers 1', 'Servers 4').replace('Limit 1', 'Limit 4'))
        waits, delays = [], []
        for n in range(1, 6):
            wait_for(lambda: s.get().status == 200, 'it serves')
            with s.connect() as c:
                c.request()
                c.send('GET /crash?s=11 HTTP/1.1\r\nHost: localhost\r\n\r\n')
                began = time.monotonic()
                c.rest()
                waits.append((time.monotonic() - began) * 1000)
                wait_for(lambda: len(reports(s)) == n and s.read(max(reports(s), key=os.path.getmtime)).endswith('end: complete\n'), 'its report')
                delays.append((time.monotonic() - began) * 1000)
        handler = [int(re.search(r'^snapshot: complete us=(\d+)', s.read(path), re.M)[1]) for path in reports(s)]
        print('from the request that crashes: end of the connection %.2f ms, report %.0f ms; snapshot %d us (medians of 5)'
              % (statistics.median(waits), statistics.median(delays), statistics.median(handler)))
        self.assertLess(statistics.median(waits), 500)


if __name__ == '__main__':
    unittest.main()
