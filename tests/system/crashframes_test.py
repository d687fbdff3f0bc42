"""The frames of a report, held against those that gdb finds in the kernel's core of the same crash: for each way to crash of
fault_ways.c and at each point of a request where the fault injector can make one happen."""
import collections
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

from crash_test import core_pattern, reports, unsanitized
from server import BIN, ROOT, SSL_ON, Server, certificate, needs_root, wait_for

TOOL = os.path.join(os.path.dirname(os.path.dirname(BIN)), 'bin/bulkhead-crash')
CONF = ('StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nServerLimit 1\nCustomLog "@DIR@/logs/access" "%U"\n'
        '<Location "/fault">\nSetHandler test-fault\n</Location>\n<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
CORES = not core_pattern().startswith(('|', '/'))
GDB = r'''
import gdb, json
frames, frame = [], gdb.newest_frame()
while frame is not None and len(frames) < 140:
    where = frame.find_sal()
    frames.append({'pc': frame.pc(), 'function': frame.name() or '', 'line': where.line if where.symtab else 0,
                   'kind': {gdb.INLINE_FRAME: 'inlined', gdb.TAILCALL_FRAME: 'tail', gdb.SIGTRAMP_FRAME: 'signal'}.get(frame.type(), '')})
    try:
        frame = frame.older()
    except gdb.error:
        break
try:
    lock = int(gdb.parse_and_eval('*fault_lock'))
except gdb.error:
    lock = None
print('FRAMES ' + json.dumps([frames, lock]))
'''
Frame = collections.namedtuple('Frame', 'pc function line kind module', defaults=('',))
Way = collections.namedtuple('Way', 'signal kind top cut', defaults=(False,))
# What stands above fault_level, innermost first; None: in a library, whatever its name. `cut`: the stack is deeper than what is kept of it.
SEGV = 'SIGSEGV'
WAYS = {
    'null': Way(SEGV, 'null-deref', ['crash_null']),
    'leaf': Way(SEGV, 'null-deref', ['crash_leaf']),
    'fpe': Way('SIGFPE', 'arithmetic', ['crash_fpe']),
    'illegal': Way('SIGILL', 'illegal-instruction', ['crash_illegal']),
    'bus': Way('SIGBUS', 'bus', ['crash_bus']),
    'non-canonical': Way(SEGV, 'non-canonical', ['crash_non_canonical']),
    'memcpy': Way(SEGV, 'null-deref', [None, 'crash_memcpy']),
    'inlined': Way(SEGV, 'null-deref', ['inlined_deep', 'inlined_outer', 'crash_inlined']),
    'noreturn': Way(SEGV, 'null-deref', ['never_returns', 'crash_noreturn']),
    'call-null': Way(SEGV, 'bad-call', [None, 'crash_call_null']),
    'call-garbage': Way(SEGV, 'bad-call', [None, 'crash_call_garbage']),
    'call-data': Way(SEGV, 'bad-call', [None, 'crash_call_data']),
    'overflow': Way(SEGV, 'stack-overflow', ['recurse'], True),
    'recursion': Way(SEGV, 'null-deref', ['crash_null', 'recurse'], True),
    'smashed': Way(SEGV, 'bad-call', [None]),
    'canary': Way('SIGABRT', 'canary', [None, '__stack_chk_fail', 'crash_canary']),
    'fortify': Way('SIGABRT', 'fortify', [None, '__chk_fail', None, 'crash_fortify']),
    'abort': Way('SIGABRT', 'abort', [None, 'abort', 'crash_abort']),
    'assert': Way('SIGABRT', 'assert', [None, '__assert_fail', 'crash_assert']),
    'double-free': Way('SIGABRT', 'heap-abort', [None, 'crash_double_free']),
    'malloc-locked': Way(SEGV, 'null-deref', [None, 'crash_malloc_locked']),
    'malloc-abort': Way('SIGABRT', 'heap-abort', [None, 'crash_malloc_abort']),
    'heap-gone': Way(SEGV, 'null-deref', ['crash_null', 'crash_heap_gone']),
    'qsort': Way(SEGV, 'null-deref', ['crash_null', 'compare', None, 'crash_qsort']),
    'in-signal': Way(SEGV, 'null-deref', ['crash_null', 'in_signal', None, 'crash_in_signal']),
    'loader': Way(SEGV, 'null-deref', ['crash_null', 'in_loader', 'dl_iterate_phdr', 'crash_loader']),
    'dlsym': Way(SEGV, 'null-deref', [None, 'crash_dlsym']),
    'sha256': Way(SEGV, 'null-deref', [None, 'gnutls_hash_fast', 'hash', 'crash_sha256']),
    'md5': Way(SEGV, 'null-deref', ['nettle_md5_compress', None, 'gnutls_hash_fast', 'hash', 'crash_md5']),
    'cbc': Way(SEGV, 'null-deref', [None, 'encrypt', 'crash_cbc']),
    'gcm': Way(SEGV, 'null-deref', [None, 'encrypt', 'crash_gcm']),
    'callback': Way(SEGV, 'null-deref', ['crash_null', 'push', None, 'gnutls_handshake', 'crash_callback']),
    'gcrypt-hash': Way(SEGV, 'null-deref', [None, 'crash_gcrypt_hash']),
    'gcrypt-gcm': Way(SEGV, 'null-deref', [None, 'gcry_cipher_encrypt', 'crash_gcrypt_gcm']),
    'sandbox': Way('SIGSYS', 'sandbox', [None, 'crash_sandbox']),
    'log-text': Way(SEGV, 'null-deref', [None, 'log_put_at', 'crash_log_text']),
}
SERVING = ['fault_start', 'phases_run', 'run', 'turn', 'loop_turn', 'conn_run', 'child_run', 'master_run', 'main', '_start']
POINTS = {
    '/fault-at/head/null': ['crash_null', 'fault_level', 'fault_crash', '__wrap_head_parse_request', 'run', 'child_run', 'main'],
    '/fault-at/access/malloc-locked': [None, 'crash_malloc_locked', 'fault_level', 'fault_crash', '__wrap_access_run', 'phases_run', 'child_run', 'main'],
    '/fault-at/send/gcrypt-gcm': [None, 'crash_gcrypt_gcm', 'fault_level', 'fault_crash', '__wrap_send', 'output_flush', 'child_run', 'main'],
    '/fault-at/log/null': ['crash_null', 'fault_level', 'fault_crash', '__wrap_ring_put', 'phases_run', 'child_run', 'main'],
    '/fault-at/log/torn': [None, 'ring_put', 'phases_run', 'child_run', 'main'],
    'fault-null': ['crash_null', 'fault_level', 'fault_crash', '__wrap_hello_parse', None, 'gnutls_handshake', 'turn', 'child_run', 'main'],
    'fault-loader': ['crash_null', 'in_loader', 'dl_iterate_phdr', 'crash_loader', 'fault_level', '__wrap_hello_parse', 'gnutls_handshake', 'child_run', 'main'],
}
Crashed = collections.namedtuple('Crashed', 'name report text frames theirs lock eof_ms report_ms')


def plain(function):
    """Without what compilers, linkers and the two ways to name a function add."""
    return re.sub(r'(\.(constprop|isra|part|cold|lto_priv|\d+)(\.\d+)?)+$', '', function.split('@')[0])


def gdb_frames(program, core):
    script = core + '.py'
    with open(script, 'w') as f:
        f.write(GDB)
    done = subprocess.run(['gdb', '-nx', '-q', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off', '-ex', 'set backtrace past-main on',
                           '-x', script, program, core], capture_output=True, text=True, timeout=60)
    found = re.search(r'^FRAMES (.*)$', done.stdout, re.M)
    if not found:
        raise AssertionError('gdb has no frames:\n' + done.stdout + done.stderr)
    frames, lock = json.loads(found[1])
    return [Frame(f['pc'], plain(f['function']), f['line'], f['kind']) for f in frames], lock


def report_frames(path):
    done = subprocess.run([TOOL, 'show', '--json', path], capture_output=True, text=True, timeout=60)
    shown = json.loads(done.stdout)
    return shown, [Frame(int(f['pc'], 16), plain(f.get('function', '')), f.get('line', 0), f['trust'], f.get('module', '')) for f in shown['frames']]


def in_code(report, pc):
    for line in report['map']:
        low, high = (int(x, 16) for x in line.split()[0].split('-'))
        if low <= pc < high:
            return 'x' in line.split()[1]
    return False


def same(a, b):
    """One function of a library has many names (memcpy is memmove, malloc is __GI___libc_malloc): there the line decides."""
    if not a or not b or a.pc != b.pc or (a.line != b.line and a.line and b.line):
        return False
    return a.function == b.function or (a.module != BIN and (a.line and b.line or a.function.strip('_') == b.function.strip('_')))


def as_gdb(frames):
    """gdb shows of a function that jumped on only the innermost of those that are inlined into it."""
    return [f for n, f in enumerate(frames) if not (f.kind == 'tail' and n and frames[n - 1].kind == 'inlined' and frames[n - 1].pc == f.pc)]


def table(crashed, ours, theirs):
    """Both lists side by side; a mark where they differ."""
    def words(f):
        return '%-4s%s%s%s' % ('', f.function or '?', ':%d' % f.line if f.line else '', ' (%s)' % f.kind if f.kind else '') if f else ''
    lines = ['%s: %s, ours and gdb\'s' % (crashed.name, crashed.report['signature'])]
    for n in range(max(len(ours), len(theirs))):
        a, b = (side[n] if n < len(side) else None for side in (ours, theirs))
        lines.append('%s %-70s %s' % (' ' if same(a, b) else '!', words(a), words(b)))
    return '\n'.join(lines)


class Copy(Server):
    """A server whose program may be another file."""

    def __init__(self, program):
        super().__init__(CONF)
        self.program = program

    def command(self, *args):
        return [self.program, *super().command(*args)[1:]]


class Crashes(unittest.TestCase):
    maxDiff = None

    def crash(self, name, program=BIN, then=None):
        """One server, one crash. A name of ways, a path, or a name for a ClientHello. `then` is called once it serves."""
        s = Copy(program)
        try:
            s.start()
            if then:
                then()
            return self.crash_server(s, name)
        finally:
            s.stop()
            shutil.rmtree(s.dir, ignore_errors=True)

    def crash_server(self, s, name):
        path = name if name.startswith('/') else '/fault/%s/2' % name
        try:
            if name == 'sent':
                with s.connect() as c:
                    c.request()
                    time.sleep(0.2)
                    os.kill(s.workers()[0], signal.SIGSEGV)
                    began = time.monotonic()
                    c.take(1)
            elif name.startswith('fault-'):
                wait_for(lambda: s.workers(), 'a child')
                began = time.monotonic()
                s.connect(True, sni=name).sock.close()
            else:
                with s.connect() as c:
                    began = time.monotonic()
                    c.request(path)
            raise AssertionError(name + ': there was an answer')
        except (EOFError, ConnectionResetError, ssl.SSLError):
            eof = time.monotonic() - began
        wait_for(lambda: re.search('BH012[67]', s.error_log), lambda: name + ': no report\n' + s.error_log[-2000:], 20)
        reported = time.monotonic() - began
        found = reports(s)
        if len(found) != 1:
            raise AssertionError('%s: %d reports\n%s' % (name, len(found), s.error_log[-2000:]))
        with open(found[0]) as f:
            text = f.read()
        report, frames = report_frames(found[0])
        cores = glob.glob(s.path('crash/core.*'))
        theirs, lock = gdb_frames(BIN, cores[0]) if CORES and cores else (None, None)
        if not s.get().status == 200:
            raise AssertionError(name + ': it serves no more')
        return Crashed(name, report, text, frames, theirs, lock, eof * 1000, reported * 1000)

    def crash_all(self, names):
        certificate()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.crash, names))

    def hold_against_gdb(self, crashed, cut=False):
        """All frames of both. gdb's without those that lie in no code: it goes on through rubbish where we look for the next real one."""
        if crashed.theirs is None:
            return None
        ours = as_gdb(crashed.frames)
        theirs = crashed.theirs[:1] + [f for f in crashed.theirs[1:] if in_code(crashed.report, f.pc)]
        if cut:
            theirs = theirs[:len(ours)]
        return None if len(ours) == len(theirs) and all(map(same, ours, theirs)) else table(crashed, ours, theirs)

    def hold_against_chain(self, crashed, chain):
        """The functions that must be there, in this order, from the first frame on."""
        at, names = 0, [f.function for f in crashed.frames]
        for function in chain:
            if function is None:
                if at == 0:
                    at = 1
                continue
            if function not in names[at:]:
                return '%s: %s is not in %s, after %d' % (crashed.name, function, ' '.join(names), at)
            at = names.index(function, at) + 1
        return None

    def check(self, crashed, chain, signal, kind, cut=False):
        wrong = []
        if not crashed.text.startswith('crash-report: 1\n') or not crashed.text.endswith('\nend: complete\n'):
            wrong.append('%s: the report is not complete' % crashed.name)
        if re.search(r'(?m)^snapshot: .*left', crashed.text):
            wrong.append('%s: a step of the handler was left' % crashed.name)
        got = crashed.report['signal']['name'], crashed.report['class'], crashed.report['frame-state']
        if got != (signal, kind, 'incomplete' if cut else 'whole'):
            wrong.append('%s: it is %s, not %s' % (crashed.name, got, (signal, kind)))
        return wrong + [text for text in (self.hold_against_chain(crashed, chain), self.hold_against_gdb(crashed, cut)) if text]

    def tell(self, all_of_them):
        lines = ['', '%-32s %7s %7s %9s %9s' % ('way', 'frames', "gdb's", 'EOF ms', 'report ms')]
        for c in all_of_them:
            lines.append('%-32s %7d %7s %9.1f %9.0f' % (c.name, len(c.frames), len(c.theirs) if c.theirs else '-', c.eof_ms, c.report_ms))
        if not CORES:
            lines.append('not held against gdb: core_pattern is %s, cores do not land beside the reports' % core_pattern())
        print('\n'.join(lines), file=sys.stderr)


class Frames(Crashes):
    @unsanitized
    def test_each_way_to_crash(self):
        names = [name for name in WAYS if ROOT or name != 'sandbox']
        with open(os.path.join(os.path.dirname(__file__), 'fault_ways.c')) as f:
            self.assertEqual(set(re.findall(r'\{ "([a-z0-9-]+)", crash_', f.read())), set(WAYS), 'each way stands in the table')
        all_of_them, wrong = self.crash_all(names), []
        self.tell(all_of_them)
        for c in all_of_them:
            way = WAYS[c.name]
            levels = ['fault_level'] * (2 if c.name == 'smashed' else 3) + ['fault_crash'] + SERVING
            if c.name.startswith('malloc-') and c.theirs:
                self.assertEqual(c.lock, 1, "the heap's lock was held")
            wrong += self.check(c, way.top if way.cut else way.top + levels, way.signal, way.kind, way.cut)
        self.assertEqual('\n'.join(wrong), '')

    def test_only_the_tests_program_has_the_injector(self):
        for program, there in ((BIN, True), (os.path.join(os.path.dirname(TOOL), 'bulkhead'), False)):
            with open(program, 'rb') as f:
                self.assertEqual(b'test-fault\0' in f.read(), there, program)

    @unsanitized
    def test_signal_from_outside_while_it_waits(self):
        crashed = self.crash('sent')
        self.assertEqual('\n'.join(self.check(crashed, [None, 'loop_turn', 'conn_run', 'child_run', 'master_run', 'main', '_start'], SEGV, 'sent-by-pid')), '')

    @unsanitized
    def test_each_point_of_a_request(self):
        all_of_them, wrong = self.crash_all(POINTS), []
        self.tell(all_of_them)
        for c in all_of_them:
            wrong += self.check(c, POINTS[c.name] + ['_start'], SEGV, 'null-deref')
        self.assertEqual('\n'.join(wrong), '')


@unsanitized
class Separate(Crashes):
    """Programs without symbols, whose debug information lies elsewhere or nowhere. gdb has the whole program to look into."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='bulkhead-debug-')
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        self.program, self.debug = os.path.join(self.dir, 'server'), os.path.join(self.dir, 'server.debug')
        subprocess.run(['objcopy', '--only-keep-debug', BIN, self.debug], check=True)
        subprocess.run(['objcopy', '--strip-all', '--add-gnu-debuglink=' + self.debug, BIN, self.program], check=True)
        self.id = re.search(r'Build ID: ([0-9a-f]+)', subprocess.run(['readelf', '-n', BIN], capture_output=True, text=True, check=True).stdout)[1]

    def move(self, to):
        """The debug information to another place; what had to be made for it goes away at the end."""
        made, folder = [], os.path.dirname(to)
        while not os.path.isdir(folder):
            made.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(made):
            os.mkdir(folder, 0o755)
        self.assertFalse(os.path.exists(to), to)
        shutil.move(self.debug, to)
        os.chmod(to, 0o644)

        def clean():
            os.unlink(to)
            for folder in made:
                os.rmdir(folder)
        self.addCleanup(clean)

    def as_built(self, crashed):
        return crashed._replace(frames=[f._replace(module=BIN) if f.module.startswith(self.program) else f for f in crashed.frames])

    def named(self, crashed):
        way = WAYS[crashed.name]
        wrong = self.check(self.as_built(crashed), way.top + ['fault_level'] * 3 + ['fault_crash'] + SERVING, way.signal, way.kind)
        self.assertEqual('\n'.join(wrong), '')

    def nameless(self, crashed):
        """No names of the program, but where each frame lies in which build; and the right frames all the same."""
        own = [f for f in crashed.report['frames'] if f.get('module') == self.program]
        self.assertGreater(len(own), 12)
        self.assertEqual([f for f in own if 'function' in f or 'file' in f or f.get('build-id') != self.id or 'module-offset' not in f], [])
        self.assertRegex(crashed.report['signature'], r'^SIGSEGV server\+0x[0-9a-f]+\(%s\)<server\+0x' % self.id[:8])
        if crashed.theirs:
            theirs = crashed.theirs
            real = [f.pc for n, f in enumerate(theirs) if f.kind != 'tail' and not (n and f.pc == theirs[n - 1].pc and theirs[n - 1].kind == 'inlined')]
            self.assertEqual([f.pc for f in crashed.frames if f.kind not in ('inlined', 'tail')], real)

    def test_beside_the_program(self):
        self.named(self.crash('inlined', self.program))

    def test_in_a_folder_beside_the_program(self):
        self.move(os.path.join(self.dir, '.debug/server.debug'))
        self.named(self.crash('null', self.program))

    @needs_root
    def test_by_build_id(self):
        self.move('/usr/lib/debug/.build-id/%s/%s.debug' % (self.id[:2], self.id[2:]))
        self.named(self.crash('qsort', self.program))

    @needs_root
    def test_below_the_folder_of_debug_information(self):
        self.move('/usr/lib/debug%s/server.debug' % self.dir)
        self.named(self.crash('inlined', self.program))

    def test_without_the_table_of_addresses(self):
        """clang writes none: each unit is asked."""
        subprocess.run(['objcopy', '-R', '.debug_aranges', self.debug], check=True)
        self.named(self.crash('inlined', self.program))

    def test_nowhere(self):
        os.unlink(self.debug)
        self.nameless(self.crash('null', self.program))

    def test_of_another_build(self):
        subprocess.run(['objcopy', '--only-keep-debug', TOOL, self.debug], check=True)
        self.nameless(self.crash('null', self.program))

    def test_damaged(self):
        with open(self.debug, 'r+b') as f:
            f.truncate(os.path.getsize(self.debug) // 3)
        self.nameless(self.crash('null', self.program))

    def test_program_that_was_replaced_while_it_ran(self):
        """The job runs the program that was started, and so has its symbols; those of the new file would be lies."""
        shutil.copy(BIN, self.program)
        other = os.path.join(self.dir, 'new')
        shutil.copy(TOOL, other)
        crashed = self.crash('null', self.program, lambda: os.rename(other, self.program))
        self.assertEqual(crashed.report['build-id'], self.id)
        self.assertIn('fault_level', [f.function for f in crashed.frames])
        self.assertEqual(self.hold_against_gdb(self.as_built(crashed)), None)


@unittest.skipUnless(shutil.which('clang') and CORES, 'needs clang, and cores beside the reports')
@unsanitized
class Clang(Crashes):
    """Another compiler, other unwind tables and debug information: the rehearsal's ways to crash, compiled by clang."""

    def test_frames_of_clang(self):
        folder = tempfile.mkdtemp(prefix='bulkhead-clang-')
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        build, root = os.path.dirname(os.path.dirname(BIN)), os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
        ways, program = os.path.join(folder, 'ways.o'), os.path.join(folder, 'rehearsal')
        objects = [o for o in glob.glob(build + '/obj/crashdump/tool/*.o') if not o.endswith('/ways.o')]
        subprocess.run(['clang', '-w', '-std=gnu17', '-O2', '-g', '-fPIE', '-fstack-protector-strong', '-D_GNU_SOURCE', '-I' + root, '-c', '-o', ways, root + '/crashdump/tool/ways.c'], check=True)
        subprocess.run(['gcc', '-pie', '-o', program, ways, *objects, build + '/lib/crashdump.a', '-lunwind', '-ldw', '-lelf', '-ljansson', '-lz', '-lm', '-lgcrypt'], check=True)
        wrong = []
        for name in ('null', 'bad-call', 'fpe', 'heap', 'assert', 'stack-overflow'):
            out = os.path.join(folder, name)
            os.mkdir(out)
            if ROOT:
                shutil.chown(out, 'www-data')
            done = subprocess.run([program, 'test', '-d', out, name], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            shown, frames = report_frames(glob.glob(out + '/*.txt')[0])
            frames = [f._replace(module=BIN) if f.module == program else f for f in frames]
            theirs, _ = gdb_frames(program, glob.glob(out + '/core*')[0])
            wrong.append(self.hold_against_gdb(Crashed(name, shown, '', frames, theirs, None, 0, 0), name == 'stack-overflow'))
        self.assertEqual([text for text in wrong if text], [])


if __name__ == '__main__':
    unittest.main()
