'use strict';

// shm-node/keyv under Keyv 5 and 6: Keyv's own test suite, and what it does not try.

const assert = require('node:assert/strict');
const { afterEach, beforeEach, describe, it } = require('node:test');
const { folder, newKey, until } = require('./support.js');
const { again, newMap, peer } = require('./support/map.js');
const { KeyvSharedMap } = require(`${folder}/stores/keyv.js`);
const suite = require('@keyv/test-suite');

/** What the suite uses of Vitest's `expect`. */
function expect(value) {
  return {
    toBe: (other) => assert.equal(value, other),
    toBeDefined: () => assert.notEqual(value, undefined),
    toBeFalsy: () => assert.ok(!value),
    toBeNull: () => assert.equal(value, null),
    toBeTruthy: () => assert.ok(value),
    toBeUndefined: () => assert.equal(value, undefined),
    toEqual: (other) => assert.deepEqual(value, other),
  };
}

/** What it uses of Vitest, but for one claim: `expect.assertions(n)` is of the test that runs. */
function vitestWithout(left) {
  const run = (body) => async () => {
    let made = 0;
    let wanted;
    const counting = (value) => (made++, expect(value));
    await body({ expect: Object.assign(counting, { assertions: (count) => (wanted = count) }) });
    if (wanted !== undefined) assert.equal(made, wanted);
  };
  return { afterEach, beforeEach, it: (claim, body) => claim !== left && it(claim, run(body)) };
}

// Keyv 6 answers for each key.
const ONE_ANSWER = '.deleteMany([keys]) with nonexistent keys resolves to false';

for (const [version, Keyv] of [
  [5, require('keyv').Keyv],
  [6, require('keyv-6').Keyv],
]) {
  describe(`Keyv ${version}`, () => {
    const map = newMap();

    // `keyvCompresstionTests` are of compressions, and use no store.
    for (const name of ['keyvApiTests', 'keyvValueTests', 'keyvNamespaceTest', 'keyvIteratorTests']) {
      const vitest = vitestWithout(version === 6 ? ONE_ANSWER : undefined);
      describe(name, () => suite[name](vitest, Keyv, () => new KeyvSharedMap({ map })));
    }

    const open = (options, store = new KeyvSharedMap({ map: newMap() })) => {
      const keyv = new Keyv({ store, ...options });
      const errors = [];
      keyv.on('error', (error) => errors.push(error.code));
      return { keyv, store, map: store.map, errors };
    };

    it('clears the entries of its namespace, or of its prefix, and no others', async () => {
      const { keyv, map } = open({ namespace: 'a' });
      const { keyv: other } = open({ namespace: 'b' }, new KeyvSharedMap({ map }));
      const { keyv: aside } = open({ namespace: 'a' }, new KeyvSharedMap({ map, prefix: 'aside:' }));
      for (const one of [keyv, other, aside]) await one.set('k', 1);
      map.set('keyv', 'mine');
      await keyv.clear();
      assert.deepEqual([await keyv.get('k'), await other.get('k'), await aside.get('k')], [undefined, 1, 1]);
      assert.equal(map.size, 3);
      await new KeyvSharedMap({ map }).clear();
      assert.deepEqual([await other.get('k'), await aside.get('k'), map.get('keyv')], [undefined, 1, 'mine']);
    });

    it('iterates over its namespace and prefix only, even if a key contains the separator', async () => {
      const { keyv, map } = open({ namespace: 'a' });
      const { keyv: other } = open({ namespace: 'b' }, new KeyvSharedMap({ map }));
      await keyv.set('k::1', 1);
      await keyv.set('2', 2);
      const { keyv: aside } = open({ namespace: 'a' }, new KeyvSharedMap({ map, prefix: 'vyek:' }));
      for (const one of [other, aside]) await one.set('2', 3);
      const found = [];
      for await (const [key, value] of keyv.iterator()) found.push([key, value]);
      assert.deepEqual(found.sort(), [['2', 2], ['k::1', 1]]);
    });

    it('many keys at once', async () => {
      const { keyv } = open();
      const entries = [{ key: 'a', value: 1 }, { key: 'b', value: { c: 2 }, ttl: 60_000 }];
      assert.deepEqual(await keyv.setMany(entries), [true, true]);
      assert.deepEqual(await keyv.getMany(['b', 'none', 'a']), [{ c: 2 }, undefined, 1]);
      assert.deepEqual(await keyv.hasMany(['a', 'none']), [true, false]);
      assert.deepEqual(await keyv.deleteMany(['a', 'none']), version === 6 ? [true, false] : false);
      assert.deepEqual(await keyv.deleteMany(['b']), version === 6 ? [true] : true);
      assert.deepEqual(await keyv.getMany(['a', 'b']), [undefined, undefined]);
    });

    it('expired values are gone from the map, too', async () => {
      const { keyv, map } = open();
      const before = Date.now();
      await keyv.set('a', 1, 60_000);
      const [[key]] = map;
      const { expires } = map.getEntry(key);
      assert.ok(expires > before + 59_000 && expires < Date.now() + 61_000, `${expires - before}`);
      await keyv.set('a', 1, 1);
      assert.ok(await until(() => !map.has(key)));
      await keyv.set('a', 1);
      assert.equal(map.getEntry(key).expires, undefined);
    });

    it('a value that a store gets with a time in the past replaces the earlier one, and is gone', async () => {
      const { keyv, map, store, errors } = open();
      await keyv.set('a', 'old');
      const [[key]] = map;
      // Keyv 6 takes a negative time for none, and tells the store of none that is over.
      if (version === 5) assert.equal(await keyv.set('a', 'new', -1), true);
      else await store.set(key.replace(/^keyv:/, ''), 'new', -1);
      assert.equal(await keyv.get('a'), undefined);
      assert.deepEqual([map.size, errors], [0, []]);
    });

    it('another process finds what one has set', async () => {
      const { keyv, map } = open({ namespace: 'a' });
      await keyv.set('from here', { a: [1] });
      const look = async (map, ready, { folder, keyv }) => {
        const { KeyvSharedMap } = require(`${folder}/stores/keyv.js`);
        const { Keyv } = require(keyv);
        const there = new Keyv({ store: new KeyvSharedMap({ map }), namespace: 'a' });
        await there.set('from there', await there.get('from here'));
        ready();
      };
      const keyvFile = require.resolve(version === 6 ? 'keyv-6' : 'keyv');
      assert.equal((await peer(map, look, { folder, keyv: keyvFile }).ended).stderr, '');
      assert.deepEqual(await keyv.get('from there'), { a: [1] });
    });

    it('values that Keyv does not serialize keep their type', async () => {
      const { keyv } = open(version === 6 ? { serialization: false } : { serialize: null, deserialize: null });
      await keyv.set('a', { b: 1 });
      assert.deepEqual(await keyv.get('a'), { b: 1 });
    });

    it('a value that does not fit leads to an error event, and false', async () => {
      const map = newMap({ memory: 32 << 10, evict: false });
      const { keyv, errors } = open({}, new KeyvSharedMap({ map }));
      assert.equal(await keyv.set('k'.repeat(2000), 1), false);
      assert.equal(await keyv.set('long', 'x'.repeat(1 << 20)), false);
      let i = 0;
      while (await keyv.set(`${i}`, 'x'.repeat(500))) i++;
      assert.deepEqual(errors, ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_SHM_FULL']);
      assert.equal(await keyv.get('0'), 'x'.repeat(500));
    });

    it('a disconnect closes a map that the store opened, and no other', async () => {
      const own = new KeyvSharedMap({ key: newKey(), memory: 1 << 20 });
      const { keyv, map } = open({}, own);
      await keyv.set('a', 1);
      assert.equal(again(map).size, 1);
      await keyv.disconnect();
      assert.throws(() => map.size, { code: 'ERR_SHM_DETACHED' });
      const { keyv: other, map: given } = open();
      await other.disconnect();
      assert.equal(given.size, 0);
    });
  });
}

it('a store refuses wrong options', () => {
  const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const map = newMap();
  for (const options of [undefined, null, 1, {}, { map: new Map() }, { memory: 1 << 20 }, { map, prefix: 1 }]) {
    assert.throws(() => new KeyvSharedMap(options), wrong);
  }
  for (const options of [{ map, evict: false }, { map, key: newKey() }, { map, prefix: '\ud800' }]) {
    assert.throws(() => new KeyvSharedMap(options), { ...wrong, code: 'ERR_INVALID_ARG_VALUE' });
  }
});
