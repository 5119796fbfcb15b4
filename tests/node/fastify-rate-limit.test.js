'use strict';

// shm-node/fastify-rate-limit: real Fastify servers that have one limit.

const assert = require('node:assert/strict');
const { after, describe, it } = require('node:test');
const fastify = require('fastify');
const rateLimit = require('@fastify/rate-limit');
const { folder, newKey } = require('./support.js');
const { fill, testLimits } = require('./support/limits.js');
const { again, keep, newMap } = require('./support/map.js');
const { rateLimitStore } = require(`${folder}/stores/fastify-rate-limit.js`);

const HOUR = 3_600_000;
/** Looks without counting, which the plugin has from 11 on; scripts/test-integrations.mjs runs this with 10, too. */
const canPeek = parseInt(require('@fastify/rate-limit/package.json').version) >= 11;

async function serve(map, need, folder) {
  const app = need('fastify')();
  const { rateLimitStore } = require(`${folder}/stores/fastify-rate-limit.js`);
  const store = rateLimitStore({ map });
  await app.register(need('@fastify/rate-limit'), { max: 30, timeWindow: 3_600_000, store, keyGenerator: ({ url }) => url });
  const answer = async () => `${process.pid}`;
  app.get('/pid', { config: { rateLimit: false } }, answer);
  app.get('/:any', answer);
  await app.listen({ port: 0, host: '127.0.0.1' });
}

describe('a cluster of Fastify servers', () => {
  const map = newMap({ evict: false });
  testLimits(map, serve, (path) => map.get(`rl:${path}`));
});

describe('one Fastify server', () => {
  const apps = [];
  after(() => Promise.all(apps.map((app) => app.close())));

  /** A server with a limit for each user; /slow has one of its own. */
  async function open(options) {
    const app = fastify();
    apps.push(app);
    await app.register(rateLimit, { max: 2, timeWindow: HOUR, keyGenerator: ({ query }) => query.user, ...options });
    app.get('/', async () => 'ok');
    app.get('/slow', { config: { rateLimit: { max: 1 } } }, async () => 'ok');
    if (canPeek) {
      const peek = app.createRateLimit();
      app.get('/peek', { config: { rateLimit: false } }, (request) => peek(request, { increment: false }));
    }
    return (path, user) => app.inject(`${path}?user=${user}`);
  }
  const statuses = async (...answers) => (await Promise.all(answers)).map(({ statusCode }) => statusCode);

  it('has a limit for each client and for each route with its own limit', async () => {
    const map = newMap({ evict: false });
    const ask = await open({ store: rateLimitStore({ map }) });
    const { headers } = await ask('/', 'ada');
    assert.equal(headers['x-ratelimit-remaining'], '1');
    const reset = Number(headers['x-ratelimit-reset']);
    assert.ok(reset > 0 && reset <= 3600, `${reset}`);
    assert.deepEqual(await statuses(ask('/', 'ada'), ask('/', 'ada'), ask('/', 'bob')), [200, 429, 200]);
    assert.deepEqual(await statuses(ask('/slow', 'ada'), ask('/slow', 'ada'), ask('/slow', 'bob')), [200, 429, 200]);
    assert.deepEqual([map.get('rl:ada'), map.get('rl:bob')], [3, 1]);
    if (!canPeek) return;
    const left = async (user) => (await ask('/peek', user)).json().remaining;
    assert.deepEqual([await left('bob'), await left('eve'), map.get('rl:bob')], [1, 2, 1]);
  });

  it('starts the window again, or makes it longer, for a client that goes on', async () => {
    for (const [options, windows] of [
      [{}, [1, 1, 1]],
      [{ continueExceeding: true }, [1, 1, 1]],
      [{ exponentialBackoff: true }, [1, 2, 4]],
    ]) {
      const map = newMap({ evict: false });
      const ask = await open({ store: rateLimitStore({ map }), ...options });
      for (let i = 0; i < 2; i++) await ask('/', 'ada');
      let last = map.getEntry('rl:ada').expires;
      for (const times of windows) {
        const before = Date.now();
        assert.equal((await ask('/', 'ada')).statusCode, 429);
        const { expires } = map.getEntry('rl:ada');
        if (Object.keys(options).length === 0) assert.equal(expires, last);
        else assert.ok(expires >= before + times * HOUR - 1 && expires <= Date.now() + times * HOUR + 1, `${times}`);
        last = expires;
      }
    }
  });

  it('a window of no length counts nothing', async () => {
    const ask = await open({ store: rateLimitStore({ map: newMap({ evict: false }) }), timeWindow: 0, max: 1 });
    assert.deepEqual(await statuses(ask('/', 'ada'), ask('/', 'ada')), [200, 200]);
  });

  it('a full map fails the request of a new client, or lets it pass, and still counts the others', async () => {
    const map = newMap({ memory: 32 << 10, evict: false });
    const fails = await open({ store: rateLimitStore({ map }) });
    const passes = await open({ store: rateLimitStore({ map, prefix: 'p:' }), skipOnError: true });
    await fails('/', 'ada');
    fill(map);
    const failed = await fails('/', 'eve');
    assert.deepEqual([failed.statusCode, failed.json().code], [500, 'ERR_SHM_FULL']);
    assert.deepEqual(await statuses(passes('/', 'eve'), passes('/', 'eve'), passes('/', 'eve')), [200, 200, 200]);
    assert.deepEqual([await statuses(fails('/', 'ada')), await statuses(fails('/', 'ada'))], [[200], [429]]);
  });

  it('a map that the store opens does not evict', () => {
    const { map } = rateLimitStore({ key: newKey(), memory: 1 << 20 });
    keep(map);
    assert.throws(() => again(map, { evict: true }), { code: 'ERR_SHM_OPTIONS' });
  });
});
