"""The Debian package: it is built as Debian builds it, without optimisation so that it takes seconds, and looked at without being installed."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))


def run(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500, **more)
    if done.returncode:
        raise AssertionError('%s\n%s' % (' '.join(words), done.stdout[-4000:]))
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix='bulkhead-package-')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        sources = os.path.join(cls.dir, 'bulkhead')
        shutil.copytree(TOP, sources, symlinks=True, ignore=shutil.ignore_patterns('build', '.git'))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(('MAKE', 'MFLAGS', 'SANITIZE', 'COVERAGE', 'CFLAGS', 'BUILD'))}
        run('dpkg-buildpackage', '-b', '-us', '-uc', cwd=sources, env=dict(clean, DEB_BUILD_OPTIONS='noopt nocheck parallel=2'))
        cls.deb = next(os.path.join(cls.dir, f) for f in os.listdir(cls.dir) if f.endswith('.deb'))
        cls.root, cls.control = os.path.join(cls.dir, 'root'), os.path.join(cls.dir, 'control')
        run('dpkg-deb', '-x', cls.deb, cls.root)
        run('dpkg-deb', '-e', cls.deb, cls.control)

    def read(self, *path):
        with open(os.path.join(*path)) as f:
            return f.read()

    def test_programs_know_debians_places(self):
        version = run(os.path.join(self.root, 'usr/sbin/bulkhead'), '-V')
        self.assertIn('HTTPD_ROOT="/etc/bulkhead"', version)
        for name in 'bulkhead', 'bulkhead-cert', 'bulkhead-cache', 'bulkhead-crash', 'bulkheadctl':
            self.assertTrue(os.access(os.path.join(self.root, 'usr/sbin', name), os.X_OK), name)
            self.assertTrue(os.path.exists(os.path.join(self.root, 'usr/share/man/man8', name + '.8.gz')), name)

    def test_reports_of_crashes_can_name_lines(self):
        self.assertRegex(run('readelf', '-S', '-W', os.path.join(self.root, 'usr/sbin/bulkhead')), r'\.debug_info.*\n(.*\n)*.*\.symtab')

    def test_what_an_administrator_changes_stays(self):
        kept = self.read(self.control, 'conffiles').split()
        for name in '/etc/bulkhead/bulkhead.conf', '/etc/logrotate.d/bulkhead', '/etc/apparmor.d/usr.sbin.bulkhead':
            self.assertIn(name, kept)

    def test_accounts(self):
        self.assertEqual(re.findall(r'(?m)^u (\S+)', self.read(self.root, 'usr/lib/sysusers.d/bulkhead.conf')), ['_bulkhead-key', '_bulkhead-log'])
        self.assertIn('systemd-sysusers', self.read(self.control, 'postinst'))

    def test_folders_that_its_configuration_names_are_there(self):
        conf = self.read(self.root, 'etc/bulkhead/bulkhead.conf')
        for path in re.findall(r'(?m)^DocumentRoot (\S+)', conf) + [os.path.dirname(p) for p in re.findall(r'(?m)^(?:ErrorLog|CustomLog) (/\S+)', conf)]:
            self.assertTrue(os.path.isdir(self.root + path), path)

    def test_nothing_is_started_unasked(self):
        self.assertNotRegex(self.read(self.control, 'postinst'), r'(?m)^[^#]*(deb-systemd-invoke|invoke-rc.d).*start')
        self.assertTrue(os.path.exists(os.path.join(self.root, 'lib/systemd/system/bulkhead.service')))

    def test_profile_can_be_read(self):
        run('apparmor_parser', '-Q', '-T', '-K', os.path.join(self.root, 'etc/apparmor.d/usr.sbin.bulkhead'))

    def test_needs_what_it_is_linked_with(self):
        needs = run('dpkg-deb', '-f', self.deb, 'Depends')
        for library in 'libgnutls30', 'libnghttp2-14', 'libgcrypt20', 'libunwind8', 'libseccomp2':
            self.assertIn(library, needs)


if __name__ == '__main__':
    unittest.main()
