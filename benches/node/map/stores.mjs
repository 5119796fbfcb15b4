// The stores that are compared. Each has operations by name, which take a key; `set` takes the value too. One that is
// not `isAsync` answers at once; `settled` is awaited now and then by what only begins a set.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** A value that is an object, and takes 100 bytes as JSON. */
export const OBJECT = { id: 123456789, name: 'a short name', tags: ['one', 'two'], price: 12.5, isOpen: true, on: [70, 800] };

/** Ours; `place` is the key of one that is there, `count` how many entries of `size` bytes it is to hold. */
export function ours({ place, count, size }) {
  const { SharedMap } = require('../../../shm-node/map.js');
  // Twice what the entries take.
  const options = { memory: count * (size + 64) * 2, entries: count * 1.5 };
  const map = place === '' ? new SharedMap(options) : new SharedMap(place);
  const near = new SharedMap(map.key, { near: count });
  const target = Buffer.alloc(size);
  const lastByte = (bytes) => bytes[bytes.length - 1];
  return {
    place: map.key,
    get: (key) => map.get(key),
    getInto: (key) => map.getInto(key, target),
    view: (key) => map.view(key, lastByte),
    set: (key, value) => map.set(key, value),
    object: (key) => near.get(key),
    increment: (key) => map.increment(`count:${key}`),
    overhead: () => map.stats().used / map.stats().entries - 116,
  };
}

export async function lmdb({ folder }) {
  const { open } = await import('lmdb');
  const database = open({ path: `${folder}/lmdb`, encoding: 'binary', noSync: true, mapSize: 8 * 2 ** 30 });
  let last;
  return {
    get: (key) => database.getBinary(key),
    getFast: (key) => database.getBinaryFast(key),
    set: (key, value) => (last = database.put(key, value)),
    settled: () => last,
    end: () => database.close(),
  };
}

export function lruCache({ count }) {
  const { LRUCache } = require('lru-cache');
  const cache = new LRUCache({ max: count * 2 });
  return {
    get: (key) => cache.get(key),
    object: (key) => cache.get(key),
    set: (key, value) => cache.set(key, Buffer.isBuffer(value) ? Buffer.from(value) : value),
  };
}

/** What a program without a shared cache of objects does. */
export function json() {
  const texts = new Map();
  return { object: (key) => JSON.parse(texts.get(key)), set: (key, value) => texts.set(key, JSON.stringify(value)) };
}

export function redis({ redisPlace, lanes }) {
  const { Redis } = require('ioredis');
  const client = new Redis({ path: redisPlace, enableAutoPipelining: lanes > 1 });
  return {
    isAsync: true,
    get: (key) => client.getBuffer(key),
    set: (key, value) => client.set(key, value),
    increment: (key) => client.incr(`count:${key}`),
    end: () => client.quit(),
  };
}

export function memcached({ memcachedPlace }) {
  const { Client } = require('memjs');
  const { Server } = require('memjs/lib/memjs/server.js');
  // Its port may be a path.
  const server = new Server('localhost', memcachedPlace, undefined, undefined, { timeout: 60, conntimeout: 5 });
  const client = new Client([server], { retries: 1, expires: 0, keepAlive: true });
  return {
    isAsync: true,
    get: async (key) => (await client.get(key)).value ?? undefined,
    set: (key, value) => client.set(key, value, {}),
    end: () => client.close(),
  };
}

/** A Map in the primary of a cluster, asked by messages. */
export function primary() {
  const asked = new Map();
  let id = 0;
  process.on('message', (answer) => {
    if (answer.id === undefined) return;
    asked.get(answer.id)(answer.value);
    asked.delete(answer.id);
  });
  const ask = (question) =>
    new Promise((resolve) => {
      asked.set(++id, resolve);
      process.send({ id, ...question });
    });
  return { isAsync: true, get: (key) => ask({ key }), set: (key, value) => ask({ key, value }) };
}
