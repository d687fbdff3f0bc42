"""Talks to echo.py over a WebSocket at the URL given; prints what came back; for tests."""
import asyncio
import ssl
import sys

import websockets


async def main():
    context = None
    if sys.argv[1].startswith('wss:'):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host = sys.argv[2]
    async with websockets.connect(sys.argv[1], ssl=context, max_size=1 << 22, extra_headers={}, server_hostname=None if not context else host, host='127.0.0.1') as w:
        await w.send('hello')
        print(await w.recv())
        await w.ping()
        big = bytes(range(256)) * 4096
        await w.send(big)
        print(await w.recv() == big)
        for i in range(50):
            await w.send(str(i))
        print(' '.join([(await w.recv()).split()[-1] for _ in range(50)]) == ' '.join(map(str, range(50))))
        await w.send('bye')
        try:
            await w.recv()
        except websockets.ConnectionClosed as e:
            print(e.rcvd.code, e.rcvd.reason)

asyncio.run(main())
