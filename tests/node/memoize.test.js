'use strict';

// shm-node/memoize: what all processes ask for, one of them computes.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { folder, until } = require('./support.js');
const { newMap, peer } = require('./support/map.js');
const { memoize } = require(`${folder}/stores/memoize.js`);

const PROCESSES = 24;

describe('memoize', () => {
  it(`${PROCESSES} processes that ask at the same moment make one call`, async () => {
    const map = newMap();
    const ask = async (map, ready, { folder, processes }) => {
      const { memoize } = require(`${folder}/stores/memoize.js`);
      const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
      const load = async (id) => {
        map.increment('calls');
        while (map.get('asked') !== processes) await turn();
        return { id, by: process.pid };
      };
      const memoized = memoize(load, { map, key: (id) => `user:${id}` });
      const answer = memoized(7);
      map.increment('asked');
      ready(await answer);
      // The map is there until the last has asked.
      while (!map.has('over')) await turn();
    };
    const all = Array.from({ length: PROCESSES }, () => peer(map, ask, { folder, processes: PROCESSES }));
    const answers = await Promise.all(all.map(({ ready }) => ready));
    map.set('over', true);
    assert.equal(map.get('calls'), 1);
    assert.equal(all.some(({ child }) => child.pid === answers[0].by), true);
    for (const answer of answers) assert.deepEqual(answer, { id: 7, by: answers[0].by });
    for (const { ended } of all) assert.deepEqual(await ended, { code: 0, signal: null, stdout: '', stderr: '' });
  });

  it('calls the function once for each key, with the arguments of the call', async () => {
    const calls = [];
    function load(...args) {
      calls.push([this, ...args]);
      return args.length;
    }
    const memoized = memoize(load, { map: newMap(), key: (...args) => args.join() });
    const self = {};
    assert.deepEqual([await memoized.call(self, 'a', 1), await memoized('a', 1), await memoized('b')], [2, 2, 1]);
    assert.deepEqual(calls, [[self, 'a', 1], [undefined, 'b']]);
    assert.equal(memoized.name, 'load');
  });

  it('keeps neither errors nor undefined', async () => {
    const map = newMap();
    let calls = 0;
    const load = async () => {
      calls++;
      if (calls === 1) throw new Error('failed');
      return calls === 2 ? undefined : calls;
    };
    const memoized = memoize(load, { map, key: () => 'k' });
    await assert.rejects(memoized(), { message: 'failed' });
    assert.deepEqual([await memoized(), await memoized(), await memoized()], [undefined, 3, 3]);
  });

  it('returns a stale result while it loads the new one', async () => {
    const map = newMap();
    let calls = 0;
    const memoized = memoize(() => ++calls, { map, key: () => 'k', ttl: 1, stale: Infinity });
    assert.equal(await memoized(), 1);
    assert.ok(await until(() => !map.has('k')));
    assert.equal(await memoized(), 1);
    assert.ok(await until(() => calls === 2));
  });

  it('forgets a result when its tag is invalidated', async () => {
    const map = newMap();
    let calls = 0;
    const memoized = memoize(() => ++calls, { map, key: () => 'k', tags: ['t'] });
    await memoized();
    map.invalidateTag('t');
    assert.equal(await memoized(), 2);
  });

  it('refuses wrong arguments when it is made, and a wrong key when it is called', async () => {
    const map = newMap();
    const key = () => 'k';
    const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    assert.throws(() => memoize(1, { map, key }), wrong);
    assert.throws(() => memoize(key), wrong);
    assert.throws(() => memoize(key, { key }), wrong);
    assert.throws(() => memoize(key, { map: new Map(), key }), wrong);
    assert.throws(() => memoize(key, { map, key: 'k' }), wrong);
    assert.throws(() => memoize(key, { map, key, ttl: 0 }), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    await assert.rejects(memoize(key, { map, key: () => 7 })(), wrong);
  });
});
