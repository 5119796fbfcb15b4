// What a process uses that does nothing, with and without pending receives.

import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { said, start } from './ends.mjs';

const PEER = './idle-peer.mjs';
const options = { capacity: 4096 };
export const STRIDE = Math.ceil(sync.Channel.byteLength(options) / 64) * 16;
export const CHANNELS = 100;

/** A process that has received a message from each of its Channels, and waits for more, if it is to. */
export async function idle(isPending) {
  const view = shm.create({ length: CHANNELS * STRIDE, type: Int32Array });
  const channels = Array.from({ length: CHANNELS }, (_, which) => new sync.Channel(view, which * STRIDE, options));
  const child = await start(PEER, [isPending ? 'pending' : 'none', view.key]);
  for (const channel of channels) await channel.sendAsync(Buffer.alloc(64, 7));
  await sleep(3000); // by then nobody looks for deaths any more
  return {
    /** `cpu` in nanoseconds a second, and `switches` a second: how often it went to sleep. */
    usage(seconds) {
      child.send(seconds);
      return said(child);
    },
    end() {
      child.kill();
      shm.detach(view);
    },
  };
}
