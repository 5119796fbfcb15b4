// How long it takes until the lock of a killed writer, or the load of a killed process, has another owner. The map is
// full, so that a takeover that depends on the number of entries is seen.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const { SharedMap } = createRequire(import.meta.url)('../../../shm-node/map.js');
const PROGRAM = fileURLToPath(import.meta.url);
const MEMORY = 64 * 2 ** 20;
const VALUE = Buffer.alloc(100, 'v');
// What no wait here is as long as, however busy the machine is.
const PATIENT = 30_000;

const now = () => Number(process.hrtime.bigint());

const victims = {
  write(map) {
    map.set('hot', VALUE);
    process.send('begun');
    for (;;) map.set('hot', VALUE);
  },
  load(map) {
    setInterval(() => {}, 1000);
    void map.getOrSet('held', () => new Promise(() => process.send('begun')), { loadTimeout: Infinity });
  },
};

if (process.argv[1] === PROGRAM) {
  const [, , role, key] = process.argv;
  victims[role](new SharedMap(Number(key), { lockTimeout: PATIENT }));
}

async function begin(role, map) {
  const child = fork(PROGRAM, [role, String(map.key)]);
  await once(child, 'message');
  return child;
}

async function kill(child) {
  const ended = once(child, 'exit');
  const killed = now();
  process.kill(child.pid, 'SIGKILL');
  return { killed, ended };
}

/** Nanoseconds of each of `count` takeovers: `{ writer, loader }`. */
export async function deaths(count) {
  const map = new SharedMap({ memory: MEMORY });
  const patient = new SharedMap(map.key, { lockTimeout: PATIENT });
  for (let i = 0; map.stats().evictions === 0; i++) patient.set(`key ${i}`, VALUE);
  const times = { writer: [], loader: [] };
  for (let i = 0; i < count; i++) {
    times.writer.push(await writerDies(map, patient));
    times.loader.push(await loaderDies(patient));
  }
  map.close();
  patient.close();
  return times;
}

async function writerDies(map, patient) {
  const child = await begin('write', map);
  const impatient = new SharedMap(map.key, { lockTimeout: 5 });
  // Until it is stopped while it has the lock.
  for (;;) {
    process.kill(child.pid, 'SIGSTOP');
    try {
      await sleep(1);
      impatient.set('hot', VALUE);
    } catch (error) {
      if (error.code !== 'EBUSY') throw error;
      break;
    }
    process.kill(child.pid, 'SIGCONT');
    await sleep(Math.random());
  }
  impatient.close();
  const { killed, ended } = await kill(child);
  patient.set('hot', VALUE);
  const took = now() - killed;
  await ended;
  return took;
}

async function loaderDies(map) {
  const child = await begin('load', map);
  let loads;
  const waiting = map.getOrSet('held', () => ((loads = now()), 1), { loadTimeout: Infinity });
  await sleep(Math.random() * 20);
  const { killed, ended } = await kill(child);
  await waiting;
  await ended;
  map.delete('held');
  return loads - killed;
}
