"""load.py - clients that send requests until told to stop, each request with a number of its own (?id=…), and tell what became of them."""
import os
import threading
import time

from server import context

CLOSE, KEEP, TLS_CLOSE, TLS_KEEP = (False, False), (True, False), (False, True), (True, True)
ALL = (CLOSE, KEEP, TLS_CLOSE, TLS_KEEP)


class Load:
    """`kinds` is one client each: (connection is kept, TLS). answered: ids with a whole answer of status 200. failed: (id, why) of those that
    a new connection did not serve, or that broke amid an answer. raced: ids sent on a kept connection which the server closed
    before it answered a byte of it: clients send these again."""

    def __init__(self, server, kinds=(CLOSE, KEEP), path='/', pause=0.002, limit=60):
        self.server, self.path, self.pause, self.until = server, path, pause, time.monotonic() + limit
        self.answered, self.failed, self.raced, self.stopping, self.lock, self.last = [], [], [], False, threading.Lock(), 0
        self.slowest = 0
        self.threads = [threading.Thread(target=self.work, args=kind, daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def number(self):
        with self.lock:
            self.last += 1
            return self.last

    def work(self, keep, tls):
        conn, ctx = None, context() if tls else None
        while not self.stopping and time.monotonic() < self.until:
            fresh, number, stays, began, told = conn is None, self.number(), False, time.monotonic(), False
            try:
                conn = conn or self.server.connect(ctx=ctx)
                conn.send('GET %s?id=%d HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n%s\r\n' % (self.path, number, '' if keep else 'Connection: close\r\n'))
                conn.more()
                told = True
                answer = conn.response()
                if answer.status == 200:
                    self.answered.append(number)
                else:
                    self.failed.append((number, 'status %d' % answer.status))
                stays = keep and answer.headers.get('connection') != 'close'
            except (OSError, EOFError) as e:
                if fresh or told:
                    self.failed.append((number, '%s %s' % ('TLS' if tls else 'plain', e or type(e).__name__)))
                else:
                    self.raced.append(number)
            self.slowest = max(self.slowest, time.monotonic() - began)
            if conn and not stays:
                conn.sock.close()
                conn = None
            time.sleep(self.pause)
        if conn:
            conn.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(30)
        return self

    def tell(self, test, **more):
        """One line of figures where LOAD_FIGURES is set."""
        if 'LOAD_FIGURES' in os.environ:
            print('%s: answered %d, failed %d %r, raced %d, slowest %.0f ms %s' % (test.id().split('.')[-1], len(self.answered), len(self.failed), self.failed[:4],
                  len(self.raced), self.slowest * 1000, ' '.join('%s %s' % item for item in more.items())), flush=True)
