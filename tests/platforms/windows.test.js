'use strict';

// A Rust, a C and a Node program share one segment on Windows. npm run test:platforms runs this, and says in
// SHM_TEST_C and SHM_TEST_RUST where their programs are: examples/languages/windows.c and examples/languages/rust.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once } = require('node:events');
const { afterEach, describe, it } = require('node:test');

const shm = require(process.env.SHM_NODE_PACKAGE);
const { SHM_TEST_C: c, SHM_TEST_RUST: rust } = process.env;
const newId = () => randomInt(0x1000_0000, 0x7fff_ffff);
const newName = () => `/shm-node-test-${process.pid}-${newId()}`;

afterEach(() => assert.equal(shm.detachAll(), 0));

/** Has a program double the numbers of a segment; what it read. */
function double(program, key) {
  const { stdout, stderr, status } = spawnSync(program, ['double', String(key)], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.trim();
}

/** The C program has a section that this library did not make; gives how to end it. */
async function fromC(key) {
  const child = spawn(c, ['create', String(key)], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return (how) => {
    const ended = once(child, 'exit');
    how(child);
    return ended;
  };
}

for (const [what, newKey] of Object.entries({ 'an integer': newId, 'a string': newName })) {
  describe(`by ${what} as its key`, () => {
    it('C and Rust read and write what Node made', () => {
      const view = shm.create({ key: newKey(), length: 3, type: 'Float64Array' });
      view.set([0.5, 1, 2]);
      assert.equal(double(c, view.key), '0.5 1 2');
      assert.equal(double(rust, view.key), '1 2 4');
      assert.deepEqual([...view], [2, 4, 8]);
      assert.equal(shm.detach(view), 0);
    });

    it('Node and Rust read and write what C made, and it goes with its last holder', async () => {
      const key = newKey();
      const end = await fromC(key);
      // Foreign sections give whole pages.
      const view = shm.get(key, 'Float64Array');
      assert.deepEqual([...view.subarray(0, 3)], [1.5, 2.5, 3.5]);
      assert.deepEqual([shm.info(key).state, shm.info(key).size, shm.info(key).holders], ['foreign', 4096, 2]);
      view[0] = 9;
      assert.match(double(rust, key), /^9 2\.5 3\.5 0 /);
      assert.deepEqual([...view.subarray(0, 3)], [18, 5, 7]);
      assert.throws(() => shm.destroy(key), { code: 'ENOTSUP' });
      await end((child) => child.kill());
      assert.equal(view[0], 18, 'we hold it');
      assert.equal(shm.sweep(), 0);
      assert.equal(shm.get(key, 'Float64Array')[0], 18);
      shm.detach(view);
      assert.equal(shm.info(key), null);
    });

    it('a detach takes nothing from C', async () => {
      const key = newKey();
      const end = await fromC(key);
      assert.equal(shm.detach(shm.get(key)), 1);
      assert.equal(double(c, key), '1.5 2.5 3.5');
      assert.equal(shm.create({ key, size: 8 }), null, 'the key is taken');
      await end((child) => child.stdin.end());
      assert.equal(shm.get(key), null);
    });
  });
}
