"""The forms of the status page: what each holds, that they agree, that Apache's tools read it, and what browsers may load for it."""
import base64
import hashlib
import json
import os
import re
import subprocess
import unittest

from server import SSL_ON, ServerTest, context, wait_for

CONFIG = '''
StartServers 2
<Location "/status">
    SetHandler server-status
    Require ip 127.0.0.1
</Location>
<Location "/json">
    SetHandler server-status
    StatusFormat json
</Location>
<Location "/lines">
    SetHandler server-status
    StatusFormat auto
</Location>
<Location "/rule">
    RewriteEngine On
    RewriteRule . - [H=server-status]
</Location>
ProxyPass "/b/" "balancer://pool/"
<Proxy "balancer://pool">
    BalancerMember "http://127.0.0.1:@PORT@" route=a
</Proxy>
<VirtualHost 127.0.0.1:@TLS@>
    ServerName www.example.test
''' + SSL_ON + '''</VirtualHost>
'''

# The names that Apache 2.4 gives its lines, in its order, where a TLS session cache and a balancer are there.
LINES = '''ServerVersion ServerMPM CurrentTime RestartTime ParentServerConfigGeneration ParentServerMPMGeneration ServerUptimeSeconds ServerUptime Load1
Load5 Load15 Total_Accesses Total_kBytes Total_Duration CPUUser CPUSystem CPUChildrenUser CPUChildrenSystem CPULoad Uptime ReqPerSec BytesPerSec
BytesPerReq DurationPerReq BusyWorkers GracefulWorkers IdleWorkers Processes Stopping ConnsTotal ConnsAsyncWriting ConnsAsyncKeepAlive ConnsAsyncClosing
Scoreboard CacheType CacheSharedMemory CacheCurrentEntries CacheSubcaches CacheIndexesPerSubcaches CacheIndexUsage CacheUsage CacheStoreCount
CacheReplaceCount CacheExpireCount CacheDiscardCount CacheRetrieveHitCount CacheRetrieveMissCount CacheRemoveHitCount CacheRemoveMissCount
ProxyBalancer[0]Name ProxyBalancer[0]Worker[0]Name ProxyBalancer[0]Worker[0]Status ProxyBalancer[0]Worker[0]Elected ProxyBalancer[0]Worker[0]Busy
ProxyBalancer[0]Worker[0]Sent'''.split()
NOT_AT_ONCE = {'CPULoad', 'ReqPerSec', 'BytesPerSec'}           # not within the first second


class Forms(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = s = cls.shared(CONFIG, {'htdocs/a.txt': 'x' * 5000}).start()
        for path in ('/a.txt', '/none', '/b/a.txt'):
            s.get(path)
        ctx = context()
        with s.connect(ctx=ctx, sni='www.example.test') as c:
            c.request('/a.txt', host='www.example.test', close=True)
            session = c.sock.session
        with s.connect(ctx=ctx, sni='www.example.test', session=session) as c:
            c.request('/a.txt', host='www.example.test', close=True)
        wait_for(lambda: cls.host(json.loads(s.get('/json').body))['requests'] == 2, 'both requests are over for the server, too')

    @staticmethod
    def host(status):
        return next((h for h in status['hosts'] if h['name'].startswith('www.example.test')), {'requests': 0})

    def get(self, query, place='/status'):
        answer = self.s.get(place + query)
        self.assertEqual((answer.status, answer.headers['cache-control']), (200, 'no-store'))
        return answer

    def object(self):
        answer = self.get('?json')
        self.assertEqual(answer.headers['content-type'], 'application/json')
        return json.loads(answer.body)

    def metrics(self):
        answer = self.get('?prometheus')
        self.assertEqual(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
        return {name: float(value) for name, value in re.findall(r'(?m)^([^#\s][^ ]*(?: [^"{}]*"[^"]*"[^ ]*)*) (\S+)$', answer.body.decode())}

    def test_lines_have_apaches_names_in_its_order(self):
        text = self.get('?auto').body.decode()
        names = [line.split(': ', 1)[0] for line in text.splitlines() if ': ' in line]
        expected = [name.replace('_', ' ') for name in LINES]
        self.assertEqual([n for n in names if n not in NOT_AT_ONCE], [n for n in expected if n not in NOT_AT_ONCE])
        self.assertLess(text.index('\nScoreboard: '), text.index('\nTLSSessionCacheStatus\nCacheType: SHMCB\n'))
        fields = dict(line.split(': ', 1) for line in text.splitlines() if ': ' in line)
        self.assertRegex(fields['CurrentTime'], r'^[A-Z][a-z]+day, \d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d \S+$')
        self.assertRegex(fields['Scoreboard'], r'^[_SRWKDCLGI.]+$')
        for name in ('Total Accesses', 'Total kBytes', 'Total Duration', 'Uptime', 'BusyWorkers', 'IdleWorkers', 'ConnsTotal', 'CacheStoreCount'):
            self.assertTrue(fields[name].isdigit(), name)

    @unittest.skipUnless(os.path.exists('/usr/share/munin/plugins/apache_accesses'), 'munin-plugins-core is not installed')
    def test_munin_reads_it(self):
        for plugin, pattern in (('apache_accesses', r'accesses\d+\.value \d+'), ('apache_processes', r'busy\d+\.value [1-9]\d*\nidle\d+\.value \d+\n'),
                                ('apache_volume', r'volume\d+\.value \d+')):
            done = subprocess.run(['perl', '/usr/share/munin/plugins/' + plugin], capture_output=True, text=True, timeout=60,
                                  env=dict(os.environ, url='http://127.0.0.1:%d/status?auto', ports=str(self.s.port), MUNIN_LIBDIR='/usr/share/munin',
                                           MUNIN_PLUGSTATE=self.s.path('run'), MUNIN_STATEFILE=self.s.path('run/munin')))
            self.assertRegex(done.stdout, pattern, plugin + done.stderr)

    def test_json_and_metrics_agree(self):
        before, m, after = self.object(), self.metrics(), self.object()
        for group, key, name in (('requests', 'total', 'bulkhead_requests_total'), ('requests', 'bytes', 'bulkhead_sent_bytes_total'),
                                 ('connections', 'accepted', 'bulkhead_connections_accepted_total'), ('tls', 'handshakes', 'bulkhead_tls_handshakes_total')):
            self.assertLessEqual(before[group][key], m[name], name)
            self.assertLessEqual(m[name], after[group][key], name)
        self.assertGreaterEqual(before['tls']['handshakes'], 2)
        self.assertEqual(m['bulkhead_tls_kind_handshakes_total{kind="ticket"}'], before['tls']['kinds']['ticket'])
        host = self.host(before)
        label = 'host="%s"' % host['name']
        self.assertEqual(m['bulkhead_host_responses_total{%s,class="2xx"}' % label], host['responses']['2xx'])
        self.assertEqual(m['bulkhead_host_certificate_expires_seconds{%s}' % label], host['certificate_expires'])
        buckets = [(float(re.search(r'le="([^"]+)"', n)[1].replace('+Inf', 'inf')), v) for n, v in m.items()
                   if n.startswith('bulkhead_host_request_duration_seconds_bucket{' + label)]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets))
        self.assertEqual(buckets[-1][1], m['bulkhead_host_request_duration_seconds_count{%s}' % label])
        self.assertEqual(buckets[-1][1], host['requests'])
        self.assertEqual(after['backends'][0]['elected'], m['bulkhead_backend_elected_total{balancer="pool",backend="http://127.0.0.1:%d"}' % self.s.port])
        self.assertEqual(len(before['children']['list']), before['children']['living'])

    def test_the_form_by_place_and_by_query(self):
        json.loads(self.get('', '/json').body)
        self.assertIn(b'Total Accesses: ', self.get('', '/lines').body)
        json.loads(self.get('?json', '/lines').body)
        self.assertIn(b'<h1>', self.get('?notable').body)
        self.assertNotIn(b'>Generation</th>', self.get('?notable').body)
        self.assertIn(b'>Generation</th>', self.get('').body)
        answer = self.s.get('/status', method='POST', body=b'')
        self.assertEqual((answer.status, answer.headers['allow']), (405, 'GET,HEAD,OPTIONS'))
        answer = self.s.get('/status', method='HEAD')
        self.assertEqual(answer.status, 200)
        self.assertGreater(int(answer.headers['content-length']), 1000)
        self.assertEqual(self.s.get('/rule').status, 503)

    def test_pages_load_nothing_and_run_nothing_else(self):
        for query, scripts in (('', 0), ('?live', 1)):
            answer = self.get(query)
            policy, text = answer.headers['content-security-policy'], answer.body.decode()
            self.assertTrue(policy.startswith("default-src 'none';"), policy)
            for tag, count in (('style', 1), ('script', scripts)):
                found = re.findall(r'<%s>(.*?)</%s>' % (tag, tag), text, re.S)
                self.assertEqual(len(found), count, tag)
                for content in found:
                    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
                    self.assertIn("%s-src 'sha256-%s'" % (tag, digest), policy)
            self.assertEqual('script-src' in policy, scripts == 1)
            text = re.sub(r'<(script|style)>.*?</\1>', '', text, flags=re.S)
            self.assertEqual(re.findall(r'<(?:script|style|img|link|iframe)\b[^>]*', text), ['<link rel="icon" href="data:,"'])
            self.assertEqual(re.findall(r'\b(?:on\w+|style)="', text), [])

    def test_the_script_asks_for_what_there_is(self):
        page = self.get('?live').body.decode()
        script, status = re.search(r'<script>(.*)</script>', page, re.S)[1], self.object()
        members = set(re.findall(r'\b(?:s|v|w|n|was|now)\.(%s)\.(\w+)' % '|'.join(k for k, v in status.items() if isinstance(v, dict)), script))
        self.assertGreater(len(members), 25)
        self.assertEqual([m for m in members if m[1] not in status[m[0]]], [])
        ids = set(re.findall(r'\b(?:put|byId)\("([\w-]+)"', script))
        self.assertGreater(len(ids), 15)
        self.assertEqual([i for i in ids if 'id="%s"' % i not in page], [])

    def test_what_clients_write_is_escaped(self):
        with self.s.connect() as c:
            text = c.request("/status/a&b'c?secret=word", close=True).body.decode()
        self.assertRegex(text, r'<td>/status/a&amp;b(&#39;|&#x27;|&apos;|\')c</td>')
        self.assertNotIn('secret', text)
        with self.s.connect() as c:
            c.send(b"GET /status/\\\"\xff?json HTTP/1.0\r\n\r\n")
            raw = c.rest()
        if raw.startswith(b'HTTP/1.1 200'):
            json.loads(raw.split(b'\r\n\r\n', 1)[1])
        else:
            self.assertTrue(raw.startswith(b'HTTP/1.1 400'), raw[:100])
        json.loads(self.s.get("/status/'%22%5C%FF?json").body)


if __name__ == '__main__':
    unittest.main()
