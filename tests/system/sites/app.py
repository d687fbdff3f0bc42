"""A small application in WSGI, for tests with gunicorn: what it was told, a redirect, a body that is counted, an answer that streams."""
import hashlib
import time


def streamed(size):
    while size > 0:
        yield b'x' * min(size, 65536)
        size -= 65536


def app(environ, start_response):
    path = environ['PATH_INFO']
    plain = [('Content-Type', 'text/plain')]
    if path == '/login':
        start_response('302 Found', [('Location', '%s://%s/home' % (environ['wsgi.url_scheme'], environ['HTTP_HOST'])), ('Set-Cookie', 'sid=1; Path=/')])
        return [b'']
    if path == '/inside':
        start_response('302 Found', [('Location', 'http://127.0.0.1:%s/home' % environ['SERVER_PORT'])])
        return [b'']
    if path == '/digest':
        digest, size = hashlib.sha256(), 0
        while True:
            part = environ['wsgi.input'].read(65536)
            if not part:
                break
            digest.update(part)
            size += len(part)
        start_response('200 OK', plain)
        return [b'%d %s' % (size, digest.hexdigest().encode())]
    if path == '/stream':
        start_response('200 OK', plain)
        return streamed(int(environ['QUERY_STRING']))
    if path == '/slow/sleep':
        time.sleep(8)
        start_response('200 OK', plain)
        return [b'late']
    if path == '/fails':
        start_response('503 Service Unavailable', plain)
        return [b'the words of the application']
    start_response('200 OK', plain)
    return ['\n'.join('%s=%s' % (name, environ.get(name, '-')) for name in (
        'PATH_INFO', 'QUERY_STRING', 'HTTP_HOST', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_HOST', 'REQUEST_METHOD')).encode()]
