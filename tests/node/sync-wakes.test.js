'use strict';

// Wake-ups are sent. Every few milliseconds a sleeper looks by itself, which would hide that one is missing: here it
// does not, and what lib/sync calls natively is watched. And what must come before what, one operation at a time.

const assert = require('node:assert/strict');
const { beforeEach, describe, it } = require('node:test');
const { folder, shm, sleep, start, until } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');

/** Makes lib/sync wait for wake-ups alone; to be called before it is loaded. Gives what makes those who wait look. */
const deafen = (folder) => {
  const file = require.resolve(folder + '/lib/native.js');
  const native = require(file);
  const sleepOn = (number, offset, value) => native.sleepOn(number, offset, value, 1e9);
  require.cache[file].exports = { ...native, sleepOn };
  const clock = require(folder + '/lib/sync/clock.js');
  const { after } = clock;
  let look;
  clock.after = (ms, ref, call) => (call.name === 'look' ? (look = call) : after(ms, ref, call));
  return () => look();
};

const look = deafen(folder);

// With io_uring a wait is in the kernel as soon as it was begun; a thread that is to wait may be late for what wakes it.
process.env.SHM_NODE_WAITS = 'uring';

// Each native call of lib/sync in this process: its name, the word, and what else it was given.
const called = [];
const cached = require.cache[require.resolve(`${folder}/lib/native.js`)];
const watch = ([name, work]) => {
  const watched = (number, offset, ...rest) => {
    called.push([name, offset / 4, ...rest]);
    return work(number, offset, ...rest);
  };
  return [name, ['fence', 'now'].includes(name) ? work : watched];
};
const natives = (cached.exports = Object.fromEntries(Object.entries(cached.exports).map(watch)));

const sync = require(`${folder}/sync.js`);
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore, notify, waitAsync } = sync;

beforeEach(() => void (called.length = 0));
leaveNothing();

const GENEROUS = 20_000;

/** Why io_uring cannot be had here. */
function lacking() {
  try {
    natives.wayToWait();
    return false;
  } catch ({ message }) {
    return message;
  }
}

const skip = lacking();

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

const ALL = 0x7fffffff;
const WAITERS = -(2 ** 31);
const DEAD = 2 ** 30 - 1; // an owner that there never was

// Words, as docs/layout.md gives their bytes.
const MUTEX = 2;
const SEMAPHORE_QUEUE = 4;
const WRITER = 4;
const READERS_QUEUE = 5;
const SLOTS = 8;
const [HEAD, LOCK, CONSUMER_EVENT, PRODUCERS_EVENT, RING] = [32, 34, 96, 112, 128];
const READERS_EVENT = 64;

/** Whom was woken: [word, how many at most]. */
const wakes = () => called.filter(([name]) => name === 'wake').map(([, ...rest]) => rest);

/** Whom `work` wakes. */
function wakesOf(work) {
  called.length = 0;
  work();
  return wakes();
}

const turns = async (count) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** Lets so many of those who were called come to sleep. */
async function asleep(count) {
  const begun = () => called.filter(([name]) => name === 'beginWait').length;
  await until(() => begun() >= count, GENEROUS);
  assert.equal(begun(), count, 'asleep');
  called.length = 0;
  await sleep(2); // whoever waits for them in the kernel has begun
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

/** Runs `work`; when it does an operation of Atomics on a word the first (`nth`) time, others act just before and after. */
function during(operation, word, { before, after, nth = 1 }, work) {
  const real = globalThis.Atomics;
  let left = nth;
  const act = (...args) => {
    if (args[1] !== word || --left !== 0) return real[operation](...args);
    before?.();
    const result = real[operation](...args);
    after?.();
    return result;
  };
  globalThis.Atomics = Object.create(real, { [operation]: { value: act } });
  try {
    return work();
  } finally {
    globalThis.Atomics = real;
    assert.ok(left <= 0, 'it never did');
  }
}

const bytes = (number, length = 8) => Buffer.alloc(length, number);
const enough = { message: 'enough' };

describe('Mutex', () => {
  claim('an unlock wakes one who sleeps, however it is done', async () => {
    const view = words();
    const [mutex, other] = two(Mutex, view);
    for (const unlock of [(guard) => guard.unlock(), () => mutex.unlock(), () => other.unlock()]) {
      const guard = mutex.lock();
      const waiting = other.lockAsync();
      await asleep(1);
      assert.deepEqual(wakesOf(() => unlock(guard)), [[MUTEX, 1]]);
      (await waiting).unlock();
    }
    shm.detach(view);
  });

  claim('who has slept wakes the next: three want it, and all come to it', async () => {
    const view = words();
    const guard = new Mutex(view, 0).lock();
    let waiting = [1, 2, 3].map(() => new Mutex(view, 0).lockAsync());
    await asleep(3);
    assert.deepEqual(wakesOf(() => guard.unlock()), [[MUTEX, 1]]);
    while (waiting.length > 0) {
      let next;
      [next, waiting] = await first(waiting);
      assert.ok(view[MUTEX] & WAITERS);
      assert.deepEqual(wakesOf(() => next.unlock()), [[MUTEX, 1]]);
    }
    assert.equal(view[MUTEX], 0);
    shm.detach(view);
  });

  claim('calls on one object keep their order: one that comes as another wakes up does not overtake it', async () => {
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
  claim('a release wakes one, and who got a permit after a sleep wakes the next, if there is another one', async () => {
    const view = words();
    const semaphore = new Semaphore(view, 0, { permits: 2 });
    for (let round = 0; round < 5; round++) {
      const held = [semaphore.acquire(), semaphore.acquire()];
      const waiting = [semaphore.acquireAsync(), semaphore.acquireAsync()];
      await asleep(2);
      // The first release takes the flag down, so that the second wakes nobody.
      assert.deepEqual(wakesOf(() => held.forEach((permit) => permit.unlock())), [[SEMAPHORE_QUEUE, 1]]);
      const permits = await Promise.all(waiting);
      assert.deepEqual(wakes()[1], [SEMAPHORE_QUEUE, 1]);
      permits.forEach((permit) => permit.unlock());
    }
    shm.detach(view);
  });

  claim('who slept puts the flag up again for the others', async () => {
    const view = words();
    const semaphore = new Semaphore(view, 0, { permits: 1 });
    const permit = semaphore.acquire();
    let waiting = [1, 2, 3].map(() => semaphore.acquireAsync());
    await asleep(3);
    assert.deepEqual(wakesOf(() => semaphore.release(permit.slot)), [[SEMAPHORE_QUEUE, 1]]);
    while (waiting.length > 0) {
      let next;
      [next, waiting] = await first(waiting);
      assert.deepEqual(wakesOf(() => next.unlock()), [[SEMAPHORE_QUEUE, 1]]);
    }
    shm.detach(view);
  });
});

describe('RwLock', () => {
  const rwLock = (readers) => {
    const view = words();
    return { view, lock: new RwLock(view, 0, { readers }) };
  };

  claim('the end of a writing wakes all', async () => {
    const { view, lock } = rwLock(3);
    for (const end of [(guard) => guard.unlock(), () => lock.endWrite()]) {
      const writer = lock.write();
      called.length = 0; // of those who slept again
      const waiting = [lock.readAsync(), lock.readAsync(), lock.writeAsync()];
      await asleep(3);
      assert.deepEqual(wakesOf(() => end(writer)), [[WRITER, ALL]]);
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
      assert.deepEqual(wakesOf(() => end(a)), [[SLOTS + a.slot, ALL]]);
      await asleep(1);
      assert.ok(await isPending(writing));
      assert.deepEqual(wakesOf(() => end(b)), [[SLOTS + b.slot, ALL]]);
      (await writing).unlock();
    }
    shm.detach(view);
  });

  claim('a reader that leaves wakes one that found no slot', async () => {
    const { view, lock } = rwLock(1);
    const reader = lock.read();
    let waiting = [lock.readAsync(), lock.readAsync()];
    await asleep(2);
    assert.deepEqual(wakesOf(() => reader.unlock()), [[READERS_QUEUE, 1]]);
    let next;
    [next, waiting] = await first(waiting);
    assert.deepEqual(wakesOf(() => next.unlock()), [[READERS_QUEUE, 1]]);
    (await waiting[0]).unlock();
    shm.detach(view);
  });

  claim('a writer that gives up wakes those whom it kept out', async () => {
    const { view, lock } = rwLock(2);
    const reader = lock.read();
    const controller = new AbortController();
    const writing = lock.writeAsync({ signal: controller.signal });
    await asleep(1);
    const reading = lock.readAsync();
    await asleep(1);
    controller.abort(new Error('enough'));
    await assert.rejects(writing, enough);
    assert.deepEqual(wakes(), [[WRITER, ALL]]);
    (await reading).unlock();
    reader.unlock();
    shm.detach(view);
  });

  claim('who finds a dead writer wakes all, and they are told', async () => {
    const { view, lock } = rwLock(3);
    view[WRITER] = DEAD;
    const waiting = [lock.readAsync(), lock.readAsync()];
    await asleep(2);
    let guard;
    assert.deepEqual(wakesOf(() => (guard = lock.tryRead())), [[WRITER, ALL]]);
    for (const { ownerDied } of [guard, ...(await Promise.all(waiting))]) assert.equal(ownerDied, true);
    shm.detach(view);
  });

  claim('a reader and a writer that come at once: one of them sees the other', async () => {
    for (const how of ['tryRead', 'readAsync']) {
      const { view, lock } = rwLock(1);
      const other = new RwLock(view, 0);
      let writer;
      const reading = during('compareExchange', SLOTS, { before: () => (writer = other.tryWrite()) }, () => lock[how]());
      assert.notEqual(writer, false, 'it came before the reader');
      if (how === 'tryRead') assert.equal(reading, false);
      else assert.ok(await isPending(reading));
      writer.unlock();
      if (how === 'readAsync') (await reading).unlock();
      shm.detach(view);
    }
    for (const how of ['tryWrite', 'writeAsync']) {
      const { view, lock } = rwLock(1);
      const other = new RwLock(view, 0);
      let reader;
      const writing = during('compareExchange', WRITER, { before: () => (reader = other.tryRead()) }, () => lock[how]());
      assert.notEqual(reader, false, 'it came before the writer');
      if (how === 'tryWrite') assert.equal(writing, false);
      else assert.ok(await isPending(writing));
      reader.unlock();
      if (how === 'writeAsync') (await writing).unlock();
      shm.detach(view);
    }
  });
});

describe('Condition, Barrier, Once', () => {
  claim('a notification wakes one or all of those who wait, and who begins to wait lets go of the mutex', async () => {
    const view = words();
    const [mutex, condition, SEQUENCE] = [new Mutex(view, 0), new Condition(view, 4), 6];
    assert.deepEqual(wakesOf(() => [condition.notifyOne(), condition.notifyAll()]), [], 'nobody waits');
    const wait = (guard) => condition.waitAsync(guard).then(() => guard);
    const waiting = [1, 2, 3].map(() => wait(mutex.lock()));
    await asleep(3);
    assert.deepEqual(wakesOf(() => condition.notifyOne()), [[SEQUENCE, 1]]);
    let [guard, left] = await first(waiting);
    assert.ok(await isPending(Promise.race(left)));
    const locking = new Mutex(view, 0).lockAsync();
    await turns(4);
    assert.deepEqual(wakesOf(() => left.push(wait(guard))), [[MUTEX, 1]]);
    (await locking).unlock();
    await asleep(1);
    assert.deepEqual(wakesOf(() => condition.notifyAll()), [[SEQUENCE, ALL]]);
    for (; left.length > 0; guard.unlock()) [guard, left] = await first(left);
    shm.detach(view);
  });

  claim('the last one to arrive wakes all, and so does who breaks the phase', async () => {
    const view = words();
    const STATE = 4;
    const barrier = new Barrier(view, 0, { parties: 3 });
    const [a, b, c] = [1, 2, 3].map(() => barrier.join());
    const meeting = [a.waitAsync(), b.waitAsync()];
    await asleep(2);
    assert.deepEqual(wakesOf(() => c.wait()), [[STATE, ALL]]);
    assert.deepEqual(await Promise.all(meeting), [false, false]);
    const broken = [a, b].map((party) => assert.rejects(party.waitAsync(), { code: 'ERR_SHM_BROKEN' }));
    await turns(4);
    c.leave();
    view[SLOTS + view.subarray(SLOTS, SLOTS + 3).indexOf(0)] = DEAD;
    assert.deepEqual(wakesOf(() => barrier.join()), [[STATE, ALL]]);
    await Promise.all(broken);
    shm.detach(view);
  });

  claim('a death in the next phase of a barrier is told to those who come to it', async () => {
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
    await asleep(1);
    await sleep(20);
    look();
    await broken;
    shm.detach(view);
  });

  claim('whoever has done it, or failed, wakes all', async () => {
    const view = words();
    const STATE = 2;
    const [once, other] = two(Once, view);
    let fail;
    const doing = assert.rejects(once.callAsync(() => new Promise((_, reject) => (fail = reject))), enough);
    const waiting = [other.callAsync(() => {}), other.callAsync(() => {})];
    await asleep(2);
    fail(new Error('enough'));
    await doing;
    assert.deepEqual(wakes()[0], [STATE, ALL]);
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

    claim('a message wakes a consumer who sleeps, and not one who does not', async () => {
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
          assert.deepEqual(wakesOf(send), [[CONSUMER_EVENT, ALL]]);
          assert.deepEqual(wakesOf(send), [], 'it is awake already');
          (await receiving).release?.();
          while (receiver.tryReceive() !== null);
        }
      }
      shm.detach(view);
    });

    claim('room wakes a producer who sleeps, and not one who does not', async () => {
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
          assert.deepEqual(wakesOf(receive), [[PRODUCERS_EVENT, ALL]]);
          assert.deepEqual(wakesOf(receive), [], 'it is awake already');
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

    claim('whoever sees the head sees the message, wherever it lies', () => {
      const { view, sender, receiver } = channel(128);
      for (let number = 1; number < 60; number++) {
        const message = bytes(number, number % 50);
        let seen;
        const receive = () => (seen = receiver.tryReceive());
        const send = () => sender.send(message);
        during('store', HEAD, { before: () => assert.equal(receiver.tryReceive(), null), after: receive }, send);
        if (producers === 'many') {
          assert.equal(seen, null, 'it was not committed then');
          receive();
        }
        assert.deepEqual(seen, message);
      }
      assert.equal(receiver.lost, 0);
      shm.detach(view);
    });
  });
}

describe('Channel with many producers', () => {
  const channel = () => channelOf('many');

  claim('the consumer sleeps while a record is not committed, and is woken by its end, whichever that is', async () => {
    const { view, sender, receiver } = channel();
    for (const end of [
      (room) => room.commit(),
      (room) => room.abandon(),
      () => sender.close(),
    ]) {
      const room = sender.reserve(8);
      sender.send(bytes(9));
      const receiving = receiver.receiveAsync();
      await asleep(1);
      const woken = wakesOf(() => end(room));
      if (end.length > 0) assert.deepEqual(woken, [[CONSUMER_EVENT, ALL]]); // a close does it natively
      await receiving; // by a wake-up, as nobody looks here
      while (receiver.tryReceive() !== null);
    }
    shm.detach(view);
  });

  claim('a consumer that only skips wakes those who wait for room, before it sleeps', async () => {
    const { view, sender, receiver } = channel();
    const rooms = [];
    for (let room; (room = sender.tryReserve(8)) !== null; ) rooms.push(room);
    const sending = sender.sendAsync(bytes(7));
    await asleep(1);
    for (const room of rooms) room.abandon();
    let receiving;
    assert.deepEqual(wakesOf(() => (receiving = receiver.receiveAsync())), [[PRODUCERS_EVENT, ALL]]);
    assert.equal(await sending, true);
    assert.deepEqual(await receiving, bytes(7));
    shm.detach(view);
  });

  claim('a producer that lets go of the lock wakes one who waits for it', () => {
    const { view, sender, receiver } = channel();
    const mark = () => Atomics.or(view, LOCK, WAITERS);
    assert.deepEqual(wakesOf(() => during('store', HEAD, { before: mark }, () => sender.send(bytes(1)))), [[LOCK, 1]]);
    assert.deepEqual([view[LOCK], receiver.receive()], [0, bytes(1)]);
    shm.detach(view);
  });

  claim('a producer that is found dead may have committed just before: its message is not skipped', async () => {
    const { view, sender, receiver } = channel();
    sender.reserve(8).view.fill(5);
    sender.send(bytes(6));
    view[RING + 1] = DEAD;
    assert.equal(receiver.tryReceive(), null);
    await sleep(30); // until it asks
    const { isAlive } = natives;
    natives.isAlive = (...args) => {
      Atomics.store(view, RING, 8);
      return isAlive(...args);
    };
    try {
      assert.deepEqual(receiver.tryReceive(), bytes(5));
    } finally {
      natives.isAlive = isAlive;
    }
    assert.deepEqual([receiver.tryReceive(), receiver.tryReceive(), receiver.lost], [bytes(6), null, 0]);
    shm.detach(view);
  });
});

describe('Broadcast', () => {
  claim('a message wakes all readers who sleep, and nobody where none does', async () => {
    const options = { slots: 4, maxMessage: 64 };
    const view = words(Broadcast.byteLength(options));
    const news = new Broadcast(view, 0, options);
    for (const send of [() => news.send(bytes(1)), () => news.draft(8).commit()]) {
      const reading = [news.reader().receiveAsync(), news.reader().receiveAsync()];
      await asleep(2);
      assert.deepEqual(wakesOf(send), [[READERS_EVENT, ALL]]);
      assert.deepEqual(wakesOf(send), [], 'they are awake already');
      await Promise.all(reading);
    }
    shm.detach(view);
  });

  claim('a reader sees a message whole or not at all, whenever it looks', () => {
    const options = { slots: 2, maxMessage: 100 };
    const view = words(Broadcast.byteLength(options));
    const news = new Broadcast(view, 0, options);
    const message = (number) => bytes(number, (number * 37) % 100);
    const send = () => news.send(message(news.next));
    const stamp = (number) => RING + (number % 2) * 32;
    const read = (reader) => {
      const received = reader.tryReceive();
      if (received === null) return null;
      assert.deepEqual(received.message, message(received.number));
      return received.number;
    };
    send();
    send();
    for (let number = 2; number < 40; number++) {
      const old = () => news.reader({ rewind: true });
      const seen = [];
      const reader = news.reader();
      const look = () => seen.push(read(old()), read(reader));
      // The stamp goes first, and the head last.
      during('exchange', stamp(number), { before: look, after: look }, () =>
        during('store', 33, { before: look, after: () => seen.push(read(reader)) }, send),
      );
      assert.deepEqual(seen, [number - 2, null, number - 1, null, number - 1, null, number]);
    }
    // And whenever it is overtaken while it reads.
    for (const when of ['before', 'after']) {
      for (let nth = 1; nth <= 3; nth++) {
        const reader = news.reader({ rewind: true });
        const oldest = reader.next;
        const overtake = () => [send(), send()];
        const number = during('load', stamp(oldest), { [when]: overtake, nth }, () => read(reader));
        assert.ok(number > oldest || (when === 'after' && nth === 3), `${number}`);
      }
    }
    shm.detach(view);
  }, { skip: typeof Bun !== 'undefined' && 'there is no operation of Atomics to meet it at: see lib/sync/order.js' });
});

describe('what happens just before somebody falls asleep is not missed', () => {
  const channel = (view) => two(Channel, view, { capacity: 64 });
  // Where it is about to say that it sleeps, what it waits for happens.
  const falls = {
    'Mutex.lockAsync': ['compareExchange', MUTEX, (view) => {
      const guard = new Mutex(view, 0).lock();
      return [() => guard.unlock(), () => new Mutex(view, 0).lockAsync()];
    }],
    'Semaphore.acquireAsync': ['or', SEMAPHORE_QUEUE, (view) => {
      const semaphore = new Semaphore(view, 0, { permits: 1 });
      const permit = semaphore.acquire();
      return [() => permit.unlock(), () => semaphore.acquireAsync()];
    }],
    'RwLock.readAsync': ['compareExchange', WRITER, (view) => {
      const lock = new RwLock(view, 0, { readers: 1 });
      const guard = lock.write();
      return [() => guard.unlock(), () => lock.readAsync()];
    }],
    'RwLock.readAsync, for a slot': ['or', READERS_QUEUE, (view) => {
      const lock = new RwLock(view, 0, { readers: 1 });
      const guard = lock.read();
      return [() => guard.unlock(), () => lock.readAsync()];
    }],
    'RwLock.writeAsync': ['compareExchange', SLOTS, (view) => {
      const lock = new RwLock(view, 0, { readers: 1 });
      const guard = lock.read();
      return [() => guard.unlock(), () => lock.writeAsync()];
    }],
    'Condition.waitAsync': ['compareExchange', MUTEX, (view) => {
      const [guard, condition] = [new Mutex(view, 0).lock(), new Condition(view, 4)];
      return [() => condition.notifyOne(), () => condition.waitAsync(guard)];
    }],
    'Barrier.waitAsync': ['load', 4, (view) => {
      const barrier = new Barrier(view, 0, { parties: 2 });
      const [a, b] = [barrier.join(), barrier.join()];
      return [() => b.wait(), () => a.waitAsync(), 2]; // the first look is for its arrival
    }],
    'Once.callAsync': ['compareExchange', 2, (view) => {
      const once = new Once(view, 0);
      view[2] = DEAD; // it is not asked about at once
      return [() => Atomics.store(view, 2, 2 ** 30), () => once.callAsync(() => assert.fail('it is done'))];
    }],
    'Channel.receiveAsync': ['or', CONSUMER_EVENT, (view) => {
      const [sender, receiver] = channel(view);
      return [() => sender.send(bytes(1)), () => receiver.receiveAsync()];
    }],
    'Channel.sendAsync': ['or', PRODUCERS_EVENT, (view) => {
      const [sender, receiver] = channel(view);
      while (sender.trySend(bytes(1)));
      return [() => receiver.receive(), () => sender.sendAsync(bytes(1))];
    }],
    'Reader.receiveAsync': ['or', READERS_EVENT, (view) => {
      const news = new Broadcast(view, 0, { slots: 2, maxMessage: 8 });
      return [() => news.send(bytes(1)), () => news.reader().receiveAsync()];
    }],
  };

  for (const [name, [operation, word, make]] of Object.entries(falls)) {
    claim(name, async () => {
      const view = words();
      const [happen, wait, nth] = make(view);
      await during(operation, word, { before: happen, nth }, wait);
      shm.detach(view);
    });
  }
});

describe('where nobody sleeps', () => {
  claim('nothing is called natively', async () => {
    const view = words();
    const [mutex, semaphore] = [new Mutex(view, 0), new Semaphore(view, 4, { permits: 2 })];
    const [lock, condition] = [new RwLock(view, 16, { readers: 2 }), new Condition(view, 32)];
    const rings = ['one', 'many'].map((producers) => {
      const options = { capacity: 256, producers };
      return new Channel(words(Channel.byteLength(options)), 0, options);
    });
    const news = new Broadcast(words(), 0, { slots: 4, maxMessage: 64 });
    const reader = news.reader();
    const target = Buffer.alloc(64);
    const round = async () => {
      for (const how of ['lock', 'tryLock', 'lockAsync']) (await mutex[how]()).unlock();
      for (const how of ['acquire', 'tryAcquire', 'acquireAsync']) (await semaphore[how]()).unlock();
      for (const how of ['read', 'tryRead', 'readAsync', 'write', 'tryWrite', 'writeAsync']) (await lock[how]()).unlock();
      condition.notifyOne();
      for (const ring of rings) {
        for (const how of ['send', 'trySend', 'sendAsync']) await ring[how](bytes(1));
        ring.receive();
        ring.receiveInto(target);
        ring.peek().release();
      }
      const room = rings[0].reserve(8);
      room.commit();
      assert.equal((await rings[0].receiveAsync()).length, 8);
      news.send(bytes(1));
      news.draft(8).commit();
      assert.equal(reader.receive().number + 1, (await reader.receiveAsync()).number);
    };
    await round(); // finds who is the producer and the consumer
    called.length = 0;
    for (let i = 0; i < 100; i++) await round();
    assert.deepEqual(called, []);
  });
});

describe('a wake-up that finds one who has given up goes to the next', () => {
  // The one who gives up has slept longest, and so is the one who is woken.
  const ways = {
    waitAsync: (view) => {
      const wait = (options) => waitAsync(view, 0, 0, options);
      return { wait, wake: () => (Atomics.store(view, 0, 1), notify(view, 0, 1)), word: 0 };
    },
    lockAsync: (view) => {
      const guard = new Mutex(view, 0).lock();
      const wait = (options) => new Mutex(view, 0).lockAsync(options).then((guard) => guard.unlock());
      return { wait, wake: () => guard.unlock(), word: MUTEX };
    },
    acquireAsync: (view) => {
      const semaphore = new Semaphore(view, 0, { permits: 1 });
      const permit = semaphore.acquire();
      const wait = (options) => semaphore.acquireAsync(options).then((permit) => permit.unlock());
      return { wait, wake: () => permit.unlock(), word: SEMAPHORE_QUEUE };
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
      return { wait, wake: () => condition.notifyOne(), word: 6 };
    },
  };

  for (const [name, begin] of Object.entries(ways)) {
    claim(name, async () => {
      for (let round = 0; round < 5; round++) {
        const view = words();
        const { wait, wake, word } = begin(view);
        const controller = new AbortController();
        const gone = assert.rejects(wait({ signal: controller.signal }), enough);
        const stays = wait();
        await asleep(2);
        wake();
        controller.abort(new Error('enough'));
        called.length = 0;
        await gone;
        await stays;
        assert.deepEqual(wakes()[0], [word, 1]);
        shm.detach(view);
      }
    });
  }

  claim('also where it found by looking what it waited for', async () => {
    const view = words();
    const guard = new Mutex(view, 0).lock();
    const waiting = new Mutex(view, 0).lockAsync();
    await asleep(1);
    assert.deepEqual(wakesOf(() => guard.unlock()), [[MUTEX, 1]]);
    assert.deepEqual(wakesOf(look), []);
    assert.ok(view[MUTEX] & WAITERS, 'it has it, and is yet to hear of the wake-up');
    const got = await waiting;
    assert.deepEqual(wakes(), [[MUTEX, 1]]);
    got.unlock();
    shm.detach(view);
  });
});

describe('by wake-ups alone, three processes go on', () => {
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

describe('where no wake-up comes, as its sender was killed', () => {
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

  claim('whoever waits looks by itself, long before half a second is over', async () => {
    const view = words();
    const took = [];
    for (const [name, index, options, how] of all) {
      for (const waits of [how, `${how}Async`]) {
        const holder = peer(view, hold, [name, index, options, how]);
        await holder.ready;
        const waiter = peer(view, wait, [name, index, options, waits]);
        await waiter.ready;
        await sleep(30); // it waits by then
        holder.child.kill('SIGKILL');
        const killed = performance.now();
        const { code, stderr } = await waiter.ended;
        took.push(performance.now() - killed);
        assert.deepEqual([code, stderr], [0, ''], waits);
        await holder.ended;
      }
    }
    const median = took.sort((a, b) => a - b)[took.length >> 1];
    assert.ok(median < 500, `${took.map(Math.round)} ms`);
    shm.detach(view);
  });
});
