// Handing bytes to another process: a segment that both hold, beside process.send, a unix socket and a worker.

import { fork } from 'node:child_process';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import shm from '../../shm-node/index.mjs';
import { alternateAsync, print } from './ratio.mjs';

process.env.SHM_NODE_QUIET = '1';
const peer = fileURLToPath(new URL('handover-peer.mjs', import.meta.url));
const SIZES = [
  ['64 B', 64, 200],
  ['4 KiB', 4 << 10, 200],
  ['1 MiB', 1 << 20, 10],
  ['64 MiB', 64 << 20, 1],
];
const largest = 64 << 20;

const segment = shm.create(largest);
const turns = shm.create({ length: 16, type: Int32Array });

// The receiver polls, so nobody sleeps and the copy is all there is to wait for.
const poller = fork(peer, ['segment', String(segment.key), String(turns.key)]);
await new Promise((resolve) => poller.once('message', resolve));
let turn = 0;
function bySegment(payload) {
  segment.set(payload);
  Atomics.store(turns, 1, payload.length);
  Atomics.store(turns, 0, ++turn);
  while (Atomics.load(turns, 8) !== turn);
}

function bySend(serialization) {
  const child = fork(peer, ['send'], { serialization });
  return {
    async send(payload) {
      const answer = new Promise((resolve) => child.once('message', resolve));
      child.send(payload);
      await answer;
    },
    end: () => child.kill(),
  };
}

async function bySocket() {
  const place = path.join(os.tmpdir(), `handover-${process.pid}.sock`);
  const server = net.createServer().listen(place);
  const child = fork(peer, ['socket', place]);
  const [socket] = await new Promise((resolve) => server.once('connection', (...all) => resolve(all)));
  return {
    async send(payload) {
      const answer = new Promise((resolve) => socket.once('data', resolve));
      const header = Buffer.alloc(4);
      header.writeUInt32LE(payload.length);
      socket.write(header);
      socket.write(payload);
      await answer;
    },
    end() {
      child.kill();
      server.close();
      socket.destroy();
    },
  };
}

function byWorker() {
  const worker = new Worker(peer, { argv: ['worker'] });
  return {
    async send(payload) {
      const answer = new Promise((resolve) => worker.once('message', resolve));
      worker.postMessage(payload);
      await answer;
    },
    end: () => worker.terminate(),
  };
}

const ways = [
  ['process.send, advanced', () => bySend('advanced')],
  ['process.send, json', () => bySend('json')],
  ['a unix socket', bySocket],
  ['a worker, postMessage', byWorker],
];

for (const [against, start] of ways) {
  const way = await start();
  for (const [label, size, runs] of SIZES) {
    if (against.endsWith('json') && size === largest) continue; // over Node's longest string, as JSON of a Buffer is
    const payload = Buffer.alloc(size, 7);
    const time = async (send) => {
      const begin = process.hrtime.bigint();
      for (let run = 0; run < runs; run++) await send(payload);
      return Number(process.hrtime.bigint() - begin) / runs;
    };
    // A synchronous way is not made to wait for the loop.
    const timeSegment = async () => {
      const begin = process.hrtime.bigint();
      for (let run = 0; run < runs; run++) bySegment(payload);
      return Number(process.hrtime.bigint() - begin) / runs;
    };
    const rounds = size === largest ? 5 : 9;
    print(await alternateAsync(`${label} to another process`, against, rounds, timeSegment, () => time(way.send)));
  }
  await way.end();
}
poller.kill();
