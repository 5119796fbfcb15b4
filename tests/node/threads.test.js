'use strict';

// Worker threads: each holds for itself, and its end lets go.

const assert = require('node:assert/strict');
const { after, describe, it } = require('node:test');
const { MessageChannel, Worker } = require('node:worker_threads');
const { randomInt } = require('node:crypto');
const { built, existing, exists, mine, newKeys, shm, sleep, systemV, until } = require('./support.js');

after(() => shm.detachAll());

/** Runs `body(shm, ask, data)` in a worker; `ask(question)` there is answered by `answer(question)` here. */
function inWorker(body, data, answer = () => {}) {
  const code = `
    const { parentPort, workerData } = require('worker_threads');
    const shm = require(process.env.SHM_NODE_PACKAGE);
    const ask = (question) => new Promise((resolve) => {
      parentPort.once('message', resolve);
      parentPort.postMessage(question);
    });
    (${body})(shm, ask, workerData);`;
  const worker = new Worker(code, { eval: true, workerData: data });
  worker.on('message', async (question) => worker.postMessage(await answer(question)));
  let failure;
  worker.on('error', (error) => (failure = error));
  const ended = new Promise((resolve, reject) => worker.on('exit', () => (failure ? reject(failure) : resolve())));
  return { worker, ended };
}

describe('a worker thread', () => {
  for (const backend of built) {
    it(`shares memory with the main thread, and its detach does not end the main thread's views (${backend})`, async () => {
      const view = shm.create({ size: 64, backend });
      const seen = [];
      await inWorker(
        async (shm, ask, target) => {
          const view = shm.get(target);
          view[0] = 1;
          await ask(['wrote', view.length]);
          await ask(['detached', shm.detach(target), view.length, shm.detach(target)]);
        },
        { key: view.key, backend },
        (question) => seen.push(question),
      ).ended;
      assert.deepEqual(seen, [['wrote', 64], ['detached', 1, 0, -1]]);
      assert.deepEqual([view[0], view.length], [1, 64]);
      assert.equal(shm.detach(view), 0);
    });

    it(`keeps its views when the main thread detaches, and the last thread to leave frees the segment (${backend})`, async () => {
      const view = shm.create({ size: 64, backend });
      const target = { key: view.key, backend };
      const seen = [];
      await inWorker(
        async (shm, ask, target) => {
          const view = shm.get(target);
          view[0] = 1;
          await ask('attached');
          await ask([view[0], view.length]);
          await ask(shm.detach(target));
        },
        target,
        (question) => {
          if (question === 'attached') {
            assert.equal(shm.detach(target), 1);
            assert.equal(view.length, 0);
          } else seen.push(question, exists(target));
        },
      ).ended;
      assert.deepEqual(seen, [[1, 64], true, 0, false]);
    });
  }

  it('has its own attachment, which System V counts', { skip: built.includes('sysv') ? false : 'this build has no System V' }, async () => {
    const view = shm.create({ size: 64, backend: 'sysv' });
    const counts = [];
    await inWorker(
      async (shm, ask, key) => {
        const views = [shm.get(key), shm.get(key)];
        await ask(views.length);
      },
      view.key,
      () => counts.push(systemV().get(view.key).nattch),
    ).ended;
    counts.push(systemV().get(view.key).nattch);
    assert.deepEqual(counts, [2, 1]);
    assert.equal(shm.detach(view), 0);
  });

  it("detachAll in it does not end the main thread's views", async () => {
    const views = built.map((backend) => shm.create({ size: 64, backend }));
    let destroyed;
    await inWorker(
      async (shm, ask, targets) => {
        for (const target of targets) shm.get(target);
        shm.create(64);
        await ask(shm.detachAll());
      },
      views.map(({ key }, index) => ({ key, backend: built[index] })),
      (answer) => (destroyed = answer),
    ).ended;
    assert.equal(destroyed, 1);
    for (const view of views) {
      assert.equal(view.length, 64);
      assert.equal(shm.detach(view), 0);
    }
  });

  for (const [how, end] of Object.entries({
    'its normal end': () => {},
    'process.exit()': () => process.exit(3),
    'an uncaught throw': () => {
      throw new Error('on purpose');
    },
  })) {
    it(`frees what it created at ${how}`, async () => {
      const keys = newKeys();
      const body = `(shm, ask, keys) => { keys.forEach((key) => shm.create({ size: 64, ...key })); (${end})() }`;
      const { ended } = inWorker(body, keys);
      await ended.catch((error) => assert.equal(error.message, 'on purpose'));
      assert.deepEqual(existing(keys), []);
    });
  }

  it('frees what it created when it is terminated', async () => {
    const keys = newKeys();
    const { worker, ended } = inWorker(
      async (shm, ask, keys) => {
        for (const key of keys) shm.create({ size: 64, ...key });
        await ask('created');
      },
      keys,
      () => {
        assert.deepEqual(existing(keys), keys);
        worker.terminate();
      },
    );
    await ended;
    // Deno's worker ends after its `exit` event.
    if ('deno' in process.versions) await until(() => existing(keys).length === 0);
    assert.deepEqual(existing(keys), []);
  });

  it('leaves nothing behind when it is terminated at any moment of creating, getting and detaching', async () => {
    const kept = built.map((backend) => shm.create({ size: 64, backend }));
    const before = mine();
    const round = async () => {
      const { worker, ended } = inWorker(
        (shm, ask, { built, kept }) => {
          for (;;) {
            for (const backend of built) {
              const views = [1, 2, 3].map(() => shm.create({ size: 4096, backend }));
              views[0].fill(1);
              shm.get({ key: views[1].key, backend, type: 'Float64Array' });
              if (backend === 'posix') shm.get({ key: views[2].key, backend, readOnly: true });
              for (const target of kept) shm.get(target)[0]++;
              shm.detach(views[0]);
              shm.destroy({ key: views[1].key, backend });
              shm.detachAll();
            }
          }
        },
        { built, kept: kept.map(({ key }, index) => ({ key, backend: built[index] })) },
      );
      await new Promise((resolve) => worker.on('online', resolve));
      await sleep(randomInt(25));
      await worker.terminate();
      await ended;
    };
    for (let rounds = 0; rounds < 15; rounds++) await Promise.all([round(), round()]);
    assert.deepEqual(mine(), before);
    assert.ok(kept.every((view) => view[0] > 0 || view.length === 64));
    for (const view of kept) assert.equal(shm.detach(view), 0, 'no worker holds it any more');
  });

  it('that loads the package first, and ends, leaves the package usable', async () => {
    await Promise.all([1, 2, 3].map(() => inWorker((shm) => shm.create(64)).ended));
    const view = shm.create(64);
    assert.equal(shm.detach(view), 0);
  });

  it('gets a copy of a view that is posted to it, not the memory', async () => {
    const view = shm.create(64);
    view[0] = 5;
    const { port1, port2 } = new MessageChannel();
    const copy = await new Promise((resolve) => {
      port2.once('message', resolve);
      port1.postMessage(view);
    });
    port1.close();
    view[0] = 6;
    assert.equal(copy[0], 5);
    assert.equal(shm.detach(view), 0);
    assert.equal(copy[0], 5);
  });
});
