"""Users and passwords as a whole server has them: slow hashes beside other connections, what is remembered, limits, Digest with
curl over several children, and lines that fail2ban finds."""
import base64
import concurrent.futures
import ctypes
import ctypes.util
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from server import SANITIZED, ServerTest, needs_root, wait_for

BASIC = 'AuthType Basic\nAuthName "the realm"\nAuthUserFile "@DIR@/users"\nAuthGroupFile "@DIR@/groups"\n'
DIGEST = 'AuthType Digest\nAuthName "the realm"\nAuthUserFile "@DIR@/digest"\n'
ONE_CHILD = 'StartServers 1\nServerLimit 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 64\nConnectionsPerChild 64\nMaxKeepAliveRequests 0\n'
SLOW = '$6$rounds=%d$saltsalt'


def crypt(password, salt):
    """By libcrypt, as htpasswd does it."""
    library = ctypes.CDLL(ctypes.util.find_library('crypt'))
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), salt.encode()).decode()


def sha1(password):
    return '{SHA}' + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def login(user, password):
    return 'Authorization: Basic %s\r\n' % base64.b64encode(('%s:%s' % (user, password)).encode()).decode()


def timed(call, *args, **kw):
    began = time.monotonic()
    value = call(*args, **kw)
    return value, time.monotonic() - began


class Files(ServerTest):
    def test_basic_logins_with_a_file_of_digest(self):
        entry = lambda user, realm, password: '%s:%s:%s\n' % (user, realm, hashlib.md5(('%s:%s:%s' % (user, realm, password)).encode()).hexdigest())
        s = self.serve('<Location />\n%sAuthBasicUseDigestAlgorithm MD5\nRequire valid-user\n</Location>\n' % DIGEST.replace('Type Digest', 'Type Basic'),
                       {'htdocs/x': 'in', 'digest': entry('ann', 'the realm', 'secret') + entry('bob', 'another', 'secret') + 'joe:the realm:short\n'})
        for user, password, status in (('ann', 'secret', 200), ('ann', 'Secret', 401), ('bob', 'secret', 401), ('joe', 'secret', 401), ('ann', '', 401)):
            self.assertEqual(s.get('/x', headers=login(user, password)).status, status, (user, password))

    def test_who_is_known_is_so_only_where_the_same_file_counts(self):
        """A page with includes asks for what other sections protect: by the same file, by another, by none."""
        lines = ''.join('<Location /%s>\nAuthType Basic\nAuthName r\nAuthUserFile "@DIR@/%s"\nRequire valid-user\n</Location>\n' % row
                        for row in (('page', 'users'), ('same', 'users'), ('other', 'others')))
        s = self.serve('<Directory "@DIR@/htdocs">\nOptions +Includes\n</Directory>\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n' + lines,
                       {'htdocs/page/p.shtml': '<!--#config errmsg="-" --><!--#include virtual="/same/x" -->|<!--#include virtual="/other/x" -->|<!--#include virtual="/open" -->',
                        'htdocs/same/x': 'same', 'htdocs/other/x': 'other', 'htdocs/open': 'open', 'users': 'ann:%s\n' % sha1('secret'), 'others': 'bob:%s\n' % sha1('secret')})
        self.assertEqual(s.get('/page/p.shtml', headers=login('ann', 'secret')).body, b'same|-|open')
        self.assertEqual(s.get('/page/p.shtml', headers=login('bob', 'secret')).status, 401)


class Slow(ServerTest):
    """A hash that takes a third of a second and more, in one child."""

    @classmethod
    def setUpClass(cls):
        rounds = 50000
        _, took = timed(crypt, 'p', SLOW % rounds)
        cls.rounds = min(int(rounds * 0.3 / took), 5000000)
        cls.hash = crypt('secret', SLOW % cls.rounds)

    def door(self, more='', users=None):
        users = users or 'ann:%s\nbob:%s\n' % (self.hash, self.hash)
        return self.serve('%s%s<Location "/door">\n%sRequire valid-user\n</Location>\n' % (ONE_CHILD, more, BASIC),
                          {'htdocs/door/x': 'in', 'users': users, 'groups': ''})

    def test_others_are_served_meanwhile(self):
        s = self.door()
        with s.connect() as slow, s.connect() as quick:
            quick.request('/index.html')
            slow.send('GET /door/x HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % login('ann', 'secret'))
            answered = 0
            slow.sock.settimeout(0)
            while True:
                try:
                    slow.more()
                    break
                except BlockingIOError:
                    self.assertEqual(quick.request('/index.html').status, 200)
                    answered += 1
            slow.sock.settimeout(10)
            self.assertEqual(slow.response().status, 200)
        self.assertGreater(answered, 20)

    def test_a_good_one_is_remembered_and_a_changed_file_counts(self):
        s = self.door()
        first, slow = timed(s.get, '/door/x', headers=login('ann', 'secret'))
        again, quick = timed(s.get, '/door/x', headers=login('ann', 'secret'))
        self.assertEqual([first.status, again.status], [200, 200])
        self.assertLess(quick, slow / 3)
        wrong, took = timed(s.get, '/door/x', headers=login('ann', 'wrong'))
        self.assertEqual(wrong.status, 401)
        nobody, as_long = timed(s.get, '/door/x', headers=login('nobody', 'secret'))
        self.assertEqual(nobody.status, 401)
        self.assertGreater(min(took, as_long), slow / 3)        # neither tells by its time whether the name exists
        s.write('users', 'ann:%s\n' % sha1('other'))
        self.assertEqual([s.get('/door/x', headers=login('ann', p)).status for p in ('secret', 'other')], [401, 200])
        s.write('users', 'bob:%s\n' % sha1('other'))
        self.assertEqual(s.get('/door/x', headers=login('ann', 'other')).status, 401)

    def test_a_look_up_waits_too(self):
        """The index of a folder wants a user of its own: what is found out for the look-up is not asked for again."""
        s = self.serve('%s<Files "index.html">\n%sRequire valid-user\n</Files>\n' % (ONE_CHILD, BASIC),
                       {'htdocs/f/index.html': 'index', 'users': 'ann:%s\n' % self.hash, 'groups': ''})
        found = [s.get('/f/', headers=h) for h in ('', login('ann', 'secret'), login('ann', 'wrong'))]
        self.assertEqual([a.status for a in found], [401, 200, 401])
        self.assertEqual(found[1].body, b'index')

    def test_nothing_is_remembered_where_that_is_off(self):
        s = self.door('AuthPasswordCache 0\n')
        times = [timed(s.get, '/door/x', headers=login('ann', 'secret')) for _ in range(2)]
        self.assertEqual([a.status for a, _ in times], [200, 200])
        self.assertGreater(times[1][1], times[0][1] / 3)

    def test_too_many_at_once(self):
        s = self.door('AuthPasswordQueue 1\n')
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: s.get('/door/x', headers=login('ann' if n % 2 else 'bob', 'secret')), range(8)))
        self.assertEqual({a.status for a in answers}, {200, 503})
        self.assertGreaterEqual([a.status for a in answers].count(200), 3)
        s.logged('BH0635.*AuthPasswordQueue')

    def test_who_goes_away_is_forgotten(self):
        """Clients that leave while their hash is computed, and a stop in the middle of one."""
        s = self.door()
        child = s.workers()
        for _ in range(3):
            with s.connect() as c:
                c.send('GET /door/x HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % login('ann', 'secret'))
                time.sleep(0.05)
        self.assertEqual(s.get('/door/x', headers=login('bob', 'secret')).status, 200)
        self.assertEqual(s.workers(), child)
        c = s.connect()
        self.addCleanup(c.sock.close)
        c.send('GET /door/x HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % login('ann', 'wrong'))
        time.sleep(0.1)
        _, took = timed(s.stop)
        self.assertLess(took, 5)
        self.assertNotRegex(s.error_log, 'exit signal|BH0125')

    def test_a_hash_longer_than_the_timeout(self):
        s = self.door('Timeout 1\n', 'ann:%s\n' % (SLOW % min(self.rounds * 12, 10000000) + '$' + 'x' * 86))
        answer, took = timed(s.get, '/door/x', headers=login('ann', 'secret'))
        self.assertEqual(answer.status, 503)
        self.assertLess(took, 3)
        s.logged('BH0635.*Timeout')

    @unittest.skipIf(SANITIZED, 'this build has no seccomp')
    def test_the_threads_are_in_the_sandbox(self):
        s = self.door()
        tasks = ['/proc/%d/task/%s' % (pid, t) for pid in s.workers() for t in os.listdir('/proc/%d/task' % pid)]
        self.assertGreater(len(tasks), 1)
        for task in tasks:
            with open(task + '/status') as f:
                status = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
            self.assertEqual((status['Seccomp'], status['NoNewPrivs'], int(status['CapEff'], 16)), ('2', '1', 0))
            if not task.endswith('/%s' % task.split('/')[2]):
                self.assertTrue(int(status['SigBlk'], 16) & 1 << 14, 'SIGTERM is not blocked in a thread')


    @needs_root
    @unittest.skipIf(SANITIZED, 'the sanitizers take the signal')
    def test_a_fault_in_a_thread_is_reported(self):
        s = self.door()
        child = s.workers()[0]
        thread = [int(t) for t in os.listdir('/proc/%d/task' % child) if int(t) != child][0]
        self.assertEqual(ctypes.CDLL(None).tgkill(child, thread, signal.SIGSEGV), 0)
        s.logged(r'child pid %d exit signal Segmentation fault' % child)
        s.logged(r'BH012[56]')
        wait_for(lambda: s.workers() and s.workers() != [child], 'another child serves')
        self.assertEqual(s.get('/door/x', headers=login('ann', 'secret')).status, 200)


class Limits(ServerTest):
    def test_addresses_that_fail_too_often(self):
        s = self.serve('%sAuthFailureLimit 3\n<Location "/door">\n%sRequire valid-user\n</Location>\n' % (ONE_CHILD, BASIC),
                       {'htdocs/door/x': 'in', 'users': 'ann:%s\nbob:%s\n' % (sha1('secret'), sha1('other')), 'groups': ''})
        def status(*who):
            return s.get('/door/x', headers=login(*who)).status
        self.assertEqual(status('ann', 'secret'), 200)
        self.assertEqual([status('ann', 'wrong'), status('eve', 'x'), status('ann', 'wrong')], [401] * 3)
        answer = s.get('/door/x', headers=login('bob', 'other'))
        self.assertEqual(answer.status, 429)
        self.assertTrue(0 < int(answer.headers['retry-after']) <= 61)
        self.assertEqual(status('ann', 'secret'), 200)          # known to be good: others behind the same address go on
        self.assertEqual([status('ann', 'wrong'), s.get('/door/x').status, s.get('/').status], [429, 401, 200])
        s.logged('BH0632.*AuthFailureLimit')

    def test_documents_and_fakes(self):
        s = self.serve('ErrorDocument 401 /sorry.txt\n<Location "/door">\n%sRequire valid-user\nAuthBasicFake "%%{REMOTE_USER}-here" shown\n'
                       'SetHandler test-echo\nHeader set X-Seen "expr=%%{req:Authorization}"\n</Location>\n' % BASIC,
                       {'htdocs/sorry.txt': 'sorry\n', 'users': 'ann:%s\n' % sha1('secret'), 'groups': ''})
        asked = s.get('/door/x')
        self.assertEqual((asked.status, asked.body, asked.headers['www-authenticate']), (401, b'sorry\n', 'Basic realm="the realm"'))
        seen = s.get('/door/x', headers=login('ann', 'secret')).headers['x-seen']
        self.assertEqual(seen, 'Basic ' + base64.b64encode(b'ann-here:shown').decode())

    def test_providers_of_one_s_own(self):
        s = self.serve('<AuthnProviderAlias file staff>\nAuthUserFile "@DIR@/staff"\n</AuthnProviderAlias>\n<Location "/door">\n'
                       '%sAuthBasicProvider staff file anon\nAnonymous guest\nRequire valid-user\n</Location>\n' % BASIC,
                       {'htdocs/door/x': 'in', 'users': 'ann:%s\nbob:%s\n' % (sha1('a'), sha1('b')), 'staff': 'bob:%s\n' % sha1('c'), 'groups': ''})
        found = [s.get('/door/x', headers=login(*who)).status for who in (('ann', 'a'), ('bob', 'b'), ('bob', 'c'), ('guest', 'me'), ('guest', ''), ('eve', 'x'))]
        self.assertEqual(found, [200, 401, 200, 200, 401, 401])

    @needs_root
    def test_owners_of_files(self):
        door = BASIC + 'Require file-%s\n'
        s = self.serve('<Location "/owner">\n%s</Location>\n<Location "/group">\n%s</Location>\n' % (door % 'owner', door % 'group'),
                       {'htdocs/owner/x': 'x', 'htdocs/group/x': 'x', 'users': ''.join('%s:%s\n' % (u, sha1('p')) for u in ('root', 'daemon', 'ann')), 'groups': 'root: ann\n'})
        def statuses(path):
            return [s.get(path, headers=login(u, 'p')).status for u in ('root', 'daemon', 'ann')]
        self.assertEqual([statuses('/owner/x'), statuses('/group/x'), statuses('/owner/none')], [[200, 401, 401], [401, 401, 200], [401] * 3])
        os.chown(s.path('htdocs/owner/x'), 1, 1)
        self.assertEqual(statuses('/owner/x'), [401, 200, 401])

    @needs_root
    def test_files_that_children_cannot_read_are_told_at_the_start(self):
        s = self.configure('<Location "/a">\n%sRequire valid-user\n</Location>\n<Directory "@DIR@/htdocs">\n<Files "x">\nAuthUserFile "@DIR@/shut/x"\n</Files>\n</Directory>\n' % BASIC,
                           {'users': 'ann:x\n', 'shut/x': ''})
        os.chmod(s.path('users'), 0o600)
        os.chmod(s.path('shut'), 0o700)
        said = s.run('-t').stdout
        self.assertRegex(said, r'warning: AuthUserFile \S+/users cannot be read by the user \S+: Permission denied')
        self.assertRegex(said, r'AuthGroupFile \S+/groups cannot be read by the user \S+: No such file')
        self.assertRegex(said, r'AuthUserFile \S+/shut/x cannot be read by the user \S+: Permission denied: \S+/shut\b')
        self.assertIn('Syntax OK', said)

    def test_what_is_missing_is_said(self):
        s = self.serve('<Location "/a">\n%sAuthUserFile "@DIR@/nowhere"\nRequire valid-user\n</Location>\n'
                       '<Location "/b">\nAuthType Basic\nAuthUserFile "@DIR@/users"\nRequire valid-user\n</Location>\n'
                       '<Location "/c">\nRequire user ann\n</Location>\n<Location "/d">\nAuthType Basic\nAuthName x\nAuthUserFile "@DIR@"\nRequire valid-user\n</Location>\n' % BASIC,
                       {'users': 'ann:plain\n', 'groups': ''})
        self.assertEqual([s.get('/' + p, headers=login('ann', 'plain')).status for p in 'abcd'], [500] * 4)
        s.logged(r'No such file or directory: .*BH0641: .*/nowhere')
        s.logged('BH0634: need AuthName: /b')
        s.logged('BH0634: /c .*AuthType')


class Digest(ServerTest):
    @staticmethod
    def user(name, password):
        return '%s:the realm:%s\n' % (name, hashlib.md5(('%s:the realm:%s' % (name, password)).encode()).hexdigest())

    def door(self, more=''):
        return self.serve('StartServers 3\nMinSpareServers 3\nConnectionsPerChild 2\nLogLevel debug\n<Location "/door">\n%s%s\nRequire valid-user\n</Location>\n' % (DIGEST, more),
                          {'htdocs/door/x': 'in', 'digest': self.user('ann', 'secret') + self.user('bob:x'[:3], 'word')})

    def curl(self, s, *args):
        done = subprocess.run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code} ', '--digest', *args], capture_output=True, text=True, timeout=30)
        return done.stdout.split()

    def test_curl_over_several_children(self):
        s = self.door()
        url = 'http://127.0.0.1:%d/door/x?q=1' % s.port
        for _ in range(6):
            self.assertEqual(self.curl(s, '-u', 'ann:secret', '-H', 'Connection: close', url), ['200'])
        self.assertEqual(self.curl(s, '-u', 'ann:wrong', url), ['401'])
        self.assertEqual(self.curl(s, '-u', 'eve:secret', url), ['401'])
        self.assertNotIn('secret', s.error_log)

    def answer(self, headers, nc='00000001', uri='/door/x', password='secret'):
        c = dict(re.findall(r'(\w+)="([^"]*)"', headers['www-authenticate']))
        def md5(*parts):
            return hashlib.md5(':'.join(parts).encode()).hexdigest()
        reply = md5(md5('ann', 'the realm', password), c['nonce'], nc, 'c0', 'auth', md5('GET', uri))
        return ('Authorization: Digest username="ann", realm="the realm", nonce="%s", uri="%s", response="%s", opaque="%s", qop=auth, nc=%s, cnonce="c0"\r\n'
                % (c['nonce'], uri, reply, c['opaque'], nc))

    def test_answers_are_good_once_where_that_is_asked_for(self):
        s = self.door('AuthDigestNcCheck On')
        challenge = s.get('/door/x').headers
        first = s.get('/door/x', headers=self.answer(challenge))
        self.assertEqual(first.status, 200)
        self.assertRegex(first.headers['authentication-info'], 'rspauth="[0-9a-f]{32}"')
        for _ in range(4):                                      # whichever child is asked
            again = s.get('/door/x', headers=self.answer(challenge))
            self.assertEqual((again.status, 'stale=true' in again.headers['www-authenticate']), (401, True))
        self.assertEqual(s.get('/door/x', headers=self.answer(challenge, nc='00000002')).status, 200)
        once = self.door('AuthDigestNonceLifetime 0')
        challenge = once.get('/door/x').headers
        self.assertEqual([once.get('/door/x', headers=self.answer(challenge, nc=n)).status for n in ('00000001', '00000001', '00000002')], [200, 401, 401])

    def test_nonces_live_through_a_restart(self):
        s = self.door()
        challenge, children = s.get('/door/x').headers, s.workers()
        s.run('-k', 'graceful')
        wait_for(lambda: not set(children) & set(s.workers()) and s.workers(), 'there are new children')
        self.assertEqual(s.get('/door/x', headers=self.answer(challenge)).status, 200)


@unittest.skipUnless(shutil.which('fail2ban-regex'), 'needs fail2ban')
class FailToBan(ServerTest):
    FILTER = '/etc/fail2ban/filter.d/apache-auth.conf'

    def test_its_own_filter_finds_our_lines(self):
        s = self.serve('%sLogLevel debug\n<Location "/door">\n%sRequire user ann\n</Location>\n<Location "/digest">\n%sRequire valid-user\n</Location>\n'
                       '<Location "/shut">\nRequire all denied\n</Location>\n<Location "/old">\nDeny from all\n</Location>\n' % (ONE_CHILD, BASIC, DIGEST),
                       {'htdocs/door/x': 'in', 'users': 'ann:%s\nbob:%s\n' % (sha1('secret'), sha1('b')), 'groups': '', 'digest': Digest.user('ann', 'secret')})
        def matched():
            done = subprocess.run(['fail2ban-regex', '-o', 'row', s.path('logs/error_log'), self.FILTER], capture_output=True, text=True, timeout=60)
            return re.findall(r"^\['([^']*)'.*?\{(.*)\}", done.stdout, re.M)
        hostile = 'x" not found\n[a] [error] [client 203.0.113.9] user root not found'
        self.assertEqual(s.get('/door/x', headers=login('ann', 'secret')).status, 200)
        self.assertEqual(s.get('/door/x').status, 401)          # nobody failed so far
        s.get('/index.html')
        self.assertEqual(matched(), [])
        for path, headers in (('/door/x', login('ann', 'mistaken')), ('/door/x', login('eve', 'x')), ('/door/x', login('bob', 'b')), ('/door/x', login(hostile, 'x')),
                              ('/door/x', 'Authorization: Bearer x\r\n'), ('/shut', ''), ('/old', ''), ('/digest', login('ann', 'secret'))):
            self.assertIn(s.get(path, headers=headers).status, (401, 403))
        for user in ('ann:mistaken', 'eve:x'):
            subprocess.run(['curl', '-s', '-o', '/dev/null', '--digest', '-u', user, 'http://127.0.0.1:%d/digest' % s.port], check=True, timeout=30)
        found = matched()
        self.assertEqual([ip for ip, _ in found], ['127.0.0.1'] * 10, s.error_log)
        for user in ('ann', 'eve', 'bob'):
            self.assertTrue(any(re.search("'user': '%s:?'" % user, more) for _, more in found), (user, found))
        self.assertNotIn('mistaken', s.error_log)
        self.assertNotIn('secret', s.error_log)


if __name__ == '__main__':
    unittest.main()
