'use strict';

// Frames from Node to Python and back, each way through a broadcast. A slow reader misses frames and is told so, and
// the producer does not wait for it. frames.py is the other side; docs/layout.md describes the bytes that it reads and
// writes.

const { spawn } = require('node:child_process');
const path = require('node:path');
const shm = require('../shm-node');
const { Broadcast } = require('../shm-node/sync.js');

const [WIDTH, HEIGHT, COUNT] = [320, 240, Number(process.argv[2] ?? 50)];
const OPTIONS = { slots: 8, maxMessage: WIDTH * HEIGHT };

function create(name) {
  const size = Broadcast.byteLength(OPTIONS);
  const view = shm.create({ key: `${name}-${process.pid}`, size, type: 'Int32Array' });
  return { name: view.key, broadcast: new Broadcast(view, 0, OPTIONS) };
}

const frames = create('frames');
const inverted = create('inverted');
const python = spawn('python3', [path.join(__dirname, 'frames.py'), frames.name, inverted.name, String(COUNT)], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
python.on('error', (error) => console.error(`no python3: ${error.message}`));
python.stdout.once('data', main);

async function main() {
  const reader = inverted.broadcast.reader({ rewind: true });
  const timer = setInterval(() => {
    const frame = frames.broadcast.draft(WIDTH * HEIGHT);
    frame.view.fill(frames.broadcast.slots); // drawn in place: no copy
    frame.view[0] = 1;
    frame.commit();
  }, 5);
  let received = 0;
  for await (const { number, missed, message } of reader) {
    received += 1 + missed;
    if (message[0] !== 254 || message[1] !== 255 - frames.broadcast.slots) throw new Error(`frame ${number} is torn`);
    if (received >= COUNT) break;
  }
  clearInterval(timer);
  console.log(`${received} frames went to Python and came back inverted`);
}
