// The same messages to four other processes: by a Broadcast, and by a unix socket for each.

import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { listen, now, said, start, writeAll } from './ends.mjs';

const PEER = './broadcast-peer.mjs';
export const READERS = 4;
const SLOTS = 1024;
// A reader says how far it is after so many messages; counts are multiples of it.
export const STEP = 64;

/** By a Broadcast. The sender waits for the slowest reader, so that nobody misses anything. */
export async function broadcast(size) {
  const options = { slots: SLOTS, maxMessage: size };
  const view = shm.create({ size: sync.Broadcast.byteLength(options), type: Int32Array });
  const news = new sync.Broadcast(view, 0, options);
  const progress = shm.create({ length: READERS * 16, type: Int32Array });
  const children = await startAll(['broadcast', size, view.key, progress.key]);
  const message = Buffer.alloc(size, 7);
  let sent = 0;
  const until = async (least) => {
    for (let reader = 0; reader < READERS; reader++) {
      for (let at; (at = Atomics.load(progress, reader * 16)) < least; ) {
        await sync.waitAsync(progress, reader * 16, at);
      }
    }
  };
  return {
    /** Nanoseconds a message and reader. */
    async time(count) {
      const begin = now();
      for (const last = sent + count; sent < last; sent += STEP) {
        await until(sent + STEP - SLOTS);
        for (let i = 0; i < STEP; i++) news.send(message);
      }
      await until(sent);
      return (now() - begin) / count / READERS;
    },
    end() {
      for (const child of children) child.kill();
      for (const segment of [view, progress]) shm.detach(segment);
    },
  };
}

export async function sockets(size) {
  const { place, connected, end } = listen(READERS);
  const children = await startAll(['socket', size, place]);
  const connections = await connected;
  const message = Buffer.alloc(size, 7);
  return {
    async time(count) {
      const begin = now();
      for (const child of children) child.send(count);
      const received = Promise.all(children.map(said));
      for (let i = 0; i < count; i++) {
        for (const connection of connections) await writeAll(connection, message, 1);
      }
      await received;
      return (now() - begin) / count / READERS;
    },
    end() {
      for (const child of children) child.kill();
      end();
    },
  };
}

const startAll = (args) => Promise.all(Array.from({ length: READERS }, (_, reader) => start(PEER, [...args, reader])));
