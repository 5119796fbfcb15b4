// The other side of handover.mjs.

import net from 'node:net';
import { parentPort } from 'node:worker_threads';

const [way, ...rest] = process.argv.slice(2);
const ways = { segment, send, socket, worker };
await ways[way](...rest);

async function segment(key, turnsKey) {
  const { default: shm } = await import('../../shm-node/index.mjs');
  const bytes = shm.get(Number(key));
  const turns = shm.get(Number(turnsKey), Int32Array);
  process.send('ready');
  let seen = 0;
  const until = Date.now() + 600_000;
  for (let spins = 0; spins % 1_000_000 !== 0 || Date.now() < until; spins++) {
    const turn = Atomics.load(turns, 0);
    if (turn === seen) continue;
    seen = turn;
    // Ready to read: the first and the last byte are what was sent.
    if (bytes[0] !== 7 || bytes[Atomics.load(turns, 1) - 1] !== 7) throw new Error('torn');
    Atomics.store(turns, 8, turn);
  }
}

function send() {
  process.on('message', () => process.send('ok'));
}

function socket(place) {
  const connection = net.connect(place);
  let missing = 0;
  let header = Buffer.alloc(0);
  connection.on('data', (chunk) => {
    if (missing === 0) {
      header = Buffer.concat([header, chunk]);
      if (header.length < 4) return;
      missing = header.readUInt32LE();
      chunk = header.subarray(4);
      header = Buffer.alloc(0);
    }
    missing -= chunk.length;
    if (missing === 0) connection.write('k');
  });
}

function worker() {
  parentPort.on('message', () => parentPort.postMessage('ok'));
}
