"""The configuration as a whole, where Apache's behaviour is not what one would guess: which sections see a request, how rules
join, which names and ports redirects carry, what the command line makes of its words."""
import re
import unittest

from server import BIN, ServerTest

PAGES = {'htdocs/a/one.txt': 'one\n', 'htdocs/a/index.html': 'index of a\n', 'htdocs/d/e/f.txt': 'f\n'}


def mark(section, name):
    return '%s\nHeader always set X-%s 1\n%s>\n' % (section, name, section.split()[0].replace('<', '</'))


def marks(answer):
    return ' '.join(sorted(name[2:] for name in answer.headers if name.startswith('x-')))


class Sections(ServerTest):
    def test_the_last_level_of_a_path(self):
        s = self.serve(mark('<Directory "@DIR@/htdocs/*">', 'star') + mark('<Directory "@DIR@/htdocs/a/*">', 'below')
                       + mark('<Directory "@DIR@/htdocs/a/one.txt">', 'file') + mark('<DirectoryMatch "/a$">', 'end')
                       + mark('<DirectoryMatch "/a/$">', 'slash') + mark('<DirectoryMatch "index">', 'index') + mark('<Files "a">', 'named')
                       + mark('<Files "one.txt">', 'one') + mark('<Files "index.html">', 'page'), PAGES)
        for path, seen in (('/a/one.txt', 'below file one star'), ('/a', 'end named star'), ('/a/', 'page slash star'),
                           ('/a/index.html', 'below index page star'), ('/a/one.txt/x', 'one star'), ('/a/nope', 'star'), ('/index.html', 'index page star'),
                           ('/nope/one.txt', '')):
            with self.subTest(path):
                self.assertEqual(marks(s.get(path)), seen)

    def test_regular_expressions_are_ordered_by_their_slashes(self):
        s = self.serve('<DirectoryMatch "/a/?">\nHeader set X-Last two\n</DirectoryMatch>\n<DirectoryMatch "/a">\nHeader set X-Last one\n</DirectoryMatch>\n'
                       '<Directory ~ "a">\nHeader set X-Last none\n</Directory>\n', PAGES)
        self.assertEqual(s.get('/a/one.txt').headers['x-last'], 'two')

    def test_operators_of_rules_without_rules(self):
        s = self.serve('<Directory "@DIR@/htdocs">\nRequire all denied\n</Directory>\n<Location "/d">\nRequire all granted\nAuthMerging And\n</Location>\n'
                       '<Location "/d/e">\nAuthMerging Or\n</Location>\n<Location "/a">\nAuthMerging Off\n</Location>\n', PAGES)
        self.assertEqual([s.get(path).status for path in ('/', '/d/', '/d/e/f.txt', '/a/one.txt')], [403, 403, 200, 200])

    def test_an_error_document_that_is_itself_denied(self):
        s = self.serve('ErrorDocument 403 /a/one.txt\n<Location "/a">\nRequire all denied\n</Location>\n', PAGES)
        answer = s.get('/a/one.txt')
        self.assertEqual((answer.status, answer.body), (403, b'one\n'))         # it was asked for: it explains the refusal
        answer = s.get('/a/')
        self.assertEqual(answer.status, 403)
        self.assertNotEqual(answer.body, b'one\n')


class Hosts(ServerTest):
    def location(self, s, host, port='PORT', version='1.1'):
        answer = s.raw('GET /a HTTP/%s\r\n%sConnection: close\r\n\r\n' % (version, 'Host: %s\r\n' % host if host else ''), port=int(s.expand('@%s@' % port)))
        found = re.search(r'\r\nLocation: (\S+)/a/\r\n', answer.decode())
        self.assertTrue(found, answer)
        return found[1].replace(s.expand('@PORT2@'), 'PORT2').replace(s.expand('@PORT@'), 'PORT')

    def hosts(self, lines=''):
        names = ('one.test', 'two.test:1234', 'http://three.test:81', 'https://four.test', 'https://five.test:77')
        return self.serve(lines + ''.join('<VirtualHost *:@PORT@>\nServerName %s\n</VirtualHost>\n' % name for name in names)
                          + '<VirtualHost *:@PORT2@>\n</VirtualHost>\n', PAGES)

    def check(self, s, rows):
        for host, where in rows:
            with self.subTest(host):
                self.assertEqual(self.location(s, host), where)

    def test_redirects_name_what_the_client_wrote(self):
        s = self.hosts()
        self.check(s, (('one.test', 'http://one.test'), ('one.test:99', 'http://one.test:99'), ('two.test', 'http://two.test:1234'),
                       ('two.test:80', 'http://two.test'), ('three.test', 'http://three.test:81'), ('four.test', 'https://four.test'),
                       ('five.test', 'https://five.test:77'), ('five.test:443', 'https://five.test'), ('other', 'http://other')))
        self.assertEqual(self.location(s, 'x', 'PORT2'), 'http://x:PORT2')      # the host's address stands for the port it does not name
        self.assertEqual(self.location(s, None, version='1.0'), 'http://one.test')

    def test_canonical_names_and_ports(self):
        self.check(self.hosts('UseCanonicalName On\n'), (('one.test:99', 'http://one.test'), ('two.test:5', 'http://two.test:1234'),
                                                         ('four.test', 'https://four.test')))
        self.check(self.hosts('UseCanonicalName On\nUseCanonicalPhysicalPort On\n'), (('one.test:99', 'http://one.test:PORT'),
                                                                                      ('two.test:5', 'http://two.test:1234')))
        self.check(self.hosts('UseCanonicalPhysicalPort On\n'), (('one.test:99', 'http://one.test:99'), ('two.test', 'http://two.test:PORT')))
        self.check(self.hosts('UseCanonicalName DNS\n'), (('one.test:99', 'http://one.test:99'), ('two.test', 'http://two.test:1234')))

    def test_a_host_field_that_names_nothing(self):
        s = self.hosts()
        for field, version, status in (('', '1.1', 400), ('', '1.0', 200), ('one.test:', '1.1', 400), ('one.test:', '1.0', 400), ('one.test.', '1.1', 200)):
            with self.subTest(field + version):
                answer = s.raw('GET /a/ HTTP/%s\r\nHost: %s\r\nConnection: close\r\n\r\n' % (version, field))
                self.assertEqual(int(answer.split()[1]), status)
        self.assertIn(b' 200 ', s.raw('GET http://one.test/a/ HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'))


    def test_lines_that_contradict_themselves_or_name_nothing(self):
        lines = ('HttpProtocolOptions Strict Unsafe', 'HttpProtocolOptions Require1.0 Strict Allow0.9', 'HttpProtocolOptions RegisteredMethods LenientMethods',
                 'RequestReadTimeout header=5-10', 'SendBufferSize 100', 'ReceiveBufferSize 511', 'LogLevel :debug', 'ErrorLogFormat "%t %v"',
                 'ErrorLogFormat request "%M"', 'ErrorLogFormat connection "%a %M"', 'SSLCARevocationFile none.pem', 'SSLCARevocationPath none', 'SSLCADNRequestFile none.pem',
                 'SSLProxyCACertificateFile none.pem')
        good = ('HttpProtocolOptions Strict Require1.0 RegisteredMethods', 'RequestReadTimeout header=5-10,MinRate=9', 'SendBufferSize 512', 'ReceiveBufferSize 0',
                'ErrorLogFormat request "%L"', 'ErrorLogFormat "%M"')
        said = self.configure('\n'.join(lines + good) + '\n').run('-t').stdout
        self.assertEqual([int(n) for n in re.findall(r'case.conf:(\d+): error', said)], list(range(1, len(lines) + 1)), said)

    def test_a_path_in_place_of_a_name(self):
        s = self.serve('<VirtualHost *:@PORT@>\nServerName one.test\n</VirtualHost>\n'
                       '<VirtualHost *:@PORT@>\nServerName two.test\nServerPath /d/\nDocumentRoot "@DIR@/two"\n</VirtualHost>\n',
                       dict(PAGES, **{'two/x.txt': 'two\n', 'two/dx.txt': 'two dx\n'}))
        for path, host, answer in (('/d/x.txt', '', 'two'), ('/d//x.txt', '', 'two'), ('/d', '', '301'), ('/dx.txt', '', '404'), ('/d/e/f.txt', 'Host: one.test', 'f'),
                                   ('/d/x.txt', 'Host: two.test', 'two'), ('/x.txt', 'Host: two.test', 'two'), ('/dx.txt', 'Host: two.test', 'two dx')):
            with self.subTest(path + host):
                said = s.raw('GET %s HTTP/1.0\r\n%s\r\n' % (path, host and host + '\r\n')).decode()
                self.assertEqual(said.split()[1] if answer.isdigit() else said.split('\r\n\r\n')[1].strip(), answer)


class CommandLine(ServerTest):
    def test_an_equals_sign_in_a_name(self):
        s = self.serve('<IfDefine A>\nHeader set X-A bare\n</IfDefine>\n<IfDefine A=1>\nHeader set X-B whole\n</IfDefine>\n', args=['-D', 'A=1'])
        answer = s.get('/')
        self.assertEqual((answer.headers.get('x-a'), answer.headers.get('x-b')), (None, 'whole'))

    def test_one_section_over_several_arguments(self):
        s = self.serve('', PAGES, args=['-c', '<Location "/a">', '-c', 'Require all denied', '-c', '</Location>'])
        self.assertEqual([s.get(path).status for path in ('/', '/a/')], [200, 403])

    def test_a_check_starts_nothing(self):
        s = self.configure('')
        for args in (('-X', '-t'), ('-t', '-X')):
            done = s.run(*args)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn('Syntax OK', done.stdout)

    def test_which_files_were_read(self):
        s = self.configure('Include @DIR@/more.conf\n', {'more.conf': '<IfDirective H2Push>\nIncludeOptional @DIR@/parts/*.conf\n</IfDirective>\n<IfDirective Frob>\nBogus\n</IfDirective>\n',
                                                         'parts/a.conf': 'ServerSignature Off\n', 'parts/b.conf': ''})
        done = s.run('-t', '-D', 'DUMP_INCLUDES')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'Included configuration files:\n  \(\*\) \S+/httpd\.conf\n(?s:.*)  \(1\) \S+/more\.conf\n +\(2\) \S+/a\.conf\n +\(2\) \S+/b\.conf\n')

    def test_levels_of_what_is_said(self):
        s = self.configure('')
        self.assertIn('Syntax OK', s.run('-e', 'trace1', '-t').stdout)
        done = s.run('-e', 'loud', '-t')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('-e takes emerg alert crit error warn notice info debug', done.stdout)

    def test_a_file_for_what_is_said(self):
        s = self.configure('Bogus\n')
        done = s.run('-E', s.path('logs/said'), '-t')
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, '')
        self.assertIn('Bogus', s.read('logs/said'))
        done = s.run('-E', s.path('none/said'), '-t')
        self.assertRegex(done.stdout, r'none/said: No such file')
        self.assertIn('Bogus', done.stdout)


class Refused(ServerTest):
    def test_what_apache_refuses(self):
        for text, line in (('Options +All\n', 1), ('Options Indexes None\n', 1), ('<Limit GET>\nRequire all denied\n</Limit>\n', 1),
                           ('<Directory />\n<RequireAll>\nOptions None\nRequire all granted\n</RequireAll>\n</Directory>\n', 3),
                           ('<Directory />\nAllowOverrideList None Redirect\n</Directory>\n', 2), ('<VirtualHost 8080>\n</VirtualHost>\n', 1),
                           ('ServerRoot "%s"\n' % BIN, 1), ('HttpProtocolOptions Unsafe Strict\n', 1), ('RequestReadTimeout body=5 header=20-40\n', 1),
                           ('ServerAdmin a\nSSLCARevocationFile /no/such\n', 2), ('SSLProxyMachineCertificateFile /no/such\n', 1)):
            with self.subTest(text):
                done = self.configure(text).run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout, r'case\.conf:%d: error' % line)

    def test_what_apache_takes(self):
        for text in ('Options None +Indexes\n', 'Options RunScripts\n', 'ErrorDocument 401 http://x.test/\n',
                     '<VirtualHost *:@PORT@>\nServerAlias a, b\n</VirtualHost>\n', '<VirtualHost *.example.org:80>\n</VirtualHost>\n',
                     'HttpProtocolOptions Strict LenientMethods\nHttpProtocolOptions Unsafe\n', 'SSLVerifyClient off\n',
                     '<Location />\nUseCanonicalName On\nUseCanonicalPhysicalPort On\n</Location>\n'):
            with self.subTest(text):
                done = self.configure(text).run('-t')
                self.assertEqual(done.returncode, 0, done.stdout)


FAULTS = (        # lines, what is said of them
    ('<Location />\nAuthUserFile a b\n</Location>', 'only one file fits'),
    ('<AuthnProviderAlias file>\n</AuthnProviderAlias>', 'a provider and a new name are wanted'),
    ('<AuthnProviderAlias pam staff>\n</AuthnProviderAlias>', 'there is no provider named "pam"'),
    ('<AuthnProviderAlias file anon>\n</AuthnProviderAlias>', '"anon" is a provider already'),
    ('<Location />\nAuthDigestQop auth-conf\n</Location>', '"auth-conf" is no quality of protection'),
    ('<Location />\nAuthBasicUseDigestAlgorithm SHA\n</Location>', '"SHA" is neither'),
    ('<Location />\nAuthDigestDomain "a b"\n</Location>', '"a b" is no address'),
    ('RequestReadTimeout trailer=5', '"trailer=5" is none of its stages'),
    ('MaxConnectionsPerAddress 70000', '"70000" is no number of connections'),
    ('MaxConnectionsPerAddress 5 32', 'the bits of IPv6 addresses are missing'),
    ('MaxConnectionsPerAddress 5 0 64', '"0 64" are no bits of addresses'),
    ('Protocols spdy/3', '"spdy/3" is no protocol known here'),
    ('HttpProtocolOptions Lax', '"Lax" is no option'),
    ('RegisterHttpMethod "GE T"', '"GE T" is no method'),
    ('H2EarlyHint "a b" c', '"a b: c" is no field of a response'),
    ('FilterDeclare x ELSEWHERE', '"ELSEWHERE" is no kind of filter'),
    ('CGIVar PATH_INFO current-uri', 'REQUEST_URI is the only variable it knows'),
    ('CGIVar REQUEST_URI neither-uri', '"neither-uri" is neither'),
    ('RLimitCPU many', '"many" is no limit'),
    ('LogFormat "%Z"', '%Z'),
    ('LogLevel nobody:debug', 'there is no module "nobody"'),
    ('CustomLog logs/x "%U" sometimes', '"sometimes" is no condition'),
    ('CustomLog logs/x "%U" "expr=%{X"', 'the expression has a fault in '),
    ('HostnameLookups Perhaps', 'takes On, Off or Double, not "Perhaps"'),
    ('Listen 1 ftp', '"ftp" is no protocol'),
    ('Listen 0', 'is no port from 1 to 65535'),
    ('HangTimeout 2', '2 is too short'),
    ('Action x show', '"show" is no path'),
    ('Script FROB /show', '"FROB" is no method that is known here'),
    ('Action x /show real', '"real" is not known here'),
    ('ErrorDocument 404', 'the document is missing'),
    ('LimitInternalRecursion x', 'LimitInternalRecursion'),
    ('<Location />\nMaxRanges few\n</Location>', '"few" is none of them'),
    ('ExpiresByType html A1', '"html" is no media type'),
    ('Redirect maybe /a http://b.test/', 'maybe'),
    ('Redirect permanent /a', 'URL'),
    ('Redirect /a', 'URL'),
    ('<Location />\nAllowMethods GET reset\n</Location>', 'reset does not go with names of methods'),
    ('<Location />\nAllowMethods G@T\n</Location>', '"G@T" is no method'),
    ('TypesConfig /nonexistent/types', '/nonexistent/types does not exist'),
    ('BalancerMember http://a.test', 'it belongs to no balancer'),
    ('ProxyErrorOverride Perhaps', '"Perhaps" is neither On nor Off'),
    ('ProxyErrorOverride On 200', '"200" is no status from 400 to 599'),
    ('ProxyHCExpr ok', 'a name and a condition in braces are needed'),
    ('ProxyRequests On', 'ProxyPass needs none'),
    ('ProxyPass /a http://a.test/ mapping=other', '"mapping=other" is no way of mapping'),
    ('ProxyPass /a', 'a path and a URL are needed'),
    ('ProxyPassMatch "(" http://a.test/', '"(" is no regular expression'),
    ('ProxyPass a http://a.test/', '"a" is no path'),
    ('ProxyPassReverse /a', 'a path and a URL are needed'),
    ('ProxyPassReverseCookiePath /a /b interpolated', '"interpolated" is not the word interpolate'),
    ('ProxyPass /b ftp://a.test/', 'the scheme ftp is not spoken here'),
    ('ProxyPass /c unix:/%s|http://a.test/' % ('x' * 120), 'the name of the socket is too long'),
    ('ProxySet http://a.test status=Q', 'is no state of a worker'),
    ('ProxySet balancer://a failonstatus=abc', '"abc" is no list of statuses'),
    ('ProxySet balancer://a lbmethod=heartbeat', '"heartbeat" is no method of a balancer here'),
    ('ProxySet http://a.test keepalive=perhaps', 'keepalive=perhaps is neither on nor off'),
    ('ProxySet http://a.test max=-4', 'max=-4 is no number from'),
    ('ProxySet http://a.test loadfactor=0', 'loadfactor=0 is no number from 1 to 100'),
    ('ProxySet http://a.test route=%s' % ('x' * 300), 'route= is longer than'),
    ('ProxySet http://a.test hcmethod=CPING', 'CPING belongs to AJP'),
    ('ProxySet http://a.test hctemplate=none', 'there is no template of that name'),
    ('ProxyHCTemplate t max=1', '"max=1" is no key of a health check'),
    ('ProxySet http://a.test upgrade=spdy//', 'names no protocol'),
    ('ProxySet http://a.test wrong', '"wrong" is no key with a value'),
    ('ProxySet http://a.test colour=red', 'the key "colour" is unknown'),
    ('SSLProxyEngine perhaps', 'it must be on or off'),
    ('SSLProxyVerify perhaps', '"perhaps" is none of the words it takes'),
    ('SSLProxyVerifyDepth 1000', '"1000" is no number from 0 to 100'),
    ('SSLProxyCARevocationCheck some', '"some" is none of the words it takes'),
    ('SSLProxyProtocol all -SSLv9', '"all -SSLv9" names no protocol'),
    ('SSLProxyCACertificatePath /nonexistent/cas', 'there is no /nonexistent/cas'),
    ('<Location />\nSSLProxyVerify none\n</Location>', 'SSLProxyVerify'),
    ('RemoteIPTrustedProxyList /nonexistent/list', '/nonexistent/list'),
    ('RemoteIPInternalProxy 300.1.1.1', '"300.1.1.1" is neither'),
    ('RewriteRule a b [T]', 'the flag T wants a media type'),
    ('RewriteRule a b [H]', 'the flag H wants the name of a handler'),
    ('RewriteMap a dbm=sdbm:/x', 'httxt2dbm -f gdbm'),
    ('RewriteMap b dbm:', 'the file of the map is missing'),
    ('RewriteMap c prg:/', '/ is no regular file'),
    ('RewriteMap d prg:/bin/true nobody', '"nobody" names no group'),
    ('SSIStartTag %s' % ('x' * 70), 'a tag has between 1 and'),
    ('SSLOCSPEnable on sometimes', '"sometimes" is not understood'),
    ('SSLOCSPDefaultResponder ftp://x/', '"ftp://x/" is no address of a responder'),
)
NOTES = (
    ('HostnameLookups On', 'names are not looked up here'),
    ('LogLevel lua:debug', 'nothing here logs as "lua"'),
    ('RewriteOptions MaxRedirects=5', 'MaxRedirects has no effect'),
    ('SSLOpenSSLConfCmd ECDHParameters Automatic', 'this is so anyway'),
    ('BrotliCompressionQuality 11', 'is meant for files coded once'),
    ('ZstdCompressionLevel 15', 'is meant for files coded once'),
    ('SetOutputFilter SUBSTITUTE', 'the filter SUBSTITUTE does not exist in this release'),
    ('SetInputFilter DEFLATED', 'the filter DEFLATED does not exist for request bodies'),
    ('RewriteRule a b [E]', 'does nothing without a value'),
    ('LoadModule mine_module modules/mod_mine.so', 'mine_module is unknown'),
    ('SSLProxyCipherSuite HIGH', 'it has no effect'),
    ('DefaultType text/plain', 'DefaultType'),
    ('<Location />\nSSLCipherSuite HIGH\n</Location>', 'no other suite is negotiated for a section'),
)

class Told(ServerTest):
    """One check tells every fault of a configuration, each at its line."""

    def check(self, rows, kind):
        text, places = '', []
        for lines, said in rows:
            first = text.count('\n') + 1
            text += lines + '\n'
            places.append((range(first, text.count('\n') + 1), lines, said))
        done = self.configure(text).run('-t')
        told = [(int(n), what) for n, what in re.findall(r'case\.conf:(\d+): (.*(?:\n(?!/).*)*)', done.stdout)]
        for where, lines, said in places:
            with self.subTest(lines):
                here = [what for n, what in told if n in where and said in what]
                self.assertTrue(here, done.stdout)
                self.assertTrue(here[0].startswith(kind), here)
        return done.returncode

    def test_what_is_wrong(self):
        self.assertNotEqual(self.check(FAULTS, 'error: '), 0)

    def test_what_has_no_effect_or_is_unwise(self):
        self.assertEqual(self.check(NOTES, ('notice: ', 'warning: ')), 0)


class LeftOut(ServerTest):
    def test_what_protects_in_a_guard_of_a_missing_module_is_told(self):
        s = self.configure('''\
            <IfModule mod_rewrite.c>
            RewriteEngine on
            RewriteRule "\\.svn" - [F]
            </IfModule>
            <IfModule authnz_ldap_module>
            <Directory /x>
            AuthLDAPURL ldap://localhost/
            Require valid-user
            </Directory>
            </IfModule>
            <IfModule mod_authnz_ldap.c>
            <IfModule !mod_authz_core.c>
            Deny from all
            </IfModule>
            </IfModule>
            <IfModule mod_status.c>
            <Location /status>
            Require local
            </Location>
            </IfModule>
            <IfModule !mod_ssl.c>
            Require all denied
            </IfModule>
            ''')
        for args in (('-t',), ('-k', 'start')):
            said = s.run(*args).stdout
            self.assertEqual(re.findall(r'case\.conf:(\d+): warning: (\S+) is left out by <IfModule (\S+)>', said),
                             [('7', 'AuthLDAPURL', 'authnz_ldap_module')], said)


if __name__ == '__main__':
    unittest.main()
