'use strict';

// AbortSignals: of any realm and make, with any number of waits, and without a trace of those that are over.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { describe, it } = require('node:test');
const vm = require('node:vm');
const { built, folder, shm } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore, waitAsync } = require(`${folder}/sync.js`);

leaveNothing();

/** A signal as a polyfill has it: no class of the runtime's, no reason, and it tells how many listen. */
function polyfill() {
  const listeners = new Set();
  const signal = {
    aborted: false,
    addEventListener: (type, listener) => void listeners.add(listener),
    removeEventListener: (type, listener) => void listeners.delete(listener),
  };
  const abort = () => {
    signal.aborted = true;
    for (const listener of [...listeners]) listener({ type: 'abort' });
  };
  return { signal, abort, listeners: () => listeners.size };
}

/** What waits until it is aborted, by name: `begin(options)` for each. */
function pending() {
  const view = words(1 << 14);
  const mutex = new Mutex(view, 0);
  mutex.lock();
  const conditioned = new Mutex(view, 8);
  const condition = new Condition(view, 16);
  const semaphore = new Semaphore(view, 32, { permits: 1 });
  semaphore.acquire();
  const lock = new RwLock(view, 64, { readers: 1 });
  lock.read();
  const barrier = new Barrier(view, 96, { parties: 20 });
  const once = new Once(view, 128);
  once.callAsync(() => new Promise(() => {}));
  const empty = new Channel(view, 256, { capacity: 64 });
  const full = new Channel(view, 512, { capacity: 64 });
  while (full.trySend(Buffer.alloc(8)));
  const reader = new Broadcast(view, 1024, { slots: 2, maxMessage: 8 }).reader();
  const ways = {
    waitAsync: (options) => waitAsync(view, 2000, 0, options),
    'Mutex.lockAsync': (options) => mutex.lockAsync(options),
    'Mutex.withLockAsync': (options) => mutex.withLockAsync(() => assert.fail('it is held'), options),
    'Condition.waitAsync': async (options) => {
      const guard = await conditioned.lockAsync();
      try {
        return await condition.waitAsync(guard, options);
      } finally {
        guard.unlock();
      }
    },
    'Semaphore.acquireAsync': (options) => semaphore.acquireAsync(options),
    'RwLock.readAsync': (options) => lock.readAsync(options),
    'RwLock.writeAsync': (options) => lock.writeAsync(options),
    'Party.waitAsync': async (options) => {
      const party = barrier.join();
      try {
        return await party.waitAsync(options);
      } finally {
        party.leave();
      }
    },
    'Once.callAsync': (options) => once.callAsync(() => assert.fail('another does it'), options),
    'Channel.receiveAsync': (options) => empty.receiveAsync(options),
    'Channel.peekAsync': (options) => empty.peekAsync(options),
    'Channel.messages': (options) => empty.messages(options).next(),
    'Channel.sendAsync': (options) => full.sendAsync(Buffer.alloc(8), options),
    'Channel.reserveAsync': (options) => full.reserveAsync(8, options),
    'BroadcastReader.receiveAsync': (options) => reader.receiveAsync(options),
    'BroadcastReader.messages': (options) => reader.messages(options).next(),
  };
  if (built.includes('posix')) {
    const posix = words(4096, 'posix');
    new Broadcast(posix, 0, { slots: 2, maxMessage: 8 });
    const polling = new Broadcast(shm.get({ ...place(posix, 'posix'), readOnly: true }), 0).reader();
    ways['BroadcastReader.receiveAsync, polling'] = (options) => polling.receiveAsync(options);
  }
  return ways;
}

/** A test for each of them. */
function each(body) {
  for (const [name, begin] of Object.entries(pending())) it(name, { timeout: 120_000 }, () => body(begin));
}

const turn = () => new Promise(setImmediate);

describe('a signal of any implementation ends a wait', () => {
  each(async (begin) => {
    const { signal, abort, listeners } = polyfill();
    const waiting = assert.rejects(begin({ signal }), { name: 'AbortError', code: 'ABORT_ERR' });
    await turn();
    assert.equal(listeners(), 1);
    abort();
    await waiting;
    await assert.rejects(begin({ signal }), { name: 'AbortError' });
  });

  it('a signal of another realm ends a wait with its reason', { timeout: 120_000 }, async () => {
    const view = words();
    const controller = new AbortController();
    const theirs = vm.runInNewContext('(signal) => Object.setPrototypeOf(signal, Object.create({ ...signal }))');
    const { aborted, reason } = controller.signal;
    assert.deepEqual([aborted, reason], [false, undefined]);
    const foreign = theirs({
      get aborted() {
        return controller.signal.aborted;
      },
      get reason() {
        return controller.signal.reason;
      },
      addEventListener: (...args) => controller.signal.addEventListener(...args),
      removeEventListener: (...args) => controller.signal.removeEventListener(...args),
    });
    const waiting = assert.rejects(waitAsync(view, 0, 0, { signal: foreign }), { message: 'enough' });
    await turn();
    controller.abort(new Error('enough'));
    await waiting;
  });

  it('anything else is refused', async () => {
    const view = words();
    const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    for (const signal of [null, 5, 'signal', {}, () => {}, { aborted: false }, new EventTarget()]) {
      await assert.rejects(waitAsync(view, 0, 0, { signal }), wrong);
      await assert.rejects(new Mutex(view, 4).lockAsync({ signal }), wrong);
    }
  });
});

describe('a signal that aborts as somebody begins to listen ends the wait too', () => {
  each(async (begin) => {
    const signal = {
      aborted: false,
      reason: new Error('enough'),
      addEventListener: () => (signal.aborted = true), // too late for the listener
      removeEventListener: () => {},
    };
    await assert.rejects(begin({ signal }), { message: 'enough' });
  });
});

describe('a signal that cannot be listened to leaves nothing pending', () => {
  each(async (begin) => {
    const signal = {
      aborted: false,
      addEventListener: () => {
        throw new Error('not to me');
      },
    };
    await assert.rejects(begin({ signal }), { message: 'not to me' });
    const controller = new AbortController();
    const waiting = assert.rejects(begin({ signal: controller.signal }), { message: 'enough' });
    await turn();
    controller.abort(new Error('enough'));
    await waiting; // no turn, no place in a queue was lost
  });
});

describe('for any number of waits, a signal has one listener', () => {
  each(async (begin) => {
    const { signal, abort, listeners } = polyfill();
    const ended = Promise.allSettled(Array.from({ length: 12 }, () => begin({ signal })));
    await turn();
    assert.equal(listeners(), 1);
    abort();
    for (const { reason } of await ended) assert.equal(reason.name, 'AbortError');
  });

  it('Node warns of nothing', { timeout: 120_000 }, async () => {
    const warnings = [];
    const warned = (warning) => warnings.push(warning);
    process.on('warning', warned);
    const controller = new AbortController();
    const { signal } = controller;
    require('node:events').setMaxListeners(10, signal); // as it is in Node 18
    const ended = Promise.allSettled(Object.values(pending()).map((begin) => begin({ signal })));
    await turn();
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    controller.abort();
    await ended;
    await turn();
    process.off('warning', warned);
    assert.deepEqual(warnings, []);
  });
});

describe('a signal that never aborts is listened to only while somebody waits', () => {
  it('by a wait, a lock and a ring', { timeout: 120_000 }, async () => {
    const { signal, listeners } = polyfill();
    const view = words();
    for (let round = 0; round < 3; round++) {
      assert.equal(await waitAsync(view, 0, 0, { signal, timeout: 1 }), 'timed-out');
      const mutex = new Mutex(view, 4);
      const guard = await mutex.lockAsync({ signal });
      const waiting = [mutex.lockAsync({ signal }), mutex.lockAsync({ signal })];
      await turn();
      assert.equal(listeners(), 1);
      guard.unlock();
      for (const next of waiting) (await next).unlock();
      assert.equal(await mutex.withLockAsync(() => 1, { signal }), 1);
      const channel = new Channel(view, 64, { capacity: 64 });
      const messages = channel.messages({ signal });
      const [first, second] = [messages.next(), messages.next()];
      await turn();
      channel.send(Buffer.alloc(1));
      channel.send(Buffer.alloc(2));
      assert.deepEqual([(await first).value.length, (await second).value.length], [1, 2]);
      assert.equal(listeners(), 0);
      channel.close();
    }
  });

  it('by a reader that polls', { timeout: 120_000, skip: !built.includes('posix') && 'this build has no posix' }, async () => {
    const { signal, listeners } = polyfill();
    const view = words(4096, 'posix');
    new Broadcast(view, 0, { slots: 2, maxMessage: 8 });
    const reader = new Broadcast(shm.get({ ...place(view, 'posix'), readOnly: true }), 0).reader();
    assert.equal(await reader.receiveAsync({ signal, timeout: 5 }), null);
    assert.equal(listeners(), 0);
  });
});
