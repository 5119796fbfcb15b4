'use strict';

// A call that throws has created nothing, wherever the stack runs out in it: each is tried at every depth near the end.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, existing, folder, newKey, notOnWindows, newName, run } = require('./support.js');

/**
 * Calls `work` at every depth of the stack at which it may run out, deepest first, and `after` with what it returned.
 * Frames of several sizes make the steps fine. Returns how often it threw, and how often not.
 */
function deepestFirst(work, after) {
  const shapes = [
    (n, work) => (n > 0 ? shapes[0](n - 1, work) : work()),
    (n, work, ...rest) => (n > 0 ? shapes[0](n - 1, work, rest) : work()),
    (n, work, a = n, b = a, c = b) => (n > 0 ? shapes[0](n - 1, work, b, c) : work()),
  ];
  const attempt = (shape, depth, work) => {
    let entered = false;
    try {
      return { made: shape(depth, () => ((entered = true), work())), entered };
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      return { thrown, entered };
    }
  };
  Error.stackTraceLimit = 0; // a trace for each attempt takes longer than all else
  const counts = { threw: 0, returned: 0 };
  for (const shape of shapes) {
    let [fits, deepest] = [0, 1 << 17];
    while (deepest - fits > 1) {
      const middle = (fits + deepest) >> 1;
      if (attempt(shape, middle, () => 0).entered) fits = middle;
      else deepest = middle;
    }
    // What was compiled meanwhile has smaller frames.
    while (attempt(shape, deepest, () => 0).entered) deepest += 100;
    for (let enough = counts.returned + 50; counts.returned < enough && deepest > 0; deepest -= 1) {
      const { made, thrown, entered } = attempt(shape, deepest, work);
      if (!entered) continue;
      if (thrown) counts.threw += 1;
      else counts.returned += 1;
      after(made);
    }
  }
  return counts;
}

const tried = ({ threw, returned }, claim) => assert.ok(threw > 20 && returned > 100, `${claim}: ${threw}, ${returned}`);

const keeping = notOnWindows('Windows keeps no segment that nobody holds');

describe('when the stack overflows', { concurrency: 2 }, () => {
  for (const backend of built) {
    for (const [claim, options] of Object.entries({
      'create({ … })': {},
      'create({ type })': { type: 'Float64Array' },
      'create({ persist })': { persist: true },
      'create({ view: false })': { view: false },
    })) {
      it(`${claim} creates nothing (${backend})`, options.persist ? keeping : {}, async () => {
        const seen = await ask(
          `(shm, options) => {
            const mine = () => shm.list().filter(({ creator }) => creator === process.pid).length;
            shm.create(options);
            const before = mine();
            const counts = (${deepestFirst})(() => shm.create(options), (made) => {
              if (made !== undefined) shm.detach(made), shm.destroy({ key: made.key, backend: options.backend });
            });
            ready({ ...counts, more: mine() - before, left: shm.detachAll() });
            shm.list().filter(({ creator }) => creator === process.pid).forEach(shm.destroy);
          }`,
          [{ size: 64, backend, ...options }],
        );
        tried(seen, claim);
        assert.equal(seen.more, 0);
        assert.equal(seen.left, options.persist ? 0 : 1, 'nothing is attached but the first');
      });
    }

    for (const options of [{}, { type: 'Int16Array' }, { view: false }]) {
      it(`get(${JSON.stringify(options)}) attaches nothing (${backend})`, keeping, async () => {
        const seen = await ask(
          `(shm, target, options) => {
            shm.create({ ...target, size: 64, persist: true });
            shm.detach(target);
            const left = [];
            const counts = (${deepestFirst})(() => shm.get({ ...target, ...options }), (made) => left.push(made ? -1 : shm.detach(target), made && shm.detach(made)));
            ready({ ...counts, left: left.filter((answer) => answer >= 0).length });
            shm.destroy(target);
          }`,
          [{ key: newKey(), backend }, options],
        );
        tried(seen, 'get');
        // What was returned was attached, and nothing else.
        assert.equal(seen.left, seen.returned);
      });
    }
  }

  it('the drop-in creates, attaches and records nothing', async () => {
    const seen = await ask(
      `(shm, folder, name) => {
        const old = require(folder + '/shm-typed-array.js');
        const mine = () => shm.list().filter(({ creator }) => creator === process.pid).length;
        const sizes = new Set();
        const forms = [() => old.create(16, 'Float64Array'), () => name && old.create(16, 'Buffer', name)].filter((form) => name || !/name/.test(form));
        const counts = forms.map((form) => (${deepestFirst})(form, (made) => {
          if (made !== undefined) old.destroy(made.key ?? name);
          sizes.add(old.getTotalSize()).add(old.getTotalCreatedSize());
        }));
        ready({ counts, sizes: [...sizes], mine: mine() });
      }`,
      [folder, built.includes('posix') ? newName() : null],
    );
    for (const counts of seen.counts) tried(counts, 'old.create');
    assert.deepEqual([seen.sizes, seen.mine], [[0], 0]);
  });

  it('in the first call, the next one still prepares for the end of the process', async () => {
    const key = newKey();
    const { code, stdout, stderr } = await run(
      `(shm, key) => {
        const listeners = process.listenerCount('exit');
        (${deepestFirst})(() => shm.create(64), (made) => made && shm.detach(made));
        shm.create(64);
        shm.create({ key, size: 64 });
        require('assert').equal(process.listenerCount('exit'), listeners + 1);
      }`,
      [key],
    );
    assert.deepEqual([code, stdout, stderr], [0, 'shm segments destroyed: 1\n', '']);
    assert.deepEqual(existing([{ key }]), []);
  });

  it('in a worker thread, nothing is created either', async () => {
    const seen = await ask(
      `(shm, folder) => {
        const { Worker } = require('worker_threads');
        const mine = () => shm.list().filter(({ creator }) => creator === process.pid).length;
        const code = \`
          const shm = require(\${JSON.stringify(folder)});
          const counts = (\${${JSON.stringify(String(deepestFirst))}})(() => shm.create(64), (made) => made && shm.detach(made));
          require('worker_threads').parentPort.postMessage({ ...counts, left: shm.detachAll() });\`;
        new Worker(code, { eval: true }).on('message', (told) => ready({ ...told, mine: mine() }));
      }`,
      [folder],
    );
    tried(seen, 'create');
    assert.deepEqual([seen.left, seen.mine], [0, 0]);
  });
});
