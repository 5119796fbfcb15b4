'use strict';

// Channel and Broadcast: alone, between processes, with killed ends, and over bytes that are no such thing.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fc = require('fast-check');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { built, folder, needs, objectOf, shm, sleep, withNames } = require('./support.js');
const { kill, leaveNothing, peer, place, words } = require('./support/sync.js');
const sync = require(`${folder}/sync.js`);
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore } = sync;

leaveNothing();

const root = path.join(__dirname, '..', '..');
const channel = (options, backend) => {
  const view = words(Channel.byteLength(options), backend);
  return { view, channel: new Channel(view, 0, options) };
};

/** A message that tells its number and its length, and whether it is whole. */
const message = (number, length) => {
  const bytes = Buffer.alloc(4 + (length ?? number % 300), number);
  bytes.writeUInt32LE(number);
  return bytes;
};
const numberOf = (bytes, length) => {
  const number = bytes.readUInt32LE();
  assert.deepEqual(bytes, message(number, length));
  return number;
};

describe('Channel', () => {
  for (const producers of ['one', 'many']) {
    it(`messages of every size are received as they were sent (${producers})`, async () => {
      const { view, channel: ring } = channel({ capacity: 1024, producers });
      assert.deepEqual([ring.capacity, ring.producers, ring.maxMessage, ring.lost], [1024, producers, 504, 0]);
      assert.equal(ring.tryReceive(), null);
      assert.equal(ring.receive(5), null);
      assert.equal(await ring.receiveAsync({ timeout: 5 }), null);
      const target = Buffer.alloc(504);
      for (let length = 0; length <= 504; length++) {
        const sent = Buffer.alloc(length, length);
        for (let i = 0; i < length; i++) sent[i] = i * 7 + length;
        if (length % 4 === 0) assert.equal(ring.send(sent), true);
        else if (length % 4 === 1) assert.equal(ring.trySend(sent), true);
        else if (length % 4 === 2) assert.equal(await ring.sendAsync(sent), true);
        else {
          const room = ring.reserve(length);
          room.view.set(sent);
          room.commit();
        }
        if (length % 5 === 0) assert.deepEqual(ring.receive(), sent);
        else if (length % 5 === 1) assert.deepEqual(ring.tryReceive(), sent);
        else if (length % 5 === 2) assert.deepEqual(await ring.receiveAsync(), sent);
        else if (length % 5 === 3) assert.deepEqual(target.subarray(0, ring.receiveInto(target)), sent);
        else {
          const peeked = ring.peek();
          assert.deepEqual(Buffer.from(peeked.view), sent);
          peeked.release();
        }
      }
      for (const sent of [new Float64Array([1.5, NaN]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(5)]) {
        ring.send(sent);
        assert.deepEqual(ring.receive(), Buffer.from(sent.buffer ?? sent));
      }
      shm.detach(view);
    });

    it(`producers wait while it is full, and messages keep their order (${producers})`, async () => {
      const { view, channel: ring } = channel({ capacity: 256, producers });
      let sent = 0;
      while (ring.trySend(message(sent, 20))) sent++;
      assert.ok(sent >= 7);
      assert.equal(ring.send(message(sent, 20), 5), false);
      assert.equal(await ring.sendAsync(message(sent, 20), { timeout: 5 }), false);
      assert.equal(ring.tryReserve(20), null);
      const controller = new AbortController();
      const aborted = assert.rejects(ring.sendAsync(message(99), { signal: controller.signal }), { message: 'enough' });
      const later = Array.from({ length: 30 }, (_, i) => ring.sendAsync(message(sent + i, 20)));
      controller.abort(new Error('enough'));
      await aborted;
      for (let number = 0; number < sent + 30; number++) assert.equal(numberOf(await ring.receiveAsync(), 20), number);
      assert.deepEqual([...new Set(await Promise.all(later))], [true]);
      const waiting = Array.from({ length: 7 }, () => ring.receiveAsync());
      for (let number = 0; number < 7; number++) ring.send(message(number, 20));
      assert.deepEqual((await Promise.all(waiting)).map((bytes) => numberOf(bytes, 20)), [...Array(7).keys()]);
      shm.detach(view);
    });
  }

  it('wrong arguments are typed errors', () => {
    for (const capacity of [63, 65, 100, 0, 2 ** 31, 1.5]) {
      assert.throws(() => Channel.byteLength({ capacity }), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    }
    assert.throws(() => Channel.byteLength({ capacity: 64, producers: 'two' }), { code: 'ERR_INVALID_ARG_VALUE' });
    const { view, channel: ring } = channel({ capacity: 64 });
    assert.throws(() => ring.send(Buffer.alloc(25)), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => ring.reserve(25), { name: 'RangeError' });
    for (const wrong of ['text', 5, null, [1], {}]) {
      assert.throws(() => ring.send(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
    ring.send(Buffer.alloc(24, 1));
    assert.throws(() => ring.receiveInto(Buffer.alloc(23)), { name: 'RangeError' });
    assert.deepEqual(ring.receive(), Buffer.alloc(24, 1), 'it stays');
    assert.throws(() => new Channel(view, 1, { capacity: 64 }), { name: 'RangeError' });
    assert.throws(() => new Channel(view, 0, { capacity: 128 }), { name: 'RangeError' });
    assert.throws(() => new Channel(view, 0, { capacity: 64, producers: 'many' }), {
      code: 'ERR_SHM_OPTIONS',
      message: /created with producers='one', opened with producers='many'/,
    });
    assert.equal(new Channel(view, 0).capacity, 64);
    shm.detach(view);
    assert.throws(() => ring.send(Buffer.alloc(1)), { code: 'ERR_SHM_DETACHED' });
    assert.throws(() => ring.receive(), { code: 'ERR_SHM_DETACHED' });
  });

  it('a reservation is sent by commit, and not when it is abandoned; a peeked message stays until its release', () => {
    for (const producers of ['one', 'many']) {
      const { view, channel: ring } = channel({ capacity: 256, producers });
      const first = ring.reserve(3);
      if (producers === 'one') assert.throws(() => ring.send(Buffer.alloc(1)), { code: 'ERR_SHM_RESERVED' });
      assert.equal(ring.tryReceive(), null);
      first.abandon();
      assert.throws(() => first.commit(), { code: 'ERR_SHM_NOT_HELD' });
      const second = ring.reserve(2);
      second.view.fill(2);
      second.commit();
      const peeked = ring.tryPeek();
      assert.deepEqual(Buffer.from(ring.tryPeek().view), Buffer.alloc(2, 2));
      peeked.release();
      assert.throws(() => peeked.release(), { code: 'ERR_SHM_NOT_HELD' });
      assert.equal(ring.tryPeek(), null);
      shm.detach(view);
    }
  });

  it('it has one consumer, and one producer if it was created for one, until they close or detach', () => {
    const { view, channel: ring } = channel({ capacity: 256 });
    ring.send(Buffer.alloc(1));
    ring.receive();
    const other = new Channel(view, 0);
    assert.throws(() => other.send(Buffer.alloc(1)), { code: 'ERR_SHM_TAKEN' });
    assert.throws(() => other.receive(), { code: 'ERR_SHM_TAKEN' });
    ring.close();
    other.send(Buffer.alloc(2));
    assert.equal(other.receive().length, 2);
    const elsewhere = peer(view, (shm, { Channel }, view, ready) => {
      const ring = new Channel(view, 0);
      try { ring.send(Buffer.alloc(3)); } catch ({ code }) { ready(code); }
      process.on('message', () => {});
      setInterval(() => { try { ring.send(Buffer.alloc(3)); process.exit(); } catch {} }, 1);
    });
    return elsewhere.ready.then(async (code) => {
      assert.equal(code, 'ERR_SHM_TAKEN');
      shm.detach(view); // lets go of both ends
      assert.equal((await elsewhere.ended).code, 0);
    });
  });

  it('a detach rejects waiting calls', async () => {
    const { view, channel: ring } = channel({ capacity: 64 });
    const waiting = [ring.receiveAsync(), ring.receiveAsync(), ring.peekAsync()];
    const ended = Promise.allSettled(waiting);
    await sleep(1);
    shm.detach(view);
    for (const { reason } of await ended) assert.equal(reason.code, 'ERR_SHM_DETACHED');
  });

  for (const backend of built) {
    it(`a producer in another process is received from, however both wait (${backend})`, async () => {
      const { view, channel: ring } = channel({ capacity: 4096 }, backend);
      const count = 20_000;
      const { ended } = peer(view, async (shm, { Channel }, view, ready, count) => {
        const ring = new Channel(view, 0);
        for (let number = 0; number < count; number++) {
          const bytes = Buffer.alloc(4 + (number % 300), number);
          bytes.writeUInt32LE(number);
          if (number % 7 === 0) await ring.sendAsync(bytes);
          else ring.send(bytes);
        }
        ring.close();
      }, count, backend);
      let next = 0;
      for await (const bytes of ring) {
        assert.equal(numberOf(bytes), next++);
        while (next < count && next % 11 !== 0) assert.equal(numberOf(ring.receive()), next++);
        if (next === count) break;
      }
      const { code, stderr } = await ended;
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(ring.tryReceive(), null);
      shm.detach(view);
    });
  }

  it('with many producers, some of them killed, each committed message comes once and whole, and `lost` counts the others', async () => {
    const { view, channel: ring } = channel({ capacity: 4096, producers: 'many' });
    const produce = (shm, { Channel }, view, ready, id) => {
      const ring = new Channel(view, 0);
      ready();
      for (let number = 0; ; number++) {
        const room = ring.reserve(8 + (number % 100));
        room.view.fill(number);
        const words = Buffer.from(room.view.buffer, room.view.byteOffset, 8);
        words.writeUInt32LE(id);
        words.writeUInt32LE(number, 4);
        room.commit();
      }
    };
    const last = new Map();
    const take = (bytes) => {
      const [id, number] = [bytes.readUInt32LE(), bytes.readUInt32LE(4)];
      assert.equal(bytes.length, 8 + (number % 100));
      assert.ok(bytes.subarray(8).every((byte) => byte === (number & 255)), 'torn');
      assert.equal(number, (last.get(id) ?? -1) + 1);
      last.set(id, number);
    };
    for (let round = 0; round < 6; round++) {
      const producers = [0, 1].map((side) => peer(view, produce, 2 * round + side));
      await Promise.all(producers.map(({ ready }) => ready));
      for (let i = 0; i < 500; i++) take(await ring.receiveAsync());
      await Promise.all(producers.map(kill));
    }
    // One that died in the middle, for certain.
    const stuck = peer(view, (shm, { Channel }, view, ready) => {
      globalThis.kept = new Channel(view, 0).reserve(50);
      ready();
      setInterval(() => {}, 1000);
    });
    for (let done = false; !done; ) {
      stuck.ready.then(() => (done = true));
      const bytes = await ring.receiveAsync({ timeout: 5 });
      if (bytes !== null) take(bytes);
    }
    const lost = ring.lost;
    await kill(stuck);
    const finishing = Buffer.alloc(8 + (0 % 100));
    finishing.writeUInt32LE(1000);
    ring.send(finishing);
    while (!last.has(1000)) take(await ring.receiveAsync());
    assert.equal(ring.lost, lost + 1);
    shm.detach(view);
  });

  it('a killed producer is replaced by the next, and a killed consumer loses no message that it had not released', async () => {
    const { view, channel: ring } = channel({ capacity: 4096 });
    const produce = peer(view, (shm, { Channel }, view, ready, first) => {
      const ring = new Channel(view, 0);
      for (let number = first; number < first + 10; number++) ring.send(Buffer.alloc(4, number));
      ring.reserve(4).view.fill(99);
      ready();
      setInterval(() => {}, 1000);
    }, 0);
    await produce.ready;
    await kill(produce);
    for (let number = 10; number < 20; number++) ring.send(Buffer.alloc(4, number));
    const consume = peer(view, (shm, { Channel }, view, ready) => {
      const ring = new Channel(view, 0);
      for (let number = 0; number < 5; number++) if (ring.receive()[0] !== number) throw new Error('order');
      ring.peek();
      ready();
      setInterval(() => {}, 1000);
    });
    await consume.ready;
    assert.throws(() => ring.tryReceive(), { code: 'ERR_SHM_TAKEN' });
    await kill(consume);
    for (let number = 5; number < 20; number++) assert.equal((await ring.receiveAsync())[0], number);
    shm.detach(view);
  });
});

const broadcast = (options, backend = built.at(-1)) => {
  const view = words(Broadcast.byteLength(options), backend);
  return { view, broadcast: new Broadcast(view, 0, options) };
};

describe('Broadcast', () => {
  it('readers get messages that are sent after they came, each at its own pace, and are told what they missed', async () => {
    const { view, broadcast: news } = broadcast({ slots: 8, maxMessage: 600 });
    news.send(message(0));
    const [fast, slow, old] = [news.reader(), news.reader(), news.reader({ rewind: true })];
    assert.equal(fast.tryReceive(), null);
    assert.equal(fast.receive(5), null);
    assert.equal(await fast.receiveAsync({ timeout: 5 }), null);
    assert.equal(old.tryReceive().number, 0);
    const target = Buffer.alloc(600);
    for (let number = 1; number < 100; number++) {
      assert.equal(news.send(message(number)), number);
      const received = number % 2 ? fast.receive() : fast.tryReceiveInto(target);
      assert.deepEqual([received.number, received.missed, numberOf(received.message)], [number, 0, number]);
    }
    let expected = 1;
    for (let received; (received = await slow.receiveAsync({ timeout: 0 })) !== null; ) {
      assert.equal(received.number, expected + received.missed);
      assert.equal(numberOf(received.message), received.number);
      if (expected === 1) assert.ok(received.missed >= 99 - 8);
      expected = received.number + 1;
    }
    assert.equal(expected, 100);
    const waiting = fast.receiveAsync();
    const draft = news.draft(5);
    assert.throws(() => news.send(Buffer.alloc(1)), { code: 'ERR_SHM_RESERVED' });
    draft.view.fill(9);
    assert.equal(draft.commit(), 100);
    assert.deepEqual((await waiting).message, Buffer.alloc(5, 9));
    news.draft(5).abandon();
    assert.equal(news.next, 101);
    const frame = slow.tryPeek();
    assert.deepEqual(Buffer.from(frame.view), Buffer.alloc(5, 9));
    for (let number = 0; number < 8; number++) news.send(Buffer.alloc(1));
    assert.equal(frame.finish(), null, 'overwritten');
    assert.throws(() => news.send(Buffer.alloc(601)), { name: 'RangeError' });
    assert.throws(() => new Broadcast(view, 0, { slots: 4, maxMessage: 600 }), { code: 'ERR_SHM_OPTIONS' });
    assert.throws(() => new Broadcast(view, 0, { slots: 8, maxMessage: 599 }), {
      code: 'ERR_SHM_OPTIONS',
      message: /opened with maxMessage=599/,
    });
    const aborted = assert.rejects(fast.receiveAsync({ signal: AbortSignal.abort(new Error('enough')) }), { message: 'enough' });
    await aborted;
    const drain = news.reader().receiveAsync();
    const detached = assert.rejects(drain, { code: 'ERR_SHM_DETACHED' });
    shm.detach(view);
    await detached;
    assert.throws(() => slow.tryReceive(), { code: 'ERR_SHM_DETACHED' });
  });

  it('readers in other processes, also read-only ones, see only whole messages; a killed producer is replaced', async () => {
    const options = { slots: 16, maxMessage: 400 };
    const { view, broadcast: news } = broadcast(options);
    const backend = built.at(-1);
    const produce = peer(view, (shm, { Broadcast }, view, ready) => {
      const news = new Broadcast(view, 0);
      ready();
      for (;;) {
        const number = news.next;
        const bytes = Buffer.alloc(4 + (number % 300), number);
        bytes.writeUInt32LE(number);
        news.send(bytes);
      }
    }, 0, backend);
    await produce.ready;
    const readers = [news.reader()];
    if (backend === 'posix') {
      const readOnly = shm.get({ ...place(view, backend), readOnly: true });
      const there = new Broadcast(readOnly, 0);
      assert.throws(() => there.send(Buffer.alloc(1)), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
      readers.push(there.reader());
    }
    for (const reader of readers) {
      let expected = reader.next;
      for (let got = 0; got < 2000; got++) {
        const { number, missed, message } = got % 50 ? reader.receive() : await reader.receiveAsync();
        assert.equal(number, expected + missed);
        assert.equal(numberOf(message), number);
        expected = number + 1;
      }
    }
    assert.throws(() => news.send(Buffer.alloc(1)), { code: 'ERR_SHM_TAKEN' });
    await kill(produce);
    const next = news.next;
    const reader = news.reader();
    assert.equal(news.send(message(next)), next);
    assert.deepEqual([reader.receive().number, news.next], [next, next + 1]);
    shm.detach(view);
  });

  it('a read-only reader still sees a message after it has looked in vain a hundred thousand times', needs(withNames ?? 'posix'), () => {
    const { view, broadcast: news } = broadcast({ slots: 2, maxMessage: 8 }, withNames);
    const reader = new Broadcast(shm.get({ ...place(view, withNames), readOnly: true }), 0).reader();
    for (let time = 0; time < 100_000; time++) assert.equal(reader.tryReceive(), null);
    news.send(Buffer.from('news'));
    assert.equal(String(reader.tryReceive().message), 'news');
    shm.detach(view);
  });

  it('a reader that is overtaken again and again goes on with the newest message', () => {
    const { view, broadcast: news } = broadcast({ slots: 8, maxMessage: 8 });
    const reader = news.reader();
    const lap = () => Array.from({ length: 9 }, () => news.send(Buffer.alloc(1))).pop();
    lap();
    for (let time = 0; time < 3; time++) {
      const frame = reader.tryPeek();
      lap();
      assert.equal(frame.finish(), null);
    }
    const { number, missed } = reader.tryReceive();
    assert.deepEqual([number, missed], [35, 35]);
    assert.equal(lap(), 44);
    assert.equal(reader.tryReceive().number, 39, 'it keeps up, and may have more than one');
    shm.detach(view);
  });

  it('the numbers of messages go on beyond 32 bits', () => {
    const { view, broadcast: news } = broadcast({ slots: 4, maxMessage: 8 });
    view[33] = -3;
    const reader = news.reader();
    for (let number = 2 ** 32 - 3; number < 2 ** 32 + 10; number++) {
      assert.equal(news.send(Buffer.alloc(1)), number);
      assert.equal(reader.receive().number, number);
    }
    assert.deepEqual([view[32], view[34]], [1, 1]);
    shm.detach(view);
  });

  const python = spawnSync('python3', ['--version']).status === 0 ? needs('posix') : { skip: 'there is no python3' };

  it('the Python reader of docs/layout.md gets whole messages, and is told of gaps', python, async () => {
    const [, reader] = /```python\n([^]*?)```/.exec(readFileSync(path.join(root, 'docs', 'layout.md'), 'utf8'));
    const { view, broadcast: news } = broadcast({ slots: 64, maxMessage: 1000 }, 'posix');
    const program = `${reader}
import sys
file = open(sys.argv[1], "rb")
reader = Reader(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
print("ready", flush=True)
expected, got, until = reader.next, 0, time.monotonic() + 60
while expected < 10000 and time.monotonic() < until:
    if (received := reader.read()) is None:
        continue
    number, missed, message = received
    assert number == expected + missed
    assert len(message) == 1 + number % 1000 and set(message) == {number % 256}, number
    expected, got = number + 1, got + 1
print(expected, got, flush=True)`;
    const child = spawn('python3', ['-c', program, objectOf(view.key)]);
    let [stdout, stderr] = ['', ''];
    child.stderr.on('data', (text) => (stderr += text));
    await new Promise((resolve) => child.stdout.on('data', (text) => (stdout += text).includes('ready') && resolve()));
    const ended = new Promise((resolve) => child.on('close', resolve));
    for (let number = 0; number < 10_000; number++) {
      news.send(Buffer.alloc(1 + (number % 1000), number));
      // Sometimes slow enough to follow, sometimes not.
      if (number % 2000 < 1000 && number % 20 === 0) await sleep(1);
    }
    assert.deepEqual([await ended, stderr], [0, '']);
    const [expected, got] = stdout.trim().split('\n').pop().split(' ').map(Number);
    assert.equal(expected, 10_000);
    assert.ok(got > 100, `${got}`);
    shm.detach(view);
  });
});

describe('hostile bytes', () => {
  const SIZE = 4096;
  const uses = {
    Mutex: [(view) => new Mutex(view, 0), (mutex) => mutex.lock(1), (mutex) => mutex.tryLock(), (mutex) => mutex.unlock()],
    Semaphore: [(view) => new Semaphore(view, 0), (s) => s.acquire(1), (s) => s.tryAcquire()],
    RwLock: [
      (view) => new RwLock(view, 0),
      (lock) => lock.read(1),
      (lock) => lock.write(1),
      (lock) => lock.tryRead(),
      (lock) => lock.tryWrite(),
    ],
    Barrier: [(view) => new Barrier(view, 0), (barrier) => barrier.join().wait(1)],
    Once: [(view) => new Once(view, 0), (once) => once.done, (once) => once.callAsync(() => {}, { timeout: 1 })],
    Condition: [(view) => new Condition(view, 0), (condition) => condition.notifyAll()],
    Channel: [
      (view) => new Channel(view, 0),
      (ring) => ring.send(Buffer.alloc(20), 1),
      (ring) => ring.tryReserve(3)?.commit(),
      (ring) => ring.receive(1),
      (ring) => ring.receiveAsync({ timeout: 1 }),
      (ring) => ring.tryPeek()?.release(),
      (ring) => ring.close(),
    ],
    Broadcast: [
      (view) => new Broadcast(view, 0),
      (news) => news.reader({ rewind: true }).receive(1),
      (news) => news.reader().tryReceive(),
      (news) => news.send(Buffer.alloc(3)),
      (news) => news.reader({ rewind: true }).tryPeek()?.finish(),
    ],
  };
  it('a channel with impossible positions or records is ERR_SHM_DAMAGED', async () => {
    const [HEAD, TAIL, RECORD] = [32, 64, 128];
    for (const [word, value] of [[HEAD, 1024], [HEAD, 4], [HEAD, -8], [TAIL, 8], [TAIL, 3]]) {
      const { view, channel: ring } = channel({ capacity: 512, producers: 'many' });
      view[word] = value;
      assert.throws(() => ring.tryReceive(), { code: 'ERR_SHM_DAMAGED' }, `${word} ${value}`);
      if (word === HEAD && value !== -8) assert.throws(() => ring.trySend(Buffer.alloc(9)), { code: 'ERR_SHM_DAMAGED' }, `${word} ${value}`);
      shm.detach(view);
    }
    for (const length of [9, 100, 600, 2 ** 30 - 1, -(2 ** 31) + 600]) {
      const { view, channel: ring } = channel({ capacity: 512 });
      ring.send(Buffer.alloc(8));
      view[RECORD] = length;
      assert.throws(() => ring.tryReceive(), { code: 'ERR_SHM_DAMAGED' }, `${length}`);
      await assert.rejects(ring.receiveAsync(), { code: 'ERR_SHM_DAMAGED' });
      shm.detach(view);
    }
  });

  const letters = { Mutex: 'M', Semaphore: 'S', RwLock: 'R', Barrier: 'B', Once: 'O', Condition: 'V', Channel: 'C', Broadcast: 'P' };
  const isOurs = ({ code }) => /^ERR_(SHM_|OUT_OF_RANGE|INVALID_ARG)/.test(code);

  for (const [name, [open, ...others]] of Object.entries(uses)) {
    it(`${name}: random bytes give errors or answers, and no hang`, async () => {
      const view = words(SIZE);
      const guard = words(64); // not touched
      const liveId = (new Mutex(view, 0), view[1]);
      const small = fc.constantFrom(0, 1, 2, 8, 64, 256, 1024, 2048, -8, 2 ** 30, -(2 ** 31), 2 ** 31 - 1);
      const word = fc.oneof(small, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
      const property = fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), word), { maxLength: 40 }),
        fc.constantFrom(1, 2, 64, 256, 1024),
        fc.constantFrom(1, 2, 64),
        fc.boolean(),
        async (changes, option, second, late) => {
          view.fill(0);
          view.set([0x73 | (0x79 << 8) | (letters[name].charCodeAt(0) << 16) | (1 << 24), liveId, option, second]);
          const change = () => changes.forEach(([place, value]) => (view[place] = value));
          if (!late) change();
          let opened;
          try {
            opened = open(view);
            if (late) change();
          } catch (error) {
            if (!isOurs(error)) throw error;
            return;
          }
          for (const use of others) {
            try {
              await use(opened);
            } catch (error) {
              if (!isOurs(error)) throw error;
            }
          }
        },
      );
      await fc.assert(property, { numRuns: 150 });
      assert.ok(guard.every((word) => word === 0));
      shm.detach(view);
      shm.detach(guard);
    });
  }
});
