"""Per-directory files, conditions and macros in the whole server: several children, their sandbox, their logs."""
import base64
import contextlib
import hashlib
import os
import time
import unittest

from server import ServerTest

CONF = '''
<Macro Folder $name $allow>
<Directory "@DIR@/htdocs/$name">
    AllowOverride $allow
</Directory>
</Macro>
Use Folder a All
Use Folder b FileInfo
Use Folder c "Options=Indexes"
<Location /tag>
    FileETag Digest
    <If "md5('x') == '9dd4e461268c8034f5c8564e155c67a6'">
        Header set X-Hash yes
    </If>
</Location>
<Location /strange>
    <If "%{HTTP_HOST} == 'x.test'">
        Require all denied
    </If>
</Location>
<VirtualHost *:@PORT2@>
    ServerName only.test
    StrictHostCheck On
</VirtualHost>
'''
FILES = {'htdocs/%s' % n: 'x' for n in ('a/x.txt', 'a/deep/x.txt', 'b/x.txt', 'c/x.txt', 'tag', 'strange')}


class PerDirectory(ServerTest):
    def test_everything(self):
        self.s = self.serve(CONF, FILES)
        for name in ('changes_reach_every_child', 'faults_and_rights', 'expressions_in_the_sandbox', 'tags', 'strict_names'):
            with self.subTest(name):
                getattr(self, name)()

    def changes_reach_every_child(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        connections = [stack.enter_context(self.s.connect()) for _ in range(6)]
        for word in ('one', 'two', 'six'):
            self.s.write('htdocs/a/.htaccess', 'Header set X-A %s\n<If "%%{QUERY_STRING} =~ /^q(.)$/">\nHeader set X-B yes\n</If>\n' % word)
            for c in connections:
                answer = c.request('/a/deep/x.txt?q1')
                self.assertEqual((answer.status, answer.headers.get('x-a'), answer.headers.get('x-b')), (200, word, 'yes'))
                self.assertIsNone(c.request('/a/x.txt').headers.get('x-b'))
        os.remove(self.s.path('htdocs/a/.htaccess'))
        for c in connections:
            self.assertIsNone(c.request('/a/x.txt').headers.get('x-a'))

    def faults_and_rights(self):
        self.s.write('htdocs/b/.htaccess', '# one\nRequire all granted\n')
        self.assertEqual(self.s.get('/b/x.txt').status, 500)
        self.s.logged(r'BH0650: %s:2: Require is not allowed here: AllowOverride' % self.s.path('htdocs/b/.htaccess'))
        self.s.write('htdocs/b/.htaccess', 'AddType text/x-b .txt\n')
        self.assertEqual(self.s.get('/b/x.txt').headers['content-type'], 'text/x-b')
        self.s.write('htdocs/c/.htaccess', 'Options +ExecCGI\n')
        self.assertEqual(self.s.get('/c/x.txt').status, 500)
        if os.geteuid() == 0:
            os.chmod(self.s.path('htdocs/c/.htaccess'), 0)
            self.assertEqual(self.s.get('/c/x.txt').status, 403)
            self.s.logged(r'BH0654: \(13\)Permission denied: %s' % self.s.path('htdocs/c/.htaccess'))

    def expressions_in_the_sandbox(self):
        """Patterns and hashes that a child makes ready by itself must not need what its sandbox forbids."""
        self.s.write('htdocs/a/.htaccess', 'RewriteEngine on\nRewriteRule ^(go+)$ x.txt [E=WENT:$1]\nSetEnvIf Request_URI "(x|y)\\.txt$" LETTER=$1\n'
                     'Header set X-L "%{LETTER}e"\n<If "sha1(%{QUERY_STRING}) =~ /^[0-9a-f]{40}$/ && -f %{REQUEST_FILENAME}">\nHeader set X-H yes\n</If>\n')
        answer = self.s.get('/a/x.txt?z')
        self.assertEqual((answer.status, answer.headers.get('x-l'), answer.headers.get('x-h')), (200, 'x', 'yes'))
        self.assertEqual(self.s.get('/tag').headers.get('x-hash'), 'yes')
        self.assertEqual([self.s.get('/strange', host=h).status for h in ('x.test', 'y.test')], [403, 200])
        self.assertNotIn('BH0125', self.s.error_log)

    def tags(self):
        def tag(text):
            return '"%s"' % base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
        self.assertEqual(self.s.get('/tag').headers['etag'], tag('x'))
        then = time.time() - 100
        for text in ('y', 'z'):
            self.s.write('htdocs/tag', text)
            os.utime(self.s.path('htdocs/tag'), (then, then))
            for _ in range(4):
                self.assertEqual(self.s.get('/tag').headers['etag'], tag(text))

    def strict_names(self):
        port = int(self.s.vars['PORT2'])
        self.assertEqual([self.s.get('/tag', port=port, host=h).status for h in ('only.test', 'other.test')], [200, 400])


if __name__ == '__main__':
    unittest.main()
