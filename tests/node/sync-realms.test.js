'use strict';

// Coordination takes arrays, buffers, options and functions of another realm (vm, jest, vitest) as it takes ours.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const vm = require('node:vm');
const { folder, shm } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');
const sync = require(`${folder}/sync.js`);

leaveNothing();

const view = words(1 << 14);
const context = vm.createContext({ sync, buffer: view.buffer });
const there = (code) => vm.runInContext(code, context);
const claim = (name, body) => it(name, { timeout: 120_000 }, body);

describe('of another realm', () => {
  claim('an Int32Array can be waited on and notified', async () => {
    assert.equal(there('sync.wait(new Int32Array(buffer), 0, 0, 1)'), 'timed-out');
    assert.equal(await there('sync.waitAsync(new Int32Array(buffer), 0, 1, { timeout: 1 })'), 'not-equal');
    assert.equal(there('sync.notify(new Int32Array(buffer), 0)'), 0);
  });

  claim('an Int32Array is a place for every structure, with options and functions of that realm', async () => {
    const done = there(`(async () => {
      const view = new Int32Array(buffer);
      const done = [];
      const mutex = new sync.Mutex(view, 16);
      await mutex.withLockAsync(async () => done.push('mutex'));
      mutex.withLock(() => done.push('mutex'));
      const guard = mutex.lock();
      done.push(new sync.Condition(view, 24).wait(guard, 1));
      guard.unlock();
      await new sync.Semaphore(view, 32, { permits: 2 }).withPermitAsync(() => done.push('semaphore'));
      await new sync.RwLock(view, 64, { readers: 2 }).withReadAsync(() => done.push('lock'), { timeout: 1 });
      done.push(new sync.Barrier(view, 96, { parties: 1 }).join().wait());
      await new sync.Once(view, 128).callAsync(async () => done.push('once'));
      new sync.Once(view, 136).call(() => done.push('once'));
      return done.join();
    })()`);
    assert.equal(await done, 'mutex,mutex,false,semaphore,lock,true,once,once');
  });

  const MESSAGES = [
    'new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])',
    'new Float64Array([1.5])',
    'new BigInt64Array(1)',
    'new DataView(new ArrayBuffer(8))',
    'new ArrayBuffer(8)',
    'new SharedArrayBuffer(8)',
  ];
  for (const message of MESSAGES) {
    claim(`${message} is sent, by a Channel and by a Broadcast`, async () => {
      const received = there(`(async () => {
        const channel = new sync.Channel(new Int32Array(buffer), 256, { capacity: 256 });
        const news = new sync.Broadcast(new Int32Array(buffer), 1024, { slots: 2, maxMessage: 8 });
        const reader = news.reader();
        const message = ${message};
        const target = new Uint8Array(8);
        const lengths = [];
        channel.send(message);
        lengths.push(channel.receiveInto(target));
        await channel.sendAsync(message);
        lengths.push(channel.tryReceiveInto(target));
        channel.trySend(message);
        lengths.push((await channel.receiveAsync()).length);
        news.send(message);
        lengths.push(reader.tryReceiveInto(target).message.length);
        channel.close();
        news.close();
        return lengths.join();
      })()`);
      assert.equal(await received, '8,8,8,8');
    });
  }

  claim('a class of another realm is refused as one of this realm is', () => {
    const wrong = { code: 'ERR_INVALID_ARG_TYPE' };
    for (const code of ['Object.create(Int32Array.prototype)', 'new Proxy(new Int32Array(buffer), {})', 'new Uint32Array(buffer)']) {
      assert.throws(() => there(`sync.wait(${code}, 0, 0, 1)`), wrong);
    }
    const channel = new sync.Channel(view, 2048, { capacity: 64 });
    context.channel = channel;
    for (const code of ['[1]', '"text"', '{}', 'new Int8Array(8)', 'new Proxy(new Uint8Array(8), {})']) {
      assert.throws(() => there(`channel.tryReceiveInto(${code})`), wrong);
    }
    for (const code of ['[1]', '"text"', '({})', 'null', 'new Proxy(new Uint16Array(8), {})']) {
      assert.throws(() => there(`channel.send(${code})`), wrong);
    }
    channel.close();
  });

  claim('a message whose buffer was transferred is an error, and is not sent as an empty one', async () => {
    const channel = new sync.Channel(view, 2304, { capacity: 64 });
    Object.assign(context, { channel, news: new sync.Broadcast(view, 2560, { slots: 2, maxMessage: 8 }) });
    for (const make of ['new Uint8Array(8)', 'new Uint16Array(4)', 'new ArrayBuffer(8)']) {
      context.moved = there(make);
      structuredClone(context.moved.buffer ?? context.moved, { transfer: [context.moved.buffer ?? context.moved] });
      assert.throws(() => there('channel.send(moved)'), { code: 'ERR_SHM_CHANGED' });
      await assert.rejects(there('channel.sendAsync(moved)'), { code: 'ERR_SHM_CHANGED' });
      assert.throws(() => there('news.send(moved)'), { code: 'ERR_SHM_CHANGED' });
    }
    assert.equal(channel.tryReceive(), null);
    channel.close();
  });

  it('only this process held the segment, so it is gone', () => assert.equal(shm.detach(view), 0));
});
