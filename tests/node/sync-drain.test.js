'use strict';

// Everything that is there, in one go: drain(), and messages in batches.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { folder, shm } = require('./support.js');
const { leaveNothing, peer, words } = require('./support/sync.js');
const { Broadcast, Channel } = require(`${folder}/sync.js`);

leaveNothing();

const open = (options) => {
  const view = words(Channel.byteLength(options));
  return { view, ring: new Channel(view, 0, options) };
};

/** What a drain gives, as text. */
const drained = (ring, options) => {
  const texts = [];
  const count = ring.drain((view) => texts.push(Buffer.from(view).toString()), options);
  assert.equal(count, texts.length);
  return texts;
};

const sendAll = (ring, texts) => {
  for (const text of texts) assert.equal(ring.trySend(Buffer.from(text)), true);
};

for (const producers of ['one', 'many']) {
  describe(`drain of a channel with producers: ${producers}`, () => {
    it('gives all messages that are there, in order and in place, and returns how many', () => {
      const { view, ring } = open({ capacity: 1024, producers });
      assert.deepEqual(drained(ring), []);
      let number = 0;
      // Round the ring's end many times, with every remainder.
      for (let round = 0; round < 300; round++) {
        const texts = Array.from({ length: 1 + (round % 5) }, () => `${number++}`.padEnd(round % 150, '.'));
        sendAll(ring, texts);
        ring.drain((message) => assert.equal(message.buffer, view.buffer), { max: 1 });
        assert.deepEqual(drained(ring), texts.slice(1));
      }
      assert.deepEqual(drained(ring), []);
    });

    it('gives the longest message, and an empty one', () => {
      const { ring } = open({ capacity: 1024, producers });
      for (const length of [ring.maxMessage, 0, 1, ring.maxMessage]) {
        ring.send(Buffer.alloc(length, 7));
        const lengths = [];
        assert.equal(ring.drain((view) => lengths.push(view.length, view.every((byte) => byte === 7))), 1);
        assert.deepEqual(lengths, [length, true]);
      }
    });

    it('gives at most `max` messages, and leaves the rest to the next receiving call', () => {
      const { ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b', 'c', 'd', 'e']);
      assert.deepEqual(drained(ring, { max: 2 }), ['a', 'b']);
      assert.equal(`${ring.tryReceive()}`, 'c');
      assert.deepEqual(drained(ring, { max: 1 }), ['d']);
      assert.deepEqual(drained(ring, { max: Infinity }), ['e']);
    });

    it('leaves messages that come meanwhile to the next call, so that it ends', () => {
      const { ring } = open({ capacity: 1024, producers });
      // Also round the ring's end, and where it looks anew behind what was known before.
      for (let round = 0; round < 100; round++) {
        sendAll(ring, ['a', 'b', 'c']);
        assert.equal(`${ring.tryReceive()}`, 'a');
        sendAll(ring, ['d', 'e']);
        const count = ring.drain((view) => ring.send(Buffer.from(view)));
        assert.equal(count, 4);
        assert.deepEqual(drained(ring), ['b', 'c', 'd', 'e']);
      }
    });

    it('throws what the callback throws, and messages that were not given stay', () => {
      const { ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b', 'c']);
      const given = [];
      const thrown = new Error('enough');
      const take = (view) => {
        given.push(`${Buffer.from(view)}`);
        if (given.length === 2) throw thrown;
      };
      assert.throws(() => ring.drain(take), thrown);
      assert.deepEqual(given, ['a', 'b']);
      sendAll(ring, ['d']);
      assert.deepEqual(drained(ring), ['c', 'd']);
    });

    it('keeps a view as it is until its callback returns, and no longer', () => {
      const { ring } = open({ capacity: 256, producers });
      ring.send(Buffer.alloc(100, 1));
      ring.send(Buffer.alloc(100, 2));
      const seen = [];
      ring.drain((view) => {
        while (ring.trySend(Buffer.alloc(100, 9)));
        seen.push([view.length, view.every((byte) => byte === seen.length + 1)]);
      });
      assert.deepEqual(seen, [[100, true], [100, true]]);
      assert.equal(ring.drain(() => {}), 1, 'the room of the first was free in the second callback');
    });

    it('lets no other call receive within the callback', async () => {
      const { ring } = open({ capacity: 1024, producers });
      // Round the ring's end, so that there are two windows.
      for (let i = 0; i < 3; i++) {
        ring.send(Buffer.alloc(300));
        ring.tryReceive();
      }
      sendAll(ring, ['peeked', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
      const peeked = ring.tryPeek();
      const target = Buffer.alloc(100);
      const ways = {
        tryReceive: () => ring.tryReceive(),
        receive: () => ring.receive(),
        receiveInTime: () => ring.receive(1),
        tryReceiveInto: () => ring.tryReceiveInto(target),
        receiveInto: () => ring.receiveInto(target),
        tryPeek: () => ring.tryPeek(),
        peek: () => ring.peek(),
        drain: () => ring.drain(() => {}),
        release: () => peeked.release(),
      };
      const later = [];
      const count = ring.drain(() => {
        for (const [name, way] of Object.entries(ways)) {
          // The one that was peeked is another by the second callback.
          assert.throws(way, { code: /^ERR_SHM_(DRAINING|NOT_HELD)$/ }, name);
        }
        later.push(ring.receiveAsync(), ring.peekAsync(), ring.messages().next(), ring.messages({ batch: true }).next());
      });
      assert.equal(count, 8);
      for (const one of later) await assert.rejects(one, { code: 'ERR_SHM_DRAINING' });
      sendAll(ring, ['i']);
      assert.equal(`${await ring.receiveAsync()}`, 'i');
    });

    it('ends if its callback closes the channel, and leaves the current message to the next consumer', () => {
      const { view, ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b', 'c']);
      const given = [];
      const count = ring.drain((view) => {
        given.push(`${Buffer.from(view)}`);
        if (given.length === 2) ring.close();
      });
      assert.deepEqual([count, given], [2, ['a', 'b']]);
      const next = new Channel(view, 0);
      assert.deepEqual(drained(next), ['b', 'c']);
      next.close();
      sendAll(ring, ['d']);
      assert.deepEqual(drained(ring), ['d'], 'it can be used again');
    });

    it('ends if its callback closes the channel and receives again', () => {
      const { ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b', 'c']);
      const count = ring.drain(() => {
        ring.close();
        assert.deepEqual(drained(ring, { max: 2 }), ['a', 'b']);
      });
      assert.equal(count, 1);
      assert.deepEqual(drained(ring), ['c']);
    });

    it('ends if its callback detaches the segment, and its view is empty', () => {
      const { view, ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b']);
      const lengths = [];
      const count = ring.drain((message) => {
        shm.detach(view);
        lengths.push(message.length);
      });
      assert.deepEqual([count, lengths], [1, [0]]);
      assert.throws(() => ring.drain(() => {}), { code: 'ERR_SHM_DETACHED' });
    });

    it('wakes a producer that waits for room, and loses and doubles nothing', async () => {
      const { view, ring } = open({ capacity: 1024, producers });
      const count = 20_000;
      const senders = Array.from({ length: producers === 'one' ? 1 : 2 }, (_, sender) =>
        peer(
          view,
          (shm, sync, view, ready, { count, sender }) => {
            const ring = new sync.Channel(view, 0);
            for (let number = 0; number < count; number++) {
              const message = Buffer.alloc(8 + (number % 61), number);
              message.writeUInt32LE(number);
              message.writeUInt32LE(sender, 4);
              ring.send(message);
            }
          },
          { count, sender },
        ),
      );
      const next = senders.map(() => 0);
      const take = (view) => {
        const message = Buffer.from(view);
        const number = message.readUInt32LE();
        assert.equal(number, next[message.readUInt32LE(4)]++);
        assert.equal(message.length, 8 + (number % 61));
        assert.ok(message.subarray(8).every((byte) => byte === (number & 255)));
      };
      while (next.some((number) => number < count)) {
        if (ring.drain(take, { max: 1 + (next[0] % 7) }) === 0) ring.tryPeek() ?? (await ring.peekAsync({ timeout: 1 }));
      }
      for (const { ended } of senders) assert.equal((await ended).code, 0);
      assert.deepEqual([next, drained(ring)], [senders.map(() => count), []]);
    });

    it('refuses a callback that is not a function, and a wrong number of messages', () => {
      const { ring } = open({ capacity: 1024, producers });
      const wrong = { code: 'ERR_INVALID_ARG_TYPE' };
      for (const callback of [undefined, null, {}, 'f']) assert.throws(() => ring.drain(callback), wrong);
      for (const options of [null, 1, { max: '1' }]) assert.throws(() => ring.drain(() => {}, options), wrong);
      for (const max of [0, -1, 1.5, NaN]) assert.throws(() => ring.drain(() => {}, { max }), { code: 'ERR_OUT_OF_RANGE' });
    });
  });

  describe(`messages in batches, producers: ${producers}`, () => {
    it('have all messages that are there each time, as copies', async () => {
      const { ring } = open({ capacity: 1024, producers });
      const batches = ring.messages({ batch: true });
      sendAll(ring, ['a', 'b', 'c']);
      const first = await batches.next();
      const pending = batches.next();
      sendAll(ring, ['d']);
      const second = await pending;
      // Over the room of the first.
      for (let i = 0; i < 50; i++) {
        sendAll(ring, ['x'.repeat(100)]);
        ring.tryReceive();
      }
      assert.deepEqual([first.done, first.value.map(String)], [false, ['a', 'b', 'c']]);
      assert.deepEqual(second.value.map(String), ['d']);
      assert.ok(first.value.every(Buffer.isBuffer));
      assert.deepEqual(await batches.return(), { value: undefined, done: true });
    });

    it('end even if a producer is as fast as the consumer', async () => {
      const { ring } = open({ capacity: 1024, producers });
      sendAll(ring, ['a', 'b', 'c']);
      const batches = ring.messages({ batch: true });
      ring.tryReceive = () => {
        sendAll(ring, ['more']);
        return Channel.prototype.tryReceive.call(ring);
      };
      const { value } = await batches.next();
      // The first had been taken when it was seen how many there were, and one more had come.
      assert.deepEqual(value.map(String), ['a', 'b', 'c', 'more']);
      await batches.return();
    });

    it('end when the time is up and at a close, and refuse a wrong option', async () => {
      const { ring } = open({ capacity: 1024, producers });
      assert.equal((await ring.messages({ batch: true, timeout: 1 }).next()).done, true);
      const pending = ring.messages({ batch: true }).next();
      ring.close();
      assert.deepEqual(await pending, { value: undefined, done: true });
      assert.throws(() => ring.messages({ batch: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    });
  });
}

describe('drain of a channel with many producers', () => {
  it('gives the messages before one that is not committed yet, and skips an abandoned one', () => {
    const { ring } = open({ capacity: 1024, producers: 'many' });
    sendAll(ring, ['a']);
    const open1 = ring.reserve(1);
    sendAll(ring, ['c']);
    const open2 = ring.reserve(1);
    sendAll(ring, ['e']);
    assert.deepEqual(drained(ring), ['a']);
    open1.view.set(Buffer.from('b'));
    open1.commit();
    open2.abandon();
    assert.deepEqual(drained(ring), ['b', 'c', 'e']);
  });
});

describe('messages of a broadcast in batches', () => {
  it('have all messages that are there, each with its number and how many were missed before it', async () => {
    const options = { slots: 4, maxMessage: 64 };
    const news = new Broadcast(words(Broadcast.byteLength(options)), 0, options);
    const reader = news.reader();
    const batches = reader.messages({ batch: true });
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) news.send(Buffer.from(text));
    const { value } = await batches.next();
    const last = value.map(({ number, message }) => [number, `${message}`]);
    assert.deepEqual(last.slice(-2), [[4, 'e'], [5, 'f']]);
    assert.equal(value.reduce((sum, { missed }) => sum + missed, 0) + value.length, 6);
    const pending = batches.next();
    news.send(Buffer.from('g'));
    assert.deepEqual((await pending).value, [{ number: 6, missed: 0, message: Buffer.from('g') }]);
    assert.deepEqual(await reader.messages({ batch: true, timeout: 1 }).next(), { value: undefined, done: true });
  });
});
