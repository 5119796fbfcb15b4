'use strict';

// Processes: child_process.fork and cluster, and the package's two ways of leaving.

const assert = require('node:assert/strict');
const { after, describe, it } = require('node:test');
const { TOLD, ask, built, existing, exists, newKeys, run, shm, start, systemV, needsRoom, needsRoot, privately } = require('./support.js');

after(() => shm.detachAll());

describe('another process', () => {
  it('shares the memory, both ways', async () => {
    for (const backend of built) {
      const view = shm.create({ length: 8, type: 'Float64Array', backend });
      view[0] = Math.PI;
      const seen = await ask(
        (shm, target) => {
          const view = shm.get({ ...target, type: Float64Array });
          view[1] = Math.E;
          ready([view.length, view[0]]);
        },
        [{ key: view.key, backend }],
      );
      assert.deepEqual(seen, [8, Math.PI]);
      assert.equal(view[1], Math.E);
      assert.equal(shm.detach(view), 0);
    }
  });

  it('shares 400 MB of floats without copying', needsRoom(450e6), async () => {
    for (const backend of built) {
      const length = 100_000_000;
      const view = shm.create({ length, type: 'Float32Array', backend });
      view[0] = 10;
      view[length - 1] = 20;
      const seen = await ask(
        (shm, target, length) => {
          const before = process.memoryUsage();
          const view = shm.get({ ...target, type: 'Float32Array' });
          const sum = view[0] + view[length - 1];
          view[length / 2] = sum;
          const { rss, heapTotal } = process.memoryUsage();
          ready({ length: view.length, sum, grown: rss - before.rss + heapTotal - before.heapTotal });
        },
        [{ key: view.key, backend }, length],
      );
      assert.deepEqual([seen.length, seen.sum, view[length / 2]], [length, 30, 30]);
      assert.ok(seen.grown < 50e6, `its memory grew by ${seen.grown} bytes`);
      assert.equal(shm.detach(view), 0);
    }
  });

  it('Atomics count exactly across processes', async () => {
    for (const backend of built) {
      const view = shm.create({ length: 1, type: 'Int32Array', backend });
      const add = (shm, target) => {
        const view = shm.get({ ...target, type: 'Int32Array' });
        for (let i = 0; i < 200_000; i++) Atomics.add(view, 0, 1);
        ready();
      };
      await Promise.all([1, 2, 3].map(() => ask(add, [{ key: view.key, backend }])));
      assert.equal(Atomics.load(view, 0), 600_000);
      assert.equal(shm.detach(view), 0);
    }
  });

  it('does not change our views when it detaches, and we do not change its views', async () => {
    for (const backend of built) {
      const view = shm.create({ size: 64, backend });
      const target = { key: view.key, backend };
      const holder = start(
        (shm, target) => {
          const view = shm.get(target);
          view[0] = 7;
          ready();
          process.stdin.once('data', () => {
            console.log(view[0], view.length, shm.detach(target), view.length);
            process.exit();
          });
        },
        [target],
        { stdin: 'pipe' },
      );
      await holder.ready;
      assert.equal(view[0], 7);
      assert.equal(shm.detach(view), 1);
      assert.equal(view.length, 0);
      assert.ok(exists(target));
      holder.child.stdin.end('leave');
      const { stdout, code } = await holder.ended;
      assert.deepEqual([stdout, code], ['7 64 0 0\n', 0]);
      assert.equal(exists(target), false);
    }
  });

  it('System V counts every holder, and detach returns how many are left', { skip: built.includes('sysv') ? false : 'this build has no System V' }, async () => {
    const view = shm.create(64);
    const holders = [1, 2].map(() =>
      start((shm, key) => {
        globalThis.view = shm.get(key);
        ready();
        process.stdin.resume();
      }, [view.key], { stdin: 'pipe' }),
    );
    await Promise.all(holders.map(({ ready }) => ready));
    assert.equal(systemV().get(view.key).nattch, 3);
    assert.equal(shm.info(view).holders, 3);
    assert.equal(shm.detach(view), 2);
    for (const { child } of holders) child.stdin.end();
    await Promise.all(holders.map(({ ended }) => ended));
    assert.equal(exists({ key: view.key }), false);
  });

  it('a forked child and the messages to it work as always', async () => {
    const program = (shm, keys) => {
      const { fork } = require('child_process');
      if (process.send) {
        process.on('message', (keys) => {
          const views = keys.map((key) => shm.get(key));
          const seen = views.map((view) => view[0]);
          for (const key of keys) shm.detach(key);
          process.send(seen);
          process.disconnect();
        });
        return;
      }
      const views = hold(keys);
      views.forEach((view, index) => (view[0] = index + 1));
      const child = fork(__filename);
      child.send(keys);
      child.on('message', (seen) => {
        ready([seen, views.map((view) => view.length)]);
      });
    };
    const keys = newKeys();
    const seen = await ask(program, [keys]);
    assert.deepEqual(seen, [keys.map((_, index) => index + 1), keys.map(() => 4096)]);
    assert.deepEqual(existing(keys), []);
  });

  it('a cluster whose primary detaches first is freed by its last worker, silently', async () => {
    const program = (shm, keys) => {
      const cluster = require('cluster');
      if (cluster.isPrimary) {
        hold(keys).forEach((view) => (view[0] = 1));
        const workers = [cluster.fork(), cluster.fork()];
        let attached = 0;
        cluster.on('message', () => {
          if (++attached < workers.length) return;
          console.log('left', keys.map((key) => shm.detach(key)).every((left) => left >= 1));
          workers.forEach((worker) => worker.send('sum'));
        });
      } else {
        const views = keys.map((key) => shm.get(key));
        process.send('attached');
        process.on('message', () => {
          for (const view of views) Atomics.add(new Int32Array(view.buffer), 1, 1);
          process.exit();
        });
      }
    };
    const keys = newKeys();
    const { code, stdout, stderr } = await run(program, [keys]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `left true\n${TOLD}`, 'and what only the primary held');
    assert.deepEqual(existing(keys), []);
  });
});

describe('two processes that leave at once', () => {
  it('free the segment, and one of them gets 0', async () => {
    for (let round = 0; round < 8; round++) {
      for (const backend of built) {
        const { key } = shm.create({ size: 64, backend, persist: false });
        const target = { key, backend };
        const leave = (shm, target) => {
          shm.get(target);
          ready();
          process.stdin.once('data', () => console.log(shm.detach(target)));
        };
        const holders = [1, 2].map(() => start(leave, [target], { stdin: 'pipe' }));
        await Promise.all(holders.map(({ ready }) => ready));
        assert.ok(shm.detach(target) >= 1);
        for (const { child } of holders) child.stdin.end('go');
        const answers = (await Promise.all(holders.map(({ ended }) => ended))).map(({ stdout }) => +stdout);
        assert.ok(answers.includes(0), `${answers}`);
        assert.equal(exists(target), false);
      }
    }
  });
});

describe('a process that only looks', () => {
  it('prints nothing, and adds no listeners', async () => {
    const { stdout, stderr, code } = await run((shm) => {
      const counts = () => ['exit', 'SIGTERM', 'SIGINT', 'SIGHUP'].map((name) => process.listenerCount(name));
      console.log(...counts());
      shm.list();
      console.log(...counts());
    });
    assert.deepEqual([stdout, stderr, code], ['0 0 0 0\n0 0 0 0\n', '', 0]);
  });

  it('a stopped process that holds a segment blocks nobody', needsRoot(), async () => {
    const stdout = await ask(
      async (shm, built) => {
        const { spawn } = require('child_process');
        const views = built.map((backend) => shm.create({ size: 64, backend }));
        const code = `const shm = require(${JSON.stringify(process.env.SHM_NODE_PACKAGE)});
          for (const target of ${JSON.stringify(views.map(({ key }, i) => ({ key, backend: built[i] })))}) shm.get(target);
          console.log('attached'); setInterval(() => {}, 1000);`;
        const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
        await new Promise((resolve) => child.stdout.once('data', resolve));
        process.kill(child.pid, 'SIGSTOP');
        const left = views.map((view) => shm.detach(view));
        shm.sweep();
        const more = shm.create(64).length;
        process.kill(child.pid, 'SIGKILL');
        await new Promise((resolve) => child.once('exit', resolve));
        ready([left, more, shm.sweep(), shm.list().length]);
      },
      [built],
      { under: privately(), env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual(stdout, [built.map(() => 1), 64, built.length, 1]);
  });
});

