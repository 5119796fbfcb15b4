'use strict';

// The event loop: asynchronous calls give what is there at once, and let the loop take its turns all the same; who has
// to wait looks from the loop for a moment, if that is worth while, and then sleeps.

const assert = require('node:assert/strict');
const { beforeEach, describe, it } = require('node:test');
const { folder, run, shm, sleep } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');

// Each native call of lib/sync, by its name.
const called = [];
const native = require(`${folder}/lib/sync/native.js`);
for (const [name, work] of Object.entries(native)) {
  if (typeof work === 'function') native[name] = (...args) => (called.push(name), work(...args));
}
const count = (...names) => called.filter((name) => names.includes(name)).length;

const { Broadcast, Channel, Mutex, RwLock, Semaphore, waitAsync } = require(`${folder}/sync.js`);

beforeEach(() => void (called.length = 0));
leaveNothing();

/** A test that fails where something never ends. What does not keep the event loop alive gets an answer, too. */
const claim = (name, body, skip = false) =>
  it(name, { timeout: 120_000, skip }, async () => {
    const alive = setInterval(() => {}, 1000);
    await body().finally(() => clearInterval(alive));
  });

const turn = () => new Promise(setImmediate);
const bytes = (number, length = 8) => Buffer.alloc(length, number);

/** Both ends of a channel, at work already. */
function channel(options = { capacity: 4096 }) {
  const view = words(Channel.byteLength(options));
  const [sender, receiver] = [new Channel(view, 0, options), new Channel(view, 0)];
  sender.send(bytes(0));
  receiver.receive();
  return { view, sender, receiver };
}

/** A broadcast and its reader. */
function broadcast() {
  const options = { slots: 16, maxMessage: 8 };
  const view = words(Broadcast.byteLength(options));
  const news = new Broadcast(view, 0, options);
  return { view, news, reader: news.reader() };
}

/** Whether a promise is settled before anything else happens. */
async function isThere(promise) {
  const other = {};
  return (await Promise.race([promise, other])) !== other;
}

/** Calls of every kind whose answer is there, each with an `end` of what it gives. */
function ready() {
  const view = words();
  const { sender, receiver } = channel();
  const { news, reader } = broadcast();
  const messages = receiver.messages();
  const readers = reader.messages();
  const mutex = new Mutex(view, 0);
  const semaphore = new Semaphore(view, 16, { permits: 1 });
  const lock = new RwLock(view, 64, { readers: 1 });
  const unlock = (guard) => guard.unlock();
  return {
    sendAsync: [(options) => sender.sendAsync(bytes(1), options), () => receiver.receive()],
    reserveAsync: [(options) => sender.reserveAsync(8, options), (room) => room.abandon()],
    receiveAsync: [(options) => (sender.send(bytes(1)), receiver.receiveAsync(options)), () => {}],
    peekAsync: [(options) => (sender.send(bytes(1)), receiver.peekAsync(options)), (message) => message.release()],
    'Channel.messages': [() => (sender.send(bytes(1)), messages.next()), ({ value }) => assert.equal(value[0], 1)],
    'BroadcastReader.receiveAsync': [(options) => (news.send(bytes(1)), reader.receiveAsync(options)), () => {}],
    'BroadcastReader.messages': [() => (news.send(bytes(1)), readers.next()), ({ done }) => assert.equal(done, false)],
    lockAsync: [(options) => mutex.lockAsync(options), unlock],
    acquireAsync: [(options) => semaphore.acquireAsync(options), unlock],
    readAsync: [(options) => lock.readAsync(options), unlock],
    writeAsync: [(options) => lock.writeAsync(options), unlock],
    waitAsync: [(options) => waitAsync(view, 900, 1, options), (outcome) => assert.equal(outcome, 'not-equal')],
  };
}

describe('a result that is there at once', () => {
  for (const [name, [ask, end]] of Object.entries(ready())) {
    claim(`is given at once: ${name}`, async () => {
      for (const options of [undefined, { timeout: 1000 }, { signal: new AbortController().signal }]) {
        await turn();
        called.length = 0;
        const promise = ask(options);
        assert.equal(count('step', 'setAlarm', 'keepAlive', 'openDoor'), 0, `${called}`);
        assert.ok(await isThere(promise), 'it is resolved already');
        end(await promise);
      }
      const signal = { aborted: false, addEventListener: assert.fail, removeEventListener: assert.fail };
      end(await ask({ signal }));
    });

    claim(`is not given where the signal has aborted, or an option is wrong: ${name}`, async () => {
      if (name.includes('messages')) return;
      const aborted = new AbortController();
      aborted.abort(new Error('enough'));
      await assert.rejects(ask({ signal: aborted.signal }), { message: 'enough' });
      await assert.rejects(ask({ spin: 'long' }), { code: 'ERR_INVALID_ARG_TYPE' });
      for (const spin of [-1, 1e7, NaN]) await assert.rejects(ask({ spin }), { code: 'ERR_OUT_OF_RANGE' });
    });
  }

  claim('does not go to a call that came later than others', async () => {
    const { view, sender, receiver } = channel();
    const first = receiver.receiveAsync();
    sender.send(bytes(1));
    sender.send(bytes(2));
    const second = receiver.receiveAsync();
    const third = receiver.messages().next();
    sender.send(bytes(3));
    assert.deepEqual(await Promise.all([first, second]), [bytes(1), bytes(2)]);
    assert.deepEqual((await third).value, bytes(3));
    shm.detach(view);
  });
});

describe('a loop that always finds a result', () => {
  const MESSAGES = 20_000;

  /** How often the event loop went round, and a timer of 1 ms came, while `work` was at it. */
  async function meanwhile(work) {
    let [turns, ticks, isOver] = [0, 0, false];
    const next = () => (turns++, isOver || setImmediate(next));
    setImmediate(next);
    const timer = setInterval(() => ticks++, 1);
    await turn();
    await work();
    isOver = true;
    clearInterval(timer);
    return { turns, ticks };
  }

  const filled = (send, amount) => {
    for (let sent = 0; sent < amount; sent++) send(bytes(sent));
  };

  const loops = {
    'for await of a Channel': async (amount, each) => {
      const { view, sender, receiver } = channel({ capacity: 1 << 20 });
      filled((message) => sender.send(message), amount);
      for await (const message of receiver) if (each(message) === amount) break;
      shm.detach(view);
    },
    'await receiveAsync()': async (amount, each) => {
      const { view, sender, receiver } = channel({ capacity: 1 << 20 });
      filled((message) => sender.send(message), amount);
      while (each(await receiver.receiveAsync()) < amount);
      shm.detach(view);
    },
    'await sendAsync()': async (amount, each) => {
      const { view, sender } = channel({ capacity: 1 << 20 });
      do await sender.sendAsync(bytes(1));
      while (each() < amount);
      shm.detach(view);
    },
    'for await of a Broadcast': async (amount, each) => {
      const { view, news, reader } = broadcast();
      news.send(bytes(0));
      for await (const { message } of reader) {
        news.send(message);
        if (each() === amount) break;
      }
      shm.detach(view);
    },
    'await lockAsync()': async (amount, each) => {
      const view = words();
      const mutex = new Mutex(view, 0);
      do (await mutex.lockAsync()).unlock();
      while (each() < amount);
      shm.detach(view);
    },
  };

  for (const [name, loop] of Object.entries(loops)) {
    claim(`gives the event loop a turn every 256 messages: ${name}`, async () => {
      let got = 0;
      const { turns } = await meanwhile(() => loop(MESSAGES, () => ++got));
      assert.ok(turns >= Math.floor(MESSAGES / 256), `${turns} turns`);
    });

    claim(`and every millisecond, so that timers come: ${name}`, async () => {
      const AMOUNT = 30;
      let got = 0;
      // Each takes more than a millisecond of this thread.
      const busy = () => {
        for (const until = performance.now() + 1.5; performance.now() < until; );
        return ++got;
      };
      const { turns, ticks } = await meanwhile(() => loop(AMOUNT, busy));
      assert.ok(turns >= AMOUNT / 3 && ticks >= AMOUNT / 3, `${turns} turns, ${ticks} ticks`);
    });
  }
});

describe('a caller that has to wait', () => {
  // As long as it may be: what looks here looks until it finds something, or is ended.
  const spin = 1_000_000;

  /** Calls that look from the loop, each with what lets it find something. */
  function looking(options) {
    const view = words();
    const { sender, receiver } = channel({ capacity: 64 });
    const full = channel({ capacity: 64 });
    const fill = () => {
      while (full.sender.trySend(bytes(1)));
    };
    const { news, reader } = broadcast();
    const mutex = new Mutex(view, 0);
    const semaphore = new Semaphore(view, 16, { permits: 1 });
    const lock = new RwLock(view, 64, { readers: 1 });
    const send = () => sender.send(bytes(1));
    const held = (take, ask) => ({
      async begin() {
        (await ask()).unlock();
        const guard = take();
        this.find = () => guard.unlock();
      },
      ask,
      end: (guard) => guard.unlock(),
    });
    return {
      receiveAsync: {
        begin: () => (send(), receiver.receiveAsync()),
        ask: () => receiver.receiveAsync(options),
        find: send,
      },
      peekAsync: {
        begin: () => (send(), receiver.receiveAsync()),
        ask: () => receiver.peekAsync(options),
        find: send,
        end: (message) => message.release(),
      },
      'Channel.messages': {
        begin: () => (send(), receiver.receiveAsync()),
        ask: () => receiver.messages(options).next(),
        find: send,
      },
      sendAsync: {
        begin: async () => {
          while (full.receiver.tryReceive() !== null);
          await full.sender.sendAsync(bytes(1));
          fill();
        },
        ask: () => full.sender.sendAsync(bytes(1), options),
        find: () => full.receiver.receive(),
      },
      'BroadcastReader.receiveAsync': {
        begin: () => (news.send(bytes(1)), reader.receiveAsync()),
        ask: () => reader.receiveAsync(options),
        find: () => news.send(bytes(1)),
      },
      lockAsync: held(() => mutex.lock(), () => mutex.lockAsync(options)),
      acquireAsync: held(() => semaphore.acquire(), () => semaphore.acquireAsync(options)),
      readAsync: held(() => lock.write(), () => lock.readAsync(options)),
      writeAsync: held(() => lock.read(), () => lock.writeAsync(options)),
    };
  }

  for (const name of Object.keys(looking())) {
    claim(`after something came looks from the loop, and never sleeps, if that comes soon: ${name}`, async () => {
      const { [name]: way } = looking({ spin });
      for (let round = 0; round < 3; round++) {
        await way.begin();
        called.length = 0;
        const asked = way.ask();
        for (let turns = 0; turns < 10; turns++) await turn();
        way.find();
        const got = await asked;
        assert.notEqual(got, null);
        assert.equal(count('step'), 0);
        way.end?.(got);
      }
    });

    claim(`sleeps at once with spin: 0, and with ref: false: ${name}`, async () => {
      for (const options of [{ spin: 0 }, { spin, ref: false }]) {
        const { [name]: way } = looking(options);
        await way.begin();
        called.length = 0;
        const asked = way.ask();
        assert.equal(count('step'), 1);
        way.find();
        const got = await asked;
        way.end?.(got);
      }
    });

    claim(`gives up by time while it looks, and sleeps at once as long as nothing comes: ${name}`, async () => {
      const { [name]: way } = looking({ spin, timeout: 5 });
      await way.begin();
      called.length = 0;
      assert.ok(!(await way.ask()) || name === 'Channel.messages');
      assert.equal(count('step'), 0);
      assert.ok(!(await way.ask()) || name === 'Channel.messages');
      assert.equal(count('step'), 1);
    });

    claim(`rejects by its signal while it looks: ${name}`, async () => {
      const controller = new AbortController();
      const { [name]: way } = looking({ spin, signal: controller.signal });
      await way.begin();
      const rejected = assert.rejects(way.ask(), { message: 'enough' });
      await turn();
      controller.abort(new Error('enough'));
      await rejected;
    });
  }

  for (const [how, code] of [['close', 'ERR_SHM_CLOSED'], ['detach', 'ERR_SHM_DETACHED']]) {
    claim(`rejects by a ${how} while it looks, and those behind it`, async () => {
      const { view, sender, receiver } = channel();
      sender.send(bytes(1));
      await receiver.receiveAsync();
      const rejected = [0, 1].map(() => assert.rejects(receiver.receiveAsync({ spin }), { code }));
      await turn();
      if (how === 'close') receiver.close();
      else shm.detach(view);
      await Promise.all(rejected);
      assert.equal(count('step'), 0);
    });
  }

  claim('stops polling if polling fails, and tries it again now and then', async () => {
    const { view, sender, receiver } = channel();
    const WAITS = 300;
    let looked = 0;
    for (let wait = 0; wait < WAITS; wait++) {
      sender.send(bytes(1));
      await receiver.receiveAsync();
      called.length = 0;
      const asked = receiver.receiveAsync({ spin: 0.001 });
      if (count('step') === 0) looked++;
      while (count('step') === 0) await turn();
      sender.send(bytes(2));
      await asked;
    }
    assert.ok(looked >= 10 && looked < WAITS / 4, `${looked} of ${WAITS}`);
    shm.detach(view);
  });

  claim('lets timers and the event loop go on while it polls', async () => {
    const { view, sender, receiver } = channel();
    sender.send(bytes(1));
    await receiver.receiveAsync();
    called.length = 0;
    const asked = receiver.receiveAsync({ spin });
    await sleep(20);
    assert.equal(count('step'), 0, 'it looks still');
    sender.send(bytes(2));
    assert.deepEqual(await asked, bytes(2));
    shm.detach(view);
  });
});

const inSlices = require(`${folder}/lib/native.js`).wayToWait().includes('slices');

describe('an idle process', () => {
  claim('with pending receives does not wake up, except for the runtime itself', async () => {
    const { code, stdout, stderr } = await run(
      async (shm, folder) => {
        const { Channel } = require(folder + '/sync.js');
        const SIZE = Channel.byteLength({ capacity: 64 });
        const view = shm.create({ size: 100 * SIZE, type: 'Int32Array' });
        for (let number = 0; number < 100; number++) {
          const channel = new Channel(view, (number * SIZE) / 4, { capacity: 64 });
          channel.send(new Uint8Array(1));
          channel.receive();
          channel.receiveAsync().catch(() => {});
        }
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const switches = () => process.resourceUsage().voluntaryContextSwitches;
        await sleep(3000); // by then nobody looks any more
        const before = switches();
        await sleep(1000);
        console.log(switches() - before);
        process.exit();
      },
      [folder],
      { env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual([code, stderr], [0, '']);
    // A few are the runtime's own. Every 5 ms would be hundreds.
    assert.ok(Number(stdout) < 60, stdout);
  }, inSlices && 'waits in slices look a hundred times a second');
});
