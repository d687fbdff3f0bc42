"""Starting: what the program says of configurations that cannot work, and that it serves where it can. Named after the questions
that administrators ask (F01 …)."""
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from server import BIN, ROOT, SSL_ON, ServerTest, account, certificate, children_of, listening, needs_localhost, needs_root, status_of, wait_for


class Start(ServerTest):
    @needs_root
    def test_F01_lockfile_below_a_closed_folder_and_deleted(self):
        s = self.configure('Mutex file:@DIR@/closed/lock ssl-cache\nSSLSessionCache shmcb:@DIR@/cache(512000)\nSSLSessionTickets off\n'
                           '<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        os.makedirs(s.path('closed/lock'))
        os.chmod(s.path('closed'), 0o700)
        s.start()
        for _ in range(2):
            self.assertEqual(s.get(tls=True).status, 200)
            for name in os.listdir(s.path('closed/lock')):
                os.unlink(s.path('closed/lock/' + name))
        self.assertNotRegex(s.error_log, 'ermission denied')

    @needs_root
    def test_F01_unreachable_document_root_is_named_with_the_chmod(self):
        s = self.configure('DocumentRoot "@DIR@/a/b/site"\n')
        os.makedirs(s.path('a/b/site'))
        os.chmod(s.path('a'), 0o700)
        done = s.run('-k', 'start')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'case\.conf:1: error: .*%s' % re.escape(s.path('a')))
        self.assertIn('chmod o+x ' + s.path('a'), done.stdout)
        self.assertIsNone(s.read_pid())
        host = self.configure('<VirtualHost *:@PORT@>\nDocumentRoot "@DIR@/absent"\n</VirtualHost>\n')
        done = host.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'case\.conf:2: warning: .*absent')
        self.assertIn('mkdir -p', done.stdout)

    @needs_root
    def test_F01_targets_of_aliases_behind_a_closed_folder_are_named(self):
        s = self.configure('Alias /files "@DIR@/shut/files"\nScriptAlias /run/ "@DIR@/programs/"\nAlias /absent "@DIR@/none/at/all"\nAlias /icon "@DIR@/icon"\n'
                           'AliasMatch "^/x/(.*)" "@DIR@/shut/$1"\n', {'icon': 'i', 'shut/files/a': 'a', 'programs/p': ''})
        os.chmod(s.path('shut'), 0o700)
        os.chmod(s.path('programs'), 0o700)
        done = s.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        for line, directive, folder in ((1, 'Alias', 'shut'), (2, 'ScriptAlias', 'programs')):
            self.assertRegex(done.stdout, r'case\.conf:%d: warning: %s \S+ cannot be reached by the user \S+: %s may not be searched\n.*chmod o\+x %s\n' % (
                line, directive, *[re.escape(s.path(folder))] * 2))
        self.assertEqual(done.stdout.count(': warning: '), 2, done.stdout)

    def test_F02_no_source_of_randomness_is_waited_for(self):
        s = self.configure('SSLRandomSeed startup "exec:/bin/sleep 1000"\nSSLRandomSeed startup file:@DIR@/fifo 512\nSSLRandomSeed connect egd:@DIR@/none\n'
                           'SSLRandomSeed connect file:/dev/random 512\n<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        os.mkfifo(s.path('fifo'))               # nobody ever writes to it
        done = s.run('-t', timeout=15)
        self.assertEqual(done.returncode, 0, done.stdout)
        for n, name in ((1, '/bin/sleep'), (2, '/fifo'), (3, 'egd:')):
            self.assertRegex(done.stdout, r'case\.conf:%d: notice: SSLRandomSeed: .*%s.* is not asked: randomness comes from the kernel' % (n, name))
        began = time.monotonic()
        s.start()
        for _ in range(20):
            self.assertEqual(s.get(tls=True).status, 200)
        self.assertLess(time.monotonic() - began, 10)

    def test_F03_F04_plain_and_tls_on_any_ports_in_one_server(self):
        s = self.serve('<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n<VirtualHost *:@PORT2@>\nDocumentRoot "@DIR@/two"\n</VirtualHost>\n',
                       {'two/index.html': 'two\n'})
        self.assertEqual([s.get().body, s.get(tls=True).body, s.get(port=int(s.expand('@PORT2@'))).body], [b'index\n', b'index\n', b'two\n'])

    def test_F05_hosts_without_ports_and_ports_without_hosts(self):
        s = self.configure('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@ https\n<VirtualHost *:@PORT2@>\nServerName lost.test\n</VirtualHost>\n')
        done = s.run('-t')
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'case\.conf:3: warning: .*lost\.test.*nothing listens')
        self.assertRegex(done.stdout, r'case\.conf:2: warning: .*SSLEngine on')

    def test_logs_that_cannot_be_written_are_told_before_the_start(self):
        s = self.configure('CustomLog "@DIR@/none/deep/access" "%h"\nCustomLog "@DIR@/htdocs" "%h"\nCustomLog "|/bin/cat /none/x" "%h"\n')
        for args in (('-t',), ('-k', 'start')):
            done = s.run(*args)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, r'case\.conf:1: error: .*/none/deep\n    create it: mkdir -p %s/none/deep\n' % re.escape(s.dir))
            self.assertRegex(done.stdout, r'case\.conf:2: error: the log .*/htdocs .*folder')
            self.assertIn('2 errors', done.stdout)

    def test_F05_taken_port_is_told_with_its_holder(self):
        holder = subprocess.Popen(['python3', '-c', 'import socket,time\ns=socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n'
                                   's.bind(("127.0.0.1", 0))\ns.listen()\nprint(s.getsockname()[1], flush=True)\ntime.sleep(60)'], stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        port = int(holder.stdout.readline())
        s = self.configure('Listen 127.0.0.1:%d\n' % port)
        done = s.run('-k', 'start')
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r'case\.conf:1\b.*%d.*in use by pid %d' % (port, holder.pid))
        self.assertIsNone(s.read_pid())

    def test_F07_key_and_certificate_that_do_not_match(self):
        cert, _ = certificate('one.test')
        _, key = certificate('two.test')
        s = self.configure('<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n</VirtualHost>\n' % (cert, key))
        for args in (('-t',), ('-k', 'start')):
            done = s.run(*args)
            said = done.stdout + s.error_log
            self.assertNotEqual(done.returncode, 0, said)
            for text in (cert, key, 'match'):
                self.assertIn(text, said)

    @needs_root
    def test_F08_key_that_others_may_read(self):
        cert, key = certificate()
        s = self.configure('<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile @DIR@/open.key\n</VirtualHost>\n' % cert)
        with open(key) as f:
            s.write('open.key', f.read(), 0o644)
        os.chown(s.path('open.key'), 33, 33)
        done = s.run('-t')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r'warning: .*open\.key')
        self.assertRegex(done.stdout, r'chmod .*open\.key')

    def test_certificates_out_of_their_time_are_told(self):
        _, key = certificate()
        s = self.configure(''.join('<VirtualHost *:@TLS@>\nServerName %s.test\nSSLEngine on\nSSLCertificateFile @DIR@/%s.pem\n'
                                   'SSLCertificateKeyFile @key@\n</VirtualHost>\n' % (n, n if n != 'again' else 'old') for n in ('old', 'again', 'new', 'fine')),
                           {'ca.cnf': '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=@DIR@\ndatabase=@DIR@/index\nserial=@DIR@/serial\ndefault_md=sha256\npolicy=p\n'
                                      '[p]\ncommonName=supplied\n', 'serial': '01\n'})
        subprocess.run(['openssl', 'req', '-new', '-key', key, '-subj', '/CN=x.test', '-out', s.path('csr')], check=True)
        for name, start, end in (('old', 20200101, 20200102), ('new', 20980101, 20990101), ('fine', 20200101, 20990101)):
            s.write('index', '')
            subprocess.run(['openssl', 'ca', '-batch', '-notext', '-config', s.path('ca.cnf'), '-selfsign', '-keyfile', key, '-in', s.path('csr'), '-startdate',
                            '%d000000Z' % start, '-enddate', '%d000000Z' % end, '-out', s.path(name + '.pem')], check=True, capture_output=True)
        for args in (('-t',), ('-k', 'start')):
            done = s.run(*args)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(re.findall(r'case\.conf:(\d+): warning: the certificate in .*/(\w+)\.pem (expired on|is not valid before) (\S+)', done.stdout),
                             [('5', 'old', 'expired on', '2020-01-02'), ('17', 'new', 'is not valid before', '2098-01-01')], done.stdout)

    def test_a_missing_certificate_is_told_as_one(self):
        s = self.configure('<VirtualHost *:@TLS@>\nSSLEngine on\nSSLCertificateFile @DIR@/none.pem\n</VirtualHost>\n')
        for args in (('-t',), ('-k', 'start')):
            done = s.run(*args)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, r'case\.conf:3: error: the certificate file .*/none\.pem cannot be opened: No such file')
            self.assertNotIn('private key', done.stdout)

    def test_all_errors_of_a_configuration_are_told_in_one_run(self):
        s = self.configure('KeepAlive perhaps\nNoSuch 1\nHeadr set X 1\n<Directory "/">\nListen 80\n</Directory>\n')
        done = s.run('-t')
        self.assertNotEqual(done.returncode, 0)
        for line in (1, 2, 3, 5):
            self.assertIn('case.conf:%d: error' % line, done.stdout)
        self.assertRegex(done.stdout, r'did you mean .?Header')

    def test_undefined_variable_of_debian_names_envvars(self):
        s = self.configure('ErrorLog ${APACHE_NO_SUCH_DIR}/error.log\n')
        done = s.run('-t')
        self.assertRegex(done.stdout, r'envvars')
        self.assertRegex(done.stdout, r'bulkheadctl')

    def test_listen_https_turns_tls_on_where_a_certificate_is(self):
        s = self.serve('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@ https\n<VirtualHost *:@TLS@>\n' + SSL_ON.replace('SSLEngine on\n', '') + '</VirtualHost>\n')
        self.assertEqual((s.get().status, s.get(tls=True).status), (200, 200))
        s = self.serve('Listen 127.0.0.1:@PORT@\nListen 127.0.0.1:@TLS@ https\n<VirtualHost *:@TLS@>\n' + SSL_ON.replace('on', 'off', 1) + '</VirtualHost>\n')
        self.assertEqual(s.get(port=s.tls_port).status, 200)

    @needs_localhost
    def test_listen_by_name_takes_all_its_addresses(self):
        s = self.serve('Listen localhost:@PORT@\n')
        found = {info[4][:2] for info in socket.getaddrinfo('localhost', s.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)}
        self.assertIn('127.0.0.1', {address for address, _ in found})
        for address in found:
            with socket.create_connection(address, timeout=10) as c:
                c.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
                self.assertIn(b' 200 ', c.recv(100))

    @needs_root
    def test_listen_by_a_name_with_several_addresses(self):
        """The machine's own resolver, with a file of hosts that the server alone sees."""
        s = self.configure('Listen many.test:@PORT@\n')
        s.write('hosts', '127.0.0.1 localhost\n127.0.0.1 many.test\n127.0.0.2 many.test\n127.0.0.3 many.test\n')
        apart = ('unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', s.path('hosts'))
        if subprocess.run(apart + ('true',), capture_output=True).returncode:
            self.skipTest('mounting is not allowed here')
        s.start_foreground('-D', 'FOREGROUND', prefix=apart)
        reached = []
        for last in range(1, 5):
            with socket.socket() as c:
                if c.connect_ex(('127.0.0.%d' % last, s.port)) == 0:
                    reached.append(last)
        self.assertEqual(reached, [1, 2, 3])

    @needs_localhost
    def test_listen_by_name_survives_a_restart(self):
        s = self.serve('Listen localhost:@PORT@\nHeader set X-Gen 1\n')
        s.write('case.conf', s.read('case.conf').replace('Gen 1', 'Gen 2'))
        self.assertEqual(s.run('-k', 'graceful').returncode, 0)
        wait_for(lambda: s.get().headers['x-gen'] == '2', lambda: 'the new generation answers: ' + s.error_log)

    def test_stop_works_with_a_spoiled_configuration(self):
        s = self.serve('Header set X-A 1\n')
        s.write('case.conf', 'NoSuchDirective\n')
        for word in ('graceful', 'restart', 'upgrade'):
            done = s.run('-k', word)
            self.assertEqual(done.returncode, 1)
            self.assertIn('nothing is done, and a server that runs goes on: 1 error in the configuration', done.stdout)
        self.assertEqual(s.get().headers['x-a'], '1')
        done = s.run('-k', 'stop')
        self.assertEqual(done.returncode, 0, done.stdout)
        wait_for(s.gone, 'it ends')

    def test_debians_layout_through_bulkheadctl(self):
        s = self.configure(main=False)
        user = account().pw_name if ROOT else 'nobody'
        s.write('etc/apache2.conf', 'User ${APACHE_RUN_USER}\nPidFile ${APACHE_PID_FILE}\nDefaultRuntimeDir @DIR@/run\nErrorLog ${APACHE_LOG_DIR}/error.log\n'
                'ServerName localhost\nInclude ports.conf\nIncludeOptional mods-enabled/*.conf\n')
        s.write('etc/ports.conf', 'Listen 127.0.0.1:@PORT@\n')
        s.write('etc/mods-enabled/headers.conf', 'Header always set X-From mods-enabled\n')
        s.write('etc/envvars', 'export APACHE_RUN_USER=%s APACHE_PID_FILE=@DIR@/run/pid APACHE_LOG_DIR=@DIR@/logs\n' % user)
        ctl = [os.path.join(os.path.dirname(__file__), '../../server/cli/bulkheadctl')]
        env = dict(os.environ, ENVVARS=s.path('etc/envvars'), BULKHEAD=BIN)
        call = lambda word: subprocess.run(ctl + [word, '-f', s.path('etc/apache2.conf')], env=env, capture_output=True, text=True, timeout=30)
        done = call('configtest')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(call('start').returncode, 0)
        s.pid = s.read_pid()
        self.assertEqual(s.get('/').headers['x-from'], 'mods-enabled')
        self.assertEqual(call('stop').returncode, 0)
        wait_for(s.gone, 'it ends')

    def test_a_typo_is_told_what_was_meant(self):
        s = self.configure('AllowOveride None\n')
        self.assertRegex(s.run('-t').stdout, r'did you mean .?AllowOverride')

    def test_version_and_build_as_control_scripts_read_them(self):
        s = self.configure()
        self.assertRegex(s.run('-v').stdout, r'^Server version: Bulkhead/\S+ \(Unix\) Apache/2\.4\.71\n')
        built = s.run('-V').stdout
        for text in ("Server's Module Magic Number: 20120211:142", 'Server MPM:     prefork', ' -D HTTPD_ROOT="', ' -D SERVER_CONFIG_FILE="'):
            self.assertIn(text, built)

    def test_demo_serves_a_page_and_keeps_its_certificate(self):
        if listening(8443) or listening(8080):
            self.fail('ports 8443 and 8080 must be free for this test')
        s = self.configure()
        folder = s.path('demo')
        seen = []
        for _ in range(2):
            process = subprocess.Popen([BIN, '--demo', folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                wait_for(lambda: listening(8443) or process.poll() is not None, 'it listens', 20)
                curl = ['curl', '-sS', '--max-time', '10', '--cacert', folder + '/localhost.pem']
                page = subprocess.run(curl + ['https://localhost:8443/'], capture_output=True, text=True)
                self.assertEqual(page.returncode, 0, page.stderr)
                self.assertIn('<html', page.stdout)
                moved = subprocess.run(['curl', '-sSI', '--max-time', '10', 'http://localhost:8080/'], capture_output=True, text=True).stdout
                self.assertIn('https://localhost:8443/', moved)
                with open(folder + '/localhost.pem') as f:
                    seen.append(f.read())
            finally:
                process.send_signal(signal.SIGINT)
                output = process.communicate(timeout=20)[0]
            self.assertEqual(process.returncode, 0)
            self.assertIn('curl --cacert %s/localhost.pem https://localhost:8443/' % folder, output)
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(os.stat(folder + '/localhost.key').st_mode & 0o777, 0o600)


class Roles(ServerTest):
    @needs_root
    @unittest.skipIf('sanitize' in BIN, 'sanitized builds run without seccomp, and say so')
    def test_what_each_role_may(self):
        s = self.serve('<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        self.assertEqual(s.get(tls=True).status, 200)
        family = children_of(s.pid)
        self.assertGreaterEqual(len(family), 3)
        for pid in family:
            status = status_of(pid)
            self.assertNotIn('0', status['Uid'].split(), status['Name'])
            self.assertNotIn('0', status['Gid'].split(), status['Name'])
            for name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'CapBnd'):
                self.assertEqual(int(status[name], 16), 0, (status['Name'], name))
            self.assertEqual((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), status['Name'])
        self.assertEqual(status_of(s.pid)['Uid'].split(), ['0'] * 4)

    @needs_root
    def test_keys_are_opened_by_nobody_but_the_keyholder(self):
        s = self.serve('<VirtualHost *:@TLS@>\n' + SSL_ON + '</VirtualHost>\n')
        self.assertEqual(s.get(tls=True).status, 200)
        s.role('keys')
        links = lambda: [os.readlink('/proc/%d/fd/%s' % (pid, fd)) for pid in s.workers() for fd in os.listdir('/proc/%d/fd' % pid)]
        wait_for(lambda: len(s.workers()) > 1 and not any('.key' in link for link in links()), lambda: 'no child has a key: %r' % links())


if __name__ == '__main__':
    unittest.main()
