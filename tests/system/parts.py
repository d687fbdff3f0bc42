"""Real servers and programs beside ours, for tests: php-fpm, gunicorn, a WebSocket server, nginx. Each is a process (or a few) that ends with the test."""
import glob
import os
import shutil
import signal
import subprocess
import time

from server import ROOT, account, listening, wait_for

SITES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sites')
PYTHON = '/usr/bin/python3'                     # the one that Debian's modules are for
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


class Part:
    """A command in a session of its own. What it writes is in `output`."""

    def __init__(self, command, folder, ready, what, env=None):
        self.output = os.path.join(folder, '%s.%d.out' % (os.path.basename(command[0]), time.monotonic_ns()))
        with open(self.output, 'wb') as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, start_new_session=True,
                                            env=dict(os.environ, PATH=PATH, **(env or {})))
        try:
            wait_for(lambda: ready() or self.process.poll() is not None, what, 60)
            if self.process.poll() is not None:
                raise AssertionError('%s ended with %d: %s' % (command[0], self.process.returncode, self.said()))
        except AssertionError:
            self.stop()
            raise

    def said(self):
        with open(self.output, errors='replace') as f:
            return f.read()[-3000:]

    def stop(self):
        """At once, with its workers: some servers would first wait for what they are at."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(20)


def php_fpm(folder, pool, socket):
    """With a file of a pool. Its own messages are in fpm.log of the folder."""
    found = sorted(glob.glob('/usr/sbin/php-fpm*'))
    if not found:
        raise AssertionError('php-fpm is missing: apt-get install php-fpm')
    main = os.path.join(folder, 'fpm.conf')
    with open(main, 'w') as f:
        f.write('[global]\nerror_log = %s/fpm.log\ndaemonize = no\ninclude = %s\n' % (folder, pool))
    return Part([found[-1], '-n', '-F', '-y', main], folder, lambda: os.path.exists(socket), 'php-fpm listens')


def web_sockets(folder, port):
    return Part([PYTHON, os.path.join(SITES, 'echo.py'), str(port)], folder, lambda: listening(port), 'the WebSocket server listens')


def nginx(folder, servers, port):
    """`servers` goes into its http block."""
    program = shutil.which('nginx', path=PATH)
    if not program:
        raise AssertionError('nginx is missing: apt-get install nginx')
    home = os.path.join(folder, 'nginx')
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, 'nginx.conf'), 'w') as f:
        f.write('%sdaemon off;\nworker_processes 1;\npid %s/pid;\nerror_log %s/error.log;\nevents { worker_connections 256; }\n'
                'http {\naccess_log off;\n%s%s}\n' % ('user %s;\n' % account().pw_name if ROOT else '', home, home, ''.join(
                    '%s_temp_path %s/%s;\n' % (name, home, name) for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')), servers))
    return Part([program, '-p', home, '-e', home + '/start.log', '-c', home + '/nginx.conf'], folder, lambda: listening(port), 'nginx listens')
