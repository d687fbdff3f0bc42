"""server-info: the configuration as it was read, what a request meets in it, and what is not shown; bulkhead explain --directives says the same."""
import re
import socket
import subprocess
from urllib.parse import quote

from server import BIN, Conn, ServerTest, SSL_ON

CONFIG = '''
AddModuleInfo mod_alias.c "see the <i>runbook</i>"
SetEnv DB_PASSWORD hunter2
SetEnv COLOUR red
ServerSignature On
RequestHeader set Authorization "Bearer abc123"
<Directory "@DIR@/htdocs">
    AllowOverride All
    AllowOverrideList none
    ServerSignature Off
    DirectoryIndex page.html
</Directory>
<Location "/info">
    SetHandler server-info
    Require ip 127.0.0.1
</Location>
<Location "/shut">
    Require all denied
</Location>
Alias "/files" "@DIR@/htdocs/d"
<VirtualHost 127.0.0.1:@TLS@>
    ServerName inner.test
    Header set X-Inner "<b>yes</b>"
    Redirect "/old" "https://new.test/"
''' + SSL_ON + '''</VirtualHost>
'''
FILES = {'htdocs/d/page.html': 'x', 'htdocs/open/.htaccess': 'SetHandler server-info\nRequire all granted\n', 'htdocs/open/x': 'x',
         'htdocs/rule/.htaccess': 'RewriteEngine On\nRewriteRule . - [H=server-info]\nRequire all granted\n', 'htdocs/rule/x': 'x'}


class Long(ServerTest):
    def test_a_slow_client_gets_all_of_it(self):
        lines = ''.join('AddType application/x-%s .e%d\n' % ('v' * 80, i) for i in range(5000))
        s = self.serve('SendBufferSize 16384\n<Location "/info">\nSetHandler server-info\n</Location>\nInclude "@DIR@/long.conf"\n', {'long.conf': lines})
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(60)
            sock.connect(('127.0.0.1', s.port))
            sock.sendall(b'GET /info?config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            head = sock.recv(1)
            self.assertEqual(s.get('/').status, 200)        # others are served while that client does not read
            answer = Conn(sock)
            answer.buf = head
            body = answer.response().body.decode()
        self.assertGreater(len(body), 500000)
        self.assertEqual(body.count('AddType application/x-'), 5000)
        self.assertTrue(body.endswith('</html>\n'))


class Info(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONFIG, FILES).start()

    def page(self, query='', status=200):
        answer = self.s.get('/info' + query)
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.headers['cache-control'], 'no-store')
        return answer.body.decode()

    def at(self, words):
        """Where the configuration has a line that begins so."""
        lines = [line.strip() for line in CONFIG.split('\n')]
        return self.s.expand('@DIR@/case.conf:%d' % (1 + next(i for i, line in enumerate(lines) if line.startswith(words))))

    def test_the_whole_and_its_parts(self):
        text = self.page()
        for part in ('<h2 id="server">', '<h2 id="list">', '<h2 id="hooks">', '<h2 id="mod_alias.c">', 'see the <i>runbook</i>', self.at('Alias'),
                     'Alias &quot;/files&quot;'):
            self.assertIn(part, text)
        self.assertNotIn('<b>yes', text)
        self.assertIn('mod_alias.c', self.page('?list'))
        self.assertNotIn('id="mod_alias.c"', self.page('?list'))
        one = self.page('?mod_alias.c')
        self.assertIn('&lt;VirtualHost 127.0.0.1', one)
        self.assertIn('Redirect &quot;/old&quot;', one)
        self.assertNotIn('X-Inner', one)
        self.assertIn('<h2 id="config">', self.page('?config'))
        self.assertIn('rewrite-host', self.page('?hooks'))
        self.assertIn('no module of that name', self.page('?mod_x%3Cb%3E.c'))

    def test_passwords_are_left_out(self):
        for query in ('', '?config', '?url=/'):
            text = self.page(query)
            self.assertNotIn('hunter2', text)
            self.assertNotIn('abc123', text)
            self.assertIn('COLOUR red', text)

    def test_only_the_servers_own_configuration_shows_it(self):
        for place in ('open', 'rule'):
            answer = self.s.get('/%s/x' % place)
            self.assertEqual(answer.status, 403, place)
            self.assertNotIn(b'DirectoryIndex', answer.body)
        self.s.logged('BH0840')
        self.assertEqual(self.s.get('/info', method='POST').status, 405)

    def test_what_a_request_meets(self):
        text = self.page('?text&url=' + quote('/files/', safe=''))
        self.assertRegex(text, r'(?m)^leads to +\S+/htdocs/d/ \(%s\)$' % self.at('Alias'))
        self.assertRegex(text, r'(?m)^section +<Directory \S+/htdocs> at %s$' % self.at('<Directory'))
        self.assertIn('DirectoryIndex page.html at ' + self.at('DirectoryIndex'), text)
        self.assertRegex(text, r'(?m)^ +look-up +/files/page\.html$')
        self.assertEqual(len(re.findall(r'(?m)^ +AllowOverrideList none at %s$' % self.at('AllowOverrideList none'), text)), 2)
        self.assertEqual(len(re.findall(r'(?m)^ +ServerSignature Off at %s, in place of %s$' % (self.at('ServerSignature Off'), self.at('ServerSignature On')), text)), 2)
        before = self.s.error_log
        text = self.page('?text&url=/shut/x')
        self.assertRegex(text, r'(?m)^access +the rule at %s' % self.at('Require all denied'))
        self.assertRegex(text, r'(?m)^ +log +.*BH')
        self.assertRegex(text, r'(?m)^answer +403 Forbidden$')
        self.assertEqual(self.s.error_log[len(before):].count('/shut/x'), 0)
        self.assertIn('no request', self.page('?url=nonsense'))
        self.assertIn('no request', self.page('?url=%2Fa%0d%0aHost:+x'))
        text = self.page('?url=' + quote('/%3Cscript%3E', safe=''))
        self.assertNotIn('<script', text)
        self.assertIn('&lt;script&gt;', text)

    def test_files_that_stay_open_are_left_so(self):
        for _ in range(12):             # both children keep it open
            self.assertEqual(self.s.get('/d/page.html').body, b'x')
        for _ in range(6):
            self.assertIn('200 OK', self.page('?url=/d/page.html'))
            self.assertEqual(self.s.get('/d/page.html').body, b'x')

    def test_another_host_and_the_same_words_as_explain(self):
        url = 'https://inner.test:%d/d/page.html' % self.s.tls_port
        text = self.page('?url=' + quote(url, safe=''))
        self.assertIn('inner.test', text)
        done = subprocess.run([BIN, 'explain', '-f', self.s.path('httpd.conf'), '--directives', url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout)
        for words in ('Header set X-Inner "<b>yes</b>" at ' + self.at('Header'), 'DirectoryIndex page.html at ' + self.at('DirectoryIndex'), 'COLOUR red at ' + self.at('SetEnv COLOUR')):
            self.assertIn(words, done.stdout)
