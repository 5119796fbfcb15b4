// Messages one way at full speed, from another process to this one.

import shm from '../../../shm-node/index.mjs';
import { listen, makeChannel, now, onMessages, said, start } from './ends.mjs';

const PEER = './stream-peer.mjs';

const takes = {
  async forAwait(channel, count, size) {
    for await (const message of channel) {
      if (message[size - 1] !== 7) throw new Error('torn');
      if (--count === 0) return;
    }
  },
  async batches(channel, count, size) {
    for await (const batch of channel.messages({ batch: true })) {
      for (const message of batch) if (message[size - 1] !== 7) throw new Error('torn');
      if ((count -= batch.length) === 0) return;
    }
  },
  // Awaits one, and drains what has come with it.
  async drain(channel, count, size) {
    const take = (message) => {
      if (message[size - 1] !== 7) throw new Error('torn');
    };
    while (count > 0) {
      take(await channel.receiveAsync());
      if (--count > 0) count -= channel.drain(take, { max: count });
    }
  },
};

/** By a Channel. `take`: how it is received; `send`: how it is sent, see stream-peer.mjs. */
export async function channel(size, take, send = 'full') {
  const { key, channel } = makeChannel();
  const child = await start(PEER, ['channel', size, key, send]);
  return {
    ...timed(child, (count) => takes[take](channel, count, size)),
    end() {
      child.kill();
      shm.detach(key);
    },
  };
}

export async function socket(size) {
  const { place, connected, end } = listen();
  const child = await start(PEER, ['socket', size, place]);
  const [connection] = await connected;
  let missing, done;
  onMessages(connection, size, (message) => {
    if (message[size - 1] !== 7) throw new Error('torn');
    if (--missing === 0) done();
  });
  return {
    ...timed(child, (count) => {
      missing = count;
      return new Promise((resolve) => (done = resolve));
    }),
    end() {
      child.kill();
      end();
    },
  };
}

function timed(child, receive) {
  return {
    /** Nanoseconds a message. */
    async time(count) {
      const begin = now();
      child.send({ count });
      await receive(count);
      return (now() - begin) / count;
    },
    /** The delay of the sender's event loop, in nanoseconds: 99 % are below. From the last call to this one. */
    async senderDelay() {
      child.send('delay');
      return said(child);
    },
  };
}
