'use strict';

// Reads the frames of camera.js, the newest first, without ever blocking the camera.
//
//     node examples/frames/viewer.js [frames] [name]

const shm = require('../../shm-node');

const HEADER = 128;

const wanted = Number(process.argv[2] ?? Infinity);
const bytes = shm.get({ key: process.argv[3] ?? 'camera', type: Uint8Array, readOnly: true });
if (bytes === null) {
  console.error('there is no camera');
  process.exit(1);
}
const header = new BigInt64Array(bytes.buffer, 0, 16);
const [width, height, slots] = [header[1], header[2], header[3]].map(Number);
const picture = new Uint8Array(width * height * 3);

let seen = 0;
let [last, torn] = [0n, 0];
const timer = setInterval(() => {
  const newest = Atomics.load(header, 0);
  if (newest === last) return;
  const slot = Number(newest) % slots;
  const start = HEADER + slot * picture.length;
  picture.set(bytes.subarray(start, start + picture.length));
  // Was it overwritten while we copied?
  if (Atomics.load(header, 4 + slot) !== newest) return void (torn += 1);
  last = newest;
  seen += 1;
  if (picture.some((byte) => byte !== Number(newest % 256n))) throw new Error('a torn frame');
  if (seen < wanted) return;
  clearInterval(timer);
  console.log(`${seen} frames of ${width} x ${height}, the last of one grey: ${picture[0] === picture.at(-1)}`);
}, 5);
