"""bulkhead-crash: what it tells of real crashes, what it refuses to follow, and what its bundle must never contain."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import unittest

from crash_test import CRASH, Crash, core_pattern, reports, unsanitized
from server import BIN, ROOT, SANITIZED, account, certificate, needs_root

TOOL = os.path.join(os.path.dirname(os.path.dirname(BIN)), 'bin', 'bulkhead-crash')
SIGNATURE = 'SIGSEGV crash_start<handler'
REPORT = '''crash-report: 1
signature: %(signature)s
time: 2026-11-%(day)02dT10:00:00.123Z
executable: /usr/sbin/bulkhead
process: pid=%(pid)d tid=%(pid)d role=child slot=1 generation=1 uid=33
signal: SIGSEGV 11
code: SEGV_MAPERR 1
address: 0x10
access: write
class: null-deref
core: none: RLIMIT_CORE is 0
connection: 7 kind=https age-ms=12
peer: 192.0.2.1:4711
virtual-host: www.example.org
phase: send
handler: file
method: GET
path: /shop
event: -12 ms request 3
frames: 3 whole
frame: 0 0x5555 /usr/sbin/bulkhead+0x155 build-id=abcd file_start+0x21 ./server/handler/file.c:214 trust=context
frame: 1 0x5655 /opt/with space/lib.so+0x255 inlined_one /a b/c.c:7 trust=inlined
frame: 2 0x7777 ? ?scan
register: rax=0x0000000000000001
end: %(end)s
'''


def tool(*args, env=None, timeout=60, text=True):
    return subprocess.run([TOOL, *args], stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=timeout, env=dict(os.environ, **(env or {})))


class Reading(unittest.TestCase):
    """On reports that are written here."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='bulkhead-crashtool-')
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def report(self, pid=10, day=1, signature=SIGNATURE, end='complete', text=None):
        name = 'bulkhead-crash-202611%02d-100000-%d.txt' % (day, pid)
        with open(self.path(name), 'wb') as f:
            f.write(text if text is not None else (REPORT % {'pid': pid, 'day': day, 'signature': signature, 'end': end}).encode())
        return name

    def run_tool(self, *args, status=0, **kw):
        done = tool(*args, **kw)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_list_groups_by_signature_newest_first(self):
        self.report(10, 1)
        self.report(11, 5)
        self.report(12, 3, 'SIGABRT other')
        newest = self.report(13, 4, end='raw')
        done = json.loads(self.run_tool('list', '-d', self.dir, '--json').stdout)
        self.assertEqual([(g['signature'], g['count'], g['first'], g['last'], g['incomplete']) for g in done['signatures']],
                         [(SIGNATURE, 3, '2026-11-01T10:00:00Z', '2026-11-05T10:00:00Z', 1), ('SIGABRT other', 1, '2026-11-03T10:00:00Z', '2026-11-03T10:00:00Z', 0)])
        self.assertEqual(done['signatures'][0]['newest'], 'bulkhead-crash-20261105-100000-11.txt')
        self.assertEqual(done['signatures'][0]['where'], {'module': '/usr/sbin/bulkhead', 'function': 'file_start', 'file': './server/handler/file.c', 'line': 214})
        text = self.run_tool('list', '-d', self.dir).stdout
        self.assertRegex(text, r'3 x SIGSEGV null-deref in file_start \(\./server/handler/file\.c:214\)  \[1 incomplete\]')
        self.assertRegex(text, r'4 reports of 2 kinds')
        each = self.run_tool('list', '-a', '-d', self.dir).stdout
        self.assertEqual(re.findall(r'bulkhead-crash-\S+', each), ['bulkhead-crash-20261105-100000-11.txt', newest, 'bulkhead-crash-20261103-100000-12.txt',
                                                                   'bulkhead-crash-20261101-100000-10.txt'])
        self.assertEqual(each.count('[incomplete: end: raw]'), 1)
        late = json.loads(self.run_tool('list', '-a', '-d', self.dir, '--json', '--since', '2026-11-04T09:00:00Z').stdout)
        self.assertEqual([c['pid'] for c in late['crashes']], [11, 13])
        self.assertIn('neither a time nor an age', self.run_tool('list', '--since', 'yesterday', status=2).stderr)

    def test_empty_and_missing_folders_are_told(self):
        self.assertIn('No crash report in ' + self.dir, self.run_tool('list', '-d', self.dir).stdout)
        self.assertIn('no crash report in ' + self.dir, self.run_tool('show', '-d', self.dir, status=2).stderr)
        self.assertIn('cannot be opened as a folder: No such file', self.run_tool('list', '-d', self.path('none'), status=2).stderr)
        self.assertIn('cannot be opened as a folder: Not a directory', self.run_tool('list', '-d', __file__, status=2).stderr)

    def test_show_says_first_what_happened(self):
        name = self.report()
        for word in ('newest', '10', name, self.path(name)):
            with self.subTest(word):
                text = self.run_tool('show', '-d', self.dir, word).stdout
                self.assertEqual(text.splitlines()[0], 'child 10 died of SIGSEGV in file_start (./server/handler/file.c:214): a pointer that was never set was '
                                 'followed (write at address 0x10), serving GET /shop for 192.0.2.1:4711 on www.example.org, phase send; 2026-11-01 10:00:00 UTC')
        self.assertIn('There is no core: RLIMIT_CORE is 0.', text)
        self.assertRegex(text, r'#0 +file_start\+0x21 +\./server/handler/file\.c:214 +context +bulkhead\+0x155')
        self.assertRegex(text, r'#1 +inlined_one +/a b/c\.c:7 +inlined +lib\.so\+0x255')
        self.assertRegex(text, r'#2 +\? +\?scan +0x7777 in no file')
        self.assertRegex(text, r'-12 ms  request +3')
        self.assertNotIn('rax', text)
        self.assertIn('rax=0x0000000000000001', self.run_tool('show', '-v', '-d', self.dir).stdout)
        self.assertIn('no report of process 99', self.run_tool('show', '-d', self.dir, '99', status=2).stderr)

    def test_json_has_every_key(self):
        self.report()
        got = json.loads(self.run_tool('show', '--json', '-d', self.dir).stdout)
        self.assertEqual((got['crash-report'], got['state'], got['end']), (1, 'complete', 'complete'))
        self.assertEqual(got['process'], {'pid': 10, 'tid': 10, 'role': 'child', 'slot': 1, 'generation': 1, 'uid': 33})
        self.assertEqual(got['signal'], {'name': 'SIGSEGV', 'number': 11})
        self.assertEqual(got['connection'], {'number': 7, 'kind': 'https', 'age-ms': 12})
        self.assertEqual(got['events'], [{'ms': -12, 'what': 'request', 'number': 3}])
        self.assertEqual(got['registers'], {'rax': '0x0000000000000001'})
        self.assertEqual(got['frames'][0], {'number': 0, 'pc': '0x5555', 'module': '/usr/sbin/bulkhead', 'module-offset': '0x155', 'build-id': 'abcd',
                                            'function': 'file_start', 'function-offset': '0x21', 'file': './server/handler/file.c', 'line': 214, 'trust': 'context'})
        self.assertEqual(got['frames'][1], {'number': 1, 'pc': '0x5655', 'module': '/opt/with space/lib.so', 'module-offset': '0x255', 'function': 'inlined_one',
                                            'file': '/a b/c.c', 'line': 7, 'trust': 'inlined'})
        self.assertEqual((got['frame-count'], got['frame-state']), (3, 'whole'))
        self.assertEqual(set(line.split(':')[0] for line in REPORT.splitlines()) - {'frame', 'event', 'register'},
                         set(got) - {'report', 'state', 'frame-count', 'frame-state', 'events', 'registers'})

    def test_hostile_texts_never_reach_the_terminal(self):
        evil = (REPORT % {'pid': 10, 'day': 1, 'signature': 'S\x1b[2J', 'end': 'complete'}).replace('/shop', '/\x1b]0;x\x07\x9b\x00').encode('latin-1')
        self.report(text=evil)
        for args in (('list',), ('list', '-a'), ('list', '--json'), ('show', '-vv'), ('show', '--json')):
            with self.subTest(args):
                out = subprocess.run([TOOL, *args, '-d', self.dir], capture_output=True).stdout
                self.assertEqual([b for b in out if b != 10 and not 32 <= b < 127], [])
                self.assertEqual(b'x1b' in out, '-a' not in args)

    def test_core_path_cannot_smuggle_a_command(self):
        self.report(text=(REPORT % {'pid': 10, 'day': 1, 'signature': 'S', 'end': 'complete'}).replace('none: RLIMIT_CORE is 0', "/tmp/x';touch /tmp/y;'").encode())
        lines = [line for line in self.run_tool('show', '-d', self.dir).stdout.splitlines() if 'touch' in line and ('gdb' in line or 'backtrace' in line)]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertIn("""'/tmp/x'\\'';touch /tmp/y;'\\'''""", line)

    def test_cut_and_foreign_files(self):
        whole = (REPORT % {'pid': 10, 'day': 1, 'signature': 'S', 'end': 'complete'}).encode()
        for text in (whole[:-1], whole[:200], whole + b'x', whole + b'more: 1\n', whole.replace(b'end: complete', b'end: soon')):
            self.report(text=text)
            self.assertEqual(json.loads(self.run_tool('show', '--json', '-d', self.dir).stdout)['state'], 'cut', text[-20:])
        self.assertIn('This report is incomplete (cut)', self.run_tool('show', '-d', self.dir).stdout)
        for text, words in ((b'', 'does not begin as'), (b'hello: 1\n', 'does not begin as'), (b'crash-report: 2\n', 'of a form'), (whole * 2000, 'larger than')):
            self.report(text=text)
            done = self.run_tool('list', '-d', self.dir, status=2)
            self.assertIn(words, done.stderr)

    def test_links_and_fifos_are_not_opened(self):
        self.report(11, 5)
        os.mkfifo(self.path('bulkhead-crash-20261106-100000-12.txt'))
        with open(self.path('secret'), 'w') as f:
            f.write(REPORT % {'pid': 13, 'day': 6, 'signature': 'SECRET', 'end': 'complete'})
        os.symlink('secret', self.path('bulkhead-crash-20261106-100000-13.txt'))
        os.mkdir(self.path('bulkhead-crash-20261106-100000-14.txt'))
        done = self.run_tool('list', '-d', self.dir, status=2, timeout=5)
        self.assertIn('no regular file', done.stderr)
        self.assertIn('symbolic link', done.stderr)
        self.assertNotIn('SECRET', done.stdout)
        self.assertIn('1 report of 1 kind', done.stdout)
        self.assertIn('child 11 died', self.run_tool('show', '-d', self.dir, timeout=5).stdout)
        self.assertIn('symbolic link', self.run_tool('show', self.path('bulkhead-crash-20261106-100000-13.txt'), status=2).stderr)

    def test_colour_only_where_it_is_wanted(self):
        self.report()
        command = [TOOL, 'show', '-d', self.dir]
        for env, coloured in (({'TERM': 'xterm'}, True), ({'TERM': 'xterm', 'NO_COLOR': '1'}, False), ({'TERM': 'dumb'}, False)):
            clean = {k: v for k, v in os.environ.items() if k != 'NO_COLOR'}
            out = subprocess.run(['script', '-qec', ' '.join(command), '/dev/null'], stdin=subprocess.DEVNULL, capture_output=True, env=dict(clean, **env)).stdout
            self.assertEqual(b'\x1b[' in out, coloured, env)
        self.assertNotIn('\x1b', self.run_tool('show', '-d', self.dir, env={'TERM': 'xterm'}).stdout)

    def test_help_and_mistakes(self):
        self.assertIn('list', self.run_tool('help').stdout)
        self.assertIn('--since', self.run_tool('help', 'list').stdout)
        self.assertRegex(self.run_tool('--version').stdout, r'^bulkhead-crash \S+, crash-report 1\n$')
        for args in ((), ('nonsense',), ('list', '-x'), ('list', '--since'), ('show', 'a', 'b'), ('help', 'nonsense'), ('show', 'what')):
            self.assertTrue(self.run_tool(*args, status=2).stderr)
        with open('/dev/full', 'w') as full:
            self.assertEqual(subprocess.run([TOOL, 'help'], stdout=full, stderr=subprocess.DEVNULL).returncode, 2)


SECRETS = {
    'comment': 'cmt-Zw1', 'environment': 'env-Qx82', 'definition': 'def-Rk93', 'request field': 'rqf-Tm44', 'gate': 'gat-Ub55', 'macro': 'mac-Vc66',
    'bind password': 'bnd-Wd77', 'dialog argument': 'dlg-Xe88', 'log program': 'prg-Yf99', 'userinfo': 'usr-Zg10', 'backend secret': 'ajp-Ah21',
    'response field': 'rsf-Bi32', 'link query': 'lnk-Cj43', 'condition': 'cnd-Dk54', 'joined line': 'jnd-El65', 'query': 'qry-Fm76', 'cookie': 'cki-Gn87',
    'bearer': 'bea-Ho98aa', 'basic password': 'bsc-Ip09', 'path token': '8f14e45fceea167a5a36dedd4bea2543', 'log userinfo': 'lui-Jq11', 'json': 'jsn-Kr22',
    'session': 'ses-Ls33', 'card': '4111111111111111', 'fake': 'fak-Mt44', 'log target': 'ltg-Nu55', 'cookie of a crash': 'ckc-Ov66', 'query of a crash': 'qrc-Pw77',
    'password file': 'pwf-Qx88', 'unrelated file': 'unr-Ry99', 'stray line': 'str-Sz00',
}
NASTY = '''
# the old password was %(comment)s
SetEnv BACKEND %(environment)s
SetEnv BACKEND_PATH /srv/app
Define gate "%(definition)s"
RequestHeader set X-Backend "%(request field)s"
Header always set X-Api-Key %(response field)s
SetEnvIf X-Gate "^%(gate)s$" inside
<If "%%{HTTP:X-Gate} == '%(condition)s'">
</If>
Use Site www.example.org %(macro)s
AuthLDAPBindPassword %(bind password)s
AuthUserFile "@DIR@/htpasswd"
AuthBasicFake demo %(fake)s
SSLPassPhraseDialog "exec:/usr/local/sbin/phrase --master %(dialog argument)s"
CustomLog "|/usr/bin/shipper --login %(log program)s" common
ProxyPass /a http://app:%(userinfo)s@10.0.0.1/
ProxyPass /b ajp://10.0.0.1/ secret=%(backend secret)s
Redirect /c https://www.example.org/?ticket=%(link query)s
SessionCryptoPassphrase \\
    %(joined line)s
RewriteRule ^/d$ /%(path token)s [L]
Header set X-Card %(card)s
ErrorLog "|/usr/bin/other %(log target)s"
%(stray line)s: what is no directive
Include "@DIR@/site.key"
IncludeOptional "@DIR@/sites/*.conf"
'''
LOGGED = '''[info] GET /x?a=%(query)s HTTP/1.1
[info] client sent Cookie: a=b; id=%(cookie)s
[info] field "Authorization: Bearer %(bearer)s" was refused
[info] to http://app:%(log userinfo)s@10.0.0.1/, {"token": "%(json)s"}, session_id=1, sessionid=%(session)s;
[info] GET /reset/%(path token)s
[info] an ordinary line, seen
'''


class Bundle(Crash):
    def unpack(self, path):
        """Name below the bundle's folder to bytes."""
        with tarfile.open(path) as archive:
            return {m.name.split('/', 1)[1]: archive.extractfile(m).read() for m in archive.getmembers()}

    def find(self, files, secrets):
        return [(name, what) for name, data in files.items() for what, secret in secrets.items() if secret in data]

    def test_F35_bundle_has_what_is_needed_and_no_secret(self):
        s = self.configure(CRASH + '<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile "@DIR@/site.pem"\nSSLCertificateKeyFile "@DIR@/site.key"\n</VirtualHost>\n')
        for source, target in zip(certificate(), ('site.pem', 'site.key')):
            shutil.copy(source, s.path(target))
        s.write('htpasswd', 'demo:%s\nbob:$apr1$abcdefgh$0123456789abcdefghijkl\n' % SECRETS['password file'], 0o600)
        s.write('notes.txt', SECRETS['unrelated file'])
        s.start()
        basic = base64.b64encode(b'demo:' + SECRETS['basic password'].encode()).decode()
        with s.connect() as c:
            c.request('/nothing?a=' + SECRETS['query'], headers='Authorization: Basic %s\r\nCookie: id=%s\r\n' % (basic, SECRETS['cookie']))
        if not SANITIZED:
            self.crash(s, '/crash/%s?s=11&x=%s' % (SECRETS['path token'], SECRETS['query of a crash']), headers='Cookie: id=%s\r\nAuthorization: Basic %s\r\n' %
                       (SECRETS['cookie of a crash'], basic))
            self.report(s)
        with open(s.path('logs/error_log'), 'a') as f:
            f.write(LOGGED % SECRETS + '[info] Authorization: Basic %s\n' % basic)
        s.write('sites/a.conf', 'Listen 1234\nSetEnv APP_TOKEN %s\n' % SECRETS['environment'])
        s.write('all.conf', NASTY % SECRETS + 'Include "@DIR@/httpd.conf"\n')
        made = s.path('bundle.tar.gz')
        done = tool('bundle', '-f', s.path('all.conf'), '-o', made)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(os.stat(made).st_mode & 0o777, 0o600)
        self.assertIn('Read it before you send it', done.stdout)
        files = self.unpack(made)
        folder = s.dir.strip('/')
        for name in ('CONTENTS.txt', 'version.txt', 'libraries.txt', 'system.txt', 'logs/%s/logs/error_log' % folder, 'configuration/%s/all.conf' % folder,
                     'configuration/%s/httpd.conf' % folder, 'configuration/%s/case.conf' % folder, 'configuration/%s/sites/a.conf' % folder):
            self.assertIn(name, files)
            self.assertIn(name if name != 'CONTENTS.txt' else 'Sizes', files['CONTENTS.txt'].decode() )
        self.assertIn(b'Server version: Bulkhead/', files['version.txt'])
        self.assertRegex(files['libraries.txt'], rb'libgnutls\.so\.30\.\d+')
        self.assertIn(b'core_pattern', files['system.txt'])
        self.assertIn(b'Listen 1234', files['configuration/%s/sites/a.conf' % folder])
        self.assertIn(b'SetEnv BACKEND_PATH /srv/app', files['configuration/%s/all.conf' % folder])
        self.assertIn(b'DocumentRoot "%s' % s.dir.encode(), files['configuration/%s/httpd.conf' % folder])
        self.assertIn(b'an ordinary line, seen', files['logs/%s/logs/error_log' % folder])
        self.assertEqual(len([name for name in files if name.startswith('reports/')]), len(reports(s)))
        self.assertEqual(SANITIZED, not reports(s))
        numbers = subprocess.run(['openssl', 'ec', '-in', s.path('site.key'), '-noout', '-text'], capture_output=True, text=True, check=True).stdout
        key = bytes.fromhex(re.sub(r'[\s:]', '', re.search(r'priv:\n(.*?)pub:', numbers, re.S)[1]))[-32:]
        secrets = {what: secret.encode() for what, secret in SECRETS.items()}
        secrets.update({'basic, encoded': basic.encode(), 'key': key[4:28], 'key, reversed': key[::-1][4:28], 'hash': b'0123456789abcdefghijkl'})
        with open(s.path('site.key')) as f:
            lines = f.read().splitlines()
        secrets.update({'key, line %d' % n: line[:16].encode() for n, line in enumerate(lines) if '---' not in line})
        self.assertEqual(self.find(files, secrets), [])
        self.assertEqual([line for line in done.stdout.splitlines() if any(v in line for v in SECRETS.values())], [])
        planted = {'all.conf': s.read('all.conf').encode(), 'site.key': s.read('site.key').encode(), 'log': s.read('logs/error_log').encode(),
                   'htpasswd': s.read('htpasswd').encode(), 'notes': s.read('notes.txt').encode()}
        never = {'key', 'key, reversed', 'basic password', 'cookie of a crash', 'query of a crash'}
        self.assertEqual(set(secrets) - {what for _, what in self.find(planted, secrets)} - never, set(), 'all of them were there to be found')

    def test_bundle_without_configuration_and_logs(self):
        with tempfile.TemporaryDirectory() as folder:
            made = os.path.join(folder, 'b.tar.gz')
            done = tool('bundle', '-f', os.path.join(folder, 'none.conf'), '-d', folder, '-o', made)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('none.conf: No such file', done.stdout)
            before = os.stat(made).st_size
            again = tool('bundle', '-f', os.path.join(folder, 'none.conf'), '-d', folder, '-o', made)
            self.assertEqual(again.returncode, 2)
            self.assertIn('File exists', again.stderr)
            self.assertEqual(os.stat(made).st_size, before)
            os.symlink('elsewhere', os.path.join(folder, 'link'))
            self.assertEqual(tool('bundle', '-d', folder, '-o', os.path.join(folder, 'link')).returncode, 2)
            self.assertEqual(sorted(os.listdir(folder)), ['b.tar.gz', 'link'])

    def test_links_in_the_folder_of_logs_are_not_followed(self):
        with tempfile.TemporaryDirectory() as folder:
            made, conf = os.path.join(folder, 'b.tar.gz'), os.path.join(folder, 'a.conf')
            with open(os.path.join(folder, 'shadow'), 'w') as f:
                f.write('unr-planted\n')
            os.symlink('shadow', os.path.join(folder, 'error_log'))
            with open(conf, 'w') as f:
                f.write('ServerRoot "%s"\nDefine where "%s"\nErrorLog ${where}/error_log\nInclude ${where}/a.conf\nInclude /dev/zero\nInclude ${nothing}/x\nInclude ${where}/../%s/b.conf\nInclude ${where}/../%s/a.conf\n' %
                        (folder, folder, os.path.basename(folder), os.path.basename(folder)))
            with open(os.path.join(folder, 'b.conf'), 'w') as f:
                f.write('Listen 1\n')
            done = tool('bundle', '-f', conf, '-d', folder, '-o', made, timeout=20)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('error_log: it is a symbolic link', done.stdout)
            self.assertIn('/dev/zero', done.stdout)
            self.assertIn('a variable of it is not known here', done.stdout)
            files = self.unpack(made)
            self.assertEqual(self.find(files, {'planted': b'unr-planted'}), [])
            self.assertEqual([name for name in files if '..' in name], [])
            self.assertEqual([len([name for name in files if name.endswith(end)]) for end in ('/a.conf', '/b.conf')], [1, 1])


@unsanitized
class Real(Crash):
    def test_real_crashes_are_listed_and_shown(self):
        s = self.serve(CRASH)
        folder = s.path('crash')
        for n, number in enumerate((signal.SIGSEGV, signal.SIGSEGV, signal.SIGABRT), 1):
            self.crash(s, '/crash/here?s=%d&token=hidden' % number)
            self.report(s, n)
        got = json.loads(tool('list', '-d', folder, '--json').stdout)
        self.assertEqual(sorted((g['signal'], g['count'], g['incomplete'], g['where']['function']) for g in got['signatures']),
                         [('SIGABRT', 1, 0, 'crash_start'), ('SIGSEGV', 2, 0, 'crash_start')])
        for path in reports(s):
            pid = re.search(r'-(\d+)\.txt$', path)[1]
            text = tool('show', '-d', folder, pid).stdout
            self.assertRegex(text.splitlines()[0], r'^child %s died of SIG\w+ in crash_start \(.*stream_handler\.c:\d+\): .*, serving GET /crash/here for 127' % pid)
            self.assertNotIn('hidden', text)
            shown = json.loads(tool('show', '--json', '-d', folder, pid).stdout)
            with open(path) as f:
                lines = f.read().splitlines()
            self.assertEqual(len(shown['frames']), sum(line.startswith('frame: ') for line in lines))
            self.assertTrue(all(isinstance(frame, dict) for frame in shown['frames']))
            self.assertEqual(len(shown['events']), sum(line.startswith('event: ') for line in lines))
            self.assertEqual(len(shown['map']), sum(line.startswith('map: ') for line in lines))
            self.assertEqual(len(shown['registers']), sum(line.startswith('register: ') for line in lines))
            self.assertNotIn('more', shown)

    @needs_root
    def test_F37_backtrace_of_a_core(self):
        """The same frames as the report has, by ourselves; gdb's where it is asked for; a wrong program is refused with both ids."""
        if core_pattern().startswith(('|', '/')):
            self.skipTest('the kernel writes cores elsewhere')
        s = self.serve(CRASH)
        self.crash(s, '/crash/here?s=11')
        _, text = self.report(s)
        core = self.field(text, 'core')
        done = tool('backtrace', '--json', core, BIN)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        reported = json.loads(tool('show', '--json', '-d', s.path('crash')).stdout)
        self.assertGreater(len(got['frames']), 8)
        self.assertEqual([(f['pc'], f.get('function'), f.get('line'), f['trust']) for f in got['frames']],
                         [(f['pc'], f.get('function'), f.get('line'), f['trust']) for f in reported['frames']])
        for key in ('signature', 'class', 'signal', 'address', 'build-id', 'registers'):
            self.assertEqual(got[key], reported[key], key)
        shown = tool('backtrace', core)
        if subprocess.run(['setpriv', '--reuid', str(account().pw_uid), '--clear-groups', 'test', '-r', BIN]).returncode == 0:
            self.assertRegex(shown.stdout, r'#0 +crash_start\+0x\S+ +tests/system/stream_handler\.c:\d+ +context')
        else:
            self.assertIn("the core's owner may not read " + BIN, shown.stderr)
            self.assertIn('backtrace CORE PROGRAM', shown.stderr)
            self.assertRegex(shown.stdout, r'Note: .*may not be read by')
        copy = s.path('bulkhead-copy')
        shutil.copy(BIN, copy)
        by_gdb = tool('backtrace', '--gdb', core, copy)
        self.assertEqual(by_gdb.returncode, 0, by_gdb.stdout + by_gdb.stderr)
        self.assertRegex(by_gdb.stdout, r'#0 .*crash_start')
        for extra in ((), ('--gdb',)):
            wrong = tool('backtrace', *extra, core, TOOL)
            self.assertEqual(wrong.returncode, 1)
            self.assertIn('is not the program that made', wrong.stderr)
            self.assertIn(reported['build-id'], wrong.stderr)
            self.assertEqual(len(set(re.findall(r'[0-9a-f]{40}', wrong.stderr))), 2)
            self.assertEqual(wrong.stdout, '')
        for args, words in (((core, s.path('none')), 'cannot be opened'), ((core, s.path('httpd.conf')), 'is no program'), ((), 'name the core'),
                            ((core, copy, copy), 'a core and a program at most'), (('--frob', core), 'frob')):
            wrong = tool('backtrace', *args)
            self.assertNotEqual(wrong.returncode, 0, words)
            self.assertIn(words, wrong.stderr)

    def test_backtrace_of_what_is_no_core(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            path, link, fifo = (os.path.join(folder, name) for name in ('file', 'link', 'fifo'))
            os.symlink('file', link)
            os.mkfifo(fifo)
            with open(TOOL, 'rb') as f:
                program = f.read()
            for content, words in ((b'', 'no ELF file'), (b'text', 'no ELF file'), (program, 'not a core'), (program[:100], 'cannot be read')):
                with open(path, 'wb') as f:
                    f.write(content)
                done = tool('backtrace', path)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(words, done.stderr)
            self.assertIn('symbolic link', tool('backtrace', link).stderr)
            self.assertIn('no regular file', tool('backtrace', fifo, timeout=5).stderr)

    def test_watch_tells_crashes_as_they_come(self):
        s = self.serve(CRASH)
        with subprocess.Popen([TOOL, 'watch', '-d', s.path('crash')], stdout=subprocess.PIPE, text=True) as watch:
            try:
                self.assertIn('Waiting', watch.stdout.readline())
                for number in ('SEGV', 'ABRT'):
                    self.crash(s, '/crash/here?s=%d' % getattr(signal, 'SIG' + number))
                    self.assertRegex(watch.stdout.readline(), r'^child \d+ died of SIG%s in crash_start .*GET /crash/here' % number)
                    self.assertRegex(watch.stdout.readline(), r'^ +bulkhead-crash-\S+\.txt$')
                watch.send_signal(signal.SIGINT)
                self.assertEqual((watch.stdout.read(), watch.wait(5)), ('', 0))
            finally:
                watch.kill()

    def test_rehearsal_of_every_way_to_crash(self):
        names = [line.split()[:2] for line in tool('test', 'list').stdout.splitlines()]
        self.assertGreaterEqual(len(names), 12)
        classes = {}
        for name, number in names:
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                if ROOT:
                    shutil.chown(folder, account().pw_uid)
                done = tool('test', '-d', folder, name)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertRegex(done.stdout, 'the kernel says +%s' % number)
                self.assertIn('toolways_crash' if name != 'stack-overflow' else 'recurse', done.stdout)
                made = [f for f in os.listdir(folder) if f.endswith('.txt')]
                self.assertEqual(len(made), 1)
                shown = json.loads(tool('show', '--json', os.path.join(folder, made[0])).stdout)
                self.assertEqual((shown['state'], shown['signal']['name']), ('complete', number))
                self.assertEqual(shown['frame-state'], 'whole' if name != 'stack-overflow' else 'incomplete')
                classes[name] = shown['class']
                core = shown['core']
                if not core.startswith('none'):
                    frames = json.loads(tool('backtrace', '--json', core).stdout)['frames']
                    self.assertEqual([(f['pc'], f.get('function')) for f in frames], [(f['pc'], f.get('function')) for f in shown['frames']])
        self.assertEqual(classes, {
            'null': 'null-deref', 'wild': 'wild-pointer', 'non-canonical': 'non-canonical', 'read-only': 'access', 'bad-call': 'bad-call',
            'stack-overflow': 'stack-overflow', 'abort': 'abort', 'assert': 'assert', 'heap': 'heap-abort', 'canary': 'canary', 'fpe': 'arithmetic',
            'illegal': 'illegal-instruction', 'bus': 'bus', 'trap': 'raised', 'sandbox': 'sandbox'})

    def test_frames_are_those_of_gdb_in_every_way_to_crash(self):
        if core_pattern().startswith(('|', '/')):
            self.skipTest('the kernel writes cores elsewhere')
        for name in (line.split()[0] for line in tool('test', 'list').stdout.splitlines()):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                if ROOT:
                    shutil.chown(folder, account().pw_uid)
                self.assertEqual(tool('test', '-d', folder, name).returncode, 0)
                core = next(os.path.join(folder, f) for f in os.listdir(folder) if f.startswith('core'))
                gdb = subprocess.run(['gdb', '-nx', '-q', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off', '-iex', 'set width 0',
                                      '-ex', 'bt -frame-arguments none 60', TOOL, core], capture_output=True, text=True).stdout.rsplit('\n#0 ', 1)[1]      # the first one is told when the core is opened
                theirs = re.findall(r'(?m)^(?:#\d+)? .*?(\w+) \([^()]*\) at (?:\./)?(crashdump/\S+)$', gdb)
                ours = [(f['function'], '%s:%d' % (f['file'].removeprefix('./'), f['line'])) for f in json.loads(tool('backtrace', '--json', core).stdout)['frames']
                        if f.get('file', '').removeprefix('./').startswith('crashdump/')]
                self.assertGreater(len(theirs), 5, gdb)
                self.assertEqual(ours[:len(theirs)], theirs)

    def test_rehearsal_leaves_nothing_and_tells_why_there_is_no_core(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(['prlimit', '--core=0:0', TOOL, 'test'], capture_output=True, text=True, env=dict(os.environ, TMPDIR=folder))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(os.listdir(folder), [])
            self.assertRegex(done.stdout, r'core +none: .*(RLIMIT_CORE is 0|core_pattern)')
            self.assertIn('mend:', done.stdout)
        self.assertIn('no way to crash called what', tool('test', 'what').stderr)


if __name__ == '__main__':
    unittest.main()
