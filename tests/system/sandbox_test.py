"""The sandbox: what code that runs inside a taken-over child (fault_intruder.c) can do, compared with the table of docs/security.md; which folders
children read; what each process holds open; serving from a chroot."""
import ctypes
import errno
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

from faults_test import PRELOAD, Control
from server import PKI, SANITIZED, ServerTest, account, alive, certificate, children_of, context, names_localhost, needs_root, process_name, wait_for

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


@needs_root
@needs_sandbox
@needs_landlock
class Folders(Intruded):
    """Which files children read, as the configuration says."""

    BOUNDED = 'Options None\n'

    def link(self, s, name, to):
        os.symlink(to, s.path('htdocs/' + name))

    def test_site_that_is_replaced_is_served(self):
        """A rule holds for the folder that lay there when the child began: so the one above is given."""
        s = self.serve(self.BOUNDED + INTRUDER + 'Alias "/later/" "@DIR@/later/"\n<Directory "@DIR@/later">\nRequire all granted\n</Directory>\n')
        self.assertEqual(s.get('/').status, 200)
        self.assertNotIn('BH0900', s.error_log)
        with s.connect() as c:
            self.assertEqual(self.attempt(c, 'read', self.elsewhere + '/file')[0], 'refused: EACCES')
        os.rename(s.path('htdocs'), s.path('htdocs.before'))
        s.write('htdocs/index.html', 'new\n')
        s.write('later/x', 'later\n')
        self.assertEqual(s.get('/').body, b'new\n')
        self.assertEqual(s.get('/later/x').body, b'later\n')

    def test_links_lead_anywhere_unless_folders_are_named(self):
        s = self.serve(INTRUDER)
        self.link(s, 'away', self.elsewhere + '/file')
        self.assertEqual(s.get('/away').body, b'elsewhere\n')
        self.assertIn('BH0900', s.error_log)

    def test_named_folders(self):
        s = self.serve(INTRUDER + 'SandboxPaths "@DIR@/more"\n', {'more/file': 'more\n'})
        self.link(s, 'away', self.elsewhere + '/file')
        self.link(s, 'more', s.path('more/file'))
        self.assertEqual(s.get('/').status, 200)
        self.assertEqual(s.get('/more').body, b'more\n')
        self.assertEqual(s.get('/away').status, 403)
        self.assertNotIn('BH0900', s.error_log)

    def test_roots_alone(self):
        s = self.serve(INTRUDER + 'SandboxPaths roots\n', {'more/file': 'more\n'})
        self.link(s, 'more', s.path('more/file'))
        self.assertEqual(s.get('/').status, 200)
        self.assertEqual(s.get('/more').status, 403)
        s.logged(r'BH0422: .*/more denied: it lies outside of what the children may read, .*SandboxPaths')
        os.chmod(s.path('more/file'), 0o600)
        self.assertEqual(s.get('/more').status, 403)
        s.logged(r'BH0422: .*/more denied: the file may not be read by uid \d+; chmod o\+r')

    def test_restart_that_changes_it_tells_it_once(self):
        s = self.serve(INTRUDER + 'SandboxPaths roots\n')
        self.assertNotIn('BH090', s.error_log)
        for n, conf in enumerate((INTRUDER, '# nothing else\n' + INTRUDER, INTRUDER + 'SandboxPaths off\n'), 2):
            s.write('case.conf', conf)
            self.assertEqual(s.run('-k', 'graceful').returncode, 0)
            s.logged('BH0102: generation %d serves' % n)
            wait_for(lambda: s.read('case.conf') == conf and s.get('/').status == 200, 'it serves')
        s.logged('BH0903')
        self.assertEqual(len(re.findall('BH0900', s.error_log)), 1)

    def test_off(self):
        s = self.serve(INTRUDER + 'SandboxPaths off\n')
        os.chown(s.path('htdocs'), account().pw_uid, account().pw_gid)
        with s.connect() as c:
            self.assertEqual(self.attempt(c, 'create-unseen', s.path('htdocs/new'))[0], 'done')
        self.assertTrue(os.path.exists(s.path('htdocs/new')))
        self.assertIn('BH0903: SandboxPaths off', s.error_log)

    def test_bounded_children_do_what_sites_need(self):
        s = self.serve(self.BOUNDED + '''
            LogFormat "%h" short
            <Directory "@DIR@/htdocs/list">
            Options Indexes
            </Directory>
            <Directory "@DIR@/htdocs/closed">
            AuthType Basic
            AuthName x
            AuthUserFile "@DIR@/users/list"
            Require valid-user
            </Directory>
            RewriteEngine On
            RewriteMap m "txt:@DIR@/users/map"
            RewriteRule ^/mapped/(.*) /${m:$1}
            ErrorDocument 404 /gone.html
            ''', {'users/list': 'a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n', 'users/map': 'one list/file\n', 'htdocs/list/file': 'file\n', 'htdocs/gone.html': 'gone\n',
                  'htdocs/closed/index.html': 'closed\n'})
        self.assertIn('BH0900', s.error_log)            # the rule makes paths of what the request says
        os.unlink(s.path('httpd.conf'))
        for path, status, body in (('/list/', 200, b'file'), ('/list/file', 200, b'file\n'), ('/mapped/one', 200, b'file\n'), ('/none', 404, b'gone\n')):
            answer = s.get(path)
            self.assertEqual(answer.status, status, path)
            self.assertIn(body, answer.body)
        self.assertEqual(s.get('/closed/').status, 401)
        # An editor puts another file in the place of the list.
        s.write('users/list.new', 'b:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n')
        os.rename(s.path('users/list.new'), s.path('users/list'))
        self.assertEqual(s.get('/closed/', headers='Authorization: Basic YTp0ZXN0\r\n').status, 401)
        self.assertEqual(s.get('/closed/', headers='Authorization: Basic Yjp0ZXN0\r\n').status, 200)


# Runs a program on a kernel that does not know Landlock: its calls fail as those of a kernel do that was told not to have it.
NO_LANDLOCK = '''
import ctypes, os, sys
lib = ctypes.CDLL('libseccomp.so.2')
lib.seccomp_init.restype = ctypes.c_void_p
ctx = ctypes.c_void_p(lib.seccomp_init(0x7fff0000))
assert lib.seccomp_rule_add(ctx, 0x00050000 | 95, 444, 0) == 0 and lib.seccomp_load(ctx) == 0
os.execv(sys.argv[1], sys.argv[1:])
'''


@needs_root
@needs_sandbox
class Degraded(Intruded):
    def test_without_landlock_it_serves_and_says_so(self):
        s = self.configure(INTRUDER)
        s.start_foreground('-D', 'FOREGROUND', prefix=(sys.executable, '-c', NO_LANDLOCK))
        s.logged('BH0901: Landlock is switched off')
        self.assertEqual(s.get('/').status, 200)
        with s.connect() as c:          # the table of calls stands
            self.assertEqual(self.attempt(c, 'create', s.path('htdocs/new'))[0], 'refused: sandbox')
            self.assertEqual(self.attempt(c, 'fork')[0], 'refused: sandbox')


@needs_root
@needs_sandbox
class Older(Intruded):
    """Kernels and containers that have less: the preloaded library answers as they do."""

    def begin(self, conf='', **numbers):
        s = self.configure(INTRUDER + 'StartServers 1\nServerLimit 1\n' + conf)
        for name, value in numbers.items():
            setattr(Control(s.path('faults')), name, value)
        os.chown(s.path('htdocs'), account().pw_uid, account().pw_gid)
        os.chown(s.path('htdocs/index.html'), account().pw_uid, account().pw_gid)
        s.start(env={'LD_PRELOAD': PRELOAD, 'FAULTS_CONTROL': s.path('faults')})
        self.assertEqual(s.get('/').status, 200)
        return s

    @needs_landlock
    def test_versions_of_landlock(self):
        """Each bounds what it can, and the log names the rest."""
        for version, lacks in (1, 'cutting files, connections, signals'), (2, 'cutting files, connections, signals'), (3, 'connections, signals'), (5, 'signals'):
            with self.subTest(version):
                s = self.begin('SandboxPaths roots\nProxyPass "/behind" "http://127.0.0.1:@PORT2@/"\n', landlock=version)
                s.logged(r"BH0901: %s: this kernel's Landlock \(version %d\) does not bound these; a newer kernel does" % (lacks, version))
                self.assertNotIn('BH0902', s.error_log)
                with s.connect() as c:
                    for attempt, argument, refused in (
                            ('read', self.elsewhere + '/file', True), ('create-unseen', s.path('htdocs/new'), True), ('change-unseen', s.path('htdocs/index.html'), True),
                            ('exec', '', True), ('connect', str(s.port), version >= 4)):
                        self.assertEqual(self.attempt(c, attempt, argument)[0].startswith('refused'), refused, (attempt, version))
                s.stop()

    def test_none_and_forbidden(self):
        for error, words in (errno.ENOSYS, 'this kernel has no Landlock, or this container forbids it'), (errno.EPERM, 'this container forbids Landlock'):
            with self.subTest(words):
                s = self.begin(landlock=-error)
                s.logged('BH0901: %s: accounts and file modes alone bound' % words)
                with s.connect() as c:
                    self.assertEqual(self.attempt(c, 'create', s.path('htdocs/new'))[0], 'refused: sandbox')
                s.stop()

    def test_without_seccomp(self):
        for error, words in (errno.ENOSYS, 'this kernel has no seccomp, or this container forbids it'), (errno.EPERM, 'this container forbids seccomp'):
            with self.subTest(words):
                s = self.begin('SandboxPaths roots\n', seccomp=error)
                s.logged('BH0115: %s: the processes run without their lists of system calls' % words)
                if LANDLOCK:
                    with s.connect() as c:
                        self.assertTrue(self.attempt(c, 'read', self.elsewhere + '/file')[0].startswith('refused'))
                s.stop()

    @needs_landlock
    def test_rules_that_are_not_taken(self):
        s = self.begin(restrict=errno.EPERM)
        s.logged(r"BH0902: Landlock's rules cannot be set: .*: this child can reach what its account can")
        with s.connect() as c:
            self.assertEqual(self.attempt(c, 'create', s.path('htdocs/new'))[0], 'refused: sandbox')


KNOWN = {       # what each role has open, by what /proc says it is, with the most there may be of each; "socket" is counted apart
    'child': {'/dev/null': 4, 'maps': 1, 'coredump_filter': 1, 'lock': 1, 'pipe': 3, 'pidfd': 1, 'eventfd': 4, 'eventpoll': 1, 'socket': 6},
    'keys': {'/dev/null': 3, 'eventpoll': 1, 'eventfd': 1, 'pidfd': 1, 'socket': 3},
    'log': {'/dev/null': 3, 'eventfd': 1, 'pipe': 1, 'socket': 1, 'error_log': 1, 'access_log': 1},
    'spawn': {'/dev/null': 3, 'eventpoll': 1, 'signalfd': 1, 'socket': 3},
    'names': {'/dev/null': 3, 'eventpoll': 1, 'socket': 3},
}


@needs_root
@needs_sandbox
class Descriptors(Intruded):
    """Two children, one port each of plain HTTP and TLS, and every helper there is: nobody holds what it does not need."""

    def kinds(self, pid):
        found = {}
        for fd in os.listdir('/proc/%d/fd' % pid):
            try:
                link = os.readlink('/proc/%d/fd/%s' % (pid, fd))
            except FileNotFoundError:
                continue
            kind = re.sub(r'^(pipe|socket):.*', r'\1', re.sub(r'^anon_inode:\[?(\w+)\]?$', r'\1', link))
            if kind == link and link != '/dev/null':
                kind = 'lock' if link.endswith('.lock') else os.path.basename(link)
            found[kind] = found.get(kind, 0) + 1
        return found

    def test_each_role_has_few_and_known(self):
        s = self.serve(INTRUDER + TLS % self.key + '''
            StartServers 2
            ScriptAlias "/cgi/" "@DIR@/cgi/"
            LogFormat "%h" short
            CustomLog "@DIR@/logs/access_log" short
            <Location "/named">
            Require host localhost
            </Location>
            ''', {'cgi/x': 'x'})
        self.assertEqual(s.get('/').status, 200)
        for role, known in KNOWN.items():
            for pid in wait_for(lambda: s.roles('bulkhead-' + role), 'there is a ' + role):
                def fits():
                    found = self.kinds(pid)
                    return all(n <= known.get(kind, 0) for kind, n in found.items())
                # A connection that was just answered may be open for a moment.
                wait_for(fits, lambda: '%s has only %s; it has %s' % (role, known, self.kinds(pid)))


@needs_root
class Chroot(Intruded):
    TOKYO = 'mount --make-rprivate / && mount --bind /usr/share/zoneinfo/Asia/Tokyo "$(readlink -f /etc/localtime)"'

    def into(self, s, *programs):
        """Puts programs into the jail, with the libraries that they need."""
        for program in programs:
            libraries = re.findall(r'(/\S+) \(0x', subprocess.run(['ldd', program], capture_output=True, text=True).stdout)
            for path in [program, *libraries]:
                os.makedirs(os.path.dirname(s.path('jail' + path)), exist_ok=True)
                shutil.copy(path, s.path('jail' + path))

    def application(self, s):
        """A FastCGI server at a socket inside: says which file it is asked for."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(s.path('jail/run/app'))
        os.chmod(s.path('jail/run/app'), 0o777)
        listener.listen(5)

        def answer():
            with listener.accept()[0] as c:
                asked = re.search(rb'SCRIPT_FILENAME(proxy:fcgi://localhost)?(/[a-z/.]*php)', c.recv(65536))
                page = b'Content-Type: text/plain\r\n\r\n' + asked[2]
                c.sendall(b'\1\6\0\1\0%c\0\0%s\1\3\0\1\0\x08\0\0%s' % (len(page), page, bytes(8)))
        threading.Thread(target=answer, daemon=True).start()

    def test_programs_pages_and_servers(self):
        """What a site has beside files works from inside, in the time zone of the machine; without what it needs the log says so."""
        s = self.configure('''\
            ChrootDir "@DIR@/jail"
            CoreDumpDirectory "/crash"
            DocumentRoot "/site"
            <Directory "/site">
            Options ExecCGI Includes
            </Directory>
            ScriptAlias "/cgi/" "/cgi/"
            AddOutputFilter INCLUDES .shtml
            ErrorDocument 404 /cgi/gone
            LogFormat "%{%z}t %U" zone
            CustomLog "|$/bin/cat >> @DIR@/logs/access" zone
            <FilesMatch "[.]php$">
            SetHandler "proxy:unix:/run/app|fcgi://localhost/"
            </FilesMatch>
            <Location "/named">
            Require host localhost
            </Location>
            <Location "/crash">
            SetHandler test-crash
            </Location>
            ''', {'jail/site/index.html': 'inside\n', 'jail/site/named': 'named\n', 'jail/site/a.php': '', 'jail/run/x': '',
                  'jail/site/a.shtml': '<!--#exec cmd="echo command" --> <!--#include virtual="/cgi/x" -->\n'})
        for name in ('x', 'gone'):
            s.write('jail/cgi/' + name, '#!/bin/sh\necho Content-Type: text/plain\necho\necho %s $(pwd)\n' % name, 0o755)
        os.mkdir(s.path('jail/crash'), 0o700)
        os.chown(s.path('jail/crash'), account().pw_uid, account().pw_gid)
        self.application(s)
        zone = subprocess.run(['unshare', '-m', 'sh', '-c', self.TOKYO], capture_output=True).returncode == 0
        s.start_foreground('-DFOREGROUND', prefix=('unshare', '-m', 'sh', '-c', self.TOKYO + ' && exec "$@"', 'sh') if zone else ())
        self.assertEqual(s.get('/cgi/x').status, 500)
        s.logged('BH0663: .*: the interpreter /bin/sh of its first line does not exist here')
        s.get('/a.shtml')
        s.logged('BH0734: a command of .*/a.shtml is not run: /bin/sh cannot be executed: No such file or directory')
        self.into(s, '/bin/sh')
        for path, body in (('/cgi/x', b'x /cgi\n'), ('/none', b'gone /cgi\n'), ('/a.shtml', b'command\n x /cgi\n\n'), ('/a.php', b'/site/a.php')):
            self.assertEqual(s.get(path).body, body, path)
        if names_localhost():
            self.assertEqual(s.get('/named').body, b'named\n')
        wait_for(lambda: s.read('logs/access').endswith('/a.php\n') or '/a.php' in s.read('logs/access'), 'the log program has the lines')
        if zone:
            self.assertRegex(s.read('logs/access'), r'^\+0900 ')
        with s.connect() as c, self.assertRaises((EOFError, ConnectionError)):
            c.request('/crash')
        s.logged(r'BH0126: .*; report %s' % re.escape(s.path('jail/crash/')), timeout=60)

    def test_serves_from_it(self):
        s = self.configure('ChrootDir "@DIR@/jail"\nDocumentRoot "/site"\n<Directory "/site">\nOptions Indexes\nAllowOverride All\n</Directory>\n' + INTRUDER + TLS % self.key, {
            'jail/site/index.html': 'in the jail\n', 'jail/site/list/file': 'x\n', 'jail/site/list/.htaccess': 'Header set X-Jail yes\n',
            'jail/site/closed/.htaccess': 'AuthType Basic\nAuthName x\nAuthUserFile /users\nRequire valid-user\n', 'jail/site/closed/index.html': 'closed\n',
            'jail/users': 'a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n'})
        s.start()
        for pid in s.workers():
            self.assertEqual(os.readlink('/proc/%d/root' % pid), s.path('jail'))
        for tls in (False, True):
            self.assertEqual(s.get('/', tls=tls).body, b'in the jail\n')
        self.assertEqual(s.get('/list/').headers['x-jail'], 'yes')
        self.assertIn(b'file', s.get('/list/').body)
        self.assertEqual(s.get('/closed/').status, 401)
        self.assertEqual(s.get('/closed/', headers='Authorization: Basic YTp0ZXN0\r\n').status, 200)
        with s.connect() as c:
            self.assertEqual(self.attempt(c, 'read', '/site/index.html')[0], 'done')
            for path in ('/etc/passwd', s.path('htdocs/index.html'), '/proc/self/root/etc/passwd', '/../../etc/passwd'):
                self.assertRegex(self.attempt(c, 'read', path)[0], '^refused: (ENOENT|EACCES)')
        # A graceful restart makes new children, in it as well.
        before = s.workers()
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        wait_for(lambda: s.workers() and not set(before) & set(s.workers()), 'there are other children')
        self.assertEqual(s.get('/').body, b'in the jail\n')
