"""Whole applications' .htaccess files and hosts as people ship them: what Apache 2.4.71 answers, row by row. Programs stand in for PHP."""
import unittest

from server import ServerTest, wait_for

PHP = ('#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\n'
       'echo "$SCRIPT_NAME|$PATH_INFO|$QUERY_STRING|$REDIRECT_STATUS|$REQUEST_METHOD|$HTTP_AUTHORIZATION|$REDIRECT_BASE"\n')
HOST = '''\
<VirtualHost *:@PORT@>
    ServerName %(name)s.test
    DocumentRoot "@DIR@/%(name)s"
    LogFormat "%%r|%%s|%%>s|%%U|%%q|%%f" row
    CustomLog "@DIR@/logs/%(name)s" row
    %(more)s
</VirtualHost>
'''
CONFIG = '''\
AddHandler cgi-script .php
AddType image/svg+xml svg svgz
DirectoryIndex index.php index.html index.cgi index.pl index.phtml
<Directory "@DIR@">
    Options Indexes FollowSymLinks ExecCGI MultiViews
    AllowOverride All
    Require all granted
</Directory>
'''
WORDPRESS = r'''
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
</IfModule>
<Files wp-config.php>
order allow,deny
deny from all
</Files>
'''
SYMFONY = r'''
Options -MultiViews
RewriteEngine On
RewriteCond %{REQUEST_URI}::$0 ^(/.+)/(.*)::\2$
RewriteRule .* - [E=BASE:%1]
RewriteCond %{HTTP:Authorization} .+
RewriteRule ^ - [E=HTTP_AUTHORIZATION:%0]
RewriteCond %{ENV:REDIRECT_STATUS} =""
RewriteRule ^index\.php(?:/(.*)|$) %{ENV:BASE}/$1 [R=301,L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^ %{ENV:BASE}/index.php [L]
'''
DRUPAL = r'''
Options -Indexes -MultiViews
RewriteEngine on
RewriteCond %{HTTP:Accept-encoding} gzip
RewriteCond %{REQUEST_FILENAME}\.gz -s
RewriteRule ^(.*css_[a-zA-Z0-9-_]+)\.css$ $1\.css\.gz [QSA]
RewriteRule \.css\.gz$ - [T=text/css,E=no-gzip:1]
<FilesMatch "(\.js\.gz|\.css\.gz)$">
Header set Content-Encoding gzip
Header append Vary Accept-Encoding
</FilesMatch>
'''
PLAIN = r'''
    AddOutputFilterByType DEFLATE text/plain
    <LocationMatch "^/users/(?<who>\w+)/(?<What>.*)$">
        Redirect 308 "http://people.test/%{env:MATCH_WHO}?%{reqenv:MATCH_WHAT}"
    </LocationMatch>
    <Directory "@DIR@/plain/fall">
        FallbackResource /front.html
        DirectoryIndex disabled
    </Directory>
    <Directory "@DIR@/plain/back">
        FallbackResource /front.html
    </Directory>
'''
FILES = {
    'wordpress/.htaccess': WORDPRESS, 'wordpress/index.php': PHP, 'wordpress/wp-config.php': PHP, 'wordpress/wp-content/a.png': 'png',
    'symfony/.htaccess': SYMFONY, 'symfony/index.php': PHP, 'symfony/bundles/x.css': 'css',
    'drupal/.htaccess': DRUPAL, 'drupal/css_a.css': 'css', 'drupal/css_a.css.gz': 'packed',
    'plain/index.html': 'index', 'plain/files/x': 'x', 'plain/files/x.php5': '<?php secret', 'plain/front.html': 'front', 'plain/fall/x': 'x', 'plain/back/x': 'x',
    'plain/short.txt': 'short', 'plain/long.txt': 'long ' * 40,
}
# host, request (fields behind it, one a line), status, what the body has or the Location is, fields
ROWS = [
    ('wordpress', 'GET /', 200, '/index.php|||', {}),
    ('wordpress', 'GET /2024/a-post/?page=2', 200, '/index.php||page=2|200|GET', {}),
    ('wordpress', 'POST /a-post', 200, '/index.php|||200|POST', {}),
    ('wordpress', 'GET /x\nAuthorization: Bearer abc', 200, '|GET|Bearer abc|', {}),
    ('wordpress', 'GET /index.php/x/y', 200, '/index.php|/x/y|', {}),
    ('wordpress', 'GET /wp-config.php', 403, None, {}),
    ('wordpress', 'GET /wp-content', 301, 'http://wordpress.test/wp-content/', {}),
    ('wordpress', 'GET /wp-content/a.png', 200, 'png', {'content-type': 'image/png'}),
    ('wordpress', 'OPTIONS /', 200, '/index.php||||OPTIONS', {'allow': None}),      # a program may answer what a browser asks before it posts
    ('wordpress', 'PUT /', 200, '/index.php||||PUT', {}),
    ('wordpress', 'GET /index', 404, None, {}),                                     # MultiViews finds index.php, which has no type
    ('symfony', 'GET /foo/bar?x=1', 200, '/index.php||x=1|200|GET', {}),
    ('symfony', 'GET /index.php/foo?x', 301, 'http://symfony.test/foo?x', {}),
    ('symfony', 'GET /bundles', 301, 'http://symfony.test/bundles/', {}),           # the slash comes before a rule that leads inside
    ('symfony', 'GET /bundles/', 200, '/index.php|||200|GET', {}),
    ('symfony', 'GET /bundles/x.css', 200, 'css', {}),
    ('drupal', 'GET /css_a.css\nAccept-Encoding: gzip', 200, 'packed', {'content-encoding': 'gzip', 'content-type': 'text/css', 'vary': 'Accept-encoding'}),
    ('drupal', 'GET /css_a.css', 200, 'css', {'content-encoding': None, 'vary': None}),
    ('plain', 'GET /users/ann/pictures/1', 308, 'http://people.test/ann?pictures/1', {}),
    ('plain', 'GET /files/', 200, 'Index of /files', {}),                           # index.php is not there, so it is nothing that has to be held back
    ('plain', 'GET /files/none.php5', 404, None, {}),
    ('plain', 'GET /files/x.php5', 403, None, {}),
    ('plain', 'OPTIONS /files/', 200, '', {'allow': 'GET,POST,OPTIONS,HEAD,TRACE'}),
    ('plain', 'POST /files/', 404, None, {}),
    ('plain', 'PUT /files/', 405, None, {}),
    ('plain', 'FOO /', 501, None, {}),
    ('plain', 'GET /fall/', 200, 'Index of /fall', {}),
    ('plain', 'GET /fall/none', 200, 'front', {}),
    ('plain', 'GET /back/', 200, 'front', {}),
    ('plain', 'GET /short.txt\nAccept-Encoding: gzip', 200, 'short', {'content-encoding': None, 'vary': None}),
    ('plain', 'GET /long.txt\nAccept-Encoding: gzip', 200, None, {'content-encoding': 'gzip', 'vary': 'Accept-Encoding'}),
]
# host, line of its log: %f of a folder is what was asked for
LINES = [('wordpress', 'GET /wp-content HTTP/1.1|301|301|/wp-content||@DIR@/wordpress/wp-content'),
         ('wordpress', 'GET /wp-config.php HTTP/1.1|403|403|/wp-config.php||@DIR@/wordpress/wp-config.php'),
         ('plain', 'FOO / HTTP/1.1|501|501|/index.html||@DIR@/plain/index.html')]


class Applications(ServerTest):
    def test_applications(self):
        hosts = ''.join(HOST % {'name': name, 'more': PLAIN if name == 'plain' else ''} for name in ('wordpress', 'symfony', 'drupal', 'plain'))
        s = self.configure(CONFIG + hosts)
        for name, content in FILES.items():
            s.write(name, content, 0o755 if name.endswith('.php') else None)
        s.start()
        for host, request, status, has, fields in ROWS:
            line, *more = request.split('\n')
            method, path = line.split(' ')
            answer = s.get(path, method=method, host=host + '.test', headers=''.join(m + '\r\n' for m in more))
            with self.subTest(host + ': ' + request):
                self.assertEqual(answer.status, status, answer)
                if 300 <= status < 400:
                    self.assertEqual(answer.headers.get('location'), has)
                elif has is not None:
                    self.assertIn(has, answer.body.decode('latin-1'))
                self.assertEqual({name: answer.headers.get(name) for name in fields}, fields)
        for host, line in LINES:
            wait_for(lambda: s.expand(line) in s.read('logs/' + host).splitlines(), lambda: line + ' in\n' + s.read('logs/' + host))
        s.logged(r'BH0770.*/index answered with 404: MultiViews finds .*index\.php.*Options -MultiViews')


if __name__ == '__main__':
    unittest.main()
