'use strict';

// shm-node/keyv as the first tier of cacheable, with a real Redis as the second: the way beyond one machine. Two maps
// stand for two machines.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { Cacheable } = require('cacheable');
const { Keyv } = require('keyv');
const { default: KeyvRedis } = require('@keyv/redis');
const { KeyvSharedMap } = require('shm-node/keyv');

const folder = mkdtempSync(path.join(tmpdir(), 'shm-node-redis-'));
const socket = path.join(folder, 'socket');

describe('cacheable over shm-node/keyv and Redis', () => {
  let redis;
  const opened = [];
  before(async () => {
    redis = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve, reject) => {
      let said = '';
      redis.stdout.setEncoding('utf8').on('data', (text) => /ready to accept/i.test((said += text)) && resolve());
      redis.on('error', reject).on('exit', () => reject(new Error(said)));
    });
  });
  after(async () => {
    await Promise.all(opened.map((cache) => cache.disconnect()));
    const gone = new Promise((resolve) => redis.removeAllListeners('exit').on('exit', resolve));
    redis.kill();
    await gone;
    rmSync(folder, { recursive: true, force: true });
  });

  /** One machine: a cache of each of two processes, over one map. */
  function machine() {
    const key = `/shm-node-tiers-${process.pid}-${opened.length}`;
    const caches = [1, 2].map(() => {
      const primary = new Keyv({ store: new KeyvSharedMap({ key, memory: 1 << 20 }) });
      const secondary = new Keyv({ store: new KeyvRedis({ socket: { path: socket } }) });
      return new Cacheable({ primary, secondary });
    });
    opened.push(...caches);
    return caches;
  }

  it('what one process sets, the others of the machine have without Redis, and another machine through it', async () => {
    const [one, two] = machine();
    const [far] = machine();
    await one.set('user', { name: 'Ada' });
    assert.deepEqual(await two.primary.get('user'), { name: 'Ada' });
    assert.equal(await far.primary.get('user'), undefined);
    assert.deepEqual(await far.get('user'), { name: 'Ada' });
    assert.deepEqual(await far.primary.get('user'), { name: 'Ada' });
    assert.deepEqual(await far.getMany(['user', 'none']), [{ name: 'Ada' }, undefined]);
  });

  it('a new process of the machine has it without asking Redis, and one that deletes it deletes it in both tiers', async () => {
    const [one, two] = machine();
    await one.set('a', 1);
    assert.equal(await two.primary.has('a'), true);
    await two.delete('a');
    assert.deepEqual([await one.primary.get('a'), await one.secondary.get('a'), await one.get('a')], [undefined, undefined, undefined]);
  });

  it('what has expired is gone from both tiers', async () => {
    const [one, two] = machine();
    await one.set('short', 1, 1);
    await one.set('long', 1, 3_600_000);
    while ((await two.get('short')) !== undefined) await new Promise(setImmediate);
    assert.equal(await two.primary.get('short'), undefined);
    assert.equal(await two.get('long'), 1);
  });

  it('a function is called once for a machine, and once for all', async () => {
    const [one, two] = machine();
    const [far] = machine();
    let calls = 0;
    const load = async () => ++calls;
    for (const cache of [one, two, far]) assert.equal(await cache.getOrSet('loaded', load, { ttl: 60_000 }), 1);
  });
});
