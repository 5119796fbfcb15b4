'use strict';

// shm-node/express-session: real Express servers that know each other's sessions.

const assert = require('node:assert/strict');
const { promisify } = require('node:util');
const { after, before, describe, it } = require('node:test');
const session = require('express-session');
const { folder, newKey } = require('./support.js');
const { startCluster } = require('./support/cluster.js');
const { fill } = require('./support/limits.js');
const { again, keep, newMap } = require('./support/map.js');
const { SessionStore } = require(`${folder}/stores/express-session.js`);

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function serve(map, need, folder) {
  const app = need('express')();
  const session = need('express-session');
  const { SessionStore } = require(`${folder}/stores/express-session.js`);
  const cookie = { maxAge: 3_600_000 };
  app.use(session({ store: new SessionStore({ map }), secret: 's', resave: false, saveUninitialized: false, cookie }));
  const answer = ({ session: { user, visits } }, response) => response.json({ pid: process.pid, user, visits });
  app.get('/login', (request, response) => {
    request.session.user = 'ada';
    answer(request, response);
  });
  app.get('/me', answer);
  app.get('/visit', (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    answer(request, response);
  });
  app.get('/logout', (request, response) => request.session.destroy(() => response.end()));
  app.use((error, request, response, next) => response.status(500).send(error.code));
  app.listen(0, '127.0.0.1');
}

const cookieOf = ({ headers }) => ({ cookie: headers['set-cookie'][0].split(';')[0] });

describe('a cluster of Express servers', () => {
  const map = newMap({ evict: false });
  let cluster;
  before(async () => (cluster = await startCluster(map, serve)));
  after(async () => assert.equal(await cluster?.stop(), ''));
  const ask = async (path, headers) => {
    const answer = await cluster.get(path, headers);
    return { ...answer, ...(answer.body && JSON.parse(answer.body)) };
  };

  it('a login survives when the worker that made it is killed', async () => {
    const login = await ask('/login');
    const ada = cookieOf(login);
    await cluster.kill(login.pid);
    const me = await ask('/me', ada);
    assert.notEqual(me.pid, login.pid);
    assert.equal(me.user, 'ada');
    assert.equal((await ask('/me')).user, undefined);
  });

  it('the other workers read what one worker writes, and a logout applies to all', async () => {
    const ada = cookieOf(await ask('/login'));
    const workers = new Set();
    for (let visits = 1; visits <= 3; visits++) {
      const visit = await ask('/visit', ada);
      assert.equal(visit.visits, visits);
      workers.add(visit.pid);
      if (visits === 1) await cluster.kill(visit.pid);
    }
    assert.ok(workers.size > 1);
    await ask('/logout', ada);
    for (let i = 0; i < 4; i++) assert.equal((await ask('/me', ada)).user, undefined);
  });
});

describe('a store of sessions', () => {
  const promised = (store) =>
    Object.fromEntries(
      ['all', 'clear', 'destroy', 'get', 'length', 'set', 'touch'].map((name) => [name, promisify(store[name]).bind(store)]),
    );
  const open = (options) => {
    const store = new SessionStore({ map: newMap(), ...options });
    return { store, ...promised(store), left: (sid) => store.map.getEntry(`${store.prefix}${sid}`).expires - Date.now() };
  };
  const sessionOf = (maxAge, user = 'ada') => ({ cookie: new session.Cookie({ maxAge }), user });

  it('returns the sessions that it was given, and is a store of express-session', async () => {
    for (const encoding of ['json', 'v8', 'bytes']) {
      const { store, set, get } = open({ map: newMap({ encoding, near: 10 }) });
      assert.ok(store instanceof session.Store);
      const given = sessionOf(HOUR);
      await set('1', given);
      const found = await get('1');
      assert.deepEqual(found, JSON.parse(JSON.stringify(given)));
      assert.deepEqual(store.createSession({}, found).cookie.expires, given.cookie.expires);
      assert.equal(await get('2'), undefined);
    }
  });

  it('a session ends with its cookie, or after the `ttl` of the store, by default a day', async () => {
    for (const [options, maxAge, most] of [[{}, HOUR, HOUR], [{}, null, DAY], [{ ttl: 5 * HOUR }, null, 5 * HOUR]]) {
      const { set, touch, left } = open(options);
      await set('1', sessionOf(maxAge));
      const ends = left('1');
      assert.ok(ends > most / 2 && ends <= most, `${ends}`);
      await touch('1', sessionOf(2 * DAY));
      assert.ok(left('1') > DAY);
    }
    const { set, get, touch, length } = open();
    await set('1', sessionOf(1));
    await set('2', sessionOf(HOUR));
    await touch('2', sessionOf(-1));
    await set('3', sessionOf(HOUR));
    await set('3', sessionOf(-1));
    while ((await get('1')) !== undefined) await new Promise(setImmediate);
    assert.deepEqual([await get('2'), await get('3'), await length()], [undefined, undefined, 0]);
  });

  it('touch changes only the end: what another process wrote stays', async () => {
    const { set, get, touch } = open();
    const old = sessionOf(HOUR);
    await set('1', sessionOf(HOUR, 'eve'));
    await touch('1', old);
    await touch('2', old);
    assert.deepEqual([(await get('1')).user, await get('2')], ['eve', undefined]);
  });

  it('lists, counts and clears the sessions with its prefix, and no others', async () => {
    const map = newMap();
    const [ours, theirs] = [open({ map }), open({ map, prefix: 'admin:' })];
    for (const sid of ['1', '2']) await ours.set(sid, sessionOf(HOUR));
    await theirs.set('1', sessionOf(HOUR, 'root'));
    assert.deepEqual(Object.keys(await ours.all()).sort(), ['1', '2']);
    assert.deepEqual([(await theirs.all())['1'].user, await ours.length(), await theirs.length()], ['root', 2, 1]);
    await ours.destroy('1');
    assert.equal(await ours.length(), 1);
    await ours.clear();
    assert.deepEqual([await ours.length(), await theirs.length(), map.size], [0, 1, 1]);
  });

  it('passes errors to its callbacks, or throws them if there is none', async () => {
    const { store, set, get } = open({ map: newMap({ memory: 32 << 10, evict: false }) });
    fill(store.map);
    await assert.rejects(set('1', sessionOf(HOUR)), { code: 'ERR_SHM_FULL' });
    store.map.close();
    await assert.rejects(get('1'), { code: 'ERR_SHM_DETACHED' });
    assert.throws(() => store.destroy('1'), { code: 'ERR_SHM_DETACHED' });
  });

  it('a map that the store opens evicts, unless the options say otherwise', () => {
    const { map } = new SessionStore({ key: newKey(), memory: 1 << 20 });
    keep(map);
    assert.throws(() => again(map, { evict: false }), { code: 'ERR_SHM_OPTIONS' });
    assert.throws(() => new SessionStore({ map, ttl: 0 }), { code: 'ERR_OUT_OF_RANGE' });
  });
});
