'use strict';

// Every row of the specification's API, and what the design adds to it.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { afterEach, describe, it } = require('node:test');
const { pathToFileURL } = require('node:url');
const { getSystemErrorName } = require('node:util');
const {
  built, exists, folder, mine, needs, newKey, newName, notOnWindows, objectOf, shm, systemV, ask, withNames,
} = require('./support.js');

const TYPES = {
  Buffer: 'SHMBT_BUFFER',
  Int8Array: 'SHMBT_INT8',
  Uint8Array: 'SHMBT_UINT8',
  Uint8ClampedArray: 'SHMBT_UINT8CLAMPED',
  Int16Array: 'SHMBT_INT16',
  Uint16Array: 'SHMBT_UINT16',
  Int32Array: 'SHMBT_INT32',
  Uint32Array: 'SHMBT_UINT32',
  Float32Array: 'SHMBT_FLOAT32',
  Float64Array: 'SHMBT_FLOAT64',
  BigInt64Array: 'SHMBT_BIGINT64',
  BigUint64Array: 'SHMBT_BIGUINT64',
  Float16Array: 'SHMBT_FLOAT16',
};

const float16 = globalThis.Float16Array !== undefined;

afterEach(() => {
  for (const { key, backend, creator } of shm.list()) if (creator === process.pid) shm.destroy({ key, backend });
  shm.detachAll();
});

describe('the original contract', () => {
  it('BufferType has the ten types of the specification as 0 to 9, and three more', () => {
    assert.deepEqual(Object.keys(shm.BufferType), Object.keys(TYPES));
    assert.deepEqual(Object.values(shm.BufferType), [...Object.keys(TYPES).keys()]);
    for (const [name, constant] of Object.entries(TYPES)) assert.equal(shm[constant], shm.BufferType[name], constant);
  });

  it('SizeMax is 2^31 - 1 on a 64-bit system', { skip: process.arch.includes('64') ? false : 'a 32-bit system' }, () => {
    assert.equal(shm.SizeMax, 0x7fffffff);
  });

  it('a view is equal to a plain array of its elements, and its key cannot be changed', () => {
    for (const name of Object.keys(TYPES)) {
      if (name === 'Float16Array' && !float16) continue;
      const view = shm.create({ size: 64, type: name });
      const plain = name === 'Buffer' ? Buffer.alloc(64) : new globalThis[name](view.length);
      assert.deepStrictEqual(view, plain);
      assert.deepEqual(Object.keys(view), Object.keys(plain));
      const { value, ...rest } = Object.getOwnPropertyDescriptor(view, 'key');
      assert.deepEqual(rest, { writable: false, enumerable: false, configurable: false });
      assert.throws(() => (view.key = 1), TypeError);
      assert.equal(view.key, value);
    }
  });

  it('the module exports the same to require, to import, and from inside its folder', async () => {
    const imported = await import(pathToFileURL(`${folder}/index.mjs`));
    assert.equal(imported.default, shm);
    assert.deepEqual({ ...imported, default: undefined }, { ...shm, default: undefined });
    const inside = "process.stdout.write(Object.keys(require('./index.js')).join())";
    assert.equal(execFileSync(process.execPath, ['-e', inside], { cwd: folder }).toString(), Object.keys(shm).join());
  });

  it('create(size) returns a Buffer of size zero bytes, with an integer key', () => {
    const buffer = shm.create(4096);
    assert.equal(buffer.constructor, Buffer);
    assert.equal(buffer.length, 4096);
    assert.ok(buffer.every((byte) => byte === 0));
    assert.ok(Number.isInteger(buffer.key) && buffer.key >= 1 && buffer.key <= 0x7fffffff);
    assert.ok(exists(buffer));
  });

  for (const [name, number] of Object.entries(shm.BufferType)) {
    const skip = name === 'Float16Array' && !float16 ? 'this runtime has no Float16Array' : false;
    it(`create and get return a ${name} for its number, its name and its constructor`, { skip }, () => {
      const constructor = globalThis[name];
      const element = constructor === Buffer ? 1 : constructor.BYTES_PER_ELEMENT;
      const value = name.startsWith('Big') ? 7n : 7;
      for (const type of [number, name, constructor]) {
        const created = shm.create(64, type);
        assert.equal(created.constructor, constructor);
        assert.equal(created.length, 64 / element);
        created[1] = value;
        const got = shm.get(created.key, type);
        assert.equal(got.constructor, constructor);
        assert.equal(got.length, 64 / element);
        assert.equal(got.key, created.key);
        assert.equal(got[1], value);
        const byOptions = shm.create({ size: 64, type });
        assert.equal(byOptions.constructor, constructor);
        assert.equal(shm.get({ key: byOptions.key, type }).constructor, constructor);
      }
    });
  }

  it('Float16Array is an error if the runtime lacks it', { skip: float16 ? 'this runtime has a Float16Array' : false }, () => {
    assert.throws(() => shm.create(64, 'Float16Array'), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('get of a missing key is null, and create with a taken key is null', () => {
    assert.equal(shm.get(newKey()), null);
    const key = newKey();
    assert.equal(shm.create({ size: 64, key }).key, key);
    assert.equal(shm.create({ size: 64, key }), null);
    assert.equal(shm.get(key).length, 64, 'the first is as it was');
  });

  it('a segment has exactly the size that was asked for', () => {
    for (const backend of built) {
      const { key } = shm.create({ size: 5001, backend });
      const told = { sysv: () => systemV().get(key).size, posix: () => fs.statSync(objectOf(key)).size };
      assert.equal((told[backend] ?? (() => shm.info({ key, backend }).size))(), 5001);
      assert.equal(shm.get({ key, backend }).length, 5001);
    }
  });

  it('get rounds down to whole elements', () => {
    const { key } = shm.create(15);
    assert.equal(shm.get(key, Float64Array).length, 1);
    assert.equal(shm.get(key, 'Int16Array').length, 7);
    const { key: small } = shm.create(3);
    assert.equal(shm.get(small, Float64Array).length, 0);
  });

  it('keys that create chooses are random, and differ', () => {
    const keys = Array.from({ length: 50 }, () => shm.create(1).key);
    assert.equal(new Set(keys).size, 50);
  });
});

describe('detach', () => {
  for (const backend of built) {
    it(`returns 0 if the segment is gone, and -1 if it is not attached (${backend})`, () => {
      const view = shm.create({ size: 64, backend });
      const { key } = view;
      assert.equal(shm.detach({ key, backend }), 0);
      assert.equal(exists({ key, backend }), false);
      assert.equal(shm.detach({ key, backend }), -1);
      assert.equal(shm.detach(view), -1);
    });

    it(`returns how many still hold the segment (${backend})`, async () => {
      const view = shm.create({ size: 64, backend });
      const left = await ask(
        (shm, target) => {
          shm.get(target);
          ready(shm.detach(target));
        },
        [{ key: view.key, backend }],
      );
      assert.equal(left, 1);
      assert.ok(exists({ key: view.key, backend }));
    });

    it(`returns 0 if the segment was destroyed earlier, and detachAll does not count it (${backend})`, () => {
      const [one, two, three] = Array.from({ length: 3 }, () => shm.create({ size: 64, backend }));
      for (const { key } of [one, two]) assert.equal(shm.destroy({ key, backend }), true);
      assert.equal(shm.detach(one), 0);
      assert.equal(shm.detachAll(), 1, 'only the third was destroyed by it');
      assert.equal(exists({ key: three.key, backend }), false);
    });
  }

  it('detachAll returns how many segments it destroyed, and empties all views', () => {
    const views = [...built, ...built].map((backend) => shm.create({ size: 64, backend }));
    assert.equal(shm.detachAll(), views.length);
    assert.deepEqual(views.map((view) => view.length), views.map(() => 0));
    assert.deepEqual(mine(), []);
    assert.equal(shm.detachAll(), 0);
  });

  it('takes a key, a view, or { key, backend }', () => {
    for (const target of [(view) => view.key, (view) => view, ({ key }) => ({ key }), ({ key }) => ({ key, backend: built[0] })]) {
      const view = shm.create(64);
      assert.equal(shm.detach(target(view)), 0);
      assert.equal(view.length, 0);
    }
  });

  it('reading and writing a view after detach never crashes: it is empty', () => {
    for (const backend of built) {
      const view = shm.create({ size: 4096, type: 'Uint32Array', backend });
      const others = [view.subarray(8), new DataView(view.buffer), Buffer.from(view.buffer, 16, 16)];
      const { buffer } = view;
      view[0] = 7;
      assert.equal(shm.detach(view), 0);
      assert.equal(buffer.byteLength, 0);
      for (const other of [view, ...others.filter(ArrayBuffer.isView)]) {
        if (other instanceof DataView) {
          assert.throws(() => other.getUint8(0), TypeError);
          continue;
        }
        assert.equal(other.length, 0);
        assert.equal(other[0], undefined);
        other[0] = 1;
        assert.equal(other[0], undefined);
        assert.deepEqual(Object.keys(other).filter((name) => name !== 'key'), []);
      }
    }
  });

  it('a second get returns another view of the same memory, and one detach ends both', () => {
    for (const backend of built) {
      const bytes = shm.create({ size: 64, backend });
      const floats = shm.get({ key: bytes.key, backend, type: Float32Array });
      assert.notEqual(floats, bytes);
      assert.equal(floats.buffer, bytes.buffer);
      if (backend === 'sysv') assert.equal(systemV().get(bytes.key).nattch, 1);
      assert.equal(shm.detach({ key: bytes.key, backend }), 0);
      assert.deepEqual([bytes.length, floats.length], [0, 0]);
    }
  });

  it('the old segment of a key that now names another one is still reachable through its own view', () => {
    for (const backend of built) {
      const old = shm.create({ size: 64, backend });
      const target = { key: old.key, backend };
      old[0] = 1;
      shm.destroy(target);
      const current = shm.create({ size: 128, ...target });
      current[0] = 2;
      assert.equal(old[0], 1);
      const got = shm.get(target);
      assert.equal(got.buffer, current.buffer);
      assert.equal(got[0], 2);
      assert.equal(shm.detach(old), 0, 'it is gone');
      assert.deepEqual([old.length, current.length], [0, 128]);
      assert.equal(shm.detach(target), 0);
      assert.equal(current.length, 0);
    }
  });

  it('a view names its own segment, even if its key now names another one', () => {
    for (const backend of built) {
      const old = shm.create({ size: 8, backend, type: 'Uint8Array' });
      const target = { key: old.key, backend };
      shm.destroy(target);
      const current = shm.create({ size: 16, ...target, type: 'Uint8Array' });
      assert.equal(shm.write(old, 1, Buffer.from([9])), 1);
      assert.deepEqual([old[1], current[1]], [9, 0]);
      const read = Buffer.alloc(2);
      assert.equal(shm.read(old, 0, read), 2);
      assert.equal(read[1], 9);
      assert.equal(shm.get(old, 'Uint16Array')[0], 9 << 8);
      assert.equal(shm.info(old), null);
      assert.equal(shm.destroy(old), false);
      assert.equal(shm.info(current).size, 16, 'it was left alone');
      shm.detach(old);
      assert.equal(shm.info(old), null, 'no other than before');
      assert.equal(shm.detach(current), 0);
    }
  });

  /** What names an attachment of its own: each made of what `create` with some options gives. */
  const names = {
    'a view': [{}, (view) => view],
    'a subarray': [{}, (view) => view.subarray(4)],
    'a DataView': [{}, (view) => new DataView(view.buffer, 2)],
    'a typed array over its buffer': [{ type: 'Float64Array' }, (view) => new Uint8Array(view.buffer)],
    'the handle of an attachment without a view': [{ view: false }, (handle) => handle],
  };

  for (const [claim, [options, from]] of Object.entries(names)) {
    it(`${claim} that was detached names nothing, even if its key now names another segment`, () => {
      for (const backend of built) {
        const made = shm.create({ size: 8, backend, ...options });
        const target = { key: made.key, backend };
        const old = from(made);
        assert.equal(shm.detach(old), 0);
        for (const taken of [false, true]) {
          const current = taken && shm.create({ ...target, size: 16 });
          if (taken) current[0] = 7;
          assert.equal(shm.info(old), null);
          assert.equal(shm.destroy(old), false);
          assert.equal(shm.get(old), null);
          assert.equal(shm.detach(old), -1);
          for (const call of [shm.read, shm.write]) {
            assert.throws(() => call(old, 0, Buffer.alloc(8)), { code: 'ERR_SHM_NOT_ATTACHED', message: new RegExp(String(made.key)) });
          }
          if (!taken) continue;
          assert.deepEqual([shm.info(target).size, current.length, current[0]], [16, 16, 7], 'the other was left alone');
          assert.equal(shm.detach(current), 0);
        }
      }
    });

    it(`${claim} that is attached names its own segment, even if its key now names another one`, () => {
      for (const backend of built) {
        const made = shm.create({ size: 8, backend, ...options });
        const target = { key: made.key, backend };
        const old = from(made);
        assert.equal(shm.info(old).size, 8);
        shm.destroy(target);
        const current = shm.create({ ...target, size: 16 });
        assert.equal(shm.write(old, 0, Buffer.from([9])), 1);
        assert.deepEqual([shm.get(old)[0], current[0]], [9, 0]);
        assert.deepEqual([shm.info(old), shm.destroy(old)], [null, false]);
        assert.equal(shm.detach(old), 0, 'its own');
        assert.equal(current.length, 16);
        assert.equal(shm.detach(current), 0);
      }
    });
  }

  it('{ key, backend } is a key, and not an attachment, even if it is a copy of one', () => {
    for (const backend of built) {
      const handle = shm.create({ size: 8, backend, view: false });
      const target = { ...handle, backend };
      shm.destroy(target);
      const current = shm.create({ ...target, size: 16, view: false });
      assert.equal(shm.info(target).size, 16);
      assert.equal(shm.detach(handle), 0);
      assert.equal(shm.info(target).size, 16);
      assert.equal(shm.detach(current), 0);
      assert.deepEqual(Object.keys(handle), ['key', 'size']);
      assert.ok(Object.isFrozen(handle));
    }
  });

  it('the drop-in uses keys, and its view names no other segment after its detach', () => {
    const old = require(`${folder}/shm-typed-array.js`);
    const view = old.create(8);
    const { key } = view;
    assert.equal(old.detach(key), 0);
    const current = shm.create({ key, size: 16 });
    assert.deepEqual([shm.info(view), shm.destroy(view), shm.get(view), shm.detach(view)], [null, false, null, -1]);
    assert.deepEqual([old.detach(key), old.detach(key)], [-1, -1], 'it holds none of that key');
    assert.equal(shm.detach(current), 0);
  });

  it('get returns a view again after transfer moved its memory', () => {
    for (const backend of built) {
      const view = shm.create({ size: 64, backend });
      view[0] = 7;
      const { buffer } = view;
      try {
        structuredClone(buffer, { transfer: [buffer] });
      } catch (error) {
        assert.equal(error.name, 'DataCloneError'); // this runtime moves no such memory
      }
      const again = shm.get({ key: view.key, backend });
      assert.equal(again[0], 7);
      assert.equal(shm.detach({ key: view.key, backend }), 0);
      assert.deepEqual([view.length, again.length], [0, 0]);
    }
  });

  it('get does not find a destroyed segment', () => {
    for (const backend of built) {
      const view = shm.create({ size: 64, backend });
      shm.destroy(view);
      assert.equal(shm.get({ key: view.key, backend }), null);
      view[0] = 3;
      assert.equal(view[0], 3, 'its holder keeps the memory');
    }
  });

  it('Symbol.dispose detaches', { skip: Symbol.dispose === undefined ? 'this runtime has no Symbol.dispose' : false }, () => {
    const view = shm.create(64);
    const { key } = view;
    assert.equal(view[Symbol.dispose](), undefined);
    assert.equal(view.length, 0);
    assert.equal(exists({ key }), false);
    assert.equal(view[Symbol.dispose](), undefined, 'twice is harmless');
  });
});

const both = built.length < 2 ? 'this build has one backend' : false;

describe('the options form', () => {
  it('takes a size or a length', () => {
    assert.equal(shm.create({ size: 400, type: 'Float64Array' }).length, 50);
    const view = shm.create({ length: 50, type: 'Float64Array' });
    assert.deepEqual([view.length, view.byteLength], [50, 400]);
  });

  it('puts an integer key on the first backend of the build', () => {
    assert.equal(shm.info(shm.create(64)).backend, built[0]);
    assert.equal(shm.info(shm.create({ size: 64 })).backend, built[0]);
  });

  it('puts an integer key on POSIX under a name of eight hexadecimal digits', needs('posix'), () => {
    const view = shm.create({ size: 64, key: 0x1beef, backend: 'posix' });
    assert.equal(view.key, 0x1beef);
    assert.ok(fs.existsSync('/dev/shm/shm-node-0001beef'));
    assert.deepEqual(shm.info(view).key, 0x1beef);
  });

  it('an integer key of all 32 bits is a System V key', needs('sysv'), () => {
    const key = newKey() + 0x8000_0000;
    const view = shm.create({ size: 64, key });
    assert.equal(view.key, key);
    assert.ok(systemV().has(key));
    assert.equal(shm.get(key).buffer, view.buffer);
    assert.equal(shm.info(key).key, key);
  });

  it('a string key is a name, with its slash or without', needs(withNames ?? 'posix'), () => {
    const name = newName();
    const view = shm.create({ size: 64, key: name });
    assert.equal(view.key, `/${name}`);
    if (withNames === 'posix') assert.equal(fs.statSync(`/dev/shm/${name}`).size, 64);
    for (const key of [name, `/${name}`]) assert.equal(shm.get({ key }).buffer, view.buffer);
    assert.ok(shm.list().some(({ key }) => key === `/${name}`));
    assert.equal(shm.get(name).buffer, view.buffer, 'and in the positional form');
    assert.equal(shm.detach(name), 0);
  });

  it('a name may be 255 bytes long and hold any character but a slash and NUL', needs('posix'), () => {
    const prefix = newName();
    for (const key of [`${prefix}é 😀 "'\n\\`, prefix.padEnd(255, 'x')]) {
      const view = shm.create({ size: 64, key });
      assert.equal(view.key, `/${key}`);
      assert.equal(shm.get(key).buffer, view.buffer);
      assert.equal(shm.detach(view), 0);
    }
  });

  it('a name of Windows has at most 230 bytes, its slash counted, and no backslash', needs('windows'), () => {
    const prefix = newName();
    const view = shm.create({ size: 64, key: `${prefix}é 😀 "'`.padEnd(220, 'x') });
    assert.equal(shm.get(view.key).buffer, view.buffer);
    for (const key of [prefix.padEnd(230, 'x'), `${prefix}\\x`, '.shm-node-key-x']) {
      assert.throws(() => shm.create({ size: 64, key }), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
    }
  });

  it('the same integer key on both backends means two segments', { skip: both }, () => {
    const key = newKey();
    const views = built.map((backend) => shm.create({ size: 64, key, backend }));
    for (const [index, view] of views.entries()) view[0] = index + 1;
    for (const [index, backend] of built.entries()) assert.equal(shm.get({ key, backend })[0], index + 1);
    assert.equal(shm.detach(key), 0, 'a bare integer means the default backend');
    assert.deepEqual(views.map((view) => view.length), [0, 64]);
  });

  it('view.key finds the segment again, on each backend', () => {
    for (const backend of built) {
      for (const view of [true, false]) {
        const made = shm.create({ size: 64, backend, view });
        const { key } = made;
        assert.equal(shm.write(key, 3, Buffer.from('abc')), 3);
        const target = Buffer.alloc(3);
        assert.equal(shm.read(key, 3, target), 3);
        assert.equal(target.toString(), 'abc');
        assert.equal(shm.get(key).subarray(3, 6).toString(), 'abc');
        if (view) assert.equal(shm.get(key).buffer, made.buffer);
        assert.equal(shm.info(key).backend, backend);
        assert.equal(shm.info({ key }).backend, backend);
        assert.equal(shm.detach(key), 0);
        assert.deepEqual([shm.detach(key), shm.info(key), shm.get(key), shm.destroy(key)], [-1, null, null, false]);
        assert.throws(() => shm.read(key, 0, target), { code: 'ERR_SHM_NOT_ATTACHED' });
      }
      const { key } = shm.create({ size: 64, backend });
      assert.equal(shm.destroy(key), true);
      assert.equal(exists({ key, backend }), false);
    }
  });

  it('another process finds the segment by view.key, on each backend', async () => {
    for (const backend of built) {
      const { key } = shm.create({ size: 64, backend });
      const seen = await ask((shm, key) => ready([shm.info(key).backend, shm.get(key).length, shm.destroy(key)]), [key]);
      assert.deepEqual(seen, [backend, 64, true]);
    }
  });

  it('an integer key of both backends means the segment that this thread holds', { skip: both }, () => {
    for (const [index, backend] of built.entries()) {
      const key = newKey();
      const others = { key, backend: built[1 - index] };
      shm.detach(shm.create({ ...others, size: 32, persist: true }));
      try {
        const view = shm.create({ size: 64, key, backend });
        assert.equal(shm.get(key).buffer, view.buffer);
        assert.equal(shm.info(key).size, 64);
        assert.equal(shm.destroy(key), true);
        assert.equal(shm.detach(key), 0);
        assert.equal(shm.get(key).length, 32, 'and then the other');
        assert.equal(shm.detach(key), 1);
      } finally {
        shm.destroy(others);
      }
    }
  });

  it('an integer key of both backends, held on neither, means that of the default backend', { skip: both }, () => {
    const key = newKey();
    for (const [index, backend] of built.entries()) shm.detach(shm.create({ key, backend, size: 32 + index, persist: true }));
    for (const [index, backend] of built.entries()) {
      assert.equal(shm.info(key).backend, backend);
      assert.equal(shm.get(key).length, 32 + index);
      assert.equal(shm.destroy(key), true);
      shm.detach(key);
    }
    assert.equal(shm.info(key), null);
  });

  it('the mode is 0600 by default, or as asked for, whatever the umask', () => {
    const umask = process.umask(0o077);
    try {
      for (const backend of built) {
        const modes = [undefined, 0o660, '660', '0666', '0o640'];
        const expected = [0o600, 0o660, 0o660, 0o666, 0o640];
        for (const [index, mode] of modes.entries()) {
          const { key } = shm.create({ size: 64, mode, backend });
          const told = { sysv: () => Number.parseInt(systemV().get(key).perms, 8), posix: () => fs.statSync(objectOf(key)).mode & 0o777 };
          if (backend in told) assert.equal(told[backend](), expected[index]);
          assert.equal(shm.info({ key, backend }).mode, expected[index]);
        }
      }
    } finally {
      process.umask(umask);
    }
  });

  // System V lets only those attach such a segment who may attach any.
  const CAP_IPC_OWNER = 1n << 15n;
  const capabilities = () => BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]}`);
  const mayAttach = !built.includes('sysv') || (process.platform === 'linux' && (capabilities() & CAP_IPC_OWNER) !== 0n);
  const skip = mayAttach ? false : 'this user may not attach any segment';

  it('the mode may be one that keeps writers out', { skip }, () => {
    for (const backend of built) {
      const { key } = shm.create({ size: 64, mode: 0o400, backend });
      assert.equal(shm.info({ key, backend }).mode, 0o400);
    }
  });

  it('a persistent segment stays until it is destroyed', notOnWindows('Windows keeps no segment that nobody holds'), async () => {
    for (const backend of built) {
      const view = shm.create({ size: 64, backend, persist: true });
      const target = { key: view.key, backend };
      view[0] = 9;
      assert.equal(shm.info(target).state, 'persistent');
      assert.equal(shm.detach(view), 1);
      shm.sweep();
      assert.ok(exists(target));
      const seen = await ask((shm, target) => ready(shm.get(target)[0]), [target]);
      assert.equal(seen, 9);
      assert.ok(exists(target), 'another process came and went');
      assert.equal(shm.destroy(target), true);
      assert.equal(exists(target), false);
      assert.equal(shm.destroy(target), false);
    }
  });

  it('persist is ENOTSUP on Windows, which keeps no segment that nobody holds', needs('windows'), () => {
    const key = newKey();
    assert.throws(() => shm.create({ key, size: 64, persist: true }), (error) => {
      assert.deepEqual([error.name, error.code, error.syscall, error.key], ['Error', 'ENOTSUP', 'CreateFileMapping', key]);
      assert.equal(getSystemErrorName(error.errno), 'ENOTSUP');
      return /leave `persist` out/.test(error.message);
    });
    assert.equal(shm.info(key), null);
  });

  it('huge pages and no reservation change nothing visible', () => {
    for (const backend of built) {
      for (const more of [{ hugePages: true }, { reserve: false }, { hugePages: true, reserve: false }]) {
        const view = shm.create({ size: 3 << 20, backend, ...more });
        view[view.length - 1] = 1;
        assert.equal(shm.get({ key: view.key, backend })[view.length - 1], 1);
        assert.equal(shm.detach(view), 0);
      }
    }
  });
});

describe('read and write', () => {
  it('copy through an attachment that has no view', async () => {
    for (const backend of built) {
      const made = shm.create({ size: 16, backend, view: false });
      assert.deepEqual(made, { key: made.key, size: 16 });
      const target = { key: made.key, backend };
      assert.equal(shm.write(target, 4, Buffer.from('shared')), 6);
      const seen = await ask(
        (shm, target) => {
          const { size } = shm.get({ ...target, view: false });
          const bytes = Buffer.alloc(6);
          const moved = shm.read(target, 4, bytes);
          shm.write(target, 0, Buffer.from('back'));
          ready({ size, moved, text: bytes.toString() });
        },
        [target],
      );
      assert.deepEqual(seen, { size: 16, moved: 6, text: 'shared' });
      const bytes = Buffer.alloc(4);
      assert.equal(shm.read(target, 0, bytes), 4);
      assert.equal(bytes.toString(), 'back');
      assert.equal(shm.detach(target), 0);
    }
  });

  it('copy as many bytes as there are, and 0 at the end', () => {
    const { key } = shm.create(8);
    assert.equal(shm.write(key, 6, Buffer.from('abcd')), 2);
    assert.equal(shm.get(key).toString('latin1', 6), 'ab');
    assert.equal(shm.read(key, 8, Buffer.alloc(4)), 0);
    assert.equal(shm.read(key, Number.MAX_SAFE_INTEGER, Buffer.alloc(4)), 0);
    assert.equal(shm.read(key, 0, Buffer.alloc(0)), 0);
    const long = Buffer.alloc(16, 1);
    assert.equal(shm.read(key, 0, long), 8);
    assert.equal(long.toString('hex'), '000000000000616201'.padEnd(32, '01'));
  });

  it('take any array, DataView, ArrayBuffer and SharedArrayBuffer, and use only its own part', () => {
    const view = shm.create(8);
    const whole = Buffer.from('0123456789');
    assert.equal(shm.write(view, 0, whole.subarray(2, 6)), 4);
    assert.equal(view.toString('latin1', 0, 4), '2345');
    for (const target of [new Uint16Array(4), new DataView(new ArrayBuffer(8)), new ArrayBuffer(8), new SharedArrayBuffer(8)]) {
      assert.equal(shm.read(view, 0, target), 8);
      assert.equal(Buffer.from(target.buffer ?? target).toString('latin1', 0, 4), '2345');
    }
    assert.equal(shm.write(view, 1, view), 7, 'its own memory too');
    assert.equal(view.toString('latin1', 0, 5), '22345');
  });

  it('are an error if the segment is not attached', () => {
    const view = shm.create(8);
    const { key } = view;
    shm.detach(view);
    for (const copy of [shm.read, shm.write]) {
      assert.throws(() => copy(key, 0, Buffer.alloc(1)), { name: 'Error', code: 'ERR_SHM_NOT_ATTACHED' });
    }
  });
});

describe('readOnly', () => {
  const needsNames = needs(withNames ?? 'posix');

  it('shows what others write, and a write stays private', needsNames, async () => {
    const view = shm.create({ size: 8192, backend: withNames });
    const target = { key: view.key, backend: withNames };
    const readOnly = shm.get({ ...target, readOnly: true });
    assert.notEqual(readOnly.buffer, view.buffer);
    view[0] = 1;
    assert.equal(readOnly[0], 1);
    readOnly[4096] = 99;
    assert.equal(readOnly[4096], 99);
    assert.equal(view[4096], 0);
    const elsewhere = await ask((shm, target) => ready(shm.get(target)[4096]), [target]);
    assert.equal(elsewhere, 0);
    view[1] = 2;
    assert.equal(readOnly[1], 2, 'other pages stay live');
    assert.equal(shm.detach(target), 0, 'one detach ends both');
    assert.deepEqual([view.length, readOnly.length], [0, 0]);
  });

  it('refuses write() without a view', needsNames, async () => {
    const { key } = shm.create({ size: 64, backend: withNames });
    const code = await ask(
      (shm, target) => {
        shm.get({ ...target, readOnly: true, view: false });
        try {
          shm.write(target, 0, Buffer.alloc(1));
        } catch (error) {
          ready(error.code);
        }
      },
      [{ key, backend: withNames }],
    );
    assert.equal(code, 'ERR_INVALID_ARG_VALUE');
  });

  it('applies to a read-only view, whatever other views its segment has', needsNames, () => {
    const view = shm.create({ size: 8, backend: withNames, type: 'Uint8Array' });
    const readOnly = shm.get({ key: view.key, backend: withNames, readOnly: true, type: 'Uint8Array' });
    assert.throws(() => shm.write(readOnly, 0, Buffer.from([1])), { code: 'ERR_INVALID_ARG_VALUE' });
    readOnly[0] = 5;
    shm.get(readOnly)[1] = 6;
    const read = Buffer.alloc(2);
    shm.read(readOnly, 0, read);
    assert.deepEqual([...read], [5, 6]);
    assert.deepEqual([view[0], view[1]], [0, 0]);
    shm.detach(view);
    shm.detach(readOnly);
  });

  it('is ENOTSUP on System V, where it would not be safe', needs('sysv'), () => {
    const { key } = shm.create(64);
    const refused = () => shm.get({ key, readOnly: true });
    assert.throws(refused, { name: 'Error', code: 'ENOTSUP', syscall: 'shmat', key, message: /POSIX/ });
    assert.equal(systemV().get(key).nattch, 1);
  });
});

describe('list, info, destroy and sweep', () => {
  it('describe a segment by what the kernel and the ledger know', () => {
    for (const backend of built) {
      const before = Date.now();
      const { key } = shm.create({ size: 5000, backend, mode: 0o640 });
      const info = shm.info({ key, backend });
      assert.ok(info.created instanceof Date && info.created >= before - 1 && info.created <= Date.now() + 1);
      assert.deepEqual(info, {
        key,
        backend,
        size: 5000,
        mode: 0o640,
        uid: process.getuid?.() ?? info.uid,
        gid: process.getgid?.() ?? info.gid,
        holders: backend === 'posix' ? null : 1,
        creator: process.pid,
        created: info.created,
        state: 'held',
      });
      const listed = shm.list().filter((other) => other.key === key && other.backend === backend);
      assert.deepEqual(listed, [info]);
    }
  });

  it('info of a missing key is null, and destroy of one is false', () => {
    for (const backend of built) {
      assert.equal(shm.info({ key: newKey(), backend }), null);
      assert.equal(shm.destroy({ key: newKey(), backend }), false);
    }
  });

  it('take a view as well as a key', () => {
    const view = shm.create(64);
    assert.equal(shm.info(view).key, view.key);
    assert.equal(shm.destroy(view), true);
    assert.equal(shm.info(view), null);
  });

  it('list leaves out the library\'s own folder', () => {
    assert.deepEqual(shm.list().filter(({ key }) => String(key).includes('.shm-node-')), []);
  });

  it('sweep returns a number', () => {
    assert.ok(Number.isInteger(shm.sweep()));
  });
});

describe('a foreign segment', () => {
  const foreign = {
    posix() {
      const key = `/${newName()}`;
      fs.writeFileSync(objectOf(key), Buffer.alloc(1001, 5));
      return { key, backend: 'posix' };
    },
    sysv() {
      const id = +/\d+/.exec(execFileSync('ipcmk', ['--shmem', '1001']).toString())[0];
      const [key] = [...systemV()].find(([, { shmid }]) => shmid === id);
      return { key, backend: 'sysv' };
    },
  };

  // On Windows another program makes one in tests/platforms/windows.test.js.
  for (const backend of built.filter((backend) => backend in foreign)) {
    it(`is shared as it is, and never removed by a detach, a sweep or an exit (${backend})`, async () => {
      const target = foreign[backend]();
      try {
        const view = shm.get(target);
        assert.equal(view.length, 1001);
        assert.equal(shm.info(target).state, 'foreign');
        view[1000] = 77;
        assert.ok(shm.detach(view) >= (backend === 'posix' ? 1 : 0));
        shm.sweep();
        assert.ok(exists(target));
        assert.equal(await ask((shm, target) => ready(shm.get(target)[1000]), [target]), 77);
        assert.ok(exists(target), 'after another process went');
        assert.equal(shm.get(target)[1000], 77);
        shm.detachAll();
        assert.ok(exists(target), 'after detachAll');
      } finally {
        assert.equal(shm.destroy(target), true);
        assert.equal(exists(target), false);
      }
    });
  }

  it('of size 0 is EAGAIN: its creator has not set its size yet', needs('posix'), () => {
    const key = `/${newName()}`;
    fs.writeFileSync(objectOf(key), '');
    try {
      assert.throws(() => shm.get(key), { name: 'Error', code: 'EAGAIN', errno: -11, key });
      fs.truncateSync(objectOf(key), 10);
      assert.equal(shm.get(key).length, 10);
    } finally {
      shm.destroy(key);
    }
  });

  it('that is not a regular file is EPERM to get, and no segment to other calls', needs('posix'), () => {
    const key = `/${newName()}`;
    for (const [make, unmake] of [
      [() => fs.mkdirSync(objectOf(key)), () => fs.rmdirSync(objectOf(key))],
      [() => fs.symlinkSync('/etc/hostname', objectOf(key)), () => fs.unlinkSync(objectOf(key))],
      [() => execFileSync('mkfifo', [objectOf(key)]), () => fs.unlinkSync(objectOf(key))],
    ]) {
      make();
      try {
        assert.throws(() => shm.get(key), { name: 'Error', code: 'EPERM', key });
        assert.equal(shm.info(key), null);
        assert.ok(shm.list().every((other) => other.key !== key));
        assert.equal(shm.create({ size: 64, key }), null, 'the name is taken');
        assert.equal(shm.destroy(key), false);
        assert.ok(fs.lstatSync(objectOf(key)), 'and it stays');
      } finally {
        unmake();
      }
    }
  });
});
