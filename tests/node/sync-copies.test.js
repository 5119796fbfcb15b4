'use strict';

// Several copies of the package in one thread: bundles, module registries that are reset, packages installed twice.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, it } = require('node:test');
const { folder, run } = require('./support.js');
const { kinds } = require('./support/copies.js');

const file = path.join(__dirname, 'support', 'copies.js');

/** Runs `body(a, b)` with two copies in a process of its own, or in a worker of it; gives what it printed. */
async function withCopies(kind, body, inWorker) {
  const program = (shm, file, kind, folder, body, inWorker) => {
    const code = `
      const [a, b] = require(${JSON.stringify(file)}).copies(${JSON.stringify(kind)}, ${JSON.stringify(folder)});
      (${body})(a, b);`;
    if (!inWorker) return void require('vm').runInThisContext(`(require) => {${code}}`)(require);
    new (require('worker_threads').Worker)(code, { eval: true });
  };
  const options = { env: { SHM_NODE_QUIET: '1' } };
  const { code, signal, stdout, stderr } = await run(program, [file, kind, folder, `${body}`, inWorker], options);
  assert.deepEqual([code, signal, stderr], [0, null, '']);
  return stdout.trim().split('\n');
}

for (const kind of kinds) {
  for (const inWorker of [false, true]) {
    describe(`two copies (${kind}${inWorker ? ', in a worker' : ''})`, () => {
      it('each copy gets its own wake-ups, and the process ends when all waits have ended', async () => {
        const told = await withCopies(
          kind,
          async (a, b) => {
            const ours = a.shm.create({ length: 16, type: 'Int32Array' });
            const theirs = b.shm.get(ours.key, 'Int32Array');
            await Promise.all([a.sync.waitAsync(ours, 0, 1), b.sync.waitAsync(theirs, 0, 1)]);
            const first = a.sync.waitAsync(ours, 1, 0, { timeout: 1 });
            const second = b.sync.waitAsync(theirs, 2, 0);
            const third = a.sync.waitAsync(ours, 3, 0);
            console.log(await first);
            const answers = [second.then((how) => ['b', how]), third.then((how) => ['a', how])];
            for (const word of [2, 3]) {
              Atomics.store(ours, word, 1);
              (word === 2 ? a : b).sync.notify(word === 2 ? ours : theirs, word);
              console.log(...(await Promise.race(answers.splice(0, 1))).map((text) => text.replace('not-equal', 'ok')));
            }
          },
          inWorker,
        );
        assert.deepEqual(told, ['timed-out', 'b ok', 'a ok']);
      });

      // Where the addon is loaded twice, neither knows of the other's chains.
      if (kind === 'reset') {
        it('a chain that asks one copy for a lock that it holds through the other gets an error', async () => {
          const told = await withCopies(
            kind,
            async (a, b) => {
              const ours = a.shm.create({ length: 16, type: 'Int32Array' });
              const theirs = new b.sync.Mutex(b.shm.get(ours.key, 'Int32Array'), 0);
              const ask = () => theirs.lockAsync().catch(({ code }) => console.log(code));
              await new a.sync.Mutex(ours, 0).withLockAsync(ask);
            },
            inWorker,
          );
          assert.deepEqual(told, ['ERR_SHM_DEADLOCK']);
        });
      }

      it('a wait of one copy keeps the process alive, whatever the other copy has done', async () => {
        const told = await withCopies(
          kind,
          async (a, b) => {
            const ours = a.shm.create({ length: 16, type: 'Int32Array' });
            const theirs = b.shm.get(ours.key, 'Int32Array');
            a.sync.waitAsync(ours, 1, 0, { timeout: 200 }).then((how) => console.log('a', how));
            b.sync.waitAsync(theirs, 1, 0, { timeout: 1 }).then((how) => console.log('b', how));
          },
          inWorker,
        );
        assert.deepEqual(told.sort(), ['a timed-out', 'b timed-out']);
      });

      it('locks and rings work between the copies', async () => {
        const told = await withCopies(
          kind,
          async (a, b) => {
            const { Channel, Mutex } = a.sync;
            const size = 512 + Channel.byteLength({ capacity: 256 });
            const ours = a.shm.create({ size, type: 'Int32Array' });
            const theirs = b.shm.get(ours.key, 'Int32Array');
            const mutex = new Mutex(ours, 0);
            const other = new b.sync.Mutex(theirs, 0);
            const order = [];
            const guard = mutex.lock();
            const waiting = [
              mutex.withLockAsync(() => order.push('a')),
              other.withLockAsync(() => order.push('b')),
              other.withLockAsync(() => order.push('b')),
              mutex.withLockAsync(() => order.push('a')),
            ];
            const sender = new Channel(ours, 128, { capacity: 256 });
            const receiver = new b.sync.Channel(theirs, 128);
            const received = [receiver.receiveAsync(), receiver.receiveAsync()];
            guard.unlock();
            await Promise.all(waiting);
            console.log(order.filter((one) => one === 'a').length, order.filter((one) => one === 'b').length);
            console.log(mutex.tryLock() !== false);
            for (const text of ['one', 'two']) await sender.sendAsync(Buffer.from(text));
            console.log(...(await Promise.all(received)).map(String));
          },
          inWorker,
        );
        assert.deepEqual(told, ['2 2', 'true', 'one two']);
      });
    });
  }
}
