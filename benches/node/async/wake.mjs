// How long a process that has slept for 10 ms takes to go on, by the clock that all processes of a machine share.

import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../ratio.mjs';
import { listen, said, start } from './ends.mjs';

const PEER = './wake-peer.mjs';
const SILENCE = 10;

export async function waitAsync() {
  const view = shm.create({ length: 16, type: Int32Array });
  const sentAt = new BigInt64Array(view.buffer, view.byteOffset + 32, 1);
  const child = await start(PEER, ['waitAsync', view.key]);
  let turn = 0;
  const wake = () => {
    sentAt[0] = process.hrtime.bigint();
    Atomics.store(view, 0, ++turn);
    sync.notify(view, 0);
  };
  return {
    time: (count) => wakeAll(child, count, wake),
    end() {
      child.kill();
      shm.detach(view);
    },
  };
}

export async function socket() {
  const { place, connected, end } = listen();
  const child = await start(PEER, ['socket', place]);
  const [connection] = await connected;
  const sentAt = new BigInt64Array(1);
  const wake = () => {
    sentAt[0] = process.hrtime.bigint();
    connection.write(new Uint8Array(sentAt.buffer.slice(0)));
  };
  return {
    time: (count) => wakeAll(child, count, wake),
    end() {
      child.kill();
      end();
    },
  };
}

/** Nanoseconds, the median of `count` wake-ups. */
async function wakeAll(child, count, wake) {
  for (let i = 0; i < count; i++) {
    await sleep(SILENCE);
    wake();
  }
  await sleep(SILENCE);
  child.send('tell');
  return median(await said(child));
}
