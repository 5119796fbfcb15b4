'use strict';

// SIGTERM, SIGINT and SIGHUP: all is freed, and the process still dies of that signal, unless the user listens.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { TOLD, ask, built, existing, newKeys, needsRoot, privately, run, start } = require('./support.js');
const { buildShim } = require('./support/shim.js');

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];

/** Runs a body until it is ready, sends it a signal (to `pid` if it told one), and sees how it ends. */
async function killed(body, signal, args = [], options = {}) {
  const { child, ready, ended } = start(body, [signal, ...args], options);
  const told = await ready;
  process.kill(typeof told === 'number' ? told : child.pid, signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const end = await ended;
  clearTimeout(timer);
  return { ...end, pid: child.pid };
}

/** How programs listen: what they run, and how they then end. `null`: by the signal itself, printing nothing. */
const ways = {
  'nobody listens': ['hold(keys);', null],
  'a listener was there and went before create': ['const l = () => {}; process.on(signal, l); process.off(signal, l); hold(keys);', null],
  'a listener came and went after create': ['hold(keys); const l = () => {}; process.on(signal, l); process.off(signal, l);', null],
  'two listeners came and went': [
    'hold(keys); const [l, m] = [() => {}, () => {}]; process.on(signal, l); process.on(signal, m); process.off(signal, l); process.off(signal, m);',
    null,
  ],
  'all listeners were removed': ['hold(keys); process.on(signal, () => {}); process.removeAllListeners(signal);', null],
  'a listener came and went, then another create': [
    'hold(keys.slice(1)); const l = () => {}; process.on(signal, l); process.off(signal, l); hold(keys.slice(0, 1));',
    null,
  ],
  'once, and the signal is sent again': [
    "hold(keys); process.once(signal, () => { console.log('once'); process.kill(process.pid, signal); });",
    { signal: true, stdout: 'once\n' },
  ],
  'as signal-exit does': [
    "hold(keys); const l = () => { process.off(signal, l); console.log('before'); process.kill(process.pid, signal); }; process.on(signal, l);",
    { signal: true, stdout: 'before\n' },
  ],
  'a listener after create calls process.exit(7)': [
    'const views = hold(keys); process.on(signal, () => { console.log(views.length); process.exit(7); });',
    { code: 7, stdout: `${built.length}\n${TOLD}` },
  ],
  'a listener before create calls process.exit(7)': [
    'process.on(signal, () => process.exit(7)); hold(keys);',
    { code: 7, stdout: TOLD },
  ],
  'a listener lets the program end later': [
    'const views = hold(keys); process.on(signal, () => setTimeout(() => { console.log(views[0][0]); clearInterval(timer); }, 30));',
    { code: 0, stdout: `0\n${TOLD}` },
  ],
  'a busy loop never lets go': ['hold(keys); setTimeout(() => { ready(); for (;;); }, 1);', null, 'ready by itself'],
  'standard output is closed': ["require('fs').closeSync(1); hold(keys);", null],
  ...('deno' in process.versions && {
    'Deno has replaced our handlers': [
      `hold(keys);
      const caught = () => Number.parseInt(/SigCgt:.*(....)$/m.exec(require('fs').readFileSync('/proc/self/status', 'latin1'))[1], 16);
      const look = setInterval(() => caught() & (1 << 9) && (clearInterval(look), ready()), 20);`,
      null, // it does so together with SIGUSR1's, half a second after its start
      'ready by itself',
    ],
    'Deno had its handlers before create': ["process.on('SIGUSR2', () => {}); hold(keys);", null],
    'a listener of Deno after create calls Deno.exit(7)': [
      'const views = hold(keys); Deno.addSignalListener(signal, () => { console.log(views.length); Deno.exit(7); });',
      { code: 7, stdout: `${built.length}\n${TOLD}` },
    ],
    'a listener of Deno before create lets the program end later': [
      'Deno.addSignalListener(signal, () => { console.log(views[0].length); clearInterval(timer); }); const views = hold(keys);',
      { code: 0, stdout: `4096\n${TOLD}` },
    ],
    'a listener is alone with its segments': [
      'hold(keys); process.on(signal, () => { console.log(keys.map((key) => shm.detach(key)).join()); process.exit(7); });',
      { code: 7, stdout: `${built.map(() => 0)}\n${TOLD}` },
    ],
    'a listener of Deno stays when that of process goes': [
      `const views = hold(keys); const l = () => {}; process.on(signal, l);
      Deno.addSignalListener(signal, () => { console.log(views[0].length); clearInterval(timer); }); process.off(signal, l);`,
      { code: 0, stdout: `4096\n${TOLD}` },
    ],
  }),
};

for (const signal of SIGNALS) {
  describe(signal, { concurrency: 4 }, () => {
    for (const [claim, [program, expected, ready]] of Object.entries(ways)) {
      it(`${claim}: ${expected?.code === undefined ? 'it dies of the signal' : 'the listener decides'}, and all is freed`, async () => {
        const keys = newKeys();
        const body = `(shm, signal, keys) => { const timer = setInterval(() => {}, 1000); ${program} ${ready ? '' : 'ready();'} }`;
        const end = await killed(body, signal, [keys]);
        const { code = null, stdout = '' } = expected ?? {};
        assert.deepEqual([end.code, end.signal, end.stdout, end.stderr], [code, code === null ? signal : null, stdout, '']);
        assert.deepEqual(existing(keys), []);
      });
    }

    it('frees what worker threads hold, busy ones too', async () => {
      const [keys, others] = [newKeys(), newKeys()];
      const end = await killed(
        (shm, signal, keys, others) => {
          const { Worker } = require('worker_threads');
          const code = `const { workerData, parentPort } = require('worker_threads');
            const shm = require(process.env.SHM_NODE_PACKAGE);
            for (const key of workerData) shm.create({ ...key, size: 64 }) ?? shm.get(key);
            parentPort.postMessage(0);
            for (;;);`;
          hold(keys);
          let attached = 0;
          for (let i = 0; i < 2; i++) {
            new Worker(code, { eval: true, workerData: [...keys, ...others] }).once('message', () => ++attached === 2 && ready());
          }
        },
        signal,
        [keys, others],
      );
      assert.deepEqual([end.code, end.signal, end.stdout], [null, signal, '']);
      assert.deepEqual(existing([...keys, ...others]), []);
    });

    it('leaves what another process holds, and its last holder frees it', async () => {
      const keys = newKeys();
      const other = start((shm, keys) => { hold(keys); ready(); process.stdin.resume(); }, [keys], { stdin: 'pipe' });
      await other.ready;
      const end = await killed((shm, signal, keys) => {
        keys.forEach((key) => shm.get(key));
        ready();
        setInterval(() => {}, 1000);
      }, signal, [keys]);
      assert.equal(end.signal, signal);
      assert.deepEqual(existing(keys), keys);
      other.child.stdin.end();
      assert.equal((await other.ended).stdout, TOLD);
      assert.deepEqual(existing(keys), []);
    });

    it('frees what a process only got, if it is the last holder', async () => {
      const keys = newKeys();
      const other = start((shm, keys) => { hold(keys); ready(); process.stdin.resume(); }, [keys], { stdin: 'pipe' });
      await other.ready;
      const { child, ready, ended } = start((shm, keys) => {
        keys.forEach((key) => shm.get(key));
        ready();
        setInterval(() => {}, 1000);
      }, [keys]);
      await ready;
      other.child.kill('SIGKILL'); // it sweeps nothing on its way out
      await other.ended;
      assert.deepEqual(existing(keys), keys);
      child.kill(signal);
      const end = await ended;
      assert.deepEqual([end.code, end.signal, end.stdout, end.stderr], [null, signal, '', '']);
      assert.deepEqual(existing(keys), []);
    });

    // Alone: other processes would sweep what is left.
    it('during creates and detaches, at any moment', needsRoot(), async () => {
      const seen = await ask(
        async (shm, support, signal, built) => {
          const { start } = require(support);
          const [ends, left] = [[], []];
          for (let i = 0; i < 12; i++) {
            const { child, ready: busy, ended } = start((shm, built) => {
              ready();
              for (;;) for (const backend of built) {
                shm.create({ size: 4096, backend });
                if (Math.random() < 0.2) shm.detachAll();
              }
            }, [built]);
            await busy;
            child.kill(signal);
            const end = await ended;
            ends.push([end.code, end.signal, end.stdout]);
            left.push(shm.list().length);
            shm.sweep();
          }
          ready({ ends, left });
        },
        [require.resolve('./support.js'), signal, built],
        { under: privately() },
      );
      assert.deepEqual(seen.ends, seen.ends.map(() => [null, signal, '']));
      assert.deepEqual(seen.left, seen.left.map(() => 0));
    });
  });
}

describe('two signals at once', () => {
  for (const [first, second] of [['SIGTERM', 'SIGINT'], ['SIGINT', 'SIGINT'], ['SIGHUP', 'SIGTERM']]) {
    // Alone: for a lock that another process's sweep has, the handler does not wait long.
    it(`${first} and ${second}: the second does not interrupt the clean-up of the first`, needsRoot(), async () => {
      const seen = await ask(
        async (shm, support, signals, built) => {
          const { start } = require(support);
          const seen = [];
          for (let i = 0; i < 4; i++) {
            const { child, ready: isUp, ended } = start((shm, built) => {
              for (let i = 0; i < 300; i++) shm.create({ size: 64, backend: built[i % built.length] });
              ready();
              setInterval(() => {}, 1000);
            }, [built]);
            await isUp;
            process.kill(child.pid, signals[0]);
            await new Promise((resolve) => setTimeout(resolve, i));
            child.kill(signals[1]);
            const { code, signal } = await ended;
            seen.push([code, signals.includes(signal), shm.list().length]);
          }
          ready(seen);
        },
        [require.resolve('./support.js'), [first, second], built],
        { under: privately() },
      );
      assert.deepEqual(seen, Array(4).fill([null, true, 0]));
    });
  }
});

describe('a signal in the middle of the first call', needsRoot(), () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-shim-'));
  const shim = path.join(folder, 'shim.so');
  after(() => fs.rmSync(folder, { recursive: true }));
  // What gives a segment its name raises the signal.
  before(() => {
    buildShim(
      shim,
      `use core::ffi::{CStr, c_char, c_int, c_void};
      unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
        fn raise(signal: c_int) -> c_int;
      }
      unsafe fn next(name: &CStr) -> *mut c_void { unsafe { dlsym(!0usize as *mut c_void, name.as_ptr()) } }
      #[unsafe(no_mangle)] unsafe extern "C" fn shmget(key: c_int, size: usize, flags: c_int) -> c_int {
        let real: unsafe extern "C" fn(c_int, usize, c_int) -> c_int = unsafe { core::mem::transmute(next(c"shmget")) };
        let id = unsafe { real(key, size, flags) };
        if id >= 0 { unsafe { raise(15) }; }
        id
      }
      #[unsafe(no_mangle)] unsafe extern "C" fn linkat(
        from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_int
      ) -> c_int {
        type Link = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int;
        let real: Link = unsafe { core::mem::transmute(next(c"linkat")) };
        let done = unsafe { real(from, old, to, new, flags) };
        unsafe { raise(15) };
        done
      }`,
    );
  });

  for (const backend of built) {
    it(`ends the process when the call is done, and all is freed (${backend})`, async () => {
      const seen = await ask(
        async (shm, support, backend, shim) => {
          const { run } = require(support);
          const body = (shm, backend) => { shm.create({ size: 64, backend }); console.log('created'); };
          const { code, signal, stdout } = await run(body, [backend], { env: { LD_PRELOAD: shim } });
          ready([code, signal, stdout, shm.list().length]);
        },
        [require.resolve('./support.js'), backend, shim],
        { under: privately() }, // others would sweep what is left
      );
      assert.deepEqual(seen, [null, 'SIGTERM', '', 0]);
    });
  }
});

describe('a program that has the package twice', () => {
  const copy = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-copy-')), 'shm-node');
  before(() => fs.cpSync(process.env.SHM_NODE_PACKAGE, copy, { recursive: true }));
  after(() => fs.rmSync(path.dirname(copy), { recursive: true }));

  for (const signal of SIGNALS) {
    it(`dies of ${signal}, and what each of them holds is freed`, async () => {
      const [keys, others] = [newKeys(), newKeys()];
      const end = await killed(
        (shm, signal, copy, keys, others) => {
          const other = require(copy);
          hold(keys);
          for (const key of others) other.create({ ...key, size: 64 });
          shm.create(64); // and the first one's turn comes again
          ready();
          setInterval(() => {}, 1000);
        },
        signal,
        [copy, keys, others],
      );
      assert.deepEqual([end.code, end.signal, end.stdout], [null, signal, '']);
      assert.deepEqual(existing([...keys, ...others]), []);
    });
  }
});

describe('a persistent segment', () => {
  it('stays at a signal', async () => {
    const keys = newKeys();
    const end = await killed((shm, signal, keys) => {
      keys.forEach((key) => shm.create({ ...key, size: 64, persist: true }));
      ready();
      setInterval(() => {}, 1000);
    }, 'SIGTERM', [keys]);
    assert.equal(end.signal, 'SIGTERM');
    assert.deepEqual(existing(keys), keys);
    await run((shm, keys) => keys.forEach((key) => shm.destroy(key)), [keys]);
    assert.deepEqual(existing(keys), []);
  });
});

describe('signals that are not ours', { concurrency: 4 }, () => {
  for (const signal of ['SIGQUIT', 'SIGUSR2', 'SIGPIPE']) {
    it(`${signal} does the same as without the library`, async () => {
      const body = (shm, signal, keys) => { hold(keys); ready(); setTimeout(() => process.exit(3), 200); };
      const keys = newKeys();
      const ours = await killed(body, signal, [keys], { under: ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'] });
      const plain = await killed((shm, signal) => { ready(); setTimeout(() => process.exit(3), 200); }, signal, [], { under: ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'] });
      assert.deepEqual([ours.code, ours.signal], [plain.code, plain.signal]);
      await run((shm) => shm.sweep());
      assert.deepEqual(existing(keys), []);
    });
  }

  it('under nohup the process ends as without the library', async () => {
    const body = (shm, signal, keys) => {
      hold(keys);
      ready();
      setTimeout(() => process.exit(3), 300);
    };
    const under = ['sh', '-c', 'trap "" HUP; exec "$@"', 'sh'];
    const keys = newKeys();
    const [ours, plain] = await Promise.all([keys, []].map((keys) => killed(body, 'SIGHUP', [keys], { under })));
    assert.deepEqual([ours.code, ours.signal], [plain.code, plain.signal]);
    assert.deepEqual(existing(keys), []);
  });
});

describe('pid 1 of a container', { ...needsRoot(), concurrency: 4 }, () => {
  const asFirst = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const nodeBelow = (pid) => Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());

  for (const signal of SIGNALS) {
    it(`with a ${signal} listener ends as the listener decides, and all is freed`, async () => {
      const keys = newKeys();
      const { child, ready, ended } = start((shm, signal, keys) => {
        process.on(signal, () => process.exit(7));
        hold(keys);
        ready(process.pid);
        setInterval(() => {}, 1000);
      }, [signal, keys], { under: asFirst });
      assert.equal(await ready, 1);
      process.kill(nodeBelow(child.pid), signal);
      const { code, stdout } = await ended;
      assert.deepEqual([code, stdout], [7, TOLD]);
      assert.deepEqual(existing(keys), []);
    });

    it(`without one, ${signal} does the same as without the library, and nothing is lost`, async () => {
      const keys = newKeys();
      const body = (shm, signal, keys) => {
        const views = hold(keys);
        ready(process.pid);
        setTimeout(() => { console.log(views.map((view) => view.length).join()); process.exit(3); }, 300);
      };
      const end = async (keys) => {
        const { child, ready, ended } = start(body, [signal, keys], { under: asFirst });
        assert.equal(await ready, 1);
        process.kill(nodeBelow(child.pid), signal);
        return ended;
      };
      const [ours, plain] = [await end(keys), await end([])];
      assert.deepEqual([ours.code, ours.signal], [plain.code, plain.signal]);
      if (ours.code === 3) assert.equal(ours.stdout, `${built.map(() => 4096)}\n${TOLD}`, 'it lives on, with its segments');
      await run((shm) => shm.sweep());
      assert.deepEqual(existing(keys), []);
    });
  }
});

