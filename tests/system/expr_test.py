"""Expressions in a running server: what conditions decide, what texts come to, files and look-ups under the sandbox, faults at -t, what has
no answer fails closed."""
import os
import re
import unittest

from server import ServerTest, wait_for

CONF = '''
    CustomLog "@DIR@/logs/failed" "%U" "expr=%{REQUEST_STATUS} -ge 400 && %{REQUEST_STATUS} != 500"
    SetEnvIfExpr "%{QUERY_STRING} =~ /id=([0-9]+)/" id=$1
    Header set X-Id "expr=%{env:id}"
    Header set X-Accept yes "expr=%{HTTP_ACCEPT} =~ m#text/html#"
    Header set X-File "expr=%{file:@DIR@/word}%{filesize:@DIR@/word}"
    Header set X-Is "expr=%{:-f '@DIR@/word' && -d '@DIR@' && ! -e '@DIR@/none':}"
    Header set X-Owner "expr=%{SCRIPT_USER}"
    Header set X-Up "expr=%{:-U '/open/a.txt':}%{:-U '/closed/a.txt':}%{:-F '@DIR@/htdocs/open/a.txt':}%{:-F '@DIR@/htdocs/open/none':}%{:-U '/self':}"
    Header set X-Hash "expr=%{sha1:foo}"
    ErrorDocument 404 "nothing at %{escape:%{REQUEST_URI}}"
    <Location "/closed">
        Require all denied
    </Location>
    <Location "/asked">
        Require expr "%{req_novary:X-Key} in {'one', 'two'} && -R '127.0.0.0/8'"
    </Location>
    <Location "/endless">
        Require expr "! %{QUERY_STRING} =~ /^(a+)+$/"
    </Location>
    <Location "/away">
        Redirect "https://other.test%{REQUEST_URI}?from=%{HTTP_HOST}"
    </Location>
    <Location "/led">
        Alias "@DIR@/htdocs/open/%{tolower:A}.txt"
    </Location>
    '''
FILES = {'htdocs/%s/a.txt' % n: n for n in ('open', 'closed', 'asked', 'endless')} | {'word': 'word'}


class Expressions(ServerTest):
    """Mostly one server: starting it costs more than asking it."""

    def test_what_they_decide_and_come_to(self):
        s = self.serve(CONF, FILES)
        a = s.get('/open/a.txt?id=77', headers='Accept: text/html\r\n')
        h = a.headers
        self.assertEqual((a.status, h['x-id'], h['x-accept'], h['x-file'], h['x-is']), (200, '77', 'yes', 'word4', 'true'))
        self.assertEqual((h['x-up'], h['x-hash']), ('truefalsetruefalsetrue', '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'))
        self.assertEqual(h['x-owner'], 'root' if os.getuid() == 0 else h['x-owner'])
        self.assertRegex(h['vary'], r'(?i)\baccept\b')
        self.assertNotIn('x-accept', s.get('/open/a.txt').headers)

        self.assertEqual([s.get('/asked/a.txt', headers=f).status for f in ('', 'X-Key: one\r\n', 'X-Key: onetwo\r\n')], [403, 200, 403])
        self.assertEqual([s.get('/endless/a.txt?' + q).status for q in ('b', 'aa', 'a' * 60 + 'b')], [200, 403, 403])
        s.logged(re.escape('BH0600: the expression "! %{QUERY_STRING} =~ /^(a+)+$/" has no answer for /endless/a.txt: a regular expression met its limits'))

        a = s.get('/away/x%20y?q=1')
        self.assertEqual((a.status, a.headers['location'].split('?')[0]), (302, 'https://other.test/away/x%20y'))
        self.assertEqual((s.get('/led').body, s.get('/led/deeper').body), (b'open', b'open'))
        self.assertEqual(s.get('/no<b>ne').body, b'nothing at /no%3cb%3ene')
        lines = wait_for(lambda: len(s.read('logs/failed').splitlines()) >= 5 and s.read('logs/failed').splitlines(), 'five lines')
        self.assertEqual(sorted(lines), ['/asked/a.txt', '/asked/a.txt', '/endless/a.txt', '/endless/a.txt', '/no<b>ne'])

    def test_faults_tell_the_column(self):
        for line, words in (('Header set X "expr=%{HTTP_HSOT}"', ['column 3', 'no variable "HTTP_HSOT"']),
                            ('SetEnvIfExpr "%{HTTP_HOST} == example" x', ['column 17', 'neither quoted', 'put a text in quotes']),
                            ('CustomLog logs/x common "expr=%{REQUEST_STATUS} >"', ['column 20', 'a word is missing']),
                            ('ErrorDocument 404 "%{escape:%{REQUEST_URI}"', ['column 1', "no end '}'"])):
            s = self.configure(line + '\n', {})
            done = s.run('-t')
            said = done.stdout
            self.assertNotEqual(done.returncode, 0, line)
            for w in words:
                self.assertIn(w, said, line)


if __name__ == '__main__':
    unittest.main()
