"""Keys and certificates on a PKCS#11 token (SoftHSM): used by the keyholder alone, opened again by its successor, and faults that explain themselves."""
import glob
import os
import pwd
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import unittest

from server import ServerTest, certificate, context, needs_root, wait_for

MODULE = '/usr/lib/softhsm/libsofthsm2.so'
PIN = 'blue-harbour-93'


def keyholder_account():
    for name in ('_bulkhead-key', 'www-data'):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass


@needs_root
class Tokens(ServerTest):
    @classmethod
    def setUpClass(cls):
        assert os.path.exists(MODULE), 'softhsm2 is missing: .ci/setup test'
        cls.dir = tempfile.mkdtemp(prefix='bulkhead-token-')
        os.chmod(cls.dir, 0o755)
        os.mkdir(cls.dir + '/tokens')
        with open(cls.dir + '/softhsm.conf', 'w') as f:
            f.write('directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' % cls.dir)
        cls.env = {'SOFTHSM2_CONF': cls.dir + '/softhsm.conf'}
        env = dict(os.environ, GNUTLS_PIN=PIN, **cls.env)
        subprocess.run(['softhsm2-util', '--init-token', '--free', '--label', 'site', '--pin', PIN, '--so-pin', '12345678'], env=env, check=True, capture_output=True)
        for kind in ('ec', 'rsa'):
            cert, key = certificate(kind + '.test', kind)
            for load in ('--load-privkey=' + key, '--load-certificate=' + cert):
                subprocess.run(['p11tool', '--provider', MODULE, '--batch', '--login', '--write', '--label', kind, '--id', '0' + str(len(kind)), load, 'pkcs11:token=site'],
                               env=env, check=True, capture_output=True)
        for name in (cls.dir + '/tokens', *glob.glob(cls.dir + '/tokens/**', recursive=True)):
            os.chown(name, keyholder_account().pw_uid, keyholder_account().pw_gid)
        with open(cls.dir + '/pin', 'w') as f:
            f.write(PIN + '\n')
        os.chmod(cls.dir + '/pin', 0o600)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    def prepare(self, cert, key, *lines):
        return self.configure('StartServers 2\n%s\n<VirtualHost *:@TLS@>\nServerName ec.test\nSSLEngine on\nSSLCertificateFile "%s"\nSSLCertificateKeyFile "%s"\n</VirtualHost>\n'
                              % ('\n'.join(lines), cert, key))

    def shake(self, s, high=None):
        with s.connect(ctx=context(high), sni='ec.test') as c:
            shown = ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True))
            return c.request(host='ec.test').status, shown

    def test_used_killed_and_restarted(self):
        uri = 'pkcs11:token=site;object=%s?pin-source=file:' + self.dir + '/pin'
        s = self.prepare(uri % 'ec', uri % 'ec')
        self.assertIn('BH0703', s.start(self.env).error_log)
        with open(certificate('ec.test')[0]) as f:
            want = (200, f.read())
        self.assertEqual([self.shake(s, v) for v in (None, ssl.TLSVersion.TLSv1_2)], [want] * 2)
        for pid in s.workers() + [s.pid]:
            with open('/proc/%d/maps' % pid) as f:
                self.assertNotIn('softhsm', f.read())
        from keyholder_test import found_in, key_bytes
        secrets = [*key_bytes(certificate('ec.test')[1]), PIN.encode()]
        for pid in s.workers() + [s.pid]:
            self.assertEqual(found_in(pid, secrets), set(), pid)
        # The successor opens the token by itself.
        for pid in s.roles('keys'):
            os.kill(pid, signal.SIGKILL)
        self.assertEqual([self.shake(s) for _ in range(6)], [want] * 6)
        old = s.workers()
        self.assertEqual(s.run('-k', 'graceful', env=self.env).returncode, 0)
        wait_for(lambda: s.workers() and not set(old) & set(s.workers()), 'the old children end', 20)
        self.assertEqual(self.shake(s), want)
        self.assertNotIn(PIN, s.error_log)

    def test_rsa_with_a_pin_that_is_asked_for_once(self):
        s = self.prepare(certificate('rsa.test', 'rsa')[0], 'pkcs11:token=site;object=rsa', 'SSLPassPhraseDialog "exec:@DIR@/ask"')
        s.write('ask', '#!/bin/sh\nrm "$0"\necho %s\n' % PIN, 0o755)
        s.start(self.env)
        for pid in s.roles('keys'):
            os.kill(pid, signal.SIGKILL)
        for high in (None, ssl.TLSVersion.TLSv1_2):
            self.assertEqual(self.shake(s, high)[0], 200)
        self.assertNotIn(PIN, s.error_log)

    def test_in_one_process(self):
        uri = 'pkcs11:token=site;object=ec?pin-value=' + PIN
        s = self.prepare(uri, uri)
        os.environ.update(self.env)
        try:
            s.start_foreground('-X', wait=s.tls_port)
        finally:
            os.environ.pop('SOFTHSM2_CONF')
        self.assertEqual(self.shake(s)[0], 200)

    def test_check_opens_no_token(self):
        done = self.prepare('pkcs11:token=nowhere;object=ec', 'pkcs11:token=nowhere;object=ec?pin-value=x').run('-t', env=self.env)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'pkcs11:token=nowhere;object=ec is on a token, which a check does not open')

    def test_faults(self):
        cert = certificate('ec.test')[0]
        rows = (
            ('pkcs11:token=nowhere;object=ec?pin-value=x', self.env, r'there is no token pkcs11:token=nowhere; .*p11tool --list-tokens'),
            ('pkcs11:token=site;object=ec?pin-value=wrong-pin', self.env, r'the PIN for the private key pkcs11:token=site;object=ec is wrong; .*pin-source'),
            ('pkcs11:token=site;object=none?pin-value=' + PIN, self.env, r'there is no private key pkcs11:token=site;object=none on its token; .*--list-all pkcs11:token=site'),
            ('pkcs11:token=site;object=ec?pin-source=file:/nowhere/pin', self.env, r'/nowhere/pin with the PIN for pkcs11:token=site;object=ec cannot be opened: No such file'),
            ('pkcs11:token=site;object=ec?pin-value=x', {'SOFTHSM2_CONF': '/nowhere'}, r'no PKCS#11 module offers a token; .*p11-kit'),
            ('pkcs11:token=site;object=rsa?pin-value=' + PIN, self.env, r'do not match'),
        )
        for uri, env, words in rows:
            s = self.prepare(cert, uri)
            done = s.run('-k', 'start', env=env)
            text = done.stdout + s.error_log
            self.assertNotEqual(done.returncode, 0, uri)
            self.assertTrue(re.search(words, text), (uri, text))
            self.assertNotIn('wrong-pin', text)
            self.assertNotIn(PIN, text)


if __name__ == '__main__':
    unittest.main()
