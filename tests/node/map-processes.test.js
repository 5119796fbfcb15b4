'use strict';

// The map between processes and threads: what one writes, others see, and a killed process leaves it whole.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { ask, built, folder, needsRoot, newKey, notOnWindows, privately, sleep, start, until } = require('./support.js');
const { SharedMap, again, keep, lockTimeout, newMap, peer, shm } = require('./support/map.js');
const native = require(`${folder}/lib/sync/native.js`);

/** A worker thread that runs `body(map, argument, parentPort)`. */
function worker(map, body, argument) {
  const program = `
    const { parentPort, workerData } = require('worker_threads');
    const { SharedMap } = require(workerData.folder + '/map.js');
    (${body})(new SharedMap(workerData.key, { lockTimeout: ${lockTimeout} }), workerData.argument, parentPort);`;
  return new Worker(program, { eval: true, workerData: { folder, key: map.key, argument } });
}

const message = (one) => new Promise((resolve, reject) => one.once('message', resolve).once('error', reject));

/** Sends a signal. (`child.kill` of Deno sends no second one.) */
const send = ({ child }, signal) => process.kill(child.pid, signal);

async function killed(one) {
  send(one, 'SIGKILL');
  await one.ended;
}

describe('several processes', () => {
  it('see what one of them writes', async () => {
    const map = newMap();
    map.set('ours', { a: 1 });
    const { ready, ended } = peer(map, (map, ready) => {
      map.set('theirs', [map.get('ours'), map.size]).set('bytes', Buffer.from('x'));
      ready();
    });
    await ready;
    assert.deepEqual([map.get('theirs'), map.get('bytes')], [[{ a: 1 }, 1], Buffer.from('x')]);
    assert.equal((await ended).code, 0);
    assert.deepEqual(map.get('theirs'), [{ a: 1 }, 1]);
  });

  it('that open the same key at the same moment share one map', async () => {
    const key = newKey();
    const open = (shm, folder, key, lockTimeout) => {
      const { SharedMap } = require(`${folder}/map.js`);
      const map = new SharedMap(key, { memory: 1 << 20, shards: 4, lockTimeout });
      map.set(`${process.pid}`, process.pid);
      ready(process.pid);
      process.stdin.resume();
    };
    const all = Array.from({ length: 4 }, () => start(open, [folder, key, lockTimeout], { stdin: 'pipe' }));
    const pids = await Promise.all(all.map(({ ready }) => ready));
    const map = keep(new SharedMap(key));
    assert.deepEqual(new Set(map.values()), new Set(pids));
    for (const { child } of all) child.stdin.end();
    for (const { ended } of all) assert.deepEqual(await ended, { code: 0, signal: null, stdout: '', stderr: '' });
  });

  it('increments add up', async () => {
    const map = newMap();
    const count = (map, ready) => {
      for (let i = 0; i < 3000; i++) map.increment(`n${i % 3}`);
      ready();
    };
    const all = [0, 1, 2].map(() => peer(map, count));
    await Promise.all(all.map(({ ready }) => ready));
    assert.deepEqual(['n0', 'n1', 'n2'].map((key) => map.get(key)), [3000, 3000, 3000]);
    for (const { ended } of all) await ended;
  });

  it('if all of them compare and set one version, one succeeds', async () => {
    const map = newMap();
    map.set('sum', { sum: 0 });
    const add = (map, ready) => {
      for (let i = 0; i < 500; ) {
        const { value, version } = map.getEntry('sum');
        if (map.replace('sum', version, { sum: value.sum + 1 })) i++;
      }
      ready();
    };
    const all = [0, 1, 2].map(() => peer(map, add));
    await Promise.all(all.map(({ ready }) => ready));
    assert.deepEqual(map.get('sum'), { sum: 1500 });
    for (const { ended } of all) await ended;
  });

  it('find no older entry after clear or invalidateTag has returned', async () => {
    const map = newMap();
    const near = again(map, { near: 10 });
    map.set('a', { a: 1 }, { tags: ['t'] }).set('b', { b: 1 });
    assert.deepEqual([near.get('a'), near.get('b')], [{ a: 1 }, { b: 1 }]);
    await peer(map, (map, ready) => ready(map.invalidateTag('t'))).ended;
    assert.deepEqual([map.get('a'), near.get('a'), near.get('b')], [undefined, undefined, { b: 1 }]);
    await peer(map, (map, ready) => ready(map.clear())).ended;
    assert.deepEqual([near.get('b'), map.size, [...map]], [undefined, 0, []]);
  });

  it('readers get whole values while others write', async () => {
    const map = newMap({ memory: 128 << 10 });
    const write = (map, ready, first) => {
      const values = [0, 1, 2, 3].map((i) => Buffer.alloc(100 + i * 700, first + i));
      for (let i = 0; ; i++) {
        map.set(`k${i % 20}`, values[i % 4]);
        if (i === 1000) ready();
      }
    };
    const writers = [10, 20].map((first) => peer(map, write, first));
    await Promise.all(writers.map(({ ready }) => ready));
    let seen = 0;
    for (let i = 0; i < 20_000; i++) {
      const value = map.get(`k${i % 20}`);
      if (value === undefined) continue;
      seen++;
      const [byte] = value;
      assert.equal(value.length, 100 + (byte % 10) * 700);
      assert.equal(value.every((other) => other === byte), true);
    }
    assert.ok(seen > 0);
    await Promise.all(writers.map(killed));
  });
});

describe('another user', needsRoot(), () => {
  it('shares a map of mode 0666, and is kept out of one of 0600', async () => {
    const seen = await ask(
      async (shm, support, folder, built) => {
        const { ask, asNobody } = require(support);
        const { SharedMap } = require(`${folder}/map.js`);
        const maps = built.flatMap((backend) => [0o666, 0o600].map((mode) => new SharedMap({ memory: 1 << 20, backend, mode })));
        for (const map of maps) map.set('a', { by: 'owner' });
        const use = async (shm, folder, keys) => {
          const { SharedMap } = require(`${folder}/map.js`);
          const answers = [];
          for (const key of keys) {
            try {
              const map = new SharedMap(key);
              const got = map.get('a');
              answers.push([got, map.set('a', 'by nobody').increment('n'), await map.getOrSet('b', () => 2)]);
            } catch ({ code }) {
              answers.push(code);
            }
          }
          ready(answers);
        };
        const answers = await ask(use, [folder, maps.map(({ key }) => key)], { under: asNobody });
        ready([answers, maps.map((map) => [map.get('a'), map.get('b')])]);
      },
      [require.resolve('./support.js'), folder, built],
      { under: privately(), env: { SHM_NODE_QUIET: '1' } },
    );
    const [shared, closed] = [[{ by: 'owner' }, 1, 2], 'EACCES'];
    const left = [['by nobody', 2], [{ by: 'owner' }, null]];
    assert.deepEqual(seen, [built.flatMap(() => [shared, closed]), built.flatMap(() => left)]);
  });
});

const endsWorkers = { skip: 'deno' in process.versions ? 'this runtime ends a worker only after terminate() has answered' : false };

describe('worker threads', () => {
  it('open a map by its key, and leave it to the others when they end', async () => {
    const map = newMap();
    const thread = worker(map, (map, _, port) => port.postMessage(map.set('a', 'of a worker').get('a')));
    assert.equal(await message(thread), 'of a worker');
    await thread.terminate();
    assert.equal(map.get('a'), 'of a worker');
    map.set('a', 1);
  });

  it('that are terminated while they write do not block the others', endsWorkers, async () => {
    const map = newMap({ shards: 1 });
    for (let i = 0; i < 3; i++) {
      const thread = worker(map, (map, _, port) => {
        port.postMessage('begun');
        for (let i = 0; ; i++) map.set(`k${i % 100}`, i);
      });
      await message(thread);
      await thread.terminate();
      for (let i = 0; i < 100; i++) map.set(`k${i}`, 'mine');
    }
    assert.deepEqual(new Set(map.values()), new Set(['mine']));
  });
});

/** Writes for as long as it lives. */
const writeOn = (map, ready) => {
  for (let i = 0; ; i++) {
    map.set(`k${i % 50}`, Buffer.alloc(200, i));
    if (i === 500) ready();
  }
};

/** Stops a writer while it holds the lock; returns the error of `write` then. */
async function stopped(map, writer, write) {
  for (let i = 0; i < 2000; i++) {
    send(writer, 'SIGSTOP');
    await sleep(1);
    try {
      write();
    } catch (error) {
      return error;
    }
    const { sets } = map.stats();
    send(writer, 'SIGCONT');
    // On a busy machine it may not run for long.
    await until(() => map.stats().sets > sets);
  }
}

describe('a writer', () => {
  it('that is killed leaves whole values, and others take over its lock', async () => {
    const map = newMap({ shards: 1 });
    for (let i = 0; i < 6; i++) {
      const writer = peer(map, writeOn);
      await writer.ready;
      await killed(writer);
      map.set('mine', i);
      assert.equal(map.get('mine'), i);
      for (const [key, value] of map) {
        if (key !== 'mine') assert.deepEqual(value, Buffer.alloc(200, value[0]));
      }
    }
  });

  it('that is stopped delays others until `lockTimeout`: EBUSY, and nothing changed; when it is killed, they go on', notOnWindows('Windows has no signal that stops a process'), async () => {
    const map = newMap({ shards: 1, lockTimeout: 20 });
    map.set('a', 'old');
    const writer = peer(map, writeOn);
    await writer.ready;
    const error = await stopped(map, writer, () => map.set('a', 'old'));
    assert.deepEqual([error?.code, error?.errno], ['EBUSY', -16]);
    assert.throws(() => map.set('a', 'new'), { code: 'EBUSY' });
    assert.throws(() => map.increment('n'), { code: 'EBUSY' });
    assert.throws(() => map.delete('a'), { code: 'EBUSY' });
    assert.deepEqual([map.get('a'), map.has('n')], ['old', false]);
    await killed(writer);
    assert.equal(map.set('a', 'new').get('a'), 'new');
    assert.equal(map.stats().ownersDied, 1);
  });
});

describe('getOrSet of several processes', () => {
  it('loads once, and all get the value', async () => {
    const map = newMap();
    const ask = async (map, ready) => {
      let loads = 0;
      const load = async (key) => {
        loads++;
        await new Promise((resolve) => setTimeout(resolve, 100));
        return { key, by: process.pid };
      };
      const got = await map.getOrSet('a', load);
      ready({ got, loads });
    };
    const all = [0, 1, 2].map(() => peer(map, ask));
    const answers = await Promise.all(all.map(({ ready }) => ready));
    assert.equal(answers.reduce((sum, { loads }) => sum + loads, 0), 1);
    for (const { got } of answers) assert.deepEqual(got, map.get('a'));
    for (const { ended } of all) assert.equal((await ended).code, 0);
  });

  const loadForEver = (map, ready) => {
    setInterval(() => {}, 1000);
    void map.getOrSet('a', () => new Promise(() => ready()));
  };

  it('a killed loader is replaced', async () => {
    const map = newMap();
    const loader = peer(map, loadForEver);
    await loader.ready;
    let loads = 0;
    const waiting = map.getOrSet('a', () => `load ${++loads}`);
    await sleep(30);
    assert.equal(loads, 0);
    await killed(loader);
    assert.equal(await waiting, 'load 1');
    assert.equal(map.get('a'), 'load 1');
  });

  it('a call that waits for a load checks every 10 ms whether the loader lives, although nobody wakes it', async () => {
    const map = newMap();
    const loader = peer(map, loadForEver);
    await loader.ready;
    const { setAlarm } = native;
    const pauses = [];
    native.setAlarm = (ms, ...rest) => (pauses.push(ms), setAlarm(ms, ...rest));
    try {
      const waiting = map.getOrSet('a', () => 'mine', { loadTimeout: Infinity });
      assert.ok(await until(() => pauses.length > 2));
      await killed(loader);
      assert.equal(await waiting, 'mine');
      assert.deepEqual(new Set(pauses), new Set([10]));
    } finally {
      native.setAlarm = setAlarm;
    }
  });

  it('a loader that detaches the map is replaced', async () => {
    const map = newMap();
    const loader = peer(map, (map, ready) => {
      void map.getOrSet('a', () => new Promise(() => ready()), { loadTimeout: Infinity });
      const looking = setInterval(() => {
        if (!map.has('detach')) return;
        clearInterval(looking);
        shm.detachAll();
        setInterval(() => {}, 1000);
      }, 1);
    });
    await loader.ready;
    map.set('detach', true);
    assert.equal(await map.getOrSet('a', () => 'mine'), 'mine');
    await killed(loader);
  });

  it('a load that ends while a stopped writer holds the lock is not stored, and another caller loads', notOnWindows('Windows has no signal that stops a process'), async () => {
    const map = newMap({ shards: 1, lockTimeout: 20 });
    let finish;
    const loading = map.getOrSet('a', () => new Promise((resolve) => (finish = resolve)), { loadTimeout: Infinity });
    const writer = peer(map, writeOn);
    await writer.ready;
    assert.equal((await stopped(map, writer, () => map.set('b', 1)))?.code, 'EBUSY');
    finish('mine');
    assert.equal(await loading, 'mine');
    assert.equal(map.has('a'), false);
    await killed(writer);
    assert.equal(await again(map).getOrSet('a', () => 'other'), 'other');
  });

  it('a loader in a worker that is terminated is replaced', async () => {
    const map = newMap();
    const thread = worker(map, (map, _, port) => {
      setInterval(() => {}, 1000);
      void map.getOrSet('a', () => new Promise(() => port.postMessage('begun')));
    });
    await message(thread);
    const waiting = map.getOrSet('a', () => 'mine');
    await thread.terminate();
    assert.equal(await waiting, 'mine');
  });

  it('if a load fails, its process gets the error, and one of the waiting processes loads', async () => {
    const map = newMap();
    const loader = peer(map, (map, ready) => {
      const load = () => new Promise((_, reject) => {
        setInterval(() => map.has('fail') && reject(new Error('failed')), 1);
        ready();
      });
      setInterval(() => {}, 1000);
      map.getOrSet('a', load, { loadTimeout: Infinity }).catch(({ message }) => map.set('failed', message));
    });
    await loader.ready;
    const waiting = map.getOrSet('a', () => 'loaded here');
    map.set('fail', true);
    assert.equal(await waiting, 'loaded here');
    assert.ok(await until(() => map.get('failed') === 'failed'));
    await killed(loader);
  });

  it('a waiting caller gets a value that another one sets meanwhile', async () => {
    const map = newMap();
    const loader = peer(map, loadForEver);
    await loader.ready;
    const waiting = map.getOrSet('a', () => 'never');
    await sleep(1);
    again(map).set('a', 'set');
    assert.equal(await waiting, 'set');
    await killed(loader);
  });

  it('an aborted call does not load later', async () => {
    const map = newMap();
    const loader = peer(map, loadForEver);
    await loader.ready;
    const controller = new AbortController();
    let loads = 0;
    const waiting = map.getOrSet('a', () => ++loads, { signal: controller.signal });
    controller.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    await killed(loader);
    // Another one may, and is not kept from it.
    assert.equal(await again(map).getOrSet('a', () => 'other'), 'other');
    await until(() => loads > 0, 50);
    assert.equal(loads, 0);
  });
});
