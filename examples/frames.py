"""The other side of frames.js: reads frames, inverts them, and sends them back."""

import mmap
import sys
import time


class Broadcast:
    """As docs/layout.md has it, on x86-64: there the order of reads and writes is that of the program."""

    def __init__(self, name):
        with open("/dev/shm" + name, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        # A memoryview writes each word at once. struct.pack_into writes zeros first, which other processes could see.
        self.words = memoryview(self.memory).cast("I")
        magic, _, self.slots, self.longest = self.words[:4]
        if magic != 0x01507973:
            raise ValueError("no broadcast here")
        self.stride = (8 + self.longest + 63) // 64 * 64
        self.next = self.head()

    def head(self):
        # Fewer than 2^32 frames: the upper halves stay 0.
        return self.words[33]

    def slot(self, number):
        return 512 + number % self.slots * self.stride

    def read(self):
        while (head := self.head()) != self.next:
            if head - self.next > self.slots:
                self.next = head - self.slots * 3 // 4
            slot = self.slot(self.next)
            stamp, length = self.words[slot // 4], self.words[slot // 4 + 1]
            message = self.memory[slot + 8 : slot + 8 + min(length, self.longest)]
            self.next += 1
            if stamp == self.words[slot // 4] == self.next:
                return message
        return None

    def send(self, message):
        # This is the only producer. It wakes nobody: sleeping readers look by themselves every 10 ms.
        number = self.head()
        slot = self.slot(number)
        self.words[slot // 4] = number + 1
        self.words[slot // 4 + 1] = len(message)
        self.memory[slot + 8 : slot + 8 + len(message)] = message
        self.words[33] = number + 1


frames, inverted = Broadcast(sys.argv[1]), Broadcast(sys.argv[2])
count = int(sys.argv[3])
invert = bytes(255 - byte for byte in range(256))
print("ready", flush=True)
until = time.monotonic() + 60
while inverted.head() < count and time.monotonic() < until:
    frame = frames.read()
    if frame is None:
        time.sleep(0.001)
    else:
        inverted.send(frame.translate(invert))
