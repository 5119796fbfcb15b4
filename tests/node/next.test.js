'use strict';

// shm-node/next, called as Next.js calls it. tests/integrations/next has an application of the real one.

const assert = require('node:assert/strict');
const { mkdtempSync, mkdirSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { ReadableStream } = require('node:stream/web');
const { after, describe, it } = require('node:test');
const { folder, newKey } = require('./support.js');
const { fill } = require('./support/limits.js');
const { again, keep, newMap } = require('./support/map.js');
const { cacheHandler, useCacheHandler } = require(`${folder}/stores/next.js`);

/** Time that passes when it is told to. */
function clockOf(t) {
  let now = 1_700_000_000_000;
  t.mock.method(Date, 'now', () => now);
  return (ms) => (now += ms);
}

const PAGE = { kind: 'APP_PAGE', html: '<p>ä</p>', status: 200, headers: { 'x-next-cache-tags': 'a,_N_T_/x' } };
const APP = { kind: 'APP_PAGE', isFallback: false };
const FETCH = { kind: 'FETCH', data: { headers: {}, body: 'x', url: 'u' }, revalidate: 60 };

/** Makes the calls of a map that would add an entry fail, until the function that it returns is called. */
function refuseNew(map, code) {
  map.add = () => {
    throw Object.assign(new Error('no entry can be added'), { code });
  };
  return () => delete map.add;
}

describe('the cache handler', () => {
  const open = (map = newMap(), context = {}) => new (cacheHandler({ map }))(context);

  it('returns the entries that it was given, of each kind', async () => {
    const segmentData = new Map([['/_tree', Buffer.from('tree')], ['/x', Buffer.alloc(0)]]);
    for (const [kind, value] of [
      ['APP_PAGE', { ...PAGE, rscData: Buffer.from([0, 255]), postponed: 'p', segmentData }],
      ['APP_PAGE', { ...PAGE, segmentData: new Map() }],
      ['APP_ROUTE', { kind: 'APP_ROUTE', body: Buffer.alloc(100_000, 7), status: 201, headers: { a: ['1', '2'] } }],
      ['PAGES', { kind: 'PAGES', html: 'h', pageData: { head: 1, parts: [['x', 1]] }, headers: {}, status: 200 }],
      ['IMAGE', { kind: 'IMAGE', etag: 'e', buffer: Buffer.from('i'), extension: 'png', revalidate: 60 }],
      ['PAGES', null],
    ]) {
      const handler = open();
      const cacheControl = { revalidate: 60, expire: 3600 };
      await handler.set('/key', value, { cacheControl });
      const found = await open(handler.constructor.map).get('/key', { kind, isFallback: false });
      assert.deepEqual(found.value, value);
      assert.deepEqual(found.cacheControl, cacheControl);
      assert.equal(await handler.get('/other', { kind }), null);
      handler.resetRequestCache();
    }
  });

  it('entries that a tag invalidates are gone for all, and later ones are found', async (t) => {
    const pass = clockOf(t);
    const [one, two] = ((map) => [open(map), open(map)])(newMap());
    for (const tag of ['a', ['_N_T_/x'], ['none', 'a']]) {
      pass(10);
      await one.set('/x', PAGE, {});
      assert.ok(await two.get('/x', APP));
      await two.revalidateTag('other');
      assert.ok(await one.get('/x', APP));
      await two.revalidateTag(tag);
      assert.equal(await one.get('/x', APP), null);
    }
    pass(1);
    await two.set('/x', PAGE, {});
    assert.ok(await one.get('/x', APP));
  });

  it('results of `fetch` have the tags of the request too', async (t) => {
    const pass = clockOf(t);
    const handler = open();
    const ask = (softTags) => handler.get('f', { kind: 'FETCH', tags: ['own'], softTags });
    const set = () => handler.set('f', FETCH, { fetchCache: true, tags: ['own'] });
    assert.equal(await ask(['_N_T_/x']), null);
    await set();
    assert.deepEqual((await ask(['_N_T_/x'])).value, FETCH);
    for (const tag of ['own', '_N_T_/x']) {
      await handler.revalidateTag(tag);
      assert.equal(await ask(['_N_T_/x']), null);
      pass(1);
      await set();
      assert.ok(await ask(['_N_T_/x']));
    }
    const minimal = open(handler.constructor.map, { revalidatedTags: ['own'] });
    assert.equal(await minimal.get('f', { kind: 'FETCH', tags: ['own'] }), null);
  });

  it('entries with an unknown tag count as gone, and not as valid', async (t) => {
    const pass = clockOf(t);
    const map = newMap();
    const handler = open(map);
    await handler.set('/x', PAGE, {});
    await handler.set('f', FETCH, { fetchCache: true, tags: [] });
    await handler.get('f', { kind: 'FETCH', softTags: ['soft'] });
    // As eviction does it.
    for (const tag of ['a', 'soft']) assert.ok(map.delete(`next:tag:${tag}`));
    pass(10);
    assert.equal(await handler.get('/x', APP), null);
    assert.equal(await handler.get('f', { kind: 'FETCH', softTags: ['soft'] }), null);
    await handler.set('/x', PAGE, {});
    await handler.set('f', FETCH, { fetchCache: true, tags: [] });
    assert.ok(await handler.get('/x', APP));
    assert.ok(await handler.get('f', { kind: 'FETCH', softTags: ['soft'] }));
  });

  for (const code of ['EBUSY', 'ERR_SHM_FULL']) {
    it(`an entry whose tag cannot be noted (${code}) counts as gone, and a revalidation fails`, async () => {
      const map = newMap();
      const handler = open(map);
      const get = () => handler.get('f', { kind: 'FETCH', tags: ['new'] });
      await handler.set('f', FETCH, { fetchCache: true, tags: [] });
      const end = refuseNew(map, code);
      assert.equal(await get(), null);
      await assert.rejects(handler.revalidateTag('new', { expire: 60 }), { code });
      end();
      await get();
      await handler.set('f', FETCH, { fetchCache: true, tags: [] });
      assert.ok(await get());
    });
  }

  it('with durations, an entry is returned as stale until it is made again, or they are over', async (t) => {
    const pass = clockOf(t);
    const handler = open();
    await handler.set('/x', PAGE, { cacheControl: { revalidate: false } });
    await handler.set('f', FETCH, { fetchCache: true, tags: ['a'] });
    pass(10);
    await handler.revalidateTag(['a'], { expire: 60 });
    const isOld = ({ lastModified, cacheControl }) => cacheControl.revalidate * 1000 + lastModified < Date.now();
    assert.ok(isOld(await handler.get('/x', APP)));
    assert.ok((await handler.get('f', { kind: 'FETCH', tags: ['a'] })).lastModified < 0);
    pass(60_001);
    assert.equal(await handler.get('/x', APP), null);
    await handler.set('/x', PAGE, { cacheControl: { revalidate: false } });
    assert.equal((await handler.get('/x', APP)).cacheControl.revalidate, false);
  });

  it('pages belong to one build, results of `fetch` do not', async () => {
    const place = mkdtempSync(path.join(tmpdir(), 'shm-node-next-'));
    after(() => rmSync(place, { recursive: true, force: true }));
    const map = newMap();
    const [old, now] = ['old', 'new'].map((build) => {
      mkdirSync(path.join(place, build, 'server'), { recursive: true });
      writeFileSync(path.join(place, build, 'BUILD_ID'), build);
      return open(map, { serverDistDir: path.join(place, build, 'server') });
    });
    await old.set('/x', PAGE, {});
    await old.set('f', FETCH, { fetchCache: true });
    assert.equal(await now.get('/x', APP), null);
    assert.ok(await old.get('/x', APP));
    assert.ok(await now.get('f', { kind: 'FETCH' }));
  });

  it('an entry without room is an error, and the earlier entry is gone', async () => {
    const handler = open(newMap({ maxValue: 10_000 }));
    await handler.set('/x', PAGE, {});
    await assert.rejects(handler.set('/x', { ...PAGE, html: 'x'.repeat(20_000) }, {}), { code: 'ERR_OUT_OF_RANGE' });
    assert.equal(await handler.get('/x', APP), null);
    const full = open(newMap({ memory: 32 << 10, evict: false }));
    fill(full.constructor.map);
    await assert.rejects(full.set('/x', PAGE, {}), { code: 'ERR_SHM_FULL' });
  });
});

describe('the handler of `use cache`', () => {
  const entryOf = (text, more) => {
    const value = new ReadableStream({
      start(controller) {
        for (const part of text) controller.enqueue(Buffer.from(part));
        controller.close();
      },
    });
    return { value, tags: ['a'], stale: 30, timestamp: Date.now(), expire: 3600, revalidate: 60, ...more };
  };
  const textOf = async ({ value }) => {
    let text = '';
    for await (const chunk of value) text += Buffer.from(chunk);
    return text;
  };
  const open = (map = newMap()) => useCacheHandler({ map });

  it('returns the entries that it was given, again and again, under keys of any length', async () => {
    const one = open();
    const two = open(one.map);
    for (const key of ['k', 'k'.repeat(5000), 'k'.repeat(5001)]) {
      const entry = entryOf([key.length.toString(), 'ä', '']);
      await one.set(key, Promise.resolve(entry));
      for (let i = 0; i < 2; i++) {
        const { value, ...found } = await two.get(key, []);
        const { value: _given, ...given } = entry;
        assert.deepEqual(found, given);
        assert.equal(await textOf({ value }), `${key.length}ä`);
      }
    }
    await one.refreshTags();
    assert.equal(await two.get('other', []), undefined);
  });

  it('a get waits for the set of its key', async () => {
    const handler = open();
    let give;
    const set = handler.set('k', new Promise((resolve) => (give = resolve)));
    const found = handler.get('k', []);
    give(entryOf(['x']));
    assert.equal(await textOf(await found), 'x');
    await set;
  });

  it('tags and soft tags invalidate for all, at once, or when the entry was made again', async (t) => {
    const pass = clockOf(t);
    const one = open();
    const two = open(one.map);
    const set = () => one.set('k', Promise.resolve(entryOf(['x'])));
    assert.equal(await one.getExpiration(['soft']), Infinity);
    for (const tag of ['a', 'soft']) {
      await two.get('k', ['soft']);
      await set();
      assert.ok(await two.get('k', ['soft']));
      await two.updateTags([tag]);
      assert.equal(await one.get('k', ['soft']), undefined);
      pass(1);
    }
    await set();
    await two.updateTags(['a'], { expire: 60 });
    assert.equal((await one.get('k', ['soft'])).revalidate, -1);
    pass(60_001);
    assert.equal(await one.get('k', ['soft']), undefined);
  });

  it('an entry whose soft tag cannot be noted counts as missing', async () => {
    const handler = open();
    await handler.set('k', Promise.resolve(entryOf(['x'])));
    const end = refuseNew(handler.map, 'EBUSY');
    assert.equal(await handler.get('k', ['soft']), undefined);
    end();
    assert.ok(await handler.get('k', []));
  });

  it('stores no expired entry, and nothing of an entry that fails', async (t) => {
    const warn = t.mock.method(console, 'warn', () => {});
    const handler = open(newMap({ maxValue: 10_000 }));
    await handler.set('now', Promise.resolve(entryOf(['x'], { expire: 0 })));
    await handler.set('past', Promise.resolve(entryOf(['x'], { timestamp: Date.now() - 4_000_000 })));
    assert.equal(warn.mock.callCount(), 0);
    await handler.set('long', Promise.resolve(entryOf(['x'.repeat(20_000)])));
    await handler.set('failed', Promise.reject(new Error('failed')));
    assert.equal(warn.mock.callCount(), 2);
    for (const key of ['now', 'past', 'long', 'failed']) assert.equal(await handler.get(key, []), undefined);
  });

  it('shares its tags with the cache handler of the same prefix, and with no other', async (t) => {
    clockOf(t);
    const handler = open();
    const pages = new (cacheHandler({ map: handler.map }))();
    const others = useCacheHandler({ map: handler.map, prefix: 'other:' });
    for (const one of [handler, others]) await one.set('k', Promise.resolve(entryOf(['x'])));
    await pages.revalidateTag('a');
    assert.equal(await handler.get('k', []), undefined);
    assert.ok(await others.get('k', []));
  });
});

it('a map that the handler opens evicts; while Next.js builds, each process has its own', () => {
  const options = { key: newKey(), memory: 1 << 20 };
  const { map } = useCacheHandler(options);
  keep(map);
  assert.throws(() => again(map, { evict: false }), { code: 'ERR_SHM_OPTIONS' });
  process.env.NEXT_PHASE = 'phase-production-build';
  try {
    for (const { map: own } of [useCacheHandler(options), cacheHandler({ map })]) assert.notEqual(keep(own).key, map.key);
  } finally {
    delete process.env.NEXT_PHASE;
  }
  assert.throws(() => cacheHandler({ memory: 1 << 20 }), { code: 'ERR_INVALID_ARG_TYPE' });
});
