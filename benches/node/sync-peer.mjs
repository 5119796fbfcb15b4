// The other side of sync.mjs.

import { createRequire } from 'node:module';
import net from 'node:net';
import shm from '../../shm-node/index.mjs';
import sync from '../../shm-node/sync.mjs';

const [way, ...rest] = process.argv.slice(2);
const ways = { channel, disruptor, socket, wake, socketWake };
await ways[way](...rest);

// Sends `count` messages of `size` bytes each time it is told to.
function channel(key, size) {
  const view = shm.get(Number(key), Int32Array);
  const ring = new sync.Channel(view, 0);
  const message = Buffer.alloc(Number(size), 7);
  process.on('message', (count) => {
    for (let i = 0; i < count; i++) ring.send(message);
  });
  process.send('ready');
}

// The same with shared-memory-disruptor: room for `elements` messages, and both sides spin.
function disruptor(name, size, elements) {
  const { Disruptor } = createRequire(import.meta.url)('../peers/node/node_modules/shared-memory-disruptor');
  const ring = new Disruptor(name, Number(elements), Number(size), 1, -1, false, true);
  const message = Buffer.alloc(Number(size), 7);
  process.on('message', (count) => {
    for (let i = 0; i < count; i++) {
      ring.produceClaimSync().set(message);
      ring.produceCommitSync();
    }
  });
  process.send('ready');
}

function socket(place, size, corked) {
  const connection = net.connect(place, () => process.send('ready'));
  const message = Buffer.alloc(Number(size), 7);
  process.on('message', async (count) => {
    for (let i = 0; i < count; ) {
      // As a program that minds the back-pressure: until the buffer is full, then when it is empty.
      if (corked === 'corked') connection.cork();
      let more = true;
      while (more && i < count) {
        more = connection.write(message);
        i++;
      }
      if (corked === 'corked') connection.uncork();
      if (!more) await new Promise((resolve) => connection.once('drain', resolve));
    }
  });
}

// Answers each wake-up by one.
async function wake(key) {
  const view = shm.get(Number(key), Int32Array);
  process.on('message', () => process.exit());
  process.send('ready');
  for (let seen = 0; ; ) {
    await sync.waitAsync(view, 0, seen);
    const now = Atomics.load(view, 0);
    if (now === seen) continue;
    seen = now;
    Atomics.store(view, 16, seen);
    sync.notify(view, 16);
  }
}

function socketWake(place) {
  const connection = net.connect(place, () => process.send('ready'));
  connection.setNoDelay?.();
  connection.on('data', () => connection.write('b'));
}
