"""Rules of rewriting in the whole program: hosts, folders, per-directory files, TLS, maps as the children read them, the trace."""
import os
import shutil
import subprocess
import unittest

from server import ROOT, SSL_ON, ServerTest, needs_root, wait_for

FILES = {'htdocs/a.txt': 'a', 'htdocs/b.txt': 'b', 'htdocs/app/index.txt': 'front', 'htdocs/app/real.txt': 'real',
         'htdocs/app/.htaccess': 'RewriteEngine on\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\n'
                                 'RewriteRule ^(.*)$ index.txt?u=$1 [L,QSA]\nRewriteRule . - [E=Q:%{QUERY_STRING}]\n',
         'htdocs/circle/.htaccess': 'RewriteEngine on\nRewriteRule ^x(.*)$ x$1x\n', 't.map': 'one first\ntwo second\n'}
CONFIG = r'''
    LogLevel info rewrite:trace5
    Header always set X-Q "%{Q}e"
    <Directory "@DIR@/htdocs">
        AllowOverride FileInfo
    </Directory>
    RewriteEngine on
    RewriteMap t txt:@DIR@/t.map
    RewriteRule ^/go/(.*)$ http://other.test/$1 [R=301,L]
    RewriteRule ^/raw/(.*)$ http://other.test/$1 [R,NE,L]
    RewriteRule ^/t/(.*)$ http://other.test/${t:$1|none} [R,L]
    RewriteRule ^/hidden - [F]
    RewriteCond %{REQUEST_METHOD} =TRACE
    RewriteRule . - [F]
    RewriteRule ^/(.*)_SSL$ https://%{SERVER_NAME}/$1 [R,L]
    <VirtualHost *:@TLS@>
        RewriteEngine on
        RewriteCond %{SSL:SSL_PROTOCOL} ^TLS
        RewriteRule ^/(.*)_NOSSL$ http://%{SERVER_NAME}/$1 [R,L]
''' + SSL_ON + '</VirtualHost>\n'


class Rules(ServerTest):
    def test_hosts_folders_and_files(self):
        s = self.serve(CONFIG, FILES)
        with self.subTest('redirects'):
            answer = s.get('/go/x%20y?q=1')
            self.assertEqual((answer.status, answer.headers['location']), (301, 'http://other.test/x%20y?q=1'))
            self.assertEqual([s.get(p).status for p in ('/hidden/x', '/a.txt')], [403, 200])
            self.assertEqual(s.get('/a.txt', method='TRACE').status, 403)
        with self.subTest('no field slips in'):
            answer = s.get('/raw/%0d%0aSet-Cookie:%20a=b')
            self.assertEqual((answer.status, answer.headers.get('set-cookie'), answer.headers.get('location')), (403, None, None))
        with self.subTest('front controller'):
            answer = s.get('/app/users/42?sort=name')
            self.assertEqual((answer.body, answer.headers['x-q']), (b'front', 'u=users/42&sort=name'))
            self.assertEqual(s.get('/app/real.txt').body, b'real')
        with self.subTest('circle'):
            self.assertEqual(s.get('/circle/x').status, 500)
            wait_for(lambda: 'BH0617' in s.read('logs/error_log'), lambda: s.read('logs/error_log'))
        with self.subTest('TLS'):
            self.assertEqual(s.get('/p.html_SSL').headers['location'], 'https://localhost/p.html')
            self.assertEqual(s.get('/p.html_NOSSL', tls=True).headers['location'], 'http://localhost/p.html')
            self.assertEqual(s.get('/p.html_SSL', tls=True).status, 404)
        with self.subTest('a map that changes'):
            self.assertEqual([s.get('/t/' + k).headers['location'][18:] for k in ('one', 'two', 'three')], ['first', 'second', 'none'])
            s.write('new.map', 'one changed\n')
            os.rename(s.path('new.map'), s.path('t.map'))
            self.assertEqual(s.get('/t/one').headers['location'], 'http://other.test/changed')
        with self.subTest('trace'):
            wait_for(lambda: 'key=one -> val=changed' in s.read('logs/error_log'), lambda: s.read('logs/error_log'))
            log = s.read('logs/error_log')
            self.assertRegex(log, r"\[rewrite:trace3\] .*applying pattern '\^/go/\(\.\*\)\$' to uri '/go/x y': matched \(.*case\.conf:\d+\)")
            self.assertRegex(log, r"\[rewrite:trace4\] .*\[perdir .*/htdocs/app/\] RewriteCond: input='.*/app/users' pattern='!-f' => matched \(.*/app/\.htaccess:2\)")
            self.assertRegex(log, r'\[rewrite:trace5\] .*map lookup OK: map=t key=one -> val=first')

    @needs_root
    def test_a_map_that_the_children_cannot_read_is_told(self):
        s = self.configure('RewriteMap t txt:@DIR@/t.map\n', FILES)
        os.chmod(s.path('t.map'), 0o600)
        done = s.run('-t')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'case\.conf:\d+: error: RewriteMap .*/t\.map cannot be read by the user \S+: Permission denied\s+chgrp')

    @unittest.skipUnless(shutil.which('gdbmtool'), 'needs gdbmtool')
    def test_a_database(self):
        s = self.configure('RewriteEngine on\nRewriteMap d dbm=gdbm:@DIR@/d.db\nRewriteRule ^/d/(.*)$ http://t.test/${d:$1|none} [R,L]\n', FILES)
        subprocess.run(['gdbmtool', '-n', s.path('d.db')], input=b'store one first\nstore two second\nquit\n', check=True, capture_output=True)
        os.chmod(s.path('d.db'), 0o644)
        if ROOT:
            os.chown(s.path('d.db'), 0, 0)
        s.start()
        self.assertEqual([s.get('/d/' + k).headers['location'] for k in ('one', 'two', 'x')], ['http://t.test/' + v for v in ('first', 'second', 'none')])
        s.write('d.db', 'no database\n')
        self.assertEqual(s.get('/d/one').status, 500)
        wait_for(lambda: 'BH0612' in s.read('logs/error_log'), lambda: s.read('logs/error_log'))


if __name__ == '__main__':
    unittest.main()
