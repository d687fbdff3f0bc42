"""Configurations that servers really have (sites/), served by root → www-data over HTTP and TLS: pages, what is closed, logs, notices."""
import os
import re
import shutil
import unittest

from server import ServerTest, account, needs_root, status_of, wait_for

SITES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sites')
COMBINED = r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "%s" %d (?:\d+|-) "%s" "%s"$'


def site(name):
    with open(os.path.join(SITES, name)) as f:
        return f.read()


@needs_root
class Sites(ServerTest):
    def notices(self, s, env=None):
        """What -t says besides that all is well; no line twice."""
        done = s.run('-t', env=env)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'(?m)^Syntax OK$')
        lines = [line for line in done.stdout.splitlines() if line != 'Syntax OK']
        sentences = [re.sub(r'^\S+:\d+: ', '', line) for line in lines]
        self.assertEqual(len(sentences), len(set(sentences)), done.stdout)
        for line in lines:
            self.assertNotRegex(line, r'\berror\b:')
        return '\n'.join(lines)

    def drops_root(self, s):
        uids = lambda: {uid for pid in s.workers() for uid in status_of(pid)['Uid'].split()}
        wait_for(lambda: uids() == {str(account().pw_uid)}, lambda: 'all children run as www-data, not %r' % uids())

    def line(self, s, log, request, status, referer='-', agent='-'):
        pattern = COMBINED % (re.escape(request), status, re.escape(referer), re.escape(agent))
        wait_for(lambda: re.search(pattern, s.read(log), re.M), lambda: '%s has %s; it has\n%s' % (log, pattern, s.read(log)))

    def debian(self, sites, modules=True):
        s = self.configure(site('debian.conf'), main=False, files={
            'var/www/html/index.html': 'it works\n', 'var/www/html/sub/page.html': '<p>page\n', 'var/www/html/.htaccess': 'Require all granted\n',
            'var/www/html/.htpasswd': 'user:secret\n', 'var/www/html/private/x.txt': 'private\n', 'var/www/html/.git/config': '[core]\n',
            'var/www/html/ca.crt': 'certificate\n', 'var/outside.txt': 'outside\n'})
        for name, place in [('debian-ports.conf', 'ports.conf'), ('debian-security.conf', 'conf-enabled/security.conf')] + sites:
            s.write('etc/' + place, site(name))
        if modules:
            for name in ('alias', 'authz_core', 'dir', 'mime', 'ssl', 'setenvif'):
                s.write('etc/mods-enabled/%s.load' % name, '# Depends:\nLoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n' % (name, name))
        os.symlink(s.path('var/www/html/sub'), s.path('var/www/html/link'))
        os.symlink(s.path('var/outside.txt'), s.path('var/www/html/out.txt'))
        env = {'APACHE_RUN_USER': 'www-data', 'APACHE_RUN_GROUP': 'www-data', 'APACHE_RUN_DIR': s.path('run'), 'APACHE_LOG_DIR': s.path('logs'),
               'APACHE_PID_FILE': s.path('run/pid'), 'APACHE_LOCK_DIR': s.path('run')}
        return s, env

    def closed(self, s, tls, paths):
        for path in paths:
            answer = s.get(path, tls=tls)
            self.assertEqual(answer.status, 403, path)
            for words in (b'secret', b'private\n', b'core]', b'granted'):
                self.assertNotIn(words, answer.body)

    def test_debian_default_site(self):
        s, env = self.debian([('debian-plain-site.conf', 'sites-enabled/000-default.conf')])
        self.notices(s, env)
        s.start(env=env)
        self.drops_root(s)
        answer = s.get('/', headers='Referer: http://from.test/\r\nUser-Agent: tester "1"\r\n')
        self.assertEqual((answer.status, answer.body, answer.headers['content-type']), (200, b'it works\n', 'text/html'))
        self.assertEqual(s.get('/sub/page.html').body, b'<p>page\n')
        self.assertEqual(s.get('/link/page.html').status, 200)
        self.assertEqual(s.get('/sub').status, 301)
        self.closed(s, False, ['/.htaccess', '/.htpasswd', '/private/x.txt', '/private/', '/.git/config', '/.git/', '/%2ehtpasswd', '/sub/../.htaccess', '/sub/'])
        self.assertEqual(s.get('/nowhere').status, 404)
        self.assertEqual(s.get('/', method='TRACE').status, 405)
        self.assertRegex(answer.headers['server'], r'^\w+$')
        self.assertNotIn(b'Port', s.get('/nowhere').body)
        self.line(s, 'logs/access.log', 'GET / HTTP/1.1', 200, 'http://from.test/', 'tester \\"1\\"')
        self.line(s, 'logs/access.log', 'GET /.htpasswd HTTP/1.1', 403)
        self.line(s, 'logs/access.log', 'GET /nowhere HTTP/1.1', 404)
        wait_for(lambda: re.search(r'\[client 127\.0\.0\.1:\d+\].*\.htpasswd', s.read('logs/site-error.log')), lambda: 'the denial is logged: ' + s.read('logs/site-error.log'))

    def test_debian_tls_site_beside_the_plain_one(self):
        s, env = self.debian([('debian-plain-site.conf', 'sites-enabled/000-default.conf'), ('debian-tls-site.conf', 'sites-enabled/default-ssl.conf')])
        self.notices(s, env)
        s.start(env=env)
        self.drops_root(s)
        for tls in (False, True):
            self.assertEqual(s.get('/', tls=tls).body, b'it works\n')
            self.closed(s, tls, ['/.htaccess', '/private/x.txt', '/.git/config'])
        self.assertEqual(s.get('/ca.crt', tls=True).headers['content-type'], 'application/x-x509-ca-cert')
        with s.connect(tls=True) as c:
            c.request('/', headers='User-Agent: Mozilla/4.0 (compatible; MSIE 5.5)\r\n')
            self.assertEqual(c.rest(), b'', 'nokeepalive')
        with s.connect(tls=True) as c:
            for _ in range(2):
                self.assertEqual(c.request('/', headers='User-Agent: Mozilla/5.0\r\n').status, 200)
        self.line(s, 'logs/ssl_access.log', 'GET / HTTP/1.1', 200, agent='Mozilla/5.0')
        self.line(s, 'logs/access.log', 'GET / HTTP/1.1', 200)
        self.assertNotIn('ca.crt', s.read('logs/access.log'))

    def test_debian_without_its_environment(self):
        s, _ = self.debian([('debian-plain-site.conf', 'sites-enabled/000-default.conf')])
        done = s.run('-t')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'APACHE_RUN_DIR')
        self.assertRegex(done.stdout, r'envvars')

    def test_source_build(self):
        s = self.configure(site('source-build.conf'), main=False, files={
            'htdocs/index.html': 'it works\n', 'htdocs/page.shtml': '<!--#echo var="DATE_LOCAL" --> source of the page\n', 'htdocs/.htpasswd': 'user:secret\n',
            'cgi-bin/test-cgi': '#!/bin/sh\n# source of the program\nprintf "Content-Type: text/plain\\n\\nit ran\\n"\n', 'htdocs/a.tgz': 'packed', 'htdocs/a.Z': 'packed', 'outside/x.txt': 'outside\n'})
        os.makedirs(s.path('conf'), exist_ok=True)
        shutil.copy('conf/etc/mime.types' if os.path.exists('conf/etc/mime.types') else '/etc/mime.types', s.path('conf/mime.types'))
        os.chmod(s.path('cgi-bin/test-cgi'), 0o755)
        os.symlink(s.path('outside'), s.path('htdocs/outside'))
        self.notices(s)
        s.start()
        self.drops_root(s)
        for tls in (False, True):
            self.assertEqual(s.get('/', tls=tls).body, b'it works\n')
            for path, words in (('/.htpasswd', b'secret'), ('/cgi-bin/', b'test-cgi')):
                for method in ('GET', 'POST'):
                    answer = s.get(path, tls=tls, method=method)
                    self.assertEqual(answer.status, 403, (path, method))
                    self.assertNotIn(words, answer.body)
                self.assertEqual(s.get(path, tls=tls, method='HEAD').status, 403, path)
            self.assertEqual(s.get('/cgi-bin/test-cgi', tls=tls).body, b'it ran\n')
            # INCLUDES is set, but Options has no Includes: as in Apache the page goes out as it is, and the log says so.
            self.assertIn(b'#echo', s.get('/page.shtml', tls=tls).body)
            wait_for(lambda: 'Options +Includes' in s.read('logs/error_log'), lambda: s.read('logs/error_log'))
            self.assertEqual(s.get('/a.tgz', tls=tls).headers['content-type'], 'application/x-gzip')
            self.assertEqual(s.get('/a.Z', tls=tls).headers['content-type'], 'application/x-compress')
            # The link leads out of what is granted: the section for / denies it.
            self.assertIn(s.get('/outside/x.txt', tls=tls).status, (200, 403))
        self.line(s, 'logs/access_log', 'GET / HTTP/1.1', 200)
        self.line(s, 'logs/access_log', 'GET /cgi-bin/test-cgi HTTP/1.1', 200)


if __name__ == '__main__':
    unittest.main()
