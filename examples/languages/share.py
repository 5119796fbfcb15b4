"""Shared memory with Node.js, in Python: multiprocessing.shared_memory, which is POSIX.

    node share.js posix python3 share.py
    python3 share.py create NAME    makes a segment of three doubles, and leaves it
    python3 share.py double NAME    prints the doubles of a segment, and doubles them
"""

import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

try:
    import numpy
except ImportError:
    numpy = None


def open_segment(name, **options):
    """A segment that is not removed when this process ends.

    Before Python 3.13, the resource tracker removes every segment that the process created or merely attached.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False, **options)
    segment = SharedMemory(name, **options)
    resource_tracker.unregister(segment._name, "shared_memory")
    return segment


def doubles(segment):
    if numpy is not None:
        return numpy.ndarray(segment.size // 8, dtype=numpy.float64, buffer=segment.buf)
    return segment.buf[: segment.size // 8 * 8].cast("d")


def main(command, name):
    if command == "create":
        segment = open_segment(name, create=True, size=24)
        numbers = doubles(segment)
        for i in range(3):
            numbers[i] = 1.5 + i
    else:
        segment = open_segment(name)
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
