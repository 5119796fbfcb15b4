'use strict';

// A chain of asynchronous calls that asks again for what it holds is told so, and does not wait for itself for ever.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { folder, until } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');
const { Mutex, Once, RwLock, Semaphore } = require(`${folder}/sync.js`);

leaveNothing();

const claim = (name, body) => it(name, { timeout: 120_000 }, body);
const DEADLOCK = { name: 'Error', code: 'ERR_SHM_DEADLOCK' };
const turn = () => new Promise(setImmediate);

/** What holds until its work is done, and what would wait for that: by name, `[hold(work), ask(options)]`. */
function nestings() {
  const view = words();
  const mutex = new Mutex(view, 0);
  const same = new Mutex(view, 0);
  const semaphore = new Semaphore(view, 16, { permits: 1 });
  const lock = new RwLock(view, 64, { readers: 2 });
  const one = new RwLock(view, 128, { readers: 1 });
  const once = new Once(view, 192);
  const mutexes = (work) => mutex.withLockAsync(work);
  const writes = (work) => lock.withWriteAsync(work);
  const reads = (work) => lock.withReadAsync(work);
  return {
    'withLockAsync in withLockAsync': [mutexes, (options) => mutex.withLockAsync(() => {}, options)],
    'lockAsync in withLockAsync': [mutexes, async (options) => (await mutex.lockAsync(options)) || timedOut()],
    'withLockAsync of another object': [mutexes, (options) => same.withLockAsync(() => {}, options)],
    'withPermitAsync in withPermitAsync': [
      (work) => semaphore.withPermitAsync(work),
      (options) => semaphore.withPermitAsync(() => {}, options),
    ],
    'withWriteAsync in withWriteAsync': [writes, (options) => lock.withWriteAsync(() => {}, options)],
    'withReadAsync in withWriteAsync': [writes, (options) => lock.withReadAsync(() => {}, options)],
    'withWriteAsync in withReadAsync': [reads, (options) => lock.withWriteAsync(() => {}, options)],
    'withReadAsync of the only reader': [
      (work) => one.withReadAsync(work),
      (options) => one.withReadAsync(() => {}, options),
    ],
    'callAsync in callAsync': [
      (work) => new Once(view, 192).callAsync(work),
      (options) => once.callAsync(() => {}, options),
    ],
  };
}

const timedOut = () => Promise.reject(Object.assign(new Error(), { code: 'ERR_SHM_TIMED_OUT' }));

for (const [name, [hold, ask]] of Object.entries(nestings())) {
  describe(name, () => {
    claim('waits for itself, at once and after a pause', async () => {
      const failed = name.startsWith('call') ? DEADLOCK : undefined;
      for (const pause of [() => {}, turn]) {
        const work = async () => {
          await pause();
          await assert.rejects(ask(), DEADLOCK);
          if (failed !== undefined) await ask(); // or it would be done
        };
        if (failed === undefined) await hold(work);
        else await assert.rejects(hold(work), failed);
      }
    });

    claim('ends by itself where it has a time limit or a signal', async () => {
      const failed = { code: 'ERR_SHM_TIMED_OUT' };
      await assert.rejects(hold(() => ask({ timeout: 5 })), failed);
      const controller = new AbortController();
      const held = assert.rejects(hold(() => ask({ signal: controller.signal })), { message: 'enough' });
      await turn();
      controller.abort(new Error('enough'));
      await held;
    });

    claim('of another chain waits its turn', async () => {
      let finish;
      const first = hold(() => new Promise((resolve, reject) => (finish = reject)));
      await turn();
      const second = ask();
      finish(new Error('mine'));
      await assert.rejects(first, { message: 'mine' });
      const guard = await second;
      guard?.unlock?.();
    });
  });
}

describe('a lock that a chain no longer holds', () => {
  claim('may be locked again, also by calls that began meanwhile', async () => {
    const mutex = new Mutex(words(), 0);
    let later;
    let go;
    const wait = new Promise((resolve) => (go = resolve));
    await mutex.withLockAsync(() => void (later = wait.then(() => mutex.withLockAsync(() => 'later'))));
    assert.equal(await mutex.withLockAsync(() => 'again'), 'again');
    go();
    assert.equal(await later, 'later');
  });

  claim('may be passed from chain to chain, again and again', async () => {
    const view = words();
    const [a, b] = [new Mutex(view, 0), new Mutex(view, 8)];
    let depth = 0;
    // Hand over hand: each holding begins within the one before, and outlasts it.
    const next = (mutex, other) =>
      mutex.withLockAsync(async () => {
        if (++depth === 2000) return;
        await turn();
        return { then: undefined, next: next(other, mutex) };
      });
    let last = await next(a, b);
    while (last !== undefined) last = await last.next;
    assert.equal(depth, 2000);
  });
});

describe('readers within readers', () => {
  claim('go on, until a writer waits for the outer one', async () => {
    const lock = new RwLock(words(), 0, { readers: 3 });
    await lock.withReadAsync(async () => {
      assert.equal(await lock.withReadAsync(() => 'inner'), 'inner');
      const writing = lock.withWriteAsync(() => 'written', { timeout: 60_000 });
      await turn();
      await assert.rejects(lock.withReadAsync(() => {}), DEADLOCK);
      return { writing };
    }).then(async ({ writing }) => assert.equal(await writing, 'written'));
  });
});

describe('a semaphore with more permits', () => {
  claim('gives permits to one chain until it has all', async () => {
    const semaphore = new Semaphore(words(), 0, { permits: 2 });
    await semaphore.withPermitAsync(() =>
      semaphore.withPermitAsync(async () => {
        await assert.rejects(semaphore.acquireAsync(), DEADLOCK);
        assert.equal(semaphore.tryAcquire(), false);
      }),
    );
    semaphore.acquire().unlock();
  });
});

describe('when no chain holds a lock any more', () => {
  claim('nothing tracks chains any more, because that would slow down every promise', async () => {
    const { storage } = require(`${folder}/lib/native.js`).chains;
    const { disable } = storage;
    let rests = 0;
    storage.disable = () => (rests++, disable.call(storage));
    const mutex = new Mutex(words(), 0);
    for (let round = 1; round <= 2; round++) {
      rests = 0;
      await mutex.withLockAsync(() => {});
      assert.ok(await until(() => rests > 0, 20_000));
    }
    storage.disable = disable;
  });
});
