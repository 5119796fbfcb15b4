'use strict';

// Mutex, RwLock, Semaphore, Condition, Barrier and Once: alone, between processes, and with killed owners.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { built, folder, needs, newKey, shm, sleep, withNames } = require('./support.js');
const { kill, leaveNothing, peer, place } = require('./support/sync.js');
const sync = require(`${folder}/sync.js`);
const { Barrier, Condition, Mutex, Once, RwLock, Semaphore } = sync;

leaveNothing();

const GENEROUS = 60_000;
const backend = built[0];
const words = (length = 64, on = backend) => shm.create({ length, type: 'Int32Array', key: newKey(), backend: on });

const codeOf = (work) => {
  try {
    work();
  } catch ({ code }) {
    return code;
  }
  return undefined;
};

describe('a place', () => {
  const all = [
    ['Mutex', undefined, 16],
    ['Condition', undefined, 16],
    ['Once', undefined, 16],
    ['Semaphore', { permits: 3 }, 44],
    ['RwLock', { readers: 4 }, 48],
    ['Barrier', { parties: 2 }, 40],
  ];

  for (const [name, options, bytes] of all) {
    it(`a ${name} says how many bytes it takes, and uses no others`, () => {
      const Class = sync[name];
      assert.equal(Class.byteLength(options), bytes);
      const view = words(64).fill(0);
      new Class(view, 8, options);
      new Class(view, 8, options);
      assert.ok(view.subarray(0, 8).every((word) => word === 0));
      assert.ok(view.subarray(8 + bytes / 4).every((word) => word === 0));
      assert.throws(() => new Class(view, 64 - bytes / 4 + 1, options), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
      assert.throws(() => new Class(view, 64, options), { name: 'RangeError' });
      assert.throws(() => new Class(new Int32Array(64), 0, options), { name: 'TypeError' });
      assert.throws(() => new Class(new BigInt64Array(view.buffer), 0, options), { code: 'ERR_INVALID_ARG_TYPE' });
      view[8] = 0x12345678;
      assert.throws(() => new Class(view, 8, options), { code: 'ERR_SHM_FOREIGN' });
      view[8] = (view[0] = 0) + (0x73 | (0x79 << 8) | ({ Condition: 'V', RwLock: 'R' }[name] ?? name[0]).charCodeAt(0) << 16) + (9 << 24);
      assert.throws(() => new Class(view, 8, options), { code: 'ERR_SHM_VERSION' });
      shm.detach(view);
      assert.throws(() => new Class(view, 8, options), { code: 'ERR_SHM_DETACHED' });
    });
  }

  it('options must be those of the creation; without options, they are found', () => {
    const view = words();
    assert.throws(() => new Semaphore(view, 0), { code: 'ERR_SHM_FRESH' });
    new Semaphore(view, 0, { permits: 3 });
    assert.equal(new Semaphore(view, 0).permits, 3);
    assert.throws(() => new Semaphore(view, 0, { permits: 4 }), { code: 'ERR_SHM_OPTIONS' });
    for (const permits of [0, 65537, 1.5]) {
      assert.throws(() => new Semaphore(view, 0, { permits }), { name: 'RangeError' });
    }
    assert.throws(() => new Semaphore(view, 0, {}), { name: 'TypeError' });
    shm.detach(view);
  });

  it('a read-only view is an error', needs(withNames ?? 'posix'), () => {
    const view = words(64, withNames);
    const readOnly = shm.get({ ...place(view, withNames), readOnly: true });
    assert.throws(() => new Mutex(readOnly, 0), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  });
});

describe('Mutex', () => {
  it('a thread that holds it gets an error, false, or a place in the queue', async () => {
    const mutex = new Mutex(words(), 0);
    const guard = mutex.lock();
    assert.equal(guard.ownerDied, false);
    assert.throws(() => mutex.lock(), { code: 'ERR_SHM_DEADLOCK' });
    assert.throws(() => mutex.lock(5), { code: 'ERR_SHM_DEADLOCK' });
    assert.equal(mutex.tryLock(), false);
    const queued = [1, 2, 3].map(() => mutex.lockAsync());
    assert.equal(await mutex.lockAsync({ timeout: 15 }), false);
    guard.unlock();
    assert.throws(() => guard.unlock(), { code: 'ERR_SHM_NOT_HELD' });
    for (let left = queued; left.length > 0; ) {
      const [first, guard] = await Promise.race(left.map(async (waiting) => [waiting, await waiting]));
      assert.equal(mutex.tryLock(), false);
      guard.unlock();
      left = left.filter((waiting) => waiting !== first);
    }
    assert.throws(() => mutex.unlock(), { code: 'ERR_SHM_NOT_HELD' });
    mutex.lock();
    mutex.unlock();
  });

  it('an AbortSignal leaves the queue', async () => {
    const mutex = new Mutex(words(), 0);
    const guard = mutex.lock();
    const controller = new AbortController();
    const waiting = mutex.lockAsync({ signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 15);
    await assert.rejects(waiting, { message: 'enough' });
    guard.unlock();
    mutex.tryLock().unlock();
  });

  it('withLock unlocks whatever happens', async () => {
    const mutex = new Mutex(words(), 0);
    assert.equal(mutex.withLock(() => 7), 7);
    assert.throws(() => mutex.withLock(() => { throw new Error('no'); }), { message: 'no' });
    const late = mutex.withLock(async () => (await sleep(5), 8));
    assert.equal(mutex.tryLock(), false);
    assert.equal(await late, 8);
    assert.equal(await mutex.withLockAsync(() => 9), 9);
    await assert.rejects(mutex.withLockAsync(async () => { throw new Error('no'); }), { message: 'no' });
    const guard = mutex.lock();
    await assert.rejects(mutex.withLockAsync(() => 1, { timeout: 5 }), { code: 'ERR_SHM_TIMED_OUT' });
    guard[Symbol.dispose]?.();
    guard[Symbol.dispose]?.();
    mutex.tryLock();
  });

  it('a detach rejects the calls that wait for it', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    const guard = mutex.lock();
    const waiting = assert.rejects(mutex.lockAsync(), { code: 'ERR_SHM_DETACHED' });
    shm.detach(view);
    await waiting;
    for (const work of [() => mutex.lock(), () => mutex.tryLock(), () => mutex.unlock(), () => guard.unlock()]) {
      assert.equal(codeOf(work), 'ERR_SHM_DETACHED');
    }
  });

  it('another process cannot unlock it; when its owner is killed, a waiter gets it and is told', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    const hold = () => peer(view, (shm, { Mutex }, view, ready) => {
      new Mutex(view, 0).lock();
      ready();
      setInterval(() => {}, 1000);
    });
    for (const lock of [
      () => mutex.lock(),
      () => mutex.lockAsync(),
      async () => {
        for (const until = Date.now() + GENEROUS; Date.now() < until; await sleep(1)) {
          const guard = mutex.tryLock();
          if (guard) return guard;
        }
      },
    ]) {
      const holder = hold();
      await holder.ready;
      assert.throws(() => mutex.unlock(), { code: 'ERR_SHM_NOT_OWNER' });
      assert.equal(mutex.lock(30), false);
      assert.equal(mutex.tryLock(), false);
      assert.equal(await mutex.lockAsync({ timeout: 30 }), false);
      const pending = kill(holder).then(lock);
      const guard = await pending;
      assert.equal(guard.ownerDied, true);
      guard.unlock();
      const again = mutex.lock();
      assert.equal(again.ownerDied, false, 'told once');
      again.unlock();
    }
    shm.detach(view);
  });

  it('a waiter gets it when the owner is killed while it waits', async () => {
    const view = words();
    const holder = peer(view, (shm, { Mutex }, view, ready) => {
      new Mutex(view, 0).lock();
      ready();
      setInterval(() => {}, 1000);
    });
    await holder.ready;
    const waiting = new Mutex(view, 0).lockAsync();
    await sleep(15);
    await kill(holder);
    assert.equal((await waiting).ownerDied, true);
    shm.detach(view);
  });

  for (const backend of built) {
    it(`processes and threads exclude each other, blocking and not (${backend})`, async () => {
      const view = words(64, backend);
      const rounds = 20_000;
      const add = async (shm, { Mutex }, view, ready, rounds) => {
        const mutex = new Mutex(view, 0);
        ready();
        Atomics.add(view, 21, 1);
        while (Atomics.load(view, 21) < 3) await new Promise(setImmediate); // all at once
        for (let round = 0; round < rounds; round++) {
          const guard = round % 500 === 0 ? await mutex.lockAsync() : mutex.lock();
          if (guard.ownerDied) throw new Error('nobody died');
          view[20] = view[20] + 1;
          guard.unlock();
        }
      };
      const peers = [1, 2].map(() => peer(view, add, rounds, backend));
      await add(shm, sync, view, () => {}, rounds);
      for (const { ended } of peers) {
        const { code, stderr } = await ended;
        assert.deepEqual([code, stderr], [0, '']);
      }
      assert.equal(view[20], 3 * rounds);
      shm.detach(view);
    });
  }

  it('any thread of the process may unlock, and a worker that ends releases its locks', async () => {
    const { Worker } = require('node:worker_threads');
    const view = words();
    const mutex = new Mutex(view, 0);
    const inWorker = (body) => {
      const code = `const shm = require(process.env.SHM_NODE_PACKAGE);
        const { Mutex } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
        const mutex = new Mutex(shm.get(require('worker_threads').workerData), 0);
        ${body}`;
      const worker = new Worker(code, { eval: true, workerData: place(view) });
      return new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve));
    };
    mutex.lock();
    await inWorker('mutex.unlock()');
    mutex.lock().unlock();
    await inWorker('mutex.lock()');
    const guard = mutex.lock();
    assert.equal(guard.ownerDied, true);
    guard.unlock();
    shm.detach(view);
  });
});

describe('Semaphore', () => {
  it('gives out its permits, and waits for one more', async () => {
    const view = words();
    const semaphore = new Semaphore(view, 0, { permits: 2 });
    const [a, b] = [semaphore.acquire(), semaphore.tryAcquire()];
    assert.equal(semaphore.tryAcquire(), false);
    assert.equal(semaphore.acquire(15), false);
    assert.equal(await semaphore.acquireAsync({ timeout: 15 }), false);
    const waiting = semaphore.acquireAsync();
    a.unlock();
    const c = await waiting;
    assert.equal(c.ownerDied, false);
    b.unlock();
    c.unlock();
    assert.equal(semaphore.withPermit(() => 3), 3);
    assert.equal(await semaphore.withPermitAsync(async () => 4), 4);
    shm.detach(view);
  });

  it('the permits of a killed process come back, and the next owner is told', async () => {
    const view = words();
    const semaphore = new Semaphore(view, 0, { permits: 2 });
    const holder = peer(view, (shm, { Semaphore }, view, ready) => {
      const semaphore = new Semaphore(view, 0);
      semaphore.acquire();
      semaphore.acquire();
      ready();
      setInterval(() => {}, 1000);
    });
    await holder.ready;
    assert.equal(semaphore.tryAcquire(), false);
    await kill(holder);
    const [a, b] = [semaphore.acquire(), await semaphore.acquireAsync()];
    assert.deepEqual([a.ownerDied, b.ownerDied], [true, true]);
    a.unlock();
    assert.equal(semaphore.tryAcquire().ownerDied, false);
    shm.detach(view);
  });
});

describe('RwLock', () => {
  it('many readers hold it at a time, or one writer', async () => {
    const view = words();
    const lock = new RwLock(view, 0, { readers: 3 });
    const readers = [lock.read(), lock.tryRead(), await lock.readAsync()];
    assert.equal(lock.tryRead(), false, 'no slot');
    assert.equal(await lock.readAsync({ timeout: 15 }), false);
    assert.equal(lock.tryWrite(), false);
    assert.throws(() => lock.write(), { code: 'ERR_SHM_DEADLOCK' });
    assert.equal(await lock.writeAsync({ timeout: 15 }), false);
    const writing = lock.writeAsync();
    await sleep(1);
    assert.throws(() => lock.read(), { code: 'ERR_SHM_DEADLOCK' });
    for (const reader of readers) reader.unlock();
    const writer = await writing;
    assert.equal(lock.tryRead(), false);
    assert.throws(() => lock.read(), { code: 'ERR_SHM_DEADLOCK' });
    assert.throws(() => lock.write(), { code: 'ERR_SHM_DEADLOCK' });
    const reading = lock.readAsync();
    writer.unlock();
    (await reading).unlock();
    assert.equal(lock.withRead(() => 1) + lock.withWrite(() => 2), 3);
    assert.equal((await lock.withReadAsync(() => 1)) + (await lock.withWriteAsync(async () => 2)), 3);
    shm.detach(view);
  });

  it('a killed reader or writer releases it, and the death of a writer is told', async () => {
    const view = words();
    const lock = new RwLock(view, 0, { readers: 3 });
    const hold = async (how) => {
      const holder = peer(view, (shm, { RwLock }, view, ready, how) => {
        new RwLock(view, 0)[how]();
        ready();
        setInterval(() => {}, 1000);
      }, how);
      await holder.ready;
      return holder;
    };
    const reader = await hold('read');
    assert.equal(lock.tryWrite(), false);
    const writing = lock.writeAsync();
    await kill(reader);
    (await writing).unlock();
    const writer = await hold('write');
    assert.equal(lock.tryRead(), false);
    const reading = lock.readAsync();
    await kill(writer);
    const guard = await reading;
    assert.equal(guard.ownerDied, true);
    guard.unlock();
    const next = lock.write();
    assert.equal(next.ownerDied, true);
    next.unlock();
    assert.equal(lock.read().ownerDied, false);
    shm.detach(view);
  });

  it('readers in other processes see whole writes', async () => {
    const view = words(256);
    const use = async (shm, { RwLock }, view, ready, rounds) => {
      const lock = new RwLock(view, 0, { readers: 4 });
      ready();
      for (let round = 0; round < rounds; round++) {
        if (round % 3 === 0) {
          const guard = round % 2 ? lock.write() : await lock.writeAsync();
          for (let i = 64; i < 128; i++) view[i]++;
          guard.unlock();
        } else {
          const guard = round % 2 ? lock.read() : await lock.readAsync();
          if (new Set(view.subarray(64, 128)).size !== 1) throw new Error('torn');
          guard.unlock();
        }
      }
    };
    const peers = [1, 2].map(() => peer(view, use, 900));
    await use(shm, sync, view, () => {}, 900);
    for (const { ended } of peers) assert.equal((await ended).stderr, '');
    assert.equal(view[64], 900);
    shm.detach(view);
  });
});

describe('RwLock, with many short tries', () => {
  it('no reader holds it while a writer does', async () => {
    const view = words(256);
    const [rounds, writing] = [60_000, 100];
    const read = (shm, { RwLock }, view, ready, rounds) => {
      const lock = new RwLock(view, 0, { readers: 4 });
      ready();
      for (let got = 0, tries = 0; got < rounds && tries < 50 * rounds; tries++) {
        const guard = lock.tryRead();
        if (!guard) continue;
        got++;
        if (Atomics.load(view, 100) !== 0) throw new Error('a writer is there');
        guard.unlock();
      }
    };
    const reader = peer(view, read, rounds);
    await reader.ready;
    const lock = new RwLock(view, 0, { readers: 4 });
    let over = false;
    const ended = reader.ended.then((end) => ((over = true), end));
    while (!over) {
      for (let tries = 0; tries < 2000; tries++) {
        const guard = lock.tryWrite();
        if (!guard) continue;
        Atomics.store(view, writing, 1);
        for (let pause = 0; pause < 50; pause++) Atomics.load(view, writing);
        Atomics.store(view, writing, 0);
        guard.unlock();
      }
      await new Promise(setImmediate);
    }
    const { code, stderr } = await ended;
    assert.deepEqual([code, stderr], [0, '']);
    shm.detach(view);
  });
});

describe('Condition', () => {
  it('a wait ends by a notification, by time or by abort, with the mutex locked', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    const condition = new Condition(view, 4);
    assert.deepEqual([condition.notifyOne(), condition.notifyAll()], [false, 0]);
    const guard = mutex.lock();
    assert.equal(condition.wait(guard, 15), false);
    assert.equal(mutex.tryLock(), false);
    assert.equal(await condition.waitAsync(guard, { timeout: 15 }), false);
    const waiting = condition.waitAsync(guard);
    const inside = mutex.lock();
    condition.notifyAll();
    inside.unlock();
    assert.equal(await waiting, true);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await assert.rejects(condition.waitAsync(guard, { signal: controller.signal }), { message: 'enough' });
    assert.equal(mutex.tryLock(), false);
    guard.unlock();
    assert.throws(() => condition.wait(guard), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.equal(view[4 + 3], 0, 'nobody is counted as waiting');
    shm.detach(view);
  });

  it('a wait ends when the segment of its mutex is detached', async () => {
    const [view, other] = [words(), words()];
    const [mutex, condition] = [new Mutex(other, 0), new Condition(view, 4)];
    const guard = mutex.lock();
    const waiting = assert.rejects(condition.waitAsync(guard), { code: 'ERR_SHM_DETACHED' });
    shm.detach(other);
    condition.notifyAll();
    await waiting;
    assert.equal(view[4 + 3], 0, 'nobody is counted as waiting');
    // So it does while it waits for the mutex.
    const third = words();
    const locked = new Mutex(third, 0);
    const late = assert.rejects(condition.waitAsync(locked.lock()), { code: 'ERR_SHM_DETACHED' });
    locked.lock();
    condition.notifyAll();
    await new Promise((resolve) => setTimeout(resolve, 30));
    shm.detach(third);
    await late;
    shm.detach(view);
  });

  it('a guard holds nothing during a wait', async () => {
    const view = words();
    const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
    const guard = mutex.lock();
    const waiting = condition.waitAsync(guard);
    const inside = mutex.lock();
    assert.throws(() => guard.unlock(), { code: 'ERR_SHM_NOT_HELD' });
    await assert.rejects(condition.waitAsync(guard), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.equal(mutex.tryLock(), false, 'the other call has it still');
    condition.notifyAll();
    inside.unlock();
    assert.equal(await waiting, true);
    guard.unlock();
    mutex.lock().unlock();
    shm.detach(view);
  });

  it('it passes work to another process', async () => {
    const view = words();
    const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
    const rounds = 100;
    const { ready, ended } = peer(view, async (shm, { Condition, Mutex }, view, ready, rounds) => {
      const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
      const guard = mutex.lock();
      ready();
      for (let round = 0; round < rounds; round++) {
        while (view[20] !== 2 * round + 1) round % 2 ? condition.wait(guard) : await condition.waitAsync(guard);
        view[20]++;
        condition.notifyAll();
      }
      guard.unlock();
    }, rounds);
    await ready;
    const guard = await mutex.lockAsync();
    for (let round = 0; round < rounds; round++) {
      view[20]++;
      condition.notifyOne();
      while (view[20] !== 2 * round + 2) round % 3 ? condition.wait(guard) : await condition.waitAsync(guard);
    }
    guard.unlock();
    assert.equal((await ended).stderr, '');
    shm.detach(view);
  });
});

describe('Barrier', () => {
  it('a party arrives once, and has its place until its wait has ended', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, { parties: 2 });
    const [one, two] = [barrier.join(), barrier.join()];
    const waiting = one.waitAsync();
    assert.throws(() => one.wait(0), { code: 'ERR_SHM_DEADLOCK' });
    await assert.rejects(one.waitAsync(), { code: 'ERR_SHM_DEADLOCK' });
    one.leave();
    assert.throws(() => barrier.join(), { code: 'ERR_SHM_FULL' }, 'another would arrive besides it');
    assert.equal(two.wait(), true);
    assert.equal(await waiting, false);
    const three = barrier.join();
    assert.equal(three.wait(0), null);
    for (const party of [two, three]) party.leave();
    shm.detach(view);
  });

  it('no party goes on before all have arrived, again and again, between processes', async () => {
    const view = words();
    const meet = async (shm, { Barrier }, view, ready, rounds) => {
      const party = new Barrier(view, 0, { parties: 3 }).join();
      ready();
      for (let round = 0; round < rounds; round++) {
        Atomics.add(view, 30, 1);
        await party.waitAsync();
        if (Atomics.load(view, 30) < 3 * (round + 1)) throw new Error('too early');
        round % 2 ? party.wait() : await party.waitAsync();
      }
      party.leave();
    };
    const peers = [1, 2].map(() => peer(view, meet, 50));
    await meet(shm, sync, view, () => {}, 50);
    for (const { ended } of peers) assert.equal((await ended).stderr, '');
    assert.equal(view[30], 150);
    shm.detach(view);
  });

  it('a timeout or an abort takes an arrival back, and there are no more parties than it was created for', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, { parties: 2 });
    const [a, b] = [barrier.join(), barrier.join()];
    assert.throws(() => barrier.join(), { code: 'ERR_SHM_FULL' });
    assert.equal(a.wait(15), null);
    assert.equal(await a.waitAsync({ timeout: 15 }), null);
    const controller = new AbortController();
    const aborted = a.waitAsync({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(aborted, { message: 'enough' });
    const [first, last] = [a.waitAsync(), b.wait()];
    assert.deepEqual([await first, last], [false, true]);
    a.leave();
    assert.throws(() => a.wait(), { code: 'ERR_SHM_NOT_HELD' });
    barrier.join();
    shm.detach(view);
  });

  it('a killed party breaks the phase', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, { parties: 2 });
    const party = barrier.join();
    const other = peer(view, (shm, { Barrier }, view, ready) => {
      new Barrier(view, 0).join();
      ready();
      setInterval(() => {}, 1000);
    });
    await other.ready;
    const waiting = assert.rejects(party.waitAsync(), { code: 'ERR_SHM_BROKEN' });
    await kill(other);
    await waiting;
    const next = barrier.join();
    const meeting = next.waitAsync();
    party.wait();
    await meeting;
    shm.detach(view);
  });
});

describe('Once', () => {
  it('the work is done once, and again after it failed', async () => {
    const view = words();
    const once = new Once(view, 0);
    assert.equal(once.done, false);
    assert.throws(() => once.call(() => { throw new Error('no'); }), { message: 'no' });
    assert.throws(() => once.call(async () => {}), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(once.callAsync(async () => { throw new Error('no'); }), { message: 'no' });
    assert.equal(once.done, false);
    let count = 0;
    once.call(() => {
      assert.throws(() => once.call(() => {}), { code: 'ERR_SHM_DEADLOCK' });
      count++;
    });
    once.call(() => count++);
    await once.callAsync(() => count++);
    assert.deepEqual([count, once.done], [1, true]);
    shm.detach(view);
  });

  it('if the process that runs it is killed, the next one runs it, and is told', async () => {
    const view = words();
    const other = peer(view, (shm, { Once }, view, ready) => {
      new Once(view, 0).callAsync(() => {
        ready();
        return new Promise((resolve) => setTimeout(resolve, 600_000));
      });
    });
    await other.ready;
    const once = new Once(view, 0);
    await assert.rejects(once.callAsync(() => {}, { timeout: 15 }), { code: 'ERR_SHM_TIMED_OUT' });
    const turns = [];
    const turn = once.callAsync((turn) => turns.push(turn.ownerDied));
    await kill(other);
    await turn;
    assert.deepEqual([turns, once.done], [[true], true]);
    shm.detach(view);
  });
});
