'use strict';

// Detach while the kernel, the thread pool or another thread still works on the buffer: no crash, and the addresses
// are unmapped when nobody can reach them any more. Each in a process of its own, so that a crash is seen.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, bySignal, existing, newKeys, notOnWindows, run } = require('./support.js');

const io = require.resolve('./fixtures/io.js');
const { operations, source } = require(io);
const kinds = Object.keys(operations);
const COUNT = 1000;
const exposed = { flags: ['--expose-gc'] };

describe('detach with I/O in flight', () => {
  it(`${COUNT} operations of ${kinds.length} kinds succeed or fail, and nothing crashes`, async () => {
    const { ended, grown, mappings } = await ask(
      async (shm, io, backends, count) => {
        const fs = require('fs');
        const { storm } = require(io);
        const settle = async () => {
          for (let i = 0; i < 10; i++) {
            gc();
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        };
        const size = 1 << 20;
        const look = () => process.platform === 'win32' ? { pages: 0, maps: 0 } : ({ // Windows does not tell
          pages: +fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[0],
          maps: fs.readFileSync('/proc/self/maps', 'utf8').split('\n').length,
        });
        await storm(shm, { count: 100, size, backends }); // what the runtime itself takes
        await settle();
        const before = look();
        const ended = await storm(shm, { count, size, backends });
        await settle();
        const after = look();
        ready({ ended, grown: ((after.pages - before.pages) * 4096) / size, mappings: after.maps - before.maps });
        process.exit(); // sockets may linger
      },
      [io, built, COUNT],
      exposed,
    );
    assert.deepEqual(Object.keys(ended), kinds);
    for (const kind of kinds) assert.ok(ended[kind] >= Math.floor(COUNT / kinds.length), `${kind}: ${ended[kind]}`);
    assert.ok(grown < COUNT / 5, `the address space grew by ${grown} of ${COUNT} segments`);
    assert.ok(mappings < COUNT / 5, `${mappings} more mappings`);
  });

  it('in workers that are terminated at random too', async () => {
    const { rounds, left } = await ask(
      async (shm, io, backends) => {
        const { Worker } = require('worker_threads');
        const code = `
          const { parentPort, workerData } = require('worker_threads');
          const shm = require(process.env.SHM_NODE_PACKAGE);
          const { operations, storm } = require(${JSON.stringify(io)});
          // Not zlib: Node 20 aborts where a worker is terminated between the making of a stream and its
          // initialisation ("close before init"), with any buffer.
          const keys = Object.keys(operations).filter((name) => !/deflate|gunzip|brotli/.test(name));
          storm(shm, { count: Infinity, size: 1 << 18, backends: workerData, keys });
          parentPort.postMessage('started');`;
        let rounds = 0;
        const round = async () => {
          const worker = new Worker(code, { eval: true, workerData: backends });
          await new Promise((resolve) => worker.once('message', resolve));
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
          await worker.terminate();
          rounds++;
        };
        for (let i = 0; i < 12; i++) await Promise.all([round(), round()]);
        ready({ rounds, left: shm.list().filter(({ creator }) => creator === process.pid) });
        process.exit();
      },
      [io, built],
      exposed,
    );
    assert.equal(rounds, 24);
    assert.deepEqual(left, []);
  });

  it('process.exit() or a signal in the middle of it ends the process as always', async () => {
    const body = (shm, io, backends, end) => {
      const { storm } = require(io);
      storm(shm, { count: Infinity, size: 1 << 18, backends });
      setTimeout(() => (end === 'exit' ? process.exit(3) : process.kill(process.pid, end)), 150);
    };
    const quiet = { env: { SHM_NODE_QUIET: '1' } };
    const ends = await Promise.all(['exit', 'SIGTERM'].map((end) => run(body, [io, built, end], quiet)));
    assert.deepEqual(ends.map(({ code, signal }) => [code, signal]), [[3, null], bySignal('SIGTERM')]);
  });
});

const LINUX = 'Linux alone shows which addresses a process has';

describe('the memory', () => {
  it('is freed at once, while the addresses stay mapped until the buffer is collected', notOnWindows(LINUX), async () => {
    const seen = await ask(
      async (shm, backends) => {
        const fs = require('fs');
        const maps = () => fs.readFileSync('/proc/self/maps', 'utf8').split('\n');
        const shared = () => maps().filter((line) => /\/SYSV|\/dev\/shm\/(?!\.)|shm-node-[0-9a-f]{8}| \(deleted\)/.test(line) && / rw-s /.test(line)).length;
        const before = shared();
        // Large enough for nothing else to look like it (an arena of malloc has 64 MiB).
        const size = 512 << 20;
        let views = backends.map((backend) => shm.create({ size, backend, reserve: false }));
        const held = shared() - before;
        const start = process.memoryUsage.rss();
        views.forEach((view) => view.fill(1, 0, 64 << 20));
        const filled = process.memoryUsage.rss() - start;
        shm.detachAll();
        const left = shared() - before;
        const freed = start + filled - process.memoryUsage.rss();
        const pages = () => +fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[0];
        const reserved = pages();
        views = null;
        for (let i = 0; i < 5; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        ready({ held, left, filled, freed, unmapped: ((reserved - pages()) * 4096) / size });
      },
      [built],
      exposed,
    );
    assert.deepEqual([seen.held, seen.left], [built.length, 0]);
    assert.ok(seen.filled > built.length * (60 << 20), `${seen.filled}`);
    assert.ok(seen.freed > built.length * (50 << 20), `${seen.freed}`);
    assert.ok(seen.unmapped > built.length - 0.5, `${seen.unmapped} of ${built.length} ranges were unmapped`);
  });

  it('stays while its view is out of scope: collection never detaches', async () => {
    const seen = await ask(
      async (shm, backends) => {
        const keys = backends.map((backend) => {
          const view = shm.create({ size: 64, backend });
          view[0] = 7;
          return { key: view.key, backend };
        });
        for (let i = 0; i < 5; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        ready(keys.map((key) => [shm.info(key).state, shm.get(key)[0], shm.detach(key)]));
      },
      [built],
      exposed,
    );
    assert.deepEqual(seen, built.map(() => ['held', 7, 0]));
  });

  it('that structuredClone copied is a copy', async () => {
    const seen = await ask(
      (shm, backends) => {
        ready(backends.map((backend) => {
          const view = shm.create({ size: 64, backend });
          view[0] = 7;
          const copy = structuredClone(view);
          shm.detach(view);
          return [copy[0], copy.length, view.length];
        }));
      },
      [built],
      exposed,
    );
    assert.deepEqual(seen, built.map(() => [7, 64, 0]));
  });

  const skip = ArrayBuffer.prototype.transfer === undefined ? 'this runtime has no ArrayBuffer.prototype.transfer' : false;

  it('that transfer() moved reads zeros after detach, and outlives the object that it came from', { skip: skip || notOnWindows(LINUX).skip }, async () => {
    const seen = await ask(
      async (shm, backends) => {
        const collect = async () => {
          for (let i = 0; i < 5; i++) {
            gc();
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        };
        const result = [];
        for (const backend of backends) {
          const size = 512 << 20;
          let view = shm.create({ size, backend, reserve: false });
          const { key } = view;
          view.fill(7, 0, 65536);
          let moved = new Uint8Array(view.buffer.transfer());
          const [was, live] = [view.length, moved[5]];
          const detached = shm.detach({ key, backend });
          view = null;
          await collect();
          const sum = moved.subarray(0, 65536).reduce((sum, byte) => sum + byte, 0);
          moved[5] = 9;
          const gone = shm.info({ key, backend });
          const pages = () => +require('fs').readFileSync('/proc/self/statm', 'utf8').split(' ')[0];
          const before = pages();
          const again = moved[5];
          moved = null;
          await collect();
          result.push([was, live, detached, sum, again, gone, Math.round(((before - pages()) * 4096) / size)]);
        }
        ready(result);
      },
      [built],
      exposed,
    );
    assert.deepEqual(seen, built.map(() => [0, 7, 0, 0, 9, null, 1]));
  });

  it('that transfer() moved is freed at the end too', { skip }, async () => {
    const keys = newKeys();
    const { code, stdout } = await run((shm, keys) => {
      globalThis.kept = [shm.create(64), ...hold(keys)].map((view) => view.buffer.transfer());
    }, [keys]);
    assert.deepEqual([code, stdout], [0, 'shm segments destroyed: 2\n']);
    assert.deepEqual(existing(keys), []);
  });

  it('cannot be moved to another thread: it stays, or Node throws an error', async () => {
    const seen = await ask(
      (shm, backends) => {
        ready(backends.map((backend) => {
          const view = shm.create({ size: 64, backend });
          view[0] = 7;
          try {
            structuredClone(view.buffer, { transfer: [view.buffer] });
          } catch (error) {
            if (error.name !== 'DataCloneError') throw error;
          }
          return [view[0], shm.detach(view)];
        }));
      },
      [built],
    );
    assert.deepEqual(seen, built.map(() => [7, 0]));
  });

  it('can be detached from a callback of its own I/O', async () => {
    const done = await ask(
      (shm, backends, source) => {
        const fs = require('fs');
        let left = backends.length * 20;
        for (let i = 0; i < 20; i++) {
          for (const backend of backends) {
            const view = shm.create({ size: 65536, backend });
            const file = fs.openSync(source);
            fs.read(file, view, 0, 65536, 0, () => {
              shm.detach(view);
              fs.close(file, () => --left || ready('done'));
            });
          }
        }
      },
      [built, source],
    );
    assert.equal(done, 'done');
  });
});
