"""The recipes of docs/dynamic.md, each block as it stands there but for folders and ports, with real php-fpm, gunicorn, WebSockets, git, gitweb, nginx."""
import hashlib
import http.server
import os
import re
import subprocess
import socket
import threading
import unittest

from auth_test import sha1
from parts import PATH, PYTHON, SITES, Part, nginx, php_fpm, web_sockets
from server import ServerTest, account, certificate, free_port, listening, needs_root, wait_for

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')

HOST = '''\
<VirtualHost *:@%s@>
    ServerName NAME.test
    Include "@DIR@/NAME.conf"
    %s
</VirtualHost>
'''
WITHIN_TLS = ('Git', 'WebSockets')


class Book:
    """Of each part of the page: .conf[title] configurations, .files[path] = (text, mode), .commands."""

    def __init__(self):
        with open(os.path.join(TOP, 'docs', 'dynamic.md'), encoding='utf-8') as f:
            text = f.read()
        self.conf, self.files, self.commands = {}, {}, []
        for part in re.split(r'(?m)^## ', text)[1:]:
            title, rest = part.split('\n', 1)
            for path, mode, kind, block in re.findall(r'(?m)(?:^`(/\S+)`(?: \(mode (\d+)\))?:\n)?^```(\w+)\n(.*?)^```$', rest, re.S | re.M):
                if path:
                    self.files[path] = block, int(mode, 8) if mode else None
                elif kind == 'apache':
                    self.conf[title] = block
                else:
                    self.commands += re.findall(r'^(?:\$ )?(.+)$', block, re.M)
        self.ids = re.findall(r'(?m)^\| .* \| (BH\d{4}) \| .* \|$', text)


class Health(http.server.BaseHTTPRequestHandler):
    """A server that says its name, or that it is not well."""

    def do_GET(self):
        ill = self.path == '/health' and self.server.ill
        body = self.server.name.encode()
        self.send_response(500 if ill else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def told(body):
    return dict(line.split('=', 1) for line in body.decode().splitlines() if '=' in line)


def slug(title):
    return re.sub(r'\W+', '-', title.lower())


@needs_root
class Recipes(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.book = Book()
        cls.ports = {}
        cls.s = s = cls.shared('''
            StartServers 2
            ServerLimit 2
            <Directory />
                Require all denied
            </Directory>
            ''' + ''.join(cls.host(title) for title in cls.book.conf))
        cls.prepare()
        for title, block in cls.book.conf.items():
            s.write(slug(title) + '.conf', cls.here(block))
        for path, (block, mode) in cls.book.files.items():
            s.write(cls.here(path).lstrip('/') if not cls.here(path).startswith(s.dir) else os.path.relpath(cls.here(path), s.dir), cls.here(block), mode)
        cls.begin()
        s.start()

    @staticmethod
    def host(title):
        name = slug(title)
        tls = 'SSLEngine on\nSSLCertificateFile "%s"\nSSLCertificateKeyFile "%s"' % certificate(name + '.test') if title in WITHIN_TLS else ''
        return (HOST % ('TLS' if tls else 'PORT', tls)).replace('NAME', name)

    @classmethod
    def here(cls, text):
        """Folders /srv and /run lie in the server's own, ports are free ones."""
        for port in set(re.findall(r'(?:127\.0\.0\.1|localhost):(8\d\d\d)\b', text)):
            cls.ports.setdefault(port, free_port())
            text = re.sub(r'(127\.0\.0\.1|localhost):%s\b' % port, r'\1:%d' % cls.ports[port], text)
        return re.sub(r'(?:(?<=localhost)|(?<![\w.]))/(srv|run)/', cls.s.dir + r'/\1/', text)

    @classmethod
    def prepare(cls):
        s = cls.s
        for folder in ('run/php', 'srv/shop/htdocs', 'srv/shop/sessions', 'srv/shop/tmp', 'srv/front/htdocs', 'srv/blog/htdocs/wp-content/uploads', 'srv/wsgi/static', 'srv/cgi', 'srv/git',
                       'srv/pages', 'srv/tls', 'srv/errors'):
            os.makedirs(s.path(folder), exist_ok=True)
        for folder in ('run/php', 'srv/shop/sessions', 'srv/shop/tmp'):
            os.chown(s.path(folder), account().pw_uid, account().pw_gid)
        with open(os.path.join(SITES, 'app.php'), 'rb') as f:
            app = f.read()
        for path in ('srv/shop/htdocs/index.php', 'srv/front/htdocs/index.php', 'srv/blog/htdocs/index.php', 'srv/blog/htdocs/wp-content/uploads/evil.php'):
            s.write(path, app)
        s.write('srv/shop/htdocs/style.css', 'css')
        s.write('srv/blog/htdocs/wp-content/uploads/a.png', 'png')
        s.write('srv/wsgi/static/x.css', 'css')
        s.write('srv/pages/head.html', '<h1>Pages</h1>')
        s.write('srv/git.users', 'ann:%s\n' % sha1('se-cr-et'))
        with open(certificate()[0]) as f:
            s.write('srv/tls/inside-ca.pem', f.read())

    @classmethod
    def begin(cls):
        s, gunicorn = cls.s, next(c for c in cls.book.commands if c.startswith('gunicorn '))
        parts = [lambda: php_fpm(s.dir, s.path('srv/shop/pool.conf'), s.path('run/php/shop.sock')),
                 lambda: Part(cls.here(gunicorn).split(), s.dir, lambda: listening(cls.ports['8001']), 'gunicorn listens', {'PYTHONPATH': SITES, 'PYTHONDONTWRITEBYTECODE': '1'}),
                 lambda: web_sockets(s.dir, cls.ports['8002'])]
        for part in parts:
            cls.addClassCleanup(part().stop)
        cls.members = {}
        for port, name in (('8011', 'a'), ('8012', 'b'), ('8013', 'spare')):
            member = http.server.ThreadingHTTPServer(('127.0.0.1', cls.ports[port]), Health)
            member.name, member.ill, member.daemon_threads = name, False, True
            threading.Thread(target=member.serve_forever, daemon=True).start()
            cls.addClassCleanup(member.server_close)
            cls.addClassCleanup(member.shutdown)
            cls.members[name] = member

    def ask(self, title, path='/', **kw):
        self.assertIn(title, self.book.conf)
        tls = title in WITHIN_TLS
        if not tls:
            return self.s.get(path, host='%s.test:%d' % (slug(title), self.s.port), **kw)
        with self.s.connect(tls, sni=slug(title) + '.test') as c:
            return c.request(path, host='%s.test:%d' % (slug(title), self.s.tls_port), close=True, **kw)

    def test_all_of_the_page_is_tried(self):
        tried = {'PHP', 'PHP by path', 'A front controller', 'WordPress', 'Python', 'WebSockets', 'WebSockets by rules', 'CGI', 'Git', 'Gitweb', 'Pages with includes', 'Several servers',
                 'Another web server behind', 'Error pages and time limits'}
        self.assertEqual(set(self.book.conf), tried)
        done = self.s.run('-t')
        self.assertEqual((done.returncode, 'warning' in done.stdout), (0, False), done.stdout)

    def test_php(self):
        data = os.urandom(3000000)
        form = (b'--BB\r\nContent-Disposition: form-data; name="title"\r\n\r\nmine\r\n--BB\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
                b'Content-Type: application/octet-stream\r\n\r\n' + data + b'\r\n--BB--\r\n')
        for title in ('PHP', 'PHP by path'):
            with self.subTest(title):
                got = told(self.ask(title, '/index.php/a/b?x=y').body)
                self.assertEqual([got[n] for n in ('SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI')], ['/index.php', '/a/b', 'x=y', '/index.php/a/b?x=y'])
                self.assertEqual(told(self.ask(title, '/index.php', headers='Authorization: Bearer abc\r\n').body)['HTTP_AUTHORIZATION'], 'Bearer abc')
                self.assertEqual(self.ask(title, '/style.css').body, b'css')
                self.assertEqual(self.ask(title, '/none.php').status, 404)
                answer = self.ask(title, '/index.php/upload', method='POST', headers='Content-Type: multipart/form-data; boundary=BB\r\n', body=form)
                self.assertEqual(answer.body.decode(), 'a.bin 3000000 %s mine' % hashlib.sha256(data).hexdigest())
                first = self.ask(title, '/index.php/count')
                cookie = 'Cookie: %s\r\n' % first.headers['set-cookie'].split(';')[0]
                self.assertEqual((first.body, [self.ask(title, '/index.php/count', headers=cookie).body for _ in range(3)]), (b'1', [b'2', b'3', b'4']))
                answer = self.ask(title, '/index.php/login', method='POST', headers='Content-Type: application/x-www-form-urlencoded\r\n', body=b'user=ann')
                self.assertEqual((answer.status, answer.headers['location'], answer.headers['set-cookie']), (303, '/?hello', 'user=ann; path=/; HttpOnly'))
                self.assertEqual(self.ask(title, '/index.php/break').status, 500)
        self.s.logged(r'BH0760.*the shop is on fire')
        self.assertEqual(told(self.ask('PHP').body)['PHP_SELF'], '/index.php')

    def test_php_streams(self):
        with self.s.connect() as c:
            c.send('GET /index.php/stream?until=%s HTTP/1.1\r\nHost: php.test\r\nConnection: close\r\n\r\n' % self.s.path('srv/shop/tmp/flag'))
            c.head()
            while b'first' not in c.buf:
                c.more()
            self.s.write('srv/shop/tmp/flag', '')
            self.assertIn(b'second', c.rest())

    def test_front_controllers(self):
        for title in ('A front controller', 'WordPress'):
            with self.subTest(title):
                got = told(self.ask(title, '/2024/a-post?x=1').body)
                self.assertEqual((got['SCRIPT_NAME'], got['REQUEST_URI'], got['QUERY_STRING']), ('/index.php', '/2024/a-post?x=1', 'x=1'))
                self.assertEqual(told(self.ask(title).body)['SCRIPT_NAME'], '/index.php')
        self.assertEqual(told(self.ask('WordPress', '/x', headers='Authorization: Basic eDp5\r\n').body)['HTTP_AUTHORIZATION'], 'Basic eDp5')
        self.assertEqual(self.ask('WordPress', '/wp-content/uploads/a.png').body, b'png')
        self.assertEqual(self.ask('WordPress', '/wp-content/uploads/evil.php').status, 403)
        self.assertEqual(self.ask('WordPress', '/.htaccess').status, 403)

    def test_python(self):
        got = told(self.ask('Python', '/a%20b?q=1', headers='X-Forwarded-For: 192.0.2.1\r\n').body)
        host = 'python.test:%d' % self.s.port
        self.assertEqual(got, {'PATH_INFO': '/a b', 'QUERY_STRING': 'q=1', 'HTTP_HOST': host, 'HTTP_X_FORWARDED_PROTO': 'http', 'HTTP_X_FORWARDED_HOST': host,
                               'HTTP_X_FORWARDED_FOR': '192.0.2.1, 127.0.0.1', 'REQUEST_METHOD': 'GET'})
        answer = self.ask('Python', '/login')
        self.assertEqual((answer.status, answer.headers['location'], answer.headers['set-cookie']), (302, 'http://%s/home' % host, 'sid=1; Path=/'))
        self.assertEqual(self.ask('Python', '/inside').headers['location'], 'http://%s/home' % host)
        self.assertEqual(self.ask('Python', '/static/x.css').body, b'css')
        data = os.urandom(3000000)
        wanted = b'%d %s' % (len(data), hashlib.sha256(data).hexdigest().encode())
        self.assertEqual(self.ask('Python', '/digest', method='POST', body=data).body, wanted)
        with self.s.connect() as c:
            c.send('POST /digest HTTP/1.1\r\nHost: python.test\r\nTransfer-Encoding: chunked\r\n\r\n')
            for at in range(0, len(data), 100000):
                c.send(b'%x\r\n%s\r\n' % (len(data[at:at + 100000]), data[at:at + 100000]))
            c.send('0\r\n\r\n')
            self.assertEqual(c.response().body, wanted)
        self.assertEqual(self.ask('Python', '/stream?2000000').body, b'x' * 2000000)

    def test_web_sockets(self):
        for title, scheme, port in (('WebSockets', 'wss', self.s.tls_port), ('WebSockets by rules', 'ws', self.s.port)):
            name = slug(title) + '.test'
            with self.subTest(title):
                done = subprocess.run([PYTHON, os.path.join(SITES, 'talk.py'), '%s://%s:%d/live/room?x=1' % (scheme, name, port), name], capture_output=True, text=True, timeout=120)
                self.assertEqual(done.stdout.splitlines(), ['/live/room?x=1 hello', 'True', 'True', '4001 as asked'], done.stderr)
                answer = self.ask(title, '/live/page')
                self.assertEqual((answer.status, answer.body), (200, b'no socket'), self.s.error_log[-1000:])

    def test_cgi(self):
        self.assertEqual(self.ask('CGI', '/cgi-bin/hello/x', method='POST', body=b'abc').body, b'Hello, 127.0.0.1: POST /x\n')

    def git(self, *words, **kw):
        env = {'PATH': PATH, 'HOME': self.s.path('home'), 'GIT_SSL_CAINFO': certificate('git.test')[0], 'GIT_TERMINAL_PROMPT': '0', 'GIT_CONFIG_NOSYSTEM': '1',
               'GIT_AUTHOR_NAME': 'Ann', 'GIT_AUTHOR_EMAIL': 'a@x', 'GIT_COMMITTER_NAME': 'Ann', 'GIT_COMMITTER_EMAIL': 'a@x', 'LC_ALL': 'C'}
        done = subprocess.run(['git', '-c', 'http.curloptResolve=git.test:%d:127.0.0.1' % self.s.tls_port, '-c', 'init.defaultBranch=main', *words],
                              env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **kw)
        return done

    def test_git_and_gitweb(self):
        s = self.s
        os.makedirs(s.path('home'), exist_ok=True)
        for command in self.book.commands:
            if '/srv/git/' in command:
                words = self.here(command).split()
                if words[0] == 'git':
                    words[1:1] = ['-c', 'safe.directory=*', '-c', 'init.defaultBranch=main']
                subprocess.run(words, check=True, capture_output=True, timeout=60, env={'PATH': PATH, 'HOME': s.path('home')})
        url, auth = 'https://git.test:%d/git/tools.git' % s.tls_port, 'https://ann:se-cr-et@git.test:%d/git/tools.git' % s.tls_port
        done = self.git('clone', url, s.path('work'))
        self.assertEqual(done.returncode, 0, done.stdout + s.error_log[-2000:])
        big = os.urandom(3000000)                       # more than git sends with a length: it comes in chunks
        s.write('work/big', big)
        s.write('work/read.me', 'hello\n')
        for words in (('add', '.'), ('commit', '-qm', 'Begin')):
            self.assertEqual(self.git(*words, cwd=s.path('work')).returncode, 0)
        done = self.git('push', url, 'HEAD:main', cwd=s.path('work'))
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, 'could not read Username|Authentication failed')
        done = self.git('push', auth.replace('se-cr-et', 'wrong'), 'HEAD:main', cwd=s.path('work'))
        self.assertRegex(done.stdout, 'Authentication failed')
        done = self.git('push', auth, 'HEAD:main', cwd=s.path('work'))
        self.assertEqual(done.returncode, 0, done.stdout + s.error_log[-2000:])
        done = self.git('clone', url, s.path('again'))
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(s.path('again/big'), 'rb') as f:
            self.assertTrue(f.read() == big)
        page = self.ask('Gitweb', '/gitweb/?p=tools.git;a=summary')
        self.assertEqual(page.status, 200)
        self.assertIn(b'Begin', page.body)
        self.assertIn(b'tools.git', self.ask('Gitweb', '/gitweb/').body)
        self.assertEqual(self.ask('Gitweb', '/gitweb/static/gitweb.css').headers['content-type'], 'text/css')
        self.assertEqual(self.ask('Gitweb', '/gitweb/?p=tools.git;a=blob_plain;f=read.me;hb=HEAD').body, b'hello\n')

    def test_pages(self):
        self.assertIn(b'<h1>Pages</h1>', self.ask('Pages with includes').body)
        self.assertIn(b'stranger', self.ask('Pages with includes').body)
        self.assertRegex(self.ask('Pages with includes', '/?name=ann').body, rb'Hello, ann\.\n[^$]*This page is of 20\d\d\.')

    def test_several_servers(self):
        names = lambda n, cookie='': [self.ask('Several servers', '/x', headers=cookie).body.decode() for _ in range(n)]
        wait_for(lambda: set(names(4)) == {'a', 'b'}, 'both work')
        answer = self.ask('Several servers', '/x')
        cookie = 'Cookie: %s\r\n' % answer.headers['set-cookie'].split(';')[0]
        self.assertEqual(set(names(6, cookie)), {answer.body.decode()})
        self.members['a'].ill = True
        wait_for(lambda: set(names(4)) == {'b'}, 'a is left out', 30)
        self.members['b'].ill = True
        wait_for(lambda: set(names(4)) == {'spare'}, 'the spare one takes over', 30)
        self.members['a'].ill = self.members['b'].ill = False
        wait_for(lambda: set(names(4)) == {'a', 'b'}, 'both are back', 30)
        self.s.logged('BH0749.*is not well')
        self.s.logged('BH0749.*is well again')

    def test_another_web_server(self):
        port = self.ports['8443']
        self.s.write('srv/nginx/page.html', 'of nginx')
        os.makedirs(self.s.path('srv/nginx/folder'))
        cert, key = certificate()
        part = nginx(self.s.dir, 'server {\nlisten 127.0.0.1:%d ssl;\nserver_name localhost;\nssl_certificate %s;\nssl_certificate_key %s;\nroot %s;\n'
                     'location /set { add_header Set-Cookie "a=b; Path=/"; return 302 https://localhost:%d/page.html; }\n}\n' % (port, cert, key, self.s.path('srv/nginx'), port), port)
        self.addCleanup(part.stop)
        title = 'Another web server behind'
        self.assertEqual(self.ask(title, '/docs/page.html').body, b'of nginx')
        answer = self.ask(title, '/docs/page.html', headers='Range: bytes=3-7\r\n')
        self.assertEqual((answer.status, answer.body), (206, b'nginx'))
        here = 'http://another-web-server-behind.test:%d/docs/' % self.s.port
        answer = self.ask(title, '/docs/set')
        self.assertEqual((answer.status, answer.headers['location'], answer.headers['set-cookie']), (302, here + 'page.html', 'a=b; Path=/docs/'))
        self.assertEqual(self.ask(title, '/docs/none').status, 404)
        etag = self.ask(title, '/docs/page.html').headers['etag']
        self.assertEqual(self.ask(title, '/docs/page.html', headers='If-None-Match: %s\r\n' % etag).status, 304)

    def test_error_pages(self):
        title = 'Error pages and time limits'
        for path, status in (('/slow/sleep', 504), ('/gone/x', 503), ('/fails', 503)):
            answer = self.ask(title, path)
            self.assertEqual((answer.status, answer.body), (status, b'<h1>Please try again in a moment</h1>\n'), path)
        self.assertEqual(told(self.ask(title, '/x').body)['PATH_INFO'], '/x')
        self.s.logged('BH0751.*timeout=')
        self.s.logged('BH0748')


TROUBLE = '''
    <Location "/cgi-bin/sleeps">
        CGIScriptTimeout 1
    </Location>
    ScriptAlias "/cgi-bin/" "@DIR@/cgi-bin/"
    ProxyPass "/closed/" "http://127.0.0.1:@PORT2@/" retry=60
    ProxyPass "/broken/" "http://127.0.0.1:@BROKEN@/"
    ProxyPass "/app/" "fcgi://127.0.0.1:@SILENT@/" timeout=1
    <Directory "@DIR@/htdocs">
        Options +Includes
        AddHandler cgi-script .cgi
        AddOutputFilter INCLUDES .shtml
    </Directory>
'''
TROUBLES = {                    # what is asked for leads to this status, and to that id in the log
    'BH0441': ('/a.php', 403), 'BH0664': ('/a.cgi', 403), 'BH0663': ('/cgi-bin/closed', 500), 'BH0665': ('/cgi-bin/short', 500), 'BH0668': ('/cgi-bin/short', 500),
    'BH0666': ('/cgi-bin/broken', 500), 'BH0667': ('/cgi-bin/sleeps', 504), 'BH0748': ('/closed/x', 503), 'BH0746': ('/closed/x', 503), 'BH0750': ('/broken/x', 502),
    'BH0751': ('/app/x', 504), 'BH0732': ('/a.shtml', 200),
}


class Troubles(ServerTest):
    def back(self, answer):
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)

        def serve():
            kept = []
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return
                if answer:
                    with kept.pop() as one:
                        one.recv(65536)
                        one.sendall(answer)
        threading.Thread(target=serve, daemon=True).start()
        return str(listener.getsockname()[1])

    def test_what_the_log_says(self):
        conf = TROUBLE.replace('@BROKEN@', self.back(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello')).replace('@SILENT@', self.back(b''))
        s = self.configure(conf, {'htdocs/a.php': '<?php', 'htdocs/a.shtml': '<!--#include virtual="/none" -->', 'cgi-bin/closed': '#!/bin/sh\n'})
        s.write('httpd.conf', s.read('httpd.conf').replace('Listen 127.0.0.1:%s\n' % s.vars.get('PORT2', ''), ''))        # nobody listens there
        for name, text in (('cgi-bin/short', 'echo the reason >&2\nexit 3\n'), ('cgi-bin/broken', 'echo no colon\necho\n'), ('cgi-bin/sleeps', 'exec sleep 60\n'), ('htdocs/a.cgi', 'echo\n')):
            s.write(name, '#!/bin/sh\n' + text, 0o755)
        s.start()
        told = set(Book().ids)
        self.assertEqual(told - {'BH0760'}, set(TROUBLES), 'the table of docs/dynamic.md, and what is tried here; BH0760 is where PHP is')
        for wanted, (path, status) in TROUBLES.items():
            with self.subTest(wanted):
                self.assertEqual(s.get(path).status, status)
                s.logged(r'\b%s\b' % wanted)


if __name__ == '__main__':
    unittest.main()
