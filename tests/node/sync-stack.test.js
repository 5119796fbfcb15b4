'use strict';

// A call that throws because the stack is full has locked nothing that nobody knows, keeps no turn, and has neither sent
// nor taken a message.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { folder, shm } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');
const { Barrier, Broadcast, Channel, Mutex, Once, RwLock, Semaphore } = require(`${folder}/sync.js`);

leaveNothing();

const claim = (name, body, skip = false) => it(name, { timeout: 120_000, skip }, body);

// The test runner has such hooks, and so has a program that uses an AsyncLocalStorage there.
const [major, minor] = process.versions.node.split('.').map(Number);
const isNode = typeof Bun === 'undefined' && typeof Deno === 'undefined';
const mended = { 20: 20, 22: 22, 24: 13 }; // from these minor versions on
const fatal = isNode && (major < 20 || minor < mended[major]) && 'this Node ends where the stack runs out in a promise hook';

/** Calls `call` from where the stack is full upwards, at so many depths, or until it gives true. */
function nearTheEnd(call, depths) {
  const dive = () => {
    try {
      dive();
    } catch {
      // The stack is full below.
    }
    if (depths-- > 0 && call()) depths = 0;
  };
  dive();
}

/** Calls `call` from a little further down, so that the stack is full at another place of it. */
const further = (steps, call) => (steps > 0 ? further(steps - 1, call) : call());

const locks = {
  'Mutex.lock': (view) => {
    const mutex = new Mutex(view, 0);
    return [() => mutex.lock(), mutex];
  },
  'Mutex.tryLock': (view) => {
    const mutex = new Mutex(view, 0);
    return [() => mutex.tryLock(), mutex];
  },
  'Mutex.lockAsync': (view) => {
    const mutex = new Mutex(view, 0);
    return [() => mutex.lockAsync(), mutex];
  },
  'Semaphore.acquire': (view) => {
    const semaphore = new Semaphore(view, 0, { permits: 4 });
    return [() => semaphore.acquire(), semaphore];
  },
  'Semaphore.tryAcquire': (view) => {
    const semaphore = new Semaphore(view, 0, { permits: 4 });
    return [() => semaphore.tryAcquire(), semaphore];
  },
  'Semaphore.acquireAsync': (view) => {
    const semaphore = new Semaphore(view, 0, { permits: 4 });
    return [() => semaphore.acquireAsync(), semaphore];
  },
  'RwLock.read': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.read(), lock];
  },
  'RwLock.tryRead': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.tryRead(), lock];
  },
  'RwLock.readAsync': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.readAsync(), lock];
  },
  'RwLock.write': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.write(), lock];
  },
  'RwLock.tryWrite': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.tryWrite(), lock];
  },
  'RwLock.writeAsync': (view) => {
    const lock = new RwLock(view, 0, { readers: 4 });
    return [() => lock.writeAsync(), lock];
  },
};

const nothing = () => {};

/** Calls that give something to end by the method `end`; none of them can be made twice. */
const givers = {
  'Channel.tryReserve (one producer)': (view) => {
    const channel = new Channel(view, 0, { capacity: 256 });
    return [() => channel.tryReserve(100), 'abandon'];
  },
  'Channel.tryReserve (many producers)': (view) => {
    const channel = new Channel(view, 0, { capacity: 256, producers: 'many' });
    // The consumer skips what was given up.
    return [() => channel.tryReceive() ?? channel.tryReserve(100), 'abandon'];
  },
  'Broadcast.draft': (view) => {
    const broadcast = new Broadcast(view, 0, { slots: 2, maxMessage: 100 });
    return [() => broadcast.draft(100), 'abandon'];
  },
  'Barrier.join': (view) => {
    const barrier = new Barrier(view, 0, { parties: 1 });
    return [() => barrier.join(), 'leave'];
  },
};

const messages = Array.from({ length: 100 }, (_, number) => Buffer.alloc(8, number));
const target = Buffer.alloc(8);

/** Calls that take messages. */
const receivers = {
  tryReceive: (channel) => channel.tryReceive(),
  receive: (channel) => channel.receive(),
  tryReceiveInto: (channel) => channel.tryReceiveInto(target) && target[0],
  receiveInto: (channel) => channel.receiveInto(target) && target[0],
  'messages().next': (channel) => channel.messages().next(),
  'messages({ batch }).next': (channel) => channel.messages({ batch: true }).next(),
  receiveAsync: (channel) => channel.receiveAsync(),
};

/** The numbers of the messages that such a call gave. */
function numbersOf(got) {
  if (typeof got === 'number') return [got];
  return [got.value ?? got].flat().map(([number]) => number);
}

/** Calls that send one message. */
const senders = {
  trySend: (channel, message) => channel.trySend(message),
  send: (channel, message) => channel.send(message),
  sendAsync: (channel, message) => channel.sendAsync(message),
};

const others = {
  'Mutex.withLockAsync': (view) => {
    const mutex = new Mutex(view, 0);
    return [() => mutex.withLockAsync(nothing)];
  },
  'Once.callAsync': (view) => [() => new Once(view, 0).callAsync(nothing)],
};

/** Whether one of the first words is not as it was. */
function isChanged(words, before) {
  for (let word = 0; word < before.length; word++) if (words[word] !== before[word]) return true;
  return false;
}

describe('when the stack is full', () => {
  for (const [name, make] of Object.entries(locks)) {
    if (name.endsWith('Async')) continue;
    for (const warm of [false, true]) {
      claim(`${name} holds what it gives, and nothing else (${warm ? 'compiled' : 'new'})`, () => {
        const view = words();
        const [ask] = make(view);
        if (warm) for (let i = 0; i < 5000; i++) ask().unlock();
        const before = view.slice(0, 16);
        let [guard, threw, held, error] = [undefined, 0, 0, undefined];
        const call = () => {
          try {
            guard = ask();
            return true;
          } catch (caught) {
            error = caught;
            threw++;
            if (isChanged(view, before)) held++;
            return false;
          }
        };
        if (warm) {
          call(); // what is not compiled needs more of the stack
          guard.unlock();
          isChanged(view, before);
        }
        guard = undefined;
        // What is compiled may need less than a step of the dive.
        for (let steps = 0; threw === 0 && steps < 32; steps++) {
          guard?.unlock();
          further(steps, () => nearTheEnd(call, 8000));
        }
        assert.ok(guard, 'in the end there was room');
        if (warm) assert.ok(threw > 0, 'and before there was none');
        if (threw > 0) assert.equal(error.name, 'RangeError');
        assert.equal(held, 0, 'it threw, and holds it');
        guard.unlock();
        ask().unlock();
        shm.detach(view);
      });
    }
  }

  for (const [name, make] of Object.entries(givers)) {
    claim(`${name} gives something to end, or has given nothing`, () => {
      for (let steps = 0; steps < 12; steps++) {
        const view = words(1024);
        const [give, end] = make(view);
        let [given, threw] = [undefined, 0];
        const call = () => {
          try {
            given = give();
            return true;
          } catch {
            threw++;
            return false;
          }
        };
        further(steps, () => nearTheEnd(call, 30_000));
        assert.ok(threw > 0 && given, 'it was near the end, and then was not');
        for (let round = 0; round < 4; round++) {
          given[end]();
          given = give();
          assert.ok(given, 'nothing is left of the calls that threw');
        }
        given[end]();
        shm.detach(view);
      }
    });
  }

  for (const [name, receive] of Object.entries(receivers)) {
    for (const producers of ['one', 'many']) {
      claim(`${name}() gives a message or leaves it in the channel (${producers})`, async () => {
        let threw = 0;
        for (let steps = 0; steps < 20; steps++) {
          const view = words(1 << 14);
          const channel = new Channel(view, 0, { capacity: 1 << 12, producers });
          for (const message of messages) channel.send(message);
          const given = [];
          const call = () => {
            try {
              return given.push(receive(channel)) > 2;
            } catch {
              threw++;
              return false;
            }
          };
          further(steps, () => nearTheEnd(call, 30_000));
          const numbers = [];
          for (const { status, value } of await Promise.allSettled(given)) {
            if (status === 'fulfilled') numbers.push(...numbersOf(value));
            else threw++;
          }
          for (let rest; (rest = channel.tryReceive()) !== null; ) numbers.push(rest[0]);
          assert.deepEqual(numbers, [...messages.keys()]);
          shm.detach(view);
        }
        assert.ok(threw > 0, 'it was near the end');
      }, name.endsWith('Async') || name.endsWith('next') ? fatal : false);
    }
  }

  for (const [name, send] of Object.entries(senders)) {
    for (const producers of ['one', 'many']) {
      claim(`${name}() sends a message, or throws and sends nothing (${producers})`, async () => {
        let threw = 0;
        for (let steps = 0; steps < 20; steps++) {
          const view = words(1 << 14);
          const channel = new Channel(view, 0, { capacity: 1 << 12, producers });
          const sent = [];
          let number = 0;
          const call = () => {
            try {
              sent[number] = send(channel, messages[number]);
            } catch {
              threw++;
              sent[number] = false;
            }
            return ++number === messages.length;
          };
          further(steps, () => nearTheEnd(call, 30_000));
          const expected = [];
          for (const [number, { value }] of (await Promise.allSettled(sent)).entries()) {
            if (value === true) expected.push(number);
            else threw++;
          }
          const numbers = [];
          for (let one; (one = channel.tryReceive()) !== null; ) numbers.push(one[0]);
          assert.deepEqual(numbers, expected);
          shm.detach(view);
        }
        assert.ok(threw > 0, 'it was near the end');
      }, name.endsWith('Async') ? fatal : false);
    }
  }

  for (const producers of ['one', 'many']) {
    claim(`drain() passes each message to its callback (${producers})`, () => {
      let threw = 0;
      for (let steps = 0; steps < 20; steps++) {
        const view = words(1 << 14);
        const channel = new Channel(view, 0, { capacity: 1 << 12, producers });
        for (const message of messages) channel.send(message);
        const passed = new Uint8Array(messages.length);
        const call = () => {
          try {
            return channel.drain((view) => void passed[view[0]]++, { max: 10 }) > 0;
          } catch {
            threw++;
            return false;
          }
        };
        further(steps, () => nearTheEnd(call, 30_000));
        for (let rest; (rest = channel.tryReceive()) !== null; ) passed[rest[0]]++;
        assert.deepEqual(passed, new Uint8Array(messages.length).fill(1));
        shm.detach(view);
      }
      assert.ok(threw > 0, 'it was near the end');
    });
  }

  for (const [name, make] of Object.entries({ ...locks, ...others })) {
    if (!name.endsWith('Async')) continue;
    claim(`${name} gives what it holds, or rejects, and keeps no turn`, async () => {
      for (let round = 0; round < 3; round++) {
        const view = words(1 << 14);
        const [ask] = make(view);
        const promises = [];
        let threw = 0;
        const call = () => {
          try {
            promises.push(ask());
          } catch {
            threw++;
          }
        };
        call();
        nearTheEnd(call, round === 0 ? 1000 : 200);
        // Each gives back what it has at once: those who sleep are woken in any order.
        const ended = await Promise.allSettled(promises.map(async (promise) => (await promise)?.unlock?.()));
        const rejected = ended.filter(({ status }) => status === 'rejected');
        for (const { reason } of rejected) assert.equal(reason.name, 'RangeError');
        assert.ok(threw + rejected.length > 0 && rejected.length < ended.length, 'it was near the end, and then was not');
        (await ask())?.unlock?.();
        shm.detach(view);
      }
    }, fatal);
  }
});
