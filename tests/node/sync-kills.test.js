'use strict';

// SIGKILL at every step of the algorithms, through the addon. In a process of its own, one that was built for it, each
// step of shm-sync and each operation of Atomics in lib/sync is counted, and one of them is its last; we work with it,
// and go on after it. By default some steps are tried, other ones each time; SHM_NODE_KILL_EVERY=1 tries them all.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { folder, shm, sleep, start, until } = require('./support.js');
const { leaveNothing, place, words } = require('./support/sync.js');
const sync = require(`${folder}/sync.js`);
const { Barrier, Broadcast, Channel, Condition, Mutex, Once, RwLock, Semaphore } = sync;

leaveNothing();

// Built by `npm test`, and by `npm run storm:sync`.
const addon = path.join(__dirname, '..', '..', 'target', 'storm', 'shm-node.node');
const skip = !fs.existsSync(addon) && `there is no ${addon}: run npm run build:storm`;

const EVERY = Number(process.env.SHM_NODE_KILL_EVERY ?? 0);
const TRIES = 14;
const LANES = 3;
const GENEROUS = 60_000;
const limit = { timeout: GENEROUS };

// What the child is made of, as text: functions that know nothing of this file.

/**
 * Loads the package again with the addon that counts steps; gives `arm`, which begins to count, and a step of the test.
 */
const stepping = (folder, addon, fatal) => {
  const file = require.resolve(folder + '/lib/native.js');
  for (const loaded of Object.keys(require.cache)) {
    if (loaded.startsWith(folder) && loaded !== file) delete require.cache[loaded];
  }
  require.cache[file].exports = require(addon);
  const native = require(folder + '/lib/sync/native.js');
  let isArmed = false;
  const step = () => isArmed && native.mayDie();
  const real = globalThis.Atomics;
  const operations = ['add', 'compareExchange', 'load', 'store', 'sub'];
  globalThis.Atomics = Object.fromEntries(operations.map((name) => [name, (...args) => (step(), real[name](...args))]));
  // What comes after it, as the process ends, does not count.
  const steps = () => {
    const count = isArmed ? native.steps() : 0;
    native.armAt(0);
    return count;
  };
  return { shm: require(folder), arm: () => ((isArmed = true), native.armAt(fatal)), step, steps };
};

/** Two words that differ only while somebody is at work on them, or was killed at it, and then the next one is told. */
const change = (view, ownerDied, between) => {
  const [left, right] = [1000, 1001];
  if (ownerDied) view[left] = view[right];
  if (view[left] !== view[right]) throw new Error('half-changed, and nobody was told of it');
  view[left]++;
  for (let i = 0; i < 3; i++) between?.(); // often enough that some of them are tried
  view[right]++;
};

/** A message that tells its number, and whether it is whole. */
const message = (number) => {
  const bytes = Buffer.alloc(4 + ((number * 13) % 90), number);
  bytes.writeInt32LE(number);
  return bytes;
};

// Words of the view in which the child notes how far it came: what it begins, and what it has done.
const [BEGUN, DONE] = [1002, 1003];

const program = (child, fatal) => `(_, folder, target, given) => {
  const { shm, arm, step, steps } = (${stepping})(folder, '${addon}', ${fatal});
  const [change, message, BEGUN, DONE] = [${change}, ${message}, ${BEGUN}, ${DONE}];
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const up = () => (ready(), arm());
  const work = ${child};
  work(require(folder + '/sync.js'), shm.get(target), { BEGUN, DONE, arm, change, given, message, sleep, step, up }).then(
    () => (console.log('steps', steps()), process.exit()),
    (error) => (console.error(error), process.exit(1)),
  );
}`;

const numberOf = (bytes) => {
  const number = bytes.readInt32LE();
  assert.deepEqual(Buffer.from(bytes), message(number), 'torn');
  return number;
};

/** Gives what a promise gives; fails where that is nothing, as time was up. */
async function got(promise, what) {
  const value = await promise;
  assert.ok(value !== false && value !== null, `nothing after ${GENEROUS} ms: ${what}`);
  return value;
}

/** Holds what `lock` gives as long as the child lives, and once more; it is told of a death once, if there was one. */
async function takeTurns(view, child, lock) {
  let told = 0;
  const hold = async (ms) => {
    const guard = await lock();
    if (guard.ownerDied) told++;
    change(view, guard.ownerDied);
    await sleep(ms);
    guard.unlock();
  };
  for (; !child.isOver; await sleep(1)) await hold(2);
  await hold(0);
  assert.ok(told <= (await child.isKilled), `told ${told} times`);
}

/** Each claim: what the child does, and what is seen here while it lives and after it. */
const claims = {
  'a half-made structure is completed': {
    child: async (sync, view, { arm, given }) => {
      arm();
      given.forEach(([name, index, options]) => new sync[name](view, index, options));
    },
    given: [
      ['Mutex', 0],
      ['Condition', 4],
      ['Once', 8],
      ['Semaphore', 12, { permits: 2 }],
      ['RwLock', 32, { readers: 2 }],
      ['Barrier', 48, { parties: 1 }],
      ['Channel', 64, { capacity: 64, producers: 'many' }],
      ['Broadcast', 256, { slots: 2, maxMessage: 8 }],
    ],
    async watch(view, child) {
      await child.ended;
      const [mutex, condition, once, semaphore, lock, barrier, ring, news] = this.given.map(
        ([name, index, options]) => new sync[name](view, index, options),
      );
      mutex.tryLock().unlock();
      assert.equal(condition.notifyAll(), 0);
      once.call(() => {});
      semaphore.tryAcquire().unlock();
      lock.tryWrite().unlock();
      assert.equal(barrier.join().wait(), true);
      assert.ok(ring.trySend(Buffer.alloc(3)));
      assert.equal(ring.tryReceive().length, 3);
      assert.equal(news.send(Buffer.alloc(3)), 0);
    },
  },

  'Mutex: nobody waits for ever, and who was killed inside is told of, once': {
    child: async ({ Mutex }, view, { change, sleep, step, up }) => {
      const mutex = new Mutex(view, 0);
      up();
      for (let round = 0; round < 6; round++) {
        const guard = round % 2 ? mutex.lock() : await mutex.lockAsync();
        change(view, guard.ownerDied, step);
        guard.unlock();
        if (round % 2) await sleep(1);
      }
    },
    async watch(view, child) {
      const mutex = new Mutex(view, 0);
      await takeTurns(view, child, () => got(mutex.lockAsync(limit), 'lockAsync'));
      assert.equal(mutex.tryLock().ownerDied, false);
    },
  },

  'RwLock: the same for readers and writers, and no slot of a reader is lost': {
    child: async ({ RwLock }, view, { change, sleep, step, up }) => {
      const lock = new RwLock(view, 0);
      up();
      for (let round = 0; round < 6; round++) {
        if (round % 3 === 0) {
          const guard = round % 2 ? lock.write() : await lock.writeAsync();
          change(view, guard.ownerDied, step);
          guard.unlock();
        } else {
          const guard = round % 2 ? lock.read() : await lock.readAsync();
          if (view[1000] !== view[1001] && !guard.ownerDied) throw new Error('torn');
          step();
          guard.unlock();
        }
        await sleep(1);
      }
    },
    prepare: (view) => new RwLock(view, 0, { readers: 3 }),
    async watch(view, child) {
      const lock = new RwLock(view, 0);
      const write = async () => {
        const guard = await got(lock.writeAsync(limit), 'writeAsync');
        change(view, guard.ownerDied);
        await sleep(1);
        guard.unlock();
      };
      const read = async () => {
        const guard = await got(lock.readAsync(limit), 'readAsync');
        assert.ok(guard.ownerDied || view[1000] === view[1001], 'a reader was not told');
        await sleep(1);
        guard.unlock();
      };
      for (let round = 0; !child.isOver; round++) await (round % 2 ? read() : write());
      await read();
      await write();
      const readers = [1, 2, 3].map(() => lock.tryRead());
      assert.deepEqual(readers.map(({ ownerDied }) => ownerDied), [false, false, false]);
      for (const reader of readers) reader.unlock();
      assert.deepEqual([...view.subarray(8, 11)], [0, 0, 0]);
    },
  },

  'Semaphore: its permit comes back, and that is told': {
    child: async ({ Semaphore }, view, { change, sleep, step, up }) => {
      const semaphore = new Semaphore(view, 0);
      up();
      for (let round = 0; round < 6; round++) {
        const guard = round % 2 ? semaphore.acquire() : await semaphore.acquireAsync();
        change(view, guard.ownerDied, step);
        guard.unlock();
        await sleep(1);
      }
    },
    prepare: (view) => new Semaphore(view, 0, { permits: 2 }),
    async watch(view, child) {
      const semaphore = new Semaphore(view, 0);
      const held = semaphore.acquire(); // there is one for the two of us
      await takeTurns(view, child, () => got(semaphore.acquireAsync(limit), 'acquireAsync'));
      held.unlock();
      assert.deepEqual([1, 2].map(() => semaphore.tryAcquire().ownerDied), [false, false]);
    },
  },

  'Condition: those who are left wait and notify': {
    child: async ({ Condition, Mutex }, view, { change, step, up }) => {
      const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
      up();
      for (let round = 0; round < 6; round++) {
        const guard = await mutex.lockAsync();
        change(view, guard.ownerDied, step);
        if (round % 3 === 0) condition.notifyOne();
        else if (round % 3 === 1) await condition.waitAsync(guard, { timeout: 3 });
        else condition.wait(guard, 3);
        change(view, guard.ownerDied, step);
        guard.unlock();
      }
    },
    async watch(view, child) {
      const [mutex, condition] = [new Mutex(view, 0), new Condition(view, 4)];
      for (; !child.isOver; await sleep(0)) {
        const guard = await got(mutex.lockAsync(limit), 'lockAsync');
        change(view, guard.ownerDied);
        await condition.waitAsync(guard, { timeout: 2 });
        change(view, guard.ownerDied);
        condition.notifyAll();
        guard.unlock();
      }
      const guard = await got(mutex.lockAsync(limit), 'lockAsync');
      change(view, guard.ownerDied);
      const waiting = condition.waitAsync(guard, limit);
      const inside = await got(mutex.lockAsync(limit), 'lockAsync');
      condition.notifyOne();
      inside.unlock();
      assert.equal(await waiting, true);
      guard.unlock();
    },
  },

  'Barrier: the phase is broken, and another can join': {
    child: async ({ Barrier }, view, { up }) => {
      const barrier = new Barrier(view, 0);
      up();
      const party = barrier.join();
      for (let round = 0; round < 4; round++) await (round % 2 ? party.wait() : party.waitAsync());
      party.leave();
    },
    prepare: (view) => new Barrier(view, 0, { parties: 2 }),
    async watch(view, child) {
      const barrier = new Barrier(view, 0);
      const party = barrier.join();
      const controller = new AbortController();
      // If it died before it had joined, nobody is missing.
      child.ended.then(() => view.subarray(8, 10).includes(0) && controller.abort(new Error('alone')));
      let met = 0;
      const meet = () => party.waitAsync({ timeout: GENEROUS, signal: controller.signal });
      const how = await (async () => {
        for (; met < 4; met++) assert.notEqual(await meet(), null, 'it waits for ever');
      })().catch(({ code, message }) => code ?? message);
      const isKilled = await child.isKilled;
      if (met < 4) assert.ok(isKilled && ['ERR_SHM_BROKEN', 'alone'].includes(how), how);
      const next = barrier.join();
      const both = await Promise.all([party, next].map((one) => one.waitAsync(limit)));
      assert.deepEqual(both.sort(), [false, true]);
    },
  },

  'Once: it is done, and who follows is told': {
    child: async ({ Once }, view, { DONE, given, sleep, step, up }) => {
      const once = new Once(view, 0);
      up();
      const work = () => (step(), view[DONE]++, step());
      if (given % 2) once.call(work);
      else await once.callAsync(async () => (step(), await sleep(1), work()));
    },
    async watch(view, child, step) {
      const once = new Once(view, 0);
      if (step % 4 < 2) await child.ended;
      else await until(() => child.isOver || view[2] !== 0);
      const turns = [];
      await once.callAsync(({ ownerDied }) => turns.push(ownerDied), limit);
      const isKilled = await child.isKilled;
      assert.equal(once.done, true);
      if (turns.length === 0) assert.equal(view[DONE], 1);
      else assert.deepEqual([turns.length, isKilled, !turns[0] && view[DONE] > 0], [1, 1, false]);
    },
  },

  ...Object.fromEntries(['one', 'many'].map((producers) => [
    `Channel: of a killed producer nothing is missing but what it had not committed (producers: ${producers})`,
    {
      child: async ({ Channel }, view, { BEGUN, DONE, message, step, up }) => {
        const ring = new Channel(view, 0);
        up();
        for (let number = 0; number < 14; number++) {
          const bytes = message(number);
          view[BEGUN] = number + 1;
          if (number % 3 === 0) await ring.sendAsync(bytes);
          else if (number % 3 === 1) ring.send(bytes);
          else {
            const room = ring.reserve(bytes.length);
            room.view.set(bytes);
            step();
            room.commit();
          }
          view[DONE] = number + 1;
        }
      },
      prepare: (view, step) => {
        new Channel(view, 0, { capacity: 256, producers });
        if (step % 2) view[32] = view[33] = view[64] = -512; // positions go beyond 32 bits
      },
      async watch(view, child) {
        const [ring, own] = [new Channel(view, 0), new Channel(view, 0)];
        const seen = [];
        const ours = [];
        const take = (bytes) => (numberOf(bytes) < 1000 ? seen : ours).push(numberOf(bytes));
        const sending = (async () => {
          for (let number = 1000; producers === 'many' && !child.isOver; number++, await sleep(1)) {
            await got(own.sendAsync(message(number), limit), 'sendAsync');
          }
          await child.ended;
          return got(own.sendAsync(message(2000), limit), 'sendAsync');
        })();
        while (ours.at(-1) !== 2000) take(await got(ring.receiveAsync(limit), 'receiveAsync'));
        await sending;
        const [begun, done] = [view[BEGUN], view[DONE]];
        assert.deepEqual(seen, Array.from({ length: Math.max(done, seen.length) }, (_, number) => number));
        assert.ok(seen.length <= begun && ring.lost <= (await child.isKilled), `${seen.length} of ${begun}, ${ring.lost} lost`);
        assert.deepEqual(ours.slice(0, -1), Array.from({ length: ours.length - 1 }, (_, number) => 1000 + number));
        assert.equal(ring.tryReceive(), null);
      },
    },
  ])),

  'Channel: of a killed consumer nothing is missing but what it had released': {
    child: async ({ Channel }, view, { BEGUN, DONE, message, step, up }) => {
      const ring = new Channel(view, 0);
      const target = Buffer.alloc(ring.maxMessage);
      up();
      const take = (bytes) => {
        if (!message(view[DONE]).equals(bytes)) throw new Error(`not ${view[DONE]}: ${bytes.toString('hex')}`);
        view[BEGUN] = view[DONE] + 1;
        step();
      };
      for (let round = 0; round < 12; round++) {
        const way = round % 4;
        if (way === 0) take(await ring.receiveAsync());
        else if (way === 1) take(target.subarray(0, ring.receiveInto(target)));
        else {
          const peeked = way === 2 ? ring.peek() : await ring.peekAsync();
          take(peeked.view);
          peeked.release();
        }
        view[DONE]++;
        step();
      }
      ring.close();
    },
    prepare: (view, step) => {
      new Channel(view, 0, { capacity: 256, producers: step % 2 ? 'one' : 'many' });
      if (step % 4 < 2) view[32] = view[33] = view[64] = -512;
    },
    async watch(view, child) {
      const [ring, next] = [new Channel(view, 0), new Channel(view, 0)];
      const last = 30;
      const sending = (async () => {
        for (let number = 0; number <= last; number++) {
          const bytes = message(number);
          if (number % 3) await got(ring.sendAsync(bytes, limit), 'sendAsync');
          else {
            const room = await got(ring.reserveAsync(bytes.length, limit), 'reserveAsync');
            room.view.set(bytes);
            if (!child.isOver) await sleep(1);
            room.commit();
          }
          if (!child.isOver && number % 4 === 0) await sleep(1);
        }
      })();
      await Promise.race([sending, child.ended]);
      await child.ended;
      const [seen, done] = [view[BEGUN], view[DONE]];
      const left = [];
      while (left.at(-1) !== last) left.push(numberOf(await got(next.receiveAsync(limit), 'receiveAsync')));
      await sending;
      const [first] = left;
      // What is received by a copy is released before it can be noted.
      assert.ok(first === done || first === done + 1, `noted ${seen}, ${done} of them released; then came ${first}`);
      assert.deepEqual(left, Array.from({ length: last + 1 - first }, (_, i) => first + i));
      assert.equal(next.lost, 0);
    },
  },

  ...Object.fromEntries([0, -5].map((low) => [
    `Broadcast: readers see whole messages, and the next producer goes on${low && ', across the edge of 32 bits' || ''}`,
    {
      child: async ({ Broadcast }, view, { BEGUN, DONE, message, step, up }) => {
        const news = new Broadcast(view, 0);
        up();
        for (let round = 0; round < 10; round++) {
          const bytes = message(news.next % 1000);
          view[BEGUN] = round + 1;
          if (round % 2) news.send(bytes);
          else {
            const draft = news.draft(bytes.length);
            draft.view.set(bytes);
            step();
            draft.commit();
          }
          view[DONE] = round + 1;
          if (round % 3 === 2) await 0;
        }
      },
      prepare: (view) => {
        new Broadcast(view, 0, { slots: 4, maxMessage: 100 });
        view[33] = low;
      },
      async watch(view, child) {
        const [news, next] = [new Broadcast(view, 0), new Broadcast(view, 0)];
        const [reader, late] = [news.reader(), news.reader()];
        const start = low >>> 0;
        const read = (reader) => {
          let [last, { next: expected }] = [undefined, reader];
          for (let received; (received = reader.tryReceive()) !== null; expected = received.number + 1) {
            assert.equal(received.number, expected + received.missed);
            assert.equal(numberOf(received.message), received.number % 1000);
            last = received.number;
          }
          return last;
        };
        while (!child.isOver) {
          read(reader);
          await sleep(0);
        }
        read(reader);
        next.draft(0).abandon();
        const sent = next.next - start;
        assert.ok(sent >= view[DONE] && sent <= view[BEGUN], `${sent} of ${view[DONE]} to ${view[BEGUN]}`);
        const waiting = late.receiveAsync(limit);
        for (let number = start + sent; number < start + sent + 3; number++) {
          assert.equal(next.send(message(number % 1000)), number);
        }
        assert.equal(read(reader), start + sent + 2);
        await got(waiting, 'receiveAsync');
        assert.equal(read(late), start + sent + 2);
        assert.equal(view[32], view[34]);
      },
    },
  ])),
};

/** One child, killed at a step; gives how many steps it took, or that it was killed. */
async function once(scenario, step) {
  const { child, given, prepare } = scenario;
  const view = words();
  try {
    prepare?.(view, step);
    const { ended, ready } = start(program(child, step), [folder, place(view), given ?? step], { env: { SHM_NODE_QUIET: '1' } });
    const one = { isOver: false, ended };
    const end = ended.then(({ signal, stdout, stderr }) => {
      one.isOver = true;
      assert.equal(stderr, '');
      if (signal === null) return Number(/^steps (\d+)\n$/.exec(stdout)[1]);
      assert.equal(stdout, 'killed', 'the child hung');
      return 'killed';
    });
    one.isKilled = end.then((how) => (how === 'killed' ? 1 : 0));
    one.isKilled.catch(() => {}); // it is told below
    await Promise.race([ready, ended]).catch(() => {});
    await scenario.watch(view, one, step);
    return await end;
  } catch (error) {
    error.message = `killed at step ${step}: ${error.message}`;
    throw error;
  } finally {
    shm.detach(view);
  }
}

describe('killed at any step', () => {
  for (const [claim, scenario] of Object.entries(claims)) {
    it(claim, { skip }, async (t) => {
      const all = await once(scenario, 2 ** 30);
      assert.ok(all >= 5, `${all} steps`);
      const every = EVERY || Math.max(1, Math.ceil(all / TRIES));
      let [step, kills, most] = [EVERY === 1 ? 1 : 1 + randomInt(every), 0, all];
      const lane = async () => {
        while (step <= most) {
          const mine = step;
          step += every;
          const how = await once(scenario, mine);
          // How many steps there are depends on who waits for whom.
          if (how === 'killed') kills++;
          else most = Math.max(most, how);
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      assert.ok(kills >= 3, `${kills} kills`);
      t.diagnostic(`${kills} kills, up to ${most} steps, every ${every}`);
    });
  }
});
