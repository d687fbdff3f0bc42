"""bulkhead explain: what a request meets, each with its line; no server runs."""
import re
import subprocess

from server import BIN, ServerTest

CONFIG = '''<Directory "@DIR@/htdocs">
    Options Indexes
    DirectoryIndex page.html
</Directory>
Alias "/files" "@DIR@/htdocs/d"
Redirect permanent "/old" "https://new.test/x"
<Location "/shut">
    Require ip 192.0.2.0/24
</Location>
<Files "*.html">
    Header set X-Page yes
</Files>
RewriteEngine On
RewriteRule "^/pretty/(.*)$" "/files/$1" [PT]
'''


class Explain(ServerTest):

    def explain(self, target, *words, config=CONFIG):
        s = self.configure(config, {'htdocs/d/page.html': 'x', 'htdocs/d/a.txt': 'x'})
        self.s = s
        url = target if '://' in target else 'http://localhost:%d%s' % (s.port, target)
        done = subprocess.run([BIN, 'explain', '-f', s.path('httpd.conf'), *words, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        return done.returncode, done.stdout

    def said(self, text, pattern):
        self.assertRegex(text, '(?m)^ *' + pattern.replace('CASE', re.escape(self.s.path('case.conf'))))

    def test_each_decision_has_its_line(self):
        code, text = self.explain('/pretty/page.html')
        self.assertEqual(code, 0, text)
        self.said(text, r'path +/pretty/page\.html$')
        self.said(text, r"log +.*applying pattern '\^/pretty/\(\.\*\)\$'.*CASE:14")
        self.said(text, r'leads to +\S+/htdocs/d/page\.html \(CASE:5\)')
        self.said(text, r'section +<Directory \S+/htdocs> at CASE:1')
        self.said(text, r'section +<Files \*\.html> at CASE:10')
        self.said(text, r'log +the line at CASE:11 counts for X-Page')
        self.said(text, r'answer +200 OK')
        self.said(text, r'field +X-Page: yes')
        self.said(text, r'handler +default-handler')

    def test_refusals_redirects_and_what_is_not_there(self):
        code, text = self.explain('/shut/x')
        self.said(text, r'access +the rule at CASE:8')
        self.said(text, r'answer +403 Forbidden')
        code, text = self.explain('/shut/x', '--from', '192.0.2.9')
        self.said(text, r'access +granted')
        self.said(text, r'answer +404 Not Found')
        code, text = self.explain('/old')
        self.said(text, r'redirect +by the line at CASE:6')
        self.said(text, r'field +Location: https://new\.test/x')
        code, text = self.explain('/files/')
        self.said(text, r'look-up +/files/page\.html')
        self.said(text, r'file +\S+/htdocs/d/page\.html, 1 bytes')
        code, text = self.explain('/files/a.txt', '--method', 'DELETE', '--header', 'X-A: b')
        self.said(text, r'answer +405')

    def test_what_cannot_be_asked(self):
        for words, target, said in (((), 'ftp://x/', 'an address such as https://'), ((), 'http://localhost:1/', 'no Listen of this configuration names the port: 1'),
                                    (('--from', 'me'), '/', '--from takes a numeric address'), (('--header', 'bad'), '/', 'that is no request')):
            with self.subTest(target):
                code, text = self.explain(target, *words)
                self.assertEqual(code, 1)
                self.assertIn(said, text)
        code, text = self.explain('/', config='Nonsense on\n')
        self.assertEqual(code, 1)
        self.assertIn('unknown directive Nonsense', text)
        self.assertEqual(subprocess.run([BIN, 'explain'], stderr=subprocess.PIPE, text=True).returncode, 1)
