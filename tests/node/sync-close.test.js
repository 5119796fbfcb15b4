'use strict';

// What becomes of what is open or pending: at a close, a detach, a transfer of the message, the end of a turn's time.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { ask, folder, run, shm, sleep, until } = require('./support.js');
const { kill, leaveNothing, peer, place, words } = require('./support/sync.js');
const sync = require(`${folder}/sync.js`);
const { Broadcast, Channel, Mutex, RwLock, Semaphore, waitAsync } = sync;

leaveNothing();

// A promise of an end, not of speed: a machine that is busy with other things may take a part of it.
const GENEROUS = 60_000;

/** A test that fails where something never ends. */
const claim = (name, body, options) => it(name, { timeout: 2 * GENEROUS, ...options }, body);

const channel = (options) => {
  const view = words(Channel.byteLength(options));
  return { view, ring: new Channel(view, 0, options) };
};
const broadcast = (options) => {
  const view = words(Broadcast.byteLength(options));
  return { view, news: new Broadcast(view, 0, options) };
};

/** Runs `body(sync, view)` in a worker thread. */
function inWorker(view, body) {
  const code = `
    const shm = require(process.env.SHM_NODE_PACKAGE);
    (${body})(require(process.env.SHM_NODE_PACKAGE + '/sync.js'), shm.get(require('worker_threads').workerData));`;
  const worker = new Worker(code, { eval: true, workerData: place(view) });
  return new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve));
}

const bytes = (number, length = 8) => Buffer.alloc(length, number);

/** Sends messages of one size until there is no room; gives their numbers. */
function fill(ring, length) {
  const sent = [];
  while (ring.trySend(bytes(sent.length, length))) sent.push(sent.length);
  return sent;
}

/** The first bytes of all messages that are there. */
function drain(ring) {
  const got = [];
  for (let message; (message = ring.tryReceive()) !== null; ) got.push(message[0]);
  return got;
}

const codesOf = async (promises) => (await Promise.allSettled(promises)).map(({ reason }) => reason?.code);
const CLOSED = { code: 'ERR_SHM_CLOSED' };

for (const producers of ['one', 'many']) {
  describe(`close of a Channel (producers: ${producers})`, () => {
    claim('it ends "for await", and takes nothing of what comes then', async () => {
      const { view, ring } = channel({ capacity: 1024, producers });
      const [sender, next] = [new Channel(view, 0), new Channel(view, 0)];
      const got = [];
      const loop = (async () => {
        for await (const [first] of ring) got.push(first);
      })();
      sender.send(bytes(0));
      assert.ok(await until(() => got.length === 1));
      ring.close();
      sender.send(bytes(1));
      await loop;
      assert.deepEqual([got, drain(next)], [[0], [1]]);
      next.close();
      // The same object begins anew.
      sender.send(bytes(2));
      for await (const [first] of ring) {
        got.push(first);
        ring.close();
      }
      assert.deepEqual(got, [0, 2]);
      shm.detach(view);
    });

    claim('pending calls reject, and the calls queued behind them', async () => {
      const { view, ring } = channel({ capacity: 64, producers });
      const other = new Channel(view, 0);
      const receiving = codesOf([
        ring.receiveAsync(),
        ring.peekAsync(),
        ring.receiveAsync({ timeout: 10 * GENEROUS }),
        ring.receiveAsync({ signal: new AbortController().signal }),
      ]);
      await sleep(1);
      ring.close();
      assert.deepEqual(await receiving, Array(4).fill('ERR_SHM_CLOSED'));
      const there = fill(ring, 8);
      const sending = codesOf([ring.sendAsync(bytes(90)), ring.reserveAsync(8), ring.sendAsync(bytes(91))]);
      await sleep(1);
      ring.close();
      assert.deepEqual(drain(other), there);
      assert.deepEqual(await sending, Array(3).fill('ERR_SHM_CLOSED'));
      other.send(bytes(7));
      assert.deepEqual(drain(other), [7]);
      shm.detach(view);
    });

    claim("a message released after it moves nothing: it is the next consumer's, who gets each one once", () => {
      for (const taken of [0, 2, 4]) {
        const { view, ring } = channel({ capacity: 256, producers });
        const [sender, next] = [new Channel(view, 0), new Channel(view, 0)];
        for (let number = 0; number < 4; number++) sender.send(bytes(number));
        const [message, disposed] = [ring.peek(), ring.peek()];
        ring.close();
        const got = Array.from({ length: taken }, () => next.receive()[0]);
        sender.send(bytes(4));
        assert.throws(() => message.release(), CLOSED);
        disposed[Symbol.dispose]?.(); // throws nothing
        got.push(...drain(next));
        next.close();
        assert.throws(() => message.release(), { code: 'ERR_SHM_NOT_HELD' });
        assert.deepEqual([got, drain(ring)], [[0, 1, 2, 3, 4], []], `${taken}`);
        shm.detach(view);
      }
    });

    claim('a reservation committed after it publishes nothing', () => {
      const { view, ring } = channel({ capacity: 256, producers });
      const [next, consumer] = [new Channel(view, 0), new Channel(view, 0)];
      for (const end of ['commit', 'abandon', Symbol.dispose]) {
        const room = ring.reserve(8);
        room.view.fill(99);
        ring.close();
        for (let number = 0; number < 3; number++) next.send(bytes(number));
        if (typeof end === 'string') assert.throws(() => room[end](), CLOSED);
        else room[end]?.();
        next.send(bytes(3));
        assert.deepEqual(drain(consumer), [0, 1, 2, 3]);
        next.close();
      }
      assert.equal(consumer.lost, 0);
      ring.send(bytes(5));
      assert.deepEqual(drain(consumer), [5]);
      shm.detach(view);
    });
  });
}

describe('open reservations, with many producers', () => {
  for (const how of ['close', 'detach']) {
    claim(`a ${how} gives them up, so that the consumer in another process goes on`, async () => {
      const { view, ring } = channel({ capacity: 1024, producers: 'many' });
      const consumer = peer(view, async (shm, { Channel }, view, ready, patience) => {
        const ring = new Channel(view, 0);
        const got = [String(ring.receive(patience))];
        ready();
        for (const receive of [() => ring.receive(patience), () => ring.receiveAsync({ timeout: patience })]) {
          got.push(String(await receive()));
        }
        console.log(`${got} ${ring.lost}`);
      }, GENEROUS);
      ring.send(Buffer.from('first'));
      await consumer.ready;
      const rooms = [ring.reserve(10), ring.reserve(100)];
      ring.send(Buffer.from('second'));
      const last = ring.reserve(0);
      ring.send(Buffer.from('third'));
      // The consumer found that they are not committed, and sleeps.
      await sleep(5);
      if (how === 'close') ring.close();
      else shm.detach(view);
      for (const room of [...rooms, last]) {
        assert.throws(() => room.commit(), { code: how === 'close' ? 'ERR_SHM_CLOSED' : 'ERR_SHM_DETACHED' });
      }
      const { code, stdout, stderr } = await consumer.ended;
      assert.deepEqual([code, stdout, stderr], [0, 'first,second,third 0\n', '']);
      shm.detach(view);
    });
  }

  claim('of a killed producer are skipped together', async () => {
    const { view, ring } = channel({ capacity: 1024, producers: 'many' });
    const producer = peer(view, (shm, { Channel }, view, ready) => {
      const ring = new Channel(view, 0);
      for (let open = 0; open < 10; open++) ring.reserve(open);
      ready();
      setInterval(() => {}, 1000);
    });
    await producer.ready;
    await kill(producer);
    ring.send(bytes(1));
    assert.equal(ring.tryReceive(), null, 'it is not asked about at once');
    await sleep(50);
    assert.deepEqual([drain(ring), ring.lost], [[1], 10]);
    shm.detach(view);
  });
});

describe('close of a Broadcast', () => {
  claim('a draft committed after it sends nothing, and the head does not go back', () => {
    const { view, news } = broadcast({ slots: 8, maxMessage: 64 });
    const [next, reader] = [new Broadcast(view, 0), news.reader()];
    const draft = news.draft(2);
    const [abandoned, disposed] = [1, 2].map(() => (news.close(), news.draft(2)));
    news.close();
    for (let number = 0; number < 5; number++) assert.equal(next.send(bytes(number)), number);
    assert.throws(() => draft.commit(), CLOSED);
    assert.throws(() => abandoned.abandon(), CLOSED);
    disposed[Symbol.dispose]?.();
    assert.equal(next.send(bytes(5)), 5);
    const got = Array.from({ length: 6 }, () => reader.tryReceive());
    assert.deepEqual(got.map(({ number, missed, message }) => [number, missed, message[0]]), got.map((_, i) => [i, 0, i]));
    assert.deepEqual([reader.tryReceive(), next.next, news.next], [null, 6, 6]);
    next.close();
    assert.equal(news.send(bytes(6)), 6, 'no draft is open');
    shm.detach(view);
  });

  claim('reading the next number does not make the object a producer', () => {
    const { view, news } = broadcast({ slots: 8, maxMessage: 64 });
    const other = new Broadcast(view, 0);
    assert.equal(other.next, 0);
    assert.equal(news.send(bytes(1)), 0);
    assert.deepEqual([other.next, news.next], [1, 1]);
    news.close();
    assert.equal(other.send(bytes(1)), 1);
    shm.detach(view);
  });
});

const canResize = typeof ArrayBuffer.prototype.resize === 'function';
const resizing = { skip: canResize ? false : 'this runtime has no resizable ArrayBuffer' };
const transfer = (buffer) => void structuredClone(buffer, { transfer: [buffer] });
const CHANGED = { code: 'ERR_SHM_CHANGED' };

for (const producers of ['one', 'many']) {
  describe(`a message that changes (producers: ${producers})`, () => {
    claim('its buffer was transferred before it is sent: an error, and the channel goes on', async () => {
      const { view, ring } = channel({ capacity: 256, producers });
      const moved = new Uint8Array(10);
      transfer(moved.buffer);
      assert.throws(() => ring.send(moved), CHANGED);
      assert.throws(() => ring.trySend(moved), CHANGED);
      await assert.rejects(ring.sendAsync(moved), CHANGED);
      const gone = words();
      const bytesOfGone = new Uint8Array(gone.buffer, 0, 10);
      shm.detach(gone);
      assert.throws(() => ring.send(bytesOfGone), CHANGED);
      assert.equal(ring.send(new Uint8Array(0)), true, 'an empty one is a message');
      ring.send(bytes(1));
      assert.deepEqual([ring.tryReceive().length, drain(ring), ring.lost], [0, [1], 0]);
      shm.detach(view);
    });

    claim('its buffer is transferred while it waits for room: an error, and the messages behind it are sent', async () => {
      const { view, ring } = channel({ capacity: 256, producers });
      const sent = fill(ring, 20);
      const message = new Uint8Array(20).fill(77);
      const changed = assert.rejects(ring.sendAsync(message), CHANGED);
      const behind = ring.sendAsync(bytes(55, 20));
      transfer(message.buffer);
      const got = [];
      while (got.at(-1) !== 55) got.push((await ring.receiveAsync({ timeout: GENEROUS }))[0]);
      assert.deepEqual(got, [...sent, 55]);
      await changed;
      assert.equal(await behind, true);
      ring.send(bytes(1));
      assert.deepEqual([drain(ring), ring.lost], [[1], 0]);
      shm.detach(view);
    });

    claim('its buffer is resized while it waits for room: sent as it was, or an error if it is shorter now', async () => {
      const views = [(buffer) => new Uint8Array(buffer), (buffer) => new Uint8Array(buffer, 0, 20), (buffer) => buffer];
      for (const view of views) {
        for (const size of [200, 21, 20, 19, 0]) {
          const { view: segment, ring } = channel({ capacity: 256, producers });
          const sent = fill(ring, 20);
          const buffer = new ArrayBuffer(20, { maxByteLength: 200 });
          const sending = ring.sendAsync(view(buffer)).catch(({ code }) => code);
          const behind = ring.sendAsync(bytes(55, 20));
          buffer.resize(size);
          new Uint8Array(buffer).fill(77);
          const got = [];
          while (got.at(-1)?.[0] !== 55) got.push(await ring.receiveAsync({ timeout: GENEROUS }));
          const whole = size >= 20;
          assert.deepEqual([await sending, await behind], [whole || 'ERR_SHM_CHANGED', true], `${size}`);
          assert.deepEqual(got, [...sent, ...(whole ? [77] : []), 55].map((number) => bytes(number, 20)), `${size}`);
          shm.detach(segment);
        }
      }
    }, resizing);

    claim('a target is resized between two messages: each arrives whole', () => {
      const { view, ring } = channel({ capacity: 1024, producers });
      const buffer = new ArrayBuffer(16, { maxByteLength: 256 });
      const target = new Uint8Array(buffer);
      for (const length of [16, 16, 64, 64, 20, 64]) ring.send(bytes(length, length));
      for (const size of [16, 128, 128, 64, 20, 64]) {
        buffer.resize(size);
        const length = ring.receiveInto(target);
        assert.deepEqual(Buffer.from(target.subarray(0, length)), bytes(length, length));
      }
      shm.detach(view);
    }, resizing);
  });
}

describe('turns', () => {
  claim('receiveAsync and peekAsync keep their time behind another call', async () => {
    const { view, ring } = channel({ capacity: 256 });
    const ahead = ring.receiveAsync();
    const late = [ring.receiveAsync({ timeout: 15 }), ring.peekAsync({ timeout: 15 }), ring.receiveAsync({ timeout: 0 })];
    const behind = ring.receiveAsync();
    assert.deepEqual(await Promise.all(late), [null, null, null]);
    ring.send(bytes(1));
    ring.send(bytes(2));
    assert.deepEqual([(await ahead)[0], (await behind)[0]], [1, 2], 'who gave up took nothing');
    shm.detach(view);
  });

  for (const producers of ['one', 'many']) {
    claim(`sendAsync and reserveAsync do, and what is given up is not sent (producers: ${producers})`, async () => {
      const { view, ring } = channel({ capacity: 256, producers });
      const sent = fill(ring, 20);
      const ahead = ring.sendAsync(bytes(50, 20));
      const late = [
        ring.sendAsync(bytes(51, 20), { timeout: 15 }),
        ring.reserveAsync(20, { timeout: 15 }),
        ring.sendAsync(bytes(52, 20), { timeout: 0 }),
      ];
      const behind = ring.sendAsync(bytes(53, 20));
      assert.deepEqual(await Promise.all(late), [false, null, false]);
      const got = [];
      while (got.at(-1) !== 53) got.push((await ring.receiveAsync())[0]);
      assert.deepEqual([await ahead, await behind, got], [true, true, [...sent, 50, 53]]);
      shm.detach(view);
    });
  }

  claim('lockAsync keeps its time too, and an abort leaves the queue at once', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    const guard = mutex.lock();
    const ahead = mutex.lockAsync();
    const controller = new AbortController();
    const aborted = assert.rejects(mutex.lockAsync({ signal: controller.signal }), { message: 'enough' });
    const behind = mutex.lockAsync();
    assert.equal(await mutex.lockAsync({ timeout: 15 }), false);
    controller.abort(new Error('enough'));
    await aborted;
    guard.unlock();
    (await ahead).unlock();
    (await behind).unlock();
    assert.equal(view[2], 0);
    shm.detach(view);
  });

  claim('lockAsync calls on one Mutex come in order', async () => {
    const view = words();
    const mutex = new Mutex(view, 0);
    for (let round = 0; round < 20; round++) {
      const guard = mutex.lock();
      const order = [];
      const locking = [];
      for (let number = 0; number < 8; number++) {
        locking.push(mutex.lockAsync().then((guard) => (order.push(number), guard.unlock())));
        // Some begin to sleep, some come while another wakes up.
        if (round % 2) await sleep(number % 3);
      }
      await sleep(round);
      guard.unlock();
      await Promise.all(locking);
      assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
    shm.detach(view);
  });
});

describe('the event loop', () => {
  // What makes an object, and a call on it.
  const calls = {
    receiveAsync: ({ Channel }, view) => {
      const ring = new Channel(view, 0, { capacity: 64 });
      return (options) => ring.receiveAsync(options);
    },
    sendAsync: ({ Channel }, view) => {
      const ring = new Channel(view, 0, { capacity: 64 });
      while (ring.trySend(new Uint8Array(8)));
      return (options) => ring.sendAsync(new Uint8Array(8), options);
    },
    lockAsync: ({ Mutex }, view) => {
      const mutex = new Mutex(view, 0);
      mutex.lock();
      return (options) => mutex.lockAsync(options);
    },
  };
  const program = (shm, folder, make, ...all) => {
    const call = make(require(folder + '/sync.js'), shm.create(4096, 'Int32Array'));
    all.forEach((options, i) => call(options).then((got) => console.log(`${i} ${got}`), () => {}));
    process.on('exit', () => console.log('exit'));
  };
  const talk = async (make, ...all) => {
    const body = `(shm, folder, ...all) => (${program})(shm, folder, ${make}, ...all)`;
    const { code, stdout, stderr } = await run(body, [folder, ...all], { env: { SHM_NODE_QUIET: '1' }, patience: GENEROUS });
    assert.deepEqual([code, stderr], [0, '']);
    return stdout.trim().split('\n');
  };

  for (const [name, make] of Object.entries(calls)) {
    const none = name === 'receiveAsync' ? null : false;

    claim(`${name} keeps it alive behind one that does not`, async () => {
      assert.deepEqual(await talk(make, { ref: false }, { timeout: 50 }), [`1 ${none}`, 'exit']);
    });

    claim(`${name} with ref: false does not, behind one that does`, async () => {
      assert.deepEqual(await talk(make, { timeout: 50 }, { ref: false }, { ref: false, timeout: 600_000 }), [`0 ${none}`, 'exit']);
    });
  }

  claim('twenty waits on one AbortSignal print no warning', async () => {
    const { code, stdout, stderr } = await run(
      async (shm, folder) => {
        const { Broadcast, Channel, Mutex, Semaphore, waitAsync } = require(folder + '/sync.js');
        const [view, ring, news] = [1, 2, 3].map(() => shm.create(4096, 'Int32Array'));
        const controller = new AbortController();
        const { signal } = controller;
        const [mutex, semaphore] = [new Mutex(view, 0), new Semaphore(view, 4, { permits: 1 })];
        const channel = new Channel(ring, 0, { capacity: 64 });
        const reader = new Broadcast(news, 0, { slots: 2, maxMessage: 8 }).reader();
        mutex.lock();
        semaphore.acquire();
        const twenty = (call) => Array.from({ length: 20 }, () => call({ signal }));
        const pending = Promise.allSettled([
          ...twenty((options) => waitAsync(view, 100, 0, options)),
          ...twenty((options) => mutex.lockAsync(options)),
          ...twenty((options) => semaphore.acquireAsync(options)),
          ...twenty((options) => channel.receiveAsync(options)),
          ...twenty((options) => reader.receiveAsync(options)),
        ]);
        await new Promise((resolve) => setTimeout(resolve, 10)); // warnings come later
        controller.abort(new Error('enough'));
        const reasons = (await pending).map(({ reason }) => reason.message);
        console.log(reasons.length, ...new Set(reasons));
      },
      [folder],
      { env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual([code, stdout, stderr], [0, '100 enough\n', '']);
  });
});

describe('a caller that would wait for itself', () => {
  // In a process of its own: a thread that blocks is ended by nothing else.
  const asked = (body) =>
    ask(
      `async (shm, folder) => {
        const codeOf = (work) => { try { return work(); } catch ({ code }) { return code; } };
        ready(await (${body})(require(folder + '/sync.js'), shm.create(4096, 'Int32Array'), codeOf));
      }`,
      [folder],
      { env: { SHM_NODE_QUIET: '1' }, patience: GENEROUS },
    );

  claim('a thread that has all permits gets an error, or false when time is up', async () => {
    const seen = await asked(async ({ Semaphore }, view, codeOf) => {
      const semaphore = new Semaphore(view, 0, { permits: 2 });
      const permits = [semaphore.acquire(), semaphore.acquire()];
      const seen = [codeOf(() => semaphore.acquire()), codeOf(() => semaphore.withPermit(() => 1))];
      seen.push(semaphore.acquire(15), semaphore.tryAcquire());
      const waiting = semaphore.acquireAsync(); // another turn of the loop can give one back
      for (const permit of permits) permit.unlock();
      (await waiting).unlock();
      return [...seen, semaphore.withPermit(() => 2)];
    });
    assert.deepEqual(seen, ['ERR_SHM_DEADLOCK', 'ERR_SHM_DEADLOCK', false, false, 2]);
  });

  claim('a thread that has all reader slots gets the same', async () => {
    const seen = await asked(async ({ RwLock }, view, codeOf) => {
      const lock = new RwLock(view, 0, { readers: 2 });
      const readers = [lock.read(), lock.read()];
      const seen = [codeOf(() => lock.read()), codeOf(() => lock.withRead(() => 1))];
      seen.push(lock.read(15), lock.tryRead());
      const waiting = lock.readAsync();
      for (const reader of readers) reader.unlock();
      (await waiting).unlock();
      return [...seen, lock.withRead(() => 2)];
    });
    assert.deepEqual(seen, ['ERR_SHM_DEADLOCK', 'ERR_SHM_DEADLOCK', false, false, 2]);
  });

  claim('while another process has one of them, the thread waits for it', async () => {
    const view = words();
    const [semaphore, lock] = [new Semaphore(view, 0, { permits: 2 }), new RwLock(view, 32, { readers: 2 })];
    const other = peer(view, (shm, { RwLock, Semaphore }, view, ready) => {
      const held = [new Semaphore(view, 0).acquire(), new RwLock(view, 32).read()];
      ready();
      setTimeout(() => held.forEach((guard) => guard.unlock()), 50);
    });
    await other.ready;
    const held = [semaphore.acquire(), lock.read()];
    held.push(semaphore.acquire(), lock.read());
    for (const guard of held) guard.unlock();
    assert.equal((await other.ended).stderr, '');
    shm.detach(view);
  });
});

describe('a slot or a writing of another thread', () => {
  const hold = ({ RwLock, Semaphore }, view) => [
    new Semaphore(view, 0, { permits: 2 }).acquire().slot,
    new RwLock(view, 32, { readers: 2 }).read().slot,
    new RwLock(view, 64, { readers: 2 }).write().slot,
  ];
  const letGo = ({ RwLock, Semaphore }, view, [permit, reader]) => {
    const codes = [];
    for (const end of [
      () => new Semaphore(view, 0).release(permit),
      () => new RwLock(view, 32).endRead(reader),
      () => new RwLock(view, 64).endWrite(),
    ]) {
      try {
        end();
        codes.push('done');
      } catch ({ code }) {
        codes.push(code);
      }
    }
    return codes;
  };

  claim('can be released by any thread of the process', async () => {
    const view = words();
    const slots = hold(sync, view);
    const body = (slots) => `(sync, view) => {
      const codes = (${letGo})(sync, view, ${JSON.stringify(slots)}).join();
      if (codes !== 'done,done,done') throw new Error(codes);
    }`;
    await inWorker(view, body(slots));
    assert.deepEqual(letGo(sync, view, slots), Array(3).fill('ERR_SHM_NOT_HELD'));
    // Those who wait here are woken by it.
    const again = hold(sync, view);
    const [semaphore, reading, writing] = [new Semaphore(view, 0), new RwLock(view, 32), new RwLock(view, 64)];
    semaphore.acquire();
    const waiting = [semaphore.acquireAsync(), reading.writeAsync(), writing.readAsync()];
    await sleep(5);
    await inWorker(view, body(again));
    for (const guard of await Promise.all(waiting)) guard.unlock();
    shm.detach(view);
  });

  claim('cannot be released by another process', async () => {
    const view = words();
    const slots = hold(sync, view);
    const other = peer(view, `(shm, sync, view, ready, slots) => ready((${letGo})(sync, view, slots))`, slots);
    assert.deepEqual(await other.ready, Array(3).fill('ERR_SHM_NOT_OWNER'));
    assert.equal((await other.ended).stderr, '');
    assert.deepEqual(letGo(sync, view, slots), Array(3).fill('done'));
    shm.detach(view);
  });
});

describe('with thousands of waits', () => {
  claim('a killed holder is still noticed', async () => {
    const way = require(`${folder}/lib/native.js`).wayToWait();
    const count = way.startsWith('io_uring') ? 20_000 : 500; // else each takes a thread
    const view = words();
    const many = words(4 * count);
    const waits = Array.from({ length: count }, (_, index) => waitAsync(many, index, 0));
    const ended = Promise.allSettled(waits);
    const mutex = new Mutex(view, 0);
    const took = [];
    // A busy machine makes one late, but not all of them.
    while (took.length < 20 && !(took.at(-1) < 500)) {
      const holder = peer(view, (shm, { Mutex }, view, ready) => {
        new Mutex(view, 0).lock();
        ready();
        setInterval(() => {}, 1000);
      });
      await holder.ready;
      const waiting = mutex.lockAsync();
      await sleep(30);
      holder.child.kill('SIGKILL');
      const killed = performance.now();
      const guard = await waiting;
      took.push(performance.now() - killed);
      assert.equal(guard.ownerDied, true);
      guard.unlock();
      await holder.ended;
    }
    assert.ok(took.at(-1) < 500, `${took.map(Math.round)} ms`);
    shm.detach(many);
    assert.ok((await ended).every(({ reason }) => reason?.code === 'ERR_SHM_DETACHED'));
    shm.detach(view);
  });
});
