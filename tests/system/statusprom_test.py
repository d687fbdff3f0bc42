"""Metrics: a real Prometheus scrapes them; they are those that docs/monitoring.md describes; its alerts and the dashboard ask for what there is."""
import json
import os
import re
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

from server import SSL_ON, ServerTest, free_port, wait_for

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = os.path.join(TOP, 'docs/prometheus/bulkhead-alerts.yml')
CONFIG = '''
StartServers 2
<Location "/metrics">
    SetHandler server-status
    StatusFormat prometheus
    Require ip 127.0.0.1
</Location>
ProxyPass "/b/" "http://127.0.0.1:@PORT@/"
<VirtualHost 127.0.0.1:@TLS@>
    ServerName www.example.test
''' + SSL_ON + '''</VirtualHost>
'''
# Alerts that fire, and others that do not.
ALERT_TESTS = '''
rule_files:
  - %s
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'bulkhead_children_ended_total{instance="a",how="crash"}'
        values: '0 0 0 1 1 1'
      - series: 'bulkhead_children_ended_total{instance="a",how="normal"}'
        values: '0 5 10 15 20 25'
      - series: 'bulkhead_host_certificate_expires_seconds{instance="a",host="near"}'
        values: '864000x10'
      - series: 'bulkhead_host_certificate_expires_seconds{instance="a",host="far"}'
        values: '8640000x10'
      - series: 'bulkhead_host_responses_total{instance="a",host="h",class="5xx"}'
        values: '0+10x20'
      - series: 'bulkhead_host_responses_total{instance="a",host="h",class="2xx"}'
        values: '0+90x20'
      - series: 'bulkhead_host_responses_total{instance="a",host="good",class="2xx"}'
        values: '0+90x20'
    promql_expr_test:
      - expr: count(ALERTS{alertstate="firing",alertname="BulkheadChildrenCrash"})
        eval_time: 5m
        exp_samples: [{value: 1}]
      - expr: count by (host) (ALERTS{alertstate="firing",alertname="BulkheadCertificateExpires"})
        eval_time: 5m
        exp_samples: [{labels: '{host="near"}', value: 1}]
      - expr: count by (host) (ALERTS{alertstate="firing",alertname="BulkheadServerErrors"})
        eval_time: 12m
        exp_samples: [{labels: '{host="h"}', value: 1}]
      - expr: count(ALERTS{alertname="BulkheadDown"})
        eval_time: 5m
        exp_samples: []
'''


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def documented():
    return re.findall(r'(?m)^\| `(bulkhead_\w+)` \| (\w+) \|', read('docs', 'monitoring.md'))


def names_in(expression):
    """The metrics that an expression asks for."""
    found = set()
    for name in re.findall(r'\bbulkhead_\w+', re.sub(r'"[^"]*"', '', expression)):
        found.add(re.sub(r'_(bucket|sum|count)$', '', name) if name not in dict(documented()) else name)
    return found


class Documents(unittest.TestCase):
    def test_the_dashboard_asks_for_what_there_is(self):
        board = json.loads(read('docs', 'grafana', 'bulkhead.json'))
        known, asked = dict(documented()), set()
        for panel in board['panels']:
            self.assertTrue(panel['targets'], panel['title'])
            for target in panel['targets']:
                asked |= names_in(target['expr'])
        self.assertGreater(len(asked), 20)
        self.assertEqual(asked - set(known), set())
        self.assertEqual(len({p['id'] for p in board['panels']}), len(board['panels']))
        places = [(p['gridPos']['x'], p['gridPos']['y']) for p in board['panels']]
        self.assertEqual(len(set(places)), len(places))
        self.assertEqual([i['name'] for i in board['__inputs']], ['DS_PROMETHEUS'])

    def test_the_alerts_ask_for_what_there_is(self):
        asked = names_in(re.sub(r'(?m)^\s*#.*$|^\s*(summary|description|- alert|- name):.*$', '', read('docs', 'prometheus', 'bulkhead-alerts.yml')))
        self.assertGreater(len(asked), 10)
        self.assertEqual(asked - set(dict(documented())), set())
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'tests.yml')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(ALERT_TESTS % RULES)
            for words in (['check', 'rules', RULES], ['test', 'rules', path]):
                done = subprocess.run(['promtool', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stdout)


class Metrics(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.s = cls.shared(CONFIG).start()
        cls.s.get('/b/')
        cls.s.get('/', tls=True)

    def test_they_are_those_of_the_document(self):
        text = self.s.get('/metrics').body.decode()
        types = re.findall(r'(?m)^# TYPE (\S+) (\S+)$', text)
        self.assertEqual(sorted(types), sorted(documented()))
        self.assertEqual(len(set(dict(types))), len(types))
        helps = dict(re.findall(r'(?m)^# HELP (\S+) (.+)$', text))
        self.assertEqual({name for name, _ in types}, set(helps))
        told = dict(re.findall(r'(?m)^\| `(bulkhead_\w+)` \| \w+ \|[^|]*\|[^|]*\| (.*) \|$', read('docs', 'monitoring.md')))
        self.assertEqual(helps, told)
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, ''))

    def start_prometheus(self):
        port, folder = free_port(), self.s.path('prometheus')
        self.s.write('prometheus.yml', '''
            global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
            scrape_configs:
              - job_name: bulkhead
                metrics_path: /metrics
                static_configs: [{targets: ['127.0.0.1:%d']}]
            rule_files: ['%s']
            ''' % (self.s.port, RULES))
        with open(self.s.path('prometheus.log'), 'wb') as log:
            process = subprocess.Popen(['prometheus', '--config.file', self.s.path('prometheus.yml'), '--storage.tsdb.path', folder,
                                        '--web.listen-address', '127.0.0.1:%d' % port, '--log.level', 'warn'], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return 'http://127.0.0.1:%d/api/v1/' % port

    def ask(self, address, what, **query):
        try:
            with urllib.request.urlopen(address + what + '?' + urllib.parse.urlencode(query), timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return {'status': error.read().decode(errors='replace')}
        except OSError as error:
            return {'status': str(error)}           # it does not listen yet

    def test_prometheus_scrapes_them(self):
        address = self.start_prometheus()

        def value(expression):
            answer = self.ask(address, 'query', query=expression)
            return answer['status'] == 'success' and [float(r['value'][1]) for r in answer['data']['result']]
        for expression in ('up{job="bulkhead"} == 1', 'sum(bulkhead_host_responses_total{class="2xx"}) >= 2', 'bulkhead_tls_handshakes_total == 1',
                           'bulkhead_backend_up == 1', 'histogram_quantile(0.9, bulkhead_host_request_duration_seconds_bucket) > 0'):
            wait_for(lambda e=expression: value(e), lambda e=expression: '%s; its log: %s' % (e, self.s.read('prometheus.log')[-2000:]), 60)
        expressions = [t['expr'] for p in json.loads(read('docs', 'grafana', 'bulkhead.json'))['panels'] for t in p['targets']]
        for expression in expressions:
            expression = expression.replace('$__rate_interval', '1m').replace('$instance', '.*')
            self.assertEqual(self.ask(address, 'query', query=expression)['status'], 'success', expression)

        def rules():
            return [r for g in self.ask(address, 'rules').get('data', {}).get('groups', []) for r in g['rules']]
        wait_for(lambda: rules() and all(r['health'] != 'unknown' for r in rules()), 'the alerts are evaluated', 60)
        self.assertEqual([r for r in rules() if r['health'] != 'ok'], [])


if __name__ == '__main__':
    unittest.main()
