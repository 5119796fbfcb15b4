// A message that is answered: by a Channel each way, a unix socket, `process.send`, and a worker's `postMessage`.

import shm from '../../../shm-node/index.mjs';
import { Worker } from 'node:worker_threads';
import { listen, makeChannel, onMessages, optionsOf, said, start } from './ends.mjs';

const PEER = './there-and-back-peer.mjs';

/** By two Channels. `options`: `spin`, and `timer` for a timer every ms in the other process. */
async function channel(size, { spin = '', timer = '' } = {}) {
  const [there, back] = [makeChannel(), makeChannel()];
  const child = await start(PEER, ['channel', size, timer, there.key, back.key, spin]);
  const [message, options] = [Buffer.alloc(size, 7), optionsOf(spin)];
  return {
    async exchange() {
      await there.channel.sendAsync(message, options);
      return back.channel.receiveAsync(options);
    },
    end() {
      child.kill();
      for (const { key } of [there, back]) shm.detach(key);
    },
  };
}

async function socket(size, { timer = '' } = {}) {
  const { place, connected, end } = listen();
  const child = await start(PEER, ['socket', size, timer, place]);
  const [connection] = await connected;
  const message = Buffer.alloc(size, 7);
  let answered;
  onMessages(connection, size, (answer) => answered(answer));
  return {
    exchange() {
      connection.write(message);
      return new Promise((resolve) => (answered = resolve));
    },
    end() {
      child.kill();
      end();
    },
  };
}

async function send(size) {
  const child = await start(PEER, ['send', size, ''], { serialization: 'advanced' });
  return { exchange: answers(child, 'send', size), end: () => child.kill() };
}

async function worker(size) {
  const thread = new Worker(new URL(PEER, import.meta.url), { argv: ['worker', size, ''] });
  await said(thread);
  return { exchange: answers(thread, 'postMessage', size), end: () => thread.terminate() };
}

function answers(other, method, size) {
  const message = Buffer.alloc(size, 7);
  let answered;
  other.on('message', (answer) => answered(answer));
  return () => {
    other[method](message);
    return new Promise((resolve) => (answered = resolve));
  };
}

export const ways = { channel, socket, send, worker };
