"""SuexecUserGroup: programs as another account, what they must be, and the spawner of that account killed."""
import os
import signal
import unittest

from server import ServerTest, account, needs_root, wait_for

TEXT = '#!/bin/sh\necho "Content-Type: text/plain"\necho\n'
ID = TEXT + 'id -u; id -g; id -G; env\n'
CONF = """\
StartServers 1
SetEnv MINE yes
ScriptAlias /cgi-bin/ "@DIR@/plain/"
RewriteEngine on
RewriteMap who "prg:@DIR@/bin/who" nobody:nogroup
RewriteRule ^/who$ /as/${who:x} [R,L]
<VirtualHost 127.0.0.1:@PORT@>
  ServerName plain
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
  ServerName other
  DocumentRoot "@DIR@/site"
  SuexecUserGroup nobody nogroup
  SetEnv MINE yes
  ScriptAlias /cgi-bin/ "@DIR@/site/cgi-bin/"
  ScriptAlias /open/ "@DIR@/site/open/"
  ScriptAlias /link/ "@DIR@/site/link/"
  RewriteEngine on
  RewriteOptions Inherit
</VirtualHost>
"""
SCRIPTS = ['id', 'foreign', 'writable', 'setuid', 'linked']


@needs_root
class Accounts(ServerTest):
    @classmethod
    def setUpClass(cls):
        s = cls.s = cls.shared(CONF, dict({'site/cgi-bin/' + n: ID for n in SCRIPTS}, **{
            'plain/id': ID, 'site/open/id': ID, 'bin/who': '#!/bin/sh\nwhile read -r x; do id -u; done\n'}))
        cls.uid = account('nobody').pw_uid
        for folder in ('site', 'site/cgi-bin', 'site/open'):
            os.chown(s.path(folder), cls.uid, account('nobody').pw_gid)
            os.chmod(s.path(folder), 0o755)
        for name in ['site/cgi-bin/' + n for n in SCRIPTS] + ['site/open/id', 'plain/id', 'bin/who']:
            os.chown(s.path(name), cls.uid, account('nobody').pw_gid)
            os.chmod(s.path(name), 0o755)
        os.chown(s.path('site/cgi-bin/foreign'), 0, 0)
        os.chmod(s.path('site/cgi-bin/writable'), 0o775)
        os.chmod(s.path('site/cgi-bin/setuid'), 0o4755)
        os.remove(s.path('site/cgi-bin/linked'))
        os.symlink('/usr/bin/id', s.path('site/cgi-bin/linked'))
        os.symlink(s.path('site/cgi-bin'), s.path('site/link'))
        os.chmod(s.path('site/open'), 0o777)
        s.start()

    def spawners(self):
        return {os.stat('/proc/%d' % p).st_uid: p for p in self.s.roles('spawn')}

    def test_programs_run_as_the_hosts_account(self):
        lines = self.s.get('/cgi-bin/id', host='other').body.decode().split('\n')
        nobody = account('nobody')
        self.assertEqual(lines[:3], [str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid)])
        self.assertIn('PATH=/usr/local/bin:/usr/bin:/bin', lines)
        self.assertIn('REQUEST_METHOD=GET', lines)
        self.assertNotIn('MINE=yes', lines)
        lines = self.s.get('/cgi-bin/id', host='plain').body.decode().split('\n')
        self.assertEqual(lines[0], str(account().pw_uid))
        self.assertIn('MINE=yes', lines)

    def test_what_a_program_must_be(self):
        for path, why in (('cgi-bin/foreign', 'owner and group are others'), ('cgi-bin/writable', 'it can be written by others'),
                          ('cgi-bin/setuid', 'setuid or setgid'), ('cgi-bin/linked', 'symbolic link'), ('link/id', 'behind one'),
                          ('open/id', 'its folder can be written by others')):
            with self.subTest(path):
                self.assertEqual(self.s.get('/' + path, host='other').status, 500)
                self.s.logged(r'BH0697: \S*%s is not run: .*%s' % (path, why))

    def test_programs_of_maps(self):
        self.assertTrue(self.s.get('/who', host='other').headers['location'].endswith('/as/%d' % self.uid))

    def test_spawner_killed(self):
        wait_for(lambda: len(self.spawners()) == 2, 'a spawner for each account')
        old = self.spawners()[self.uid]
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.spawners().get(self.uid, old) != old, 'another takes its place')
        self.assertEqual(self.s.get('/cgi-bin/id', host='other').body.decode().split('\n')[0], str(self.uid))
        self.assertEqual(self.s.get('/cgi-bin/id', host='plain').status, 200)


@needs_root
class Refusals(ServerTest):
    def test_accounts_that_may_not_be(self):
        for line, why in (('SuexecUserGroup root nogroup', 'system'), ('SuexecUserGroup nobody root', 'system'), ('SuexecUserGroup daemon nogroup', 'system'),
                          ('SuexecUserGroup no-such-user nogroup', 'no user'), ('SuexecUserGroup nobody no-such-group', 'no group'),
                          ('Suexec Off\nSuexecUserGroup nobody nogroup', 'Suexec Off'), ('SuexecUserGroup nobody nogroup\nSuexec Off', 'other accounts')):
            with self.subTest(line):
                done = self.configure(line + '\n').run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(why, done.stdout)


if __name__ == '__main__':
    unittest.main()
