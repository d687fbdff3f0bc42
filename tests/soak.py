#!/usr/bin/env python3
"""soak.py [SECONDS] - a server under mixed load for a long time (1200 s), while its processes are killed and stopped, it is restarted and upgraded,
its logs are rotated and its certificates changed. In the last quarter nothing of that happens. BULKHEAD names the program, SOAK_SEED
makes the same order of events again.

It ends with figures, and with 1 if one of these does not hold:
  - a request fails only while a process dies that had to do with it: a child, the keyholder, the spawner;
  - what was answered stands in the access log once; other lines belong to requests that were sent; the status page has counted each;
  - memory of each role, descriptors, processes, shared memory and files are at the end what they were after the first events.
"""
import collections
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'system'))
from server import certificate, children_of, context, process_name, wait_for   # noqa: E402
from upgrade_test import Own    # noqa: E402

CONF = '''\
StartServers 2
ServerLimit 3
KeepAliveTimeout 5
MaxKeepAliveRequests 200
ProxyTimeout 60
CrashReportLimit 3
CoreDumpLimit 0
Listen 127.0.0.1:@PORT@
Listen 127.0.0.1:@TLS@
LogLevel notice
CustomLog "@DIR@/logs/access" "%{local}p %U%q %>s end"
ProxyPass "/p/" "http://127.0.0.1:@PORT@/"
SSLCertificateFile "@DIR@/cert.pem"
SSLCertificateKeyFile "@DIR@/key.pem"
<Location "/fault">
SetHandler test-fault
</Location>
<Location "/status">
SetHandler server-status
</Location>
<Directory "@DIR@/htdocs">
Options +ExecCGI
AddHandler cgi-script .cgi
</Directory>
<VirtualHost 127.0.0.1:@TLS@>
ServerName localhost
Protocols h2 http/1.1
SSLEngine on
</VirtualHost>
'''
AROUND = 1.0            # s before a request began in which a process may have died that it suffers from
CALM = 0.25             # of the time: nothing is done to the server


class Clients:
    """Threads, one a kind of client. Each request has a number; what became of it stands in answered, failed and raced."""

    def __init__(self, server):
        self.server, self.stopping, self.lock, self.last = server, False, threading.Lock(), 0
        self.answered, self.failed, self.raced, self.again = {}, [], set(), set()
        self.counts, self.resumed, self.errors = collections.Counter(), collections.Counter(), []
        kinds = ('close', 'keep', 'keep', 'tls', 'tls_resumed', 'tls_keep', 'cgi', 'proxy', 'large', 'slow', 'h2', 'h2')
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds]
        for t in self.threads:
            t.start()

    def numbers(self, n=1):
        with self.lock:
            self.last += n
            return self.last - n + 1

    def run(self, kind):
        state = {}
        while not self.stopping:
            try:
                getattr(self, kind)(state)
            except Exception as e:              # noqa: BLE001: a fault of this program, told at the end
                self.errors.append('%s: %r' % (kind, e))
                return
            time.sleep(0.005)
        if state.get('conn'):
            state['conn'].sock.close()

    def one(self, state, kind, path, keep=False, tls=False, session=False, slow=False, size=None):
        number, began, told, fresh = self.numbers(), time.monotonic(), False, not state.get('conn')
        conn = state.get('conn')
        try:
            if not conn:
                ctx = state.setdefault('ctx', context()) if tls else None
                conn = self.server.connect(ctx=ctx, session=state.get('session') if session else None, timeout=60)
                if session:
                    self.resumed[conn.sock.session_reused] += 1
            head = 'GET %s?id=%d HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % (path, number, '' if keep else 'Connection: close\r\n')
            for piece in (head[:9], head[9:30], head[30:]) if slow else (head,):
                conn.send(piece)
                if slow:
                    time.sleep(0.2)
            conn.more()
            told = True
            if slow:
                for _ in range(5):
                    time.sleep(0.1)
                    conn.more()
            answer = conn.response()
            if answer.status != 200 or (size is not None and len(answer.body) != size):
                raise EOFError('status %d, %d bytes' % (answer.status, len(answer.body)))
            self.answered[number] = path
            self.counts[kind] += 1
            if session:
                state['session'] = conn.sock.session
            keep = keep and answer.headers.get('connection') != 'close'
        except (OSError, EOFError) as e:
            keep = False
            if fresh or told:
                self.failed.append((began, time.monotonic(), number, '%s: %s' % (kind, e or type(e).__name__)))
            else:
                self.raced.add(number)          # a kept connection that was closed before a byte of the answer: sent again as another
        if conn and not keep:
            conn.sock.close()
        state['conn'] = conn if keep else None

    def close(self, state):
        self.one(state, 'close', '/a.txt')

    def keep(self, state):
        self.one(state, 'keep', '/a.txt', keep=True)

    def tls(self, state):
        self.one(state, 'tls', '/a.txt', tls=True)

    def tls_resumed(self, state):
        self.one(state, 'tls resumed', '/a.txt', tls=True, session=True)

    def tls_keep(self, state):
        self.one(state, 'tls kept', '/a.txt', tls=True, keep=True)

    def cgi(self, state):
        self.one(state, 'cgi', '/c.cgi')

    def proxy(self, state):
        self.one(state, 'proxy', '/p/b.txt')

    def large(self, state):
        self.one(state, 'large', '/large', tls=True, size=3000000)

    def slow(self, state):
        self.one(state, 'slow', '/medium', slow=True, size=400000)

    def h2(self, state):
        n = 30
        first, began = self.numbers(n), time.monotonic()
        done = subprocess.run(['curl', '-skZ', '--http2', '--parallel-max', '10', '-m', '60', '-o', '/dev/null', '-w', '%{http_code} %{size_download} %{url_effective}\\n',
                               'https://127.0.0.1:%d/a.txt?id=[%d-%d]' % (self.server.tls_port, first, first + n - 1)], capture_output=True, text=True)
        good = {int(number) for number in re.findall(r'^200 1000 \S*id=(\d+)$', done.stdout, re.M)}
        for number in range(first, first + n):
            if number in good:
                self.answered[number] = '/a.txt'
                self.counts['h2'] += 1
            else:
                self.failed.append((began, time.monotonic(), number, 'h2: curl ended with %d' % done.returncode))
            self.again.add(number)              # curl asks again by itself where a connection breaks

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(90)


class Soak:
    def __init__(self, seconds):
        self.seconds, self.problems = seconds, []
        self.seed = int(os.environ.get('SOAK_SEED', time.time()))
        self.random = random.Random(self.seed)
        self.events, self.deaths, self.rotated = collections.Counter(), [], 0
        self.server = s = Own(CONF, {'htdocs/a.txt': 'a' * 1000, 'htdocs/b.txt': 'b' * 2000, 'htdocs/large': 'l' * 3000000, 'htdocs/medium': 'm' * 400000})
        s.write('htdocs/c.cgi', '#!/bin/sh\necho Content-Type: text/plain\necho\necho hello\n', 0o755)
        self.new_certificate('ec')

    def new_certificate(self, kind):
        s = self.server
        for name, path in zip(('cert.pem', 'key.pem'), certificate('soak%d' % self.random.randrange(10), kind)):
            with open(path, 'rb') as f:
                s.write(name + '.new', f.read(), 0o600)
        for name in ('key.pem', 'cert.pem'):
            os.rename(s.path(name + '.new'), s.path(name))

    # ---------------------------------------------------------------------------------------- what is done to it

    def kill(self, word, signal_number):
        pids = self.server.roles(word)
        if not pids:
            return False
        self.deaths.append(time.monotonic())
        try:
            os.kill(self.random.choice(pids), signal_number)
        except ProcessLookupError:
            pass
        return True

    def kill_child(self):
        return self.kill('child', signal.SIGKILL)

    def crash_child(self):
        return self.kill('child', signal.SIGSEGV)

    def kill_keyholder(self):
        return self.kill('key', signal.SIGKILL)

    def kill_spawner(self):
        return self.kill('spawn', signal.SIGKILL)

    def kill_logger(self):
        deaths = len(self.deaths)
        done = self.kill('log', signal.SIGKILL)
        del self.deaths[deaths:]                # nobody may suffer from this one
        return done

    def stop_child(self):
        pids = self.server.workers()
        if pids:
            victim = self.random.choice(pids)
            try:
                os.kill(victim, signal.SIGSTOP)
                time.sleep(0.3)
                os.kill(victim, signal.SIGCONT)
            except ProcessLookupError:
                pass
        return bool(pids)

    def restart(self):
        os.kill(self.server.pid, signal.SIGUSR1)
        return True

    def rotate(self):
        s = self.server
        if not os.path.exists(s.path('logs/access')):
            return False                        # the last one is under way
        self.rotated += 1
        os.rename(s.path('logs/access'), s.path('logs/access.%d' % self.rotated))
        os.kill(s.pid, signal.SIGUSR1)
        return True

    def upgrade(self):
        os.kill(self.server.pid, signal.SIGUSR2)
        return True

    def certificate(self):
        self.new_certificate(self.random.choice(('ec', 'rsa')))
        return True

    def storm(self, until):
        kinds = ([self.kill_child] * 4 + [self.crash_child] * 2 + [self.stop_child] * 2 + [self.restart] * 2 +
                 [self.kill_keyholder, self.kill_spawner, self.kill_logger, self.rotate, self.upgrade, self.certificate])
        while time.monotonic() < until:
            what = self.random.choice(kinds)
            if what():
                self.events[what.__name__] += 1
            time.sleep(self.random.uniform(0.3, 2))

    # ---------------------------------------------------------------------------------------- what it has

    def settle(self):
        """Only the newest generation is left."""
        s, seen = self.server, [None, time.monotonic()]

        def quiet():
            now = children_of(s.pid)
            if now != seen[0]:
                seen[:] = now, time.monotonic()
            return time.monotonic() - seen[1] > 3 and len(s.workers()) >= 2 and len(s.roles('spawn')) == 1
        wait_for(quiet, lambda: 'the server settles: %r' % [process_name(p) for p in children_of(s.pid)], 120)

    def shared_memory(self):
        """How many objects name its folder."""
        n = 0
        for path in glob.glob('/dev/shm/bulkhead-*'):
            try:
                with open(path, 'rb') as f:
                    n += (self.server.dir + '/').encode() in f.read(4096)
            except OSError:
                pass
        return n

    def measure(self):
        s, memory, descriptors, count = self.server, collections.defaultdict(int), {}, collections.Counter()
        for pid in [s.pid] + children_of(s.pid):
            role = 'master' if pid == s.pid else process_name(pid)
            try:
                with open('/proc/%d/status' % pid) as f:
                    kib = int(re.search(r'RssAnon:\s*(\d+)', f.read())[1])
                fds = len(os.listdir('/proc/%d/fd' % pid))
            except (OSError, TypeError):
                continue
            memory[role] = max(memory[role], kib)
            descriptors[role] = max(descriptors.get(role, 0), fds)
            count[role] += 1
        return {'memory': dict(memory), 'descriptors': descriptors, 'processes': dict(count), 'shm': self.shared_memory(), 'files': sorted(os.listdir(s.path('run')))}

    def compare(self, before, after):
        for role, kib in after['memory'].items():
            most = before['memory'].get(role, kib) * 1.3 + 3000
            if kib > most:
                self.problems.append('memory: %s has %d KiB, had %d' % (role, kib, before['memory'][role]))
        for role, n in after['descriptors'].items():
            # A child has those of its clients, and the master's grow with the children.
            if role in before['descriptors'] and n > before['descriptors'][role] + (30 if 'child' in role else 8):
                self.problems.append('descriptors: %s has %d, had %d' % (role, n, before['descriptors'][role]))
        for role, n in after['processes'].items():
            if n > before['processes'].get(role, 0) + ('child' in role):
                self.problems.append('processes: %d %s, were %d' % (n, role, before['processes'].get(role, 0)))
        for what in ('shm', 'files'):
            if before[what] != after[what]:
                self.problems.append('%s: %r, was %r' % (what, after[what], before[what]))

    def status(self):
        return json.loads(self.server.get('/status?json').body)

    # ---------------------------------------------------------------------------------------- what must add up

    def judge_failures(self):
        bad = [f for f in self.clients.failed if not any(f[0] - AROUND < death < f[1] for death in self.deaths)]
        if bad:
            self.problems.append('%d requests failed though nothing died: %s' % (len(bad), bad[:5]))

    def judge_log(self, total):
        s, c = self.server, self.clients
        text = ''.join(s.read('logs/' + name) for name in os.listdir(s.path('logs')) if name.startswith('access'))
        lines = text.split('\n')[:-1]
        torn = [line for line in lines if not re.fullmatch(r'\d+ /\S* \d+ end|-+', line)]
        times = collections.Counter()
        for line in lines:
            m = re.match(r'\d+ (/\S*)\?id=(\d+) (\d+) end', line)
            if m:
                times[int(m[2]), m[1]] += 1
        ids = collections.Counter()
        for (number, path), n in times.items():
            if path != '/b.txt':                # the proxied half of /p/b.txt
                ids[number] += n
        lost = [n for n in c.answered if not ids[n]]
        twice = [n for n, k in ids.items() if k > 1 and n not in c.again]
        known = set(c.answered) | {f[2] for f in c.failed} | c.raced
        strange = [n for n in ids if n not in known]
        counted = len([line for line in lines if not line.startswith('-')])
        broken = len(c.failed) + len(c.raced)
        for what, found in (('torn lines', torn), ('answered, but not logged', lost), ('logged twice', twice), ('logged, but never sent', strange)):
            if found:
                self.problems.append('%s: %d %r' % (what, len(found), found[:5]))
        # Counted when it begins, logged when it ends: what was in flight when a process died has no line.
        if not 0 <= total - counted <= 2 * broken + 2:
            self.problems.append('the status page has %d requests, the log %d lines, %d requests were broken' % (total, counted, broken))
        print('sent %d, answered %d, failed %d, raced %d; lines %d, counted %d' % (c.last, len(c.answered), len(c.failed), len(c.raced), counted, total))

    def run(self):
        s, began = self.server, time.monotonic()
        s.start()
        print('seed %d, %d s, pid %d' % (self.seed, self.seconds, s.pid), flush=True)
        self.clients = Clients(s)
        try:
            self.storm(began + self.seconds * 0.2)
            self.settle()
            before = self.measure()
            self.storm(began + self.seconds * (1 - CALM))
            self.settle()
            calm = self.measure()
            failed = len(self.clients.failed)
            time.sleep(max(2, began + self.seconds - time.monotonic()))
            after = self.measure()
            if len(self.clients.failed) > failed + 2:
                self.problems.append('%d requests failed in the calm' % (len(self.clients.failed) - failed))
        finally:
            self.clients.stop()
        self.compare(before, after)
        for role, kib in after['memory'].items():
            if kib > calm['memory'].get(role, kib) * 1.3 + 2000:
                self.problems.append('memory: %s grew from %d to %d KiB in the calm' % (role, calm['memory'][role], kib))
        self.settle()
        total = self.status()['requests']['total']
        s.stop()                                # all lines are written
        self.judge_failures()
        self.judge_log(total)
        if self.clients.errors:
            self.problems.append('clients: %s' % self.clients.errors)
        if self.shared_memory():
            self.problems.append('shared memory is left')
        print('by kind: %s' % dict(self.clients.counts))
        print('resumed: %s' % dict(self.clients.resumed))
        print('events: %s' % dict(self.events))
        for name, m in (('after the first fifth', before), ('when the calm began', calm), ('at the end', after)):
            print('%s: anonymous KiB %s, descriptors %s, processes %s, shm %s' % (name, m['memory'], m['descriptors'], m['processes'], m['shm']))
        for p in self.problems:
            print('PROBLEM: ' + p)
        return not self.problems


def main():
    soak = Soak(float(sys.argv[1]) if len(sys.argv) > 1 else 1200)
    try:
        good = soak.run()
        if not good:
            print(soak.server.error_log[-4000:])
    finally:
        soak.server.stop()
        soak.server.remove()
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
