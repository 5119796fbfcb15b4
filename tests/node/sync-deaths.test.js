'use strict';

// Who waits for long looks for deaths no more, and hears of them. Before that, and where nobody tells, all look by
// themselves.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { afterEach, describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { built, folder, newKey, shm, sleep, until } = require('./support.js');
const { kill, leaveNothing, peer, place, words } = require('./support/sync.js');

// The looks to come, of which there is one at most.
let looks = 0;
const clock = require(`${folder}/lib/sync/clock.js`);
const { after } = clock;
clock.after = (ms, ref, call) => {
  if (call.name !== 'look') return after(ms, ref, call);
  looks++;
  const stop = after(ms, ref, () => (looks--, call()));
  return () => (looks--, stop());
};

const native = require(`${folder}/lib/sync/native.js`);
const { awaitDeath, watchDeaths } = native;

// How often it began to await a death: once more after each.
let awaited = 0;
native.awaitDeath = (...args) => (awaited++, awaitDeath(...args));

const { Channel, Mutex } = require(`${folder}/sync.js`);

leaveNothing();
afterEach(() => (native.watchDeaths = watchDeaths));

const GENEROUS = 60_000;

/** A test that fails where something never ends. */
const claim = (name, body) =>
  it(name, { timeout: 2 * GENEROUS }, async () => {
    const alive = setInterval(() => {}, 1000);
    await body().finally(() => clearInterval(alive));
  });

/** Until nobody looks any more. */
const atRest = async () => assert.ok(await until(() => looks === 0, GENEROUS));

const options = { capacity: 64 };

/** How often the thread woke up that keeps the time. */
function alarms() {
  const tasks = fs.readdirSync('/proc/self/task').map((task) => `/proc/self/task/${task}`);
  const thread = tasks.find((task) => fs.readFileSync(`${task}/comm`, 'utf8') === 'shm-node alarms\n');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(fs.readFileSync(`${thread}/status`, 'utf8'))[1]);
}

const holding = (shm, sync, view, ready) => {
  const mutex = new sync.Mutex(view, 0);
  mutex.lock();
  ready();
  setInterval(() => mutex, 1000);
};

async function lockAfterDeath(view, die) {
  const asked = new Mutex(view, 0).lockAsync();
  await atRest();
  await die();
  const guard = await asked;
  assert.equal(guard.ownerDied, true);
  guard.unlock();
}

describe('a process that waits for long', () => {
  claim('does not wake up', async () => {
    const SIZE = Channel.byteLength(options);
    const view = words(101 * SIZE);
    const channels = Array.from({ length: 100 }, (_, number) => new Channel(view, (number * SIZE) / 4, options));
    const mutex = new Mutex(view, 25 * SIZE);
    const guard = mutex.lock();
    const asked = [...channels.map((channel) => channel.receiveAsync()), mutex.lockAsync()];
    // Processes of other tests may die meanwhile.
    for (let tries = 0, isQuiet = false; !isQuiet && tries < 20; tries++) {
      await atRest();
      const [before, deaths] = [alarms(), awaited];
      await sleep(1500);
      isQuiet = alarms() === before;
      await atRest();
      assert.ok(isQuiet || awaited > deaths, 'it woke up, and no process died');
    }
    for (const channel of channels) channel.send(new Uint8Array(1));
    guard.unlock();
    (await Promise.all(asked)).pop().unlock();
    shm.detach(view);
  });

  claim('receives a message of a process that was killed before it woke anybody', async () => {
    const view = words();
    const received = new Channel(view, 0, options).receiveAsync();
    await atRest();
    const send = (shm, { Channel }, view, ready, folder) => {
      const channel = new Channel(view, 0);
      channel.tryReserve(8).abandon(); // so that there is a window
      require(`${folder}/lib/sync/native.js`).wakeConsumer = () => process.kill(process.pid, 'SIGKILL');
      channel.send(new Uint8Array([7]));
    };
    const { ended } = peer(view, send, folder);
    assert.deepEqual(await received, Buffer.from([7]));
    assert.equal((await ended).signal, 'SIGKILL');
    shm.detach(view);
  });

  for (const mode of [0o600, 0o666]) {
    claim(`has the lock of a process that was killed, in a segment of mode ${mode.toString(8)}`, async () => {
      const view = shm.create({ size: 4096, type: 'Int32Array', key: newKey(), backend: built[0], mode });
      const holder = peer(view, holding);
      await holder.ready;
      await lockAfterDeath(view, () => kill(holder));
      shm.detach(view);
    });
  }

  claim('gets the lock of a worker that was terminated', async () => {
    const view = words();
    const code = `
      const { parentPort, workerData } = require('worker_threads');
      const shm = require(${JSON.stringify(folder)});
      const sync = require(${JSON.stringify(folder)} + '/sync.js');
      (${holding})(shm, sync, shm.get(workerData), () => parentPort.postMessage('held'));`;
    const worker = new Worker(code, { eval: true, workerData: place(view) });
    await new Promise((resolve) => worker.once('message', resolve));
    // What it holds is left as if it had died, and not given up as it ends.
    await lockAfterDeath(view, () => worker.terminate());
    shm.detach(view);
  });

  claim('goes on checking if no deaths are reported', async () => {
    let asked = 0;
    native.watchDeaths = () => (asked++, false);
    const view = words();
    const holder = peer(view, holding);
    await holder.ready;
    const lock = new Mutex(view, 0).lockAsync();
    assert.ok(await until(() => asked > 2, GENEROUS));
    assert.equal(looks, 1);
    await kill(holder);
    (await lock).unlock();
    shm.detach(view);
  });
});
