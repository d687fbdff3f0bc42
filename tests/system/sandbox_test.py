"""The sandbox: what code that runs inside a taken-over child (fault_intruder.c) can do, compared with the table of docs/security.md; which folders
children read; what each process holds open; serving from a chroot."""
import ctypes
import os
import re
import shutil
import socket
import ssl
import tempfile
import unittest

from server import PKI, SANITIZED, ServerTest, account, alive, certificate, children_of, context, needs_root, process_name, wait_for

SECURITY = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'security.md')
INTRUDER = '<Location "/intruder">\nSetHandler test-intruder\n</Location>\n'
TLS = ('<VirtualHost *:@TLS@>\nServerName localhost\nSSLEngine on\nSSLCertificateFile "@cert@"\nSSLCertificateKeyFile "%s"\n</VirtualHost>\n'
       'SSLSessionCache shmcb:none(100000)\n')
LANDLOCK = 0 if SANITIZED else max(ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1), 0)
needs_sandbox = unittest.skipIf(SANITIZED, 'a build with sanitizers has no sandbox')
needs_landlock = unittest.skipUnless(LANDLOCK >= 6, 'this kernel has no Landlock, or an old one')


def documented():
    """The rows of the table in docs/security.md: {(attempt, on what): 'refused' or 'accepted'}."""
    with open(SECURITY) as f:
        rows = re.findall(r'^\| `([a-z0-9-]+)` \| ([^|]*?) ?\| (refused|accepted) \|', f.read(), re.M)
    return {(name, what): outcome for name, what, outcome in rows}


def segment_of(s):
    """The file of a server's session cache. Other servers' come and go meanwhile."""
    for name in os.listdir('/dev/shm'):
        try:
            with open('/dev/shm/' + name, 'rb') as f:
                if (s.dir + '/').encode() in f.read(4096):
                    return '/dev/shm/' + name
        except OSError:
            pass
    raise AssertionError('the server has no session cache')


class Intruded(ServerTest):
    """Servers with the intruder, and a key that the children's user may read, were it not for the sandbox."""

    @classmethod
    def setUpClass(cls):
        cls.key = os.path.join(PKI, 'readable.key')
        shutil.copy(certificate()[1], cls.key)
        os.chmod(cls.key, 0o644)
        cls.elsewhere = tempfile.mkdtemp(prefix='bulkhead-elsewhere-')
        cls.addClassCleanup(shutil.rmtree, cls.elsewhere, ignore_errors=True)
        os.chmod(cls.elsewhere, 0o755)
        with open(cls.elsewhere + '/file', 'w') as f:
            f.write('elsewhere\n')

    @classmethod
    def intruded(cls, conf, files=None):
        s = cls.shared(INTRUDER + TLS % cls.key + 'StartServers 2\nMinSpareServers 2\nMaxSpareServers 2\n' + conf, files)
        os.chown(s.path('htdocs'), account().pw_uid, account().pw_gid)
        os.chown(s.path('htdocs/index.html'), account().pw_uid, account().pw_gid)
        s.start()
        return s

    def attempt(self, c, name, argument=''):
        answer = c.request('/intruder/%s?%s' % (name, argument))
        self.assertEqual(answer.status, 200, (name, answer))
        return answer.body.decode().strip(), int(answer.headers['x-child'])


@needs_root
@needs_sandbox
@needs_landlock
class Intruder(Intruded):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.intruded('Options None\nProxyPass "/behind" "http://127.0.0.1:@PORT2@/"\nScriptAlias /cgi/ "@DIR@/cgi/"\n', {'cgi/x': 'x'})
        cls.wide = cls.intruded('')             # symbolic links are followed: where that is not said otherwise
        cls.local = socket.socket(socket.AF_UNIX)
        cls.addClassCleanup(cls.local.close)
        cls.local.bind(cls.elsewhere + '/socket')
        cls.local.listen(5)
        os.chmod(cls.elsewhere + '/socket', 0o777)

    def objects(self, s, sibling):
        return {
            '': [''],
            'a file of the site': [s.path('htdocs/index.html')],
            'a new file in the site': [s.path('htdocs/new')],
            'the site': [s.path('htdocs')],
            'a private key': [self.key, certificate()[1]],
            'the list of passwords': ['/etc/shadow'],
            'the session cache by its name': [segment_of(s)],
            'any other file': [self.elsewhere + '/file', s.path('logs/error_log') if s is self.wide else '/etc/hostname'],
            'another child': [sibling],
            'the master': [s.pid],
            'the keyholder': s.roles('bulkhead-keys'),
            'the logger': s.roles('bulkhead-log'),
            'the spawner': s.roles('bulkhead-spawn'),
            'another port': [s.port],
            'the port of a server behind, elsewhere': [s.expand('@PORT2@') + '@127.0.0.2'],
            'a local socket': [self.elsewhere + '/socket'],
        }

    def run_all(self, s, rows):
        with s.connect() as c:
            own = self.attempt(c, 'read', '/dev/null')[1]
            wait_for(lambda: len(s.workers()) > 1, 'there are two children')
            objects = self.objects(s, next(p for p in s.workers() if p != own))
            before = [p for word in ('child', 'keys', 'log', 'spawn') for p in s.roles('bulkhead-' + word)]
            for (name, what), outcome in rows.items():
                for argument in objects[what]:
                    with self.subTest(attempt=name, what=what, argument=argument):
                        answer, pid = self.attempt(c, name, argument)
                        self.assertEqual(pid, own)      # it was not ended by the attempt
                        self.assertEqual({'done': 'accepted'}.get(answer, answer.split(':')[0]), outcome, answer)
            self.assertEqual([p for p in before if not alive(p)], [])
            self.assertTrue(alive(s.pid))

    def test_each_attempt_ends_as_documented(self):
        rows = {k: v for k, v in documented().items() if not k[1].endswith(' (links followed)')}
        self.run_all(self.server, rows)
        self.assertFalse(os.path.exists(self.server.path('htdocs/new')))
        self.assertEqual(self.server.get('/').body, b'index\n')

    def test_where_links_are_followed(self):
        rows = {(k[0], k[1].removesuffix(' (links followed)')): v for k, v in documented().items() if k[1].endswith(' (links followed)')}
        self.assertTrue(rows)
        self.run_all(self.wide, rows)
        self.wide.logged('BH0900: children may read every file .* since symbolic links are followed where no Options says otherwise')

    def test_document_names_each_attempt(self):
        with self.server.connect() as c:
            names = {line.split()[0] for line in c.request('/intruder/list').body.decode().splitlines()}
        self.assertEqual(names, {name for name, _ in documented()})

    def test_cache_that_was_filled_still_serves(self):
        """Sessions are lost, no more: new handshakes work, and are resumed."""
        s, ctx = self.server, context(high=ssl.TLSVersion.TLSv1_2, tickets=False)
        with s.connect() as c:
            self.assertEqual(self.attempt(c, 'fill')[0], 'done')
        with s.connect(ctx=ctx) as c:
            session = c.sock.session
            self.assertEqual(c.request('/').status, 200)
        with s.connect(ctx=ctx, session=session) as c:
            self.assertTrue(c.sock.session_reused)
            self.assertEqual(c.request('/').status, 200)
