'use strict';

// The messages to come, of a Channel and of a Broadcast, as iterators that end also while they wait.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { built, folder, shm } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');
const { Broadcast, Channel } = require(`${folder}/sync.js`);

leaveNothing();

const DONE = { value: undefined, done: true };

/** Where messages come from: `{ messages(options), iterable, send(number), receive() }`, all of one number each. */
const sources = {
  ...Object.fromEntries(
    ['one', 'many'].map((producers) => [
      `Channel (${producers})`,
      () => {
        const options = { capacity: 256, producers };
        const channel = new Channel(words(Channel.byteLength(options)), 0, options);
        return {
          iterable: channel,
          messages: (options) => channel.messages(options),
          send: (number) => channel.send(Buffer.from([number])),
          receive: () => channel.tryReceive()?.[0],
          numberOf: ([number]) => number,
        };
      },
    ]),
  ),
  ...Object.fromEntries(
    [false, true].map((readOnly) => [
      readOnly ? 'Broadcast, polling' : 'Broadcast',
      () => {
        const options = { slots: 16, maxMessage: 8 };
        const backend = readOnly ? 'posix' : built[0];
        const view = words(Broadcast.byteLength(options), backend);
        const news = new Broadcast(view, 0, options);
        const theirs = readOnly ? new Broadcast(shm.get({ ...place(view, backend), readOnly }), 0) : news;
        const reader = theirs.reader();
        return {
          iterable: reader,
          messages: (options) => reader.messages(options),
          send: (number) => news.send(Buffer.from([number])),
          receive: () => reader.tryReceive()?.message[0],
          numberOf: ({ message: [number] }) => number,
        };
      },
    ]),
  ),
};
if (!built.includes('posix')) delete sources['Broadcast, polling'];

const turn = () => new Promise(setImmediate);

for (const [name, make] of Object.entries(sources)) {
  const claim = (what, body) => it(what, { timeout: 120_000 }, () => body(make()));

  describe(name, () => {
    claim('return() while next() is pending settles, and ends it and those behind it', async ({ iterable, send, receive }) => {
      const iterator = iterable[Symbol.asyncIterator]();
      const pending = [iterator.next(), iterator.next(), iterator.next()];
      await turn();
      assert.deepEqual(await iterator.return('value'), { value: 'value', done: true });
      assert.deepEqual(await Promise.all(pending), [DONE, DONE, DONE]);
      assert.deepEqual(await iterator.next(), DONE);
      assert.deepEqual(await iterator.return(), DONE);
      send(7);
      assert.equal(receive(), 7, 'it took nothing');
    });

    claim('throw() while next() is pending rejects, and ends it and those behind it', async ({ iterable, send, receive }) => {
      const iterator = iterable[Symbol.asyncIterator]();
      const pending = [iterator.next(), iterator.next()];
      await turn();
      await assert.rejects(iterator.throw(new Error('mine')), { message: 'mine' });
      assert.deepEqual(await Promise.all(pending), [DONE, DONE]);
      assert.deepEqual(await iterator.next(), DONE);
      send(7);
      assert.equal(receive(), 7, 'it took nothing');
    });

    claim('before the first next() they end it too', async ({ iterable }) => {
      const iterator = iterable[Symbol.asyncIterator]();
      assert.deepEqual(await iterator.return(), DONE);
      assert.deepEqual(await iterator.next(), DONE);
      const other = iterable[Symbol.asyncIterator]();
      await assert.rejects(other.throw(new Error('mine')), { message: 'mine' });
      assert.deepEqual(await other.next(), DONE);
    });

    claim('a message that arrives during return() is delivered, and none is lost', async ({ iterable, send, receive, numberOf }) => {
      for (let round = 0; round < 50; round++) {
        const iterator = iterable[Symbol.asyncIterator]();
        const pending = iterator.next();
        if (round % 2) await turn();
        send(round);
        for (let step = 0; step < round % 7; step++) await null;
        await iterator.return();
        const { value, done } = await pending;
        assert.equal(done ? receive() : numberOf(value), round);
      }
    });

    claim('messages come in their order, however many are asked for at a time', async ({ iterable, send, numberOf }) => {
      const iterator = iterable[Symbol.asyncIterator]();
      const asked = Array.from({ length: 5 }, () => iterator.next());
      await turn();
      for (let number = 0; number < 5; number++) send(number);
      assert.deepEqual((await Promise.all(asked)).map(({ value }) => numberOf(value)), [0, 1, 2, 3, 4]);
      await iterator.return();
    });

    claim('a loop that breaks, returns or throws lets go of it', async ({ iterable, send, receive, numberOf }) => {
      for (let number = 0; number < 4; number++) send(number);
      for await (const message of iterable) {
        assert.equal(numberOf(message), 0);
        break;
      }
      assert.equal(await (async () => { for await (const message of iterable) return numberOf(message); })(), 1);
      const thrower = async () => { for await (const message of iterable) throw new Error(numberOf(message)); };
      await assert.rejects(thrower(), { message: '2' });
      assert.equal(receive(), 3);
    });

    claim('messages({ timeout, signal }) end by their time, and by their signal', async ({ messages, send, numberOf }) => {
      send(5);
      const found = [];
      for await (const message of messages({ timeout: 10 })) found.push(numberOf(message));
      assert.deepEqual(found, [5]);

      const controller = new AbortController();
      const iterator = messages({ signal: controller.signal });
      const pending = iterator.next();
      const behind = iterator.next();
      await turn();
      controller.abort(new Error('enough'));
      await assert.rejects(pending, { message: 'enough' });
      assert.deepEqual(await behind, DONE);
      const aborted = messages({ signal: controller.signal });
      await assert.rejects(aborted.next(), { message: 'enough' });
      assert.deepEqual(await aborted.next(), DONE);
    });

    claim('wrong options are refused at once', async ({ messages }) => {
      for (const wrong of [5, { timeout: 'long' }, { signal: {} }, { ref: 1 }]) {
        assert.throws(() => messages(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
      }
    });

    claim('it is an asynchronous iterator as others are', async ({ iterable, messages }) => {
      const iterator = messages();
      assert.equal(iterator[Symbol.asyncIterator](), iterator);
      assert.equal(typeof iterable[Symbol.asyncIterator]().next, 'function');
      if (Symbol.asyncDispose === undefined) return;
      const pending = iterator.next();
      await iterator[Symbol.asyncDispose]();
      assert.deepEqual(await pending, DONE);
    });
  });
}

describe('a Channel that is closed or detached', () => {
  it('ends its iterators, or rejects them', { timeout: 120_000 }, async () => {
    const options = { capacity: 256 };
    const view = words(Channel.byteLength(options));
    const channel = new Channel(view, 0, options);
    const closed = channel.messages();
    const pending = [closed.next(), closed.next()];
    await turn();
    channel.close();
    assert.deepEqual(await Promise.all(pending), [DONE, DONE]);
    const before = channel.messages();
    channel.close();
    assert.deepEqual(await before.next(), DONE);
    const detached = channel.messages();
    const next = detached.next();
    await turn();
    shm.detach(view);
    await assert.rejects(next, { code: 'ERR_SHM_DETACHED' });
    assert.deepEqual(await detached.next(), DONE);
  });
});
