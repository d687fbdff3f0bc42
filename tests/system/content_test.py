"""What comes back for a file: methods, ranges, types, links, paths, error documents, header fields, variables, access lines.
Each test is a case in which a program that follows Apache's documentation by the letter alone would answer otherwise."""
import os
import re
import socket
import time
import unittest

from server import ServerTest, wait_for

DIGITS = ''.join('%04d' % n for n in range(250))


class Files(ServerTest):
    def test_a_file_takes_post_and_names_its_methods(self):
        s = self.serve('TraceEnable Off\n', {'htdocs/d.txt': DIGITS})
        self.assertEqual((s.get('/d.txt', method='POST', body=b'x').status, s.get('/d.txt', method='POST', body=b'x').body), (200, DIGITS.encode()))
        for method, status in (('OPTIONS', 200), ('PUT', 405), ('DELETE', 405), ('FROB', 501)):
            answer = s.get('/d.txt', method=method)
            self.assertEqual((answer.status, answer.headers.get('allow')), (status, 'GET,POST,OPTIONS,HEAD'), method)

    def test_several_ranges(self):
        big = DIGITS * 300                      # parts that are larger than a buffer
        s = self.serve('<Directory "@DIR@/htdocs/few">\nMaxRanges 2\n</Directory>\n', {'htdocs/d.txt': big, 'htdocs/few/d.txt': big})
        for field, parts in (('0-3,500-503,-4', [(0, 3), (500, 503), (299996, 299999)]), ('200000-290000,0-100000', [(200000, 290000), (0, 100000)])):
            answer = s.get('/d.txt', headers='Range: bytes=%s\r\n' % field)
            headers = answer.headers
            self.assertEqual((answer.status, headers['content-length']), (206, str(len(answer.body))))
            boundary = re.fullmatch(r'multipart/byteranges; boundary=(\S+)', headers['content-type'])[1]
            want = ''.join('\r\n--%s\r\nContent-Type: text/plain\r\nContent-Range: bytes %d-%d/300000\r\n\r\n%s' % (boundary, a, b, big[a:b + 1])
                           for a, b in parts) + '\r\n--%s--\r\n' % boundary
            self.assertEqual(answer.body.decode(), want)
        answer = s.get('/d.txt', headers='Range: bytes=10-19,0-9\r\n')
        self.assertEqual((answer.status, answer.headers['content-range']), (206, 'bytes 0-19/300000'))
        self.assertEqual([s.get('/few/d.txt', headers='Range: bytes=%s\r\n' % r).status for r in ('0-0,2-2', '0-0,2-2,4-4')], [206, 200])

    def test_a_slow_client_gets_every_part(self):
        s = self.serve('', {'htdocs/d.txt': DIGITS * 2000})
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(('127.0.0.1', s.port))
            client.settimeout(10)
            client.sendall(b'GET /d.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=0-899999,1000000-1900000\r\n\r\n')
            time.sleep(0.3)
            data = b''
            while chunk := client.recv(65536):
                data += chunk
        head, _, body = data.partition(b'\r\n\r\n')
        self.assertEqual(int(re.search(rb'(?i)content-length: (\d+)', head)[1]), len(body))
        self.assertTrue(body.endswith(b'--\r\n'))

    def test_links_that_lead_nowhere_and_names_that_are_missing(self):
        s = self.configure('CustomLog "@DIR@/logs/access" "%>s %f"\n', {})
        os.symlink('nothing', s.path('htdocs/dangling'))
        s.start()
        self.assertEqual([s.get(p).status for p in ('/dangling', '/dangling/x', '/none/deep/x')], [403, 403, 404])
        wait_for(lambda: s.read('logs/access').count('\n') == 3, 'three lines')
        self.assertIn('404 %s\n' % s.path('htdocs/none'), s.read('logs/access'))

    def test_sections_do_not_see_double_slashes(self):
        s = self.serve('MergeSlashes Off\n<Location "/closed/a.txt">\nRequire all denied\n</Location>\n', {'htdocs/closed/a.txt': 'a'})
        self.assertEqual([s.get(p).status for p in ('/closed/a.txt', '//closed/a.txt', '/closed//a.txt')], [403, 403, 403])

    def test_fallback_for_what_is_missing_and_for_folders(self):
        s = self.serve('<Directory "@DIR@/htdocs/f">\nFallbackResource /f/front.html\n</Directory>\n', {'htdocs/f/front.html': 'front', 'htdocs/f/d/x': ''})
        self.assertEqual([s.get(p).body for p in ('/f/none', '/f/d/', '/f/')], [b'front'] * 3)

    def test_a_fallback_that_is_a_folder_sends_nobody_in_circles(self):
        s = self.serve('FallbackResource /f\n', {'htdocs/f/x': '', 'htdocs/empty/x': ''})
        self.assertEqual([s.get(path).status for path in ('/missing', '/empty/', '/f/')], [404, 403, 403])
        self.assertEqual(s.get('/f').status, 301)

    def test_types(self):
        s = self.serve('AddCharset UTF-8 .u8\nAddLanguage de .de\nAddLanguage FR .fr\nAddType Text/X-Own .own\n'
                       '<Directory "@DIR@/htdocs/rm">\nRemoveType .txt\n</Directory>\n',
                       {'htdocs/' + n: 'x' for n in ('a.html.u8', 'a.html.de.fr', 'a.own', 'rm/a.txt', 'rm/a.html.txt')})
        def seen(path, name='content-type'):
            return s.get(path).headers.get(name)
        self.assertEqual([seen('/a.html.u8'), seen('/a.html.de.fr', 'content-language'), seen('/a.own'), seen('/rm/a.txt'), seen('/rm/a.html.txt')],
                         ['text/html; charset=utf-8', 'de,fr', 'text/x-own', None, 'text/html'])


class AsIs(ServerTest):
    FILES = {'made': 'Status: 201 Made\r\nContent-Type: text/x-made\r\nX-A: b\r\nContent-Length: 999\r\n\r\nhello', 'empty': 'X-A: b\n\n',
             'away': 'Location: http://far.test/x\nContent-Type: text/plain\n\ngone', 'moved': 'Status: 301 Gone there\nLocation: /in/x.txt\n\n',
             'in': 'Location: /in/x.txt?y=z\n\n', 'nowhere': 'Location: /%zz\n\n', 'circle': 'Location: /circle.asis\n\n',
             'line': 'Content-Type: text/plain\nno field\n\nx', 'name': 'a b: c\n\nx', 'value': 'X-A: \x01\n\nx', 'code': 'Status: 20x\n\nx', 'low': 'Status: 099 x\n\nx',
             'high': 'Status: 600 x\n\nx', 'open': 'X-A: b\n', 'long': 'X-A: b\n' * 4000 + '\nx'}

    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared('AddHandler send-as-is asis\n<Location /in>\n<Limit POST>\nRequire all denied\n</Limit>\n</Location>\n',
                           dict({'htdocs/%s.asis' % name: text for name, text in cls.FILES.items()}, **{'htdocs/in/x.txt': 'inside'}))
        cls.s.start()

    def test_heads(self):
        answer = self.s.get('/made.asis')
        self.assertEqual((answer.status, answer.body, answer.headers['content-type'], answer.headers['x-a'], answer.headers['content-length']),
                         (201, b'hello', 'text/x-made', 'b', '5'))
        answer = self.s.get('/empty.asis')
        self.assertEqual((answer.status, answer.body, answer.headers['x-a'], answer.headers['content-length']), (200, b'', 'b', '0'))
        for path, method, status in (('/made.asis', 'HEAD', 201), ('/made.asis', 'POST', 201), ('/made.asis', 'DELETE', 405), ('/made.asis', 'FROB', 501), ('/none.asis', 'GET', 404)):
            self.assertEqual(self.s.get(path, method=method).status, status, (path, method))

    def test_where_they_lead(self):
        for name, status, location, body in (('away', 302, 'http://far.test/x', b'gone'), ('moved', 301, '/in/x.txt', b''), ('in', 200, None, b'inside')):
            answer = self.s.get('/%s.asis' % name)
            self.assertEqual((answer.status, answer.headers.get('location'), answer.body), (status, location, body), name)
        self.assertEqual(self.s.get('/in/x.txt', method='POST').status, 403)
        answer = self.s.get('/in.asis', method='POST', body=b'x=y')
        self.assertEqual((answer.status, answer.body), (200, b'inside'))                # fetched by GET, as in Apache
        for name in ('nowhere', 'circle'):
            self.assertGreaterEqual(self.s.get('/%s.asis' % name).status, 400, name)

    def test_heads_that_are_none(self):
        for name, told in (('line', 'BH0684'), ('name', 'BH0684'), ('value', 'BH0684'), ('code', 'BH0684'), ('low', 'BH0684'), ('high', 'BH0684'), ('open', 'BH0685'), ('long', 'BH0685')):
            self.assertEqual(self.s.get('/%s.asis' % name).status, 500, name)
            wait_for(lambda: re.search(r'%s: /%s\.asis answered with 500' % (told, name), self.s.error_log), (told, name))


class Answers(ServerTest):
    def test_an_error_document_that_leads_away_is_no_answer(self):
        s = self.serve('Redirect /away http://elsewhere.test/\nErrorDocument 404 /away\n', {})
        answer = s.get('/none')
        self.assertEqual((answer.status, answer.headers.get('location')), (404, None))

    def test_conditions_of_header_values(self):
        s = self.serve('Header set X-Empty ""\nHeader set X-Https "%{HTTPS}s"\nHeader set X-Env "%{A}e %{B}e"\nSetEnvIf Request_URI . A=if\n'
                       'SetEnv A env\nSetEnv B env\n', {'htdocs/a.txt': 'a'})
        headers = s.get('/a.txt').headers
        self.assertEqual([headers[n] for n in ('x-empty', 'x-https', 'x-env')], ['', 'off', 'if env'])

    def test_a_date_to_come_is_ignored(self):
        s = self.serve('', {'htdocs/a.txt': 'a'})
        self.assertEqual(s.get('/a.txt', headers='If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n').status, 200)

    def test_access_lines(self):
        s = self.serve('AddDefaultCharset utf-8\nHeader add X-T 1\nHeader add X-T 2\n'
                       'CustomLog "@DIR@/logs/access" "%p|%R|%{Content-Type}o|%{X-T}o|%{CRUMB}C|%{x}^ti"\n', {'htdocs/a.txt': 'a'})
        s.get('/a.txt', headers='Cookie: a=1; crumb=2\r\n', host='localhost:99')
        wait_for(lambda: s.read('logs/access').endswith('\n'), 'a line')
        self.assertEqual(s.read('logs/access'), '80|-|text/plain|1|2|-\n')

    def test_variables_are_of_the_path_that_was_asked_for(self):
        s = self.serve('<Location /d>\nSetEnvIf Request_URI index SEEN\n</Location>\nCustomLog "@DIR@/logs/access" "%U %>s %{SEEN}e"\n', {'htdocs/d/index.html': 'i'})
        s.get('/d/')
        wait_for(lambda: s.read('logs/access').count('\n') == 1, 'a line')
        s.raw('GET /a.txt HTTP/1.1\r\n\r\n')
        wait_for(lambda: s.read('logs/access').count('\n') == 2, 'two lines')
        self.assertEqual(s.read('logs/access').splitlines(), ['/d/index.html 200 -', '/a.txt 400 -'])

    def test_debugging_tells_who_answered(self):
        s = self.serve('LogLevel debug\n', {'htdocs/a.txt': 'a'})
        s.get('/a.txt')
        wait_for(lambda: re.search(r'\[core:debug\] .* GET /a\.txt is answered with 200: host localhost, file \S+/htdocs/a\.txt', s.error_log),
                 lambda: s.error_log)
        self.assertRegex(s.error_log, r'\[mpm_prefork:debug\] .* takes connections')


if __name__ == '__main__':
    unittest.main()
