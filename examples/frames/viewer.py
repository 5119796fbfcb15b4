"""Reads the frames of camera.js with numpy, without copying them.

    python3 examples/frames/viewer.py [frames] [name]
"""

import sys
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy

HEADER = 128


attaching = threading.Lock()


def attach(name, **options):
    """Opens a segment that Python does not remove when this process ends: see docs/guides/python.md."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False, **options)
    with attaching:  # earlier ones tell a tracker of every segment, and so it is kept from hearing of this one
        register, thread = resource_tracker.register, threading.get_ident()
        resource_tracker.register = lambda *what: threading.get_ident() == thread or register(*what)
        try:
            return SharedMemory(name, **options)
        finally:
            resource_tracker.register = register


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
