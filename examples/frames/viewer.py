"""Reads the frames of camera.js with numpy, without copying them.

    python3 examples/frames/viewer.py [frames] [name]
"""

import sys
import time
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy

HEADER = 128


def attach(name):
    """Attaches a segment. Before Python 3.13, the resource tracker would remove it when this process ends."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    segment = SharedMemory(name)
    resource_tracker.unregister(segment._name, "shared_memory")
    return segment


def main(wanted="30", name="camera"):
    segment = attach(name)
    header = numpy.ndarray(16, dtype=numpy.int64, buffer=segment.buf)
    width, height, slots = (int(number) for number in header[1:4])
    frames = numpy.ndarray((slots, height, width, 3), dtype=numpy.uint8, buffer=segment.buf, offset=HEADER)

    seen = last = 0
    while seen < int(wanted):
        newest = int(header[0])
        if newest == last:
            time.sleep(0.005)
            continue
        slot = newest % slots
        low, high = int(frames[slot].min()), int(frames[slot].max())
        if int(header[4 + slot]) != newest:
            continue  # it was overwritten meanwhile
        if (low, high) != (newest % 256, newest % 256):
            raise SystemExit("a torn frame")
        last = newest
        seen += 1
    print(f"{seen} frames of {width} x {height}, the last of one grey: {str(low == high).lower()}")
    del header, frames
    segment.close()


main(*sys.argv[1:])
