"""OCSP stapling: a real responder (openssl ocsp behind one of our own HTTP), real clients; the responder dead, slow, wrong."""
import http.server
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from server import ServerTest, children_of, process_name, wait_for


def openssl(*args, **kw):
    return subprocess.run(['openssl', *args], check=True, capture_output=True, **kw).stdout


class Authority:
    """A CA with an index of certificates, and a responder that answers by openssl; `trick` replaces what it answers."""

    def __init__(self, case):
        self.dir = tempfile.mkdtemp(prefix='bulkhead-ocsp-')
        case.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        self.names, self.seen, self.trick = {}, 0, None
        self.key('ca', '/CN=Staple CA', '-x509', '-days', '30', '-addext', 'basicConstraints=critical,CA:TRUE')
        self.signer = 'ca'
        self.server = None
        self.port = 0
        self.open()
        case.addCleanup(self.close)

    def path(self, name):
        return os.path.join(self.dir, name)

    def key(self, name, subject, *more):
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject, '-keyout', self.path(name + '.key'), '-out',
                self.path(name + '.pem'), *more)
        os.chmod(self.path(name + '.key'), 0o600)

    def leaf(self, name, state='V', extensions=''):
        self.key(name, '/CN=localhost')
        with open(self.path(name + '.ext'), 'w') as f:
            f.write('subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:%d/ocsp\n%s' % (self.port, extensions))
        openssl('x509', '-req', '-in', self.path(name + '.pem'), '-CA', self.path('ca.pem'), '-CAkey', self.path('ca.key'), '-days', '20', '-extfile',
                self.path(name + '.ext'), '-out', self.path(name + '.crt'))
        with open(self.path(name + '.chain'), 'w') as out:
            for part in (name + '.crt', 'ca.pem'):
                with open(self.path(part)) as f:
                    out.write(f.read())
        self.state(name, state)
        return self.path(name + '.chain'), self.path(name + '.key')

    def state(self, name, state):
        serial = openssl('x509', '-in', self.path(name + '.crt'), '-noout', '-serial').decode().strip().split('=')[1]
        self.names[serial] = state
        with open(self.path('index.txt'), 'w') as f:
            for number, word in self.names.items():
                if word != '-':
                    f.write('%s\t391231235959Z\t%s\t%s\tunknown\t/CN=%s\n' % (word, '200101000000Z' if word == 'R' else '', number, number))

    def answer(self, request):
        with open(self.path('request'), 'wb') as f:
            f.write(request)
        openssl('ocsp', '-index', self.path('index.txt'), '-CA', self.path('ca.pem'), '-rsigner', self.path(self.signer + '.crt' if self.signer != 'ca' else 'ca.pem'),
                '-rkey', self.path(self.signer + '.key'), '-reqin', self.path('request'), '-respout', self.path('response'),
                '-ndays', '1')
        with open(self.path('response'), 'rb') as f:
            return f.read()

    def open(self):
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                authority.seen += 1
                request = self.rfile.read(int(self.headers['Content-Length']))
                body = authority.trick(request, self) if authority.trick else authority.answer(request)
                if body is None:
                    return
                self.send_response(200)
                self.send_header('Content-Type', 'application/ocsp-response')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:         # the job was killed
                    pass

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None


class StapleTest(ServerTest):
    def begin(self, state='V', *lines, extensions='', use='SSLUseStapling on', trick=None):
        self.ca = Authority(self)
        self.ca.trick = trick
        pair = self.ca.leaf('leaf', state, extensions)
        return self.start_with(pair, use, *lines)

    def start_with(self, pair, *lines):
        return self.prepare(pair, *lines).start()

    def prepare(self, pair, *lines):
        return self.configure('DefaultStateDir "@DIR@/run"\nListen 127.0.0.1:@TLS@\n<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n%s\n</VirtualHost>\n' % (
            *pair, '\n'.join(lines)), {'htdocs/a.txt': 'a'})

    def client(self, s, *args):
        done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', 'localhost', '-status', '-CAfile',
                               self.ca.path('ca.pem'), *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        text = done.stdout.decode(errors='replace')
        self.assertIn('BEGIN CERTIFICATE', text, done.stderr)
        return text

    def staple(self, s, *args):
        """good, revoked, unknown; the word for an answer without one; None: nothing was stapled."""
        text = self.client(s, *args)
        found = re.search(r'Cert Status: (\w+)', text) or re.search(r'OCSP Response Status: (\w+)', text)
        return found and found[1]

    def wait_staple(self, s, word):
        wait_for(lambda: self.staple(s) == word, lambda: 'stapled: %s, not %s; %s' % (self.staple(s), word, s.error_log[-800:]))

    def test_good_in_both_protocols_and_for_all_clients(self):
        s = self.begin()
        self.wait_staple(s, 'good')
        self.assertEqual([self.staple(s, v) for v in ('-tls1_2', '-tls1_3')], ['good'] * 2)
        self.assertEqual(self.ca.seen, 1)
        for version in ('--tls-max=1.2', '--tlsv1.3'):
            subprocess.run(['curl', '-sS', '--cert-status', '--cacert', self.ca.path('ca.pem'), version.split('=')[0], *version.split('=')[1:],
                            'https://localhost:%d/a.txt' % s.tls_port, '--resolve', 'localhost:%d:127.0.0.1' % s.tls_port], check=True, timeout=20)
        for priority in ('NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL'):
            done = subprocess.run(['gnutls-cli', '--x509cafile', self.ca.path('ca.pem'), '--priority', priority, '--port', str(s.tls_port), '--verify-hostname',
                                   'localhost', '127.0.0.1'], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
            self.assertIn(b'OCSP status request', done.stdout)
            self.assertIn(b'The certificate is trusted', done.stdout, done.stdout)

    def test_off_asks_nobody(self):
        s = self.begin(use='')
        self.assertIsNone(self.staple(s))
        time.sleep(0.5)
        self.assertEqual((self.staple(s), self.ca.seen), (None, 0))

    def test_kept_when_the_responder_dies_children_are_killed_and_the_server_restarts(self):
        s = self.begin()
        self.wait_staple(s, 'good')
        self.ca.close()
        for pid in children_of(s.pid):
            if process_name(pid) == 'bulkhead-child':
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: s.get('/a.txt', tls=True).status == 200, 'a new child')
        self.assertEqual(self.staple(s), 'good')
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        self.assertEqual([self.staple(s) for _ in range(4)], ['good'] * 4)
        self.assertEqual(self.ca.seen, 1)

    def test_kept_over_a_stop_and_start_and_looked_at_again(self):
        s = self.begin()
        self.wait_staple(s, 'good')
        name = wait_for(lambda: os.listdir(s.path('run/ocsp')), 'it is kept')[0]
        path = s.path('run/ocsp/' + name)
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        self.ca.close()
        s.stop()
        s.start()
        self.wait_staple(s, 'good')
        self.assertEqual(self.ca.seen, 1)
        s.stop()
        # -X has no clock, but what was kept, and what it asks for at its start.
        s.start_foreground('-X', wait=s.tls_port)
        self.assertEqual((self.staple(s), self.ca.seen), ('good', 1))
        s.stop()
        s.process = None
        # One that was changed where it is signed, and one that anybody could have written, are nothing: the responder is asked.
        with open(path, 'r+b') as f:
            data = bytearray(f.read())
            data[100] ^= 1
            f.seek(0)
            f.write(data)
        self.ca.open()
        s.start_foreground('-X', wait=s.tls_port)
        self.assertEqual((self.staple(s), self.ca.seen), ('good', 2))
        s.stop()
        s.process = None
        os.chmod(path, 0o666)
        s.start()
        self.wait_staple(s, 'good')
        self.assertEqual(self.ca.seen, 3)

    def test_revoked_and_unknown_are_passed_on_or_not(self):
        s = self.begin('R')
        self.wait_staple(s, 'revoked')
        s.logged('BH0192.*revoked')
        s = self.begin('-')
        self.wait_staple(s, 'unknown')
        s = self.begin('R', 'SSLStaplingReturnResponderErrors off')
        s.logged('BH0191.*revoked')
        self.assertIsNone(self.staple(s))

    def test_dead_responder_and_recovery(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        self.ca.close()
        s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingFakeTryLater off', 'SSLStaplingErrorCacheTimeout 1')
        line = s.logged('BH0191.*')[0]
        for word in ('localhost', 'http://127.0.0.1:%d/ocsp' % self.ca.port, 'Connection refused', 'see whether the responder runs'):
            self.assertIn(word, line)
        self.assertIsNone(self.staple(s))
        time.sleep(2.5)
        self.assertEqual(s.error_log.count('BH0191'), 1)
        self.ca.open()
        self.wait_staple(s, 'good')
        s.logged('BH0193')

    def test_try_later_in_the_place_of_a_dead_responder(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        self.ca.close()
        s = self.start_with(pair, 'SSLUseStapling on')
        s.logged('BH0191')
        self.wait_staple(s, 'trylater')

    def test_slow_responder_delays_nobody(self):
        slow = threading.Event()
        self.addCleanup(slow.set)
        began = time.monotonic()
        s = self.begin('V', 'SSLStaplingResponderTimeout 1', 'SSLStaplingFakeTryLater off', trick=lambda request, handler: slow.wait(20) and None)
        self.assertIsNone(self.staple(s))
        self.assertLess(time.monotonic() - began, 4)
        s.logged('BH0191.*no answer')

    def test_what_no_client_may_get(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        self.ca.key('stranger', '/CN=Stranger', '-x509', '-days', '3')
        os.rename(self.ca.path('stranger.pem'), self.ca.path('stranger.crt'))
        self.ca.key('other', '/CN=other')
        self.ca.leaf('other')
        plain = self.ca.answer

        def about_another(request, handler):
            openssl('ocsp', '-issuer', self.ca.path('ca.pem'), '-cert', self.ca.path('other.crt'), '-reqout', self.ca.path('other.req'), '-no_nonce')
            with open(self.ca.path('other.req'), 'rb') as f:
                return plain(f.read())

        def refuses(request, handler):
            handler.send_error(403)

        for trick, words in ((lambda r, h: b'rubbish', 'no OCSP answer'), (lambda r, h: b'x' * 20000, 'longer than'), (lambda r, h: b'', 'no OCSP answer'),
                             (about_another, 'another certificate'), (refuses, '403'), (lambda r, h: h.wfile.write(b'SSH-2.0-x\r\n') and None, 'not speak HTTP')):
            self.ca.trick = trick
            s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingFakeTryLater off')
            s.logged('BH0191.*' + words)
            self.assertIsNone(self.staple(s), words)
        self.ca.trick, self.ca.signer = None, 'stranger'
        s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingFakeTryLater off')
        s.logged('BH0191.*not signed by')
        self.assertIsNone(self.staple(s))

    def test_old_answers_are_refused(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        first = []
        self.ca.trick = lambda request, handler: first[0]
        first.append(self.ca.answer(self.request('leaf')))
        time.sleep(2.1)
        s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingFakeTryLater off', 'SSLStaplingResponseTimeSkew 0', 'SSLStaplingResponseMaxAge 1')
        s.logged('BH0191.*(older|expired)')
        self.assertIsNone(self.staple(s))

    def request(self, name):
        openssl('ocsp', '-issuer', self.ca.path('ca.pem'), '-cert', self.ca.path(name + '.crt'), '-reqout', self.ca.path('own.req'), '-no_nonce')
        with open(self.ca.path('own.req'), 'rb') as f:
            return f.read()

    def test_delegated_signer(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        self.ca.leaf('signer', extensions='extendedKeyUsage=OCSPSigning\n')
        self.ca.signer = 'signer'
        s = self.start_with(pair, 'SSLUseStapling on')
        self.wait_staple(s, 'good')
        self.ca.leaf('wrong', extensions='extendedKeyUsage=serverAuth\n')
        self.ca.signer = 'wrong'
        s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingFakeTryLater off')
        s.logged('BH0191.*not signed by')

    def test_renewed_before_it_expires(self):
        s = self.begin('V', 'SSLStaplingStandardCacheTimeout 1')
        self.wait_staple(s, 'good')
        self.ca.state('leaf', 'R')
        self.wait_staple(s, 'revoked')
        self.assertGreater(self.ca.seen, 1)

    def test_the_job_killed(self):
        slow = threading.Event()
        self.addCleanup(slow.set)
        s = self.begin('V', 'SSLStaplingErrorCacheTimeout 1', trick=lambda request, handler: slow.wait(20) and self.ca.answer(request))
        job = wait_for(lambda: [p for p in children_of(s.pid) if process_name(p) == 'bulkhead-fetch'], 'the job')[0]
        wait_for(lambda: self.ca.seen, 'the question')
        if os.geteuid() == 0:
            with open('/proc/%d/status' % job) as f:
                text = f.read()
            self.assertRegex(text, r'CapEff:\t0+\n')
            self.assertNotIn('Uid:\t0', text)
        os.kill(job, signal.SIGKILL)
        s.logged(r'BH0191.*Killed \(9\)')
        slow.set()
        self.wait_staple(s, 'good')

    def test_must_staple(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf', extensions='tlsfeature=status_request\n')
        s = self.start_with(pair, 'SSLUseStapling off')
        s.logged('must-staple.*SSLUseStapling is off')
        self.ca.close()
        s = self.start_with(pair, 'SSLUseStapling on')
        s.logged('BH0191.*must-staple')

    def test_forced_address(self):
        self.ca = Authority(self)
        pair = self.ca.leaf('leaf')
        port = self.ca.port
        self.ca.close()
        self.ca.port = 0
        self.ca.open()
        self.assertNotEqual(port, self.ca.port)
        s = self.start_with(pair, 'SSLUseStapling on', 'SSLStaplingForceURL http://127.0.0.1:%d' % self.ca.port)
        self.wait_staple(s, 'good')


if __name__ == '__main__':
    unittest.main()
