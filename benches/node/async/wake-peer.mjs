// Is woken by wake.mjs, and tells how long each wake-up took.

import net from 'node:net';
import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';

process.on('disconnect', () => process.exit());
const [way, place] = process.argv.slice(2);
let times = [];
process.on('message', () => {
  process.send(times);
  times = [];
});
const took = (sentAt) => times.push(Number(process.hrtime.bigint() - sentAt));
await { waitAsync, socket }[way]();

async function waitAsync() {
  const view = shm.get(Number(place), Int32Array);
  const sentAt = new BigInt64Array(view.buffer, view.byteOffset + 32, 1);
  process.send('ready');
  for (let seen = 0; ; ) {
    await sync.waitAsync(view, 0, seen);
    const turn = Atomics.load(view, 0);
    if (turn === seen) continue;
    took(sentAt[0]);
    seen = turn;
  }
}

function socket() {
  const connection = net.connect(place, () => process.send('ready'));
  connection.on('data', (chunk) => took(chunk.readBigInt64LE()));
}
