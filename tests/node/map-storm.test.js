'use strict';

// A storm of JavaScript processes that use one map and are killed at random, each while others go on. That of the crate
// (`npm run storm:map`) is longer, and kills at every step. SHM_NODE_MAP_KILLS sets how many are killed.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const { it } = require('node:test');
const { until } = require('./support.js');
const { newMap, peer, shm } = require('./support/map.js');
const { place, words: newWords } = require('./support/sync.js');

const KILLS = Number(process.env.SHM_NODE_MAP_KILLS ?? 12);
const WRITERS = 3;
/** How many keys each of them has for itself. */
const KEYS = 10;
/** Longer than anything takes, however busy the machine is. */
const GENEROUS = 120_000;

let count = 0;
const room = (more) => (count += more) - more;
// The words that all share, by their first one. Of each writer, whatever process it is: what it has done; how often it
// began to add, and had added; of each of its keys the last number that it began to write, and had written.
const WORDS = {
  DONE: room(WRITERS),
  ADDING: room(WRITERS),
  ADDED: room(WRITERS),
  BEGUN: room(WRITERS * KEYS),
  WRITTEN: room(WRITERS * KEYS),
  DOOMED: room(KILLS + WRITERS + 1), // of each process whether it is killed, or about to be
  LOADER: room(1), // the process that loads, or 0
  LOADED: room(1),
  TWICE: room(1), // what must not be
  TORN: room(1),
  OLDER: room(1),
  LOST: room(1),
  END: room(1),
};

/** What a process does: `me` is the writer, and `number` is that of the process, none of which comes again. */
const work = async (map, ready, { me, number, words: target, WORDS, WRITERS, KEYS, GENEROUS }, SharedMap) => {
  const { isDeepStrictEqual } = require('node:util');
  const words = shm.get(target);
  const { DONE, ADDING, ADDED, BEGUN, WRITTEN, DOOMED, LOADER, LOADED, TWICE, TORN, OLDER, LOST, END } = WORDS;
  const count = (index) => Atomics.add(words, index, 1);
  const random = (below) => Math.floor(Math.random() * below);
  const patient = new SharedMap(map.key, { lockTimeout: GENEROUS });

  // Each number has a value of its own, long or short, that shows whether it is whole.
  const valueOf = (n) => {
    if (n % 2 === 0) return { n, text: 'x'.repeat(n % 300) };
    const bytes = Buffer.alloc(4 + ((n * 13) % 900), n);
    bytes.writeInt32LE(n);
    return bytes;
  };

  const set = () => {
    const key = me * KEYS + random(KEYS);
    // One that was begun may have been written before its writer was killed.
    const n = Math.max(Atomics.load(words, BEGUN + key), Atomics.load(words, WRITTEN + key)) + 1;
    Atomics.store(words, BEGUN + key, n);
    patient.set(`k${key}`, valueOf(n));
    Atomics.store(words, WRITTEN + key, n);
  };
  const get = () => {
    const key = random(WRITERS * KEYS);
    const written = Atomics.load(words, WRITTEN + key);
    const value = patient.get(`k${key}`);
    if (value === undefined) {
      if (written > 0) count(LOST);
      return;
    }
    const n = Buffer.isBuffer(value) ? value.readInt32LE() : value.n;
    if (!isDeepStrictEqual(value, valueOf(n))) count(TORN);
    if (n < written) count(OLDER);
  };
  const increment = () => {
    count(ADDING + me);
    patient.increment('counter');
    count(ADDED + me);
  };
  const remove = () => {
    patient.set(`brief ${me}`, number);
    if (!patient.delete(`brief ${me}`) || patient.has(`brief ${me}`)) throw new Error('it was not there, or is still');
  };
  const load = async () => {
    const before = Atomics.exchange(words, LOADER, number);
    if (before !== 0 && Atomics.load(words, DOOMED + before) === 0) count(TWICE);
    await new Promise(setImmediate);
    Atomics.store(words, LOADER, 0);
    count(LOADED);
    return 'loaded';
  };
  const getOrSet = async () => {
    // Without a time limit: nothing but its end or its death lets another process load.
    const value = await patient.getOrSet('loaded', load, { ttl: 1, loadTimeout: Infinity });
    if (value !== 'loaded') throw new Error(`${value} was loaded`);
  };

  ready();
  while (Atomics.load(words, END) === 0) {
    await [set, set, get, get, increment, remove, getOrSet][random(7)]();
    count(DONE + me);
  }
};

it('processes that are killed lose nothing, tear nothing, load once, and their increments add up', async () => {
  const map = newMap({ evict: false, memory: 256 << 10, shards: 2, lockTimeout: GENEROUS });
  const words = newWords(count * 4);
  const load = (index) => Atomics.load(words, index);
  let number = 0;
  const begin = (me) => {
    number++;
    return { number, ...peer(map, work, { me, number, words: place(words), WORDS, WRITERS, KEYS, GENEROUS }) };
  };
  /** Waits until a word has come so far, or one of the processes has ended by an error of its own. */
  const progress = (index, wanted) =>
    until(() => load(index) >= wanted || all.some(({ child }) => child.exitCode !== null), GENEROUS);
  const all = Array.from({ length: WRITERS }, (_, me) => begin(me));
  await Promise.all(all.map(({ ready }) => ready));
  for (let i = 0; i < KILLS; i++) {
    const me = randomInt(WRITERS);
    const wanted = load(WORDS.DONE + me) + randomInt(1, 60);
    assert.ok(await progress(WORDS.DONE + me, wanted), 'it is stuck');
    for (const { child, ended } of all) assert.equal(child.exitCode, null, child.exitCode === null ? '' : (await ended).stderr);
    Atomics.store(words, WORDS.DOOMED + all[me].number, 1);
    all[me].child.kill('SIGKILL');
    const { signal, stderr } = await all[me].ended;
    assert.deepEqual([signal, stderr], ['SIGKILL', '']);
    all[me] = begin(me);
  }
  await Promise.all(all.map(({ ready }) => ready));
  const wanted = load(WORDS.LOADED) + 1;
  assert.ok(await progress(WORDS.LOADED, wanted), 'nobody loads any more');
  Atomics.store(words, WORDS.END, 1);
  for (const { ended } of all) assert.deepEqual(await ended, { code: 0, signal: null, stdout: '', stderr: '' });

  const found = ['TWICE', 'TORN', 'OLDER', 'LOST'].map((name) => [name, load(WORDS[name])]);
  assert.deepEqual(found, [['TWICE', 0], ['TORN', 0], ['OLDER', 0], ['LOST', 0]]);
  const sum = (first) => words.subarray(first, first + WRITERS).reduce((all, one) => all + one, 0);
  const counter = map.get('counter') ?? 0;
  assert.ok(sum(WORDS.ADDED) <= counter && counter <= sum(WORDS.ADDING), `${counter} was added`);
  for (let key = 0; key < WRITERS * KEYS; key++) assert.ok(load(WORDS.WRITTEN + key) === 0 || map.has(`k${key}`));
  shm.detach(words);
});
