"""faults_test.py - what runs out or goes wrong around the server: memory of a child, descriptors, processes, the time of day, disks,
names, limits. Calls are made to fail by tests/fault/preload/faults.c. docs/limits.md has the table of what must happen then.
"""
import errno
import mmap
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from server import BIN, SANITIZED, Server, ServerTest, alive, children_of, context, needs_root, process_name, status_of, wait_for, SSL_ON

PRELOAD = os.path.join(os.path.dirname(BIN), 'fault/preload.so')
NAMES = ('pid', 'spared', 'failing', 'seen', 'failed', 'wall', 'accepts', 'accept_error', 'forks')
ONE = 'StartServers 1\nServerLimit 1\nMaxSpareServers 1\n'
TWO = 'StartServers 2\nServerLimit 2\nMaxSpareServers 2\n'
DEEP = os.environ.get('FAULTS_DEEP')    # every single allocation, instead of one in some


class Control:
    """The numbers of the preloaded library, as attributes."""

    def __init__(self, path):
        with open(path, 'wb') as f:
            f.write(bytes(8 * len(NAMES)))
        os.chmod(path, 0o666)
        with open(path, 'r+b') as f:
            self.__dict__['memory'] = mmap.mmap(f.fileno(), 0)

    def __getattr__(self, name):
        return struct.unpack_from('q', self.memory, 8 * NAMES.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into('q', self.memory, 8 * NAMES.index(name), value)

    def clear(self):
        self.memory[:] = bytes(len(self.memory))


@unittest.skipIf(SANITIZED, 'the sanitizers have their own malloc')
class Faulty(ServerTest):
    def faulty(self, *args, **kw):
        """A server with the library, and its numbers."""
        s = self.configure(*args, **kw)
        return s, self.begin(s)

    @staticmethod
    def begin(s):
        control = Control(s.path('faults'))
        s.start(env={'LD_PRELOAD': PRELOAD, 'FAULTS_CONTROL': s.path('faults')})
        return control


class Memory(Faulty):
    """One allocation after the other fails in a child, alone or with all that follow: what it was for is given up, nothing else."""
    CONF = ONE + '''\
        KeepAliveTimeout 120
        MaxKeepAliveRequests 0
        ProxyPass "/p/" "http://127.0.0.1:@PORT@/"
        <VirtualHost 127.0.0.1:@TLS@>
        ServerName localhost
        Protocols h2 http/1.1
        SSLEngine on
        SSLCertificateFile "@cert@"
        SSLCertificateKeyFile "@key@"
        </VirtualHost>
        <Directory "@DIR@/htdocs">
        Options +Indexes +Includes +ExecCGI
        AllowOverride All
        AddHandler cgi-script .cgi
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
        AddOutputFilter DEFLATE .txt
        </Directory>
    '''
    FILES = {'htdocs/a.txt': 'a' * 3000, 'htdocs/s.shtml': '<!--#include virtual="/a.txt" --><!--#echo var="DATE_LOCAL" -->',
             'htdocs/d/x': '1', 'htdocs/d/.htaccess': 'Header set X-A b\n'}

    @classmethod
    def setUpClass(cls):
        cls.server = s = cls.shared(cls.CONF, cls.FILES)
        s.write('htdocs/c.cgi', '#!/bin/sh\necho Content-Type: text/plain\necho\necho hello\n', 0o755)
        cls.faults = cls.begin(s)

    def plain(self, path, **kw):
        with self.server.connect(timeout=60) as c:
            return c.request(path, close=True, **kw).status

    def secure(self):
        with self.server.connect(tls=True, timeout=60) as c:
            return c.request('/a.txt', close=True).status

    def curl(self, path):
        done = subprocess.run(['curl', '-sk', '--http2', '-m', '60', '-o', self.server.path('got'), '-w', '%{http_code}',
                               'https://127.0.0.1:%d%s' % (self.server.tls_port, path)], capture_output=True, text=True)
        if done.returncode == 28:
            raise TimeoutError
        return int(done.stdout) if done.returncode == 0 else 0

    def one(self, child, request, spared, failing):
        """The status, or 0 for none. And how many allocations failed."""
        f = self.faults
        f.failing, f.pid, f.failed, f.spared = 0, child, 0, spared
        f.failing = failing
        try:
            status = request()
        except (EOFError, OSError) as e:
            self.assertNotIsInstance(e, TimeoutError, 'no answer where allocation %d fails' % spared)
            status = 0
        f.failing = 0
        return status, f.failed

    def sweep(self, request, step=1, also=frozenset()):
        s, seen, child = self.server, set(), self.server.workers()
        self.assertEqual(len(child), 1)
        with s.connect(timeout=60) as held:
            self.assertEqual(held.request('/a.txt').status, 200)
            self.assertEqual([request(), request()], [200, 200])
            spared, calm = 0, 0
            while calm < 3:
                status, failed = self.one(child[0], request, spared, 1 if spared // step % 2 else 1000000)
                seen.add(status)
                calm = 0 if failed else calm + 1
                self.assertEqual(s.workers(), child, 'allocation %d fails: the child dies' % spared)
                self.assertEqual(held.request('/a.txt').status, 200, 'allocation %d fails: another connection ends' % spared)
                self.assertLess(spared, 1000)
                spared += 1 if DEEP else step
            self.assertEqual(request(), 200)
            self.assertEqual(held.request('/a.txt').status, 200)
        self.assertEqual(seen - {0, 200, 500, 503} - also, set())
        self.assertIn(0, seen)
        self.assertNotIn('crashed by', s.error_log)

    def test_files(self):
        self.sweep(lambda: self.plain('/a.txt', headers='Accept-Encoding: gzip\r\n'))

    def test_folders_and_their_files(self):
        self.sweep(lambda: self.plain('/d/'))

    def test_pages_with_includes(self):
        self.sweep(lambda: self.plain('/s.shtml'))

    def test_programs(self):
        self.sweep(lambda: self.plain('/c.cgi', method='POST', body=b'x' * 5000))

    def test_proxied(self):
        self.sweep(lambda: self.plain('/p/a.txt'), also={502})

    def test_tls(self):
        """GnuTLS gives up a handshake. GMP, of which it makes keys, would end the process, and has a reserve (base/reserve.h)."""
        self.sweep(self.secure, 3)

    def test_http2(self):
        self.sweep(lambda: self.curl('/a.txt'), 7)

    def test_programs_by_http2(self):
        self.sweep(lambda: self.curl('/c.cgi'), 11)


class Processes(Faulty):
    def test_no_child_can_be_forked(self):
        """EAGAIN of fork, as of a full pids.max: who is there serves on, the message names the limits, and it is tried again."""
        s, f = self.faulty(TWO)
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        with s.connect() as a:
            self.assertEqual(a.request().status, 200)
            mine = a.request('/').status
            f.forks = 2
            victim = children[0]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: not alive(victim), 'it is dead')
            s.logged('BH0121: no further child can be forked, next try in 1 s.*pids.max')
            self.assertEqual(s.get().status, 200)
            wait_for(lambda: len(s.workers()) == 2, 'a child is forked again', 30)
            self.assertEqual([mine, f.forks], [200, 0])
        self.assertEqual(s.get().status, 200)
        self.assertLessEqual(s.error_log.count('BH0121'), 2)

    def test_no_process_at_all_for_a_restart(self):
        """A restart that gets no process leaves what serves as it is."""
        s, f = self.faulty(TWO)
        children = wait_for(lambda: len(s.workers()) == 2 and s.workers(), 'two children')
        f.forks = 1000
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0154: the configuration is refused: the server goes on')
        self.assertRegex(s.error_log, 'BH0153: .*cannot be forked: Resource temporarily unavailable')
        f.forks = 0
        self.assertEqual(s.workers(), children)
        self.assertEqual(s.get().status, 200)
        os.kill(s.pid, signal.SIGUSR1)
        s.logged('BH0102')
        self.assertEqual(s.get().status, 200)


class Descriptors(Faulty):
    def test_the_table_of_the_system_is_full(self):
        """ENFILE of accept: a pause each time, one line, and what is open goes on."""
        s, f = self.faulty(ONE + 'KeepAliveTimeout 60\n')
        with s.connect() as held:
            self.assertEqual(held.request().status, 200)
            f.accept_error = errno.ENFILE
            f.accepts = 10
            with s.connect(timeout=60) as waiting:
                waiting.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
                s.logged('BH0500')
                self.assertEqual(held.request().status, 200)
                f.accepts = 0
            self.assertEqual(s.get().status, 200)
            for _ in range(5):
                f.accepts = 1
                try:
                    s.get()
                except (EOFError, OSError):
                    pass
                wait_for(lambda: f.accepts == 0, 'it failed once more')
                self.assertEqual(s.get().status, 200)
            self.assertEqual(held.request().status, 200)
        self.assertEqual(s.error_log.count('BH0500'), 1, s.error_log)


if __name__ == '__main__':
    unittest.main()
