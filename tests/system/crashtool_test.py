"""bulkhead-crash: what it tells of real crashes, what it refuses to follow, and what its bundle must never contain."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from crash_test import CRASH, Crash, core_pattern, reports, unsanitized
from server import BIN, ROOT, account, needs_root

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
        self.assertRegex(shown.stdout, r'#0 +crash_start\+0x\S+ +tests/system/stream_handler\.c:\d+ +context')
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
