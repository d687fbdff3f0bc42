"""Clients of HTTP/2 that mean harm: each is bounded, named in the log once, and costs nobody else anything."""
import collections
import itertools
import os
import random
import re
import socket
import struct
import time
import unittest

from h2raw import *  # noqa: F403: the vocabulary of the tables
from server import SANITIZED, ServerTest, children_of, wait_for

CONF = '''\
Protocols h2 h2c http/1.1
StartServers 1
ServerLimit 1
%s
<Location "/echo">
SetHandler test-echo
</Location>
<Location "/stream">
SetHandler test-stream
</Location>
<Location "/silent">
SetHandler test-silent
</Location>
<Location "/late">
SetHandler test-late
</Location>
<Location "/late-count">
SetHandler test-late-count
</Location>
<Location "/packed">
SetHandler test-stream
SetOutputFilter DEFLATE
</Location>
<Location "/guarded">
AuthType Basic
AuthName "slow"
AuthUserFile "@DIR@/users"
Require valid-user
</Location>
AuthFailureLimit 0
ProxyPass "/behind" "http://127.0.0.1:@PORT@" max=8
ScriptAlias "/cgi-bin/" "@DIR@/cgi-bin/"
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "@DIR@/htdocs">
Options +Includes
</Directory>
'''
FILES = {
    'users': 'bob:$2y$04$H8K1xRxR7wrwb0n6JAD7KOCXOEfSbDFVVMhbSVmiMCMHjTs4gqtpS\n',          # bcrypt: a thread works it out
    'htdocs/guarded/index.html': 'in\n',
    'htdocs/page.shtml': '<!--#include virtual="/index.html" --><!--#include virtual="/cgi-bin/slow" --><!--#include virtual="/behind/stream?n=9000" -->\n',
    'cgi-bin/slow': '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nexec head -c 100000 /dev/zero\n',
}
PLACES = ('/', '/missing', '/index.html', '/stream?n=70000', '/stream?n=300000', '/late', '/echo', '/silent', '/packed?n=100000', '/guarded/',
          '/behind/', '/behind/stream?n=90000', '/behind/echo', '/behind/missing')
KEPT = 20               # connections to itself that the child may keep for the next
DEAR = ('/cgi-bin/slow', '/page.shtml')         # each costs a process: only a few of them
GET = block(request_fields())
MOST = 48 << 10         # KiB that one attack may make the child larger
SILENT, STREAM = block(request_fields('/silent')), block(request_fields('/stream?n=100000000'))
MAX = (1 << 31) - 1
TRAILER = [('x-sum', '1')]


def odd(i):
    return 2 * i + 1


def memory(pid):
    """KiB of memory that is the process's own."""
    with open('/proc/%d/smaps_rollup' % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(('Private_Dirty:', 'Private_Clean:', 'Swap:')))


def descriptors(pid):
    return len(os.listdir('/proc/%d/fd' % pid))


def many(one, n, *args):
    return b''.join(one(i, *args) for i in range(n))


def rapid(i, path=SILENT):
    return headers(odd(i), path) + rst(odd(i))


def bomb(stream, n):
    """A field of 3000 bytes, once, and then by its index."""
    return continued(stream, GET + literal('x', 'y' * 3000, True) + indexed(62) * n, 16000)


def continued(n, fragment, size):
    parts = [fragment[at:at + size] for at in range(0, len(fragment), size)]
    return (frame(HEADERS, END_STREAM | (END_HEADERS if len(parts) == 1 else 0), n, parts[0]) +
            b''.join(frame(CONTINUATION, END_HEADERS if part is parts[-1] else 0, n, part) for part in parts[1:]))


# name, what is sent once, what is sent in a row and how often, whether the client reads, how it may end.
# 'ended': by the server, with a line in the log. 'held': it reads no more. 'taken': all of it was read, and cost nothing that stays.
# `paced`: so many at once, then the client waits until they have been read.
Attack = collections.namedtuple('Attack', 'name first one times reads ends paced', defaults=(0,))
ENDED, ANY = ('ended',), ('ended', 'held', 'taken')
ATTACKS = (
    Attack('rapid reset', b'', rapid, 20000, True, ENDED),
    Attack('rapid reset of what is answered at once', b'', lambda i: rapid(i, GET), 20000, True, ENDED),
    Attack('rapid reset of what sends without end', b'', lambda i: rapid(i, STREAM), 20000, True, ENDED),
    Attack('resets that the server is made to send', b'', lambda i: headers(odd(i), SILENT) + window(odd(i), MAX), 20000, True, ENDED, 20),
    Attack('requests that are malformed', b'', lambda i: headers(odd(i), GET + literal('X', 'y')), 20000, True, ENDED, 20),
    Attack('more streams than are allowed', b'', lambda i: headers(odd(i), SILENT, END_HEADERS), 20000, True, ENDED),
    Attack('CONTINUATION without end', frame(HEADERS, 1, 1, GET), lambda i: frame(CONTINUATION, 0, 1, literal('x', 'y' * 900)), 9000, True, ENDED),
    Attack('CONTINUATION without anything in it', frame(HEADERS, 1, 1, GET), lambda i: frame(CONTINUATION, 0, 1), 20000, True, ENDED),
    Attack('CONTINUATION of empty fields', frame(HEADERS, 1, 1, GET), lambda i: frame(CONTINUATION, 0, 1, b'\x00\x01x\x00' * 4000), 900, True, ENDED),
    Attack('SETTINGS that are not read', b'', lambda i: settings((MAX_LIST, i)), 60000, False, ('ended', 'held')),
    Attack('PING that is not read', b'', lambda i: ping(b'%08d' % i), 60000, False, ('ended', 'held')),
    Attack('SETTINGS', b'', lambda i: settings((HEADER_TABLE_SIZE, i % 2 * 4096)), 20000, True, ANY),
    Attack('SETTINGS of 2730 values', b'', lambda i: settings(*[(MAX_LIST, 1000 + i)] * 2730), 300, True, ANY),
    Attack('PING', b'', lambda i: ping(b'%08d' % i), 20000, True, ANY),
    Attack('DATA without anything in it', post(1, '/silent'), lambda i: data(1, b'', False), 20000, True, ENDED),
    Attack('DATA that is only padding', post(1, '/silent'), lambda i: frame(DATA, PADDED, 1, b'\0'), 60000, True, ANY),
    Attack('DATA of one byte', post(1, '/silent'), lambda i: data(1, b'x', False), 60000, True, ANY),
    Attack('PRIORITY of idle streams', b'', lambda i: priority(odd(i), max(odd(i) - 2, 0)), 20000, True, ANY),
    Attack('PRIORITY in a loop', post(1, '/silent') + post(3, '/silent') + post(5, '/silent'),
           lambda i: priority(1, 1 << 31 | 5) + priority(3, 1) + priority(5, 1 << 31 | 3), 60000, True, ANY),
    Attack('WINDOW_UPDATE of one byte', b'', lambda i: window(0, 1), 30000, True, ANY),
    Attack('PRIORITY_UPDATE of idle streams', b'', lambda i: priority_update(odd(i), b'u=1' + b' ' * 900), 20000, True, ANY),
    Attack('frames of no known type', b'', lambda i: frame(0xfa, 0, 0), 60000, True, ANY),
    Attack('answers that are not read', b'', lambda i: headers(odd(i), STREAM), 60000, False, ('ended', 'held', 'taken')),
    Attack('bodies that nobody reads', settings((INITIAL_WINDOW, 0)),
           lambda i: headers(odd(i), STREAM, END_HEADERS) + data(odd(i), b'x' * 15000, False) * 2, 8, True, ANY),
    Attack('windows that never open', settings((INITIAL_WINDOW, 0)), lambda i: headers(odd(i), STREAM), 20000, True, ANY),
    Attack('one byte at a time', settings((INITIAL_WINDOW, 1)) + many(lambda i: headers(odd(i), STREAM), 50),
           lambda i: window(odd(i % 50), 1), 30000, True, ANY),
    Attack('windows that swing', settings((INITIAL_WINDOW, 0)) + many(lambda i: headers(odd(i), STREAM), 50),
           lambda i: settings((INITIAL_WINDOW, 0)) + settings((INITIAL_WINDOW, 1)), 10000, True, ANY),
    Attack('HPACK bombs', b'', lambda i: bomb(odd(i), 15000), 40, True, ENDED, 2),
    Attack('tables that are filled and emptied', b'',
           lambda i: headers(odd(i), table_size(0) + table_size(4096) + block(request_fields('/', 'GET', [('x', 'y' * 3000)]), True)), 3000, True, ANY),
)


class Hostile(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF % 'Timeout 60\nKeepAliveTimeout 300\n', FILES)
        os.chmod(cls.s.path('cgi-bin/slow'), 0o755)
        cls.s.start()
        cls.worker = cls.s.role('bulkhead-child')
        for attack in ATTACKS[:3]:          # the heap has its size once it has seen some
            with Client.over(cls.s) as c:
                c.flood(attack.first + many(attack.one, 500))

    def tearDown(self):
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-2000:])

    def served(self):
        with Client.over(self.s) as c:
            self.assertEqual(bytes(c.request(1).body), b'index\n')

    def lines_about(self, c):
        address = '127.0.0.1:%d]' % self.ports[c]
        return [line for line in self.s.error_log.splitlines() if address in line and re.search('BH08[0-2][0-9]', line)]

    def run_attack(self, c, attack):
        at = 0
        while at < attack.times:
            batch = bytearray()
            while len(batch) < 65536 and at < attack.times:
                batch += attack.one(at)
                at += 1
                if attack.paced and at % attack.paced == 0:
                    batch += ping(b'%08d' % at)
                    break
            how = c.flood(bytes(batch), attack.reads)
            if how == 'taken' and attack.paced:
                c.until(lambda: c.eof or b'%08d' % at in c.pings, 'an answer')
                how = 'ended' if c.eof else how
            if how != 'taken':
                return how
        return 'taken'

    def test_attacks(self):
        self.ports = {}
        with Client.over(self.s) as other:
            for number, attack in enumerate(ATTACKS):
                with self.subTest(attack.name), Client.over(self.s, small=not attack.reads) as c:
                    self.ports[c] = c.sock.getsockname()[1]
                    before = memory(self.worker)
                    if attack.first:
                        c.send(attack.first)
                    how = self.run_attack(c, attack)
                    self.assertEqual(other.request(2 * number + 1).status, 200)
                    after = memory(self.worker)
                    if how == 'taken':
                        c.send(ping(b'still in'))
                        c.until(lambda: c.eof or b'still in' in c.pings, 'an answer')
                        how = 'ended' if c.eof else how
                    self.assertIn(how, attack.ends)
                    if not SANITIZED:
                        self.assertLess(after - before, MOST)
                    if how == 'ended':
                        wait_for(lambda: self.lines_about(c), 'a line in the log about it', 20)
                    self.assertLessEqual(len(self.lines_about(c)), 1)
                self.served()

    def test_more_than_the_limits(self):
        """What is too large is refused as in HTTP/1, and the connection goes on; or, where it is much too large, ends."""
        for what, path, fields, statuses in (
                ('too many fields', '/', [('x%d' % i, 'y') for i in range(101)], (400, 431)),
                ('a field that is too long', '/', [('x', 'y' * 9000)], (400, 431)),
                ('a name that is too long', '/', [('x' * 9000, 'y')], (400, 431)),
                ('a path that is too long', '/' + 'a' * 9000, [], (414,)),
                ('as much as is allowed', '/', [('x%d' % i, 'y' * 500) for i in range(90)], (200,)),
                ('128 KiB', '/', [('x%d' % i, 'y' * 8000) for i in range(16)], (200, 400, 431)),
                ('many cookies', '/', [('cookie', 'a=%d' % i) for i in range(3000)], (200, 400, 431))):
            with self.subTest(what), Client.over(self.s) as c:
                c.send(continued(1, block(request_fields(path, 'GET', fields)), 16384))
                c.until(lambda: c.eof or c.stream(1).over, 'an answer')
                if c.stream(1).status is None and what not in ('128 KiB', 'many cookies'):
                    self.fail('no answer; frames: ' + c.story())
                if c.stream(1).status is not None:
                    self.assertIn(c.stream(1).status, statuses)
                    self.assertEqual(c.request(3).status, 200)
                self.served()

    def test_windows_come_back(self):
        """What was sent on streams that end before it is read: the connection's window has it back, whichever way they end."""
        for what, path, first, resets in (
                ('reset', '/stream?n=1000000000', b'', True), ('answered', '/missing', b'', False), ('read by nobody', '/', b'', False),
                ('held by a handler', '/echo', settings((INITIAL_WINDOW, 0)), True)):
            with self.subTest(what), Client.over(self.s, widens=False) as c:
                c.send(first)
                c.until(lambda: c.acks, 'settings')
                sent = 0
                for i in range(40):
                    c.until(lambda: sent + 30000 <= 65535 + c.updates[0], 'the window opens; %d bytes were sent' % sent)
                    c.send(window(0, 1 << 16) + post(odd(i), path) + data(odd(i), b'x' * 15000, False) * 2)
                    sent += 30000
                    if resets:
                        c.send(rst(odd(i)))
                    else:
                        c.send(window(odd(i), 1 << 16))
                        c.response(odd(i))
                c.alive()


    # ---------------------------------------------------------------- streams that end in all ways

    STREAMS = int(os.environ.get('H2_STREAMS', '1200'))         # a soak takes a million

    RESETS = 0.1            # of the streams: fewer than the server puts up with

    def mix(self, c, rnd, first, count):
        """Streams of all kinds at random places of their lives, each ended by us, by the server, or not at all."""
        out, bodies = bytearray(), []
        for n in range(first, first + 2 * count, 2):
            kind = rnd.randrange(8)
            path = rnd.choice(DEAR if rnd.random() < 0.02 else PLACES)
            fields = [('x', 'y' * rnd.randrange(100)), ('accept-encoding', 'gzip'), ('authorization', 'Basic Ym9iOndyb25n')][:rnd.randrange(4)]
            if kind < 4:
                method = rnd.choice(('GET', 'GET', 'HEAD'))
                out += get(n, path, *fields, method=method)
                if method == 'HEAD':
                    c.heads.add(n)
            else:
                out += post(n, path, *fields)
                bodies.append(n)
            if bodies and rnd.random() < 0.6:
                m = rnd.choice(bodies)
                if rnd.random() < 0.8:
                    out += data(m, b'x' * rnd.randrange(900), False)
                else:
                    out += rnd.choice((data(m, b'the end'), headers(m, TRAILER)))
                    bodies.remove(m)
            if rnd.random() < self.RESETS:
                m = rnd.randrange(max(first, n - 40), n + 1, 2)
                out += rst(m, rnd.randrange(14))
                bodies = [b for b in bodies if b != m]
            if rnd.random() < 0.2:
                out += window(rnd.choice((0, n)), rnd.randrange(1, 5000))
            if rnd.random() < 0.02:
                out += settings((INITIAL_WINDOW, rnd.randrange(100000)))
        return bytes(out + b''.join(data(n) for n in bodies))

    def test_streams_that_end_in_all_ways(self):
        """Nothing of them stays: no handler that waits, no descriptor, no memory."""
        rnd, done, opened, before = random.Random(self.STREAMS), 0, descriptors(self.worker), 0
        while done < self.STREAMS:
            with Client.over(self.s) as c:
                for batch in range(10):
                    how = c.flood(self.mix(c, rnd, 2 * 40 * batch + 1, 40))
                    done += 40
                    if how == 'taken' and rnd.random() < 0.7:
                        c.send(ping(b'go on %02d' % batch))
                        c.until(lambda: c.eof or b'go on %02d' % batch in c.pings, 'an answer')
                    if how != 'taken' or c.eof:
                        break
                # gone without a word: what is still asked for is given up at once
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            if not before and done > self.STREAMS / 4:
                before = memory(self.worker)
        wait_for(lambda: descriptors(self.worker) <= opened + KEPT, 'all descriptors are closed', 60)
        wait_for(lambda: not children_of(self.s.role('bulkhead-spawn')), 'all programs are gone', 60)
        with Client.over(self.s) as c:
            late = itertools.count(1, 2)
            wait_for(lambda: bytes(c.request(next(late), '/late-count').body) == b'0', 'all handlers are told the end', 60)
        if not SANITIZED:
            self.assertLess(memory(self.worker) - before, 8 << 10)


class Slow(ServerTest):
    """Clients that stop half-way. All wait side by side, so that it takes no longer than the longest."""

    CASES = (
        # name, what is sent, what is sent again and again, whether the connection has to end (else the stream)
        ('half a preface', PREFACE[:10], b'', True),
        ('nothing behind the preface', PREFACE, b'', True),
        ('half a frame', START + get(1)[:5], b'', True),
        ('half a block', START + frame(HEADERS, 1, 1, GET), b'', True),
        ('a block in drops', START + frame(HEADERS, 1, 1, b'', 16000), b'\x00\x01x\x00', True),
        ('a body that never comes', START + post(1, '/echo', ('content-length', '5')), b'', False),
        ('a body in drops', START + post(1, '/echo', ('content-length', '50000')), data(1, b'x', False), False),
        ('a window that never opens', START + settings((INITIAL_WINDOW, 0)) + get(1, '/stream?n=1000'), b'', False),
    )

    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONF % 'Timeout 2\nKeepAliveTimeout 60\nRequestReadTimeout handshake=2 header=2-3,MinRate=500 body=2,MinRate=500\n' +
                           '<VirtualHost *:@PORT2@>\nKeepAliveTimeout 1\n</VirtualHost>\n' +
                           '<VirtualHost *:@PORT3@>\nTimeout 600\n</VirtualHost>\n').start()
        cls.worker = cls.s.role('bulkhead-child')

    def tearDown(self):
        self.assertEqual(self.s.workers(), [self.worker], self.s.error_log[-2000:])

    def test_slow_clients(self):
        waiting = {}
        for name, first, drops, ends in self.CASES:
            waiting[name] = (Client.over(self.s, start=first), drops, ends)
        with Client.over(self.s) as other:
            end, n = time.monotonic() + 120, 1
            while waiting and time.monotonic() < end:
                for name, (c, drops, ends) in list(waiting.items()):
                    if drops and not c.eof:
                        c.send(drops)
                    try:
                        while c.next(0.01):
                            pass
                    except Broken:              # half a preface is a request of HTTP/1
                        self.assertEqual(name, 'half a preface')
                        c.eof = True
                    if not ends and c.stream(1).over and not c.eof:
                        self.assertEqual(c.request(3).status, 200, name)        # the connection goes on
                        ends = True
                        c.eof = True
                    if c.eof:
                        with self.subTest(name):
                            self.assertTrue(ends, 'the connection ended for one stream: %s' % c.story())
                        c.sock.close()
                        del waiting[name]
                self.assertEqual(other.request(n).status, 200)
                n += 2
            for c, _, _ in waiting.values():
                c.sock.close()
            self.assertFalse(waiting)

    def test_many_windows_that_never_open(self):
        with Client.over(self.s, start=START + settings((INITIAL_WINDOW, 0)) + many(lambda i: get(odd(i), '/stream?n=9'), 50)) as c:
            for i in range(50):
                self.assertEqual(code_name(c.response(odd(i)).code), 'CANCEL')
            self.assertEqual(c.request(101, '/missing', method='HEAD').status, 404)
            address = '127.0.0.1:%d]' % c.sock.getsockname()[1]
            self.s.logged(r'(?m)^.*' + re.escape(address) + '.*BH0804')
            self.assertEqual(len([line for line in self.s.error_log.splitlines() if address in line and 'BH0804' in line]), 1)

    def test_answers_that_are_not_read(self):
        """Sockets that take no more are given up after Timeout, and hold little meanwhile."""
        before, opened, clients = memory(self.worker), descriptors(self.worker), []
        try:
            for _ in range(10):
                c = Client.over(self.s, small=True, start=PREFACE + settings((INITIAL_WINDOW, MAX)) + window(0, MAX - 65535))
                clients.append(c)
                c.send(many(lambda i: get(odd(i), '/stream?n=100000000'), 20))
            if not SANITIZED:
                self.assertLess(memory(self.worker) - before, 10 * 2048)
            with Client.over(self.s) as other:
                self.assertEqual(other.request(1).status, 200)
            wait_for(lambda: descriptors(self.worker) <= opened, 'the server gives them up', 60)
        finally:
            for c in clients:
                c.sock.close()

    def test_gone_with_a_shut_window(self):
        """A client that has ended its side can open no window any more: nobody waits for that until Timeout."""
        opened = descriptors(self.worker)
        for first, path in (settings((INITIAL_WINDOW, 0)), '/stream?n=1000'), (b'', '/stream?n=300000'):
            with self.subTest(path), Client.over(self.s, start=START + first, port=int(self.s.expand('@PORT3@')), widens=False) as c:
                c.send(get(1, path) + get(3, '/'))
                c.until(lambda: c.stream(1).status, 'a head')
                c.sock.shutdown(socket.SHUT_WR)
                c.until(lambda: c.eof, 'the connection is over', 100)
                self.assertEqual(c.stream(1).code, 8)
        wait_for(lambda: descriptors(self.worker) <= opened + KEPT, 'all descriptors are closed', 60)

    def test_idle(self):
        with Client.over(self.s, port=int(self.s.expand('@PORT2@'))) as c:
            self.assertEqual(c.request(1).status, 200)
            self.assertEqual(c.ending(), 'NO_ERROR')


if __name__ == '__main__':
    unittest.main()
