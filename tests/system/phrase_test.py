"""Pass phrases of private keys (F06): SSLPassPhraseDialog with a terminal, a program for each key, a program that answers prompts."""
import os
import pty
import re
import signal
import subprocess
import time
import unittest

from server import BIN, SANITIZED, ServerTest, certificate, children_of, needs_root, process_name, wait_for

HOST = '<VirtualHost *:@TLS@>\nServerName %s:@TLS@\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile @DIR@/%s\n</VirtualHost>\n'
SCRIPT = '#!/bin/sh\necho "$@" >>@DIR@/asked\n'


class Phrases(ServerTest):
    def encrypt(self, s, name, phrase, kind='ec', form='pkcs8'):
        """The certificate; its key is in the server's folder, encrypted."""
        cert, key = certificate(name, kind)
        out = ['pkcs8', '-topk8', '-v2', 'aes-256-cbc'] if form == 'pkcs8' else [kind, '-aes256'] + (['-traditional'] if kind == 'rsa' else [])
        subprocess.run(['openssl', *out, '-in', key, '-out', s.path(name + '.key'), '-passout', 'pass:' + phrase], check=True, capture_output=True)
        self.assertIn('Proc-Type: 4,ENCRYPTED' if form != 'pkcs8' else 'BEGIN ENCRYPTED PRIVATE KEY', s.read(name + '.key'))
        return cert

    def hosts(self, dialog, *keys):
        """A server that was not started, with a host for each of (name, phrase, kind, form)."""
        s = self.configure('%s\n' % dialog + ''.join(HOST % (k[0], certificate(k[0], k[2])[0], k[0] + '.key') for k in keys))
        for name, phrase, kind, form in keys:
            self.encrypt(s, name, phrase, kind, form)
        return s

    def two(self, dialog='SSLPassPhraseDialog exec:@DIR@/phrase', phrases=('first secret', 'second secret')):
        return self.hosts(dialog, ('one.test', phrases[0], 'rsa', 'old'), ('two.test', phrases[1], 'ec', 'pkcs8'))

    def answers(self, s, *names):
        for name in names or ('one.test', 'two.test'):
            with s.connect(tls=True, sni=name) as c:
                self.assertEqual(c.request('/', host=name).status, 200)

    def script(self, s, text):
        s.write('phrase', SCRIPT + text, 0o700)

    def by_name(self, s):
        self.script(s, 'case $1 in one.test*) echo first secret;; *) echo second secret;; esac\necho more\n')

    def on_terminal(self, s, dialogue, *args, status=0):
        """Starts it on a terminal of its own, answers; all that the terminal showed."""
        command = s.command(*args)
        pid, fd = pty.fork()
        if pid == 0:
            try:
                os.execv(BIN, command)
            finally:
                os._exit(99)
        shown, at, end = b'', 0, time.monotonic() + 60
        for question, answer in dialogue:
            while question.encode() not in shown[at:]:
                self.assertLess(time.monotonic(), end, shown)
                shown += os.read(fd, 4096)
            at = shown.index(question.encode(), at) + len(question)
            time.sleep(0.1)
            if isinstance(answer, int):
                os.kill(pid, answer)
            else:
                os.write(fd, answer.encode() + b'\n')
        try:
            while True:
                more = os.read(fd, 4096)
                if not more:
                    break
                shown += more
        except OSError:
            pass
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status, shown)
        s.pid = s.read_pid()
        return shown.decode()

    # ---------------------------------------------------------------------------------------- exec:

    def test_F06_program_is_asked_once_for_each_key(self):
        s = self.two('SSLPassPhraseDialog "exec:@DIR@/phrase word"')
        s.write('phrase', '#!/bin/sh\necho "$@" >>@DIR@/asked\ncase $2 in one.test*) echo first secret;; *) echo second secret;; esac\n', 0o700)
        s.start()
        self.answers(s)
        self.assertEqual(s.read('asked'), 'word one.test:%d RSA\nword two.test:%d ECC\n' % (s.tls_port, s.tls_port))

    def test_F06_one_phrase_for_all_keys_is_asked_for_once(self):
        s = self.two(phrases=('same', 'same'))
        self.script(s, 'echo same\n')
        s.start()
        self.answers(s)
        self.assertEqual(s.read('asked').count('\n'), 1)

    def test_F06_nothing_asks_again(self):
        s = self.two()
        self.by_name(s)
        s.start()
        asked = s.read('asked')
        os.unlink(s.path('phrase'))
        for n, how in enumerate(('graceful', 'restart'), 2):
            before = set(s.workers())
            self.assertEqual(s.run('-k', how).returncode, 0)
            s.logged('generation %d serves' % n)
            wait_for(lambda: not before & set(s.workers()), 'the old children are gone: a restart that is not graceful cuts their connections')
            self.answers(s)
        for victim in s.roles('keys'):
            os.kill(victim, signal.SIGKILL)
        self.answers(s)
        self.assertEqual(s.read('asked'), asked)
        s.logged('it is replaced')

    def test_F06_key_with_a_new_phrase_keeps_the_old_generation(self):
        s = self.two()
        self.by_name(s)
        s.start()
        self.encrypt(s, 'two.test', 'third', 'ec')
        s.run('-k', 'graceful')
        s.logged(r'two\.test\.key is encrypted, and no pass phrase that is known opens it')
        s.logged('the server goes on with the one it has')
        self.answers(s)

    def test_wrong_phrase_is_refused_by_name(self):
        s = self.two()
        self.script(s, 'case $1 in one.test*) echo first secret;; *) echo wrong;; esac\n')
        done = s.run('-k', 'start')
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r'case\.conf:\d+: the pass phrase .* does not open the private key \S*/two\.test\.key of two\.test:%d' % s.tls_port)
        self.assertNotIn('one.test.key', done.stdout)
        self.assertIsNone(s.read_pid())

    def test_program_that_cannot_be_called(self):
        s = self.two()
        for how, words in ((None, 'cannot be called'), (0o600, 'cannot be executed'), (0o722, 'can be written by others'), (0o700, r'gave no phrase for \S*one\.test\.key \(exit code 3\)')):
            if how:
                s.write('phrase', '#!/bin/sh\nexit 3\n', how)
            done = s.run('-k', 'start')
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r'case\.conf:1: the pass phrase program \S*/phrase ' + words if how != 0o700 else words)
            if how != 0o700:
                self.assertRegex(s.run('-t').stdout, r'case\.conf:1: error: the pass phrase program \S*/phrase ' + words)
        s.write('phrase', '#!/bin/sh\nkill -9 $$\n', 0o700)
        self.assertIn('was ended by signal 9', s.run('-k', 'start').stdout)

    def test_check_does_not_ask(self):
        s = self.two()
        self.by_name(s)
        done = s.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(len(re.findall(r'notice: the private key \S+\.key is encrypted and was not opened', done.stdout)), 2)
        self.assertEqual(s.read('asked'), '')

    # ---------------------------------------------------------------------------------------- |program

    def test_F06_program_that_answers_prompts(self):
        s = self.two('SSLPassPhraseDialog "|@DIR@/phrase word"')
        s.write('phrase', '''#!/usr/bin/python3
import os, sys
log = open('@DIR@/asked', 'w')
seen = b''
for answer in ('wrong', 'first secret', 'second secret'):
    while not seen.endswith(b'Enter pass phrase:'):
        seen += os.read(0, 1)
    log.write(seen.decode())
    log.flush()
    seen = b''
    sys.stdout.write(answer + chr(10))
    sys.stdout.flush()
log.write(sys.stdin.read() + 'arguments ' + ' '.join(sys.argv[1:]))
''', 0o700)
        s.start()
        self.answers(s)
        wait_for(lambda: 'arguments word' in s.read('asked'), 'it ended')
        self.assertRegex(s.read('asked'), r'Pass Phrase Dialog(?s:.)*Private key one\.test:%d:RSA \(\S+one\.test\.key\)\nEnter pass phrase:'
                         r'(?s:.)*Error: (?s:.)*2 more tries\)\nEnter pass phrase:\n\nPrivate key two\.test:%d:ECC(?s:.)*OK: ' % (s.tls_port, s.tls_port))

    def test_program_that_goes_away(self):
        s = self.two('SSLPassPhraseDialog |@DIR@/phrase')
        s.write('phrase', '#!/bin/sh\nexit 0\n', 0o700)
        done = s.run('-k', 'start')
        self.assertEqual(done.returncode, 1)
        self.assertIn('does not open the private key', done.stdout)

    # ---------------------------------------------------------------------------------------- builtin

    def test_F06_terminal(self):
        s = self.two('', phrases=('same', 'same'))
        shown = self.on_terminal(s, [('Enter pass phrase:', 'wr0ng'), ('2 more tries)', ''), ('1 more try)', 'same')], '-k', 'start')
        self.assertRegex(shown, r'Private key one\.test:%d:RSA \(\S+/one\.test\.key\)' % s.tls_port)
        self.assertEqual(shown.count('Private key '), 1, 'one phrase for both')
        self.assertIn('Pass Phrase Dialog successful', shown)
        self.assertNotIn('wr0ng', shown)
        self.assertNotIn('same', shown)
        self.answers(s)
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        s.logged('generation 2 serves')
        self.answers(s)

    def test_terminal_three_times_wrong(self):
        s = self.two('SSLPassPhraseDialog builtin')
        shown = self.on_terminal(s, [('Enter pass phrase:', 'a'), ('2 more tries)', 'b'), ('1 more try)', 'c')], '-k', 'start', status=1)
        self.assertRegex(shown, r'the pass phrase that was typed does not open the private key \S+/one\.test\.key')
        self.assertIsNone(s.read_pid())

    def test_interrupt_ends_the_question(self):
        s = self.two('SSLPassPhraseDialog builtin')
        self.on_terminal(s, [('Enter pass phrase:', signal.SIGINT)], '-k', 'start', status=-signal.SIGINT)

    def test_no_terminal(self):
        s = self.two('')
        done = subprocess.run(s.command('-k', 'start'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r'case\.conf:\d+: the private key \S+/one\.test\.key of one\.test:\d+ is encrypted, and there is no terminal .*SSLPassPhraseDialog exec:')

    # ---------------------------------------------------------------------------------------- where phrases are not

    def test_one_process(self):
        s = self.two()
        self.by_name(s)
        s.start_foreground('-X', wait=s.tls_port)
        self.answers(s)

    @needs_root
    @unittest.skipIf(SANITIZED, 'sanitizers keep copies of freed memory')
    def test_phrase_is_in_no_other_process(self):
        phrase = 'planted-%d-phrase-Xe88' % os.getpid()
        s = self.two(phrases=(phrase, phrase))
        s.write('secret', phrase + '\n', 0o600)
        self.script(s, 'exec cat @DIR@/secret\n')
        s.start()
        self.answers(s)
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        s.logged('generation 2 serves')
        for victim in s.roles('keys'):          # the former generation's may still be among them: those are not replaced
            os.kill(victim, signal.SIGKILL)
        s.logged('it is replaced')
        self.answers(s)
        self.assertGreater(len(places(s.pid, phrase.encode())), 0, 'the search finds the one in the master')
        for pid, flags in places(s.pid, phrase.encode()):
            self.assertIn(' dd', flags, 'in a core of the master')
            self.assertIn(' dc', flags, 'forked')
        # A keyholder has it while it opens its keys; answers() may have come from the other one.
        for pid in children_of(s.pid):
            wait_for(lambda: places(pid, phrase.encode()) == [], lambda: '%s has let go of it' % process_name(pid))
        for pid in [s.pid] + children_of(s.pid):
            for name in ('environ', 'cmdline'):
                with open('/proc/%d/%s' % (pid, name), 'rb') as f:
                    self.assertNotIn(phrase.encode(), f.read())
        self.assertNotIn(phrase, s.error_log)
        os.kill(s.workers()[0], signal.SIGSEGV)
        s.logged('BH012')
        for folder, _, names in os.walk(s.path('crash')):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as f:
                    self.assertNotIn(phrase.encode(), f.read())


def places(pid, word):
    """(pid, VmFlags) of each mapping of a process that holds the word."""
    found = []
    with open('/proc/%d/smaps' % pid) as f:
        maps = re.findall(r'^([0-9a-f]+)-([0-9a-f]+) (\S+)((?:.*\n)*?)VmFlags:(.*)$', f.read(), re.M)
    with open('/proc/%d/mem' % pid, 'rb', 0) as f:
        for start, end, rights, _, flags in maps:
            if 'r' not in rights:
                continue
            at, tail = int(start, 16), b''
            try:
                f.seek(at)
                while at < int(end, 16):
                    data = f.read(min(1 << 20, int(end, 16) - at))
                    if not data:
                        break
                    if word in tail + data:
                        found.append((pid, flags))
                        break
                    tail = data[-len(word):]
                    at += len(data)
            except (OSError, OverflowError, ValueError):
                continue
    return found


if __name__ == '__main__':
    unittest.main()
