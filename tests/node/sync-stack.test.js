'use strict';

// A call that throws because the stack is full has locked nothing that nobody knows, and keeps no turn.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { folder, shm } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');
const { Barrier, Channel, Condition, Mutex, Once, RwLock, Semaphore } = require(`${folder}/sync.js`);

leaveNothing();

const claim = (name, body) => it(name, { timeout: 20_000 }, body);

/** Calls `call` at so many depths from where the stack is full upwards; gives what did not throw. */
function nearTheEnd(call, depths = 400) {
  const given = new Array(depths);
  let left = depths;
  const dive = () => {
    try {
      dive();
    } catch {
      // The stack is full below.
    }
    if (left === 0) return;
    left--;
    given[left] = call();
  };
  dive();
  return given.filter((value) => value !== undefined);
}

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

/** Whether nobody holds it, as its words say. */
const isFree = (view) => view.subarray(2).every((word, index) => index === 0 || index === 2 || word === 0);

describe('where the stack is full', () => {
  for (const [name, make] of Object.entries(locks)) {
    claim(`${name} holds what it gives, and nothing else`, async () => {
      for (const warm of [false, true]) {
        const view = words();
        const [ask] = make(view);
        const holds = new Int32Array(view.buffer, 0, 16);
        const fresh = holds.slice();
        if (warm) for (let i = 0; i < 300; i++) (await ask()).unlock();
        const outcomes = [];
        let held = 0;
        // One guard at a time: what the words say after each call is compared with what was given.
        const given = nearTheEnd(() => {
          let guard;
          try {
            guard = ask();
          } catch {
            if (isHeld(holds, fresh)) held++;
            return undefined;
          }
          return guard;
        }, 400);
        for (const one of given) {
          const guard = await Promise.resolve(one).catch(() => false);
          if (guard) outcomes.push(guard.unlock());
        }
        assert.equal(held, 0, 'it threw, and holds it');
        const again = await ask();
        again.unlock();
        shm.detach(view);
      }
    });
  }
});

function isHeld(words, fresh) {
  for (let word = 2; word < 16; word++) if (words[word] !== fresh[word]) return true;
  return false;
}
