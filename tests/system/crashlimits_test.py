"""How much crashes may cost: reports of the same fault, cores on the disk, and storms of crashes with requests going on."""
import glob
import os
import re
import threading
import time
import unittest

from crash_test import CRASH, Crash, core_pattern, reports, unsanitized
from server import account, needs_root, wait_for

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

    @needs_root
    def test_server_whose_children_cannot_begin_ends(self):
        """It says so in one line, with another exit code than 0, and does not try for ever."""
        s = self.configure(CRASH + 'ChrootDir "@DIR@/nowhere"\n')
        began = time.monotonic()
        done = s.run('-k', 'start')
        self.assertNotEqual(done.returncode, 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertRegex(done.stdout, r'(?m)^bulkhead: no child can serve: \d+ ended before they were ready; the error log says why')
        self.assertEqual(s.error_log.count('BH0100'), 1)
        self.assertRegex(s.error_log, 'BH0104: this child cannot serve: cannot make .*/nowhere the root folder')
        self.assertEqual(s.read('run/pid'), '')

    @needs_root
    @cores_here
    def test_core_in_a_chroot(self):
        s = self.configure(CRASH + 'ChrootDir "@DIR@/jail"\n')
        os.makedirs(s.path('jail') + s.path('htdocs'))
        s.start()
        folder = s.path('jail') + s.path('crash')
        s.logged(r'BH0137: cores of crashed children go to %s' % re.escape(folder))
        self.crash(s)
        s.logged(r'BH0126: .*; report %s/bulkhead-crash-\S+\.txt; core %s/core' % (re.escape(folder), re.escape(folder)))
        self.assertEqual(len(glob.glob(folder + '/core*')), 1)

    @needs_root
    def test_folder_where_nothing_can_be_made_is_told(self):
        s = self.configure(CRASH)
        os.mkdir(s.path('crash'), 0o700)
        done = s.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        sentence = 'neither reports nor cores will be written to %s: the user www-data cannot create a file there' % s.path('crash')
        self.assertIn(sentence, done.stdout)
        self.assertIn('install -d -m 700 -o www-data %s' % s.path('crash'), done.stdout)
        s.start()
        self.assertIn(sentence, s.error_log)
        os.chown(s.path('crash'), account().pw_uid, account().pw_gid)
        self.assertNotIn(sentence, s.run('-t').stdout)
        self.assertEqual(os.listdir(s.path('crash')), [])

    def zombies(self, s):
        found = []
        for name in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/stat' % name) as f:
                    state, parent = f.read().rsplit(')', 1)[1].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state == 'Z' and int(parent) == s.pid:
                found.append(int(name))
        return found

    def test_storm_of_crashes(self):
        """Every child crashes again and again for 20 s, in two ways, with requests going on: nothing is left behind, all are told of."""
        s = self.serve(MANY + 'CrashReportLimit 4\nCoreDumpLimit 3\n')
        end, sent = time.monotonic() + 20, [0, 0]

        def attack(signal_number, which):
            while time.monotonic() < end:
                try:
                    with s.connect(timeout=5) as c:
                        c.send('GET /crash?s=%d HTTP/1.1\r\nHost: localhost\r\n\r\n' % signal_number)
                        c.rest()
                    sent[which] += 1
                except OSError:
                    pass
                time.sleep(0.02)

        attackers = [threading.Thread(target=attack, args=(11, 0)), threading.Thread(target=attack, args=(6, 1))]
        served, times, began = 0, [], time.monotonic()
        for thread in attackers:
            thread.start()
        while time.monotonic() < end:
            try:
                with s.connect(timeout=5) as c:
                    if c.request(close=True).status == 200:
                        served += 1
                        times.append(time.monotonic())
            except (OSError, EOFError):
                pass
            time.sleep(0.02)
        for thread in attackers:
            thread.join()
        crashes = len(re.findall('BH0120.*it crashed', s.error_log))
        print('%d crashes in 20 s, %d requests served between them, the longest time without one %.1f s'
              % (crashes, served, max(b - a for a, b in zip([began] + times, times + [end]))))
        self.assertGreater(crashes, 40)
        self.assertGreater(served, 20)
        self.assertGreater(min(sent), 0)
        # The last jobs end; then all is as before.
        wait_for(lambda: not s.roles('bulkhead-job'), 'no job is left', 30)
        wait_for(lambda: s.error_log.count('BH0126') == s.error_log.count('BH0125'), 'all reports are told of')
        wait_for(lambda: len(re.findall('BH0125|BH0128', s.error_log)) == len(re.findall('BH0120.*it crashed', s.error_log)), 'each crash is told of')
        self.assertNotIn('BH0127', s.error_log)
        self.assertEqual(len(reports(s)), 8)
        for path in reports(s):
            self.assertTrue(s.read('crash/' + os.path.basename(path)).endswith('\nend: complete\n'), path)
        names = os.listdir(s.path('crash'))
        if not core_pattern().startswith(('|', '/')):
            self.assertLessEqual(len(self.cores(s)), 3)
        self.assertEqual([n for n in names if not re.fullmatch(r'bulkhead-crash-[\d-]+\.txt|core(\.\d+)?(-\d)?', n)], [])
        wait_for(lambda: not self.zombies(s), 'no zombie is left')
        # No crash slot was lost: more crashes than there may be jobs at once are taken up as the first.
        wait_for(lambda: s.get().status == 200, 'it serves')
        self.crash(s, '/crash?s=8')
        wait_for(lambda: len(reports(s)) == 9, 'another fault gets its report')
        self.assertEqual(s.get().status, 200)


if __name__ == '__main__':
    unittest.main()
