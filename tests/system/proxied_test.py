"""Who asks, behind a balancer: PROXY headers before TLS and HTTP, byte by byte, and fields of proxies; over real sockets."""
import socket
import ssl
import struct
import time

from server import ServerTest, wait_for

CONFIG = '''
LogFormat "%a %{c}a %U" where
CustomLog "@DIR@/logs/access_log" where
RemoteIPProxyProtocol On
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 198.51.100.1
'''


class Proxied(ServerTest):
    def lines(self, s, n):
        wait_for(lambda: len(s.read('logs/access_log').splitlines()) >= n, lambda: s.read('logs/access_log'))
        return s.read('logs/access_log').splitlines()

    def test_before_http_in_pieces_and_for_each_request(self):
        s = self.serve(CONFIG)
        with socket.create_connection(('127.0.0.1', s.port), 10) as c:
            for byte in b'PROXY TCP4 198.51.100.1 127.0.0.1 50000 80\r\n':
                c.sendall(bytes((byte,)))
                time.sleep(0.002)
            for path, field in (('/a', 'X-Forwarded-For: 192.0.2.9\r\n'), ('/b', ''), ('/c', 'X-Forwarded-For: 192.0.2.8\r\n')):
                c.sendall(('GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % (path, field)).encode())
                self.assertTrue(c.recv(65536).startswith(b'HTTP/1.1 404'))
        self.assertEqual(self.lines(s, 3), ['192.0.2.9 127.0.0.1 /a', '198.51.100.1 127.0.0.1 /b', '192.0.2.8 127.0.0.1 /c'])

    def test_before_tls(self):
        s = self.serve('<VirtualHost *:@TLS@>\nServerName localhost\nSSLEngine on\nSSLCertificateFile "@cert@"\nSSLCertificateKeyFile "@key@"\nRemoteIPProxyProtocol On\nCustomLog "@DIR@/logs/access_log" "%a %U"\n</VirtualHost>\n')
        context = ssl._create_unverified_context()
        header = b'\r\n\r\n\0\r\nQUIT\n\x21\x11' + struct.pack('!H4s4sHH', 12, bytes((192, 0, 2, 7)), bytes((127, 0, 0, 1)), 5000, 443)
        with socket.create_connection(('127.0.0.1', s.tls_port), 10) as plain:
            plain.sendall(header)
            with context.wrap_socket(plain, server_hostname='localhost') as c:
                c.sendall(b'GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
                self.assertTrue(c.recv(65536).startswith(b'HTTP/1.1 404'))
        self.assertEqual(self.lines(s, 1), ['192.0.2.7 /t'])

    def test_without_one_the_connection_ends_and_the_log_says_why(self):
        s = self.serve(CONFIG + 'RemoteIPProxyProtocolExceptions 127.0.0.2\n')
        for start in (b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', b'PROXY TCP4 a b 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n'):
            with socket.create_connection(('127.0.0.1', s.port), 10) as c:
                c.sendall(start)
                try:
                    self.assertEqual(c.recv(100), b'')
                except ConnectionResetError:
                    pass
        wait_for(lambda: s.read('logs/error_log').count('BH0525') == 2, lambda: s.read('logs/error_log'))
        self.assertIn('RemoteIPProxyProtocol', s.read('logs/error_log'))
        with socket.create_connection(('127.0.0.1', s.port), 10, source_address=('127.0.0.2', 0)) as c:
            c.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            self.assertTrue(c.recv(100).startswith(b'HTTP/1.1 '))
