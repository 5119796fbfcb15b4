'use strict';

// Wait and notify: across processes, thousands at once, and through every ending.

const assert = require('node:assert/strict');
const { promises: fs, readFileSync } = require('node:fs');
const { after, describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { built, folder, needs, newKey, notOnWindows, run, shm, sleep, start, until, withNames } = require('./support.js');
const { place } = require('./support/sync.js');
const { notify, wait, waitAsync } = require(`${folder}/sync.js`);

after(() => shm.detachAll());

// Tests of promises, not of speed: a machine that is busy with other things may take this long.
const GENEROUS = 60_000;

const words = (backend, length = 1024) => shm.create({ length, type: 'Int32Array', key: newKey(), backend });

/** Notifies until a waiter was woken: it may not have begun to wait. */
async function notifySome(view, index, count = 1) {
  const until = Date.now() + GENEROUS;
  for (let woken = 0; woken < count; ) {
    woken += notify(view, index, count - woken);
    assert.ok(Date.now() < until, `only ${woken} of ${count} were woken`);
    if (woken < count) await sleep(1);
  }
}

describe('arguments', () => {
  const view = words(built[0], 8);
  const throws = (work, name, code) => assert.throws(work, { name, code });

  it('must be an Int32Array over a segment', async () => {
    throws(() => wait(new Int32Array(4), 0, 0), 'TypeError', 'ERR_INVALID_ARG_VALUE');
    throws(() => notify(new Int32Array(new SharedArrayBuffer(8)), 0), 'TypeError', 'ERR_INVALID_ARG_VALUE');
    for (const other of [new BigInt64Array(view.buffer), new Uint32Array(view.buffer), [], null, 7]) {
      throws(() => wait(other, 0, 0), 'TypeError', 'ERR_INVALID_ARG_TYPE');
      throws(() => notify(other, 0), 'TypeError', 'ERR_INVALID_ARG_TYPE');
      await assert.rejects(waitAsync(other, 0, 0), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
  });

  it('must be an index inside it, a value, a time and a count', async () => {
    for (const index of [-1, 8, 0.5, NaN]) {
      throws(() => wait(view, index, 0), 'RangeError', 'ERR_OUT_OF_RANGE');
      throws(() => notify(view, index), 'RangeError', 'ERR_OUT_OF_RANGE');
      await assert.rejects(waitAsync(view, index, 0), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    }
    throws(() => wait(view, '0', 0), 'TypeError', 'ERR_INVALID_ARG_TYPE');
    throws(() => wait(view, 0, 0n), 'TypeError', 'ERR_INVALID_ARG_TYPE');
    throws(() => wait(view, 0, 0, -1), 'RangeError', 'ERR_OUT_OF_RANGE');
    throws(() => wait(view, 0, 0, '1'), 'TypeError', 'ERR_INVALID_ARG_TYPE');
    throws(() => notify(view, 0, -1), 'RangeError', 'ERR_OUT_OF_RANGE');
    throws(() => notify(view, 0, 1.5), 'RangeError', 'ERR_OUT_OF_RANGE');
    for (const options of [{ signal: {} }, { ref: 1 }, 5, { timeout: null }]) {
      await assert.rejects(waitAsync(view, 0, 0, options), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
  });

  it('a view of a detached segment is ERR_SHM_DETACHED', async () => {
    const gone = words(built[0], 8);
    shm.detach(gone);
    throws(() => wait(gone, 0, 0), 'Error', 'ERR_SHM_DETACHED');
    throws(() => notify(gone, 0), 'Error', 'ERR_SHM_DETACHED');
    await assert.rejects(waitAsync(gone, 0, 0), { code: 'ERR_SHM_DETACHED' });
  });

  it('a read-only view cannot wait', needs(withNames ?? 'posix'), async () => {
    const view = words(withNames, 8);
    const readOnly = shm.get({ ...place(view, withNames), readOnly: true });
    throws(() => wait(readOnly, 0, 0), 'TypeError', 'ERR_INVALID_ARG_VALUE');
    throws(() => notify(readOnly, 0), 'TypeError', 'ERR_INVALID_ARG_VALUE');
    await assert.rejects(waitAsync(readOnly, 0, 0), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  });
});

for (const backend of built) {
  describe(`in one process (${backend})`, () => {
    const view = words(backend);

    it('a wait ends by its value or by its time', async () => {
      assert.equal(wait(view, 0, 1), 'not-equal');
      assert.equal(wait(view, 0, 0, 1), 'timed-out');
      assert.equal(wait(view, 0, 0, 250), 'timed-out');
      assert.equal(await waitAsync(view, 0, 1), 'not-equal');
      assert.equal(await waitAsync(view, 0, 0, { timeout: 1 }), 'timed-out');
      assert.equal(await waitAsync(view, 0, 0, { timeout: 0 }), 'timed-out');
      Atomics.store(view, 1, -5);
      assert.equal(await waitAsync(view, 1, -5, { timeout: 1 }), 'timed-out');
    });

    it('notify wakes as many waiters on that word as it returns', async () => {
      const three = [1, 2, 3].map(() => waitAsync(view, 2, 0));
      const other = waitAsync(view, 3, 0);
      await notifySome(view, 2, 1);
      assert.equal(await Promise.race(three), 'ok');
      assert.equal(notify(view, 2, 0), 0);
      await notifySome(view, 2, 2);
      assert.deepEqual(await Promise.all(three), ['ok', 'ok', 'ok']);
      assert.equal(notify(view, 2), 0);
      await notifySome(view, 3);
      assert.equal(await other, 'ok');
    });

    it('a view of the middle of a segment waits on its own words', async () => {
      const part = new Int32Array(view.buffer, 400, 4);
      const waiting = waitAsync(part, 1, 0);
      await notifySome(view, 101);
      assert.equal(await waiting, 'ok');
    });

    it('an AbortSignal rejects with its reason, before and during the wait', async () => {
      const reason = new Error('enough');
      await assert.rejects(waitAsync(view, 4, 0, { signal: AbortSignal.abort(reason) }), reason);
      const controller = new AbortController();
      const waits = [1, 2, 3].map(() => waitAsync(view, 4, 0, { signal: controller.signal }));
      const ended = Promise.allSettled(waits);
      setTimeout(() => controller.abort(reason), 5);
      for (const { reason: found } of await ended) assert.equal(found, reason);
      // They are told at once, and leave the kernel a little later.
      assert.ok(await until(() => notify(view, 4) === 0, GENEROUS));
    });

    it('a wake-up for a caller that has given up goes to the next', async () => {
      const reason = new Error('enough');
      for (let round = 0; round < 20; round++) {
        // A wake-up that is passed on late is to find nobody of the next round.
        const word = 500 + round;
        const controller = new AbortController();
        const gone = assert.rejects(waitAsync(view, word, 0, { signal: controller.signal }), reason);
        const stays = waitAsync(view, word, 0, { timeout: GENEROUS });
        await sleep(round % 5);
        controller.abort(reason);
        Atomics.store(view, word, 1);
        notify(view, word, 1);
        // Its thread may not have slept yet.
        assert.ok(['ok', 'not-equal'].includes(await stays));
        await gone;
      }
    });

    it('a detach rejects the waits in its segment, and no others', async () => {
      const gone = words(backend);
      const stays = waitAsync(view, 5, 0);
      const waits = Array.from({ length: 100 }, (_, index) => waitAsync(gone, index, 0, { timeout: 60_000 }));
      const ended = Promise.allSettled(waits);
      assert.equal(shm.detach(gone), 0);
      for (const { reason } of await ended) assert.equal(reason.code, 'ERR_SHM_DETACHED');
      await notifySome(view, 5);
      assert.equal(await stays, 'ok');
    });

    it('it wakes a process that blocks, and such a process wakes it', async () => {
      const { child, ready, ended } = start(
        (shm, folder, target) => {
          const { notify, wait } = require(`${folder}/sync.js`);
          const view = shm.get(target);
          ready();
          const how = wait(view, 10, 0);
          Atomics.store(view, 11, 1);
          notify(view, 11);
          process.exitCode = how === 'ok' || how === 'not-equal' ? 0 : 1;
        },
        [folder, place(view, backend)],
      );
      await ready;
      const answer = waitAsync(view, 11, 0);
      const until = Date.now() + GENEROUS;
      while (notify(view, 10) === 0 && Date.now() < until) await sleep(1);
      assert.match(await answer, /^(ok|not-equal)$/);
      assert.deepEqual(await ended.then(({ code, stderr }) => ({ code, stderr })), { code: 0, stderr: '' });
      child.kill();
    });

    it('a change without a notification ends a blocking wait', notOnWindows('Linux alone shows in which call a process is'), async () => {
      const { child, ready, ended } = start(
        (shm, folder, target) => {
          const { wait } = require(`${folder}/sync.js`);
          const view = shm.get(target);
          ready();
          console.log(wait(view, 12, 0));
        },
        [folder, place(view, backend)],
        { env: { SHM_NODE_QUIET: '1' } },
      );
      await ready;
      // It is in futex(2) on x64 or arm64, and without FUTEX_PRIVATE_FLAG, which none of Node's own waits is.
      const asleep = () => /^(202|98) 0x\w+ 0x0 /.test(readFileSync(`/proc/${child.pid}/syscall`, 'utf8'));
      assert.ok(await until(asleep, GENEROUS));
      Atomics.store(view, 12, 1);
      const { code, stdout, stderr } = await ended;
      assert.deepEqual([code, stdout, stderr], [0, 'ok\n', '']);
    });

    it('5,000 pending waits do not block the file system, and all wake', async () => {
      const way = require(`${folder}/lib/native.js`).wayToWait();
      const count = way.includes('slices') ? 500 : 5000; // threads that wake up every 10 ms
      const many = words(backend, count);
      const waits = Array.from({ length: count }, (_, index) => waitAsync(many, index, 0));
      assert.match(await fs.readFile(__filename, 'utf8'), /5,000 pending/);
      const threads = () => Number(/Threads:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      if (way.startsWith('io_uring')) assert.ok(threads() < 40, `${threads()} threads`);
      for (let index = 0; index < count; index++) Atomics.store(many, index, 1);
      for (let index = 0; index < count; index++) notify(many, index);
      const outcomes = new Set(await Promise.all(waits));
      assert.ok([...outcomes].every((outcome) => ['ok', 'not-equal'].includes(outcome)), [...outcomes].join());
      shm.detach(many);
    });
  });
}

describe('the event loop', () => {
  const program = (shm, folder, options, word) => {
    const { waitAsync } = require(`${folder}/sync.js`);
    const view = shm.create(4096, 'Int32Array');
    waitAsync(view, 0, 0, options).then((how) => console.log(how));
    process.on('exit', () => console.log(word));
  };

  it('a pending wait keeps it alive', async () => {
    const { stdout, stderr } = await run(program, [folder, { timeout: 50 }, 'end'], { env: { SHM_NODE_QUIET: '1' } });
    assert.deepEqual([stdout, stderr], ['timed-out\nend\n', '']);
  });

  it('a pending wait with ref: false does not', async () => {
    const { stdout, stderr } = await run(program, [folder, { ref: false, timeout: 600_000 }, 'end'], {
      env: { SHM_NODE_QUIET: '1' },
    });
    assert.deepEqual([stdout, stderr], ['end\n', '']);
  });

  it('a wait that ended no longer keeps it alive', async () => {
    const { code, stdout } = await run((shm, folder) => {
      const { notify, waitAsync } = require(`${folder}/sync.js`);
      const view = shm.create(4096, 'Int32Array');
      const abort = new AbortController();
      const aborted = waitAsync(view, 1, 0, { signal: abort.signal }).catch(() => 'aborted');
      const woken = waitAsync(view, 0, 0);
      const timer = setInterval(() => notify(view, 0), 1);
      woken.then((how) => (clearInterval(timer), console.log(how), abort.abort()));
      aborted.then(console.log);
    }, [folder]);
    assert.deepEqual([code, stdout], [0, 'ok\naborted\nshm segments destroyed: 1\n']);
  });
});

// Under Wine a thread takes seconds to start on a busy machine.
const ROUNDS = built.includes('windows') ? 6 : 30;

describe('an end with pending waits', () => {
  for (const way of built.includes('windows') ? [''] : ['', 'uring', 'waitv', 'sliced']) {
    it(`process.exit, detachAll and the end of workers, again and again (${way || 'the best way'})`, async (t) => {
      const { code, signal, stdout, stderr } = await run(
        async (shm, folder, rounds) => {
          const { Worker } = require('worker_threads');
          const { waitAsync } = require(`${folder}/sync.js`);
          const view = shm.create(4096, 'Int32Array');
          try {
            await waitAsync(view, 0, 0, { timeout: 0 });
          } catch (error) {
            return console.log('unavailable', error.message);
          }
          const code = `
            const shm = require(process.env.SHM_NODE_PACKAGE);
            const { waitAsync, Mutex } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
            const view = shm.get({ ...require('worker_threads').workerData, type: 'Int32Array' });
            const mutex = new Mutex(view, 512);
            for (let i = 0; i < 200; i++) waitAsync(view, i, 0, i % 2 ? { timeout: i } : undefined).catch(() => {});
            mutex.lockAsync().then(() => mutex.lockAsync());
            require('worker_threads').parentPort.postMessage('up');
            if (process.env.SHM_TEST_ENDS) process.exit();`;
          const workerData = { key: view.key };
          for (let round = 0; round < rounds; round++) {
            const env = { ...process.env, ...(round % 3 === 0 ? { SHM_TEST_ENDS: '1' } : {}) };
            const worker = new Worker(code, { eval: true, workerData, env });
            const exit = new Promise((resolve) => worker.on('exit', resolve));
            if (round % 3 !== 1) await new Promise((resolve) => worker.on('message', resolve));
            for (let i = 0; i < 100; i++) waitAsync(view, i, 0).catch(() => {});
            // Their ends come while the worker ends.
            const { notify } = require(`${folder}/sync.js`);
            for (let i = 0; i < 200; i++) notify(view, i);
            await Promise.all([worker.terminate(), exit]);
          }
          const other = shm.create(4096, 'Int32Array');
          const rejected = Array.from({ length: 300 }, (_, i) => waitAsync(other, i, 0).catch(({ code }) => code));
          console.log(shm.detachAll(), ...new Set(await Promise.all(rejected)));
          const last = shm.create(4096, 'Int32Array');
          for (let i = 0; i < 300; i++) waitAsync(last, i, 0);
          process.exit(7);
        },
        [folder, ROUNDS],
        { env: { SHM_NODE_QUIET: '1', SHM_NODE_WAITS: way } },
      );
      if (stdout.startsWith('unavailable')) return t.skip(`${stdout.split(' ')[1].replace(/_setup|:/g, '')} is forbidden here`);
      assert.deepEqual([code, signal, stdout, stderr], [7, null, '2 ERR_SHM_DETACHED\n', '']);
    });
  }

  it('a worker that blocks in wait can be terminated', async () => {
    const view = words(built[0], 8);
    const code = `
      const shm = require(process.env.SHM_NODE_PACKAGE);
      const { wait } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
      const { workerData, parentPort } = require('worker_threads');
      const view = shm.get({ ...workerData, type: 'Int32Array' });
      parentPort.postMessage('up');
      wait(view, 0, 0);`;
    const worker = new Worker(code, { eval: true, workerData: { key: view.key } });
    await new Promise((resolve) => worker.once('message', resolve));
    await sleep(5);
    await worker.terminate();
    assert.equal(shm.detach(view), 0);
  });
});
