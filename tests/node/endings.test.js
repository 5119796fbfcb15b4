'use strict';

// Every way for a process to end, seen from outside: what it held is gone, its exit code or signal is unchanged,
// and one line is printed, by the main thread, where JavaScript may still print. Signals: signals.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, it } = require('node:test');
const {
  TOLD, ask, built, bySignal, existing, folder, needs, newKey, newKeys, needsRoom, needsRoot, notOnWindows, privately, run, start, until,
} = require('./support.js');

const SILENT = '';

const isDeno = 'deno' in process.versions;
const isWindows = process.platform === 'win32';
const noCore = isWindows ? [] : ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'];

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Ways to end that JavaScript or the C library sees: all is freed before the process is gone. */
const clean = {
  'the normal end': [() => {}, 0, TOLD],
  'the normal end with process.exitCode': [() => (process.exitCode = 4), 4, TOLD],
  'process.exit() in the same tick as create': [() => process.exit(), 0, TOLD],
  'process.exit(5) later': [() => setTimeout(() => process.exit(5), 5), 5, TOLD],
  'process.exit() from a promise': [() => Promise.resolve().then(() => process.exit(6)), 6, TOLD],
  'process.reallyExit()': [() => process.reallyExit(7), 7, isDeno ? TOLD : SILENT], // in Deno it is Deno.exit()
  'an uncaught throw': [() => { throw new Error('on purpose'); }, 1, TOLD],
  'an uncaught throw later': [() => setImmediate(() => { throw new Error('on purpose'); }), 1, TOLD],
  'an unhandled rejection': [() => void Promise.reject(new Error('on purpose')), 1, TOLD],
  'a throw that the program catches': [() => { process.on('uncaughtException', () => {}); throw new Error(); }, 0, TOLD],
};

describe('at', { concurrency: 4 }, () => {
  for (const [claim, [end, code, stdout]] of Object.entries(clean)) {
    it(`${claim} all is freed, and the exit code is ${code}`, async () => {
      const keys = newKeys();
      const ended = await run(`(shm, keys) => { hold(keys); (${end})(); }`, [keys]);
      assert.deepEqual([ended.code, ended.signal, ended.stdout], [code, null, stdout], ended.stderr);
      assert.equal(/on purpose/.test(ended.stderr), /on purpose/.test(end), 'the error is shown as ever');
      assert.deepEqual(existing(keys), []);
    });
  }

  it('the end of a program that detached everything itself nothing is printed', async () => {
    const { stdout, code } = await run((shm, keys) => {
      hold(keys);
      shm.detachAll();
    }, [newKeys()]);
    assert.deepEqual([stdout, code], ['', 0]);
  });

  it('the end of a program that only got its segments nothing is printed, and they stay', async () => {
    const keys = newKeys();
    const holder = start((shm, keys) => { hold(keys); ready(); process.stdin.resume(); }, [keys], { stdin: 'pipe' });
    await holder.ready;
    const { stdout, code } = await run((shm, keys) => keys.forEach((key) => shm.get(key)), [keys]);
    assert.deepEqual([stdout, code], ['', 0]);
    assert.deepEqual(existing(keys), keys);
    holder.child.stdin.end();
    assert.equal((await holder.ended).stdout, TOLD);
    assert.deepEqual(existing(keys), []);
  });

  for (const end of [() => {}, () => process.on('exit', () => {})]) {
    it(`any end nothing is printed with SHM_NODE_QUIET=1, ${end}`, async () => {
      const keys = newKeys();
      const { stdout } = await run(`(shm, keys) => { hold(keys); (${end})() }`, [keys], { env: { SHM_NODE_QUIET: '1' } });
      assert.equal(stdout, '');
      assert.deepEqual(existing(keys), []);
    });
  }

  it('an end with standard output closed all is freed', async () => {
    const keys = newKeys();
    const { code } = await run((shm, keys) => { require('fs').closeSync(1); hold(keys); process.exit(3); }, [keys]);
    assert.equal(code, 3);
    assert.deepEqual(existing(keys), []);
  });
});

describe('the line', { concurrency: 4 }, () => {
  const LINE = (count) => `shm segments destroyed: ${count}\n`;
  const LATER = 'process.on("exit", () => {});';

  for (const [claim, body, stdout] of [
    ['create(size, type) is counted', 'shm.create(64), shm.create(64, "Float64Array")', LINE(2)],
    ['the options form is silent', 'shm.create({ size: 64 }), shm.create({ size: 64, view: false })', ''],
    ['get is silent', 'shm.get(shm.create({ size: 64 }).key)', ''],
    ['of both forms, create(size) alone is counted', 'shm.create(64), shm.create({ size: 64 }), shm.create({ size: 64 })', LINE(1)],
    ['a get of what was created is counted once', 'shm.get(shm.create(64).key, "Int16Array")', LINE(1)],
    ['what was destroyed before is not counted', 'shm.create(64), shm.destroy(shm.create(64)), shm.detach(shm.create(64))', LINE(1)],
  ]) {
    for (const listener of ['', LATER]) {
      it(`${claim}${listener && ', with a later listener'}`, async () => {
        const ended = await run(`(shm) => { ${body}; ${listener} }`);
        assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, stdout, '']);
      });
    }
  }

  it('is not printed for a worker thread that calls create(size)', async () => {
    const ended = await run(async (shm, folder) => {
      const { Worker } = require('worker_threads');
      new Worker(`require(${JSON.stringify(folder)}).create(64)`, { eval: true });
      shm.create({ size: 64 });
    }, [folder]);
    assert.deepEqual([ended.code, ended.stdout], [0, '']);
  });

  for (const [claim, spoil] of Object.entries({
    'console.log throws': "console.log = console.info = () => { throw new Error('closed'); };",
    'console is gone': 'delete globalThis.console;',
    'process.stdout throws': "process.stdout.write = () => { throw new Error('closed'); };",
    'fs.writeSync throws': "require('fs').writeSync = () => { throw new Error('closed'); };",
  })) {
    for (const [what, make] of Object.entries({ own: 'shm.create(64)', 'drop-in': "require(folder + '/shm-typed-array.js').create(64)" })) {
      for (const listener of ['', LATER]) {
        it(`is printed even if ${claim}, and the exit code is the program's (${what}${listener && ', with a later listener'})`, async () => {
          const ended = await run(`(shm, folder) => { ${make}; ${spoil} ${listener} process.exitCode = 3; }`, [folder]);
          assert.deepEqual([ended.code, ended.stdout, ended.stderr], [3, LINE(1), '']);
        });
      }
    }
  }

  it('does not change the exit code if standard output is closed, or nobody reads it', async () => {
    for (const spoil of ["require('fs').closeSync(1)", 'process.stdout.destroy()']) {
      const { code, stderr } = await run(`(shm) => { shm.create(64); ${spoil}; process.exitCode = 3; }`);
      assert.deepEqual([code, stderr], [3, ''], spoil);
    }
    const { child, ended } = start((shm) => { shm.create(64); process.stdin.resume(); process.exitCode = 3; }, [], { stdin: 'pipe' });
    child.stdout.destroy();
    child.stdin.end();
    assert.equal((await ended).code, 3);
  });

  it('waits for room if standard output is non-blocking, and full', async () => {
    const { code, stdout } = await run((shm) => {
      shm.create(64);
      process.stdout.write(''); // from here on it does not block
      const { writeSync } = require('fs');
      try {
        for (let count = 0; count < 1000; count += 1) writeSync(1, Buffer.alloc(1 << 16, '.'));
      } catch (error) {
        require('assert').equal(error.code, 'EAGAIN');
      }
      process.exit(3);
    });
    assert.equal(code, 3);
    assert.match(stdout, /^\.+shm segments destroyed: 1\n$/);
  });

  for (const listener of ['', LATER]) {
    it(`is printed once for many copies of the JavaScript over one addon, and counts for all${listener && ', with a later listener'}`, async () => {
      const keys = newKeys();
      const ended = await run(
        `(shm, folder, keys) => {
          for (let copy = 0; copy < 30; copy += 1) {
            for (const file of Object.keys(require.cache)) if (file.startsWith(folder)) delete require.cache[file];
            const other = require(folder);
            require('assert').notEqual(other, shm);
            other.create(64);
            if (copy < keys.length) other.create({ ...keys[copy], size: 64 });
            require(folder + '/sync.js');
          }
          ${listener}
        }`,
        [folder, keys],
      );
      assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, LINE(30), '']);
      assert.deepEqual(existing(keys), []);
    });
  }
});

describe("a user's exit listener", { concurrency: 4 }, () => {
  const listener = "(code) => console.log('listener', code, views.map((view) => view[0]).join())";
  const LISTENED = (code) => `listener ${code} ${built.map(() => 42).join()}\n`;

  for (const [claim, program] of Object.entries({
    'registered before create': `process.on('exit', ${listener}); fill();`,
    'registered after create': `fill(); process.on('exit', ${listener});`,
    'registered after create, followed by process.exit() in the same tick': `fill(); process.on('exit', ${listener}); process.exit();`,
    'registered before create, followed by process.exit() in the same tick': `process.on('exit', ${listener}); fill(); process.exit();`,
    'registered by an exit listener': `fill(); process.on('exit', () => process.on('exit', ${listener})); process.emit('exit', 0); process.removeAllListeners('exit'); process.on('exit', ${listener});`,
    'on beforeExit': `fill(); process.once('beforeExit', ${listener});`,
  })) {
    it(`${claim} still reads its views`, async () => {
      const keys = newKeys();
      const body = `(shm, keys) => {
        let views = [];
        const fill = () => { views = hold(keys); views.forEach((view) => view[0] = 42); };
        ${program}
      }`;
      const { stdout, stderr, code } = await run(body, [keys]);
      assert.ok(stdout.startsWith(LISTENED(0)), `${stdout}\n${stderr}`);
      assert.deepEqual([code, stderr], [0, '']);
      assert.deepEqual(existing(keys), []);
      if (claim.startsWith('registered before') || claim.startsWith('registered after') || claim.startsWith('on')) {
        assert.equal(stdout, LISTENED(0) + TOLD, 'the line comes last, once');
      }
    });
  }

  it('can be one of many, before and after, and all run before the line', async () => {
    const keys = newKeys();
    const { stdout } = await run((shm, keys) => {
      const say = (what) => process.on('exit', () => console.log(what, views[0][0]));
      let views;
      say('one');
      views = hold(keys);
      say('two');
      say('three');
      process.exit();
    }, [keys]);
    assert.equal(stdout, `one 0\ntwo 0\nthree 0\n${TOLD}`);
    assert.deepEqual(existing(keys), []);
  });

  it('decides the exit code', async () => {
    const keys = newKeys();
    const { code, stdout } = await run((shm, keys) => {
      hold(keys);
      process.on('exit', () => (process.exitCode = 9));
    }, [keys]);
    assert.deepEqual([code, stdout], [9, TOLD]);
    assert.deepEqual(existing(keys), []);
  });

  it('may detach segments', async () => {
    const keys = newKeys();
    const { stdout } = await run((shm, keys) => {
      hold(keys);
      process.on('exit', () => console.log(shm.detach(keys[0])));
      process.on('exit', () => shm.create(64));
    }, [keys]);
    assert.equal(stdout, '0\nshm segments destroyed: 2\n', 'one more');
    assert.deepEqual(existing(keys), []);
  });

  it('may call process.exit() or throw', async () => {
    // 1 or 7, as this version of Node has it.
    const thrown = (await run("() => process.on('exit', () => { throw new Error() })", [])).code;
    for (const [end, expected] of [
      ["process.on('exit', () => process.exit(3)); hold(keys)", 3],
      ["hold(keys); process.on('exit', () => process.exit(3))", 3],
      ["hold(keys); process.on('exit', () => { throw new Error() })", thrown],
    ]) {
      const keys = newKeys();
      const { code, signal } = await run(`(shm, keys) => { ${end} }`, [keys]);
      assert.deepEqual([code, signal], [expected, null], end);
      assert.deepEqual(existing(keys), [], end);
    }
  });
});

describe('worker threads that hold segments', { concurrency: 4 }, () => {
  const WORKER = `
    const { Worker, isMainThread, workerData } = require('worker_threads');
    const inWorker = (keys, then = '') => new Promise((resolve) => new Worker(
      \`const shm = require(process.env.SHM_NODE_PACKAGE);
       for (const key of require('worker_threads').workerData) shm.create({ ...key, size: 4096 });
       require('worker_threads').parentPort.postMessage(1);
       \${then || 'setInterval(() => {}, 1000)'}\`,
      { eval: true, workerData: keys },
    ).once('message', resolve));`;

  for (const [claim, end, code, then] of [
    ['process.exit()', 'process.exit(2)', 2],
    ['process.exit() while they spin', 'process.exit(2)', 2, 'for (;;);'],
    ['an uncaught throw', "setImmediate(() => { throw new Error('on purpose') })", 1],
    ['their own normal end', '', 0, 'void 0'],
  ]) {
    it(`are freed at ${claim}, and print nothing`, async () => {
      const [keys, others] = [newKeys(), newKeys()];
      const body = `async (shm, keys, others) => {
        ${WORKER}
        hold(keys);
        await inWorker(others, ${JSON.stringify(then)});
        ${end}
      }`;
      const ended = await run(body, [keys, others]);
      assert.deepEqual([ended.code, ended.signal, ended.stdout], [code, null, TOLD], ended.stderr);
      assert.deepEqual(existing([...keys, ...others]), []);
    });
  }

  it('print nothing, even if the main thread holds none', async () => {
    const keys = newKeys();
    const ended = await run(`async (shm, keys) => { ${WORKER} await inWorker(keys); process.exit(); }`, [keys]);
    assert.deepEqual([ended.code, ended.stdout], [0, '']);
    assert.deepEqual(existing(keys), []);
  });
});

describe('an end that runs none of our code', { concurrency: 4 }, () => {
  for (const [claim, end, outcome] of [
    ['SIGKILL', () => process.kill(process.pid, 'SIGKILL'), bySignal('SIGKILL')],
    ['abort()', () => process.abort(), isWindows ? [134, null] : [null, 'SIGABRT']],
    // Again and again: the first one that is sent only makes Deno's handler restore the default action.
    ...(isWindows ? [] : [['a segmentation fault', () => { for (;;) process.kill(process.pid, 'SIGSEGV'); }, [null, 'SIGSEGV']]]),
  ]) {
    for (const [how, call] of [
      ['first create, on whichever backend', (shm, built) => shm.create({ size: 64, backend: built.at(-1) })],
      ['first get, on whichever backend', (shm, built, key) => shm.get(key)],
      ['sweep()', (shm) => shm.sweep()],
    ]) {
      it(`${claim}: all is freed by the next process's ${how}`, async () => {
        const keys = newKeys();
        const ended = await run(`(shm, keys) => { hold(keys).forEach((view) => view.fill(1)); (${end})(); }`, [keys], { under: noCore });
        assert.deepEqual([ended.code, ended.signal, ended.stdout], [...outcome, '']);
        const next = `(shm, built, key) => { (${call})(shm, built, key); ready(); process.kill(process.pid, 'SIGKILL') }`;
        await run(next, [built, newKey()]);
        assert.deepEqual(existing(keys), []);
      });
    }
  }

  it('on Windows, by kill() of its parent, frees all at once', needs('windows'), async () => {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      const keys = newKeys();
      const holder = start((shm, keys) => { hold(keys); ready(); setInterval(() => {}, 1000); }, [keys]);
      await holder.ready;
      assert.deepEqual(existing(keys), keys);
      holder.child.kill(signal);
      const ended = await holder.ended;
      assert.deepEqual([ended.code, ended.signal, ended.stdout, ended.stderr], [null, signal, '', '']);
      assert.deepEqual(existing(keys), []);
    }
  });

  it('leaves segments until then, and sweep() returns how many it freed', needsRoot(), async () => {
    const seen = await ask(
      async (shm, support, keys) => {
        const { existing, run } = require(support);
        await run((shm, keys) => { hold(keys); process.kill(process.pid, 'SIGKILL'); }, [keys]);
        const states = keys.map((key) => shm.info(key).state);
        const before = existing(keys).length;
        ready([states, before, shm.sweep(), existing(keys).length, shm.sweep()]);
      },
      [require.resolve('./support.js'), newKeys()],
      { under: privately() },
    );
    assert.deepEqual(seen, [built.map(() => 'orphan'), built.length, built.length + 1, 0, 0]);
  });

  it('leaves segments that the end of another process with segments frees', needsRoot(), async () => {
    const seen = await ask(
      async (shm, support, keys, late) => {
        const { existing, run } = require(support);
        const program = `(shm, keys, late) => {
          hold(late);
          const { run } = require(${JSON.stringify(support)});
          return run((shm, keys) => { hold(keys); process.kill(process.pid, 'SIGKILL'); }, [keys]);
        }`;
        await run(program, [keys, late]);
        ready(existing([...keys, ...late]));
      },
      [require.resolve('./support.js'), newKeys(), newKeys()],
      { under: privately() },
    );
    assert.deepEqual(seen, []);
  });

  it('never removes what another process still holds', async () => {
    const keys = newKeys();
    const holder = start((shm, keys) => {
      hold(keys);
      ready();
      process.stdin.resume();
    }, [keys], { stdin: 'pipe' });
    await holder.ready;
    await run((shm, keys) => { keys.forEach((key) => shm.get(key)); process.kill(process.pid, 'SIGKILL'); }, [keys]);
    await run((shm) => shm.sweep());
    assert.deepEqual(existing(keys), keys);
    holder.child.stdin.end();
    assert.equal((await holder.ended).stdout, TOLD);
    assert.deepEqual(existing(keys), []);
  });

  it('kills the primary of a cluster: its workers end, and the last of them frees', async () => {
    const keys = newKeys();
    const primary = start((shm, keys) => {
      const cluster = require('cluster');
      if (cluster.isPrimary) {
        hold(keys);
        const workers = [cluster.fork(), cluster.fork()];
        let attached = 0;
        cluster.on('message', () => ++attached === workers.length && ready(workers.map(({ process }) => process.pid)));
      } else {
        keys.forEach((key) => shm.get(key));
        process.send('attached');
      }
    }, [keys]);
    const workers = await primary.ready;
    primary.child.kill('SIGKILL');
    // Gone, or waiting to be reaped by the process that inherits it.
    const gone = (pid) => isWindows ? !isRunning(pid) : !fs.existsSync(`/proc/${pid}/stat`) || fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
    assert.ok(await until(() => workers.every(gone)), 'a worker outlived its primary');
    assert.deepEqual(existing(keys), []);
    assert.equal((await primary.ended).signal, 'SIGKILL');
  });
});

/**
 * A primary and a child that both hold what the primary created, 20 MiB a segment; `tell(child)` in the primary, and
 * `told` in the child, which it runs once it has attached.
 */
const family = ({ begin = 'cluster', tell, told = '', listener = '' }) => `(shm, keys) => {
  const cluster = require('cluster');
  const { fork } = require('child_process');
  process.on('message', (targets) => {
    const views = targets.map((target) => shm.get(target));
    views.forEach((view) => view.fill(1));
    ${told};
    process.send('attached');
  });
  if (process.send !== undefined) return;
  const own = [shm.create(20 << 20), ...keys.map((key) => shm.create({ ...key, size: 20 << 20 }))];
  own.forEach((view) => view.fill(1));
  ${listener}
  const child = ${begin === 'cluster' ? 'cluster.fork()' : 'fork(__filename)'};
  child.send([own[0].key, ...keys]);
  child.on('message', () => { (${tell})(child); process.exit(5); });
}`;

// Held up between being told to go and going: longer than a clock would give it on a busy machine.
const LINGERING = "process.on('SIGTERM', () => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); process.exit(); })";

describe('a primary that tells its child to end, and exits at once,', { concurrency: 4 }, () => {
  const skip = Number.parseInt(process.versions.node) < 20 || typeof Bun !== 'undefined' ? 'this runtime does not tell of its child processes' : false;

  for (const [claim, how] of Object.entries({
    'a worker of a cluster, by SIGKILL': { tell: (worker) => worker.process.kill('SIGKILL') },
    'a worker of a cluster, by kill()': { tell: (worker) => worker.kill(), told: LINGERING },
    'a worker of a cluster, by disconnect()': {
      skip,
      tell: (worker) => worker.disconnect(),
      told: "process.on('disconnect', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300))",
    },
    'a child process, by SIGKILL': { begin: 'fork', tell: (child) => child.kill('SIGKILL') },
    'a child process, by kill()': { begin: 'fork', tell: (child) => child.kill(), told: LINGERING },
    'a child process, by a SIGKILL that its object knows nothing of': { begin: 'fork', tell: ({ pid }) => process.kill(pid, 'SIGKILL') },
    'a worker, where an exit listener came after create': { tell: (worker) => worker.kill(), told: LINGERING, listener: "process.on('exit', () => {});" },
  })) {
    it(`is the last holder, and frees all: ${claim}`, { skip: how.skip || needsRoom(256 << 20).skip }, async () => {
      const keys = newKeys();
      const { code, stdout, stderr } = await run(family(how), [keys]);
      assert.deepEqual([code, stdout, stderr], [5, TOLD, '']);
      assert.deepEqual(existing(keys), []);
    });
  }

  it('is not the last holder if no child was told to end, or if one does not end for five seconds', notOnWindows('Windows has no signal that a process can refuse'), async () => {
    const told = "process.on('SIGTERM', () => {}); process.on('disconnect', () => { console.log(Date.now()); process.exit(); })";
    // From the end of the primary's last turn until its child has lost it.
    const milliseconds = async (tell) => {
      const keys = newKeys();
      const { code, stdout, stderr } = await run(family({ begin: 'fork', tell, told }), [keys]);
      assert.deepEqual([code, stderr], [5, '']);
      assert.match(stdout, /^\d+\n\d+\n$/, 'the child freed it, silently');
      assert.deepEqual(existing(keys), []);
      const [began, ended] = stdout.split('\n').map(Number);
      return ended - began;
    };
    const kill = (child) => {
      child.kill();
      console.log(Date.now());
    };
    assert.ok((await milliseconds(kill)) >= 5000);
    // A busy machine makes one late, but not all of them.
    const took = [];
    while (took.length < 10 && !(took.at(-1) < 4500)) took.push(await milliseconds(() => console.log(Date.now())));
    assert.ok(took.at(-1) < 4500, `${took} ms: it waited where nobody was told to go`);
  });

  it('knows which of its children were told to end', { skip }, async () => {
    const seen = await ask(
      async (shm, folder) => {
        const { spawn } = require('child_process');
        const cluster = require('cluster');
        const { children } = require(`${folder}/lib/children.js`);
        cluster.setupPrimary({ exec: '/dev/null' });
        const idle = () => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
        const [left, killed, gone] = [idle(), idle(), idle()];
        gone.kill('SIGKILL');
        await new Promise((resolve) => gone.on('exit', resolve));
        const missing = spawn('/there-is-none').on('error', () => {});
        const workers = [cluster.fork(), cluster.fork(), cluster.fork()];
        const names = { left, killed, gone, missing };
        workers.forEach((worker, index) => (names[`worker ${index}`] = worker.process));
        await null; // a cluster has its workers once fork() has returned
        killed.kill();
        workers[1].disconnect();
        workers[2].process.kill();
        const { told, others } = children();
        const nameOf = (pid) => Object.keys(names).find((name) => names[name].pid === pid);
        ready([told.map(nameOf).sort(), others.map(nameOf).sort()]);
        left.kill('SIGKILL');
        process.exit();
      },
      [folder],
    );
    assert.deepEqual(seen, [['killed', 'worker 1', 'worker 2'], ['left', 'worker 0']]);
  });
});

describe('as pid 1 of a container', { ...needsRoot(), concurrency: 4 }, () => {
  const asFirst = ['unshare', '--pid', '--fork', '--mount-proc'];

  for (const [claim, end, code] of [
    ['the normal end', () => {}, 0],
    ['process.exit(5)', () => process.exit(5), 5],
    ['an uncaught throw', () => { throw new Error('on purpose'); }, 1],
  ]) {
    it(`${claim} frees all`, async () => {
      const keys = newKeys();
      const ended = await run(`(shm, keys) => { hold(keys); if (process.pid === 1) (${end})(); }`, [keys], { under: asFirst });
      assert.deepEqual([ended.code, ended.stdout], [code, TOLD], ended.stderr);
      assert.deepEqual(existing(keys), []);
    });
  }

  it('SIGKILL leaves it to the next process', async () => {
    const keys = newKeys();
    const first = start((shm, keys) => { hold(keys); ready(process.pid); setInterval(() => {}, 1000); }, [keys], { under: [...asFirst.slice(0, 1), '--kill-child', ...asFirst.slice(1)] });
    assert.equal(await first.ready, 1);
    first.child.kill('SIGKILL');
    await first.ended;
    await run((shm) => shm.sweep());
    assert.deepEqual(existing(keys), []);
  });
});
