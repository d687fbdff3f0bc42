"""Servers behind: names, rules of <Proxy>, what is sent twice and what is not, connections that break; over real sockets."""
import http.client
import socket

from backend import Backend
from server import ServerTest, wait_for

CONFIG = '''
StartServers 1
MinSpareServers 1
MaxSpareServers 1
MaxRequestWorkers 1
ProxyTimeout 3
ProxyPass "/name/" "http://localhost:@BACK@/name/"
ProxyPass "/closed/" "http://127.0.0.1:@BACK@/closed/"
ProxyPass "/" "http://127.0.0.1:@BACK@/"
<Proxy "http://127.0.0.1:@BACK@/closed/">
    Require all denied
</Proxy>
'''


class Back(Backend):
    """Answers with the request's line; of /die the connection ends without an answer, unless it is the connection's first request."""

    def __init__(self):
        self.seen, self.open = [], 0
        super().__init__()

    def serve(self, s):
        self.open += 1
        nth = 0
        with s, s.makefile('rb') as f:
            while True:
                line = f.readline().decode().strip()
                if not line:
                    break
                length, nth = 0, nth + 1
                while (field := f.readline().strip()):
                    if field.lower().startswith(b'content-length:'):
                        length = int(field.split(b':')[1])
                f.read(length)
                self.seen.append(line)
                if '/die' in line and nth > 1:
                    break
                if '/half' in line:
                    s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf')
                    break
                if '/wait' in line:
                    s.recv(1)
                    break
                cookie = b'Set-Cookie: a=b; Path=/inner/deep; Secure\r\n' if '/cookie' in line else b''
                s.sendall(b'HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s' % (cookie, len(line), line.encode()))
        self.open -= 1


class Proxying(ServerTest):
    def begin(self):
        self.back = Back()
        self.addCleanup(self.back.listener.close)
        self.s = self.serve(CONFIG.replace('@BACK@', str(self.back.port)))

    def ask(self, path, method='GET', body=None):
        c = http.client.HTTPConnection('127.0.0.1', self.s.port, timeout=10)
        c.request(method, path, body)
        answer = c.getresponse()
        try:
            return answer.status, answer.read().decode()
        finally:
            c.close()

    def test_all(self):
        self.begin()
        self.assertEqual(self.ask('/name/x?y'), (200, 'GET /name/x?y HTTP/1.1'))
        self.assertEqual(self.ask('/closed/x')[0], 403)
        self.assertNotIn('/closed', ' '.join(self.back.seen))
        # A kept connection that ends without an answer: what may be repeated is, once; a POST is not.
        self.assertEqual(self.ask('/a')[0], 200)
        self.assertEqual(self.ask('/die'), (200, 'GET /die HTTP/1.1'))
        self.assertEqual([line for line in self.back.seen if '/die' in line], ['GET /die HTTP/1.1'] * 2)
        self.assertEqual(self.ask('/die', 'POST', 'body')[0], 502)
        self.assertEqual(len([line for line in self.back.seen if 'POST' in line]), 1)
        with self.assertRaises(http.client.IncompleteRead):
            self.ask('/half')
        # The connection behind goes with the client's request when time is over: the log says how long that is.
        self.assertEqual(self.ask('/wait')[0], 504)
        for wanted in ('BH0750', 'BH0751.*ProxyTimeout'):
            self.s.logged(wanted)
        self.back.listener.shutdown(socket.SHUT_RDWR)
        self.back.listener.close()
        wait_for(lambda: self.ask('/b')[0] == 503, lambda: self.s.read('logs/error_log'))
        self.s.logged('BH0748')


class Mapping(ServerTest):
    def test_patterns_cookies_notes_and_circles(self):
        back = Back()
        self.addCleanup(back.listener.close)
        s = self.serve("""
            ProxyPassMatch "^/(app|cookie)/" "http://127.0.0.1:@BACK@"
            ProxyPassMatch "^/picked/([a-z]+)" "http://127.0.0.1:@BACK@/$1"
            ProxyPassReverseCookiePath "/inner" "/app"
            CustomLog "@DIR@/logs/access" "%U %{proxy-status}n"
            """.replace('@BACK@', str(back.port)))
        # A URL that takes nothing from the pattern gets the whole path.
        self.assertEqual(s.get('/app/x%20y?z').body, b'GET /app/x%20y?z HTTP/1.1')
        self.assertEqual(s.get('/picked/one/two').body, b'GET /one HTTP/1.1')
        # A path that begins so is replaced, not only its beginning.
        self.assertEqual(s.get('/cookie/x').headers['set-cookie'], 'a=b; Path=/app; Secure')
        for value in ('0', 'x', '-1'):
            self.assertEqual(s.get('/app/x', headers='Max-Forwards: %s\r\n' % value).status, 400)
        s.logged('BH0753.*may stand in a circle')
        wait_for(lambda: s.read('logs/access').count('\n') == 6, lambda: s.read('logs/access'))
        self.assertIn('/app/x y 200\n', s.read('logs/access'))
        self.assertIn('/app/x -\n', s.read('logs/access'))


    def test_sessions_in_paths(self):
        back = Back()
        self.addCleanup(back.listener.close)
        s = self.serve("""
            ProxyPass "/" "balancer://pair/" stickysession=SID|sid
            <Proxy "balancer://pair">
                BalancerMember "http://127.0.0.1:@BACK@" route=one
                BalancerMember "http://localhost:@BACK@" route=two
            </Proxy>
            Header set X-Route "%{BALANCER_WORKER_ROUTE}e %{BALANCER_SESSION_STICKY}e"
            """.replace('@BACK@', str(back.port)))
        for path, headers, route in (('/a;sid=x.two', '', 'two sid'), ('/a;v=1;sid=x.one/b?q', '', 'one sid'), ('/a?q&sid=x.two', '', 'two sid'),
                                     ('/a', 'Cookie: SID=x.one\r\n', 'one SID')):
            for _ in range(3):
                self.assertEqual(s.get(path, headers=headers).headers['x-route'], route, path)


class Listening(Backend):
    """Keeps what comes on a connection, and ends it."""

    def __init__(self):
        self.seen = b''
        super().__init__()

    def serve(self, s):
        with s:
            self.seen += s.recv(65536)


class Handlers(ServerTest):
    def test_members_that_speak_fastcgi_are_told_the_file(self):
        back = Listening()
        self.addCleanup(back.listener.close)
        s = self.serve("""
            <Proxy "balancer://php">
                BalancerMember "fcgi://127.0.0.1:%d"
            </Proxy>
            <FilesMatch "[.]php$">
                SetHandler "proxy:balancer://php"
            </FilesMatch>
            """ % back.port, {'htdocs/x.php': ''})
        self.assertGreater(s.get('/x.php').status, 500)
        wait_for(lambda: s.path('htdocs/x.php').encode() in back.seen, lambda: repr(back.seen))


class NotSpoken(ServerTest):
    def test_ajp_is_taken_with_a_warning_and_answers_500(self):
        s = self.serve('ProxyPass "/shop" "ajp://127.0.0.1:8009/shop"\n', {'htdocs/a.txt': 'a'})
        self.assertRegex(s.run('-t').stdout, r'case\.conf:1: warning: ProxyPass: AJP is not spoken here')
        self.assertEqual((s.get('/shop/x').status, s.get('/a.txt').status), (500, 200))
        s.logged('BH0745.*ajp is not spoken')
