"""bulkhead-cache bench: its rows hang together, it leaves nothing behind however it ends, and says what it cannot do."""
import glob
import json
import os
import signal
import subprocess
import tempfile
import unittest

from server import BIN, wait_for

TOOL = os.path.join(os.path.dirname(os.path.dirname(BIN)), 'bin', 'bulkhead-cache')
QUICK = ('--rounds', '2', '--time', '3', '--sessions', '500')


def bench(*args, **kw):
    return subprocess.run([TOOL, 'bench', *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **kw)


def segments(pid):
    return glob.glob('/dev/shm/bulkhead-bench-%d-*' % pid)


def lockfile(pid):
    """The lockfile with this process's number in it."""
    for path in glob.glob('/run/bulkhead-bench-*/lock') + glob.glob(tempfile.gettempdir() + '/bulkhead-bench-*/lock'):
        with open(path) as f:
            if f.read().strip() == str(pid):
                return path
    raise AssertionError('no lockfile')


def group(pgid):
    """Who is left of a process group; the dead that wait for their parent do not count."""
    listed = subprocess.run(['ps', '-eo', 'pgid=,stat=,pid='], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [x for x in listed.splitlines() if x.split()[0] == str(pgid) and not x.split()[1].startswith('Z')]


class Benchmark(unittest.TestCase):
    def rows(self, part, *args):
        done = bench('--json', *args, part)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        answer = json.loads(done.stdout)
        self.assertEqual(set(answer), {'machine', part})
        return answer[part]

    def test_costs_of_each_kind_and_number_of_processes(self):
        rows = self.rows('cost', *QUICK, '-p', '1,3', '-k', 'ofd,fcntl,flock,robust')
        self.assertEqual([(r['lock'], r['processes']) for r in rows], [(k, p) for k in ('ofd', 'fcntl', 'flock', 'robust') for p in (1, 3)])
        for r in rows:
            for op in ('hit', 'miss', 'store', 'remove', '95_5'):
                self.assertGreater(r[op], 5, r)

    def test_locks_are_held_and_waited_for(self):
        for r in self.rows('lock', *QUICK, '-p', '2', '-k', 'ofd,robust'):
            self.assertGreater(r['stores'], 10, r)
            self.assertGreater(r['held_50%'], 0, r)
            self.assertLessEqual(r['held_50%'], r['held_99%'])
            self.assertLessEqual(r['wait_50%'], r['wait_99%'])

    def test_density_agrees_with_the_plan(self):
        rows = self.rows('density')
        self.assertEqual(len(rows), 10)
        for r in rows:
            self.assertLess(abs(r['off_by_%']), 5, r)

    def test_hit_ratios_are_the_same_each_time(self):
        first, again = self.rows('policy'), self.rows('policy')
        self.assertEqual((len(first), first), (9, again))

    def test_text_has_a_heading_and_a_line_each(self):
        done = bench(*QUICK, '-p', '1', '-k', 'ofd,flock', 'cost', 'lock')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        lines = done.stdout.splitlines()
        self.assertEqual([len(x.split()) for x in lines if x.split()[:1] in (['ofd'], ['flock'])], [8, 8, 10, 10], done.stdout)

    def begun(self, processes):
        """A long run with all its workers, and its folder."""
        p = subprocess.Popen([TOOL, 'bench', '-s', '100000', '-p', str(processes), '-k', 'ofd', 'cost'], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        wait_for(lambda: segments(p.pid) and len(group(p.pid)) == processes + 1, lambda: 'workers: %s' % group(p.pid))
        return p, os.path.dirname(lockfile(p.pid))

    def test_nothing_is_left_when_it_is_stopped(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            p, folder = self.begun(2)
            p.send_signal(sig)
            self.assertEqual((p.wait(10), p.stderr.read()), (-sig, b''))
            self.assertEqual((segments(p.pid), group(p.pid), os.path.exists(folder)), ([], [], False))

    def test_the_workers_die_with_it(self):
        p, folder = self.begun(3)
        p.kill()
        p.wait()
        wait_for(lambda: not group(p.pid), 'the workers to end', 3)
        for name in [*segments(p.pid), folder + '/lock']:       # nobody was left who could
            os.unlink(name)
        os.rmdir(folder)

    def test_wrong_arguments(self):
        for args in (('-p', '0'), ('-p', '65'), ('-p', '1,x'), ('-p', ''), ('-s', '10'), ('-k', 'mutex'), ('-k', ''), ('-r', '0'), ('-t', 'x'), ('nothing',), ('--fast',),
                     ('--full=1',), ('-p',)):
            done = bench(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ''), args)
            self.assertRegex(done.stderr, r"\Abulkhead-cache: [^\n]+\n  see 'bulkhead-cache help bench'\n\Z", args)


if __name__ == '__main__':
    unittest.main()
