'use strict';

// shm-node/shm-typed-array: the API, the memory layout and the published test of shm-typed-array 0.1.1.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } = require('node:fs');
const { constants } = require('node:buffer');
const path = require('node:path');
const { afterEach, describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');
const { built, packageFolder, run, temporary } = require('./support/packaging.js');

const file = path.join(packageFolder, 'shm-typed-array.js');
const shm = require(packageFolder);
const old = require(file);

const posix = { skip: !built.includes('posix') && 'this build has no POSIX' };
const sysv = { skip: !built.includes('sysv') && 'this build has no System V' };
const objects = { skip: posix.skip || (process.platform !== 'linux' && 'POSIX objects are files on Linux only') };

const names = new Set();
function newName() {
  const name = `/drop-in-${process.pid}-${randomInt(2 ** 40)}`;
  names.add(name);
  return name;
}
const newKey = () => randomInt(1, 2 ** 31);

/** Runs code in another process, with `old` and `shm` in it. */
function elsewhere(code) {
  const required = `const old = require(${JSON.stringify(file)}); const shm = require(${JSON.stringify(packageFolder)});`;
  return run(process.execPath, ['-e', required + code], { env: { ...process.env, SHM_NODE_QUIET: '1' } }).stdout.trim();
}

afterEach(() => {
  old.detachAll();
  for (const name of names) old.destroy(name); // what a test that failed has left
  names.clear();
  assert.equal(old.getTotalSize(), 0);
});

test('it has every name of the original', () => {
  const names = ['create', 'createPosix', 'get', 'getPosix', 'detach', 'detachPosix', 'destroy', 'detachAll'];
  const rest = ['getTotalSize', 'getTotalCreatedSize', 'BufferType', 'LengthMax'];
  assert.deepEqual(Object.keys(old).sort(), [...names, ...rest].sort());
  assert.equal(old.LengthMax, constants.MAX_LENGTH);
  assert.equal(old.BufferType.Float64Array, 9);
  assert.equal(Object.keys(old.BufferType).length, 10);
});

test('count is of elements, and the type is a name', () => {
  for (const [name, number] of Object.entries(old.BufferType)) {
    const view = old.create(6, name);
    const constructor = name === 'Buffer' ? Buffer : globalThis[name];
    assert.ok(view instanceof constructor, name);
    assert.equal(view.length, 6);
    assert.equal(view.byteLength, 6 * (constructor.BYTES_PER_ELEMENT ?? 1), `type ${number}`);
    assert.equal(old.detach(view.key), 0);
    assert.equal(view.length, 0);
  }
  assert.ok(Buffer.isBuffer(old.create(3)));
});

test('an integer key is a plain property, and null means a random one', () => {
  const key = newKey();
  const view = old.create(2, 'Int32Array', key);
  assert.equal(view.key, key);
  assert.equal(old.create(2, 'Int32Array', key), null);
  view[1] = 7;
  assert.equal(old.get(key, 'Int32Array')[1], 7);
  assert.ok(Number.isSafeInteger(old.create(1, 'Buffer', null).key));
  assert.equal(old.destroy(key), true);
  assert.equal(old.destroy(key), false);
  assert.equal(old.get(key), null);
});

test('permissions are an octal string; anything else means 660', () => {
  for (const [given, mode] of [[undefined, 0o660], ['640', 0o640], ['no', 0o660], [600, 0o600]]) {
    const { key } = old.create(1, 'Buffer', newKey(), given);
    assert.equal(shm.info(key).mode, mode);
  }
});

test('wrong arguments throw, and create nothing', () => {
  const before = old.getTotalCreatedSize();
  for (const count of [0, -1, 1.5, NaN, '4', constants.MAX_LENGTH, 2 ** 53]) {
    assert.throws(() => old.create(count, 'Float64Array'), RangeError, String(count));
  }
  for (const type of ['Float33Array', 'toString', '__proto__', 'BigInt64Array', 8, null]) {
    assert.throws(() => old.create(1, type), /Unknown type key/, String(type));
    assert.throws(() => old.get(1, type), /Unknown type key/, String(type));
  }
  for (const key of [0, -1, 1.5, 2 ** 32 - 1]) {
    assert.throws(() => old.create(1, 'Buffer', key), RangeError);
    assert.throws(() => old.get(key), RangeError);
    assert.throws(() => old.detach(key), RangeError);
  }
  assert.throws(() => old.createPosix(7, 1), TypeError);
  assert.throws(() => old.getPosix(7), TypeError);
  assert.throws(() => old.detachPosix(7), TypeError);
  assert.equal(old.getTotalCreatedSize(), before);
});

test('detach returns how many holders are left', sysv, () => {
  const view = old.create(4);
  const other = new Worker(
    `const old = require(${JSON.stringify(file)}); const { parentPort, workerData } = require('node:worker_threads');
     old.get(workerData); parentPort.postMessage('ready'); parentPort.on('message', () => process.exit());`,
    { eval: true, workerData: view.key },
  );
  return new Promise((resolve, reject) => {
    other.on('error', reject);
    other.once('message', () => {
      try {
        assert.equal(old.detach(view.key), 1);
        assert.equal(old.getTotalSize(), 0);
        assert.equal(old.detach(view.key), 1, 'it was ours once');
      } catch (error) {
        reject(error);
      }
      other.postMessage('end');
    });
    other.on('exit', resolve);
  }).then(() => {
    assert.equal(old.detach(view.key), -1, 'the other destroyed it');
    assert.equal(old.detach(newKey()), -1, 'there is none');
  });
});

test('a segment that has taken the key of an earlier one is left alone', sysv, () => {
  const anew = (key) => elsewhere(`shm.destroy(${key}); shm.create({ key: ${key}, size: 1, persist: true });`);
  const { key } = old.create(4);
  const child = new Worker(
    `const shm = require(${JSON.stringify(packageFolder)}); const { parentPort, workerData } = require('node:worker_threads');
     shm.get(workerData); parentPort.postMessage('ready'); parentPort.on('message', () => process.exit());`,
    { eval: true, workerData: key },
  );
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('exit', resolve);
    child.once('message', () => {
      try {
        assert.equal(old.detach(key), 1, 'the worker holds it');
        anew(key);
        assert.equal(old.detach(key), -1, 'it was never attached');
        const second = old.create(4);
        anew(second.key);
        assert.equal(old.detach(second.key), -1, 'it was gone already');
        const third = old.create(4);
        anew(third.key);
        assert.equal(old.detachAll(), 0, 'it destroyed nothing itself');
        for (const left of [key, second.key, third.key]) assert.ok(shm.destroy(left), 'it was left alone');
      } catch (error) {
        reject(error);
      }
      child.postMessage('end');
    });
  });
});

test('detachAll ends all attachments, also those whose key has gone to another segment', () => {
  const keys = [newKey(), ...(posix.skip ? [] : [newName()])];
  for (const key of keys) {
    const views = [0, 1, 2].map(() => {
      const view = old.create(8, 'Buffer', key);
      assert.ok(shm.destroy(key));
      return view;
    });
    assert.equal(old.getTotalSize(), 3 * (typeof key === 'string' ? 16 : 8));
    assert.equal(old.detachAll(), 0);
    assert.deepEqual(views.map(({ length }) => length), [0, 0, 0]);
    assert.equal(old.getTotalSize(), 0);
  }
});

test('the last holder destroys a segment that another program made, as the original does', sysv, (t) => {
  if (spawnSync('ipcmk', ['--version']).error) return t.skip('ipcmk is missing');
  const [, id] = /id: (\d+)/.exec(run('ipcmk', ['-M', '64']).stdout);
  const line = run('ipcs', ['-m']).stdout.split('\n').find((line) => line.split(/\s+/)[1] === id);
  const key = Number(line.split(/\s+/)[0]);
  try {
    assert.equal(old.get(key).length, 64);
    assert.equal(old.detach(key), 0);
    assert.equal(old.get(key), null);
  } finally {
    shm.destroy(key);
  }
});

test('detachAll and the end of the process count System V segments', () => {
  const [first, second] = [old.create(10), old.create(10)];
  assert.equal(old.getTotalSize(), 20);
  assert.equal(old.detachAll(), 2);
  assert.equal(old.getTotalCreatedSize(), 0);
  assert.equal(shm.info(first.key), null);
  assert.equal(shm.info(second.key), null);
  const code = `require(${JSON.stringify(file)}).create(10)`;
  const env = { ...process.env, SHM_NODE_QUIET: '0' };
  assert.equal(run(process.execPath, ['-e', code], { env }).stdout, 'shm segments destroyed: 1\n');
});

describe('POSIX objects', posix, () => {
  test('have no property key, and stay until they are destroyed', () => {
    const name = newName();
    const view = old.create(3, 'Float32Array', name);
    assert.equal(view.key, undefined);
    assert.equal(old.createPosix(name, 3), null);
    assert.equal(old.getTotalSize(), 20);
    assert.equal(old.getTotalCreatedSize(), 20);
    assert.equal(old.detach(name), 1);
    assert.equal(old.getTotalSize(), 0);
    assert.equal(old.getTotalCreatedSize(), 20);
    assert.equal(old.detachPosix(name), -1);
    assert.equal(shm.info(name).state, 'persistent');
    assert.equal(shm.info(name).mode, 0o660);
    assert.equal(elsewhere(`console.log(old.get('${name}', 'Float32Array').length)`), '3');
    assert.equal(old.detach(name, true), 0);
    assert.equal(old.getTotalCreatedSize(), 0);
    assert.equal(old.detachPosix(name, true), -1);
    assert.equal(old.getPosix(name), null);
  });

  test('outlive the process that made them', () => {
    const name = newName();
    elsewhere(`old.createPosix('${name}', 2, 'Float64Array')[1] = 2.5`);
    assert.equal(old.getPosix(name, 'Float64Array')[1], 2.5);
    assert.equal(old.destroy(name), true);
  });

  test('a name may lack its slash', () => {
    const name = newName();
    old.create(4, 'Buffer', name.slice(1));
    assert.equal(old.get(name).length, 4);
    assert.equal(old.detach(name.slice(1), true), 0);
  });

  test('the view has a buffer of its own, which begins with the data', () => {
    const name = newName();
    const view = old.create(3, 'Float64Array', name);
    assert.equal(view.byteOffset, 0);
    assert.equal(view.buffer.byteLength, 24);
    assert.equal(old.get(name, 'Uint8Array').buffer, view.buffer);
    const whole = shm.get(name, 'BigUint64Array');
    assert.equal(whole.length, 4);
    assert.equal(whole[0], 24n);
    view[0] = 1;
    assert.equal(new Float64Array(whole.buffer)[1], 1);
    assert.equal(old.destroy(name), true);
    assert.equal(whole[0], 24n, 'an attachment of its own');
    shm.detach(whole);
  });

  test('the view is empty after its detach, by the drop-in or by shm-node', () => {
    const name = newName();
    const view = old.create(3, 'Float64Array', name);
    shm.detach(view);
    assert.equal(view.length, 0);
    assert.equal(old.getTotalSize(), 0);
    assert.equal(old.get(name, 'Float64Array').length, 3);
    assert.equal(old.destroy(name), true);
  });

  test('a detach with reads and writes in flight, and a garbage collection, do no harm', () => {
    const code = `
      const fs = require('node:fs');
      const close = (file) => (error) => (error ? process.exit(1) : fs.closeSync(file));
      for (let round = 0; round < 200; round++) {
        const name = '${newName()}' + round;
        const view = old.create(100_000, 'Buffer', name);
        const [zero, sink] = [fs.openSync('/dev/zero'), fs.openSync('/dev/null', 'w')];
        fs.read(zero, view, 0, view.length, null, close(zero));
        fs.write(sink, view.subarray(1), close(sink));
        old.detach(name, round % 2 === 0);
        if (round % 2 === 1) { old.get(name)[99_999] = 1; old.destroy(name); }
        if (round % 20 === 0) gc();
      }
      setTimeout(() => { gc(); console.log('alive', old.getTotalSize()); }, 50);`;
    const required = `const old = require(${JSON.stringify(file)});`;
    const { stdout } = run(process.execPath, ['--expose-gc', '-e', required + code]);
    assert.equal(stdout, 'alive 0\n');
  });

  const bytes = (number) => {
    const header = Buffer.alloc(8);
    if (require('node:os').endianness() === 'LE') header.writeBigUInt64LE(number);
    else header.writeBigUInt64BE(number);
    return header;
  };

  test('the layout is that of C: 8 bytes of size, then the data', objects, () => {
    const name = newName();
    old.create(2, 'Uint8Array', name).set([7, 9]);
    assert.deepEqual(readFileSync(`/dev/shm${name}`), Buffer.concat([bytes(2n), Buffer.from([7, 9])]));
    old.destroy(name);
    writeFileSync(`/dev/shm${name}`, Buffer.concat([bytes(2n), Buffer.from([1, 2, 0, 0, 0, 0])]));
    assert.deepEqual(old.get(name), Buffer.from([1, 2]), 'an object may be larger than its data');
    assert.equal(old.detach(name), 1);
    assert.equal(old.detach(name, true), 0);
  });

  test('a wrong size in an object is an error', objects, () => {
    for (const [content, code] of [
      [Buffer.concat([bytes(5n), Buffer.alloc(4)]), 'ERR_SHM_SIZE_MISMATCH'],
      [Buffer.concat([bytes(2n ** 64n - 1n), Buffer.alloc(4)]), 'ERR_SHM_SIZE_MISMATCH'],
      [Buffer.from('hello'), 'ERR_SHM_SIZE_MISMATCH'],
      [bytes(0n), 'EAGAIN'],
      [Buffer.alloc(64), 'EAGAIN'],
    ]) {
      const name = newName();
      writeFileSync(`/dev/shm${name}`, content);
      assert.throws(() => old.get(name), { code });
      assert.equal(shm.get(name).length, content.length, 'as it is, it can be had');
      shm.detach(name);
      assert.ok(old.destroy(name));
    }
  });

  test('a size that changes later has no effect', objects, () => {
    const name = newName();
    const view = old.create(2, 'Uint8Array', name);
    const descriptor = openSync(`/dev/shm${name}`, 'r+');
    writeSync(descriptor, bytes(2n ** 40n), 0, 8, 0);
    closeSync(descriptor);
    assert.equal(old.get(name, 'Uint8Array').length, 2);
    assert.equal(view.length, 2);
    old.destroy(name);
  });
});

test('the published test passes, and leaves nothing behind', posix, (t) => {
  const folder = temporary();
  try {
    const packed = spawnSync('npm', ['pack', 'shm-typed-array@0.1.1', '--silent'], { cwd: folder, encoding: 'utf8' });
    if (packed.status !== 0) return t.skip('the registry cannot be reached');
    run('tar', ['xzf', packed.stdout.trim()], { cwd: folder });
    // Its test requires ../index.js.
    writeFileSync(path.join(folder, 'package', 'index.js'), `module.exports = require(${JSON.stringify(file)});\n`);
    const env = { ...process.env, SHM_NODE_QUIET: '0' };
    const { stdout, stderr, pid } = run(process.execPath, ['test/example.js'], { cwd: path.join(folder, 'package'), env });
    assert.equal(stderr, '');
    assert.match(stdout, /4 \[Master\] Set buf\[0\]= 6 {2}arr\[0\]= 0\.3125\n/);
    assert.match(stdout, /^Destroyed POSIX shared memory object with name \/1234567$/m);
    shm.sweep(); // a worker that is killed on a busy machine may leave its segment to the next process
    assert.deepEqual(shm.list().filter(({ key, creator }) => creator === pid || key === '/1234567'), []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
