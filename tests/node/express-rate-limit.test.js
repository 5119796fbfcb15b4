'use strict';

// shm-node/express-rate-limit: real Express servers that have one limit.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { after, describe, it } = require('node:test');
const express = require('express');
const { rateLimit } = require('express-rate-limit');
const { folder, newKey } = require('./support.js');
const { get } = require('./support/cluster.js');
const { again, newMap } = require('./support/map.js');
const { fill, testLimits } = require('./support/limits.js');
const { RateLimitStore } = require(`${folder}/stores/express-rate-limit.js`);

const HOUR = 3_600_000;

function serve(map, need, folder) {
  const app = need('express')();
  const { rateLimit } = need('express-rate-limit');
  const { RateLimitStore } = require(`${folder}/stores/express-rate-limit.js`);
  app.get('/pid', (request, response) => response.send(`${process.pid}`));
  app.use(rateLimit({ windowMs: 3_600_000, limit: 30, store: new RateLimitStore({ map }), keyGenerator: ({ path }) => path }));
  app.use((request, response) => response.send(`${process.pid}`));
  app.listen(0, '127.0.0.1');
}

describe('a cluster of Express servers', () => {
  const map = newMap({ evict: false });
  testLimits(map, serve, (path) => map.get(`rl:${path}`));
});

describe('one Express server', () => {
  const servers = [];
  after(() => servers.forEach((server) => server.close()));

  /** A server with a limiter; its clients say who they are. */
  function open(options) {
    const app = express();
    const limiter = rateLimit({ windowMs: HOUR, limit: 2, keyGenerator: ({ query }) => query.user, ...options });
    app.use(limiter);
    app.get('/', (request, response) => response.status(Number(request.query.status ?? 200)).end());
    app.use((error, request, response, next) => response.status(500).send(error.code));
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => {
        servers.push(server);
        const { port } = server.address();
        resolve({ limiter, ask: (user, more = '') => get(port, `/?user=${user}${more}`) });
      });
    });
  }
  const statuses = (answers) => answers.map(({ status }) => status);

  it('has a limit for each client, which can be read and reset', async () => {
    const map = newMap({ evict: false });
    const store = new RateLimitStore({ map });
    const { ask, limiter } = await open({ store, standardHeaders: 'draft-6' });
    const before = Date.now();
    const answers = [await ask('ada'), await ask('ada'), await ask('ada'), await ask('bob')];
    assert.deepEqual(statuses(answers), [200, 200, 429, 200]);
    assert.equal(answers[1].headers['ratelimit-remaining'], '0');
    const { totalHits, resetTime } = await limiter.getKey('ada');
    assert.equal(totalHits, 3);
    assert.ok(resetTime >= before + HOUR - 1 && resetTime <= Date.now() + HOUR, `${resetTime}`);
    assert.equal(await limiter.getKey('eve'), undefined);
    limiter.resetKey('ada');
    assert.deepEqual(statuses([await ask('ada'), await ask('bob'), await ask('bob')]), [200, 200, 429]);
  });

  it('does not count skipped requests, and keeps the window', async () => {
    const store = new RateLimitStore({ map: newMap({ evict: false }) });
    const { ask } = await open({ store, skipFailedRequests: true });
    await ask('ada');
    const { resetTime } = store.get('ada');
    assert.equal((await ask('ada', '&status=404')).status, 404);
    while (store.get('ada').totalHits !== 1) await new Promise(setImmediate);
    assert.deepEqual(store.get('ada').resetTime, resetTime);
    assert.deepEqual(statuses([await ask('ada'), await ask('ada')]), [200, 429]);
  });

  it('does not decrement a window that is over, and does not go below 0', () => {
    const store = new RateLimitStore({ map: newMap({ evict: false }) });
    store.init({ windowMs: HOUR });
    store.decrement('ada');
    assert.equal(store.get('ada'), undefined);
    assert.equal(store.increment('ada').totalHits, 1);
    store.decrement('ada');
    store.decrement('ada');
    assert.equal(store.get('ada').totalHits, 0);
  });

  it('a decrement leaves the end of the window as it is, however much time passes within it', (t) => {
    const store = new RateLimitStore({ map: newMap({ evict: false }) });
    store.init({ windowMs: HOUR });
    store.increment('ada');
    const { resetTime } = store.increment('ada');
    t.mock.method(Date, 'now', () => 0);
    store.decrement('ada');
    assert.deepEqual(store.get('ada'), { totalHits: 1, resetTime });
  });

  it('a decrement that comes when the window has just ended counts nothing in the next one', () => {
    const map = newMap({ evict: false });
    const store = new RateLimitStore({ map });
    store.init({ windowMs: HOUR });
    store.increment('ada');
    const { increment } = map;
    map.increment = (...args) => {
      delete map.increment;
      map.delete('rl:ada');
      return increment.apply(map, args);
    };
    store.decrement('ada');
    assert.equal(store.get('ada').totalHits, 0);
    assert.equal(store.increment('ada').totalHits, 1);
  });

  it('a request that cannot be taken back stays counted, with a warning', async () => {
    const map = newMap({ evict: false });
    const store = new RateLimitStore({ map });
    store.init({ windowMs: HOUR });
    store.increment('ada');
    map.increment = () => {
      throw Object.assign(new Error('another writer holds it'), { code: 'EBUSY' });
    };
    const warned = once(process, 'warning');
    store.decrement('ada');
    const [{ name, code, message }] = await warned;
    assert.deepEqual([name, code], ['ShmNodeWarning', 'EBUSY']);
    assert.match(message, /another writer holds it/);
    assert.equal(store.get('ada').totalHits, 1);
  });

  it('a full map fails the request of a new client, or lets it pass, and still counts the others', async () => {
    const map = newMap({ memory: 32 << 10, evict: false });
    const fails = await open({ store: new RateLimitStore({ map }) });
    const passes = await open({ store: new RateLimitStore({ map, prefix: 'p:' }), passOnStoreError: true, logger: { error() {}, warn() {} } });
    await fails.ask('ada');
    fill(map);
    const { status, body } = await fails.ask('eve');
    assert.deepEqual([status, body], [500, 'ERR_SHM_FULL']);
    assert.deepEqual(statuses([await passes.ask('eve'), await passes.ask('eve'), await passes.ask('eve')]), [200, 200, 200]);
    assert.deepEqual(statuses([await fails.ask('ada'), await fails.ask('ada')]), [200, 429]);
  });

  it('resets all entries with its prefix, and no others', async () => {
    const map = newMap({ evict: false });
    const [login, api] = ['login:', 'api:'].map((prefix) => new RateLimitStore({ map, prefix }));
    for (const store of [login, api]) {
      store.init({ windowMs: HOUR });
      store.increment('ada');
    }
    login.resetAll();
    assert.deepEqual([login.get('ada'), api.get('ada').totalHits], [undefined, 1]);
  });

  it('a map that the store opens does not evict, and is closed with the store', () => {
    const store = new RateLimitStore({ key: newKey(), memory: 1 << 20 });
    assert.throws(() => again(store.map, { evict: true }), { code: 'ERR_SHM_OPTIONS' });
    const { map } = store;
    store.shutdown();
    assert.throws(() => map.size, { code: 'ERR_SHM_DETACHED' });
  });
});
