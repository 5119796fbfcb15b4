// Coordination: channels and wake-ups beside a unix socket in Node, a lock beside a native call, and what thousands
// of pending waits cost.

import { fork } from 'node:child_process';
import fs from 'node:fs/promises';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import shm from '../../shm-node/index.mjs';
import sync from '../../shm-node/sync.mjs';
import { alternateAsync, print } from './ratio.mjs';

process.env.SHM_NODE_QUIET = '1';
const native = createRequire(import.meta.url)('../../shm-node/lib/native.js');
const peer = fileURLToPath(new URL('sync-peer.mjs', import.meta.url));
const ROUNDS = Number(process.env.ROUNDS ?? 7);
const CAPACITY = 1 << 20;

const now = () => Number(process.hrtime.bigint());

async function start(...args) {
  const child = fork(peer, args);
  await new Promise((resolve) => child.once('message', resolve));
  return child;
}

async function channelOf(size, take, options = {}) {
  const made = { capacity: CAPACITY, ...options };
  const view = shm.create({ size: sync.Channel.byteLength(made), type: Int32Array });
  const ring = new sync.Channel(view, 0, made);
  const child = await start('channel', String(view.key), String(size));
  return {
    async time(count) {
      const begin = now();
      child.send(count);
      take(ring, count, size);
      return (now() - begin) / count;
    },
    end: () => (child.kill(), shm.detach(view)),
  };
}

const ways = {
  receiveInto(ring, count, size) {
    const target = Buffer.alloc(size);
    for (let i = 0; i < count; i++) if (ring.receiveInto(target) !== size || target[size - 1] !== 7) throw new Error('torn');
  },
  receive(ring, count) {
    for (let i = 0; i < count; i++) if (ring.receive()[0] !== 7) throw new Error('torn');
  },
  peek(ring, count, size) {
    for (let i = 0; i < count; i++) {
      const message = ring.peek();
      if (message.view[size - 1] !== 7) throw new Error('torn');
      message.release();
    }
  },
};

async function socketOf(size, corked = '') {
  const place = path.join(os.tmpdir(), `sync-${process.pid}-${size}${corked}.sock`);
  const server = net.createServer().listen(place);
  const connected = new Promise((resolve) => server.once('connection', resolve));
  const child = await start('socket', place, String(size), corked);
  const socket = await connected;
  return {
    async time(count) {
      const begin = now();
      let missing = count * size;
      child.send(count);
      await new Promise((resolve) => {
        socket.on('data', function take(chunk) {
          missing -= chunk.length;
          if (missing > 0) return;
          socket.off('data', take);
          resolve();
        });
      });
      return (now() - begin) / count;
    },
    end: () => (child.kill(), server.close(), socket.destroy()),
  };
}

/** The package shared-memory-disruptor, if it could be built. */
async function disruptorOf(size) {
  let Disruptor;
  try {
    ({ Disruptor } = createRequire(import.meta.url)('../peers/node/node_modules/shared-memory-disruptor'));
  } catch (error) {
    console.error(`shared-memory-disruptor is left out: ${error.message}`);
    return undefined;
  }
  const [name, elements] = [`/sync-${process.pid}-disruptor`, CAPACITY / size];
  const ring = new Disruptor(name, elements, size, 1, 0, true, true);
  const child = await start('disruptor', name, String(size), String(elements));
  const target = Buffer.alloc(size);
  return {
    async time(count) {
      const begin = now();
      child.send(count);
      for (let left = count; left > 0; ) {
        for (const messages of ring.consumeNewSync()) {
          for (let at = 0; at < messages.length; at += size, left--) {
            messages.copy(target, 0, at, at + size);
            if (target[size - 1] !== 7) throw new Error('torn');
          }
        }
        ring.consumeCommit();
      }
      return (now() - begin) / count;
    },
    end: () => (child.kill(), ring.release(), rmSync(`/dev/shm${name}`, { force: true })),
  };
}

async function compare(what, against, ours, theirs, count, otherCount = count) {
  print(await alternateAsync(what, against, ROUNDS, () => ours.time(count), () => theirs.time(otherCount)));
}

for (const [size, label, count, otherCount] of [
  [64, '64 B', 500_000, 50_000],
  [65536, '64 KiB', 20_000, 2_000],
]) {
  const socket = await socketOf(size);
  for (const [way, take] of Object.entries(ways)) {
    const ours = await channelOf(size, take);
    await compare(`Channel, ${label} a message, ${way}`, 'a unix socket stream', ours, socket, count, otherCount);
    ours.end();
  }
  socket.end();
}
{
  const disruptor = await disruptorOf(64);
  if (disruptor !== undefined) {
    const ours = await channelOf(64, ways.receiveInto);
    await compare('Channel, 64 B a message, receiveInto', 'shared-memory-disruptor 4.2.1', ours, disruptor, 500_000, 200_000);
    ours.end();
    disruptor.end();
  }
}
{
  const [ours, corked] = [await channelOf(64, ways.receiveInto), await socketOf(64, 'corked')];
  await compare('Channel, 64 B a message, receiveInto', 'a unix socket stream, corked', ours, corked, 500_000, 200_000);
  ours.end();
  corked.end();
}

{
  const view = shm.create({ length: 16, type: Int32Array });
  const mutex = new sync.Mutex(view, 0);
  const pairs = 1_000_000;
  const time = (work) => () => {
    const begin = now();
    for (let i = 0; i < pairs; i++) work();
    return (now() - begin) / pairs;
  };
  const unlocked = time(() => {
    mutex.lock();
    mutex.unlock();
  });
  const guarded = time(() => mutex.lock().unlock());
  const calls = time(() => {
    native.fence();
    native.fence();
  });
  print(await alternateAsync('lock and unlock', 'two empty native calls', ROUNDS, unlocked, calls));
  print(await alternateAsync('lock and unlock by its guard', 'two empty native calls', ROUNDS, guarded, calls));
  shm.detach(view);
}

{
  const view = shm.create({ length: 64, type: Int32Array });
  const child = await start('wake', String(view.key));
  const place = path.join(os.tmpdir(), `sync-${process.pid}-wake.sock`);
  const server = net.createServer().listen(place);
  const connected = new Promise((resolve) => server.once('connection', resolve));
  const answering = await start('socketWake', place);
  const socket = await connected;
  const rounds = 500;
  let turn = 0;
  const ours = {
    async time() {
      const begin = now();
      for (let i = 0; i < rounds; i++) {
        const before = turn++;
        const answer = sync.waitAsync(view, 16, before);
        Atomics.store(view, 0, turn);
        sync.notify(view, 0);
        await answer;
        if (Atomics.load(view, 16) !== turn) throw new Error('woken too early');
      }
      return (now() - begin) / rounds / 2;
    },
  };
  const theirs = {
    async time() {
      const begin = now();
      for (let i = 0; i < rounds; i++) {
        const answer = new Promise((resolve) => socket.once('data', resolve));
        socket.write('a');
        await answer;
      }
      return (now() - begin) / rounds / 2;
    },
  };
  await compare('waitAsync, a wake-up in another process', "a unix socket's", ours, theirs, 0);
  child.kill();
  answering.kill();
  server.close();
  socket.destroy();
  shm.detach(view);
}

{
  const time = async () => {
    const begin = now();
    for (let i = 0; i < 200; i++) await fs.readFile('/etc/hostname').catch(() => {});
    return (now() - begin) / 200;
  };
  const threads = () => Number(/Threads:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  let most = 0;
  const loaded = async () => {
    const view = shm.create({ length: 5000, type: Int32Array });
    const waits = Array.from({ length: 5000 }, (_, i) => sync.waitAsync(view, i, 0).catch(() => {}));
    most = Math.max(most, threads());
    const result = await time();
    shm.detach(view);
    await Promise.all(waits);
    return result;
  };
  const row = await alternateAsync('fs.readFile, 5,000 waits pending', 'none pending', ROUNDS, loaded, time);
  print({ ...row, threads: most });
}
