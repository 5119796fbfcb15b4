'use strict';

// Arrays, buffers and constructors of another realm (vm, jest, vitest) count as ours do, and what only looks like an
// array is refused as everything else is.

const assert = require('node:assert/strict');
const { after, describe, it } = require('node:test');
const vm = require('node:vm');
const { folder, shm } = require('./support.js');
const { bufferOf, bytesOf, classOf } = require(`${folder}/lib/arrays.js`);

const context = vm.createContext({ shm });
const there = (code) => vm.runInContext(code, context);

const NAMES = ['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array'];
NAMES.push('Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array');
if (globalThis.Float16Array !== undefined) NAMES.push('Float16Array');

const kept = shm.create({ size: 64 });
context.kept = kept;
after(() => shm.detachAll());

const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };

describe('of another realm', () => {
  for (const name of NAMES) {
    it(`${name} is a type, and its views are of that realm`, () => {
      const seen = there(`(() => {
        const made = shm.create({ length: 3, type: ${name} });
        const got = shm.get(made.key, ${name});
        const positional = shm.create(24, ${name});
        const all = [made, got, positional].map((view) => view instanceof ${name} && view.length);
        return JSON.stringify([all, made.buffer === got.buffer, shm.detach(made), shm.detach(positional)]);
      })()`);
      const length = 24 / globalThis[name].BYTES_PER_ELEMENT;
      assert.deepEqual(JSON.parse(seen), [[3, 3, length], true, 0, 0]);
    });

    it(`a ${name} is read into and written from, and names its segment`, () => {
      const seen = there(`(() => {
        const bytes = new ${name}(8 / ${name}.BYTES_PER_ELEMENT);
        const moved = [shm.write(kept, 0, bytes), shm.read(kept, 0, bytes)];
        return JSON.stringify([moved, shm.info(new ${name}(kept.buffer)).key]);
      })()`);
      assert.deepEqual(JSON.parse(seen), [[8, 8], kept.key]);
      assert.equal(classOf(there(`new ${name}(1)`)), name);
    });
  }

  for (const bytes of ['new DataView(new ArrayBuffer(8))', 'new ArrayBuffer(8)', 'new SharedArrayBuffer(8)']) {
    it(`${bytes} is read into and written from`, () => {
      assert.deepEqual(there(`[shm.write(kept, 0, ${bytes}), shm.read(kept, 0, ${bytes})].join()`), '8,8');
      assert.equal(bytesOf('source', there(bytes)).length, 8);
      assert.equal(classOf(there(bytes)), undefined);
    });
  }

  it('a view is not an options object, so a type may follow it', () => {
    assert.equal(there(`shm.get(new Int16Array(kept.buffer), 'Int8Array').constructor.name`), 'Int8Array');
    assert.throws(() => there('shm.get({ key: kept.key }, Int8Array)'), VALUE);
  });

  it('a DataView names its segment', () => {
    assert.equal(there('shm.info(new DataView(kept.buffer)).key'), kept.key);
  });
});

describe('a function with the name of an array type', () => {
  for (const code of [
    'class Float32Array {}',
    'class Float32Array extends Uint8Array {}',
    'class Float32Array { static BYTES_PER_ELEMENT = 4 }',
    'function Float32Array() {}',
    'Float32Array.bind(null)',
    "Object.defineProperty(Date.bind(null), 'name', { value: 'Float32Array' })",
  ]) {
    it(`${code} is refused as a type`, () => {
      for (const type of [there(`(${code})`), vm.runInThisContext(`(${code})`)]) {
        assert.throws(() => shm.create(64, type), VALUE);
        assert.throws(() => shm.get(kept.key, type), VALUE);
      }
    });
  }
});

describe('an array that was detached or has shrunk', () => {
  const detached = (view) => {
    structuredClone(view.buffer, { transfer: [view.buffer] });
    return view;
  };

  it('has no bytes after it was detached, as in the language', () => {
    const buffer = new ArrayBuffer(8);
    for (const bytes of [detached(new Uint8Array(8)), detached({ buffer }) && buffer]) {
      assert.deepEqual([shm.write(kept, 0, bytes), shm.read(kept, 0, bytes)], [0, 0]);
    }
  });

  it('is refused if it is a DataView, which then has no length', () => {
    const view = detached(new DataView(new ArrayBuffer(8)));
    for (const call of [shm.read, shm.write]) assert.throws(() => call(kept, 0, view), VALUE);
    for (const call of [shm.get, shm.info, shm.destroy, shm.detach]) assert.throws(() => call(view), VALUE);
    assert.throws(() => shm.create(view), TYPE);
  });
});

describe('objects that only look like an array', () => {
  it('a Proxy of one is refused', () => {
    const proxy = new Proxy(new Uint8Array(4), {});
    for (const call of [shm.read, shm.write]) assert.throws(() => call(kept, 0, proxy), TYPE);
    for (const call of [shm.get, shm.info, shm.destroy, shm.detach, shm.create]) assert.throws(() => call(proxy), TYPE);
    const { proxy: revoked, revoke } = Proxy.revocable(new Uint8Array(4), {});
    revoke();
    for (const call of [shm.read, shm.write]) assert.throws(() => call(kept, 0, revoked), TYPE);
  });

  it('properties that a program has added are not used', () => {
    const lying = Object.defineProperties(new Uint8Array(4).fill(7), {
      buffer: { value: undefined },
      byteOffset: { value: 2 ** 40 },
      byteLength: { value: 0 },
    });
    assert.equal(shm.write(kept, 0, lying), 4);
    assert.deepEqual([...kept.subarray(0, 4)], [7, 7, 7, 7]);
    assert.throws(() => shm.info(lying), VALUE);
    const ours = Object.defineProperty(shm.get(kept), 'buffer', { value: undefined });
    assert.equal(shm.info(ours).key, kept.key);
    assert.equal(bufferOf(ours), kept.buffer);
  });
});
