"""How much crashes may cost: reports of the same fault, cores on the disk, and storms of crashes with requests going on."""
import glob
import os
import re
import unittest

from crash_test import CRASH, Crash, core_pattern, reports, unsanitized
from server import wait_for

cores_here = unittest.skipIf(core_pattern().startswith(('|', '/')), 'the kernel writes cores elsewhere')
# A child that crashed before waits: tests that crash often take another slot each time, and never come to the token bucket.
MANY = CRASH.replace('3\n', '8\n')


@unsanitized
class Limits(Crash):
    def crash_again(self, s, path='/crash?s=11'):
        before = s.error_log.count('BH0120')
        wait_for(lambda: s.get().status == 200, 'it serves')
        self.crash(s, path)
        wait_for(lambda: s.error_log.count('BH0120') > before, 'its end is logged')

    def cores(self, s):
        return sorted(glob.glob(s.path('crash/core*')))

    def settled(self, s, n):
        """The log's lines about n crashes, each one line or, where there is a report, that of the report too."""
        wait_for(lambda: len(re.findall('BH0125|BH0128', s.error_log)) == n and s.error_log.count('BH0126') == s.error_log.count('BH0125'),
                 lambda: '%d crashes are told of: %s' % (n, s.error_log[-3000:]), 20)

    def test_the_same_fault_is_reported_so_often_and_counted_then(self):
        s = self.serve(MANY + 'CrashReportLimit 2 60\n')
        for n in range(1, 5):
            self.crash_again(s)
            self.settled(s, n)          # a core that waits for its report would be written over by the next
        self.assertEqual(len(reports(s)), 2)
        newest = max(reports(s), key=os.path.getmtime)
        for n in (3, 4):
            self.assertRegex(s.error_log, r'BH0128: child pid \d+ crashed by signal 11 at address 0x8 while it served GET /crash .*; '
                                          r'the same as %s, number %d in this minute: counted' % (re.escape(newest), n))
        # Another fault is told of, and the counts survive a graceful restart.
        self.crash_again(s, '/crash?s=8')
        self.settled(s, 5)
        self.assertEqual(len(reports(s)), 3)
        s.run('-k', 'graceful')
        s.logged('BH0102')
        self.crash_again(s)
        self.settled(s, 6)
        self.assertEqual(len(reports(s)), 3)
        self.assertRegex(s.error_log, 'number 5 in this minute')

    def test_no_reports_are_wanted(self):
        s = self.serve(CRASH + 'CrashReportLimit 0\n')
        self.crash(s)
        s.logged(r'BH0128: child pid \d+ crashed by signal 11 .*no report \(CrashReportLimit 0\)')
        self.assertEqual(reports(s), [])

    @cores_here
    def test_cores_are_bounded_and_the_bound_is_told(self):
        s = self.serve(MANY + 'CoreDumpLimit 2\nCrashReportLimit 10\n')
        for n in range(1, 5):
            self.crash_again(s)
            self.report(s, n)
        self.assertEqual(len(self.cores(s)), 2)
        self.assertRegex(s.error_log, r'BH0136: %s holds 2 cores: crashes leave no further ones \(CoreDumpLimit 2\)' % re.escape(s.path('crash')))
        texts = [s.read('crash/' + os.path.basename(path)) for path in reports(s)]
        without = [self.field(text, 'core') for text in texts if self.field(text, 'core').startswith('none')]
        self.assertEqual(without, ['none: CoreDumpLimit 2: there are as many already; remove some'] * 2)
        self.assertEqual(s.error_log.count('Segmentation fault (11), no core'), 2, 'the disk was not even touched')
        # Room again, for children that live already and without a restart.
        for path in self.cores(s):
            os.unlink(path)
        s.logged(r'BH0136: \S+ has room again')
        self.crash_again(s)
        self.report(s, 5)
        self.assertEqual(len(self.cores(s)), 1)

    @cores_here
    def test_no_cores_are_wanted(self):
        s = self.serve(CRASH + 'CoreDumpLimit 0\n')
        self.crash(s)
        _, text = self.report(s)
        self.assertEqual(self.field(text, 'core'), 'none: CoreDumpLimit 0')
        self.assertEqual(self.cores(s), [])

    def test_limits_that_make_no_sense_are_refused(self):
        for line, words in (('CrashReportLimit few', 'is not a number'), ('CrashReportLimit 3 soon', 'is not a length of time'), ('CrashReportLimit 3 0', 'range'),
                            ('CoreDumpLimit -1', r'range|not a number')):
            with self.subTest(line):
                done = self.configure(CRASH + line + '\n').run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout, r'case\.conf:\d+.*%s: .*(%s)' % (line.split()[0], words))


if __name__ == '__main__':
    unittest.main()
