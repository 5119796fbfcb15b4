'use strict';

// The same memory for Rust and Node: each structure with a Rust process at the other end, made by either and found by
// the other, and with both halves of what can be done with it.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { built, folder, newKey, objectOf, shm } = require('./support.js');
const sync = require(`${folder}/sync.js`);
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore, notify, wait, waitAsync } = sync;

// Built by `cargo test`.
const program = path.join(__dirname, '..', '..', 'target', 'debug', 'examples', 'peer');
const skip = !built.includes('posix') ? 'this build has no posix' : !fs.existsSync(program) && `there is no ${program}: run cargo test`;

const GENEROUS = 120_000;
const ROUNDS = 300;
const COUNTS = 1024; // the word at 4096 bytes

const message = (number) => Buffer.alloc(number % 60, number);

/** A structure of Node's: as it was made, or as it is found. */
const opening = (makes) => (Class, view, index, options) => new Class(view, index, makes ? options : undefined);

// Node's half of each work; shm-sync/examples/peer.rs has the other.
const works = {
  mutex(view, open) {
    const mutex = open(Mutex, view, 0);
    let told = 0; // of its death, perhaps before we are done
    return async (ended) => {
      for (let round = 0; round < ROUNDS; round++) {
        const guard = round % 2 ? mutex.lock() : await mutex.lockAsync();
        told += guard.ownerDied;
        view[COUNTS]++;
        guard.unlock();
      }
      await ended;
      assert.equal(view[COUNTS], 2 * ROUNDS);
      told += (await mutex.lockAsync()).ownerDied;
      assert.equal(told, 1);
    };
  },

  semaphore(view, open) {
    const semaphore = open(Semaphore, view, 0, { permits: 2 });
    let told = 0;
    return async (ended) => {
      for (let round = 0; round < ROUNDS; round++) {
        const permit = round % 2 ? semaphore.acquire() : await semaphore.acquireAsync();
        told += permit.ownerDied;
        assert.ok(Atomics.add(view, COUNTS, 1) < 2);
        Atomics.sub(view, COUNTS, 1);
        permit.unlock();
      }
      await ended;
      for (const permit of [semaphore.acquire(), await semaphore.acquireAsync()]) told += permit.ownerDied;
      assert.equal(told, 1);
    };
  },

  'rw-lock'(view, open) {
    const lock = open(RwLock, view, 0, { readers: 3 });
    let told = false;
    return async (ended) => {
      for (let round = 0; round < ROUNDS; round++) {
        const how = round % 3 === 1 ? 'write' : 'read';
        const guard = round % 2 ? lock[how]() : await lock[`${how}Async`]();
        told ||= guard.ownerDied;
        if (how === 'write') view[COUNTS]++;
        assert.equal(view[COUNTS], view[COUNTS + 1] + (how === 'write'));
        if (how === 'write') view[COUNTS + 1]++;
        guard.unlock();
      }
      await ended;
      assert.equal(view[COUNTS], (2 * ROUNDS) / 3);
      assert.ok(told || (await lock.readAsync()).ownerDied);
    };
  },

  condition(view, open) {
    const [mutex, condition] = [open(Mutex, view, 256), open(Condition, view, 0)];
    return async () => {
      const guard = await mutex.lockAsync();
      for (let round = 0; round < ROUNDS; round++) {
        while (view[COUNTS] % 2 === 1) round % 2 ? condition.wait(guard) : await condition.waitAsync(guard);
        view[COUNTS]++;
        condition.notifyOne();
      }
      guard.unlock();
    };
  },

  barrier(view, open) {
    const barrier = open(Barrier, view, 0, { parties: 2 });
    return async (ended) => {
      const party = barrier.join();
      for (let round = 1; round <= ROUNDS; round++) {
        Atomics.add(view, COUNTS, 1);
        await (round % 2 ? party.wait() : party.waitAsync());
        assert.ok(Atomics.load(view, COUNTS) >= 2 * round, 'too early');
      }
      await ended;
      await assert.rejects(party.waitAsync(), { code: 'ERR_SHM_BROKEN' });
    };
  },

  once(view, open) {
    return async (ended) => {
      for (let round = 0; round < ROUNDS / 2; round++) {
        Atomics.add(view, COUNTS + 1, 1);
        while (Atomics.load(view, COUNTS + 1) < 2 * (round + 1));
        const once = open(Once, view, 4 * round);
        if (round % 2) once.call(() => void view[COUNTS]++);
        else await once.callAsync(async () => void view[COUNTS]++);
        assert.equal(Atomics.load(view, COUNTS), round + 1);
      }
      await ended;
      const turns = [];
      await open(Once, view, 2 * ROUNDS).callAsync(({ ownerDied }) => turns.push(ownerDied));
      assert.deepEqual(turns, [true]);
    };
  },

  broadcast(view, open) {
    const options = { slots: 4, maxMessage: 64 };
    const [to, from] = [open(Broadcast, view, 0, options), open(Broadcast, view, 512, options)];
    const reader = from.reader();
    return async () => {
      for (let number = 0; number < ROUNDS; number++) {
        assert.equal(to.send(message(number)), number);
        const received = number % 2 ? reader.receive() : await reader.receiveAsync();
        assert.deepEqual(received, { number, missed: 0, message: message(number) });
      }
    };
  },

  wait(view) {
    return async () => {
      for (let round = 0; round < ROUNDS; round++) {
        Atomics.add(view, COUNTS, 1);
        notify(view, COUNTS);
        const taken = 2 * round + 1;
        while (Atomics.load(view, COUNTS) === taken) {
          if (round % 2) wait(view, COUNTS, taken);
          else await waitAsync(view, COUNTS, taken);
        }
      }
    };
  },
};

for (const producers of ['one', 'many']) {
  works[`channel-${producers}`] = (view, open) => {
    const options = { capacity: 1024, producers };
    const [to, from] = [open(Channel, view, 0, options), open(Channel, view, 512, options)];
    return async () => {
      const target = Buffer.alloc(64);
      const sending = (async () => {
        for (let number = 0; number < ROUNDS; number++) {
          if (number % 3) await to.sendAsync(message(number));
          else {
            const room = await to.reserveAsync(number % 60);
            room.view.fill(number);
            room.commit();
          }
        }
      })();
      for (let number = 0; number < ROUNDS; number++) {
        const peeked = await from.peekAsync();
        assert.deepEqual(Buffer.from(peeked.view), message(number));
        if (number % 3 === 0) peeked.release();
        else if (number % 3 === 1) assert.deepEqual(from.receive(), message(number));
        else assert.deepEqual(target.subarray(0, from.receiveInto(target)), message(number));
      }
      await sending;
    };
  };
}

describe('Rust and Node', { skip }, () => {
  for (const [work, half] of Object.entries(works)) {
    for (const makes of ['makes', 'finds']) {
      it(`${work}, which Rust ${makes}`, { timeout: GENEROUS }, async () => {
        const view = shm.create({ size: 65536, type: 'Int32Array', backend: 'posix', key: newKey() });
        const open = opening(makes === 'finds');
        let rest = makes === 'finds' ? half(view, open) : undefined;
        const rounds = work === 'once' ? ROUNDS / 2 : ROUNDS;
        const child = spawn(program, [objectOf(view.key), work, String(rounds), makes], { stdio: ['ignore', 'pipe', 'pipe'] });
        let stderr = '';
        child.stderr.on('data', (text) => (stderr += text));
        const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
        await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended]);
        rest ??= half(view, open);
        await rest(ended);
        assert.deepEqual(await ended, { code: 0, stderr: '' });
        shm.detach(view);
      });
    }
  }
});
