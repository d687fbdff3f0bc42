"""The program as it was built: what hardens it is really in it."""
import subprocess
import unittest

from server import BIN, SANITIZED


def readelf(*options):
    return subprocess.run(['readelf', '-W', *options, BIN], check=True, capture_output=True, text=True).stdout


class Hardening(unittest.TestCase):
    def test_position_independent(self):
        self.assertRegex(readelf('-h'), r'Type:\s+DYN')

    def test_relocations_are_read_only_and_bound_at_start(self):
        self.assertIn('GNU_RELRO', readelf('-l'))
        self.assertRegex(readelf('-d'), r'BIND_NOW|FLAGS_1.*NOW')

    def test_no_executable_stack_and_no_writable_code(self):
        for line in readelf('-l').splitlines():
            words = line.split()
            if words[:1] == ['GNU_STACK']:
                self.assertNotIn('E', words[6])
            if words[:1] == ['LOAD']:
                self.assertNotIn('RWE', ''.join(words[6:-1]))

    def test_stack_protector(self):
        self.assertIn('__stack_chk_fail', readelf('--dyn-syms'))

    @unittest.skipIf(SANITIZED, 'the sanitizers check these calls themselves')
    def test_fortified_calls(self):
        self.assertRegex(readelf('--dyn-syms'), r'__(vsnprintf|snprintf|memcpy|read|recv)_chk')


if __name__ == '__main__':
    unittest.main()
