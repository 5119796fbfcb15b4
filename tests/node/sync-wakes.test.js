'use strict';

// Wake-ups are sent, to those who are to have them, and to no others. Every few milliseconds one who waits without
// blocking looks by itself, which would hide that one is missing: here it does not. That no wake-up is lost between two
// operations on words is what the models of shm-sync are about.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, it } = require('node:test');
const { folder, shm, sleep, start, until } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');

/** Makes lib/sync wait for wake-ups alone; to be called before it is loaded. Gives what makes those who wait look. */
const deafen = (folder) => {
  const clock = require(folder + '/lib/sync/clock.js');
  const { after } = clock;
  let look;
  clock.after = (ms, ref, call) => (call.name === 'look' ? ((look = call), () => {}) : after(ms, ref, call));
  return () => look();
};

const look = deafen(folder);

// Each native call of lib/sync in this process, by its name; and each step that ends asleep.
const called = [];
// The slots of the waits that have begun, and whose end was not told yet.
const pending = new Set();
const native = require(`${folder}/lib/sync/native.js`);
for (const [name, work] of Object.entries(native)) {
  if (typeof work !== 'function' || name === 'now') continue;
  native[name] = (...args) => {
    called.push(name);
    const got = work(...args);
    if (name === 'step' && got === native.AGAIN) {
      called.push('asleep');
      pending.add(args[2]);
    }
    return got;
  };
}
const count = (...names) => called.filter((name) => names.includes(name)).length;

const { openDoor } = native;
native.openDoor = (tell) => openDoor((slot, how) => (pending.delete(slot), tell(slot, how)));

const sync = require(`${folder}/sync.js`);
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore, notify, waitAsync } = sync;

beforeEach(() => void (called.length = 0));
leaveNothing();

const GENEROUS = 60_000;

const way = require(`${folder}/lib/native.js`).wayToWait();
const skip = way.includes('slices') && 'waits in slices find a change without being woken';

/**
 * How many waits of this process are in the kernel: with io_uring all that have begun; else as many as threads are in
 * futex_waitv(2), whose number is the same on every processor.
 */
const inKernel = (way, { readFileSync, readdirSync }) => {
  if (way.startsWith('io_uring') || way === 'the thread pool of Windows') return Infinity;
  const call = (thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/syscall`, 'utf8');
    } catch {
      return ''; // it has ended meanwhile
    }
  };
  return readdirSync('/proc/self/task').filter((thread) => call(thread).startsWith('449 ')).length;
};

/** A test that fails where something never ends. */
const claim = (name, body, options) => it(name, { timeout: 2 * GENEROUS, ...options, skip: skip || options?.skip }, body);

const two = (Class, view, ...options) => [new Class(view, 0, ...options), new Class(view, 0)];

/** A process that runs `body(sync, view, ready, argument)`, there after `before`. */
const peer = (view, body, argument, before = '() => {}') =>
  start(
    `(shm, folder, target, argument) => {
      (${before})(folder);
      return (${body})(require(folder + '/sync.js'), shm.get(target), ready, argument);
    }`,
    [folder, place(view), argument],
    { env: { SHM_NODE_QUIET: '1' }, patience: GENEROUS },
  );

const DEAD = 2 ** 30 - 1; // an owner that there never was

// Words, as docs/layout.md gives their bytes.
const WRITER = 4;
const SLOTS = 8;

const turns = async (count) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** Lets so many of those who were called come to sleep. */
async function asleep(sleepers) {
  const begun = () => count('asleep');
  assert.ok(await until(() => begun() >= sleepers && inKernel(way, fs) >= pending.size, GENEROUS));
  assert.equal(begun(), sleepers, 'asleep');
  called.length = 0;
}

/**
 * The results of calls. Each call sleeps before the next is made, because that may change the word on which it sleeps.
 */
async function sleeping(...calls) {
  const promises = [];
  for (const call of calls) {
    promises.push(call());
    await asleep(1);
  }
  return promises;
}

/** How many of those who sleep `work` wakes: each takes a step then. At least `least` are waited for. */
async function wokenBy(work, least) {
  called.length = 0;
  work();
  const own = count('step');
  await until(() => count('step') - own >= least, GENEROUS);
  await turns(8);
  return count('step') - own;
}

async function isPending(promise) {
  const pending = {};
  return (await Promise.race([promise, turns(4).then(() => pending)])) === pending;
}

/** The first of promises to come to something, and the others. */
async function first(promises) {
  const [value, promise] = await Promise.race(promises.map(async (promise) => [await promise, promise]));
  return [value, promises.filter((other) => other !== promise)];
}

const bytes = (number, length = 8) => Buffer.alloc(length, number);
const enough = { message: 'enough' };

describe('Mutex', () => {
  claim('each kind of unlock wakes a sleeper', async () => {
    const view = words();
    const [mutex, other] = two(Mutex, view);
    for (const unlock of [(guard) => guard.unlock(), () => mutex.unlock(), () => other.unlock()]) {
      const guard = mutex.lock();
      called.length = 0; // of those who slept again
      const waiting = await sleeping(() => other.lockAsync(), () => new Mutex(view, 0).lockAsync());
      assert.equal(await wokenBy(() => unlock(guard), 1), 1);
      for (let left = waiting, guard; left.length > 0; guard.unlock()) [guard, left] = await first(left);
    }
    shm.detach(view);
  });

  claim('calls on one object keep their order: a call that comes while another wakes up does not overtake it', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    const guard = mutex.lock();
    const order = [];
    const lock = (number) => mutex.lockAsync().then((guard) => (order.push(number), guard.unlock()));
    const locking = [lock(1), lock(2)];
    await asleep(1);
    guard.unlock();
    locking.push(lock(3));
    await Promise.all(locking);
    assert.deepEqual(order, [1, 2, 3]);
    shm.detach(view);
  });
});

describe('Semaphore', () => {
  claim('a release wakes one waiter, and a waiter that got a permit wakes the next if there is another permit', async () => {
    const view = words();
    const semaphore = new Semaphore(view, 0, { permits: 2 });
    for (let round = 0; round < 5; round++) {
      const held = [semaphore.acquire(), semaphore.acquire()];
      called.length = 0; // of those who slept again
      const waiting = await sleeping(...Array(3).fill(() => semaphore.acquireAsync()));
      // One for each, and nobody for the third.
      assert.equal(await wokenBy(() => held.forEach((permit) => permit.unlock()), 2), 2);
      for (let left = waiting, permit; left.length > 0; permit.unlock()) [permit, left] = await first(left);
    }
    shm.detach(view);
  });
});

describe('RwLock', () => {
  const rwLock = (readers) => {
    const view = words();
    return { view, lock: new RwLock(view, 0, { readers }) };
  };

  claim('the end of a write wakes all', async () => {
    const { view, lock } = rwLock(3);
    for (const end of [(guard) => guard.unlock(), () => lock.endWrite()]) {
      const writer = lock.write();
      called.length = 0; // of those who slept again
      const waiting = await sleeping(() => lock.readAsync(), () => lock.readAsync(), () => lock.writeAsync());
      assert.ok((await wokenBy(() => end(writer), 3)) >= 3);
      for (let left = waiting, guard; left.length > 0; guard.unlock()) [guard, left] = await first(left);
    }
    shm.detach(view);
  });

  claim('the last reader wakes the writer', async () => {
    const { view, lock } = rwLock(2);
    for (const end of [(guard) => guard.unlock(), (guard) => lock.endRead(guard.slot)]) {
      const [a, b] = [lock.read(), lock.read()].sort((a, b) => a.slot - b.slot);
      const writing = lock.writeAsync();
      await asleep(1);
      end(a);
      await asleep(1); // for the other one now
      assert.ok(await isPending(writing));
      end(b);
      (await writing).unlock();
    }
    shm.detach(view);
  });

  claim('a reader that ends wakes one that found no slot', async () => {
    const { view, lock } = rwLock(1);
    const reader = lock.read();
    const waiting = await sleeping(() => lock.readAsync(), () => lock.readAsync());
    assert.equal(await wokenBy(() => reader.unlock(), 1), 1);
    for (let left = waiting, guard; left.length > 0; guard.unlock()) [guard, left] = await first(left);
    shm.detach(view);
  });

  for (const how of ['abort', 'time', 'detach']) {
    claim(`a writer that gives up by ${how} wakes those whom it kept out`, async () => {
      const { view, lock } = rwLock(2);
      const reader = lock.read();
      const controller = new AbortController();
      const body = `async (sync, view, ready, way) => {
        let isRead = false; // where the writer's time was up before
        const reading = new sync.RwLock(view, 0).readAsync().finally(() => (isRead = true));
        while (!isRead && (${inKernel})(way, require('fs')) < 1) await new Promise(setImmediate);
        ready();
        (await reading).unlock();
      }`;
      const other = peer(view, body, way, deafen);
      const options = how === 'abort' ? { signal: controller.signal } : how === 'time' ? { timeout: 1000 } : {};
      const writing = lock.writeAsync(options).catch((error) => error);
      await asleep(1);
      await other.ready;
      if (how === 'abort') controller.abort(new Error('enough'));
      if (how === 'detach') shm.detach(view);
      await writing;
      assert.deepEqual([(await other.ended).code, (await other.ended).stderr], [0, '']);
      if (how !== 'detach') reader.unlock();
      shm.detach(view);
    });
  }

  claim('an owner that finds a dead writer wakes all waiters, and they are told', async () => {
    const { view, lock } = rwLock(3);
    lock.write();
    const waiting = await sleeping(() => lock.readAsync(), () => lock.readAsync());
    view[WRITER] = DEAD;
    const guard = lock.tryRead();
    for (const { ownerDied } of [guard, ...(await Promise.all(waiting))]) assert.equal(ownerDied, true);
    shm.detach(view);
  });
});

describe('Condition, Barrier, Once', () => {
  claim('a notification wakes one or all waiters, and a waiter unlocks the mutex when it begins to wait', async () => {
    const view = words();
    const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
    assert.deepEqual([condition.notifyOne(), condition.notifyAll()], [false, 0], 'nobody waits');
    const wait = (guard) => condition.waitAsync(guard).then(() => guard);
    const waiting = await sleeping(...Array(3).fill(() => wait(mutex.lock())));
    assert.equal(condition.notifyOne(), true);
    let [guard, left] = await first(waiting);
    assert.ok(await isPending(Promise.race(left)));
    const locking = new Mutex(view, 0).lockAsync();
    await turns(4);
    left.push(wait(guard));
    (await locking).unlock();
    await asleep(2);
    assert.equal(condition.notifyAll(), 3);
    for (; left.length > 0; guard.unlock()) [guard, left] = await first(left);
    shm.detach(view);
  });

  claim('the last party to arrive wakes all, and so does the party that breaks the phase', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, { parties: 3 });
    const [a, b, c] = [1, 2, 3].map(() => barrier.join());
    const meeting = await sleeping(() => a.waitAsync(), () => b.waitAsync());
    assert.equal(c.wait(), true);
    assert.deepEqual(await Promise.all(meeting), [false, false]);
    const isBroken = (party) => assert.rejects(party.waitAsync(), { code: 'ERR_SHM_BROKEN' });
    const broken = await sleeping(() => isBroken(a), () => isBroken(b));
    c.leave();
    view[SLOTS + view.subarray(SLOTS, SLOTS + 3).indexOf(0)] = DEAD;
    barrier.join();
    await Promise.all(broken);
    shm.detach(view);
  });

  claim('parties that come to the next phase of a barrier are told of a death in it', async () => {
    const view = words();
    const [STATE, PHASE] = [4, 2 ** 17];
    const party = new Barrier(view, 0, { parties: 2 }).join();
    const meeting = party.waitAsync();
    await asleep(1);
    // The other arrives, arrives once more, and dies, before the first one looks.
    view[SLOTS + view.subarray(SLOTS, SLOTS + 2).indexOf(0)] = DEAD;
    Atomics.store(view, STATE, PHASE + 1);
    await sleep(20);
    look();
    assert.equal(await meeting, false);
    assert.equal(await party.waitAsync(), true);
    const broken = assert.rejects(party.waitAsync(), { code: 'ERR_SHM_BROKEN' });
    // By futex_waitv it may find its word changed, and fall asleep once more.
    assert.ok(await until(() => count('asleep') > 0 && inKernel(way, fs) >= pending.size, GENEROUS));
    await sleep(20);
    look();
    await broken;
    shm.detach(view);
  });

  claim('the end of the work, or its failure, wakes all', async () => {
    const view = words();
    const [once, other] = two(Once, view);
    let fail;
    const failing = once.callAsync(() => new Promise((_, reject) => (fail = reject)));
    const waiting = [other.callAsync(() => {}), other.callAsync(() => {})];
    await asleep(2);
    fail(new Error('enough'));
    await assert.rejects(failing, enough);
    await Promise.all(waiting);
    assert.equal(once.done, true);
    shm.detach(view);
  });
});

const channelOf = (producers, capacity = 256) => {
  const view = words(Channel.byteLength({ capacity }));
  const [sender, receiver] = two(Channel, view, { capacity, producers });
  return { view, sender, receiver };
};

for (const producers of ['one', 'many']) {
  describe(`Channel (producers: ${producers})`, () => {
    const channel = (capacity) => channelOf(producers, capacity);
    const reserveAndCommit = (sender) => {
      const room = sender.reserve(8);
      room.view.fill(1);
      room.commit();
    };
    const fill = (sender) => {
      let sent = 0;
      while (sender.trySend(bytes(sent))) sent++;
      return sent;
    };

    claim('a message wakes a consumer who sleeps', async () => {
      const { view, sender, receiver } = channel();
      for (const receive of [() => receiver.receiveAsync(), () => receiver.peekAsync()]) {
        for (const send of [
          () => sender.send(bytes(1)),
          () => sender.trySend(bytes(1)),
          () => void sender.sendAsync(bytes(1)),
          () => reserveAndCommit(sender),
        ]) {
          const receiving = receive();
          await asleep(1);
          send();
          (await receiving).release?.();
          while (receiver.tryReceive() !== null);
        }
      }
      shm.detach(view);
    });

    claim('room wakes a producer who sleeps', async () => {
      const { view, sender, receiver } = channel();
      const target = Buffer.alloc(200);
      for (const receive of [
        () => receiver.receive(),
        () => receiver.tryReceive(),
        () => receiver.receiveInto(target),
        () => receiver.tryReceiveInto(target),
        () => receiver.peek().release(),
        () => void receiver.receiveAsync(),
      ]) {
        for (const send of [() => sender.sendAsync(bytes(1)), () => sender.reserveAsync(8)]) {
          fill(sender);
          const sending = send();
          await asleep(1);
          receive();
          (await sending).commit?.();
          while (receiver.tryReceive() !== null);
        }
      }
      shm.detach(view);
    });

    claim('calls of one kind keep their order: one that comes as another wakes up does not overtake it', async () => {
      const { view, sender, receiver } = channel(64);
      const receiving = [receiver.receiveAsync()];
      await asleep(1);
      sender.send(bytes(0));
      receiving.push(receiver.receiveAsync());
      sender.send(bytes(1));
      assert.deepEqual((await Promise.all(receiving)).map(([number]) => number), [0, 1]);
      const expected = fill(sender);
      const sending = [sender.sendAsync(bytes(100))];
      await asleep(1);
      for (let left = expected; left > 0; left--) receiver.receive();
      sending.push(sender.sendAsync(bytes(101)));
      await Promise.all(sending);
      assert.deepEqual([receiver.receive()[0], receiver.receive()[0]], [100, 101]);
      shm.detach(view);
    });

    claim('a call that is awake and one that comes meanwhile do not take from each other', async () => {
      const { view, sender, receiver } = channel(64);
      const expected = fill(sender);
      const sending = sender.sendAsync(bytes(100));
      await asleep(1);
      for (let left = expected; left > 0; left--) receiver.receive();
      look(); // it finds its room, and is yet to hear of the wake-up
      assert.equal(sender.trySend(bytes(101)), true);
      assert.equal(await sending, true);
      const sent = [receiver.receive()[0], receiver.receive()[0]];
      assert.deepEqual(sent.sort(), [100, 101]);
      const receiving = receiver.receiveAsync();
      await asleep(1);
      sender.send(bytes(1));
      look();
      assert.equal(receiver.tryReceive(), null, 'it is taken');
      assert.deepEqual(await receiving, bytes(1));
      shm.detach(view);
    });
  });
}

describe('Channel with many producers', () => {
  const channel = () => channelOf('many');

  claim('the consumer sleeps while a record is not committed, and is woken when it is committed or abandoned', async () => {
    const { view, sender, receiver } = channel();
    for (const end of [(room) => room.commit(), (room) => room.abandon(), () => sender.close()]) {
      const room = sender.reserve(8);
      sender.send(bytes(9));
      const receiving = receiver.receiveAsync();
      await asleep(1);
      end(room);
      await receiving;
      while (receiver.tryReceive() !== null);
    }
    shm.detach(view);
  });

  claim('a consumer that only skips records wakes the producers that wait for room, before it sleeps', async () => {
    const { view, sender, receiver } = channel();
    const rooms = [];
    for (let room; (room = sender.tryReserve(8)) !== null; ) rooms.push(room);
    const sending = sender.sendAsync(bytes(7));
    await asleep(1);
    for (const room of rooms) room.abandon();
    const receiving = receiver.receiveAsync();
    assert.equal(await sending, true);
    assert.deepEqual(await receiving, bytes(7));
    shm.detach(view);
  });
});

describe('Broadcast', () => {
  claim('a message wakes all sleeping readers', async () => {
    const options = { slots: 4, maxMessage: 64 };
    const view = words(Broadcast.byteLength(options));
    const news = new Broadcast(view, 0, options);
    for (const send of [() => news.send(bytes(1)), () => news.draft(8).commit()]) {
      const reading = await sleeping(...Array(2).fill(() => news.reader().receiveAsync()));
      assert.equal(await wokenBy(send, 2), 2);
      await Promise.all(reading);
    }
    shm.detach(view);
  });
});

describe('without contention', () => {
  claim('a Mutex is locked and unlocked without a native call', () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    called.length = 0;
    for (let round = 0; round < 100; round++) round % 2 ? mutex.lock().unlock() : (mutex.lock(), mutex.unlock());
    assert.deepEqual(called, []);
    shm.detach(view);
  });

  claim('messages go through the windows of a Channel with one producer without native calls', () => {
    const options = { capacity: 4096 };
    const view = words(Channel.byteLength(options));
    const [sender, receiver] = two(Channel, view, options);
    const target = Buffer.alloc(64);
    const receive = [
      () => assert.deepEqual(receiver.receive(), bytes(1)),
      () => assert.deepEqual(receiver.tryReceive(), bytes(1)),
      () => assert.equal(receiver.receiveInto(target), 8),
      () => assert.equal(receiver.tryReceiveInto(target), 8),
      () => receiver.peek().release(),
      () => receiver.tryPeek().release(),
    ];
    for (let round = 0; round < 50; round++) {
      called.length = 0;
      for (let sent = 0; sent < 60; sent++) sent % 2 ? sender.send(bytes(1)) : assert.ok(sender.trySend(bytes(1)));
      for (let got = 0; got < 60; got++) receive[got % receive.length]();
      assert.ok(called.length <= 6, `${called}`); // at the beginning, and where the ring ends
    }
    shm.detach(view);
  });
});

describe('a wake-up for a waiter that has given up goes to the next', () => {
  // The one who gives up has slept longest, and so is the one who is woken.
  const ways = {
    waitAsync: (view) => {
      const wait = (options) => waitAsync(view, 0, 0, options);
      return { wait, wake: () => (Atomics.store(view, 0, 1), notify(view, 0, 1)) };
    },
    lockAsync: (view) => {
      const guard = new Mutex(view, 0).lock();
      const wait = (options) => new Mutex(view, 0).lockAsync(options).then((guard) => guard.unlock());
      return { wait, wake: () => guard.unlock() };
    },
    acquireAsync: (view) => {
      const semaphore = new Semaphore(view, 0, { permits: 1 });
      const permit = semaphore.acquire();
      const wait = (options) => semaphore.acquireAsync(options).then((permit) => permit.unlock());
      return { wait, wake: () => permit.unlock() };
    },
    'Condition.waitAsync': (view) => {
      const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
      const wait = async (options) => {
        const guard = mutex.lock();
        try {
          await condition.waitAsync(guard, options);
        } finally {
          guard.unlock();
        }
      };
      return { wait, wake: () => condition.notifyOne() };
    },
  };

  for (const [name, begin] of Object.entries(ways)) {
    claim(name, async () => {
      for (let round = 0; round < 5; round++) {
        const view = words();
        const { wait, wake } = begin(view);
        const controller = new AbortController();
        const [gone, stays] = await sleeping(
          () => assert.rejects(wait({ signal: controller.signal }), enough),
          () => wait(),
        );
        wake();
        controller.abort(new Error('enough'));
        await gone;
        await stays;
        assert.equal(count('passOn'), 1);
        shm.detach(view);
      }
    });
  }

  claim('also if it found by polling what it waited for', async () => {
    const view = words();
    const guard = new Mutex(view, 0).lock();
    const waiting = new Mutex(view, 0).lockAsync();
    await asleep(1);
    guard.unlock();
    look();
    assert.equal(new Mutex(view, 0).tryLock(), false, 'it has it, and is yet to hear of the wake-up');
    const got = await waiting;
    assert.ok(await until(() => count('passOn') === 1, GENEROUS));
    got.unlock();
    shm.detach(view);
  });

  claim('also if it fails when it goes on', async () => {
    const view = words();
    const guard = new Mutex(view, 0).lock();
    const [gone, stays] = await sleeping(
      () => assert.rejects(new Mutex(view, 0).lockAsync(), enough),
      () => new Mutex(view, 0).lockAsync(),
    );
    const { step } = native;
    native.step = () => {
      native.step = step;
      throw new Error('enough');
    };
    guard.unlock();
    await gone;
    (await stays).unlock();
    shm.detach(view);
  });

  for (const how of ['detaches', 'gives up and detaches']) {
    claim(`also if it ${how} before it hears of the wake-up`, async () => {
      const view = words();
      const guard = new Mutex(view, 0).lock();
      const controller = new AbortController();
      const gone = new Mutex(view, 0).lockAsync({ signal: controller.signal }).catch((error) => error);
      await asleep(1);
      const body = `async (sync, view, ready, way) => {
        const locking = new sync.Mutex(view, 0).lockAsync();
        while ((${inKernel})(way, require('fs')) < 1) await new Promise(setImmediate);
        ready();
        (await locking).unlock();
      }`;
      const other = peer(view, body, way, deafen);
      await other.ready;
      guard.unlock();
      if (how !== 'detaches') controller.abort(new Error('enough'));
      shm.detach(view);
      assert.ok((await gone) instanceof Error);
      assert.deepEqual([(await other.ended).code, (await other.ended).stderr], [0, '']);
    });
  }
});

describe('with wake-ups alone, three processes make progress', () => {
  const pause = (some) => some && new Promise(setImmediate);

  // What each of the three does: `me` is 0 here, where nothing may block, and 1 or 2 elsewhere.
  const works = {
    'Mutex and Condition: each in its turn': async ({ Condition, Mutex }, view, me, pause) => {
      const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
      for (let round = 0; round < 150; round++) {
        const guard = me > 0 && round % 2 ? mutex.lock() : await mutex.lockAsync();
        while (view[100] % 3 !== me) me > 0 && round % 3 ? condition.wait(guard) : await condition.waitAsync(guard);
        view[100]++;
        condition.notifyAll();
        guard.unlock();
      }
    },
    'Mutex: all at once': async ({ Mutex }, view, me, pause) => {
      const mutex = new Mutex(view, 0);
      for (let round = 0; round < 300; round++) {
        const guard = me > 0 && round % 3 ? mutex.lock() : await mutex.lockAsync();
        const seen = ++view[100];
        await pause(round % 2);
        if (view[100] !== seen) throw new Error('not alone');
        guard.unlock();
      }
    },
    'Semaphore: two at a time': async ({ Semaphore }, view, me, pause) => {
      const semaphore = new Semaphore(view, 0, { permits: 2 });
      for (let round = 0; round < 300; round++) {
        const permit = me > 0 && round % 3 ? semaphore.acquire() : await semaphore.acquireAsync();
        if (Atomics.add(view, 100, 1) > 1) throw new Error('too many');
        await pause(round % 2);
        Atomics.sub(view, 100, 1);
        permit.unlock();
      }
    },
    'RwLock: two readers or a writer': async ({ RwLock }, view, me, pause) => {
      const lock = new RwLock(view, 0, { readers: 2 });
      for (let round = 0; round < 300; round++) {
        const how = round % 3 === me ? 'write' : 'read';
        const guard = me > 0 && round % 2 ? lock[how]() : await lock[`${how}Async`]();
        if (how === 'write') view[100]++;
        if (view[100] !== view[101] + (how === 'write')) throw new Error('torn');
        await pause(round % 2);
        if (how === 'write') view[101]++;
        guard.unlock();
      }
    },
    'Barrier: nobody before the others': async ({ Barrier }, view, me) => {
      const party = new Barrier(view, 0, { parties: 3 }).join();
      for (let round = 0; round < 200; round++) {
        Atomics.add(view, 100, 1);
        await (me > 0 && round % 2 ? party.wait() : party.waitAsync());
        if (Atomics.load(view, 100) < 3 * (round + 1)) throw new Error('too early');
      }
    },
    'Once: one does it, and the others wait': async ({ Once }, view, me, pause) => {
      for (let round = 0; round < 100; round++) {
        const once = new Once(view, 128 + 4 * round);
        await once.callAsync(async () => (await pause(1), view[100]++));
        if (view[100] <= round) throw new Error('too early');
      }
    },
    'Channel: two send, one receives': async ({ Channel }, view, me, pause) => {
      for (const [index, capacity] of [[0, 64], [256, 4096]]) {
        const ring = new Channel(view, index, { capacity, producers: 'many' });
        for (let number = 0; me > 0 && number < 1000; number++) {
          const bytes = new Uint8Array([me, number % 256]);
          if (number % 3) ring.send(bytes);
          else await ring.sendAsync(bytes);
          await pause(number % 50 === 0);
        }
        const next = [0, 0, 0];
        for (let got = 0; me === 0 && got < 2000; got++) {
          const [from, number] = await ring.receiveAsync();
          if (number !== next[from]++ % 256) throw new Error('order');
          await pause(got % 50 === 0);
        }
      }
    },
    'Channel: there and back, one message at a time': async ({ Channel }, view, me) => {
      const options = { capacity: 64 };
      const rings = [0, 256, 512].map((index) => new Channel(view, index, options));
      const [from, to] = [rings[me], rings[(me + 1) % 3]];
      for (let round = 0; round < 300; round++) {
        if (me === 0) await to.sendAsync(new Uint8Array(round % 24));
        const { length } = me > 0 && round % 2 ? from.receive() : await from.receiveAsync();
        if (length !== round % 24) throw new Error('order');
        if (me > 0) to.send(new Uint8Array(length));
      }
    },
    'Broadcast: each answers the one before': async ({ Broadcast }, view, me) => {
      const options = { slots: 2, maxMessage: 8 };
      const all = [0, 256, 512].map((index) => new Broadcast(view, index, options));
      const reader = all[(me + 2) % 3].reader({ rewind: true });
      for (let round = 0; round < 300; round++) {
        if (me === 0) all[me].send(new Uint8Array(8));
        const { number } = me > 0 && round % 2 ? reader.receive() : await reader.receiveAsync();
        if (number !== round) throw new Error('missed');
        if (me > 0) all[me].send(new Uint8Array(8));
      }
    },
  };

  for (const [name, work] of Object.entries(works)) {
    claim(name, async () => {
      const view = words(8192);
      const body = `(sync, view, ready, me) => (${work})(sync, view, me, ${pause})`;
      const peers = [1, 2].map((me) => peer(view, body, me, deafen));
      await work(sync, view, 0, pause);
      for (const { ended } of peers) {
        const { code, signal, stderr } = await ended;
        assert.deepEqual([code, signal, stderr], [0, null, '']);
      }
      shm.detach(view);
    });
  }
});

describe('if no wake-up comes because its sender was killed', () => {
  const all = [
    ['Mutex', 0, undefined, 'lock'],
    ['RwLock', 4, { readers: 2 }, 'write'],
    ['Semaphore', 32, { permits: 1 }, 'acquire'],
    ['Channel', 256, { capacity: 64, producers: 'many' }, 'receive'],
  ];
  const hold = (sync, view, ready, [name, index, options, how]) => {
    const held = new sync[name](view, index, options);
    if (how === 'receive') [held.reserve(8), held.send(new Uint8Array(3))];
    else held[how]();
    ready();
    setInterval(() => held, 1000);
  };
  const wait = async (sync, view, ready, [name, index, options, how]) => {
    const wanted = new sync[name](view, index, options);
    ready();
    (await wanted[how]()).unlock?.();
  };

  /** Milliseconds from the end of the holder to that of the waiter's process. */
  async function late(view, [name, index, options, how], waits) {
    const holder = peer(view, hold, [name, index, options, how]);
    await holder.ready;
    const waiter = peer(view, wait, [name, index, options, waits]);
    await waiter.ready;
    await sleep(30); // it waits by then
    holder.child.kill('SIGKILL');
    const killed = performance.now();
    const { code, stderr } = await waiter.ended;
    const took = performance.now() - killed;
    assert.deepEqual([code, stderr], [0, ''], waits);
    await holder.ended;
    return took;
  }

  claim('a waiter checks by itself, and more often than every half second', async () => {
    const view = words();
    for (const one of all) {
      for (const waits of [one[3], `${one[3]}Async`]) {
        // A busy machine makes one late, but not all of them.
        const took = [];
        while (took.length < 20 && !(took.at(-1) < 250)) took.push(await late(view, one, waits));
        assert.ok(took.at(-1) < 250, `${one[0]}.${waits}: ${took.map(Math.round)} ms`);
      }
    }
    shm.detach(view);
  });
});
