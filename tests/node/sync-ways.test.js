'use strict';

// How waits end in the event loop: which way a runtime takes, and that JavaScript is called as Node itself calls it.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { ask, built, folder, notOnWindows, run, shm, sleep } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');
const { notify, waitAsync } = require(`${folder}/sync.js`);

leaveNothing();

const limit = { timeout: 600_000 }; // of an emulated processor, too
const quiet = { SHM_NODE_QUIET: '1' };
const LOOP = 'io_uring, polled';
const THREAD = 'io_uring';
const POOL = 'the thread pool of Windows';
const THREAD_EACH = new RegExp(`^(a thread for each wait|${POOL})`);

/** Waits once, and tells by which way, and which threads of ours there are then. */
const look = async (shm, folder, count) => {
  const fs = require('fs');
  const { waitAsync } = require(`${folder}/sync.js`);
  const { wayToWait } = require(`${folder}/lib/native.js`);
  const view = shm.create(4096, 'Int32Array');
  const open = [];
  try {
    for (; count > 0; count--) open.push(fs.openSync('/dev/null', 'r'));
  } catch ({ code }) {
    if (code !== 'EMFILE') throw code;
  }
  const how = await waitAsync(view, 0, 0, { timeout: 1 });
  const way = wayToWait();
  for (const file of open) fs.closeSync(file);
  const name = (thread) => {
    try {
      return fs.readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
    } catch {
      return ''; // it has ended meanwhile
    }
  };
  const threads = process.platform === 'win32' ? [] : fs.readdirSync('/proc/self/task');
  ready({ how, way, ours: threads.map(name).filter((name) => name === 'shm-sync uring').length });
};

const wayOf = (env, under) => ask(look, [folder, under === undefined ? 0 : 1000], { env: { ...quiet, SHM_NODE_WAITS: '', ...env }, under });

/** Has `heard` run where the end of a wait is told, before who waits hears of it; before lib/sync is loaded. */
const hear = (folder, heard) => {
  require(`${folder}/lib/sync/clock.js`); // whose alarms are none
  const door = require(`${folder}/lib/sync/door.js`);
  const { expect } = door;
  door.expect = (begin, ref, told) =>
    expect(begin, ref, (how) => {
      heard();
      told(how);
    });
};

/** Whether the kernel lets us have io_uring, as the way that needs it says. */
const hasRing = () => wayOf({ SHM_NODE_WAITS: 'uring' }).then(({ way }) => way === THREAD, () => false);

/** The same of futex_waitv. */
const hasWaitv = () => wayOf({ SHM_NODE_WAITS: 'waitv' }).then(({ way }) => way !== POOL, () => false);

describe('the engine of asynchronous waits', () => {
  it('is the event loop itself on libuv, and a thread of the library elsewhere', limit, async () => {
    const isNode = typeof Bun === 'undefined' && typeof Deno === 'undefined';
    const { how, way, ours } = await wayOf({});
    assert.equal(how, 'timed-out');
    if (await hasRing()) assert.deepEqual([way, ours], isNode ? [LOOP, 0] : [THREAD, 1]);
    else assert.match(way, THREAD_EACH);
  });

  for (const name of ['waitv', 'sliced']) {
    it(`can be chosen: ${name}`, limit, async (t) => {
      if (name === 'waitv' && !(await hasWaitv())) return t.skip('futex_waitv is forbidden here');
      assert.match((await wayOf({ SHM_NODE_WAITS: name })).way, THREAD_EACH);
    });
  }

  it('needs no descriptor: a process that has none left can still wait', { ...limit, ...notOnWindows('Windows has no limit of open files') }, async () => {
    const { how, way } = await wayOf({}, ['sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh']);
    assert.equal(how, 'timed-out');
    assert.match(way, THREAD_EACH);
  });
});

for (const way of ['', 'uring', 'waitv']) {
  const skip = async (t) => {
    if (way === 'uring' && !(await hasRing())) return (t.skip('io_uring is forbidden here'), true);
    return way === 'waitv' && !(await hasWaitv()) && (t.skip('futex_waitv is forbidden here'), true);
  };
  const ends = (body, args = []) => run(body, [folder, ...args], { env: { ...quiet, SHM_NODE_WAITS: way } });

  describe(`the end of a wait (${way || 'the best way'})`, () => {
    it('runs the code that awaits it before the next wait ends', limit, async (t) => {
      if (await skip(t)) return;
      const { code, stdout, stderr } = await ends(async (shm, folder, hear) => {
        eval(hear)(folder, () => console.log('told'));
        const { notify, waitAsync } = require(`${folder}/sync.js`);
        const view = shm.create(4096, 'Int32Array');
        const waits = [0, 1, 2].map((index) =>
          waitAsync(view, index, 0).then(() => {
            console.log('micro');
            process.nextTick(() => console.log('tick'));
          }),
        );
        const until = Date.now() + 20_000;
        for (let woken = 0; woken < 3 && Date.now() < until; ) for (const index of [0, 1, 2]) woken += notify(view, index);
        await Promise.all(waits);
      }, [`${hear}`]);
      assert.deepEqual([code, stderr, stdout], [0, '', 'told\nmicro\ntick\n'.repeat(3)]);
    });

    it('is reported even if the code of the one before threw, which is an uncaught exception', limit, async (t) => {
      if (await skip(t)) return;
      const { code, stdout, stderr } = await ends((shm, folder, hear) => {
        let [uncaught, told] = [0, 0];
        eval(hear)(folder, () => {
          if (++told % 2) throw new Error('mine');
        });
        process.on('uncaughtException', ({ message }) => (uncaught += message === 'mine'));
        const { notify, waitAsync } = require(`${folder}/sync.js`);
        const view = shm.create(4096, 'Int32Array');
        for (let index = 0; index < 6; index++) waitAsync(view, index, 0);
        const timer = setInterval(() => {
          for (let index = 0; index < 6; index++) notify(view, index);
          if (told < 6) return;
          clearInterval(timer);
          setImmediate(() => process.exit(uncaught));
        }, 1);
      }, [`${hear}`]);
      assert.deepEqual([code, stderr, stdout], [3, '', '']);
    });

    it('may run code that detaches the segment of the others, or ends the process', limit, async (t) => {
      if (await skip(t)) return;
      const { code, stdout, stderr } = await ends(async (shm, folder) => {
        const { notify, waitAsync } = require(`${folder}/sync.js`);
        const [view, other] = [shm.create(4096, 'Int32Array'), shm.create(4096, 'Int32Array')];
        const wake = (view) => setInterval(() => view.length > 0 && notify(view, 0), 1);
        const waits = Array.from({ length: 50 }, () => waitAsync(view, 0, 0));
        waits.push(...Array.from({ length: 50 }, () => waitAsync(view, 1, 0)));
        wake(view);
        const first = await Promise.race(waits);
        shm.detach(view);
        const outcomes = new Set((await Promise.allSettled(waits)).map(({ value, reason }) => value ?? reason.code));
        console.log(first, [...outcomes].sort().join());
        for (let index = 0; index < 50; index++) waitAsync(other, 0, 0).then(() => process.exit(3));
        wake(other);
      });
      assert.deepEqual([code, stderr], [3, '']);
      assert.equal(stdout, 'ok ERR_SHM_DETACHED,ok\n');
    });

    it('keeps the AsyncLocalStorage store of the waiting code', limit, async (t) => {
      if (await skip(t)) return;
      const { code, stdout, stderr } = await ends(async (shm, folder) => {
        const { AsyncLocalStorage } = require('async_hooks');
        const { notify, waitAsync } = require(`${folder}/sync.js`);
        const view = shm.create(4096, 'Int32Array');
        const storage = new AsyncLocalStorage();
        const waits = [0, 1, 2].map((index) =>
          storage.run(index, async () => {
            await waitAsync(view, index, 0);
            return storage.getStore();
          }),
        );
        const timer = setInterval(() => [2, 1, 0].forEach((index) => notify(view, index)), 1);
        console.log(...(await Promise.all(waits)));
        clearInterval(timer);
      });
      assert.deepEqual([code, stderr, stdout], [0, '', '0 1 2\n']);
    });
  });
}

describe('a segment that is detached', () => {
  it('ends the waits of every copy of the package in the thread', limit, async () => {
    const view = words();
    const here = waitAsync(view, 0, 0);
    for (const file of Object.keys(require.cache)) {
      if (file.startsWith(folder) && !file.endsWith('.node')) delete require.cache[file];
    }
    const copy = require(folder);
    const there = require(`${folder}/sync.js`).waitAsync(copy.get(place(view)), 0, 0);
    const ended = Promise.allSettled([here, there]);
    shm.detach(view);
    for (const { reason } of await ended) assert.equal(reason?.code, 'ERR_SHM_DETACHED');
  });

  it('does not end the waits of other threads', limit, async () => {
    const view = words();
    const worker = new Worker(
      `const shm = require(process.env.SHM_NODE_PACKAGE);
      const { waitAsync } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
      const { parentPort, workerData } = require('worker_threads');
      const view = shm.get(workerData);
      Promise.all(Array.from({ length: 100 }, (_, index) => waitAsync(view, index, 0))).then(
        (outcomes) => parentPort.postMessage(outcomes.every((how) => how === 'ok' || how === 'not-equal')),
      );
      parentPort.postMessage('up');`,
      { eval: true, workerData: place(view) },
    );
    const next = () => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    assert.equal(await next(), 'up');
    const mine = assert.rejects(waitAsync(view, 0, 0), { code: 'ERR_SHM_DETACHED' });
    shm.detach(view);
    await mine;
    const again = shm.get(place(view));
    const answer = next();
    for (let index = 0; index < 100; index++) Atomics.store(again, index, 1);
    for (let index = 0; index < 100; index++) notify(again, index);
    assert.equal(await answer, true);
    await worker.terminate();
    shm.detach(again);
  });
});

describe('a worker', () => {
  it('that is terminated while its waits end, and while it is told, does not end the process', limit, async () => {
    const view = words();
    const code = `
      const shm = require(process.env.SHM_NODE_PACKAGE);
      const { waitAsync } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
      const { parentPort, workerData } = require('worker_threads');
      const view = shm.get(workerData);
      const again = (index) => waitAsync(view, index, 0).then(() => again(index));
      for (let index = 0; index < 300; index++) again(index);
      parentPort.postMessage('up');`;
    const rounds = built.includes('windows') ? 5 : 30; // Wine takes longer for each notification
    for (let round = 0; round < rounds; round++) {
      const worker = new Worker(code, { eval: true, workerData: place(view) });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      const ended = worker.terminate();
      for (let turn = 0; turn < 5 + round; turn++) {
        for (let index = 0; index < 300; index++) notify(view, index);
        if (turn % 5 === 4) await sleep(0);
      }
      await ended;
    }
    assert.equal(notify(view, 0), 0, 'none of them waits any more');
    shm.detach(view);
  });
});
