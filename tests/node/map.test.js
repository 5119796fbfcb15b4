'use strict';

// The map, in one process: keys, values, opening, entries and what is refused.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const vm = require('node:vm');
const { built, exists, folder, needs, newKey, newName, notOnWindows, sleep, until, withNames } = require('./support.js');
const { SharedMap, again, keep, newMap, shm } = require('./support/map.js');
const native = require(`${folder}/lib/sync/native.js`);
const { knowsV8 } = require(`${folder}/lib/map/values.js`);

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

const withV8 = { skip: knowsV8() ? false : 'this runtime lacks the structured clone of V8' };
const withoutV8 = { skip: knowsV8() ? 'this runtime has the structured clone of V8' : false };

describe('values', () => {
  const map = newMap();

  for (const [what, value] of [
    ['an empty string', ''],
    ['a string of ASCII', 'text'],
    ['a string beyond ASCII', 'Grüße, 世界 🚀'],
    ['an ill-formed string', 'half \ud83d of a pair'],
    ['a long string', 'ü'.repeat(20_000)],
    ['a long ill-formed string', '\udc00'.repeat(20_000)],
    ['a whole number', 42],
    ['a fraction', -1.5],
    ['minus zero', -0],
    ['not a number', NaN],
    ['infinity', -Infinity],
    ['true', true],
    ['false', false],
    ['null', null],
    ['a bigint', -(2n ** 200n)],
    ['an empty Buffer', Buffer.alloc(0)],
    ['a Buffer', Buffer.from([0, 255, 128])],
    ['a Buffer as long as a pool has room for', Buffer.alloc(8192, 7)],
    ['a Buffer longer than that', Buffer.alloc(8193, 7)],
    ['a long Buffer', Buffer.alloc(100_000, 'text')],
    ['a Uint8Array', new Uint8Array([1, 2, 3])],
    ['a long Uint8Array', new Uint8Array(50_000).fill(9)],
    ['an object', { a: [1, { b: 'ü' }, null], 'ключ': true }],
    ['a long object', { text: 'x'.repeat(50_000) }],
    ['an array', [1, [2, [3]]]],
  ]) {
    it(`${what} comes back as it was`, () => {
      map.set(what, value);
      const got = map.get(what);
      assert.deepEqual(got, value);
      assert.equal(Object.is(got, value) || typeof value === 'object', true);
      assert.equal(Object.getPrototypeOf(Object(got)), Object.getPrototypeOf(Object(value)));
      assert.deepEqual(map.getEntry(what).value, value);
      assert.deepEqual(new Map(map).get(what), value);
    });
  }

  it('each get returns a new value', () => {
    for (const value of [{ a: 1 }, Buffer.from('abc'), new Uint8Array(3)]) {
      map.set('own', value);
      const [one, other] = [map.get('own'), map.get('own')];
      one[0] = 77;
      assert.deepEqual(other, value);
      assert.deepEqual(map.get('own'), value);
    }
  });

  it('a value never contains other bytes of its buffer', () => {
    map.set('mine', new Uint8Array([1, 2]));
    assert.equal(map.get('mine').buffer.byteLength, 2);
  });

  for (const [what, make] of Object.entries({
    undefined: () => undefined,
    'a function': () => () => {},
    'a symbol': () => Symbol('s'),
    'a Map': () => new Map(),
    'a Set': () => new Set(),
    'a Date': () => new Date(),
    'a RegExp': () => /x/,
    'an Error': () => new Error('no'),
    'a Float64Array': () => new Float64Array(2),
    'an ArrayBuffer': () => new ArrayBuffer(2),
    'a promise': () => Promise.resolve(),
    'a boxed number': () => Object(1),
    'a Map of another realm': () => vm.runInNewContext('new Map()'),
    'an Error of another realm': () => vm.runInNewContext('new TypeError("no")'),
    'what JSON makes nothing of': () => ({ toJSON: () => undefined }),
  })) {
    it(`${what} is refused, because JSON would change it, and the error names 'v8'`, () => {
      map.set('kept', 1);
      assert.throws(() => map.set('kept', make()), (error) => error.code === VALUE.code && error.message.includes("'v8'"));
      assert.equal(map.get('kept'), 1);
    });
  }

  it("with 'v8', every value of a structured clone comes back", withV8, () => {
    const own = again(map, { encoding: 'v8' });
    const value = new Map([['a', new Set([new Date(5), /x/g, 1n])], ['b', new Float64Array([1.5])], ['c', undefined]]);
    own.set('v8', value);
    assert.deepEqual(own.get('v8'), value);
    own.set('v8', undefined);
    assert.equal(own.get('v8'), undefined);
    assert.equal(own.has('v8'), true);
    assert.throws(() => own.set('v8', () => {}), VALUE);
    again(newMap({ mode: 0o644 }), { encoding: 'v8' }).set('fine', new Set());
  });

  it("a runtime without the structured clone of V8 refuses 'v8', and its values", withoutV8, () => {
    assert.throws(() => again(map, { encoding: 'v8' }), { code: 'ERR_SHM_ENCODING' });
    raw(map, native.V8, Buffer.from('ff0f5e', 'hex'));
    assert.throws(() => map.get('raw'), { code: 'ERR_SHM_ENCODING' });
  });

  it('each record names its encoding: `encoding` is for writes only', withV8, () => {
    again(map, { encoding: 'v8' }).set('of v8', new Set([1]));
    assert.deepEqual(map.get('of v8'), new Set([1]));
  });

  it("with 'bytes', an object is refused", () => {
    const own = again(map, { encoding: 'bytes' });
    own.set('b', Buffer.from('x')).set('b', 'text').set('b', 1);
    assert.throws(() => own.set('b', {}), TYPE);
    assert.equal(own.get('b'), 1);
  });

  it("'v8' is refused if the mode lets others write, and such values are not decoded there", () => {
    const open = newMap({ mode: 0o660 });
    assert.throws(() => again(open, { encoding: 'v8' }), VALUE);
    assert.throws(() => newMap({ mode: 0o602, encoding: 'v8' }), VALUE);
    raw(open, native.V8, Buffer.from('ff0f5e', 'hex'));
    assert.throws(() => open.get('raw'), { code: 'ERR_SHM_ENCODING' });
  });

  it('a value that cannot be decoded is ERR_SHM_ENCODING', () => {
    for (const [encoding, value] of [[native.JSON, '{'], [native.BIGINT, 'x'], [200, undefined], [native.V8, Buffer.from('no')]]) {
      raw(map, encoding, value);
      assert.throws(() => map.get('raw'), { code: 'ERR_SHM_ENCODING' });
    }
    raw(map, native.UTF16, '');
    assert.equal(map.get('raw'), '');
  });
});

/** Writes what this version never would, through an object of the addon's of its own. */
function raw(map, encoding, value) {
  const backend = typeof map.key === 'string' ? built.indexOf('posix') : 0;
  const [handle, number] = native.openMap(backend, map.key, 0, 0o600, 100, 0, 0, 0, 0, 0, 0);
  native.key.write('raw');
  native.mapSet(handle, 3, encoding, value, 0);
  require(`${folder}/lib/native.js`).detachNumber(number);
}

describe('keys', () => {
  const map = newMap();

  it('are compared by their UTF-8', () => {
    const keys = ['', 'a', 'é', 'e\u0301', '\0', 'a\0', '🚀', 'k'.repeat(1024), 'ü'.repeat(512), '__proto__', 'x'.repeat(48), 'x'.repeat(49)];
    keys.forEach((key, i) => map.set(key, i));
    keys.forEach((key, i) => assert.equal(map.get(key), i));
    assert.deepEqual(new Set(map.keys()), new Set(keys));
    assert.equal(map.size, keys.length);
  });

  it('are strings, and never coerced', () => {
    for (const key of [1, undefined, null, Symbol('k'), ['a'], Object('a'), { toString: () => 'a' }]) {
      for (const call of ['get', 'has', 'set', 'add', 'delete', 'getEntry', 'increment']) {
        assert.throws(() => map[call](key, 1), TYPE, call);
      }
      assert.throws(() => map.touch(key, 1), TYPE);
      assert.throws(() => map.getInto(key, Buffer.alloc(1)), TYPE);
      assert.throws(() => map.view(key, () => 1), TYPE);
    }
  });

  it('are well-formed, and at most 1 KiB long', () => {
    assert.throws(() => map.get('\ud800'), VALUE);
    assert.throws(() => map.get(`${'x'.repeat(100)}\udc00`), VALUE);
    for (const key of ['k'.repeat(1025), 'ü'.repeat(513), '世'.repeat(1024), 'k'.repeat(1e6)]) {
      assert.throws(() => map.set(key, 1), (error) => error.code === RANGE.code && error.message.includes('1024'));
    }
  });
});

describe('opening', () => {
  it('without options opens an existing map, and throws ERR_SHM_FRESH if there is none', () => {
    const map = newMap();
    map.set('a', 1);
    assert.equal(again(map).get('a'), 1);
    const key = newKey();
    const isTold = ({ code, message }) =>
      code === 'ERR_SHM_FRESH' && message.includes(`under the key ${key}`) && message.includes('pass `memory`');
    assert.throws(() => new SharedMap(key), isTold);
    assert.deepEqual(built.filter((backend) => exists({ key, backend })), []);
  });

  it('with other options than it was created with throws ERR_SHM_OPTIONS that names both', () => {
    const made = { memory: 1 << 20, entries: 1000, shards: 2, evict: false, maxValue: 5000, tagSlots: 100 };
    const map = newMap(made);
    for (const [name, other] of Object.entries({ memory: 1 << 21, entries: 999, shards: 4, maxValue: 4999, tagSlots: 99 })) {
      const wrong = (error) =>
        error.code === 'ERR_SHM_OPTIONS' && [name, made[name], other].every((part) => error.message.includes(`${part}`));
      assert.throws(() => new SharedMap(map.key, { [name]: other }), wrong, name);
    }
    assert.throws(() => new SharedMap(map.key, { evict: true }), {
      code: 'ERR_SHM_OPTIONS',
      message: /created with evict=false, opened with evict=true/,
    });
    again(map, made);
  });

  it('may choose the options of each object', () => {
    const map = newMap({ ttl: 5, encoding: 'bytes', near: 1, lockTimeout: 1 });
    again(map, { ttl: 1000, encoding: 'json', near: 7, lockTimeout: Infinity }).set('a', {});
  });

  it('without a key takes a random one', () => {
    const map = keep(new SharedMap({ memory: 1 << 16 }));
    assert.equal(again(map.set('a', 'b')).get('a'), 'b');
    assert.equal(map.memory, 1 << 16);
  });

  for (const backend of built) {
    it(`an integer key opens a map on ${backend}, even without a backend`, () => {
      const map = newMap({ backend });
      assert.equal(shm.info(map.key).backend, backend);
      assert.equal(again(map.set('a', 1)).get('a'), 1);
    });
  }

  it('a name opens a map', needs(withNames ?? 'posix'), () => {
    const name = newName();
    const map = keep(new SharedMap(name, { memory: 1 << 16, mode: '640' }));
    assert.deepEqual([map.key, shm.info(name).mode], [`/${name}`, 0o640]);
    again(map);
  });

  it('a segment that is not a map throws ERR_SHM_FOREIGN, or ERR_SHM_VERSION for another layout', () => {
    const view = shm.create({ size: 1 << 16, key: newKey() });
    view.write('text');
    assert.throws(() => new SharedMap(view.key), { code: 'ERR_SHM_FOREIGN' });
    view.write('syH\x02', 'latin1');
    assert.throws(() => new SharedMap(view.key), { code: 'ERR_SHM_VERSION' });
    const small = shm.create({ size: 8, key: newKey() });
    assert.throws(() => new SharedMap(small.key), { code: 'ERR_SHM_FOREIGN' });
    for (const one of [view, small]) shm.detach(one);
  });

  it('close ends this object, and no other of the same map', () => {
    const map = newMap();
    const other = again(map);
    map.set('a', 1);
    const { key } = map;
    map.close();
    map.close();
    assert.throws(() => map.get('a'), { code: 'ERR_SHM_DETACHED' });
    assert.throws(() => map.set('a', 1), { code: 'ERR_SHM_DETACHED' });
    assert.throws(() => [...map], { code: 'ERR_SHM_DETACHED' });
    assert.throws(() => map.size, { code: 'ERR_SHM_DETACHED' });
    assert.equal(other.get('a'), 1);
    other.close();
    assert.throws(() => new SharedMap(key), { code: 'ERR_SHM_FRESH' });
  });

  it('a map that persists stays after all have closed it', notOnWindows('Windows keeps no segment that nobody holds'), () => {
    const lasting = new SharedMap(newKey(), { memory: 1 << 16, persist: true });
    lasting.set('a', 'still').close();
    const found = new SharedMap(lasting.key);
    assert.equal(found.get('a'), 'still');
    found.close();
    assert.equal(shm.destroy(lasting.key), true);
  });

  it('read-only reads what others write, and throws on each write', needs(withNames ?? 'posix'), async () => {
    const map = keep(new SharedMap(newName(), { memory: 1 << 20 }));
    map.set('a', { b: 1 }).set('n', 1);
    const reader = again(map, { readOnly: true, near: 2 });
    assert.deepEqual(reader.get('a'), { b: 1 });
    map.set('a', { b: 2 });
    assert.deepEqual(reader.get('a'), { b: 2 });
    assert.equal(reader.view('a', (bytes) => bytes.length), 7);
    for (const call of [
      () => reader.set('a', 1),
      () => reader.add('b', 1),
      () => reader.delete('a'),
      () => reader.replace('a', 1, 1),
      () => reader.touch('a', 1),
      () => reader.increment('n'),
      () => reader.clear(),
      () => reader.invalidateTag('t'),
    ]) {
      assert.throws(call, { code: 'ERR_SHM_READ_ONLY' });
    }
    await assert.rejects(reader.getOrSet('none', () => 1), { code: 'ERR_SHM_READ_ONLY' });
    assert.throws(() => new SharedMap(newName(), { readOnly: true }), { code: 'ERR_SHM_FRESH' });
  });

  it('read-only is ENOTSUP on System V, as for get', needs('sysv'), () => {
    assert.throws(() => again(newMap({ backend: 'sysv' }), { backend: 'sysv', readOnly: true }), { code: 'ENOTSUP' });
  });

  it('wrong options are typed errors, and create nothing', () => {
    const key = newKey();
    for (const [options, error] of [
      [7, TYPE],
      [{ memory: '1' }, TYPE],
      [{ memory: 1.5 }, RANGE],
      [{ memory: 1000 }, RANGE],
      [{ memory: 1 << 20, shards: 3 }, RANGE],
      [{ memory: 1 << 20, entries: 0 }, RANGE],
      [{ memory: 1 << 20, tagSlots: 2 ** 25 }, RANGE],
      [{ memory: 1 << 20, evict: 1 }, TYPE],
      [{ memory: 1 << 20, ttl: 0 }, RANGE],
      [{ memory: 1 << 20, ttl: NaN }, RANGE],
      [{ memory: 1 << 20, ttl: '5' }, TYPE],
      [{ memory: 1 << 20, encoding: 'xml' }, VALUE],
      [{ memory: 1 << 20, near: -1 }, RANGE],
      [{ memory: 1 << 20, lockTimeout: -1 }, RANGE],
      [{ memory: 1 << 20, mode: 0o1777 }, RANGE],
      [{ memory: 1 << 20, backend: 'x' }, VALUE],
    ]) {
      assert.throws(() => new SharedMap(key, options), error, JSON.stringify(options));
    }
    assert.throws(() => new SharedMap({}), TYPE);
    assert.throws(() => new SharedMap({ memory: 1 << 20 }, {}), VALUE);
    assert.throws(() => new SharedMap(), TYPE);
    assert.throws(() => new SharedMap('12', { memory: 1 << 20 }), VALUE);
    assert.deepEqual(built.filter((backend) => exists({ key, backend })), []);
  });

  it('memoryFor is enough for the entries that it was asked for', () => {
    const memory = SharedMap.memoryFor({ entries: 2000, key: 16, value: 100 });
    const map = newMap({ memory, entries: 2000, evict: false });
    for (let i = 0; i < 2000; i++) map.set(`${i}`.padStart(16), Buffer.alloc(100));
    assert.equal(map.size, 2000);
    const few = { entries: 100, key: 16, value: 1e6 };
    assert.ok(SharedMap.memoryFor({ ...few, shards: 1 }) < SharedMap.memoryFor(few) / 2);
    assert.throws(() => SharedMap.memoryFor({ entries: 0, key: 1, value: 1 }), RANGE);
    assert.throws(() => SharedMap.memoryFor({ ...few, shards: 0 }), RANGE);
  });
});

describe('entries', () => {
  it('set returns the map, add and replace return whether they wrote', () => {
    const map = newMap();
    assert.equal(map.set('a', 1), map);
    assert.deepEqual([map.add('a', 2), map.add('b', 2), map.get('a'), map.get('b')], [false, true, 1, 2]);
    const { version } = map.getEntry('a');
    assert.deepEqual([map.replace('a', version, 3), map.replace('a', version, 4), map.get('a')], [true, false, 3]);
    assert.equal(map.replace('none', version, 1), false);
    assert.deepEqual([map.delete('a'), map.delete('a'), map.has('a'), map.get('a')], [true, false, false, undefined]);
  });

  it('a version is never used twice', () => {
    const map = newMap();
    const seen = new Set();
    for (let i = 0; i < 100; i++) {
      map.set('a', 1);
      seen.add(map.getEntry('a').version);
      if (i % 3 === 0) map.delete('a');
      if (i % 5 === 0) map.clear();
    }
    assert.equal(seen.size, 100);
  });

  it('ttl is in milliseconds, and expires compares with Date.now()', async () => {
    const map = newMap({ ttl: 60_000 });
    const before = Date.now();
    map.set('by the map', 1).set('by the call', 1, { ttl: 3_600_000 }).set('for ever', 1, { ttl: Infinity });
    const after = Date.now();
    const [first, second, third] = ['by the map', 'by the call', 'for ever'].map((key) => map.getEntry(key).expires);
    assert.ok(first >= before + 60_000 && first <= after + 60_001, `${first - before}`);
    assert.ok(second >= before + 3_600_000 && second <= after + 3_600_001);
    assert.equal(third, undefined);
    map.set('with options', 1, { tags: [] });
    assert.ok(map.getEntry('with options').expires >= before + 60_000);
    map.set('short', 1, { ttl: 0.5 }).increment('counter', 1, { ttl: 1 });
    assert.ok(await until(() => !map.has('short') && !map.has('counter')));
    assert.equal(map.increment('counter'), 1);
    assert.equal(map.touch('short', 5), false);
    assert.equal(map.touch('by the map', Infinity), true);
    assert.equal(map.getEntry('by the map').expires, undefined);
    for (const ttl of [0, -1, NaN, -Infinity]) {
      assert.throws(() => map.set('a', 1, { ttl }), RANGE);
      assert.throws(() => map.touch('a', ttl), RANGE);
      assert.throws(() => map.increment('a', 1, { ttl }), RANGE);
    }
    assert.throws(() => map.touch('a'), TYPE);
    assert.throws(() => map.set('a', 1, 5), TYPE);
  });

  it('increment works on safe integers, and otherwise throws and changes nothing', () => {
    const map = newMap();
    assert.deepEqual([map.increment('n'), map.increment('n', 41), map.increment('n', -2), map.get('n')], [1, 42, 40, 40]);
    assert.deepEqual(map.incrementEntry('n', 2), { value: 42, expires: undefined });
    const { expires } = map.incrementEntry('timed', 1, { ttl: 60_000 });
    assert.equal(map.incrementEntry('timed', 1, { ttl: 1 }).expires, expires);
    for (const value of ['text', 1.5, NaN, {}, true, 2 ** 53]) {
      map.set('other', value);
      assert.throws(() => map.increment('other'), { code: 'ERR_SHM_NOT_A_NUMBER' });
      assert.deepEqual(map.get('other'), value);
    }
    map.set('most', Number.MAX_SAFE_INTEGER);
    assert.throws(() => map.increment('most'), { code: 'ERR_SHM_NOT_A_NUMBER' });
    for (const by of [1.5, NaN, 2 ** 53]) assert.throws(() => map.increment('n', by), RANGE);
    assert.throws(() => map.increment('n', '1'), TYPE);
    assert.equal(map.get('n'), 42);
  });

  it('getInto copies, returns -1 if there is no entry, and throws if the value does not fit', () => {
    const map = newMap();
    map.set('bytes', Buffer.from('abcdef')).set('text', 'é').set('long', Buffer.alloc(50_000, 3));
    const target = Buffer.alloc(10);
    assert.deepEqual([map.getInto('bytes', target), target.toString('latin1', 0, 6)], [6, 'abcdef']);
    assert.deepEqual([map.getInto('text', target), target.toString('utf8', 0, 2)], [2, 'é']);
    assert.equal(map.getInto('none', target), -1);
    assert.throws(() => map.getInto('bytes', Buffer.alloc(5)), (error) => error.code === RANGE.code && /\b6\b/.test(error.message));
    assert.equal(map.getInto('long', new Uint8Array(50_000)), 50_000);
    assert.equal(map.getInto('bytes', new Uint8Array(new SharedArrayBuffer(6))), 6);
    assert.throws(() => map.getInto('bytes', [1]), TYPE);
    assert.throws(() => map.getInto('bytes', new Uint16Array(10)), TYPE);
  });

  it('a value that is too long is a RangeError with the limit, and changes nothing', () => {
    const map = newMap({ maxValue: 1000 });
    map.set('a', Buffer.alloc(1000)).set('b', 1);
    for (const value of [Buffer.alloc(1001), 'x'.repeat(1001), { text: 'x'.repeat(1000) }]) {
      assert.throws(() => map.set('b', value), (error) => error.code === RANGE.code && error.message.includes('1000'));
    }
    assert.equal(map.get('b'), 1);
  });

  it('a value whose buffer was transferred is refused', () => {
    const bytes = new Uint8Array(10);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.throws(() => newMap().set('a', bytes), VALUE);
  });

  it('with `evict: false`, an entry that does not fit throws ERR_SHM_FULL and changes nothing', async () => {
    const map = newMap({ memory: 64 << 10, evict: false });
    let count = 0;
    assert.throws(() => {
      for (; ; count++) map.set(`${count}`, Buffer.alloc(100));
    }, { code: 'ERR_SHM_FULL' });
    assert.equal(map.size, count);
    assert.deepEqual(new Set(map.keys()), new Set(Array.from({ length: count }, (_, i) => `${i}`)));
    assert.ok(count * 116 > map.memory / 2, `${count}`);
    assert.equal((await map.getOrSet('more', () => Buffer.alloc(200))).length, 200);
    // Until there is no room for that somebody loads.
    for (const size of [32, 8, 0]) {
      assert.throws(() => {
        for (; ; count++) map.set(`${count}`, Buffer.alloc(size));
      }, { code: 'ERR_SHM_FULL' });
    }
    assert.equal(await map.getOrSet('more', () => 'text'), 'text');
    assert.equal(map.has('more'), false);
  });

  it('with eviction, there is always room', () => {
    const map = newMap({ memory: 64 << 10 });
    for (let i = 0; i < 2000; i++) map.set(`${i}`, Buffer.alloc(100));
    assert.equal(map.has('1999'), true);
    const { entries, evictions, sets } = map.stats();
    assert.deepEqual([entries + evictions, sets], [2000, 2000]);
  });

  it('invalidateTag removes the entries with the tag, and clear removes all', () => {
    const map = newMap();
    map.set('a', 1, { tags: ['red', 'round'] }).set('b', 1, { tags: ['blue'] }).set('c', 1);
    assert.equal(map.add('d', 1, { tags: ['red'] }), true);
    map.invalidateTag('red');
    assert.deepEqual([...map.keys()].sort(), ['b', 'c']);
    map.set('a', 2, { tags: ['red'] });
    assert.equal(map.get('a'), 2);
    map.invalidateTag('red', 'blue');
    assert.deepEqual([...map.keys()], ['c']);
    map.clear();
    assert.deepEqual([map.size, ...map], [0]);
    assert.throws(() => map.set('a', 1, { tags: 'red' }), TYPE);
    assert.throws(() => map.set('a', 1, { tags: [1] }), TYPE);
    assert.throws(() => map.set('a', 1, { tags: ['x'.repeat(257)] }), RANGE);
    assert.throws(() => map.set('a', 1, { tags: Array(129).fill('x') }), RANGE);
    assert.throws(() => map.invalidateTag('\ud800'), VALUE);
    map.set('most', 1, { tags: Array.from({ length: 128 }, (_, i) => `${i}`.padEnd(256)) });
    map.invalidateTag('127'.padEnd(256));
    assert.equal(map.has('most'), false);
  });

  it('tags may be in a proxy, or behind getters, which run once', () => {
    const map = newMap();
    let reads = 0;
    const tags = ['red'];
    Object.defineProperty(tags, 0, { get: () => (reads++, 'red') });
    map.set('a', 1, { tags }).set('b', 1, { tags: new Proxy(['red'], {}) });
    assert.deepEqual([reads, map.size], [1, 2]);
    map.invalidateTag('red');
    assert.deepEqual([map.get('a'), map.get('b')], [undefined, undefined]);
  });

  it('statistics count', () => {
    const map = newMap();
    map.set('a', 1).set('b', 2);
    map.get('a');
    map.get('none');
    const { entries, memory, used, sets, hits, misses, evictions, expired, ownersDied } = map.stats();
    assert.deepEqual([entries, memory, sets, hits, misses], [2, 1 << 20, 2, 1, 1]);
    assert.deepEqual([evictions, expired, ownersDied], [0, 0, 0]);
    assert.ok(used > 0 && used < 200);
  });

  for (const [what, options] of [['', {}], [' with near', { near: 1 }]]) {
    it(`each get${what} counts as one lookup, however long the value is, and so does getOrSet`, async () => {
      const map = newMap(options);
      const lookups = async (call) => {
        const { hits, misses, sets } = map.stats();
        await call();
        const after = map.stats();
        return [after.hits - hits, after.misses - misses, after.sets - sets];
      };
      map.set('long', Buffer.alloc(50_000)).set('text', 'x'.repeat(50_000)).set('json', { text: 'x'.repeat(50_000) });
      for (const key of ['long', 'text', 'json']) {
        assert.deepEqual(await lookups(() => map.get(key)), [1, 0, 0]);
        assert.deepEqual(await lookups(() => map.getEntry(key)), [1, 0, 0]);
        assert.deepEqual(await lookups(() => map.getOrSet(key, assert.fail)), [1, 0, 0]);
      }
      assert.deepEqual(await lookups(() => map.getOrSet('new', () => ({}))), [0, 1, 1]);
      assert.deepEqual(await lookups(() => map.getOrSet('none', () => undefined)), [0, 1, 0]);
      map.set('old', 'value', { ttl: 1 });
      assert.ok(await until(() => !map.has('old')));
      const stale = { stale: 3_600_000 };
      assert.deepEqual(await lookups(() => map.getOrSet('old', () => undefined, stale)), [0, 1, 0]);
      const other = again(map);
      const both = () => Promise.all([map, other].map((one) => one.getOrSet('both', () => sleep(1).then(() => 'loaded'))));
      assert.deepEqual(await lookups(both), [0, 2, 1]);
    });
  }
});

describe('iteration', () => {
  const map = newMap({ memory: 8 << 20 });
  const model = new Map(Array.from({ length: 500 }, (_, i) => [`key ${i}`, i % 3 === 0 ? { i } : 'x'.repeat(i * 20)]));
  for (const [key, value] of model) map.set(key, value);

  it('visits all entries as Map does, in some order', () => {
    assert.deepEqual(new Map(map), model);
    assert.deepEqual(new Map(map.entries()), model);
    assert.deepEqual(new Set(map.keys()), new Set(model.keys()));
    assert.equal([...map.values()].length, model.size);
    const seen = new Map();
    map.forEach(function (value, key, whole) {
      assert.equal(whole, map);
      assert.equal(this, seen);
      seen.set(key, value);
    }, seen);
    assert.deepEqual(seen, model);
    assert.throws(() => map.forEach(1), TYPE);
  });

  it('holds no lock between steps: other calls, and other iterations, do not disturb it', () => {
    const seen = new Map();
    for (const [key, value] of map) {
      seen.set(key, value);
      map.get('key 1');
      map.keys().next();
      map.set('of its own', 1);
      map.delete('of its own');
    }
    seen.delete('of its own');
    assert.deepEqual(seen, model);
  });
});

describe('view', () => {
  const map = newMap();

  it('shows the bytes in place', () => {
    map.set('a', Buffer.from('abc')).set('empty', Buffer.alloc(0));
    assert.deepEqual(map.view('a', (bytes) => [bytes.length, bytes[2], bytes instanceof Uint8Array]), [3, 99, true]);
    assert.equal(map.view('empty', (bytes) => bytes.length), 0);
    assert.equal(map.view('none', () => assert.fail()), undefined);
  });

  it('is called again if the record was overwritten meanwhile, and gets a copy in the end', () => {
    const other = again(map, { ttl: 1000 });
    const seen = [];
    const result = map.view('a', (bytes) => {
      seen.push(bytes[0]);
      // A lap of its ring, and more.
      for (let i = 0; i < 1200; i++) other.set('a', Buffer.alloc(2000));
      other.set('a', Buffer.from([seen.length]));
      if (seen.length < 4) throw new Error('of what may be torn');
      return [bytes.length, bytes[0]];
    });
    assert.deepEqual([result, ...seen], [[1, 3], 97, 1, 2, 3]);
  });

  it('an exception counts if the record is still whole', () => {
    assert.throws(() => map.view('a', () => { throw new RangeError('mine'); }), /mine/);
  });

  it('may use the map meanwhile', () => {
    map.set('x', Buffer.from('outer')).set('y', Buffer.from('inner'));
    const both = map.view('x', (x) => map.view('y', (y) => Buffer.from(x).toString() + Buffer.from(y)));
    assert.equal(both, 'outerinner');
  });

  it('a promise is refused', () => {
    assert.throws(() => map.view('x', async () => 1), TYPE);
    assert.throws(() => map.view('x'), TYPE);
  });

  it('has an empty array after the map was closed', () => {
    const own = again(map);
    let kept;
    own.view('x', (bytes) => void (kept = bytes));
    assert.equal(kept.length, 5);
    own.close();
    assert.equal(kept.length, 0);
  });
});

describe('near', () => {
  const map = newMap();
  const near = again(map, { near: 3 });

  it('returns the same deeply frozen object while the record is unchanged', () => {
    map.set('a', { list: [{ deep: [] }] });
    const got = near.get('a');
    assert.equal(near.get('a'), got);
    assert.deepEqual(got, { list: [{ deep: [] }] });
    for (const part of [got, got.list, got.list[0], got.list[0].deep]) assert.equal(Object.isFrozen(part), true);
    map.set('a', { list: [] });
    assert.deepEqual(near.get('a'), { list: [] });
    map.delete('a');
    assert.equal(near.get('a'), undefined);
    map.set('a', { again: true });
    assert.deepEqual(near.get('a'), { again: true });
    map.set('a', 'text');
    assert.equal(near.get('a'), 'text');
  });

  it('never returns the object that was passed to set, and does not freeze it', () => {
    const mine = { part: {} };
    near.set('mine', mine);
    assert.notEqual(near.get('mine'), mine);
    assert.equal(Object.isFrozen(mine.part), false);
  });

  it('keeps as many values as the option says', () => {
    for (const key of ['1', '2', '3', '4']) map.set(key, { key });
    const first = near.get('1');
    for (const key of ['2', '3', '4']) near.get(key);
    assert.notEqual(near.get('1'), first);
    assert.deepEqual(near.get('1'), first);
  });

  it('keeps the values that are read often, and drops the others', () => {
    for (const key of ['1', '2', '3', '4']) map.set(key, { key });
    const near = again(map, { near: 2 });
    const wanted = near.get('1');
    near.get('2');
    for (const key of ['3', '4', '2', '3']) {
      assert.equal(near.get('1'), wanted);
      near.get(key);
    }
    assert.equal(near.get('1'), wanted);
  });

  it('returns the same object after its record was moved', () => {
    const small = newMap({ memory: 128 << 10, shards: 1, evict: false });
    const near = again(small, { near: 1 });
    small.set('a', { list: [] });
    const got = near.get('a');
    for (let i = 0; i < 2000; i++) small.set('other', Buffer.alloc(500));
    assert.ok(small.stats().sets > 2000);
    assert.equal(near.get('a'), got);
    small.set('a', { list: [1] });
    assert.deepEqual(near.get('a'), { list: [1] });
  });

  for (const [what, options, change, left] of [
    ['is removed', {}, (map) => map.delete('b'), undefined],
    ['is cleared', {}, (map) => map.clear(), undefined],
    ['is written again', {}, (map) => map.set('b', { b: 1 }), { b: 1 }],
    ['with tags is invalidated', { tags: ['t', 'u'] }, (map) => map.invalidateTag('u'), undefined],
    ['with a ttl is written again', { ttl: 1e6 }, (map) => map.set('b', { b: 1 }, { ttl: 1e6 }), { b: 1 }],
  ]) {
    it(`returns no kept value after its entry ${what}`, () => {
      map.set('b', { b: 0 }, options);
      const got = near.get('b');
      assert.equal(near.get('b'), got);
      change(map);
      assert.deepEqual(near.get('b'), left);
    });
  }

  it('returns no kept value after a changed ttl is over', async () => {
    map.set('c', { c: 0 }, { ttl: 1e6 });
    const got = near.get('c');
    map.touch('c', 1e7);
    assert.equal(near.get('c'), got);
    map.touch('c', 1);
    assert.ok(await until(() => near.get('c') === undefined));
  });

  it('counts each get as a hit or a miss', () => {
    map.set('d', { d: 0 });
    const { hits, misses } = map.stats();
    for (let i = 0; i < 5; i++) near.get('d');
    map.delete('d');
    near.get('d');
    const after = map.stats();
    assert.deepEqual([after.hits - hits, after.misses - misses], [5, 1]);
  });

  it('is for JSON only: bytes are a new value each time', () => {
    map.set('bytes', Buffer.from('x'));
    assert.notEqual(near.get('bytes'), near.get('bytes'));
  });

  it("is for JSON only: with 'v8' it is a new value each time", withV8, () => {
    again(map, { encoding: 'v8' }).set('v8', { a: 1 });
    assert.notEqual(near.get('v8'), near.get('v8'));
    assert.equal(Object.isFrozen(near.get('v8')), false);
  });

  it('forgets expired entries', async () => {
    map.set('short', { a: 1 }, { ttl: 20 });
    near.get('short');
    assert.ok(await until(() => near.get('short') === undefined));
  });

  it('freezes objects that are nested deeper than the stack', () => {
    const depth = 20_000;
    raw(map, native.JSON, '['.repeat(depth) + ']'.repeat(depth));
    let inner = near.get('raw');
    for (let i = 1; i < depth; i++) [inner] = inner;
    assert.equal(Object.isFrozen(inner), true);
  });
});

describe('getOrSet', () => {
  it('one load serves all callers, and each gets a new value', async () => {
    const map = newMap();
    let loads = 0;
    const load = async (key) => {
      loads++;
      await sleep(5);
      return { key };
    };
    const other = again(map);
    const all = await Promise.all([map, map, other, other].map((one) => one.getOrSet('a', load)));
    assert.equal(loads, 1);
    for (const one of all) assert.deepEqual(one, { key: 'a' });
    assert.equal(new Set(all).size, 4);
    assert.deepEqual(await map.getOrSet('a', assert.fail), { key: 'a' });
    assert.equal(map.stats().entries, 1);
  });

  it('the loader gets what get would return', async () => {
    const map = newMap();
    const value = Buffer.from('mine');
    const got = await map.getOrSet('a', () => value);
    assert.notEqual(got, value);
    assert.deepEqual(got, value);
    const near = again(map, { near: 1 });
    const object = await near.getOrSet('b', () => ({ c: {} }));
    assert.equal(Object.isFrozen(object.c), true);
    assert.equal(near.get('b'), object);
  });

  it('an error of load is thrown to all callers that wait for it, and nothing is stored', async () => {
    const map = newMap();
    let loads = 0;
    const load = async () => {
      loads++;
      await sleep(5);
      throw new Error('of load');
    };
    const both = await Promise.allSettled([map.getOrSet('a', load), map.getOrSet('a', load)]);
    for (const { reason } of both) assert.equal(reason.message, 'of load');
    assert.equal(loads, 1);
    assert.equal(map.has('a'), false);
    assert.equal(await map.getOrSet('a', () => 1), 1);
    await assert.rejects(map.getOrSet('b', () => new Map()), VALUE);
    assert.equal(await map.getOrSet('b', () => 2), 2);
    await assert.rejects(map.getOrSet('c'), TYPE);
    await assert.rejects(map.getOrSet(1, () => 1), TYPE);
  });

  it('undefined, or a value that does not fit, is returned and not stored', async () => {
    const map = newMap();
    assert.equal(await map.getOrSet('a', () => undefined), undefined);
    assert.equal((await map.getOrSet('b', () => Buffer.alloc(1 << 20))).length, 1 << 20);
    assert.deepEqual([map.has('a'), map.has('b'), map.stats().entries], [false, false, 0]);
    assert.equal(await map.getOrSet('a', () => null), null);
    assert.equal(map.get('a'), null);
  });

  it("an entry whose value is undefined, as 'v8' writes it, is there", withV8, async () => {
    let looks = 0;
    class Counting extends SharedMap {
      get(key) {
        assert.ok(++looks < 100, 'it is looked for again and again');
        return super.get(key);
      }
    }
    const { key } = newMap({ encoding: 'v8' }).set('a', undefined);
    for (const near of [0, 1]) {
      assert.equal(await keep(new Counting(key, { near })).getOrSet('a', assert.fail, { stale: 1000 }), undefined);
    }
  });

  for (const [what, change, left] of [
    ['set', (map) => map.set('a', 'theirs'), 'theirs'],
    ['delete', (map) => map.delete('a'), undefined],
    ['clear', (map) => map.clear(), undefined],
    ['invalidateTag', (map) => map.invalidateTag('t'), undefined],
  ]) {
    it(`a ${what} during a load wins: the loaded value is returned, and not stored`, async () => {
      const map = newMap();
      const load = async () => {
        change(again(map));
        return { loaded: true };
      };
      assert.deepEqual(await map.getOrSet('a', load, { tags: ['t'] }), { loaded: true });
      assert.equal(map.get('a'), left);
    });
  }

  for (const [what, change] of [
    ['delete', (map) => map.delete('a')],
    ['clear', (map) => map.clear()],
    ['invalidateTag', (map) => map.invalidateTag('t')],
  ]) {
    it(`a caller that comes after ${what} does not get what was being loaded before it`, async () => {
      const map = newMap();
      const finish = [];
      const load = () => new Promise((resolve) => finish.push(resolve));
      const loads = [];
      const begin = () => loads.push(map.getOrSet('a', load, { tags: ['t'] }));
      begin();
      begin();
      change(map);
      begin();
      begin();
      assert.equal(finish.length, 2);
      finish[0]('before');
      assert.deepEqual(await Promise.all(loads.slice(0, 2)), ['before', 'before']);
      begin();
      finish[1]('after');
      assert.deepEqual(await Promise.all(loads.slice(2)), ['after', 'after', 'after']);
      assert.deepEqual([map.get('a'), finish.length], ['after', 2]);
    });
  }

  it('a signal ends the wait, but not the load', async () => {
    const map = newMap();
    let finish;
    const load = () => new Promise((resolve) => (finish = resolve));
    const controller = new AbortController();
    const aborted = map.getOrSet('a', load, { signal: controller.signal });
    const waiting = map.getOrSet('a', load);
    controller.abort(new Error('enough'));
    await assert.rejects(aborted, /enough/);
    finish('loaded');
    assert.equal(await waiting, 'loaded');
    assert.equal(map.get('a'), 'loaded');
    await assert.rejects(map.getOrSet('b', load, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    await assert.rejects(map.getOrSet('b', load, { signal: 1 }), TYPE);
  });

  it('after loadTimeout another caller may load, and a late value is returned and not stored', async () => {
    const map = newMap();
    let finish;
    const slow = map.getOrSet('a', () => new Promise((resolve) => (finish = resolve)), { loadTimeout: 5 });
    await until(() => finish !== undefined);
    assert.equal(await again(map).getOrSet('a', () => 'fast'), 'fast');
    finish('slow');
    assert.equal(await slow, 'slow');
    assert.equal(map.get('a'), 'fast');
    await assert.rejects(map.getOrSet('b', () => 1, { loadTimeout: 0 }), RANGE);
  });

  it('stale: the old value is returned for that time, while one caller loads the new one', async () => {
    const map = newMap();
    map.set('a', { old: true }, { ttl: 1 });
    assert.ok(await until(() => !map.has('a')));
    let [loads, finish] = [0];
    const load = () => new Promise((resolve) => ([loads, finish] = [loads + 1, resolve]));
    const options = { stale: 3_600_000 };
    assert.deepEqual(await map.getOrSet('a', load, options), { old: true });
    assert.deepEqual(await map.getOrSet('a', load, options), { old: true });
    assert.deepEqual(await again(map).getOrSet('a', load, options), { old: true });
    assert.equal(map.get('a'), undefined);
    assert.equal(loads, 1);
    finish('new');
    assert.ok(await until(() => map.get('a') === 'new'));
    await assert.rejects(map.getOrSet('a', load, { stale: -1 }), RANGE);
  });

  it('a scan evicts hardly anything that was read', async () => {
    for (const options of [{}, { near: 10 }]) {
      const map = newMap({ memory: 256 << 10, ...options });
      const load = () => Buffer.alloc(200);
      const read = Array.from({ length: 100 }, (_, i) => `read ${i}`);
      for (const key of read) await map.getOrSet(key, load);
      for (const key of read) assert.ok(map.has(key));
      for (let i = 0; i < 5000; i++) await map.getOrSet(`once ${i}`, load);
      assert.ok(map.stats().evictions > 3000);
      // The ghosts take some keys for others, so a few of the new entries come before those.
      const left = read.filter((key) => map.has(key)).length;
      assert.ok(left > 80, `${left} of 100 are left`);
    }
  });

  it('a load that asks for its own key waits for itself, and blocks nobody else', async () => {
    const map = newMap();
    const controller = new AbortController();
    const load = () => map.getOrSet('a', assert.fail, { signal: controller.signal });
    const waiting = map.getOrSet('a', load);
    await sleep(5);
    controller.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    assert.equal(await map.getOrSet('a', () => 1), 1);
  });

  it('timers go on, although another process writes to what callers sleep on all the time', async (t) => {
    const map = newMap();
    let finish;
    const loading = map.getOrSet('a', () => new Promise((resolve) => (finish = resolve)));
    const words = shm.get(map.key, 'Int32Array');
    const numbers = new Float64Array(native.out.buffer);
    const { mapBeginLoad } = native;
    t.after(() => ((native.mapBeginLoad = mapBeginLoad), shm.detach(words)));
    let begun = 0;
    native.mapBeginLoad = (...call) => {
      const answer = mapBeginLoad(...call);
      // Not for ever, so that the test ends in any case.
      if (answer === native.THEIRS && ++begun < 10_000) Atomics.add(words, numbers[1] / 4, 1);
      return answer;
    };
    const waiting = again(map).getOrSet('a', assert.fail);
    for (let i = 0; i < 3; i++) await new Promise(setImmediate);
    assert.ok(begun < 10_000);
    finish('loaded');
    assert.deepEqual(await Promise.all([loading, waiting]), ['loaded', 'loaded']);
  });

  it('a call that waits for another process rejects when the map is closed', async () => {
    const map = newMap();
    let finish;
    const loading = map.getOrSet('a', () => new Promise((resolve) => (finish = resolve)));
    const own = again(map);
    const waiting = own.getOrSet('a', () => 'mine');
    await sleep(1);
    own.close();
    await assert.rejects(waiting, { code: 'ERR_SHM_DETACHED' });
    finish(1);
    assert.equal(await loading, 1);
  });

  it('a load of a map that is closed goes to another caller', async () => {
    const map = newMap();
    const own = again(map);
    let finish;
    // Without a time limit: nothing but the closing ends it.
    const options = { loadTimeout: Infinity };
    const loading = own.getOrSet('a', () => new Promise((resolve) => (finish = resolve)), options);
    own.close();
    assert.equal(await map.getOrSet('a', () => 'other'), 'other');
    finish('mine');
    assert.equal(await loading, 'mine');
    assert.equal(map.get('a'), 'other');
  });
});

it('using closes the map at the end of its block', { skip: Symbol.dispose === undefined && 'this runtime has no Symbol.dispose' }, () => {
  const map = newMap();
  map[Symbol.dispose]();
  assert.throws(() => map.size, { code: 'ERR_SHM_DETACHED' });
});

it('a map has the string tag SharedMap', () => {
  assert.equal(Object.prototype.toString.call(newMap()), '[object SharedMap]');
  assert.equal(SharedMap.prototype[Symbol.iterator], SharedMap.prototype.entries);
});
