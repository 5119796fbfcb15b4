// One of those who want the lock: takes it, holds it, lets it go, as often as it is told to.

import { createRequire } from 'node:module';
import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { now } from './ends.mjs';
import { SECTION } from './lock.mjs';

process.on('disconnect', () => process.exit());
const require = createRequire(import.meta.url);
const [way, place] = process.argv.slice(2);
const withLock = { mutex, properLockfile, redis }[way]();

process.on('message', async (count) => {
  const begin = now();
  for (let i = 0; i < count; i++) await withLock(hold);
  process.send({ begin, end: now() });
});
process.send('ready');

function hold() {
  const end = now() + SECTION;
  while (now() < end);
}

function mutex() {
  const lock = new sync.Mutex(shm.get(Number(place), Int32Array), 0);
  return async (work) => {
    const guard = await lock.lockAsync();
    work();
    guard.unlock();
  };
}

function properLockfile() {
  const lockfile = require('proper-lockfile');
  const lock = async () => {
    for (;;) {
      try {
        return await lockfile.lock(place);
      } catch (error) {
        if (error.code !== 'ELOCKED') throw error;
      }
    }
  };
  return async (work) => {
    const unlock = await lock();
    work();
    await unlock();
  };
}

function redis() {
  const { Redis } = require('ioredis');
  const client = new Redis({ path: place });
  return async (work) => {
    while ((await client.set('lock', process.pid, 'PX', 30_000, 'NX')) === null);
    work();
    await client.del('lock');
  };
}
