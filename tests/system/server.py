"""server.py - drives the whole program in tests: a temporary folder, ports that the kernel chose, every process ended at the end.

    class X(ServerTest):
        def test_y(self):
            s = self.serve('Header set X-A 1\\n', {'htdocs/a.txt': 'a'})
            self.assertEqual(s.get('/a.txt').status, 200)

In configurations and files @DIR@ is the server's folder, @PORT@ @PORT2@ … plain ports, @TLS@ @TLS2@ … ports for TLS, @cert@ @key@ a
certificate for localhost. BULKHEAD names the program (the tests' build of it, which has the handlers of stream_handler.c).
"""
import atexit
import collections
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import textwrap
import time
import unittest

BIN = os.path.abspath(os.environ.get('BULKHEAD', 'build/tests/bulkhead'))
ROOT = os.geteuid() == 0
SANITIZED = 'sanitize' in BIN


def names_localhost():
    try:
        return socket.gethostbyaddr('127.0.0.1')[0] == 'localhost'
    except OSError:
        return False


needs_localhost = unittest.skipUnless(names_localhost(), 'the hosts file does not name 127.0.0.1 localhost')
needs_root = unittest.skipUnless(ROOT, 'needs root: accounts, privileged children')
PKI = tempfile.mkdtemp(prefix='bulkhead-pki-')
os.chmod(PKI, 0o755)
atexit.register(shutil.rmtree, PKI, ignore_errors=True)

MAIN = '''\
ServerRoot "@DIR@"
DefaultRuntimeDir "@DIR@/run"
PidFile "@DIR@/run/pid"
CoreDumpDirectory "@DIR@/crash"
ErrorLog "@DIR@/logs/error_log"
LogLevel info
ServerName localhost
DocumentRoot "@DIR@/htdocs"
'''
SSL_ON = 'SSLEngine on\nSSLCertificateFile "@cert@"\nSSLCertificateKeyFile "@key@"\n'
Response = collections.namedtuple('Response', 'status headers body version')


def certificate(name='localhost', kind='ec'):
    """The paths of a self-signed certificate and its key."""
    cert, key = (os.path.join(PKI, '%s-%s.%s' % (name, kind, end)) for end in ('pem', 'key'))
    if not os.path.exists(cert):
        new = ['-newkey', 'rsa:2048'] if kind == 'rsa' else ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
        subprocess.run(['openssl', 'req', '-x509', *new, '-nodes', '-days', '30', '-subj', '/CN=' + name, '-keyout', key, '-out', cert,
                        '-addext', 'subjectAltName=DNS:%s,IP:127.0.0.1' % name], check=True, capture_output=True)
        os.chmod(key, 0o600)
    return cert, key


def wait_for(condition, what, timeout=10):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('waited %g s in vain: %s' % (timeout, what() if callable(what) else what))
        time.sleep(0.02)


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid):
    found = []
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % name) as f:
                state, parent = f.read().rsplit(')', 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state not in 'ZX':
            found.append(int(name))
    return sorted(found)


def process_name(pid):
    try:
        with open('/proc/%d/comm' % pid) as f:
            return f.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def status_of(pid):
    with open('/proc/%d/status' % pid) as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def listening(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(('127.0.0.1', port)) == 0


def remove_shared_memory(folder):
    """The objects of session caches whose lockfile lies in a server's folder: a master that a test killed left them. True if there were any."""
    found = False
    for path in glob.glob('/dev/shm/bulkhead-*'):
        try:
            with open(path, 'rb') as f:
                ours = (folder + '/').encode() in f.read(4096)
            if ours:
                os.unlink(path)
                found = True
        except OSError:                 # another's, or another was quicker
            pass
    return found


class Conn:
    """One connection: sends bytes as given, reads responses."""

    def __init__(self, sock):
        self.sock, self.buf = sock, b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode('latin-1'))

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError('closed, unread: %r' % self.buf[:100])
        self.buf += data

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def line(self):
        while b'\n' not in self.buf:
            self.more()
        line, self.buf = self.buf.split(b'\n', 1)
        return line.rstrip(b'\r').decode('latin-1')

    def rest(self):
        try:
            while True:
                self.more()
        except (EOFError, ConnectionResetError, ssl.SSLError):
            pass
        data, self.buf = self.buf, b''
        return data

    def head(self):
        version, status = self.line().split(' ')[:2]
        headers = {}
        while True:
            line = self.line()
            if not line:
                return Response(int(status), headers, b'', version)
            name, _, value = line.partition(':')
            headers[name.lower()] = value.strip()

    def response(self, method='GET'):
        answer = self.head()
        while answer.status == 100:
            answer = self.head()
        body = b''
        if method == 'HEAD' or answer.status in (204, 304):
            pass
        elif answer.headers.get('transfer-encoding') == 'chunked':
            while True:
                size = int(self.line(), 16)
                body += self.take(size)
                self.line()
                if not size:
                    break
        elif 'content-length' in answer.headers:
            body = self.take(int(answer.headers['content-length']))
        else:
            body = self.rest()
        return answer._replace(body=body)

    def request(self, path='/', method='GET', headers='', body=None, host='localhost', close=False):
        if body is not None:
            headers += 'Content-Length: %d\r\n' % len(body)
        self.send('%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n' % (method, path, host, 'Connection: close\r\n' if close else '', headers))
        if body:
            self.send(body)
        return self.response(method)


class Server:
    def __init__(self, conf='', files=None, main=True, args=()):
        self.dir = tempfile.mkdtemp(prefix='bulkhead-test-')
        os.chmod(self.dir, 0o755)
        self.vars, self.args, self.pid, self.process, self.output = {'DIR': self.dir}, list(args), None, None, ''
        for name in ('htdocs', 'logs', 'run'):
            os.mkdir(self.path(name))
        self.write('htdocs/index.html', 'index\n')
        conf = textwrap.dedent(conf)
        listens = ''
        for name in dict.fromkeys(['PORT'] + re.findall(r'@((?:PORT|TLS)\d*)@', conf)):
            if not re.search(r'^\s*Listen\s', conf, re.M):
                listens += 'Listen 127.0.0.1:@%s@\n' % name
        self.write('httpd.conf', (MAIN + listens if main else '') + 'Include "@DIR@/case.conf"\n' if main else conf)
        if main:
            self.write('case.conf', conf)
        for name, content in (files or {}).items():
            self.write(name, content)

    def path(self, name=''):
        return os.path.join(self.dir, name)

    def expand(self, text):
        def value(match):
            word = match[1]
            if word in ('cert', 'key'):
                return certificate()[word == 'key']
            if word not in self.vars:
                if not re.fullmatch(r'(PORT|TLS)\d*', word):
                    return match[0]
                self.vars[word] = free_port()
            return str(self.vars[word])
        return re.sub(r'@(\w+)@', value, text)

    def write(self, name, content, mode=None):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = content if isinstance(content, bytes) else self.expand(content).encode()
        with open(path, 'wb') as f:
            f.write(data)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def read(self, name):
        try:
            with open(self.path(name), errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    @property
    def error_log(self):
        return self.read('logs/error_log')

    def logged(self, pattern, timeout=10):
        return wait_for(lambda: re.search(pattern, self.error_log), lambda: 'the error log has %r; it has:\n%s' % (pattern, self.error_log[-3000:]), timeout)

    @property
    def port(self):
        return int(self.expand('@PORT@'))

    @property
    def tls_port(self):
        return int(self.expand('@TLS@'))

    def command(self, *args):
        return [BIN, '-f', self.path('httpd.conf'), *self.args, *args]

    def run(self, *args, timeout=30, env=None):
        return subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, errors='replace', env=dict(os.environ, **(env or {})))

    def start(self, env=None):
        done = self.run('-k', 'start', env=env)
        self.output = done.stdout
        if done.returncode:
            raise AssertionError('start failed (%d): %s\n%s' % (done.returncode, done.stdout, self.error_log[-3000:]))
        self.pid = self.read_pid()
        return self

    def start_foreground(self, *args, prefix=(), wait=None):
        self.log = open(self.path('logs/stderr'), 'wb')
        self.process = subprocess.Popen([*prefix, *self.command(*args)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.pid = self.process.pid
        wait_for(lambda: listening(wait or self.port) or self.process.poll() is not None, 'it listens', 60)
        if self.process.poll() is not None:
            raise AssertionError('it ended with %d: %s' % (self.process.returncode, self.read('logs/stderr')))
        return self

    def read_pid(self):
        text = self.read('run/pid').strip()
        return int(text) if text.isdigit() else None

    def roles(self, name):
        """The pids of the master's children with a role: their process name has that word."""
        return [p for p in children_of(self.pid) if name in process_name(p)]

    def role(self, name):
        """The pid of one child with a role; a process that was just forked has its name in a moment."""
        return wait_for(lambda: self.roles(name), 'a process is called %s' % name)[0]

    def workers(self):
        return self.roles('bulkhead-child')

    def gone(self):
        return self.process.poll() is not None if self.process else not alive(self.pid)

    def stop(self):
        self.pid = self.pid or self.read_pid()
        family = []
        try:
            if self.pid and not self.gone():
                family = children_of(self.pid)
                os.kill(self.pid, signal.SIGTERM)
                wait_for(self.gone, 'it ends after SIGTERM', 15)
        finally:
            for pid in [self.pid] + family:
                if pid and alive(pid) and (pid != self.pid or not self.gone()):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            if self.process:
                self.process.wait(5)
                self.log.close()

    def remove(self):
        """All that it left, also where it was killed: its children write for a moment longer, and end by themselves."""
        remove_shared_memory(self.dir)
        for _ in range(20):
            shutil.rmtree(self.dir, ignore_errors=True)
            if not os.path.exists(self.dir):
                break
            time.sleep(0.1)

    def connect(self, tls=False, port=None, sni='localhost', ctx=None, session=None, timeout=20):
        sock = socket.create_connection(('127.0.0.1', port or (self.tls_port if tls or ctx else self.port)), timeout)
        if tls or ctx:
            if not ctx:
                ctx = context()
            try:
                sock = ctx.wrap_socket(sock, server_hostname=sni, session=session)
            except BaseException:
                sock.close()
                raise
        return Conn(sock)

    def get(self, path='/', tls=False, port=None, **kw):
        with self.connect(tls, port) as c:
            return c.request(path, close=True, **kw)

    def raw(self, data, port=None):
        with self.connect(port=port) as c:
            c.send(data)
            return c.rest()


def context(high=None, tickets=True):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    if high:
        ctx.maximum_version = high
    if not tickets:
        ctx.options |= ssl.OP_NO_TICKET
    return ctx


class ServerTest(unittest.TestCase):
    maxDiff = 4000

    def configure(self, *args, **kw):
        server = Server(*args, **kw)
        self.addCleanup(self.clean, server)
        return server

    def serve(self, *args, **kw):
        return self.configure(*args, **kw).start()

    @classmethod
    def shared(cls, *args, **kw):
        """A server for all tests of the class, not yet started."""
        server = Server(*args, **kw)
        cls.addClassCleanup(server.remove)
        cls.addClassCleanup(server.stop)
        return server

    def clean(self, server):
        failed = any(error for _, error in getattr(self._outcome, 'errors', []) or []) or (
            self._outcome.result is not None and any(t is self for t, _ in self._outcome.result.failures + self._outcome.result.errors))
        try:
            server.stop()
        finally:
            if failed or not self._outcome.success:
                print('\n--- %s: error log\n%s\n--- standard error\n%s' % (self.id(), server.error_log[-4000:], server.read('logs/stderr')[-4000:]))
            server.remove()


def account(name='www-data'):
    return pwd.getpwnam(name)
