'use strict';

// A peer that makes a segment smaller, and a /dev/shm with no room for a page: what was cut off reads as zeros, and
// says so. Each in a process of its own, so that a death is seen.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, it } = require('node:test');
const { ask, folder, needs, needsRoot, newName, privately, run } = require('./support.js');

const COUNT = Number(process.env.SHM_NODE_SHRINKS ?? 500);
const quiet = { env: { SHM_NODE_QUIET: '1', NODE_NO_WARNINGS: '1' } };
const isLinux = process.platform === 'linux';
const skip = needs('posix').skip || (isLinux ? false : 'an object of macOS keeps its size');

/** As `ask`, without what a process that loses its memory prints. */
const asking = (body, args = [], options = quiet) => ask(body, args, options);

describe('a segment that is made smaller', { skip }, () => {
  // What a program may do to its memory, each after the same shrink.
  const touches = {
    'plain reads': (view) => view.reduce((sum, byte) => sum + byte, 0),
    'plain writes': (view) => view.fill(5),
    'a write of one element': (view) => (view[view.length - 1] = 5),
    Atomics: (view) => Atomics.add(new Int32Array(view.buffer), view.length / 4 - 1, 5),
    'Buffer.compare': (view) => Buffer.compare(view, Buffer.alloc(view.length)),
    'a hash': (view) => require('crypto').createHash('md5').update(view).digest('hex'),
    'a copy': (view) => Buffer.from(view).length,
    'a slice of the ArrayBuffer': (view) => view.buffer.slice(0).byteLength,
    'text in it': (view) => view.toString('latin1').length,
    'a search': (view) => view.indexOf('not there'),
    'the thread pool': (view) => new Promise((resolve) => require('zlib').deflate(view, resolve)),
    'a random fill': (view) => require('crypto').randomFillSync(view),
  };
  for (const [name, touch] of Object.entries(touches)) {
    for (const part of ['nothing', 'half']) {
      it(`to ${part} is survived by ${name}, and the rest keeps its bytes`, async () => {
        const seen = await asking(
          async (shm, key, part, touch) => {
            const SIZE = 1 << 20;
            const view = shm.create({ key, size: SIZE });
            view.fill(7);
            const left = part === 'half' ? SIZE / 2 : 0;
            require('fs').truncateSync(`/dev/shm/${key}`, left);
            const kept = view[0];
            const cut = view[SIZE - 4096];
            await new Function('view', 'require', `return (${touch})(view)`)(view, require);
            const codes = [() => shm.info(view), () => shm.read(key, 0, Buffer.alloc(1)), () => shm.write(key, 0, Buffer.alloc(1))].map((call) => {
              try {
                return call();
              } catch ({ code }) {
                return code;
              }
            });
            // Where nothing is left and every page was touched, nobody maps the object: a sweep may have removed it.
            const other = part === 'half' ? shm.info(key).size : (shm.info(key)?.size ?? 0);
            ready({ kept, cut, codes, other, length: view.length, detached: shm.detach(view), length2: view.length });
          },
          [newName(), part, touch.toString()],
        );
        assert.equal(seen.kept, part === 'half' ? 7 : 0);
        assert.equal(seen.cut, 0);
        assert.deepEqual(seen.codes, Array(3).fill('ERR_SHM_SHRUNK'));
        assert.deepEqual([seen.other, seen.length], [part === 'half' ? 1 << 19 : 0, 1 << 20]);
        assert.deepEqual([seen.detached, seen.length2], [0, 0]);
      });
    }
  }

  it('is reported by the read or write that notices it, too', async () => {
    const seen = await asking(
      (shm, keys) => {
        const codes = ['read', 'write'].map((call, index) => {
          shm.create({ key: keys[index], size: 8192, view: false });
          require('fs').truncateSync(`/dev/shm/${keys[index]}`, 4096);
          const kept = shm[call](keys[index], 0, Buffer.alloc(4096));
          try {
            return shm[call](keys[index], 4096, Buffer.alloc(4096));
          } catch ({ code, message }) {
            return [kept, code, message.includes(keys[index])];
          }
        });
        ready(codes);
      },
      [[newName(), newName()]],
    );
    assert.deepEqual(seen, Array(2).fill([4096, 'ERR_SHM_SHRUNK', true]));
  });

  it('is survived by a read-only view, and by a view in another worker', async () => {
    const seen = await asking(
      async (shm, key) => {
        const { Worker } = require('worker_threads');
        shm.create({ key, size: 1 << 16, view: false });
        const code = `
          const { parentPort, workerData } = require('worker_threads');
          const shm = require(process.env.SHM_NODE_PACKAGE);
          const views = [shm.get(workerData), shm.get({ key: workerData, readOnly: true })];
          parentPort.postMessage('attached');
          parentPort.once('message', () => {
            const codeOf = (call) => { try { return call(); } catch ({ code }) { return code; } };
            parentPort.postMessage(views.map((view) => [view.indexOf(1), codeOf(() => shm.info(view))]));
          });`;
        const worker = new Worker(code, { eval: true, workerData: key });
        await new Promise((resolve) => worker.once('message', resolve));
        require('fs').truncateSync(`/dev/shm/${key}`, 0);
        worker.postMessage('look');
        ready(await new Promise((resolve) => worker.once('message', resolve)));
        await worker.terminate();
      },
      [newName()],
    );
    assert.deepEqual(seen, Array(2).fill([-1, 'ERR_SHM_SHRUNK']));
  });

  it('causes one warning, even if no function of the library is called again', async () => {
    const { code, stdout, stderr } = await run(
      (shm, keys) => {
        const views = keys.map((key) => shm.create({ key, size: 1 << 16 }));
        const again = shm.get({ key: keys[0], readOnly: true });
        const cut = (index) => {
          require('fs').truncateSync(`/dev/shm/${keys[index]}`, 0);
          views[index].fill(1);
        };
        cut(0);
        again.indexOf(1);
        const told = [];
        process.on('warning', ({ code, message }) => {
          if (code === 'ERR_SHM_SHRUNK') told.push(keys.findIndex((key) => message.includes(key)));
        });
        let isBoth = false;
        const timer = setInterval(() => {
          if (told.length === 0 || (isBoth && told.length === 1)) return;
          for (const view of [views[0], again]) {
            try {
              shm.info(view);
            } catch {
              // It is shrunk.
            }
          }
          if (!isBoth) return cut(1), (isBoth = true);
          clearInterval(timer);
          setImmediate(() => (console.log(...told), process.exit()));
        }, 10);
      },
      [[newName(), newName()]],
      { env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual([code, stdout], [0, '0 1\n']);
    assert.match(stderr, /\[ERR_SHM_SHRUNK\] Warning: segment \S+ was made smaller/);
  });

  it('can be got again with its new size, while the old view stays as it is', async () => {
    const seen = await asking(
      (shm, key) => {
        const old = shm.create({ key, size: 1 << 16 });
        old.fill(7);
        require('fs').truncateSync(`/dev/shm/${key}`, 8192);
        const before = shm.get(key).length;
        old[1 << 15] = 1;
        const now = shm.get(key);
        now[0] = 8;
        const lengths = [before, now.length, shm.read(now, 0, Buffer.alloc(9000)), old[0], now[8191]];
        ready([...lengths, shm.detach(old), shm.detach(now)]);
      },
      [newName()],
    );
    assert.deepEqual(seen, [1 << 16, 8192, 8192, 8, 7, 1, 0]);
  });

  it('makes a system call on the missing part fail with EFAULT', async () => {
    const seen = await asking(
      (shm, key, file) => {
        const fs = require('fs');
        const view = shm.create({ key, size: 1 << 16 });
        fs.truncateSync(`/dev/shm/${key}`, 0);
        const descriptor = fs.openSync(file, 'w+');
        fs.unlinkSync(file);
        try {
          ready(fs.writeSync(descriptor, view));
        } catch ({ code }) {
          ready([code, view[0], fs.writeSync(descriptor, view.subarray(0, 4096))]);
        }
      },
      [newName(), path.join(os.tmpdir(), newName())],
    );
    assert.deepEqual(seen, ['EFAULT', 0, 4096], 'what was touched is memory again');
  });
});

describe('a structure in a segment that is made smaller', { skip }, () => {
  // Each is made with `at` and used once; its calls after the shrink all throw.
  const structures = {
    Mutex: (sync, view) => {
      const mutex = new sync.Mutex(view, 0);
      const guard = mutex.lock();
      return { unlock: () => guard.unlock(), lock: () => mutex.lock(), tryLock: () => mutex.tryLock(), lockAsync: () => mutex.lockAsync() };
    },
    Semaphore: (sync, view) => {
      const semaphore = new sync.Semaphore(view, 0, { permits: 2 });
      const permit = semaphore.acquire();
      return {
        unlock: () => permit.unlock(),
        acquire: () => semaphore.acquire(),
        tryAcquire: () => semaphore.tryAcquire(),
        acquireAsync: () => semaphore.acquireAsync(),
      };
    },
    RwLock: (sync, view) => {
      const lock = new sync.RwLock(view, 0, { readers: 2 });
      const guard = lock.read();
      return {
        unlock: () => guard.unlock(),
        read: () => lock.read(),
        tryRead: () => lock.tryRead(),
        readAsync: () => lock.readAsync(),
        write: () => lock.write(),
        tryWrite: () => lock.tryWrite(),
        writeAsync: () => lock.writeAsync(),
      };
    },
    Condition: (sync, view) => {
      const [mutex, condition] = [new sync.Mutex(view, 0), new sync.Condition(view, 4)];
      const guard = mutex.lock();
      return {
        wait: () => condition.wait(guard, 10),
        notifyOne: () => condition.notifyOne(),
        notifyAll: () => condition.notifyAll(),
      };
    },
    Barrier: (sync, view) => {
      const barrier = new sync.Barrier(view, 0, { parties: 2 });
      const party = barrier.join();
      return { wait: () => party.wait(10), waitAsync: () => party.waitAsync(), join: () => barrier.join(), leave: () => party.leave() };
    },
    Once: (sync, view) => {
      const once = new sync.Once(view, 0);
      return { call: () => once.call(() => {}), callAsync: () => once.callAsync(() => {}) };
    },
    Channel: (sync, view) => {
      const channel = new sync.Channel(view, 0, { capacity: 4096 });
      channel.send(Buffer.alloc(8));
      channel.tryReceive();
      channel.send(Buffer.alloc(8));
      return {
        send: () => channel.send(Buffer.alloc(8)),
        trySend: () => channel.trySend(Buffer.alloc(8)),
        sendAsync: () => channel.sendAsync(Buffer.alloc(8)),
        commit: () => channel.tryReserve(8).commit(),
        receive: () => channel.receive(10),
        tryReceive: () => channel.tryReceive(),
        receiveAsync: () => channel.receiveAsync(),
        tryPeek: () => channel.tryPeek(),
      };
    },
    'Channel of many producers': (sync, view) => {
      const channel = new sync.Channel(view, 0, { capacity: 4096, producers: 'many' });
      const reservation = channel.reserve(8);
      return { commit: () => reservation.commit(), send: () => channel.send(Buffer.alloc(8)), tryReceive: () => channel.tryReceive() };
    },
    Broadcast: (sync, view) => {
      const broadcast = new sync.Broadcast(view, 0, { slots: 4, maxMessage: 64 });
      const reader = broadcast.reader();
      broadcast.send(Buffer.alloc(8));
      return {
        send: () => broadcast.send(Buffer.alloc(8)),
        draft: () => broadcast.draft(8),
        tryReceive: () => reader.tryReceive(),
        receive: () => reader.receive(10),
        receiveAsync: () => reader.receiveAsync(),
      };
    },
    'wait and notify': (sync, view) => ({
      wait: () => sync.wait(view, 0, 0, 10),
      waitAsync: () => sync.waitAsync(view, 0, 0),
      notify: () => sync.notify(view, 0),
    }),
  };

  for (const [name, make] of Object.entries(structures)) {
    // The first call after the shrink is the one that finds it: each of them is the first once.
    it(`${name}: every call throws, whichever comes first, and no new object can be made`, async () => {
      const seen = await asking(
        async (shm, keys, make) => {
          const sync = require(`${process.env.SHM_NODE_PACKAGE}/sync.js`);
          const open = new Function('sync', 'view', `return (${make})(sync, view)`);
          const codeOf = async (call) => {
            try {
              return (await call()) ?? 'nothing';
            } catch ({ code, message }) {
              return code ?? message;
            }
          };
          const made = () => {
            const key = keys.pop();
            const view = shm.create({ key, size: 1 << 16, type: 'Int32Array' });
            const calls = open(sync, view);
            require('fs').truncateSync(`/dev/shm/${key}`, 0);
            return [calls, view];
          };
          const wrong = [];
          const names = Object.keys(open(sync, shm.create({ size: 1 << 16, type: 'Int32Array', key: keys.pop() })));
          for (const first of names) {
            const [calls, view] = made();
            for (const name of [first, ...names.filter((other) => other !== first && !['notify', 'wait'].includes(other))]) {
              const code = await codeOf(calls[name]);
              // Nobody is waked by a notify that no touch belongs to.
              if (code !== 'ERR_SHM_SHRUNK' && !(name === 'notify' && code === 0)) wrong.push([first, name, code]);
            }
            view[0] = 0;
            const again = await codeOf(() => Object.keys(open(sync, view)).length === 3 && names.includes('notify') ? sync.notify(view, 0) : 'opened');
            if (again !== 'ERR_SHM_SHRUNK') wrong.push([first, 'again', again]);
          }
          ready({ wrong, tried: names.length });
        },
        [Array.from({ length: 20 }, newName), make.toString()],
      );
      assert.deepEqual(seen.wrong, []);
      assert.ok(seen.tried >= 2);
    });
  }

  it('throws even if only another part of the segment is missing', async () => {
    const seen = await asking(
      (shm, key) => {
        const { Mutex } = require(`${process.env.SHM_NODE_PACKAGE}/sync.js`);
        const view = shm.create({ key, size: 1 << 16, type: 'Int32Array' });
        const mutex = new Mutex(view, 0);
        mutex.lock().unlock();
        require('fs').truncateSync(`/dev/shm/${key}`, 1 << 15);
        mutex.lock().unlock(); // nobody has found it
        const cut = view[view.length - 1];
        try {
          mutex.lock();
        } catch ({ code }) {
          ready([cut, code, view[2]]);
        }
      },
      [newName()],
    );
    assert.deepEqual(seen, [0, 'ERR_SHM_SHRUNK', 0], 'and the word, which others share, is free');
  });

  it('ends the waits in it, in the main thread and in workers', async () => {
    const seen = await asking(
      async (shm, key) => {
        const { Worker } = require('worker_threads');
        const { Barrier, Channel, Mutex, waitAsync } = require(`${process.env.SHM_NODE_PACKAGE}/sync.js`);
        const view = shm.create({ key, size: 1 << 16, type: 'Int32Array' });
        const code = `
          const { parentPort, workerData } = require('worker_threads');
          const shm = require(process.env.SHM_NODE_PACKAGE);
          const { Channel, Mutex, Semaphore, wait } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
          const view = shm.get({ key: workerData.key, type: 'Int32Array' });
          const waits = {
            lock: () => new Mutex(view, 0).lock(),
            acquire: () => new Semaphore(view, 16, { permits: 1 }).acquire(),
            receive: () => new Channel(view, 1024, { capacity: 4096 }).receive(),
            wait: () => wait(view, 8000, 0),
          };
          parentPort.postMessage('waits');
          try { waits[workerData.name](); } catch ({ code }) { parentPort.postMessage(code); }`;
        const { Semaphore } = require(`${process.env.SHM_NODE_PACKAGE}/sync.js`);
        const mutex = new Mutex(view, 0);
        mutex.lock();
        new Semaphore(view, 16, { permits: 1 }).acquire();
        const workers = ['lock', 'acquire', 'receive', 'wait'].map((name) => new Worker(code, { eval: true, workerData: { key, name } }));
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
        const ends = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
        const channel = new Channel(view, 4096, { capacity: 4096 });
        const barrier = new Barrier(view, 12000, { parties: 2 });
        const asleep = [mutex.lockAsync(), channel.receiveAsync(), channel[Symbol.asyncIterator]().next(), barrier.join().waitAsync(), waitAsync(view, 9000, 0)];
        await new Promise((resolve) => setTimeout(resolve, 30));
        require('fs').truncateSync(`/dev/shm/${key}`, 0);
        const codes = (await Promise.allSettled(asleep)).map(({ reason }) => reason?.code);
        ready([codes, await Promise.all(ends)]);
        process.exit();
      },
      [newName()],
    );
    assert.deepEqual(seen, [Array(5).fill('ERR_SHM_SHRUNK'), Array(4).fill('ERR_SHM_SHRUNK')]);
  });
});

describe('shrinks at random', { skip }, () => {
  it(`${COUNT} under readers, writers, locks, attaches and detaches in workers: no process dies`, async () => {
    const seen = await asking(
      async (shm, key, count) => {
        const fs = require('fs');
        const { Worker } = require('worker_threads');
        const SIZE = 1 << 18;
        const stop = new Int32Array(new SharedArrayBuffer(4));
        const code = `
          const { parentPort, workerData: { key, stop, size } } = require('worker_threads');
          const shm = require(process.env.SHM_NODE_PACKAGE);
          const { Mutex, Channel } = require(process.env.SHM_NODE_PACKAGE + '/sync.js');
          const zlib = require('zlib');
          const random = (below) => Math.floor(Math.random() * below);
          const bytes = Buffer.alloc(size, 1);
          const uses = [
            (view) => view.reduce((sum, word) => sum + word, 0),
            (view) => view.fill(random(9)),
            (view) => Atomics.add(view, random(view.length), 1),
            (view) => Buffer.compare(Buffer.from(view.buffer), bytes),
            (view) => shm.read(view, random(view.byteLength), bytes),
            (view) => shm.write(view, random(view.byteLength), bytes.subarray(0, 5000)),
            (view) => zlib.deflateRaw(view.subarray(0, 2000), () => {}),
            (view) => shm.info(view),
            (view) => { view.fill(0, 0, 64); new Mutex(view, 0).lock(5); },
            (view) => { view.fill(0, 1024, 1200); new Channel(view, 1024, { capacity: 4096 }).trySend(bytes.subarray(0, 5)); },
            (view) => shm.detach(view),
          ];
          const codes = {};
          const turn = () => {
            for (let round = 0; round < 20; round++) {
              try {
                const view = shm.get({ key, type: 'Int32Array', readOnly: false });
                for (let use = 0; use < 10 && view.length > 0; use++) uses[random(uses.length)](view);
              } catch (error) {
                const code = error.code ?? String(error);
                codes[code] = (codes[code] ?? 0) + 1;
              }
            }
            if (stop[0] === 0) setImmediate(turn);
            else { shm.detachAll(); parentPort.postMessage(codes); }
          };
          parentPort.postMessage('begun');
          turn();`;
        shm.create({ key, size: SIZE, view: false, persist: true });
        const workers = [1, 2, 3].map(() => new Worker(code, { eval: true, workerData: { key, stop, size: SIZE } }));
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
        const ends = workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)));
        for (let shrink = 0; shrink < count; shrink++) {
          fs.truncateSync(`/dev/shm/${key}`, Math.floor(Math.random() * SIZE));
          if (shrink % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
          else Atomics.wait(stop, 0, 0, 0.2);
          fs.truncateSync(`/dev/shm/${key}`, SIZE);
        }
        stop[0] = 1;
        const codes = await Promise.all(ends);
        shm.destroy(key);
        ready(codes);
      },
      [newName(), COUNT],
      { ...quiet, patience: 600_000 },
    );
    const all = new Set(seen.flatMap(Object.keys));
    assert.ok(all.has('ERR_SHM_SHRUNK'), 'some were found');
    // What a segment of no size, one that was detached by this very call, and bytes of anything mean.
    const expected = ['ERR_SHM_SHRUNK', 'EAGAIN', 'ERR_SHM_DETACHED', 'ERR_SHM_NOT_ATTACHED', 'ERR_INVALID_ARG_VALUE'];
    const bytes = ['ERR_SHM_FOREIGN', 'ERR_SHM_OPTIONS', 'ERR_SHM_DAMAGED', 'ERR_SHM_TAKEN', 'ERR_SHM_LIVE_FILE'];
    const sizes = ['ERR_OUT_OF_RANGE', 'ERR_SHM_VERSION', 'ERR_SHM_DEADLOCK'];
    assert.deepEqual([...all].filter((code) => ![...expected, ...bytes, ...sizes].includes(code)), []);
  });
});

describe('a touch for which a full /dev/shm has no room', { skip: skip || needsRoot().skip }, () => {
  it('is survived too', async () => {
    const seen = await asking(
      (shm, key) => {
        const view = shm.create({ key, size: 32 << 20, reserve: false });
        view.fill(7, 0, 4096);
        view.fill(7);
        const codes = [() => shm.info(view), () => shm.write(key, 0, Buffer.alloc(1))].map((call) => {
          try {
            return call();
          } catch ({ code, message }) {
            return [code, message.includes('no room')];
          }
        });
        const first = view[0];
        ready([first, codes, shm.detach(view)]);
      },
      [newName()],
      { ...quiet, under: privately('16m') },
    );
    assert.deepEqual(seen, [7, Array(2).fill(['ERR_SHM_SHRUNK', true]), 0]);
  });
});

describe('every other SIGBUS', { skip }, () => {
  it('that a process sends does what it did before', async () => {
    const ends = [false, true].map((attaches) =>
      run(
        (shm, key, attaches) => {
          if (attaches) shm.create({ key, size: 4096 });
          process.kill(process.pid, 'SIGBUS'); // it has come when this returns
        },
        [newName(), attaches],
        quiet,
      ),
    );
    const [before, after] = await Promise.all(ends);
    assert.deepEqual([after.code, after.signal], [before.code, before.signal]);
    if (typeof Deno === 'undefined') assert.equal(after.signal, 'SIGBUS');
  });

  it('of another copy of the package is left to its handler, in whichever order they were loaded', async () => {
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-copy-'));
    try {
      const copied = spawnSync('cp', ['-r', `${folder}/.`, copy]);
      assert.equal(copied.status, 0);
      const seen = await asking(
        (shm, keys, copy) => {
          const other = require(copy);
          const views = [shm, other, shm, other].map((from, index) => from.create({ key: keys[index], size: 8192 }));
          for (const key of keys) require('fs').truncateSync(`/dev/shm/${key}`, 0);
          const codes = [3, 0, 1, 2].map((index) => {
            views[index].fill(1);
            try {
              return (index % 2 === 0 ? shm : other).info(views[index]);
            } catch ({ code }) {
              return code;
            }
          });
          ready(codes);
        },
        [[newName(), newName(), newName(), newName()], copy],
      );
      assert.deepEqual(seen, Array(4).fill('ERR_SHM_SHRUNK'));
    } finally {
      fs.rmSync(copy, { recursive: true });
    }
  });
});
