'use strict';

// Every wait with a time limit ends, though a test of the user's has replaced the clocks and timers by fakes.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, folder } = require('./support.js');

/** Fakes of everything by which JavaScript tells the time or comes back later. Time stands still, and nobody comes. */
function byHand() {
  const never = () => 0;
  const stopped = performance.now();
  performance.now = () => stopped;
  Date.now = () => 0;
  globalThis.Date = class extends Date {};
  process.hrtime = Object.assign(() => [0, 0], { bigint: () => 0n });
  globalThis.setImmediate = globalThis.queueMicrotask = process.nextTick = never;
  const timer = () => ({ ref: never, unref: never, hasRef: () => true, refresh: never, [Symbol.toPrimitive]: never });
  for (const name of ['setTimeout', 'setInterval']) globalThis[name] = require('timers')[name] = timer;
  require('timers').setImmediate = never;
}

/** Those of Node's own test runner. */
function ofNode() {
  require('node:test').mock.timers.enable();
}

/** Prints how each call with a time limit ends where its time is up. */
async function everyWait(shm, folder, backend, fakes, before) {

  if (before) new Function('require', `(${fakes})()`)(require);
  const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore, wait, waitAsync } = require(`${folder}/sync.js`);
  if (!before) new Function('require', `(${fakes})()`)(require);

  /** What the second call gives while the first waits, without a limit. */
  const behind = async (first, second) => {
    const controller = new AbortController();
    const waiting = first({ signal: controller.signal }).catch(() => {});
    const answer = await second();
    controller.abort();
    await waiting;
    return answer;
  };
  const told = {};
  const tell = async (name, what) => {
    try {
      told[name] = await what();
    } catch (error) {
      told[name] = error.code;
    }
  };
  const time = 20;
  const options = { timeout: time };
  const view = shm.create({ size: 1 << 16, type: 'Int32Array', backend });
  let at = 0;
  const place = (bytes) => (at += 64, (at += Math.ceil(bytes / 256) * 64) - Math.ceil(bytes / 256) * 64);

  await tell('wait', () => wait(view, 0, 0, time));
  await tell('wait, in slices', () => wait(view, 0, 0, 250));
  await tell('waitAsync', () => waitAsync(view, 0, 0, options));

  const mutex = new Mutex(view, place(Mutex.byteLength()));
  const guard = mutex.lock();
  await tell('Mutex.lockAsync', () => mutex.lockAsync(options));
  await tell('Mutex.lockAsync, behind another', () =>
    behind((first) => mutex.lockAsync(first), () => mutex.lockAsync(options)),
  );
  await tell('Mutex.withLockAsync', () => mutex.withLockAsync(() => 'ran', options));

  const condition = new Condition(view, place(Condition.byteLength()));
  await tell('Condition.wait', () => condition.wait(guard, time));
  await tell('Condition.waitAsync', () => condition.waitAsync(guard, options));

  const semaphore = new Semaphore(view, place(Semaphore.byteLength({ permits: 1 })), { permits: 1 });
  semaphore.acquire();
  await tell('Semaphore.acquire', () => semaphore.acquire(time));
  await tell('Semaphore.acquireAsync', () => semaphore.acquireAsync(options));
  await tell('Semaphore.withPermitAsync', () => semaphore.withPermitAsync(() => 'ran', options));

  const lock = new RwLock(view, place(RwLock.byteLength({ readers: 2 })), { readers: 1 });
  const reading = lock.read();
  await tell('RwLock.read', () => lock.read(time));
  await tell('RwLock.readAsync', () => lock.readAsync(options));
  await tell('RwLock.writeAsync', () => lock.writeAsync(options));
  await tell('RwLock.withWriteAsync', () => lock.withWriteAsync(() => 'ran', options));
  reading.unlock();
  lock.write();
  await tell('RwLock.withReadAsync', () => lock.withReadAsync(() => 'ran', options));

  const party = new Barrier(view, place(Barrier.byteLength({ parties: 2 })), { parties: 2 }).join();
  await tell('Party.wait', () => party.wait(time));
  await tell('Party.waitAsync', () => party.waitAsync(options));

  const once = new Once(view, place(Once.byteLength()));
  let finish;
  const first = once.callAsync(() => new Promise((resolve) => (finish = resolve)));
  await tell('Once.callAsync', () => once.callAsync(() => {}, options));
  finish();
  await first;

  for (const producers of ['one', 'many']) {
    at = Math.ceil(at / 64) * 64;
    const made = { capacity: 64, producers };
    const channel = new Channel(view, place(Channel.byteLength(made)), made);
    const named = (name) => `Channel.${name} (${producers})`;
    const into = Buffer.alloc(64);
    await tell(named('receive'), () => channel.receive(time));
    await tell(named('receiveInto'), () => channel.receiveInto(into, time));
    await tell(named('peek'), () => channel.peek(time));
    await tell(named('receiveAsync'), () => channel.receiveAsync(options));
    await tell(named('receiveAsync, behind another'), () =>
      behind((first) => channel.receiveAsync(first), () => channel.receiveAsync(options)),
    );
    await tell(named('peekAsync'), () => channel.peekAsync(options));
    await tell(named('messages'), async () => {
      for await (const message of channel.messages(options)) return message;
      return 'over';
    });
    const bytes = Buffer.alloc(channel.maxMessage);
    while (channel.trySend(bytes));
    await tell(named('send'), () => channel.send(bytes, time));
    await tell(named('reserve'), () => channel.reserve(bytes.length, time));
    await tell(named('sendAsync'), () => channel.sendAsync(bytes, options));
    await tell(named('reserveAsync'), () => channel.reserveAsync(bytes.length, options));
  }

  const made = { slots: 2, maxMessage: 8 };
  const index = place(Broadcast.byteLength(made));
  const reader = new Broadcast(view, index, made).reader();
  await tell('Broadcast.receive', () => reader.receive(time));
  await tell('Broadcast.receiveAsync', () => reader.receiveAsync(options));
  if (backend === 'posix') {
    const readOnly = shm.get({ key: view.key, backend, type: 'Int32Array', readOnly: true });
    const polling = new Broadcast(readOnly, index).reader();
    await tell('Broadcast.receive, polling', () => polling.receive(time));
    await tell('Broadcast.receiveAsync, polling', () => polling.receiveAsync(options));
  }
  ready(told);
  process.exit(0);
}

const OVER = {
  wait: 'timed-out',
  'wait, in slices': 'timed-out',
  waitAsync: 'timed-out',
  'Mutex.lockAsync': false,
  'Mutex.lockAsync, behind another': false,
  'Mutex.withLockAsync': 'ERR_SHM_TIMED_OUT',
  'Condition.wait': false,
  'Condition.waitAsync': false,
  'Semaphore.acquire': false,
  'Semaphore.acquireAsync': false,
  'Semaphore.withPermitAsync': 'ERR_SHM_TIMED_OUT',
  'RwLock.read': false,
  'RwLock.readAsync': false,
  'RwLock.writeAsync': false,
  'RwLock.withWriteAsync': 'ERR_SHM_TIMED_OUT',
  'RwLock.withReadAsync': 'ERR_SHM_TIMED_OUT',
  'Party.wait': null,
  'Party.waitAsync': null,
  'Once.callAsync': 'ERR_SHM_TIMED_OUT',
  ...Object.fromEntries(
    ['one', 'many'].flatMap((producers) =>
      Object.entries({
        receive: null,
        receiveInto: -1,
        peek: null,
        receiveAsync: null,
        'receiveAsync, behind another': null,
        peekAsync: null,
        messages: 'over',
        send: false,
        reserve: null,
        sendAsync: false,
        reserveAsync: null,
      }).map(([name, over]) => [`Channel.${name} (${producers})`, over]),
    ),
  ),
  'Broadcast.receive': null,
  'Broadcast.receiveAsync': null,
};
const POLLING = { 'Broadcast.receive, polling': null, 'Broadcast.receiveAsync, polling': null };

for (const fakes of [byHand, ofNode]) {
  for (const before of [true, false]) {
    describe(`clocks and timers replaced (${fakes.name}) ${before ? 'before' : 'after'} the package is loaded`, () => {
      for (const backend of built) {
        it(`every wait with a time limit ends (${backend})`, async () => {
          const told = await ask(everyWait, [folder, backend, `${fakes}`, before], { env: { SHM_NODE_QUIET: '1' } });
          assert.deepEqual(told, { ...OVER, ...(backend === 'posix' ? POLLING : {}) });
        });
      }
    });
  }
}
