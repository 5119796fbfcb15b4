'use strict';

// A camera-like producer: frames of 640 x 480 RGB in a ring of slots, in one segment that any process can read.
//
//     node examples/frames/camera.js [frames] [name]
//
// The segment begins with 64-bit integers, then come the slots:
//
//     [0] how many frames were written   [1] width   [2] height   [3] slots   [4 + slot] the frame in that slot
//
// A slot's number is 0 while the slot is written. A reader reads the number, copies the frame, and reads the number
// again. If it has changed, the copy is torn, and the reader drops it. (This needs a processor that keeps the order of
// reads and writes, as x86-64 does. `Broadcast` of shm-node/sync works in this way on all processors.)

const shm = require('../../shm-node');

const [WIDTH, HEIGHT, SLOTS] = [640, 480, 4];
const FRAME = WIDTH * HEIGHT * 3;
const HEADER = 128;

const frames = Number(process.argv[2] ?? Infinity);
const name = process.argv[3] ?? 'camera';

const bytes = shm.create({ key: name, size: HEADER + SLOTS * FRAME, type: Uint8Array });
if (bytes === null) {
  console.error(`${name} is taken: is another camera running?`);
  process.exit(1);
}
const header = new BigInt64Array(bytes.buffer, 0, 4 + SLOTS);
[header[1], header[2], header[3]] = [WIDTH, HEIGHT, SLOTS].map(BigInt);
console.log(`frames are in ${bytes.key}`);
process.on('SIGINT', () => process.exit());

let frame = 0;
const timer = setInterval(() => {
  frame += 1;
  const slot = frame % SLOTS;
  Atomics.store(header, 4 + slot, 0n);
  // The picture: one grey that changes with each frame.
  bytes.fill(frame % 256, HEADER + slot * FRAME, HEADER + (slot + 1) * FRAME);
  Atomics.store(header, 4 + slot, BigInt(frame));
  Atomics.store(header, 0, BigInt(frame));
  if (frame === frames) {
    clearInterval(timer);
    setTimeout(() => {}, 1000); // for readers that are not done yet
  }
}, 1000 / 30);
