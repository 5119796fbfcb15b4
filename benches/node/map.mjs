// A map for all processes, beside other stores, on the same work: keys of 16 bytes, zipf 0.99, 95 % get.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { print, rowOf, turns } from './ratio.mjs';
import { memcached, redis } from './servers.mjs';

process.env.SHM_NODE_QUIET = '1';
const ROUNDS = Number(process.env.ROUNDS ?? 7);
const MS = 200;
// How many processes of each kind are killed, and the nanoseconds after which others have what they held.
const DEATHS = 30;
const PROMISED = 20e6;
const WORKER = new URL('./map/worker.mjs', import.meta.url);
// What each store needs.
const SERVERS = { redis: 'redis-server', memcached: 'memcached' };
const CLIENTS = { lmdb: 'lmdb', lruCache: 'lru-cache', redis: 'ioredis', memcached: 'memjs' };
const MAP = fileURLToPath(new URL('../../shm-node/map.js', import.meta.url));

// What is compared by size of the value: [what, our operation, against, the other's way, its operation].
const COMPARISONS = [
  {
    size: 100,
    rows: [
      ['get 100 B', 'get', 'lmdb on /dev/shm, getBinary', 'lmdb', 'get'],
      ['getInto 100 B', 'getInto', 'lmdb on /dev/shm, getBinaryFast', 'lmdb', 'getFast'],
      ['get 100 B', 'get', 'Redis on a unix socket, one by one', 'redis', 'get'],
      ['get 100 B', 'get', 'Redis on a unix socket, 64 at a time', 'redis, 64', 'get'],
      ['get 100 B', 'get', 'memcached on a unix socket, 64 at a time', 'memcached, 64', 'get'],
      ['get 100 B', 'get', 'messages to the primary', 'primary', 'get'],
      ['get 100 B', 'get', 'lru-cache in the process', 'lruCache', 'get'],
      ['set 100 B', 'set', 'lmdb on /dev/shm, noSync', 'lmdb', 'set'],
      ['set 100 B', 'set', 'lru-cache in the process', 'lruCache', 'set'],
      ['set 100 B', 'set', 'Redis on a unix socket, one by one', 'redis', 'set'],
      ['set 100 B', 'set', 'Redis on a unix socket, 64 at a time', 'redis, 64', 'set'],
      ['set 100 B', 'set', 'memcached on a unix socket, 64 at a time', 'memcached, 64', 'set'],
      ['set 100 B', 'set', 'messages to the primary', 'primary', 'set'],
      ['95 % get, 5 % set, 100 B', 'mixed', 'lmdb on /dev/shm, noSync', 'lmdb', 'mixed'],
      ['95 % get, 5 % set, 100 B', 'mixed', 'Redis on a unix socket, 64 at a time', 'redis, 64', 'mixed'],
      ['95 % get, 5 % set, 100 B', 'mixed', 'memcached on a unix socket, 64 at a time', 'memcached, 64', 'mixed'],
      ['95 % get, 5 % set, 100 B', 'mixed', 'messages to the primary', 'primary', 'mixed'],
      ['95 % get, 5 % set, 100 B', 'mixed', 'lru-cache in the process', 'lruCache', 'mixed'],
      ['increment', 'increment', 'Redis INCR on a unix socket, one by one', 'redis', 'increment'],
    ],
  },
  {
    size: 100,
    ofObjects: true,
    rows: [
      ['the same object again', 'object', 'lru-cache in the process', 'lruCache', 'object'],
      ['the same object again', 'object', 'JSON.parse of its text', 'json', 'object'],
    ],
  },
  { size: 1024, rows: [['getInto 1 KiB', 'getInto', 'lru-cache in the process', 'lruCache', 'get']] },
  {
    size: 16384,
    rows: [
      ['get 16 KiB', 'get', 'lmdb on /dev/shm, getBinary', 'lmdb', 'get'],
      ['getInto 16 KiB', 'getInto', 'lmdb on /dev/shm, getBinaryFast', 'lmdb', 'getFast'],
      ['view 16 KiB', 'view', 'lmdb on /dev/shm, getBinaryFast', 'lmdb', 'getFast'],
    ],
  },
];

// On /dev/shm, for lmdb, which so has no disk to wait for.
const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'bench-map-'));
const servers = { redis: await redis(folder), memcached: await memcached(folder, 512) };
const places = { redisPlace: servers.redis?.place, memcachedPlace: servers.memcached?.place };
try {
  for (const comparison of COMPARISONS) await compare(comparison);
  await besideItself();
  await afterDeaths();
} finally {
  for (const server of Object.values(servers)) await server?.end();
  rmSync(folder, { recursive: true });
}

/** Why a store cannot be measured here, if so. */
function absence(store) {
  if (store === 'ours' && !existsSync(MAP)) return 'shm-node/map is not there';
  if (store in servers && servers[store] === undefined) return `${SERVERS[store]} is not installed`;
  const client = CLIENTS[store];
  if (client !== undefined && !isInstalled(client)) return `the package ${client} is not installed in benches/node`;
  return undefined;
}

function isInstalled(client) {
  try {
    createRequire(import.meta.url).resolve(client);
    return true;
  } catch {
    return false;
  }
}

/** A process with a store. `way` is a store's name, and how many are asked at a time where that is not one. */
async function start(way, settings) {
  const [store, lanes = '1'] = way.split(', ');
  const own = mkdtempSync(path.join(folder, 'store-'));
  const told = { store, lanes: Number(lanes), place: '', folder: own, ...places, ...settings };
  const child = fork(WORKER, [JSON.stringify(told)], { serialization: 'advanced' });
  const entries = new Map();
  const ended = once(child, 'exit');
  let answered, failed;
  child.on('message', ({ id, key, value, done }) => {
    if (id === undefined) return answered(done);
    if (value !== undefined) entries.set(key, value);
    child.send({ id, value: value === undefined ? entries.get(key) : true });
  });
  const answer = () => new Promise((resolve, reject) => ([answered, failed] = [resolve, reject]));
  ended.then(([code]) => failed(new Error(`${way} ended with ${code}`)));
  const place = await answer();
  return {
    place,
    ask(question) {
      const result = answer();
      child.send(question);
      return result;
    },
    async end() {
      child.send({ end: true });
      await ended;
    },
  };
}

async function compare({ size, ofObjects, rows }) {
  const ways = ['ours', ...new Set(rows.map(([, , , way]) => way))];
  const processes = {};
  for (const way of ways) {
    if (absence(way.split(', ')[0]) === undefined) processes[way] = await start(way, { size, ofObjects });
  }
  const wanted = new Map();
  for (const [, operation, , way, itsOperation] of rows) {
    for (const [who, run] of [['ours', operation], [way, itsOperation]]) {
      if (who in processes) wanted.set(`${who}: ${run}`, async () => (await processes[who].ask({ run, ms: MS })).each);
    }
  }
  const times = await turns(ROUNDS, Object.fromEntries(wanted));
  for (const [what, operation, against, way, itsOperation] of rows) {
    const leftOut = absence('ours') ?? absence(way.split(', ')[0]);
    if (leftOut !== undefined) print({ what, against, leftOut });
    else print(rowOf(what, against, times[`ours: ${operation}`], times[`${way}: ${itsOperation}`]));
  }
  for (const one of Object.values(processes)) await one.end();
}

/** What is compared with itself, or with an aim. */
async function besideItself() {
  const cpu = ['95 % get, 5 % set, 100 B, CPU with two processes at it', 'with one'];
  const late = ['set 100 B, p99.9', 'its median'];
  const memory = ['memory an entry of 16 + 100 bytes, beyond these', 'the aim'];
  const leftOut = absence('ours');
  if (leftOut !== undefined) return [cpu, late, memory].forEach(([what, against]) => print({ what, against, leftOut }));
  const first = await start('ours', { size: 100 });
  const second = await start('ours', { size: 100, place: first.place, isFirst: false, seed: 2 });
  const run = { run: 'mixed', ms: MS };
  const measured = await turns(ROUNDS, {
    one: async () => (await first.ask(run)).cpu,
    two: async () => {
      const both = await Promise.all([first.ask(run), second.ask(run)]);
      return (both[0].cpu + both[1].cpu) / 2;
    },
    late: () => first.ask({ percentiles: 'set', ms: MS }),
  });
  print(rowOf(...cpu, measured.two, measured.one));
  const all = (which) => measured.late.map((one) => one[which]);
  print(rowOf(...late, all('p99.9'), all('p50')));
  const overhead = await first.ask({ overhead: true });
  print({ what: memory[0], against: memory[1], ours: overhead, other: 48, ratio: overhead / 48, unit: 'bytes' });
  await second.end();
  await first.end();
}

/** How long a dead owner stays one, against what is promised. */
async function afterDeaths() {
  const dead = { writer: "a killed writer's lock, until another one has it", loader: 'a killed loader, until another one loads' };
  const parts = { median: 0.5, p99: 0.99, 'the longest': 1 };
  const leftOut = absence('ours');
  const { deaths } = leftOut === undefined ? await import('./map/deaths.mjs') : {};
  const times = await deaths?.(DEATHS);
  for (const [who, what] of Object.entries(dead)) {
    times?.[who].sort((a, b) => a - b);
    for (const [name, part] of Object.entries(parts)) {
      const row = { what: `${what}, ${name}`, against: 'the aim', most: 1 };
      const ours = times?.[who][Math.floor((DEATHS - 1) * part)];
      print(leftOut === undefined ? { ...row, ours, other: PROMISED, ratio: ours / PROMISED } : { ...row, leftOut });
    }
  }
}
