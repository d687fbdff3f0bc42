"""A server that sends back what comes over a WebSocket, and answers /live/page in HTTP; for tests. echo.py PORT"""
import asyncio
import http
import sys

import websockets


async def echo(websocket, path):
    async for message in websocket:
        if message == 'bye':
            await websocket.close(4001, 'as asked')
            return
        await websocket.send(path + ' ' + message if isinstance(message, str) else message)


async def plain(path, headers):
    if path.endswith('/page'):
        return http.HTTPStatus.OK, [('Content-Type', 'text/plain')], b'no socket'
    return None


async def main():
    async with websockets.serve(echo, '127.0.0.1', int(sys.argv[1]), process_request=plain, max_size=1 << 22):
        await asyncio.Future()

asyncio.run(main())
