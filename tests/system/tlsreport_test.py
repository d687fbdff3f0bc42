"""
What testssl.sh says of a server without any SSL directive beside those that a host with TLS must have: nothing above LOW. Its checks
mostly wait, so that they run beside each other. The certificate is of an authority that the scan knows.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from server import Server

# Each for itself; together all that is about TLS. What browsers see in HTTP (-h) is the administrator's choice, as HSTS is.
PARTS = (('-p', '-f'), ('-s',), ('-S',), ('-H', '-I', '-T', '--robot', '-R', '-C', '-B'), ('-O', '-Z', '-W', '-A', '-L', '-F', '-J', '-D', '-4'))
BAD = ('MEDIUM', 'HIGH', 'CRITICAL', 'FATAL')
# What must have been looked at, and what it must have been found to be: a scan that saw nothing is no report.
SEEN = {
    'SSLv2': 'OK', 'SSLv3': 'OK', 'TLS1': 'INFO', 'TLS1_1': 'INFO', 'TLS1_2': 'OK', 'TLS1_3': 'OK', 'PFS': 'OK', 'cipherlist_NULL': 'OK', 'cipherlist_aNULL': 'OK',
    'cipherlist_EXPORT': 'OK', 'cipherlist_LOW': 'OK', 'cipherlist_STRONG': 'OK', 'cert_trust': 'OK', 'cert_chain_of_trust': 'OK', 'heartbleed': 'OK', 'CCS': 'OK',
    'ticketbleed': 'OK', 'ROBOT': 'OK', 'secure_renego': 'OK', 'secure_client_renego': 'OK', 'CRIME_TLS': 'OK', 'POODLE_SSL': 'OK', 'fallback_SCSV': 'OK',
    'SWEET32': 'OK', 'FREAK': 'OK', 'DROWN': 'OK', 'LOGJAM': 'OK', 'BEAST': 'OK', 'LUCKY13': 'OK', 'RC4': 'OK',
}
# Of the machine that scans, not of the server.
NOT_OURS = {'engine_problem', 'DNS_CAArecord'}


def openssl(*args, cwd):
    subprocess.run(['openssl', *args], cwd=cwd, check=True, capture_output=True)


def certificates(folder):
    with open(os.path.join(folder, 'ext'), 'w') as f:
        f.write('subjectAltName=DNS:localhost,IP:127.0.0.1\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n'
                'crlDistributionPoints=URI:http://127.0.0.1:9/crl\n')
    new = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
    openssl('req', '-x509', *new, '-days', '100', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem', '-addext', 'basicConstraints=critical,CA:TRUE', cwd=folder)
    openssl('req', *new, '-subj', '/CN=localhost', '-keyout', 'host.key', '-out', 'host.csr', cwd=folder)
    openssl('x509', '-req', '-in', 'host.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '90', '-extfile', 'ext', '-out', 'host.pem', cwd=folder)


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bulkhead-report-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        certificates(self.folder)
        self.assertIsNotNone(shutil.which('testssl'), 'testssl.sh is missing: .ci/setup test')

    def scan(self, port):
        """The findings of all parts, by id."""
        running = []
        for n, part in enumerate(PARTS):
            out = os.path.join(self.folder, 'part%d.json' % n)
            command = ['testssl', '--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--add-ca', os.path.join(self.folder, 'ca.pem'),
                       '--jsonfile', out, *part, '127.0.0.1:%d' % port]
            running.append((out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder)))
        found = {}
        for out, process in running:
            text, _ = process.communicate(timeout=200)
            self.assertTrue(os.path.exists(out), text)
            with open(out) as f:
                for finding in json.load(f):
                    found[finding['id']] = finding
        return found

    def test_default_configuration(self):
        server = Server('<VirtualHost *:@TLS@>\nServerName localhost\nSSLEngine on\nSSLCertificateFile %s/host.pem\nSSLCertificateKeyFile %s/host.key\n</VirtualHost>\n'
                        % (self.folder, self.folder))
        self.addCleanup(server.remove)
        self.addCleanup(server.stop)
        server.start()
        found = self.scan(server.tls_port)
        bad = {name: f for name, f in found.items() if f['severity'] in BAD and name not in NOT_OURS}
        self.assertEqual(bad, {})
        self.assertEqual({name: found.get(name, {}).get('severity') for name in SEEN}, SEEN)
        # Only by choice.
        self.assertNotIn('strict-transport-security', server.get(tls=True).headers)


if __name__ == '__main__':
    unittest.main()
