// Reads what broadcast.mjs sends.

import net from 'node:net';
import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { STEP } from './broadcast.mjs';
import { onMessages } from './ends.mjs';

process.on('disconnect', () => process.exit());
const [way, size, ...rest] = process.argv.slice(2);
await { broadcast, socket }[way](...rest);

async function broadcast(key, progressKey, reader) {
  const news = new sync.Broadcast(shm.get(Number(key), Int32Array), 0).reader();
  const progress = shm.get(Number(progressKey), Int32Array);
  process.send('ready');
  for await (const { number, missed, message } of news) {
    if (missed > 0 || message[size - 1] !== 7) throw new Error('torn');
    if ((number + 1) % STEP > 0) continue;
    Atomics.store(progress, reader * 16, number + 1);
    sync.notify(progress, reader * 16);
  }
}

function socket(place) {
  let missing = 0;
  process.on('message', (count) => {
    missing += count;
    if (missing === 0) process.send('done');
  });
  const connection = net.connect(place, () => process.send('ready'));
  onMessages(connection, Number(size), (message) => {
    if (message[size - 1] !== 7) throw new Error('torn');
    if (--missing === 0) process.send('done');
  });
}
