"""bulkhead-bench: each way of resuming against the real server, counts that add up, and what it says when something is wrong."""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

from server import BIN, SSL_ON, ServerTest, certificate, free_port

TOOL = os.path.join(os.path.dirname(BIN), '..', 'bin', 'bulkhead-bench')
HOST = '<VirtualHost *:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n'
CHILDREN = 'StartServers 3\nMinSpareServers 3\nMaxSpareServers 3\n'
CACHE = 'SSLSessionCache shmcb:@DIR@/run/cache(512000)\n'
NEITHER = 'SSLSessionCache none\nSSLSessionTickets off\n'


def command(*args):
    return [TOOL, *map(str, args)]


def bench(*args, timeout=60):
    return subprocess.run(command(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def silent():
    """A socket that takes connections and never answers."""
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen(5)
    return s


class Measuring(ServerTest):
    def target(self, server, path='/'):
        """Options that lead to the server, whatever the hosts file says of localhost."""
        return ('--connect', '127.0.0.1:%d' % server.tls_port, '--ca', certificate()[0], 'https://localhost:%d%s' % (server.tls_port, path))

    def measured(self, server, *args, status=0, path='/'):
        """The object of --json, whose sums are checked."""
        done = bench(*args, '--json', *self.target(server, path))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        r = json.loads(done.stdout)
        reasons = sum(n for n in r['failures'].values() if isinstance(n, int))
        self.assertEqual((r['operations'], r['failed']), (r['succeeded'] + r['failed'], reasons))
        self.assertEqual((r['asked'], r['resumed']), (r['resumed'] + r['lost'], r['resumed_by_ticket'] + r['resumed_by_id']))
        self.assertEqual(r['lost'], r['lost_declined'] + r['lost_absent'])
        for key in ('lost', 'failed'):
            self.assertEqual(sum(x['count'] for x in r[key + '_at']), r[key])
        for key in ('connect_us', 'handshake_us', 'first_byte_us'):
            t = r[key]
            self.assertEqual(sorted(t[k] for k in ('p50', 'p90', 'p99', 'p999', 'max')), [t[k] for k in ('p50', 'p90', 'p99', 'p999', 'max')])
        return r

    def test_each_way_resumes_all(self):
        s = self.serve(CACHE + CHILDREN + HOST)
        for args, tls, kind in (((), 'TLS1.3', 'ticket'), (('--tls', '1.2'), 'TLS1.2', 'ticket'), (('--resume', 'ticket', '--tls', '1.3'), 'TLS1.3', 'ticket'),
                                (('--resume', 'ticket', '--tls', '1.2'), 'TLS1.2', 'ticket'), (('--resume', 'id'), 'TLS1.2', 'id'),
                                (('--resume', 'ticket', '--tls', '1.2', '--tls', '1.3'), 'TLS1.3', 'ticket')):
            with self.subTest(args):
                r = self.measured(s, '-n', 60, '-c', 4, '--sessions', 10, *args)
                self.assertEqual((r['operations'], r['responses'], r['asked'], r['resumed_by_' + kind], r['resumed_percent']), (60, 60, 60, 60, 100.0))
                self.assertEqual((r['sessions'], r['sessions_made'], r['tls'].split()[0]), (10, 10, tls))
                self.assertEqual(r['tickets'] >= 60, tls == 'TLS1.3')
                self.assertEqual([r[k]['count'] for k in ('connect_us', 'handshake_us', 'first_byte_us')], [60, 60, 60])

    def test_output_that_cannot_be_written(self):
        s = self.serve(CACHE + HOST)
        for redirect in ('>/dev/full', '>&-'):
            for options in (('--json',), ('-q',), ('--help',)):
                with self.subTest(redirect=redirect, options=options):
                    done = subprocess.run(['sh', '-c', 'exec "$@" ' + redirect, 'sh', *command('-n', 4, *options, *self.target(s))], stdin=subprocess.DEVNULL,
                                          stderr=subprocess.PIPE, text=True, timeout=60)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertRegex(done.stderr, r'bulkhead-bench: the output could not be written; make room')

    def test_by_id_where_tickets_are_off(self):
        r = self.measured(self.serve(CACHE + 'SSLSessionTickets off\n' + CHILDREN + HOST), '-n', 40, '--tls', '1.2')
        self.assertEqual((r['resumed_by_id'], r['resumed_by_ticket']), (40, 0))

    def test_full_handshakes(self):
        r = self.measured(self.serve(CACHE + HOST), '-n', 20, '--resume', 'none')
        self.assertEqual((r['operations'], r['asked'], r['resumed'], r['sessions'], r['resumed_percent']), (20, 0, 0, 0, None))

    def test_orders_processes_and_many_connections(self):
        s = self.serve(CACHE + CHILDREN + HOST)
        for order in ('turn', 'random', 'zipf'):
            with self.subTest(order):
                r = self.measured(s, '-n', 301, '-c', 200, '-j', 2, '--sessions', 33, '--order', order, '--resume', 'id')
                self.assertEqual((r['operations'], r['resumed'], r['sessions_made'], r['processes']), (301, 301, 33, 2))

    def test_requests_on_one_connection(self):
        s = self.serve(CACHE + 'MaxKeepAliveRequests 4\n' + HOST, {'htdocs/a': 'x' * 100000})
        r = self.measured(s, '-n', 10, '-r', 3, path='/a')
        self.assertEqual((r['operations'], r['responses'], r['short_connections']), (10, 30, 0))
        self.assertGreater(r['bytes'], 30 * 100000)
        r = self.measured(s, '-n', 10, '-r', 9)
        self.assertEqual((r['operations'], r['responses'], r['short_connections']), (10, 40, 10))

    def test_time_and_rate(self):
        r = self.measured(self.serve(CACHE + HOST), '-t', 2, '--rate', 50, '--resume', 'id')
        self.assertTrue(1.9 < r['seconds'] < 4, r['seconds'])
        self.assertTrue(80 <= r['operations'] <= 101, r['operations'])

    def test_a_server_that_resumes_nothing(self):
        s = self.serve(NEITHER + HOST)
        for args in ((), ('--resume', 'id'), ('--resume', 'ticket', '--tls', '1.2')):
            with self.subTest(args):
                r = self.measured(s, '-n', 20, *args, status=1)
                self.assertEqual((r['succeeded'], r['failed'], r['asked'], r['lost'], r['resumed_percent']), (20, 0, 20, 20, 0.0))
        self.measured(s, '-n', 20, '--allow-loss', '100')
        tickets_off = self.serve(CACHE + 'SSLSessionTickets off\n' + HOST)
        r = self.measured(tickets_off, '-n', 20, '--resume', 'ticket', '--tls', '1.2', status=1)
        self.assertEqual((r['resumed'], r['lost_absent']), (0, 20))
        done = bench('-n', 20, '--resume', 'ticket', *self.target(s))
        self.assertEqual(done.returncode, 1)
        self.assertIn('resumed     0 of 20 (0.00 %)', done.stdout)
        self.assertIn('the server gives no tickets; switch it on', done.stderr)

    def test_sessions_beyond_the_cache_are_lost_and_allowed(self):
        s = self.serve('SSLSessionCache shmcb:@DIR@/run/cache(32768)\nSSLSessionTickets off\n' + HOST)
        args = ('-n', 500, '--sessions', 400, '--resume', 'id', '-c', 20)
        r = self.measured(s, *args, status=1)
        self.assertEqual(r['lost_declined'], r['lost'])
        self.assertGreater(r['lost'], 250)
        self.measured(s, *args, '--allow-loss', 100)
        zipf, even = (self.measured(s, *args, '--order', order, '--allow-loss', 100)['lost'] for order in ('zipf', 'random'))
        self.assertTrue(0.2 * even < zipf < 0.8 * even, (zipf, even))

    def test_a_server_that_is_killed(self):
        s = self.serve(CACHE + HOST)
        running = subprocess.Popen(command('-t', 3, '-j', 2, '--json', *self.target(s)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        s.stop()
        out, err = running.communicate(timeout=20)
        r = json.loads(out)
        self.assertEqual(running.returncode, 1)
        self.assertGreater(r['succeeded'], 0)
        self.assertGreater(r['failures']['connection_refused'], 0)
        self.assertTrue(r['failed_at'])
        self.assertIn('refused the connection', err)

    def test_a_server_that_freezes(self):
        s = self.serve(CACHE + HOST)
        running = subprocess.Popen(command('-t', 2, '--timeout', 1, '--json', *self.target(s)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        frozen = s.workers()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            out, err = running.communicate(timeout=10)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        r = json.loads(out)
        self.assertGreater(r['succeeded'], 0)
        self.assertGreater(r['failures'].get('handshake_timeout', 0) + r['failures'].get('timeout', 0), 0)
        self.assertRegex(err, 'within 1 s')

    def test_a_server_that_goes_while_the_sessions_are_made(self):
        s = self.serve(CACHE + HOST)
        running = subprocess.Popen(command('--sessions', 1000000, *self.target(s)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        s.stop()
        _, err = running.communicate(timeout=10)
        self.assertEqual(running.returncode, 1)
        self.assertIn('nothing was measured: the server went away', err)

    def test_interrupted_it_tells_what_there_is(self):
        s = self.serve(CACHE + HOST)
        running = subprocess.Popen(command('-t', 60, '--json', *self.target(s)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=10)
        r = json.loads(out)
        self.assertEqual((running.returncode, r['interrupted']), (0, True))
        self.assertGreater(r['operations'], 0)

    def test_progress_on_a_terminal(self):
        s = self.serve(CACHE + HOST)
        master, slave = pty.openpty()
        running = subprocess.Popen(command('-t', 3, *self.target(s)), stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        seen = b''
        try:
            while True:
                part = os.read(master, 4096)
                if not part:
                    break
                seen += part
        except OSError:
            pass
        os.close(master)
        running.communicate(timeout=10)
        self.assertRegex(seen.decode(), r'[1-9]\d*/s, resumed 100\.00 %, failed 0, at most \d s left')


class Explaining(ServerTest):
    def refused(self, *args, status=1, say=''):
        done = bench(*args)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout, '')
        self.assertRegex(done.stderr, r'\Abulkhead-bench: [^\n]*; [^\n]*\n\Z')
        self.assertRegex(done.stderr, say)

    def test_arguments(self):
        url = 'https://localhost/'
        for args, say in (((), 'no URL'), ((url, url), 'more than one URL'), (('http://localhost/',), 'https://'), (('-c', '0', url), 'from 1 to 20000'),
                          (('-n', 'x', url), 'from 1 to'), (('--tls', '1.1', url), '1.2, 1.3'), (('--bogus', url), 'no option --bogus'), (('-n',), '-n needs a value'),
                          (('--resume', 'id', '--tls', '1.3', url), 'by tickets only'), (('--resume', 'some', url), 'none, id, ticket'), (('-j', '9', url), 'share'),
                          (('https://localhost:99999/',), '65535'), (('--allow-loss', '101', url), '0 to 100'), (('https://localhost/a b',), '%20'),
                          (('--sessions', '3', '--resume', 'none', url), '--resume none'), (('--order', 'up', url), 'turn, random, zipf'),
                          (('--connect', ':1', url), 'HOST:PORT'), (('-t', '1x', url), 'seconds')):
            with self.subTest(args):
                self.refused(*args, status=2, say=say)
        done = bench('--help')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertTrue(done.stdout.startswith('usage: '))

    def test_the_manual_names_all_options(self):
        with open('docs/bulkhead-bench.1') as f:
            page = f.read()
        for option in re.findall(r'(?<![\w-])--?([a-z][a-z-]*)', bench('--help').stdout.replace('bulkhead-bench', '')):
            self.assertIn('Fl %s%s' % ('-' if len(option) > 1 else '', option), page)

    def test_certificates(self):
        s = self.serve(CACHE + HOST)
        to = ('-n', 5, '--connect', '127.0.0.1:%d' % s.tls_port)
        ca, url = certificate()[0], 'https://localhost/'
        self.refused(*to, url, say='issuer is unknown; .*--ca FILE, .*--insecure')
        self.refused(*to, '--ca', ca, 'https://other.test/', say='name in the certificate does not match.*--sni.*--no-check')
        self.refused(*to, '--ca', s.path('httpd.conf'), url, say='no certificate to trust')
        for args in (('--insecure', 'https://other.test/'), ('--ca', ca, '--no-check', 'https://other.test/'), ('--ca', ca, '--sni', 'localhost', 'https://other.test/')):
            self.assertEqual(bench(*to, *args).returncode, 0, args)

    def test_servers_that_are_none(self):
        nothing = free_port()
        self.refused('https://127.0.0.1:%d/' % nothing, say='127.0.0.1:%d refused the connection; .*listens' % nothing)
        self.refused('https://nowhere.invalid/', say='"nowhere.invalid" cannot be found.*--connect')
        with silent() as s:
            self.refused('--timeout', '1', 'https://127.0.0.1:%d/' % s.getsockname()[1], say='not complete within 1 s.*speaks TLS')
        with silent() as s:
            def greet():
                with s.accept()[0] as c:
                    c.sendall(b'220 mail.example ready\r\n')
                    c.recv(1000)
            threading.Thread(target=greet, daemon=True).start()
            self.refused('https://127.0.0.1:%d/' % s.getsockname()[1], say='TLS')

    def test_statuses_and_alerts(self):
        s = self.serve('<VirtualHost *:@TLS@>\nServerName localhost\nSSLProtocol TLSv1.2\n' + SSL_ON + '</VirtualHost>\n')
        url = 'https://127.0.0.1:%d/' % s.tls_port
        self.refused('--insecure', url + 'nothing', say='answered 404 to GET /nothing; name a path')
        self.refused('--insecure', '--tls', '1.3', url, say='alert protocol_version; .*--tls')

    def test_errors_in_json(self):
        done = bench('--json', 'https://127.0.0.1:%d/' % free_port())
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1)
        self.assertIn('refused', said['error'])
        self.assertIn('listens', said['remedy'])
