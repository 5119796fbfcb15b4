'use strict';

// Two containers that share System V segments and /dev/shm, and nothing else: each has processes of its own, so both
// programs are process 1. npm run test:platforms runs this, and says in SHM_TEST_CONTAINER how a container is started.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { after, before, describe, it } = require('node:test');

const { podman, run } = JSON.parse(process.env.SHM_TEST_CONTAINER);
const folder = process.env.SHM_NODE_PACKAGE;
const HOLDER = `shm-node-test-${process.pid}`;
let started = 0;

/** Starts a container; gives `ask`, which evaluates an expression in it, `end` and `kill`. */
function container(ipc) {
  const name = `${HOLDER}-${++started}`;
  const program = `const shm = require(${JSON.stringify(folder)});
    const sync = require(${JSON.stringify(path.join(folder, 'sync.js'))});
    const kept = {};
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      let answer;
      try { answer = { value: eval(line) }; } catch ({ message }) { answer = { message }; }
      console.log(JSON.stringify(answer));
    });`;
  const place = ['--interactive', `--name=${name}`, `--ipc=${ipc}`, '--rootfs', '/:O'];
  const child = spawn('podman', [...podman, 'run', ...run, ...place, process.execPath, '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (expression) => {
    child.stdin.write(`${expression}\n`);
    const { value: line } = await lines.next();
    const { value, message } = JSON.parse(line);
    if (message !== undefined) throw new Error(message);
    return value;
  };
  const end = () => (child.stdin.end(), ended);
  const kill = () => (spawnSync('podman', [...podman, 'kill', '--signal=KILL', name]), ended);
  return { name, ask, end, kill };
}

describe('two containers that share memory', () => {
  let holder; // whose /dev/shm and System V segments the others use
  let [one, other] = [];
  before(async () => {
    holder = container('shareable');
    await holder.ask('1');
  });
  after(() => holder.end());

  const both = async () => {
    [one, other] = [container(`container:${holder.name}`), container(`container:${holder.name}`)];
    await Promise.all([one.ask('process.pid'), other.ask('process.pid')]);
  };

  for (const key of [4711, 'shared']) {
    const named = JSON.stringify(key);

    it(`a segment (${named}) that one makes is the other's too, and goes with its last holder`, async () => {
      await both();
      assert.deepEqual([await one.ask('process.pid'), await other.ask('process.pid')], [1, 1]);
      await one.ask(`(kept.view = shm.create({ key: ${named}, size: 64 }), kept.view[0] = 42)`);
      assert.equal(await other.ask(`(kept.view = shm.get(${named}))[0]`), 42);
      await one.end();
      assert.deepEqual(await other.ask(`[kept.view[0], shm.info(${named}).state]`), [42, 'held']);
      assert.equal(await other.ask('shm.detach(kept.view)'), 0);
      assert.equal(await holder.ask(`shm.info(${named})`), null);
      await other.end();
    });

    it(`what one holds (${named}) when it is killed, the other sweeps, and never before`, async () => {
      await both();
      await one.ask(`shm.create({ key: ${named}, size: 64 }).length`);
      assert.deepEqual(await other.ask(`[shm.sweep(), shm.info(${named}).state]`), [0, 'held']);
      await one.kill();
      assert.equal(await other.ask('shm.sweep()'), 1);
      assert.equal(await holder.ask(`shm.info(${named})`), null);
      await other.end();
    });
  }

  it('a mutex whose owner was killed goes to the other, which hears of it, and never before', async () => {
    await both();
    await one.ask(`(kept.view = shm.create({ key: 'mutex', size: 64, type: 'Int32Array' }), kept.mutex = new sync.Mutex(kept.view, 0), kept.guard = kept.mutex.lock(), 1)`);
    await other.ask(`(kept.view = shm.get('mutex', 'Int32Array'), kept.mutex = new sync.Mutex(kept.view, 0), 1)`);
    assert.equal(await other.ask('kept.mutex.tryLock() !== false'), false);
    await one.kill();
    assert.equal(await other.ask('kept.mutex.lock(30_000).ownerDied'), true);
    await other.end();
  });
});
