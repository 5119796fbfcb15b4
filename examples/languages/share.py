"""Shared memory with Node.js, in Python: multiprocessing.shared_memory, which is POSIX.

    node share.js posix python3 share.py
    python3 share.py create NAME    makes a segment of three doubles, and leaves it
    python3 share.py double NAME    prints the doubles of a segment, and doubles them
"""

import sys
import threading
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

try:
    import numpy
except ImportError:
    numpy = None


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


def doubles(segment):
    if numpy is not None:
        return numpy.ndarray(segment.size // 8, dtype=numpy.float64, buffer=segment.buf)
    return segment.buf[: segment.size // 8 * 8].cast("d")


def main(command, name):
    if command == "create":
        segment = attach(name, create=True, size=24)
        numbers = doubles(segment)
        for i in range(3):
            numbers[i] = 1.5 + i
    else:
        segment = attach(name)
        numbers = doubles(segment)
        print(*(f"{number:g}" for number in numbers))
        for i in range(len(numbers)):
            numbers[i] *= 2
    # A view must be gone before its segment can be closed.
    if numpy is None:
        numbers.release()
    del numbers
    segment.close()


main(*sys.argv[1:])
