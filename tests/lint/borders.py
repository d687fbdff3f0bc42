#!/usr/bin/env python3
"""Checks the borders between rooms: every #include "…" against tests/lint/borders."""
import os
import re
import subprocess
import sys

ROOMS = {'conf', 'shmcache', 'crashdump'}


def rules():
    allowed = {}
    with open('tests/lint/borders') as lines:
        for line in lines:
            line = line.split('#')[0].strip()
            if line:
                name, _, rest = line.partition(':')
                allowed[name] = set(rest.split())
    return allowed


def main():
    allowed, faults = rules(), 0
    files = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '*.c', '*.h'], capture_output=True, text=True).stdout.split()
    for path in files:
        parts = path.split('/')
        if parts[0] == 'server':
            room, short = parts[1], '/'.join(parts[1:])
        elif parts[0] in ROOMS:
            room, short = parts[0], path
        else:
            continue
        may = allowed[room] | allowed.get(short, set())
        with open(path) as f:
            for number, line in enumerate(f, 1):
                found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not found:
                    continue
                target = found[1]
                other = target.split('/')[0] if '/' in target else room
                if other != room and other not in may and target not in may:
                    print('%s:%d: %s may not include "%s"' % (path, number, short, target))
                    faults += 1
    for name in allowed:
        if name.endswith(('.c', '.h')) and not os.path.exists('server/' + name):
            print('tests/lint/borders names %s, which does not exist' % name)
            faults += 1
    return 1 if faults else 0


sys.exit(main())
