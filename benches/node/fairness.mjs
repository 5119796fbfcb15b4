// Fairness under contention: processes want one lock all the time, and each counts how often it gets it.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import shm from '../../shm-node/index.mjs';
import sync from '../../shm-node/sync.mjs';
import { print, row } from './ratio.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 7);
const PROCESSES = 4;
const MS = 400;
const LOCK = 64;
const program = fileURLToPath(import.meta.url);

const locks = {
  Mutex: (view) => {
    const mutex = new sync.Mutex(view, LOCK);
    return { sync: () => mutex.lock(), async: () => mutex.lockAsync() };
  },
  'RwLock, writers': (view) => {
    const lock = new sync.RwLock(view, LOCK, { readers: 1 });
    return { sync: () => lock.write(), async: () => lock.writeAsync() };
  },
  'Semaphore of 1': (view) => {
    const semaphore = new sync.Semaphore(view, LOCK, { permits: 1 });
    return { sync: () => semaphore.acquire(), async: () => semaphore.acquireAsync() };
  },
};

/** Locks, holds it for a moment and lets go, until time is up; counts in word `which`. */
async function compete(key, name, way, which) {
  const view = shm.get(Number(key), Int32Array);
  const lock = locks[name](view)[way];
  process.send('ready');
  await new Promise((resolve) => process.once('message', resolve));
  const until = performance.now() + MS;
  while (performance.now() < until) {
    const guard = way === 'sync' ? lock() : await lock();
    for (let i = 0; i < 200; i++) Atomics.add(view, 32, 1);
    view[which]++;
    guard.unlock();
  }
  process.send('done');
}

async function round(name, way) {
  const view = shm.create({ length: 256, type: Int32Array });
  const said = (child) => new Promise((resolve) => child.once('message', resolve));
  const children = Array.from({ length: PROCESSES }, (_, which) => fork(program, [view.key, name, way, which]));
  await Promise.all(children.map(said));
  for (const child of children) child.send('go');
  await Promise.all(children.map(said));
  const counts = [...view.subarray(0, PROCESSES)].sort((a, b) => b - a);
  for (const child of children) child.kill();
  shm.detach(view);
  const each = (count) => (MS * 1e6) / count;
  return [each(counts[0]), each(counts.at(-1))];
}

process.env.SHM_NODE_QUIET = '1';
if (process.argv.length > 2) {
  await compete(...process.argv.slice(2));
} else {
  for (const name of Object.keys(locks)) {
    for (const way of ['sync', 'async']) {
      const pairs = [];
      for (let i = 0; i < ROUNDS; i++) pairs.push(await round(name, way));
      print(row(`${name}, ${way}, ${PROCESSES} processes at it: one lock of the luckiest`, 'of the unluckiest', pairs));
    }
  }
}
