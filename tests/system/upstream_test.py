"""Servers behind: places that are waited for (max=), names, lines that hold variables, health checks by template, TLS by place; over real sockets."""
import collections
import http.client
import re
import select
import socket
import ssl
import threading
import unittest

from backend import Backend
from server import ServerTest, certificate, wait_for

CONFIG = '''
StartServers 1
MinSpareServers 1
MaxSpareServers 1
MaxRequestWorkers 400
ServerLimit 1
ProxyPassInterpolateEnv On
SetEnvIf X-To "(.+)" TO=$1
ProxyPass "/one/" "http://@BACK@/one/" max=1
ProxyPass "/full/" "http://@BACK@/full/" max=1
ProxyPass "/short/" "http://@BACK@/short/" max=1 acquire=50
ProxyPass "/inter/" "http://@BACK@/to-${TO}/" interpolate
ProxyPass "/app/" "http://@BACK@/s/" mapping=servlet
ProxyPass "/ping/" "http://@BACK@/ping/" ping=1 retry=0
ProxyPass "/nowhere/" "http://no-such-name.invalid/"
ProxyHCTemplate quick hcmethod=GET hcuri=/health hcinterval=1
<Proxy "balancer://checked">
    BalancerMember "http://localhost:@PORTOF@" hctemplate=quick
</Proxy>
SSLProxyEngine on
ProxyPass "/tls/" "https://@SECURE@/tls/"
ProxyPass "/known/" "https://@SECURE@/known/"
ProxyPass "/other/" "https://@SECURE@/other/"
ProxyPass "/folder/" "https://@SECURE@/folder/"
ProxyPass "/matched/" "https://@SECURE@/matched/"
<Proxy "https://@SECURE@/known/">
    SSLProxyVerify require
    SSLProxyCACertificateFile "@cert@"
</Proxy>
<Proxy "https://@SECURE@/other/">
    SSLProxyVerify require
    SSLProxyCACertificateFile "@OTHER@"
</Proxy>
<Proxy "https://@SECURE@/folder/">
    SSLProxyVerify require
    SSLProxyVerifyDepth 3
    SSLProxyCACertificatePath "@DIR@/cas"
</Proxy>
<ProxyMatch "/matched/$">
    SSLProxyVerify require
    SSLProxyProtocol -all +TLSv1.2
    SSLProxyCACertificateFile "@OTHER@"
</ProxyMatch>
RewriteEngine on
RewriteRule ^/bad/scheme$ gopher://127.0.0.1/x [P]
RewriteRule ^/bad/balancer$ balancer://none/x [P]
RewriteRule ^/bad/socket$ unix:run/s|http://127.0.0.1/x [P]
ProxyPassMatch "^/query/(.*)$" "http://@BACK@/$1?own=1"
ProxyPassMatch "^/to/(.*)$" "http://@BACK@/$1"
<Proxy "balancer://routes">
    BalancerMember "http://@BACK@/one" route=one
    BalancerMember "http://@BACK@/two" route=two
    ProxySet stickysession=SID|sid scolonpathdelim=On
</Proxy>
ProxyPass "/routes" "balancer://routes"
ProxyPass "/" "http://@BACK@/"
'''
# line of the configuration, what is said of it
REFUSED = [
    ('ProxySourceAddress 127.0.0.2', 'ProxySourceAddress.*\n?.*routing table'),
    ('ProxySCGISendfile On', 'ProxySCGISendfile.*\n?.*send the file itself'),
    ('ProxyPass /a http://127.0.0.1:1/ mapping=odd', 'mapping=odd'),
    ('ProxyPass /a http://127.0.0.1:1/ hcmethod=CPING', 'hcmethod=CPING'),
    ('ProxyPass /a http://127.0.0.1:1/ hctemplate=none', 'no template of that name'),
    ('ProxyPass /a http://127.0.0.1:1/ upgrade="a b"', 'names no protocol'),
    ('ProxyHCTemplate t timeout=1', 'no key of a health check'),
    ('ProxyHTMLEnable On', 'ProxyPassReverse changes fields'),
    ('ProxyFtpDirCharset utf-8', 'no FTP'),
]


class Back(Backend):
    """Answers with the request's line; /…/hold once `released` is set; a body is asked for where the path says continue."""

    def __init__(self, tls=None):
        self.seen, self.open, self.most, self.tls = [], 0, 0, tls
        self.released = threading.Event()
        super().__init__()
        self.address = '127.0.0.1:%d' % self.port

    def serve(self, s):
        try:
            self.talk(self.tls.wrap_socket(s, server_side=True) if self.tls else s)
        except OSError:
            pass

    def talk(self, s):
        with s, s.makefile('rb') as f:
            while line := f.readline().decode().strip():
                fields = {}
                while field := f.readline().decode().strip():
                    name, value = field.split(':', 1)
                    fields[name.lower()] = value.strip()
                self.seen.append(line)
                if '/continue' in line and fields.get('expect') == '100-continue':
                    s.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
                elif 'expect' in fields:
                    s.recv(1)
                    return
                f.read(int(fields.get('content-length', 0)))
                if '/hold' in line:
                    self.open += 1
                    self.most = max(self.most, self.open)
                    self.released.wait(60)
                    self.open -= 1
                s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(line), line.encode()))


CHECKS = '''
ProxyHCExpr fine {hc('body') =~ /all is fine/ && resp('X-State') == 'up' && %{REQUEST_STATUS} =~ /^2/}
SSLProxyEngine on
'''
# name, scheme, who is asked, keys, what is said of it once it is not well (None: it stays well)
MEMBERS = (('body', 'http', 'back', 'hcmethod=GET hcexpr=fine', None), ('worse', 'http', 'back', 'hcmethod=GET11 hcexpr=fine', 'not what hcexpr= wants'),
           ('error', 'http', 'back', 'hcmethod=HEAD', 'or an error'), ('kept', 'http', 'back', 'hcmethod=GET timeout=600', None),
           ('options', 'http', 'back', 'hcmethod=OPTIONS11', None), ('tcp', 'http', 'back', 'hcmethod=TCP', None), ('closed', 'http', 'closed', 'hcmethod=TCP', 'Connection refused'),
           ('mute', 'http', 'silent', 'hcmethod=GET timeout=1', 'does not answer in time'), ('gone', 'http', 'back', 'hcmethod=GET', 'without an answer'),
           ('rubbish', 'http', 'back', 'hcmethod=GET', 'or an error'), ('sure', 'https', 'secure', 'hcmethod=GET hcexpr=fine', None), ('unsure', 'https', 'plain', 'hcmethod=HEAD', 'TLS'))


class Checked(Backend):
    """Answers health checks; keeps every connection open, whatever was asked for, but where `gone` is asked for."""

    def __init__(self, tls=None):
        self.seen, self.tls, self.well = [], tls, set()
        super().__init__()

    def serve(self, s):
        try:
            with (self.tls.wrap_socket(s, server_side=True) if self.tls else s) as s, s.makefile('rb') as f:
                while line := f.readline().decode('latin-1').strip():
                    while f.readline().strip():
                        pass
                    name = line.split(' ')[1].rsplit('/', 1)[1]
                    self.seen.append(line)
                    if name == 'gone':
                        return
                    good = name in self.well or name not in ('worse', 'error')
                    body = b'all is fine' if good else b'in a way'
                    s.sendall(b'rubbish\r\n\r\n' if name == 'rubbish' else b'HTTP/1.1 %s\r\nX-State: up\r\nContent-Length: %d\r\n\r\n%s' % (
                        b'503 No' if name == 'error' and not good else b'200 OK', len(body), b'' if line.startswith('HEAD') else body))
        except OSError:
            pass


class Plain(Backend):
    """No TLS, whatever comes."""

    def serve(self, s):
        with s:
            s.recv(1000)
            s.sendall(b'HTTP/1.0 400 Bad Request\r\n\r\n')


class HealthChecks(ServerTest):
    @classmethod
    def setUpClass(cls):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate())
        cls.back, cls.secure, plain, closed, silent = Checked(), Checked(tls), Plain(), socket.socket(), socket.create_server(('127.0.0.1', 0))
        closed.bind(('127.0.0.1', 0))           # and nobody listens
        for s in (cls.back.listener, cls.secure.listener, plain.listener, closed, silent):
            cls.addClassCleanup(s.close)
        ports = {'back': cls.back.port, 'secure': cls.secure.port, 'plain': plain.port, 'closed': closed.getsockname()[1], 'silent': silent.getsockname()[1]}
        cls.s = cls.shared(CHECKS + ''.join('<Proxy balancer://%s>\nBalancerMember %s://127.0.0.1:%d/%s hcinterval=1 hcfails=1 hcpasses=1 hcuri=/%s %s\n</Proxy>\n'
                                            'ProxyPass /%s/ balancer://%s/\n' % (name, scheme, ports[who], name, name, keys, name, name)
                                            for name, scheme, who, keys, _ in MEMBERS)).start()

    def test_each_kind(self):
        for name, scheme, _, _, told in MEMBERS:
            with self.subTest(name):
                if told:
                    self.s.logged(r'BH0749: %s://127\.0\.0\.1:\d+/%s is not well: .*(%s)' % (scheme, name, told), timeout=30)
        for line in ('GET /body HTTP/1.0', 'OPTIONS /options HTTP/1.1', 'GET /kept HTTP/1.0', 'HEAD /error HTTP/1.0'):
            wait_for(lambda: self.back.seen.count(line) > 2, line, 30)
        wait_for(lambda: self.secure.seen.count('GET /sure HTTP/1.0') > 2, 'checks over TLS', 30)
        for name, _, _, _, told in MEMBERS:
            with self.subTest(name):
                self.assertEqual(bool(re.search('BH0749: .*/%s is not well' % name, self.s.error_log)), told is not None)

    def test_what_is_well_again_takes_requests(self):
        for name in ('worse', 'error'):
            self.s.logged('BH0749: .*/%s is not well' % name, timeout=30)
            self.assertEqual(self.s.get('/%s/x' % name).status, 503)
            self.back.well.add(name)
            self.s.logged('BH0749: .*/%s is well again' % name, timeout=30)
            self.assertEqual(self.s.get('/%s/x' % name).status, 200)


class Upstreams(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate())
        cls.back, cls.secure = Back(), Back(tls)
        cls.addClassCleanup(cls.back.listener.close)
        cls.addClassCleanup(cls.secure.listener.close)
        words = {'@BACK@': cls.back.address, '@PORTOF@': cls.back.address.split(':')[1], '@SECURE@': cls.secure.address,
                 '@OTHER@': certificate('other')[0]}
        with open(certificate()[0]) as f:
            authority = f.read()
        cls.s = cls.shared(re.sub('|'.join(words), lambda m: words[m.group()], CONFIG), {'htdocs/a.txt': 'a', 'cas/one.pem': authority, 'cas/.hidden': 'no certificate'}).start()

    def setUp(self):
        self.back.released.clear()
        self.back.most = 0
        self.addCleanup(self.back.released.set)

    def begin(self, path, **kw):
        c = http.client.HTTPConnection('127.0.0.1', self.s.port, timeout=60)
        c.request(kw.pop('method', 'GET'), path, **kw)
        self.addCleanup(c.close)
        return c

    def ask(self, path, **kw):
        answer = self.begin(path, **kw).getresponse()
        return answer.status, answer.read().decode()

    def saw(self, path):
        return [line for line in self.back.seen if line.split(' ')[1] == path]

    def test_requests_beyond_max_wait_in_order(self):
        first = self.begin('/one/hold')
        wait_for(lambda: self.saw('/one/hold'), 'the first request')
        gone, *others = [self.begin('/one/%d/hold' % n) for n in range(4)]
        gone.close()
        self.assertEqual(self.ask('/free')[0], 200)
        self.assertEqual([line for line in self.back.seen if line.startswith('GET /one/') and line != 'GET /one/hold HTTP/1.1'], [])
        self.back.released.set()
        self.assertEqual([c.getresponse().status for c in (first, *others)], [200] * 4)
        self.assertEqual(self.back.most, 1)

    def test_who_waited_for_acquire_gets_503(self):
        first = self.begin('/short/hold')
        wait_for(lambda: self.saw('/short/hold'), 'the first request')
        self.assertEqual(self.ask('/short/x')[0], 503)
        self.s.logged(r'BH0748.*/short/.*acquire=')
        self.back.released.set()
        self.assertEqual(first.getresponse().status, 200)
        self.assertEqual(self.ask('/short/y')[0], 200)

    def test_no_more_than_so_many_wait(self):
        first = self.begin('/full/hold')
        wait_for(lambda: self.saw('/full/hold'), 'the first request')
        others = [self.begin('/full/w') for _ in range(256 + 5)]
        wait_for(lambda: len(select.select([c.sock for c in others], [], [], 0)[0]) == 5, 'five answers before their turn', timeout=60)
        self.back.released.set()
        self.assertEqual(first.getresponse().status, 200)
        self.assertEqual(collections.Counter(c.getresponse().status for c in others), {200: 256, 503: 5})

    def test_names_without_addresses_are_told_with_their_line(self):
        line = 1 + CONFIG.split('\n').index('ProxyPass "/nowhere/" "http://no-such-name.invalid/"')
        self.s.logged(r'BH0754.*case\.conf:%d: no address is known for the host of http://no-such-name' % line, timeout=120)
        self.assertEqual(self.ask('/nowhere/x')[0], 502)

    def test_checks_of_a_template_need_no_request(self):
        wait_for(lambda: self.saw('/health'), 'a health check of a name', timeout=60)

    def test_variables_in_lines(self):
        self.assertEqual(self.ask('/inter/x', headers={'X-To': 'b'}), (200, 'GET /to-b/x HTTP/1.1'))
        self.assertEqual(self.ask('/inter/x'), (200, 'GET /to-/x HTTP/1.1'))
        self.assertEqual(self.ask('/inter/x', headers={'X-To': 'a b'})[1], 'GET /to-a%20b/x HTTP/1.1')

    def test_paths_of_servlets(self):
        for path, sent in (('/app/x', '/s/x'), ('/app;v=1/x;y=2/z', '/s/x;y=2/z'), ('/app/a/..;v/b', '/s/b'), ('/app/..;/admin', '/app/..;/admin'),
                           ('/app/', '/s/'), ('/app/a/..;', '/s/'), ('/apples', '/apples'), ('/x/..;a/app/b', '/s/b')):
            with self.subTest(path):
                self.assertEqual(self.ask(path), (200, 'GET %s HTTP/1.1' % sent))

    def test_a_sign_of_life_before_the_body(self):
        self.assertEqual(self.ask('/ping/continue', method='POST', body='body'), (200, 'POST /ping/continue HTTP/1.1'))
        self.assertEqual(self.ask('/ping/x', method='POST', body='body')[0], 503)
        self.s.logged('BH0755.*ping=')
        self.assertEqual(self.ask('/ping/x')[0], 200)

    def test_tls_by_place(self):
        self.assertEqual(self.ask('/tls/x')[0], 200)
        self.assertEqual(self.ask('/known/x')[0], 200)
        self.assertEqual(self.ask('/folder/x')[0], 200)
        self.assertEqual([self.ask('/other/x')[0], self.ask('/matched/x')[0]], [502, 502])
        self.s.logged('BH0748.*/other/x.*SSLProxyVerify')
        self.s.logged('BH0748.*/matched/x.*SSLProxyVerify')

    def test_lines_that_lead_nowhere(self):
        for path, told in (('scheme', 'its scheme is not spoken here'), ('balancer', 'this balancer has no member'), ('socket', 'the file of unix: must be absolute')):
            self.assertEqual(self.ask('/bad/' + path)[0], 500)
            self.s.logged('BH0742: /bad/%s answered with 500: .*%s' % (path, told))

    def test_queries_of_patterns(self):
        for path, sent in (('/query/x?c=d', '/x?own=1&c=d'), ('/query/x', '/x?own=1'), ('/to/x?c=d', '/x?c=d'), ('/to/x', '/x')):
            self.assertEqual(self.ask(path), (200, 'GET %s HTTP/1.1' % sent), path)

    def test_whose_session_it_is(self):
        for path, headers, where in (('/routes/a;sid=x.two', {}, 'two'), ('/routes/a;v=1;sid=x.one/b', {}, 'one'), ('/routes/a?sid=x.two', {}, 'two'),
                                     ('/routes/a', {'Cookie': 'a=b; SID=x.two; SIDE=x.one'}, 'two')):
            for _ in range(3):
                status, line = self.ask(path, headers=headers)
                self.assertEqual((status, line.split('/')[1]), (200, where), line)

    def test_what_is_refused(self):
        for line, words in REFUSED:
            with self.subTest(line):
                done = self.configure(line + '\n').run('-t')
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout + (done.stderr or ''), words)


if __name__ == '__main__':
    unittest.main()
