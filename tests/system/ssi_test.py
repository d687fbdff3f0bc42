"""Pages with elements over real connections: what is included as it comes, programs that go with their client, hostile pages, bounds."""
import gzip
import os
import signal
import time
import unittest
import zlib

from server import ServerTest, alive, wait_for

BIG = ''.join('%07d\n' % i for i in range(300000))
TEXT = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\n'
CONF = '''
StartServers 1
ServerLimit 1
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
ScriptAlias /cgi-bin/ "@DIR@/cgi-bin/"
SetEnv OUTER outer
LimitInternalRecursion 10 12
<Directory "@DIR@/htdocs">
    Options +Includes
</Directory>
<Directory "@DIR@/htdocs/noexec">
    Options IncludesNOEXEC
</Directory>
<Directory "@DIR@/htdocs/late">
    CGIScriptTimeout 1
</Directory>
<Directory "@DIR@/htdocs/legacy">
    SSILegacyExprParser on
    SSIAccessEnable on
</Directory>
<Directory "@DIR@/htdocs/packed">
    SetOutputFilter INCLUDES;DEFLATE
</Directory>
<Directory "@DIR@/htdocs/full">
    XBitHack full
</Directory>
<Location /cgi-bin/page>
    SetOutputFilter INCLUDES
    Options +Includes
</Location>
<Location /denied>
    Require all denied
</Location>
<Location /old>
    SetHandler server-parsed
</Location>
'''
PAGES = {
    'big.txt': BIG,
    'big.shtml': 'a<!--#include virtual="/big.txt" -->b<!--#exec cmd="head -c 300000 /dev/zero | tr \'\\0\' x" -->c',
    'packed/big.shtml': '<!--#include virtual="/big.txt" -->end',
    'packed/slow.shtml': 'before<!--#include virtual="/cgi-bin/slow" -->after',
    'slow.shtml': 'before<!--#include virtual="/cgi-bin/slow" -->after',
    'waits.shtml': 'x<!--#include virtual="/cgi-bin/sleeps?cgi" -->y',
    'command.shtml': 'x<!--#exec cmd="echo $$ >@DIR@/pids/cmd; exec sleep 60" -->y',
    'late/page.shtml': 'x<!--#exec cmd="echo first; exec sleep 60" -->y',
    'killed.shtml': 'x<!--#exec cmd="echo $$ >@DIR@/pids/killed; exec sleep 60" -->y',
    'much.shtml': '<!--#exec cmd="head -c 8000000 /dev/zero | tr \'\\0\' x" -->end',
    'full.shtml': '<!--#set var="x" value="0123456789" -->' + '<!--#set var="x" value="$x$x" -->' * 12 + ''.join('<!--#set var="%s" value="$x" -->' % c for c in 'abc') + '<!--#exec cmd="echo ran" -->',
    'vars.shtml': '<!--#set var="mine" value="two words" --><!--#exec cmd="echo \\"$mine:$OUTER:$DOCUMENT_NAME\\"; pwd" -->',
    'stderr.shtml': '<!--#exec cmd="echo the reason >&2" -->',
    'bomb.shtml': '<!--#set var="n" value="${n}1" --><!--#include virtual="/bomb.shtml?$n" -->' * 8,
    'onerror.shtml': '<!--#include virtual="/absent" onerror="/near.txt" -->|<!--#include virtual="/denied/x" onerror="/absent" -->',
    'near.txt': 'near',
    'denied/x': 'secret',
    'link.shtml': '<!--#exec cgi="/cgi-bin/away" -->|<!--#include virtual="/cgi-bin/inside" -->',
    'codes.shtml': '<!--#set var="a" value="<a b>&\\"" --><!--#echo var="a" encoding="base64" var="a" -->|<!--#echo encoding="urlencoded" var="a" -->|'
                   '<!--#set decoding="base64" var="b" value="PGI+" --><!--#echo var="b" -->|<!--#echo decoding="url" encoding="none" var="QUERY_STRING" -->',
    'match.shtml': '<!--#if expr=\'"abc" =~ /a(.)c/\' --><!--#set var="m" value="$1-$0" --><!--#echo var="m" --><!--#endif -->',
    'legacy/page.shtml': '<!--#set var="a" value="apple pie" -->' + ''.join('<!--#if expr="%s" -->y<!--#else -->n<!--#endif -->' % e for e in (
        '$a = apple pie', '$a = \'apple pie\'', '!$none', '$a != /^b/ && $none', '$none || $a', '($a = /^(ap)/) && $1 = ap', 'b > a', '-A /near.txt', '-A /denied/x', '')),
    'noexec/page.shtml': '<!--#exec cmd="echo ran" -->|<!--#exec cgi="/cgi-bin/inside" -->|<!--#include virtual="/odd.cgi" -->|<!--#include virtual="/near.txt" -->',
    'odd.cgi': '#!/bin/sh\n',
    'deep.shtml': '<!--#if expr="true" -->' * 70 + 'in' + '<!--#endif -->' * 70 + 'out',
    'long.shtml': 'a<!--#set var="x" value="%s" -->b<!--#echo va' % ('x' * 40000),
    'double.shtml': '<!--#set var="x" value="0123456789" -->' + '<!--#set var="x" value="$x$x" -->' * 16 + '<!--#echo var="nothing" -->',
    'full/page.html': '<!--#echo var="DOCUMENT_NAME" -->',
    'old': 'old <!--#echo var="DOCUMENT_URI" -->',
    'plain.shtml': 'no element, <!-- a comment --> <!--# <!-',
    'method.shtml': '<!--#echo var="REQUEST_METHOD" -->|<!--#include virtual="/cgi-bin/method" -->',
}
SCRIPTS = {
    'slow': TEXT + 'echo first\nsleep 1\necho second\n',
    'sleeps': '#!/bin/sh\necho $$ >@DIR@/pids/$1\nexec sleep 60\n',
    'away': '#!/bin/sh\nprintf "Location: http://example.test/?a&b\\n\\n"\n',
    'inside': '#!/bin/sh\nprintf "Location: /near.txt\\n\\n"\n',
    'page': TEXT.replace('plain', 'html') + 'printf "got <!--#ec"\nsleep 0.3\nprintf "ho var=\\"REQUEST_METHOD\\" --"\nsleep 0.3\nprintf "> it"\n',
    'method': TEXT + 'printf "$REQUEST_METHOD[$CONTENT_LENGTH]$(cat)"\n',
}
ERROR = '[an error occurred while processing this directive]'


class Pages(ServerTest):
    @classmethod
    def setUpClass(cls):
        files = {'htdocs/' + name: text for name, text in PAGES.items()}
        files.update({'cgi-bin/' + name: text for name, text in SCRIPTS.items()})
        cls.s = cls.shared(CONF, files)
        os.makedirs(cls.s.path('pids'))
        os.chmod(cls.s.path('pids'), 0o777)
        for name in SCRIPTS:
            os.chmod(cls.s.path('cgi-bin/' + name), 0o755)
        os.chmod(cls.s.path('htdocs/full/page.html'), 0o774)
        cls.s.start()

    def page(self, path, **kw):
        answer = self.s.get(path, **kw)
        self.assertEqual(answer.status, 200)
        return answer.body.decode()

    def test_much_is_included(self):
        whole = 'a' + BIG + 'b' + 'x' * 300000 + 'c'
        self.assertTrue(self.page('/big.shtml') == whole)
        with self.s.connect() as c:             # one that takes it slowly
            c.send('GET /big.shtml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            time.sleep(0.3)
            self.assertTrue(c.response().body.decode() == whole)
        packed = self.s.get('/packed/big.shtml', headers='Accept-Encoding: gzip\r\n')
        self.assertTrue(gzip.decompress(packed.body).decode() == BIG + 'end')

    def test_what_is_there_goes_out_while_a_program_is_waited_for(self):
        for path, gzipped in (('/slow.shtml', False), ('/packed/slow.shtml', True)):
            with self.subTest(path), self.s.connect() as c:
                began = time.monotonic()
                c.send('GET %s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n' % path)
                c.head()
                got, unzip, seen = b'', zlib.decompressobj(31), None
                while True:
                    size = int(c.line().strip(), 16)
                    part = c.take(size)
                    c.line()
                    if not size:
                        break
                    got += unzip.decompress(part) if gzipped else part
                    if seen is None and b'beforefirst' in got:
                        seen = time.monotonic() - began
                self.assertEqual(got, b'beforefirst\nsecond\nafter')
                self.assertLess(seen, 0.8)

    def test_programs_go_with_the_client(self):
        for path, name in (('/waits.shtml', 'cgi'), ('/command.shtml', 'cmd')):
            with self.s.connect() as c:
                c.send('GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % path)
                pid = int(wait_for(lambda: os.path.exists(self.s.path('pids/' + name)) and self.s.read('pids/' + name).strip(), 'it says its number'))
                self.assertTrue(alive(pid))
            wait_for(lambda: not alive(pid), path + ': the program goes')
        self.assertEqual(self.page('/near.txt'), 'near')

    def test_commands(self):
        self.assertEqual(self.page('/vars.shtml'), 'two words:outer:vars.shtml\n%s\n' % self.s.path('htdocs'))
        self.page('/stderr.shtml')
        self.s.logged('BH0738: the reason: said by a command of .*stderr.shtml')
        self.assertEqual(self.page('/noexec/page.shtml'), ERROR + '|' + ERROR + '|' + ERROR + '|near')

    def test_commands_that_are_too_much(self):
        self.assertEqual(self.page('/full.shtml'), ERROR)
        self.s.logged('BH0734: a command of .*/full.shtml is not run: .*128 KiB')
        with self.s.connect() as c:             # one that takes it slowly
            c.send('GET /much.shtml HTTP/1.0\r\n\r\n')
            time.sleep(0.3)
            self.assertTrue(c.rest().endswith(b'\r\n\r\n' + b'x' * 8000000 + b'end'))

    def test_commands_that_come_to_no_end(self):
        self.assertEqual(self.page('/late/page.shtml'), 'xfirst\n' + ERROR + 'y')
        self.s.logged('BH0734: a command of .*/late/page.shtml gave nothing within CGIScriptTimeout')
        with self.s.connect() as c:
            c.send('GET /killed.shtml HTTP/1.0\r\n\r\n')
            pid = int(wait_for(lambda: os.path.exists(self.s.path('pids/killed')) and self.s.read('pids/killed').strip(), 'it says its number'))
            os.kill(wait_for(lambda: self.s.roles('spawn'), 'there is a spawner')[0], signal.SIGKILL)
            self.assertEqual(c.rest().decode().split('\r\n\r\n')[1], 'x' + ERROR + 'y')
        wait_for(lambda: not alive(pid), 'the command goes with the spawner')
        self.assertEqual(self.page('/vars.shtml'), 'two words:outer:vars.shtml\n%s\n' % self.s.path('htdocs'))

    def test_what_fails_and_what_leads_elsewhere(self):
        self.assertEqual(self.page('/onerror.shtml'), 'near|' + ERROR)
        self.assertEqual(self.page('/link.shtml'), '<a href="http://example.test/?a&amp;b">http://example.test/?a&amp;b</a>|near')

    def test_values(self):
        self.assertEqual(self.page('/codes.shtml?%3Cx'), '&lt;a b&gt;&amp;&quot;PGEgYj4mIg==|%3ca+b%3e%26%22|&lt;b&gt;|<x')
        self.assertEqual(self.page('/match.shtml'), 'b-abc')
        self.assertEqual(self.page('/legacy/page.shtml'), 'yyynyyyyn' + ERROR)

    def test_hostile_pages(self):
        self.assertEqual(self.page('/deep.shtml'), ERROR + 'out')
        self.assertEqual(self.page('/long.shtml'), 'a' + ERROR + 'b' + ERROR)
        self.assertIn(ERROR, self.page('/double.shtml'))
        self.assertEqual(self.page('/plain.shtml'), 'no element, <!-- a comment --> ' + ERROR)
        began = time.monotonic()
        body = self.page('/bomb.shtml')
        self.assertIn(ERROR, body)
        self.assertLess(time.monotonic() - began, 10)
        self.s.logged('BH0736: .*bomb.shtml: .*32 MiB')

    def test_fields(self):
        for path in ('/near.txt', '/match.shtml'):
            answer = self.s.get(path)
            self.assertEqual([name in answer.headers for name in ('etag', 'last-modified', 'accept-ranges', 'content-length')], [path == '/near.txt'] * 4)
        answer = self.s.get('/slow.shtml', headers='Range: bytes=0-2\r\nIf-Modified-Since: Wed, 01 Jan 2070 00:00:00 GMT\r\n')
        self.assertEqual((answer.status, answer.body), (200, b'beforefirst\nsecond\nafter'))
        date = self.s.get('/full/page.html').headers['last-modified']
        self.assertEqual(self.s.get('/full/page.html', headers='If-Modified-Since: %s\r\n' % date).status, 304)
        self.assertEqual((self.s.get('/match.shtml', method='HEAD').status, self.page('/old')), (200, 'old /old'))
        self.assertTrue(self.s.get('/old').headers['content-type'].startswith('text/html'))

    def test_output_of_a_program(self):
        self.assertEqual(self.page('/cgi-bin/page'), 'got GET it')

    def test_post(self):
        with self.s.connect() as c:
            self.assertEqual(c.request('/method.shtml', 'POST', body=b'12345').body, b'POST|GET[]')
            self.assertEqual(c.request('/near.txt').body, b'near')


if __name__ == '__main__':
    unittest.main()
