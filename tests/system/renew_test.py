"""Renewed certificates: their files change in every way that programs and people change files, and the server takes them up by itself."""
import os
import shutil
import signal
import ssl
import subprocess
import time
import unittest

import load
from load import Load
from server import ServerTest, context, wait_for

HOST = '<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile "@DIR@/%s"\nSSLCertificateKeyFile "@DIR@/%s"\n%s</VirtualHost>\n'
CHILDREN = 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\nServerLimit 2\nMaxKeepAliveRequests 0\n'
QUIET = 2


def new_pair(days=30):
    """A certificate and its key, as texts, in PEM."""
    done = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', str(days), '-subj',
                           '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', '/dev/stdout'],
                          check=True, capture_output=True, text=True)
    text = done.stdout
    at = text.index('-----BEGIN CERTIFICATE')
    return text[at:], text[:at]


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem)


class RenewTest(ServerTest):
    CERT, KEY = 'tls/cert.pem', 'tls/key.pem'

    def begin(self, conf='', host=''):
        self.old, self.new = new_pair(), new_pair()
        s = self.serve(CHILDREN + conf + HOST % (self.CERT, self.KEY, host), {self.CERT: self.old[0], self.KEY: self.old[1]})
        wait_for(lambda: len(s.workers()) == 2, 'two children')
        self.assertEqual(self.shown(s), der(self.old[0]))
        return s

    def shown(self, s):
        with s.connect(tls=True) as c:
            self.assertEqual(c.request(close=True).status, 200)
            return c.sock.getpeercert(True)

    def taken(self, s, pair=None, timeout=15):
        wanted = der((pair or self.new)[0])
        wait_for(lambda: self.shown(s) == wanted, lambda: 'the new certificate is shown; the log has:\n' + s.error_log[-3000:], timeout)

    def put(self, s, name, text):
        """As careful programs do."""
        path = s.write(name + '.tmp', text, 0o600)
        os.rename(path, s.path(name))

    def stays(self, s, seconds=QUIET + 1.5):
        """Nothing happens: no new children, no line in the log."""
        wait_for(lambda: len(s.workers()) == 2, 'two children')
        workers, said = sorted(s.workers()), s.error_log
        time.sleep(seconds)
        self.assertEqual(s.error_log, said)
        self.assertEqual(sorted(s.workers()), workers)


class Ways(RenewTest):
    def test_atomic_renames(self):
        s = self.begin()
        self.put(s, self.CERT, self.new[0])
        self.put(s, self.KEY, self.new[1])
        self.taken(s)
        s.logged(r'BH0195: (certificate|private key) of \S+ changed \(%s\): restarting gracefully' % s.path('tls/...?.?.pem'))
        s.logged(r'BH0199: the certificate of \S+ is valid until \d+-\d\d-\d\d')
        self.assertNotIn('BH0196', s.error_log)
        self.stays(s)

    def test_again_and_again(self):
        s = self.begin()
        for _ in range(3):
            self.new = new_pair()
            self.put(s, self.KEY, self.new[1])
            self.put(s, self.CERT, self.new[0])
            self.taken(s)
        wait_for(lambda: s.error_log.count('BH0102') == 3, 'three restarts')

    def test_in_place(self):
        s = self.begin()
        s.write(self.CERT, self.new[0])
        s.write(self.KEY, self.new[1])
        self.taken(s)

    def test_in_two_steps(self):
        s = self.begin()
        self.put(s, self.CERT, self.new[0])
        time.sleep(1)
        self.put(s, self.KEY, self.new[1])
        self.taken(s)
        self.assertNotIn('BH0196', s.error_log)
        self.assertEqual(s.error_log.count('BH0102'), 1)

    def test_certificate_alone(self):
        """The same key, as many renew."""
        s = self.begin()
        with open(s.path('again.pem'), 'w') as out:
            subprocess.run(['openssl', 'req', '-x509', '-key', s.path(self.KEY), '-days', '60', '-subj', '/CN=localhost', '-addext',
                            'subjectAltName=DNS:localhost'], check=True, stdout=out, stderr=subprocess.DEVNULL)
        renewed = s.read('again.pem')
        os.rename(s.path('again.pem'), s.path(self.CERT))
        self.taken(s, (renewed,))

    def test_removed_and_made_anew(self):
        s = self.begin()
        for name in (self.CERT, self.KEY):
            os.unlink(s.path(name))
        s.logged(r'BH0196: certificate of \S+ is gone \(%s\), but what is there now cannot be used' % s.path(self.CERT))
        self.assertEqual(self.shown(s), der(self.old[0]))
        s.write(self.CERT, self.new[0])
        s.write(self.KEY, self.new[1])
        self.taken(s)

    def test_removed_and_put_back(self):
        s = self.begin()
        workers = sorted(s.workers())
        os.rename(s.path(self.CERT), s.path('elsewhere'))
        s.logged('BH0196')
        os.rename(s.path('elsewhere'), s.path(self.CERT))
        self.stays(s)
        self.assertEqual(sorted(s.workers()), workers)

    def test_another_folder_in_its_place(self):
        s = self.begin()
        s.write('tls.new/cert.pem', self.new[0])
        s.write('tls.new/key.pem', self.new[1])
        os.rename(s.path('tls'), s.path('tls.old'))
        os.rename(s.path('tls.new'), s.path('tls'))
        self.taken(s)
        self.new = new_pair()
        s.write(self.CERT, self.new[0])
        s.write(self.KEY, self.new[1])
        self.taken(s)

    def test_ticket_keys(self):
        self.old, self.new = new_pair(), new_pair()
        s = self.configure(CHILDREN + HOST % (self.CERT, self.KEY, 'SSLSessionTicketKeyFile "@DIR@/tickets"\n'),
                           {self.CERT: self.old[0], self.KEY: self.old[1], 'tickets': os.urandom(80)})
        os.chmod(s.path('tickets'), 0o600)
        s.start()
        self.put(s, 'tickets', os.urandom(80))
        s.logged(r'BH0195: ticket key of \S+ changed \(%s\)' % s.path('tickets'))
        s.logged('BH0102')


class Certbot(RenewTest):
    """live/NAME/*.pem are links to ../../archive/NAME/*1.pem; a renewal writes *2.pem and makes the links anew."""
    CERT, KEY = 'le/live/localhost/fullchain.pem', 'le/live/localhost/privkey.pem'
    NAMES = ('cert', 'chain', 'fullchain', 'privkey')

    def store(self, s, number, pair):
        for name in self.NAMES:
            s.write('le/archive/localhost/%s%d.pem' % (name, number), pair[name == 'privkey'], 0o600)
        for name in self.NAMES:
            link = s.path('le/live/localhost/%s.pem' % name)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink('../../archive/localhost/%s%d.pem' % (name, number), link)

    def begin(self):
        self.old, self.new = new_pair(), new_pair()
        s = self.configure(CHILDREN + HOST % (self.CERT, self.KEY, ''))
        self.store(s, 1, self.old)
        s.start()
        self.assertEqual(self.shown(s), der(self.old[0]))
        return s

    def test_renewals(self):
        s = self.begin()
        for number in (2, 3):
            self.new = new_pair()
            self.store(s, number, self.new)
            self.taken(s)
        self.assertNotIn('BH0196', s.error_log)

    def test_in_the_archive_itself(self):
        s = self.begin()
        for name in self.NAMES:
            self.put(s, 'le/archive/localhost/%s1.pem' % name, self.new[name == 'privkey'])
        self.taken(s)

    def test_link_of_a_folder(self):
        """As live → 2026-11: another folder by one rename of a link."""
        s = self.begin()
        os.rename(s.path('le/live/localhost'), s.path('le/live/one'))
        os.symlink('one', s.path('le/live/localhost'))
        self.stays(s)
        for name in self.NAMES:
            s.write('le/live/two/%s.pem' % name, self.new[name == 'privkey'], 0o600)
        os.symlink('two', s.path('le/live/next'))
        os.rename(s.path('le/live/next'), s.path('le/live/localhost'))
        self.taken(s)


class Bad(RenewTest):
    def test_pair_that_does_not_fit(self):
        s = self.begin()
        workers = sorted(s.workers())
        self.put(s, self.CERT, self.new[0])
        s.logged(r'BH0151: .*the certificate in %s \(key id \S+ and the private key in %s \(key id \S+ do not match' % (
            s.path(self.CERT), s.path(self.KEY)))
        s.logged(r'BH0196: certificate of \S+ changed \(%s\), but .*goes on with what it has, and tries again at the next change and in 60 s' % s.path(self.CERT))
        self.assertEqual(self.shown(s), der(self.old[0]))
        os.utime(s.path(self.KEY))
        self.stays(s)                                   # looked at again, and told once
        self.assertEqual(sorted(s.workers()), workers)
        self.put(s, self.KEY, self.new[1])
        self.taken(s)

    def test_garbage(self):
        s = self.begin()
        for text in ('', 'rubbish\n' * 1000, self.new[0][:200], b'\0' * 5000):
            with self.subTest(text[:10]):
                before = s.error_log.count('BH0196')
                s.write(self.CERT, text)
                wait_for(lambda: s.error_log.count('BH0196') == before + 1, lambda: 'it is refused: ' + s.error_log[-2000:])
                self.assertEqual(self.shown(s), der(self.old[0]))
        self.assertNotIn('BH0195', s.error_log)
        s.write(self.CERT, self.old[0])
        self.stays(s)

    def test_no_plain_files(self):
        s = self.begin()
        os.unlink(s.path(self.CERT))
        os.mkfifo(s.path(self.CERT))
        s.logged('BH0196')
        os.unlink(s.path(self.CERT))
        os.mkdir(s.path(self.CERT))
        time.sleep(QUIET + 1)
        self.assertEqual(self.shown(s), der(self.old[0]))
        os.rmdir(s.path(self.CERT))
        os.symlink('cert.pem', s.path(self.CERT))       # to itself
        time.sleep(QUIET + 1)
        self.assertEqual(self.shown(s), der(self.old[0]))
        os.unlink(s.path(self.CERT))
        s.write(self.CERT, self.new[0])
        s.write(self.KEY, self.new[1])
        self.taken(s)

    def test_configuration_that_changed_too(self):
        """What the administrator is about to write does not become active by a renewal."""
        s = self.begin('Header set X-Gen old\n')
        case = s.read('case.conf')
        s.write('case.conf', case.replace('X-Gen old', 'X-Gen new'))
        self.put(s, self.CERT, self.new[0])
        self.put(s, self.KEY, self.new[1])
        s.logged(r'BH0197: \S.* changed \(.*\), but the configuration was changed as well \(%s:6\)' % s.path('case.conf'))
        self.assertEqual(s.get().headers['x-gen'], 'old')
        self.assertEqual(self.shown(s), der(self.old[0]))
        s.write('case.conf', case.replace('X-Gen old', 'X-Gen new') + 'NoSuchDirective 1\n')
        os.utime(s.path(self.KEY))
        time.sleep(QUIET + 1)
        self.assertEqual(s.get().headers['x-gen'], 'old')
        s.write('case.conf', '# a comment\n' + case)
        os.utime(s.path(self.KEY))
        self.taken(s)
        self.assertEqual(s.get().headers['x-gen'], 'old')

    def test_by_hand_meanwhile(self):
        s = self.begin('Header set X-Gen old\n')
        s.write('case.conf', s.read('case.conf').replace('X-Gen old', 'X-Gen new'))
        self.put(s, self.CERT, self.new[0])
        self.put(s, self.KEY, self.new[1])
        os.kill(s.pid, signal.SIGUSR1)
        self.taken(s)
        self.assertEqual(s.get().headers['x-gen'], 'new')
        self.stays(s)
        self.assertNotIn('BH0195', s.error_log)


class Nothing(RenewTest):
    def test_unrelated_files(self):
        s = self.begin()
        for n in range(20):
            s.write('tls/other%d' % n, 'x')
            os.rename(s.path('tls/other%d' % n), s.path('tls/another'))
        s.write('new/folder', 'x')
        shutil.rmtree(s.path('new'))
        self.stays(s)
        self.assertNotRegex(s.error_log, 'BH019[5-9]')

    def test_touched_and_copied(self):
        """The certificate's contents are compared; of a key only what stat() says, and that stays."""
        s = self.begin()
        os.utime(s.path(self.CERT))
        os.chmod(s.path(self.KEY), 0o400)
        self.stays(s)
        self.put(s, self.CERT, self.old[0])
        with open(s.path(self.KEY), 'rb') as f:
            f.read()
        self.stays(s)
        self.assertNotRegex(s.error_log, 'BH019[5-9]')

    def test_off(self):
        s = self.begin('SSLCertificateWatch off\n')
        self.put(s, self.CERT, self.new[0])
        self.put(s, self.KEY, self.new[1])
        self.stays(s)
        self.assertEqual(self.shown(s), der(self.old[0]))

    def test_idle_master_sleeps(self):
        s = self.begin()
        self.put(s, self.CERT, self.new[0])
        self.put(s, self.KEY, self.new[1])
        self.taken(s)
        wait_for(lambda: len(s.workers()) == 2, 'the new children alone')
        time.sleep(3)

        def switches():
            with open('/proc/%d/status' % s.pid) as f:
                return sum(int(line.split()[1]) for line in f if 'ctxt_switches' in line)
        before = switches()
        time.sleep(3)
        self.assertLessEqual(switches() - before, 1)


class UnderLoad(RenewTest):
    def test_nothing_is_lost_and_sessions_stay(self):
        s = self.begin('SSLSessionCache "shmcb:@DIR@/run/cache(512000)"\n')
        sessions = []
        for high, tickets in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            for _ in range(10):
                ctx = context(high, tickets)
                with s.connect(ctx=ctx) as c:
                    self.assertEqual(c.request().status, 200)
                    sessions.append((ctx, c.sock.session))
        with Load(s, load.ALL) as clients:
            for _ in range(2):
                self.new = new_pair()
                self.put(s, self.KEY, self.new[1])
                self.put(s, self.CERT, self.new[0])
                self.taken(s)
            time.sleep(0.5)
        clients.tell(self)
        self.assertEqual(clients.failed, [])
        self.assertGreater(len(clients.answered), 300)
        for ctx, session in sessions:
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual((c.request().status, c.sock.session_reused), (200, True))

    def test_children_and_keyholders_killed_meanwhile(self):
        s = self.begin()
        self.put(s, self.KEY, self.new[1])
        self.put(s, self.CERT, self.new[0])
        end = time.monotonic() + QUIET + 1.5
        while time.monotonic() < end:
            for pid in s.workers()[:1] + s.roles('keys')[:1] + s.roles('check'):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
        if 'BH0195' not in s.error_log:                 # the check itself was killed: at the next change
            os.utime(s.path(self.CERT))
        wait_for(lambda: 'BH0102' in s.error_log, lambda: 'it is renewed: ' + s.error_log[-3000:], 20)
        self.taken(s)


if __name__ == '__main__':
    unittest.main()
