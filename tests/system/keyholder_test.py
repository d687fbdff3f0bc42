"""What a child that was taken over can do to the keyholder: nothing but ask. Its socket is taken from it, and nonsense is sent."""
import ctypes
import os
import random
import socket
import struct
import unittest

from server import SSL_ON, ServerTest, needs_root

RUN, RESULT, ERROR = 5, 6, 7            # of server/tls/keyproto.h
SIGN_HASH, ECDSA_SHA256 = 0, 14         # enum key_operation, gnutls_sign_algorithm_t
PIDFD_GETFD = 438


def steal(pid, fd):
    """A duplicate of another process's descriptor, as a socket; None where it is another kind."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    got = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    os.close(pidfd)
    try:
        return socket.socket(fileno=got) if got >= 0 else None
    except OSError:
        os.close(got)
        return None


def request(key, operation, algorithm, data, length=None):
    return struct.pack('IIII', key, operation, algorithm, len(data) if length is None else length) + data


def ask(sock, kind, number, data, fds=()):
    socket.send_fds(sock, [struct.pack('II', kind, number), data], list(fds))
    while True:
        answer = sock.recv(20000)
        if struct.unpack_from('II', answer)[1] == number:
            return struct.unpack_from('I', answer)[0], answer[8:]


def keyholder_socket(pid):
    """The child's end of its socket to the keyholder: the one where a request for a key that is not there gets an error."""
    for name in os.listdir('/proc/%d/fd' % pid):
        sock = steal(pid, int(name))
        if not sock:
            continue
        sock.settimeout(1)
        try:
            if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET and ask(sock, RUN, 1 << 30, request(999, 0, 0, b'x'))[0] == ERROR:
                sock.settimeout(10)
                return sock
        except OSError:
            pass
        sock.close()
    raise AssertionError('no socket to a keyholder')


class Hostile(ServerTest):
    @needs_root
    def test_no_request_ends_the_keyholder(self):
        s = self.serve('StartServers 2\nMaxRequestWorkers 64\n<VirtualHost *:@TLS@>\nServerName localhost\n' + SSL_ON + '</VirtualHost>\n')
        holders = s.roles('keys')
        chance = random.Random(20)
        with keyholder_socket(s.workers()[0]) as sock, open('/dev/null', 'rb') as null:
            number = 1 << 29
            for _ in range(3000):
                number += 1
                data = chance.randbytes(chance.choice((0, 1, 15, 16, 17, 48, 300, 16384)))
                if chance.random() < 0.6:
                    data = request(chance.choice((0, 0, 1, 2 ** 32 - 1)), chance.choice((0, 1, 2, 3, 2 ** 32 - 1)), chance.choice((0, 1, 6, 14, 99, 2 ** 32 - 1)),
                                   data[:16300], chance.choice((None, 0, 1, 2 ** 32 - 1)))
                kind = chance.choice((RUN, RUN, RUN, RESULT, 1, 4, 8, 9, 2 ** 32 - 1))
                got, _ = ask(sock, kind, number, data, [null.fileno()] * chance.choice((0, 0, 0, 1, 8)))
                self.assertEqual(got, ERROR, (kind, data[:40]))
            # It was listening: the same socket signs a hash.
            got, signature = ask(sock, RUN, number + 1, request(0, SIGN_HASH, ECDSA_SHA256, bytes(32)))
            self.assertEqual((got, signature[:1]), (RESULT, b'\x30'))
            # Many at once, none of them read: neither waits the keyholder, nor another child.
            sock.setblocking(False)
            try:
                for n in range(5000):
                    socket.send_fds(sock, [struct.pack('II', RUN, n) + request(999, 0, 0, b'x')], [])
            except BlockingIOError:
                pass
            other = keyholder_socket(s.workers()[1])
            self.assertEqual(ask(other, RUN, 1 << 29, request(0, SIGN_HASH, ECDSA_SHA256, bytes(32)))[0], RESULT)
            other.close()
        self.assertEqual(s.roles('keys'), holders)
        self.assertEqual(len(s.workers()), 2)


if __name__ == '__main__':
    unittest.main()
