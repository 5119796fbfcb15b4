'use strict';

// Everything that is wrong is a typed error, never a coerced value, and a call that throws creates nothing.

const assert = require('node:assert/strict');
const { MAX_LENGTH } = require('node:buffer').constants;
const { after, describe, it } = require('node:test');
const { built, mine, newKey, newName, shm, withNames } = require('./support.js');

const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };

const shown = (value) => (typeof value === 'symbol' ? 'Symbol()' : typeof value === 'bigint' ? `${value}n` : JSON.stringify(value) ?? String(value)).slice(0, 40);

/** Wrong values, with the error that each is. */
const wrong = {
  size: [
    ...[0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53].map((value) => [value, RANGE]),
    ...['64', null, undefined, true, 64n, Symbol(), () => 64, new Number(64)].map((value) => [value, TYPE]),
  ],
  key: [
    ...[0, -1, 1.5, NaN, 2 ** 32, -(2 ** 31), Infinity].map((value) => [value, RANGE]),
    ...['a/b', '', '/', '.', '..', '//a', '../x', '/a/', 'a\0b', 'x'.repeat(256), 'é'.repeat(128), 'a\ud800'].map((value) => [value, VALUE]),
    ...[null, true, 1n, Symbol(), {}, [], () => 1].map((value) => [value, TYPE]),
  ],
  type: [
    ...['toString', '__proto__', 'constructor', 'float32array', '', 99, -1, 13, 1.5, NaN, Object, Map, class {}].map((value) => [value, VALUE]),
    ...[Symbol(), null, true, 1n, {}, []].map((value) => [value, TYPE]),
  ],
  mode: [
    ...['999', '', 'rw', '0x1ff', '1000', '-1', ' 600', '6000', '0o999'].map((value) => [value, VALUE]),
    ...[-1, 0o1000, 1.5, NaN, Infinity, 0o4755].map((value) => [value, RANGE]),
    ...[0, 0o077, 0o200, '200'].map((value) => [value, RANGE]), // its owner could not read it
    ...[null, true, {}, Symbol(), 1n].map((value) => [value, TYPE]),
  ],
  backend: [
    ...['win32', '', '__proto__', 'SysV'].map((value) => [value, VALUE]),
    ...['sysv', 'posix', 'windows'].filter((backend) => !built.includes(backend)).map((value) => [value, VALUE]),
    ...[null, 0, true, {}, Symbol()].map((value) => [value, TYPE]),
  ],
  flag: [0, 1, 'true', null, {}, Symbol()].map((value) => [value, TYPE]),
  offset: [
    ...[-1, 1.5, NaN, Infinity, 2 ** 53].map((value) => [value, RANGE]),
    ...['0', null, undefined, 0n, {}, Symbol()].map((value) => [value, TYPE]),
  ],
  bytes: ['text', null, undefined, 1, [], {}, Symbol()].map((value) => [value, TYPE]),
};

/** Runs a call that has to throw, and checks that it left nothing. */
function refused(call, expected) {
  const before = mine();
  let error;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, 'it threw nothing');
  assert.deepEqual({ name: error.name, code: error.code }, expected, error.stack);
  assert.equal(Object.getPrototypeOf(error), globalThis[expected.name].prototype);
  assert.ok(error.message.length > 15, error.message);
  assert.deepEqual(mine(), before, 'it created something');
}

function each(claim, values, call) {
  describe(claim, () => {
    for (const [value, expected] of values) {
      it(`${shown(value)} is a ${expected.name}, ${expected.code}`, () => refused(() => call(value), expected));
    }
  });
}

const kept = shm.create(64);
after(() => shm.detachAll());

each('create(size)', wrong.size, (size) => shm.create(size));
each('create({ size })', wrong.size.filter(([size]) => size !== 2 ** 31 && size !== 2 ** 32), (size) => shm.create({ size }));
each('create({ length })', wrong.size.filter(([size]) => size !== 2 ** 31 && size !== 2 ** 32 && size !== undefined), (length) => shm.create({ length }));
each('create({ size, key })', wrong.key, (key) => shm.create({ size: 64, key }));
each('create(size, type)', wrong.type, (type) => shm.create(64, type));
each('create({ size, type })', wrong.type, (type) => shm.create({ size: 64, type }));
each('create({ size, mode })', wrong.mode, (mode) => shm.create({ size: 64, mode }));
each('create({ size, backend })', wrong.backend, (backend) => shm.create({ size: 64, backend }));
for (const flag of ['persist', 'reserve', 'hugePages', 'populate', 'view']) {
  each(`create({ size, ${flag} })`, wrong.flag, (value) => shm.create({ size: 64, [flag]: value }));
}

each('get(key)', [...wrong.key, [undefined, TYPE]].filter(([key]) => typeof key !== 'object' || key === null), (key) => shm.get(key));
each('get({ key })', [...wrong.key, [undefined, TYPE]], (key) => shm.get({ key }));
each('get(key, type)', wrong.type, (type) => shm.get(kept.key, type));
each('get({ key, backend })', wrong.backend, (backend) => shm.get({ key: kept.key, backend }));
for (const flag of ['readOnly', 'populate', 'view']) {
  each(`get({ key, ${flag} })`, wrong.flag, (value) => shm.get({ key: kept.key, [flag]: value }));
}
for (const name of ['detach', 'destroy', 'info']) {
  each(`${name}(key)`, [...wrong.key, [undefined, TYPE]], (key) => shm[name](key));
  each(`${name}({ key, backend })`, wrong.backend, (backend) => shm[name]({ key: kept.key, backend }));
}
for (const name of ['read', 'write']) {
  each(`${name}(key)`, wrong.key, (key) => shm[name](key, 0, Buffer.alloc(1)));
  each(`${name}(…, offset)`, wrong.offset, (offset) => shm[name](kept.key, offset, Buffer.alloc(1)));
  each(`${name}(…, bytes)`, wrong.bytes, (bytes) => shm[name](kept.key, 0, bytes));
}

describe('a size', () => {
  it('has to be a multiple of the element size', () => {
    refused(() => shm.create(10, 'Float32Array'), RANGE);
    refused(() => shm.create(10, shm.SHMBT_FLOAT32), RANGE);
    refused(() => shm.create({ size: 12, type: Float64Array }), RANGE);
  });

  it('cannot be used together with a length', () => refused(() => shm.create({ size: 8, length: 8 }), VALUE));

  it('is at most the size of the largest buffer of this runtime', () => {
    if (MAX_LENGTH < Number.MAX_SAFE_INTEGER) refused(() => shm.create({ size: MAX_LENGTH + 1 }), RANGE);
    refused(() => shm.create({ length: MAX_LENGTH, type: Float64Array }), RANGE);
  });

  for (const backend of built) {
    it(`that is too large for the system is an error of the system (${backend})`, () => {
      const before = mine();
      const key = newKey();
      assert.throws(
        () => shm.create({ size: 2 ** 52, key, backend, view: false }),
        (error) => {
          assert.equal(error.name, 'Error');
          assert.ok(['ENOMEM', 'ENOSPC', 'EINVAL', 'EFBIG'].includes(error.code), error.code);
          assert.ok(error.errno < 0 && typeof error.syscall === 'string' && error.key === key);
          assert.match(error.message, /4503599627370496/, 'it says how much was asked');
          return true;
        },
      );
      assert.deepEqual(mine(), before);
      assert.equal(shm.info({ key, backend }), null);
    });
  }
});

describe('a view', () => {
  it('that is not over a shared segment is refused', () => {
    for (const view of [Buffer.alloc(8), new Float32Array(2), new DataView(new ArrayBuffer(8)), structuredClone(kept)]) {
      for (const call of [shm.detach, shm.get, shm.destroy, shm.info]) refused(() => call(view), VALUE);
      refused(() => shm.read(view, 0, Buffer.alloc(1)), VALUE);
    }
  });

  it('over all of the memory, or a part of it, works as the first view', () => {
    assert.equal(shm.info(kept.subarray(8)).key, kept.key);
    assert.equal(shm.info(new DataView(kept.buffer)).key, kept.key);
  });
});

describe('options', () => {
  it('are an object, and not an array or a view', () => {
    for (const value of [[8], Buffer.alloc(8), new DataView(new ArrayBuffer(8))]) refused(() => shm.create(value), TYPE);
  });

  it('are the last argument', () => {
    refused(() => shm.create({ size: 8 }, 'Int16Array'), VALUE);
    refused(() => shm.get({ key: kept.key }, 'Int16Array'), VALUE);
  });
});

describe('a segment larger than a buffer can be', { skip: MAX_LENGTH > 2 ** 40 && 'this runtime has buffers of any size' }, () => {
  it('is refused as a view, and is not changed', () => {
    for (const backend of built) {
      const target = shm.create({ size: MAX_LENGTH + 8, backend, view: false, reserve: false });
      const named = { key: target.key, backend };
      shm.write(named, MAX_LENGTH, Buffer.from('kept'));
      refused(() => shm.get(named), RANGE);
      const read = Buffer.alloc(4);
      shm.read(named, MAX_LENGTH, read);
      assert.equal(read.toString(), 'kept');
      assert.equal(shm.detach(named), 0);
    }
  });
});

describe('options that throw', () => {
  it('the error of the getter is thrown, and nothing is created', () => {
    const before = mine();
    const mistake = new Error('mine');
    const options = { size: 64, get mode() { throw mistake; } };
    assert.throws(() => shm.create(options), (error) => error === mistake);
    assert.deepEqual(mine(), before);
  });
});

describe('a string key', () => {
  it('of digits only is refused, and the error says that it is a number', () => {
    const { key } = kept;
    const calls = {
      create: () => shm.create({ size: 8, key: String(key) }),
      get: () => shm.get(String(key)),
      'get with options': () => shm.get({ key: String(key), backend: built.at(-1) }),
      detach: () => shm.detach(String(key)),
      destroy: () => shm.destroy({ key: String(key) }),
      info: () => shm.info(String(key)),
      read: () => shm.read(String(key), 0, Buffer.alloc(1)),
      write: () => shm.write(String(key), 0, Buffer.alloc(1)),
    };
    for (const call of Object.values(calls)) {
      refused(call, VALUE);
      // Without POSIX any string is an error, which says so.
      assert.throws(call, withNames !== undefined ? new RegExp(`Number\\(key\\).*'/${key}'`) : /System V only|Number\(key\)/);
    }
    for (const digits of ['0', '007', '9'.repeat(20)]) refused(() => shm.get(digits), VALUE);
  });

  it('of digits with a slash is a POSIX name', { skip: built.includes('posix') ? false : 'this build has no POSIX' }, () => {
    const name = `/${newKey()}${newKey()}`;
    const view = shm.create({ size: 8, key: name });
    assert.equal(view.key, name);
    assert.equal(shm.get(view.key).buffer, view.buffer);
    assert.equal(shm.detach(name), 0);
  });

  it('cannot be the library\'s own folder', () => {
    for (const key of ['.shm-node-0', '/.shm-node-65534']) {
      for (const call of [(key) => shm.create({ size: 64, key }), shm.get, shm.destroy, shm.info]) refused(() => call(key), VALUE);
    }
  });

  it('is a clear error in a build with System V only', { skip: withNames !== undefined ? 'this build has POSIX' : false }, () => {
    refused(() => shm.create({ size: 64, key: newName() }), VALUE);
    assert.throws(() => shm.get('a'), /System V only/);
  });

  it('is a clear error on System V', { skip: built.includes('sysv') ? false : 'this build has no System V' }, () => {
    refused(() => shm.create({ size: 64, key: newName(), backend: 'sysv' }), VALUE);
    assert.throws(() => shm.get({ key: 'a', backend: 'sysv' }), /integer/);
  });
});
