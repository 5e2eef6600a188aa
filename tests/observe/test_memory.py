"""What was large goes back to the system, whatever small things still stand around it."""

import subprocess
import sys

import pytest

from mira.observe.memory import LARGE_BYTES

PROGRAM = f"""
import os
from mira.observe.memory import give_back_large

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

if GIVEN_BACK:
    give_back_large()
# glibc would take this for a sign that such sizes are usual here.
bytearray(20 << 20)
before = resident()
large, small = [], []
for _ in range(60):
    large.append(bytes(4 * {LARGE_BYTES}))
    small.append(bytes(1000))
    large[-1] = large[-1].replace(b"\\0", b"x")
del large
print(resident() - before)
"""


def kept_bytes(given_back: bool) -> int:
    program = PROGRAM.replace("GIVEN_BACK", str(given_back))
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_memory_goes_back_to_the_system() -> None:
    assert kept_bytes(given_back=True) < 8 * LARGE_BYTES
