"""bulkhead-cache from outside: real servers seen by pid, name and file; damage, dead and stopped processes; no secret in any output."""
import json
import os
import re
import resource
import shutil
import signal
import ssl
import struct
import subprocess
import time

from server import BIN, SSL_ON, ServerTest, account, alive, children_of, context, needs_root, status_of, wait_for

TOOL = os.path.join(os.path.dirname(os.path.dirname(BIN)), 'bin', 'bulkhead-cache')
CONF = 'SSLSessionCache shmcb:@DIR@/run/cache(512000)\n%s<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n'
SHARD0, OWNER, INDEX = 8192, 32, 384            # docs/shmcache-format.md


def tool(*args, prefix=(), **kw):
    done = subprocess.run([*prefix, TOOL, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, **kw)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


class CacheTool(ServerTest):
    def served(self, tickets=False):
        return self.serve(CONF % ('' if tickets else 'SSLSessionTickets off\n'))

    def fill(self, s, n, again=0):
        """n sessions of TLS 1.2; the last one is resumed some times."""
        ctx, session = context(ssl.TLSVersion.TLSv1_2, False), None
        for i in range(n + again):
            with s.connect(ctx=ctx, session=session) as c:
                self.assertEqual(c.request('/').status, 200)
                self.assertEqual(c.sock.session_reused, i >= n)
                if i >= n - 1:
                    session = c.sock.session

    def good(self, *args, status=0, **kw):
        done = tool(*args, **kw)
        self.assertEqual((done.returncode, done.err), (status, ''), done.out)
        return done.out

    def bad(self, *args, status=2, **kw):
        done = tool(*args, **kw)
        self.assertEqual((done.returncode, done.out), (status, ''), done.err)
        self.assertTrue(done.err.startswith('bulkhead-cache: '), done.err)
        return done.err

    def stat(self, *args, **kw):
        return json.loads(self.good('stat', '--json', *args, **kw))

    def object(self, s):
        """The segment of a server, to scribble on."""
        path = '/dev/shm' + self.stat(s.pid)['name']
        fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, fd)
        return fd

    # ------------------------------------------------------------------------------------------ stat

    def test_stat_tells_what_happened(self):
        s = self.served()
        self.fill(s, 20, again=3)
        now = self.stat(s.pid)
        self.assertEqual((now['state'], now['layout'], now['copied'], now['resizing'], now['damaged']), ('alive', 2, None, False, False))
        self.assertLess(abs(now['created'] - time.time()), 60)
        self.assertEqual(now['geometry']['bytes'], 512000)
        self.assertEqual((now['lock']['kind'], now['lock']['timeout_ms']), ('ofd', 50))
        self.assertTrue(now['lock']['file'].startswith(s.path('run/')))
        self.assertEqual((now['entries'], now['slots']['used'], now['hit_ratio']), (20, 20, 1.0))
        self.assertEqual((now['counters']['stores'], now['counters']['hits'], now['counters']['badtag']), (20, 3, 0))
        for ring in now['rings']:
            self.assertEqual(ring['live'] + ring['expired'] + ring['dead'] + ring['free'], ring['bytes'])
        self.assertEqual(len(now['lock_waits']), 8)
        self.assertTrue(290 <= now['seconds_left']['shortest'] <= now['seconds_left']['longest'] <= 300, now)
        text = self.good('stat', s.pid)
        for wanted in (r'^/bulkhead-[0-9a-f]{16}: alive$', r'room for \d+ sessions of 356 bytes', r'hits +3 ', r'stores +20 ', r'hit ratio +100\.0%', 'nobody is inside'):
            self.assertRegex(text, '(?m)' + wanted)

    def test_found_by_any_name(self):
        s = self.served()
        self.fill(s, 2)
        name = self.stat(s.pid)['name']
        for which in (s.workers()[0], name, name[1:], '/dev/shm' + name):
            with self.subTest(which):
                now = self.stat(which)
                self.assertEqual((now['name'], now['state'], now['entries']), (name, 'alive', 2))

    def test_watch(self):
        s = self.served()
        for args in (('--json', '--watch', '0.2'), ('--watch=0.2',), ('-w', '0.2')):
            with self.subTest(args):
                p, seen = subprocess.Popen([TOOL, 'stat', *args, str(s.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), ''
                try:
                    if args[0] == '--json':
                        self.assertNotIn('rates', json.loads(p.stdout.readline()))
                        self.fill(s, 5)
                        wait_for(lambda: json.loads(p.stdout.readline())['rates']['stores'] > 0, 'a rate')
                    else:
                        while seen.count('hit ratio') < 2 or 'inside' not in seen.rpartition('hit ratio')[2]:
                            line = p.stdout.readline()
                            self.assertTrue(line, seen)
                            seen += line
                finally:
                    p.send_signal(signal.SIGINT)
                    out, err = p.communicate(timeout=10)
                self.assertEqual((p.returncode, err), (0, ''))
                if args[0] != '--json':
                    self.assertRegex(seen, r'stores +5 +0\.0/s')
                    self.assertNotIn('\033', seen)

    def test_left_over_of_a_killed_server(self):
        s = self.served()
        self.fill(s, 3)
        name, family = self.stat(s.pid)['name'], [s.pid] + children_of(s.pid)
        family += [g for p in family[1:] for g in children_of(p)]
        self.addCleanup(lambda: os.path.exists('/dev/shm' + name) and os.unlink('/dev/shm' + name))
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, family)), 'all are dead')
        now = self.stat(name)
        self.assertEqual((now['state'], now['entries']), ('left over', 3))
        self.assertRegex(self.good('stat', name), r'\A' + name + ': left over by a server that is dead\n')
        self.assertIn('all invariants hold', self.good('verify', name))

    # ------------------------------------------------------------------------------------------ holders, damage

    def test_who_is_inside(self):
        s = self.served()
        self.fill(s, 3)
        fd, child = self.object(s), s.workers()[0]
        # as if the child had been stopped between signing in and out
        os.kill(child, signal.SIGSTOP)
        wait_for(lambda: status_of(child)['State'].startswith('T'), 'it stops')
        os.pwrite(fd, struct.pack('=Q', child), SHARD0 + OWNER)
        self.assertEqual(self.stat(s.pid)['inside'], [{'shard': 0, 'pid': child, 'state': 'stopped'}])
        self.assertRegex(self.good('stat', s.pid), r'inside shard 0: pid %d, stopped: stores in this shard' % child)
        self.assertIn('all invariants hold', self.good('verify', s.pid))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not alive(child), 'it is dead')
        self.assertIn(self.stat(s.pid)['inside'][0]['state'], ('gone', 'zombie'))
        self.assertRegex(self.good('stat', s.pid), r'inside shard 0: pid %d, (gone|zombie): it died there' % child)
        # the next store in that shard counts and mends it
        wait_for(s.workers, 'a child')
        for _ in range(20):
            self.fill(s, 5)
            if not self.stat(s.pid)['inside']:
                break
        now = self.stat(s.pid)
        self.assertEqual((now['inside'], now['counters']['repairs']), ([], 1))

    def test_verify_finds_damage_in_a_living_segment(self):
        s = self.served()
        self.fill(s, 10)
        fd = self.object(s)
        self.assertRegex(self.good('verify', s.pid), r'\A/bulkhead-\w+: all invariants hold in 4 shards\n\Z')
        self.assertEqual(self.good('verify', '-q', s.pid), '')
        was = os.pread(fd, 8, SHARD0 + INDEX)
        os.pwrite(fd, struct.pack('=Q', 12345), SHARD0 + INDEX)
        out = self.good('verify', s.pid, status=1)
        self.assertRegex(out, r"\Ashard 0 violates I3: slot 0 of bucket 0 names a position outside of its ring's entries\n/bulkhead-\w+: 1 violation in 4 shards\n\Z")
        self.assertEqual(self.good('verify', '-q', s.pid, status=1), '')
        os.pwrite(fd, was, SHARD0 + INDEX)
        self.good('verify', s.pid)

    def test_damaged_copies(self):
        s = self.served()
        self.fill(s, 30)
        path = s.path('copy')
        self.good('copy', path, s.pid)
        with open(path, 'rb') as f:
            good = f.read()
        first = json.loads(self.good('list', '--json', '-n', '1', path))
        units = json.loads(self.good('stat', '--json', path))['rings'][0]['bytes'] // 16 // 4
        shard = SHARD0 + first['shard'] * 128000
        buckets = self.stat(path)['geometry']['buckets']
        entry = shard + INDEX + buckets * 64 + first['position'] % units * 16
        for at, value, wanted in ((shard, 1 << 40, 'I1: probation has its tail at 1099511627776'), (shard + OWNER, 1 << 50, 'I7: '), (shard + 40, 1 << 33, 'I6: '),
                                  (entry + 8, 0, 'I2: no whole entry begins at position %d of probation' % first['position'])):
            with self.subTest(wanted):
                with open(path, 'wb') as f:
                    f.write(good[:at] + struct.pack('=Q', value) + good[at + 8:])
                self.assertIn('shard %d violates %s' % (first['shard'], wanted), self.good('verify', path, status=1))
                if 'I2' in wanted:
                    self.assertTrue(self.stat(path)['damaged'])
                    done = tool('list', path)
                    self.assertEqual(done.returncode, 2)
                    self.assertIn('a shard is damaged', done.err)
        for content, wanted in ((b'', 'no session cache'), (good[:9000], 'is 9000 bytes long'), (good[:100], 'cut off after 100 bytes'),
                                (good[:8] + struct.pack('=II', 9, 9) + good[16:], 'has layout 9, this program reads 2'), (b'x' + good[1:], 'no session cache')):
            with self.subTest(wanted):
                with open(path, 'wb') as f:
                    f.write(content)
                for command in ('stat', 'list', 'verify'):
                    self.assertIn(wanted, self.bad(command, path))

    # ------------------------------------------------------------------------------------------ list, copy

    def test_list(self):
        s = self.served()
        self.fill(s, 12, again=2)
        lines = self.good('list', s.pid).splitlines()
        self.assertRegex(lines[0], r'^SHARD +RING +HASH +SIZE +LEFT +HEAT$')
        self.assertEqual(len(lines), 13)
        for line in lines[1:]:
            self.assertRegex(line, r'^ +[0-3]  (probation|main     )  [0-9a-f]{16} +\d{3} +(300|2\d\d) +[0-3]$')
        entries = [json.loads(line) for line in self.good('list', '--json', '--all', s.pid).splitlines()]
        self.assertEqual(len({e['hash'] for e in entries}), 12)
        self.assertEqual({e['state'] for e in entries}, {'live'})
        hot = json.loads(self.good('list', '--json', '--sort', 'heat', '-n', '1', s.pid))
        self.assertEqual(hot['heat'], 2)
        left = [json.loads(line)['seconds_left'] for line in self.good('list', '--json', '--sort=ttl', s.pid).splitlines()]
        self.assertEqual(left, sorted(left))
        self.assertEqual(len(self.good('list', '-n', '3', '--sort=size', s.pid).splitlines()), 4)

    def test_dead_ones_are_listed_only_on_demand(self):
        s = self.served()
        self.fill(s, 5)
        fd = self.object(s)
        # forget one, as a removal does
        first = json.loads(self.good('list', '--json', '-n', '1', s.pid))
        at = SHARD0 + first['shard'] * 128000 + INDEX
        for i in range(self.stat(s.pid)['geometry']['buckets'] * 8):
            slot = struct.unpack('=Q', os.pread(fd, 8, at + i * 8))[0]
            if slot & (1 << 43) - 1 == first['position']:
                os.pwrite(fd, bytes(8), at + i * 8)
        self.assertEqual(len(self.good('list', s.pid).splitlines()), 5)
        text = self.good('list', '--all', s.pid)
        self.assertEqual((len(text.splitlines()), text.count('  dead\n'), text.count('  live\n')), (6, 1, 4))
        self.assertEqual(self.stat(s.pid)['rings'][0]['dead'], first['bytes'])

    def test_copy_is_private_and_never_writes_over(self):
        s = self.served(tickets=True)
        self.fill(s, 7)
        path = s.path('saved')
        self.assertRegex(self.good('copy', path, s.pid), r'\A/bulkhead-\w+: \d+ bytes copied to .*/saved\n\Z')
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        name = self.stat(s.pid)['name']
        now = self.stat(path)
        self.assertEqual((now['name'], now['state'], now['entries']), (name, 'copy', 7))
        self.assertLess(abs(now['copied'] - time.time()), 60)
        self.assertRegex(self.good('stat', path), r'\A%s: a copy of %s, made ' % (re.escape(path), name))
        with open(path, 'rb') as f, open('/dev/shm' + name, 'rb') as g:
            saved, real = f.read(), g.read()
        self.assertEqual(len(saved), len(real))
        self.assertNotEqual(real[4096 + 64:8192].strip(b'\0'), b'')            # the server has seeds
        self.assertEqual(saved[4096 + 16:8192].strip(b'\0'), b'')
        self.assertIn('is there already', self.bad('copy', path, s.pid))
        os.symlink(s.path('elsewhere'), s.path('link'))
        self.assertIn('is there already', self.bad('copy', s.path('link'), s.pid))
        self.assertFalse(os.path.exists(s.path('elsewhere')))
        with open(path, 'rb') as f:
            self.assertEqual(f.read(), saved)
        self.assertIn('is not there', self.bad('stat', s.path('nothing')))
        # a copy of a copy keeps its time
        self.good('copy', s.path('second'), path)
        self.assertEqual(self.stat(s.path('second'))['copied'], now['copied'])

    def test_half_a_copy_is_removed(self):
        s = self.served()
        text = self.bad('copy', s.path('half'), s.pid, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
        self.assertIn('File too large; the half file was removed', text)
        self.assertFalse(os.path.exists(s.path('half')))

    @needs_root
    def test_full_disk(self):
        s = self.served()
        os.mkdir(s.path('disk'))
        script = 'mount -t tmpfs -o size=64k tmpfs "$2" && { "$1" copy "$2/x" "$3"; echo "status $?, $(ls "$2" | wc -l) files"; }'
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', TOOL, s.path('disk'), str(s.pid)], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stdout, 'status 2, 0 files\n', done.stderr)
        self.assertIn('No space left on device; the half file was removed', done.stderr)

    # ------------------------------------------------------------------------------------------ secrets

    def assert_absent(self, secrets, where, data):
        for name, secret in secrets.items():
            for form in (secret, secret.hex().encode(), secret.hex().upper().encode(), secret[::-1], secret[:16]):
                self.assertNotIn(form, data, '%s in %s' % (name, where))

    def test_no_secret_leaves(self):
        s, secrets = self.served(tickets=True), {}
        for n, args in enumerate((('-tls1_2', '-no_ticket'), ('-tls1_2',), ('-tls1_3',))):
            saved, log = s.path('session%d' % n), s.path('keys%d' % n)
            done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s.tls_port, '-servername', 'localhost', '-ign_eof', '-sess_out', saved,
                                   '-keylogfile', log, *args], input=b'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', capture_output=True, timeout=20)
            self.assertIn(b'index\n', done.stdout)
            for kind, secret in re.findall(r'^(\w+) [0-9a-f]+ ([0-9a-f]+)$', s.read('keys%d' % n), re.M):
                secrets['%s %d' % (kind, n)] = bytes.fromhex(secret)
            text = subprocess.run(['openssl', 'sess_id', '-in', saved, '-noout', '-text'], capture_output=True, text=True).stdout
            for kind in ('Session-ID', 'Master-Key', 'Resumption PSK'):
                for value in re.findall(r'%s: ([0-9A-F]+)\n' % kind, text):
                    secrets['%s %d' % (kind, n)] = bytes.fromhex(value)
        self.assertIn('CLIENT_RANDOM 0', secrets)
        self.assertIn('Session-ID 0', secrets)
        self.assertIn('SERVER_TRAFFIC_SECRET_0 2', secrets)
        self.assertEqual(self.stat(s.pid)['entries'], 1)                       # the one without a ticket
        self.assert_absent(secrets, 'list', self.good('list', '--all', '--json', s.pid).encode())
        self.assert_absent(secrets, 'list', self.good('list', '--all', s.pid).encode())
        self.assert_absent(secrets, 'stat', self.good('stat', '--json', s.pid).encode())
        self.assert_absent(secrets, 'stat', self.good('stat', s.pid).encode())
        self.good('copy', s.path('saved'), s.pid)
        with open(s.path('saved'), 'rb') as f:
            saved = f.read()
        self.assertEqual(len(self.good('list', s.path('saved')).splitlines()), 2)
        self.assert_absent(secrets, 'copy', saved)
        with self.assertRaises(AssertionError):                                # and it would be seen
            self.assert_absent(secrets, 'copy', saved + secrets['CLIENT_RANDOM 0'])

    # ------------------------------------------------------------------------------------------ which, rights, output

    def private(self, mount):
        """A server that has a /dev/shm of its own."""
        s = self.configure(CONF % '')
        return s.start_foreground('-DFOREGROUND', prefix=('unshare', '-m', 'sh', '-c', mount + ' && exec "$@"', 'sh'))

    @needs_root
    def test_the_only_instance_needs_no_name(self):
        s = self.private('mount -t tmpfs tmpfs /dev/shm')
        inside = ('nsenter', '-t', str(s.pid), '-m')
        name = self.stat(prefix=inside)['name']
        self.assertEqual(self.stat(s.pid)['name'], name)
        # what nobody uses does not count; a second one that lives does
        subprocess.run([*inside, 'cp', '/dev/shm' + name, '/dev/shm/bulkhead-0'], check=True)
        subprocess.run([*inside, 'sh', '-c', 'echo rubbish >/dev/shm/bulkhead-1'], check=True)
        self.assertEqual(self.stat(prefix=inside)['name'], name)
        os.kill(s.pid, signal.SIGSTOP)
        try:
            # another name in the header of the object: then both are copies, and nothing tells which is meant
            script = 'printf X | dd of=/dev/shm%s bs=1 seek=112 conv=notrunc 2>/dev/null' % name
            subprocess.run([*inside, 'sh', '-c', script], check=True)
            text = self.bad('stat', prefix=inside)
        finally:
            os.kill(s.pid, signal.SIGCONT)
        self.assertRegex(text, r'(?s)3 session caches are here, 0 of them alive\n  give one of these names:\n.*/bulkhead-[01]')
        self.assertIn('/bulkhead-1: this is no session cache', text)
        subprocess.run([*inside, 'sh', '-c', 'mkdir /dev/shm/x && mount --bind /dev/shm/x /dev/shm'], check=True)
        self.assertIn('no session cache is here', self.bad('stat', prefix=inside))

    @needs_root
    def test_memory_without_a_name(self):
        s = self.private('mount -t tmpfs -o ro tmpfs /dev/shm')
        self.fill(s, 2)
        for pid in (s.pid, s.workers()[0]):
            with self.subTest(pid):
                now = self.stat(pid)
                self.assertEqual((now['name'], now['state'], now['entries']), ('', 'alive', 2))
                self.assertIn('memory of process %d: alive' % pid, self.good('stat', pid))
        # seen from where its lockfile is not
        script = 'mount -t tmpfs tmpfs "$3" && exec "$1" stat "$2"'
        hidden = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', TOOL, str(s.pid), s.path('run')], capture_output=True, text=True, timeout=30)
        self.assertIn('memory of process %d: alive' % s.pid, hidden.stdout)

    @needs_root
    def test_without_rights(self):
        s = self.served()
        program = shutil.copy(TOOL, s.path('tool'))
        name = self.stat(s.pid)['name']
        for which, wanted in ((name, 'shared memory object %s belongs to root (mode 0600)' % name), (s.pid, 'process %d belongs to root' % s.pid)):
            with self.subTest(which):
                user = account()
                done = subprocess.run([program, 'stat', str(which)], capture_output=True, text=True, user=user.pw_uid, group=user.pw_gid, extra_groups=[])
                self.assertEqual((done.returncode, done.stdout), (2, ''))
                self.assertIn(wanted, done.stderr)
                self.assertIn('sudo', done.stderr)

    def zombie(self):
        """One that ended and that nobody has asked for: a master whose parent sleeps is shown so."""
        process = subprocess.Popen(['true'])
        self.addCleanup(process.wait)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return process.pid

    def test_used_wrongly(self):
        for args, wanted in (((), 'usage: bulkhead-cache COMMAND'), (('look',), "there is no command 'look'"), (('stat', '--jsn'), 'option --jsn is unknown'),
                             (('list', '-n'), 'option -n needs a value'), (('list', '-n', 'x'), "'x' is no value for -n"), (('list', '--sort=age'), "'age' is no order"),
                             (('list', '-z'), 'option -z is unknown'), (('copy',), 'copy needs the name of a new file'), (('stat', 'a', 'b'), "'b' is too much"),
                             (('verify', '/dev/null'), 'no file and no shared memory'), (('verify', '/'), 'no file and no shared memory'), (('stat', '--watch', '0'), '0.1 to 86400'),
                             (('stat', 999999999), 'process 999999999 is not there'), (('stat', os.getpid()), 'has no session cache'), (('stat', self.zombie()), 'has ended'), (('--frob',), 'a command comes first'),
                             (('help', 'x'), "no command 'x'"), (('stat', ''), 'is not there')):
            with self.subTest(args):
                done = tool(*args)
                self.assertEqual((done.returncode, done.out), (2, ''))
                self.assertIn(wanted, done.err)
        for args, wanted in ((('help',), 'usage: '), (('--help',), 'usage: '), (('-h',), 'usage: '), (('help', 'list'), '--sort'), (('list', '--help'), '--sort'),
                             (('--version',), 'layout 2'), (('-V',), 'layout 2')):
            with self.subTest(args):
                self.assertIn(wanted, self.good(*args))

    def test_output_that_ends(self):
        s = self.served()
        self.fill(s, 40)
        with open('/dev/full', 'w') as full:
            done = subprocess.run([TOOL, 'list', str(s.pid)], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('writing the output: No space left on device', done.stderr)
        for command in ('list', 'stat'):
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run([TOOL, command, '--json', str(s.pid)], stdout=write, stderr=subprocess.PIPE, text=True)
            os.close(write)
            self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, ''))


if __name__ == '__main__':
    import unittest
    unittest.main()
