'use strict';

// All pages at once, so that no first touch waits for one.

const assert = require('node:assert/strict');
const { readFileSync, statSync } = require('node:fs');
const { describe, it } = require('node:test');
const { ask, built, needs, needsRoot, newKeys, objectOf, privately, shm } = require('./support.js');

const SIZE = 1 << 20;

/** How many bytes of each of this process's mappings of a segment are in memory; proc(5), /proc/pid/smaps. */
function resident({ key, backend }) {
  const hex = (number, digits) => number.toString(16).padStart(digits, '0');
  // An object is mapped before it has its name, so it is known by its device and its inode.
  const { dev, ino } = backend === 'posix' ? statSync(objectOf(key)) : {};
  const device = `${hex((dev >> 8) & 0xfff, 2)}:${hex((dev & 0xff) | ((dev >> 12) & ~0xff), 2)}`;
  const is = ([, , , where, inode, path]) =>
    backend === 'posix' ? where === device && Number(inode) === ino : path === `/SYSV${hex(key, 8)}`;
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[\da-f]+-[\da-f]+ )/m);
  return mappings.filter((one) => is(one.split(/\s+/))).map((one) => Number(/^Rss: +(\d+) kB/m.exec(one)[1]) << 10);
}

const linux = { skip: process.platform !== 'linux' && 'the page tables are looked at in /proc' };

describe('populate', linux, () => {
  for (const backend of built) {
    for (const more of [{}, { reserve: false }, { hugePages: true }, { view: false }]) {
      it(`maps every page of a new segment (${backend}, ${JSON.stringify(more)})`, () => {
        const [target] = newKeys().filter((one) => one.backend === backend);
        const made = shm.create({ ...target, size: SIZE, populate: true, ...more });
        assert.deepEqual(resident(target), [SIZE]);
        const read = Buffer.alloc(SIZE, 1);
        shm.read(made, 0, read);
        assert.ok(read.every((byte) => byte === 0));
        assert.equal(shm.detach(target), 0);
      });
    }

    it(`without it maps no page, and with it every page of an attached segment (${backend})`, async () => {
      const [target] = newKeys().filter((one) => one.backend === backend);
      shm.create({ ...target, size: SIZE, reserve: false });
      assert.deepEqual(resident(target), [0]);
      const program = `(shm, target, size) => {
        const { readFileSync, statSync } = require('fs');
        const objectOf = ${objectOf};
        const resident = ${resident};
        shm.get({ ...target, view: false });
        const before = resident(target);
        const bytes = shm.get({ ...target, populate: true });
        ready([before, resident(target), bytes.length]);
      }`;
      assert.deepEqual(await ask(program, [target, SIZE]), [[0], [SIZE], SIZE]);
      const view = shm.get({ ...target, populate: true });
      assert.deepEqual(resident(target), [SIZE], 'it was attached here already');
      assert.equal(shm.detach(view), 0);
    });
  }

  it('keeps a read-only view live: it maps the pages, and copies nothing', needs('posix'), () => {
    const [target] = newKeys().filter((one) => one.backend === 'posix');
    const bytes = shm.create({ ...target, size: SIZE });
    const readOnly = shm.get({ ...target, readOnly: true, populate: true });
    assert.equal(Math.max(...resident(target)), SIZE);
    for (let at = 0; at < SIZE; at += 4096) bytes[at] = 7;
    for (let at = 0; at < SIZE; at += 4096) assert.equal(readOnly[at], 7);
    assert.equal(shm.detach(target), 0);
  });

  const small = { under: privately('16m'), env: { SHM_NODE_QUIET: '1' } };
  const skip = needsRoot().skip || needs('posix').skip;

  it('is EFAULT if there is no room for a page, and nothing is left behind', { skip }, async () => {
    const seen = await ask(
      (shm) => {
        const fs = require('fs');
        const create = (more) => shm.create({ size: 32 << 20, key: 'large', reserve: false, ...more });
        const codeOf = (call) => {
          try {
            return call().length;
          } catch ({ name, code, syscall, key, message }) {
            return [name, code, syscall, key, message.includes('no room')];
          }
        };
        shm.detach(shm.create({ size: 4096, backend: 'posix' })); // the library's own files are there
        const before = fs.readdirSync('/dev/shm');
        const refused = [codeOf(() => create({ populate: true }))];
        const same = `${fs.readdirSync('/dev/shm')}` === `${before}`;
        const sparse = create({});
        refused.push(codeOf(() => shm.get({ key: 'large', populate: true })));
        ready([refused, same, sparse.length, sparse[0]]);
      },
      [],
      small,
    );
    const refusal = ['Error', 'EFAULT', 'madvise', '/large', true];
    assert.deepEqual(seen, [[refusal, refusal], true, 32 << 20, 0]);
  });
});
