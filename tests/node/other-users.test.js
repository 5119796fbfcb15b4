'use strict';

// Another user cannot open private segments, can open shared ones, and cannot plant a file that the library trusts.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, folder, needs, needsRoot, privately } = require('./support.js');

const { knowsV8 } = require(`${folder}/lib/map/values.js`);

const support = require.resolve('./support.js');
const withV8 = { skip: needsRoot().skip || (!knowsV8() && 'this runtime lacks the structured clone of V8') };
const alone = { under: privately(), env: { SHM_NODE_QUIET: '1' } };

// What another process finds that takes the mutex at the start of a segment: who holds it, or why it may not.
const visit = (shm, folder, target) => {
  const { Mutex } = require(`${folder}/sync.js`);
  try {
    const guard = new Mutex(shm.get(target), 0).lock(300);
    ready(guard ? guard.ownerDied : 'held');
  } catch ({ code, message }) {
    ready([code, message]);
  }
};

describe('a second user', needsRoot(), () => {
  it('gets EACCES on 0600, and neither reads nor destroys it', async () => {
    const seen = await ask(
      async (shm, support, built) => {
        const { ask, asNobody, existing } = require(support);
        const keys = built.map((backend) => ({ key: shm.create({ size: 64, backend }).key, backend }));
        const answers = await ask(
          (shm, keys) => {
            const caught = (call) => {
              try {
                return call();
              } catch ({ name, code, key, message }) {
                return [name, code, typeof key, message.length > 30];
              }
            };
            ready(keys.map((key) => [caught(() => shm.get(key)), caught(() => shm.destroy(key))]));
          },
          [keys],
          { under: asNobody },
        );
        ready([answers.map(([got]) => got), answers.map(([, destroyed]) => destroyed[0]), existing(keys).length]);
      },
      [support, built],
      alone,
    );
    assert.deepEqual(seen, [built.map(() => ['Error', 'EACCES', 'number', true]), built.map(() => 'Error'), built.length]);
  });

  it('`shm-node rm` goes on with the next key after a segment of another user', async () => {
    const seen = await ask(
      async (shm, support, folder, built) => {
        const { asNobody, existing } = require(support);
        const { spawnSync } = require('child_process');
        const [backend] = built;
        const { key } = shm.create({ size: 64, backend });
        const rm = (...args) => {
          const [command, ...rest] = [...asNobody, process.execPath, `${folder}/cli.js`, 'rm', ...args];
          const { status, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
          return [status, stderr.trim().split('\n').length, stderr.includes('999: no such segment')];
        };
        ready([rm(key, 999), rm('--force', key, 999), existing([{ key, backend }]).length]);
      },
      [support, folder, built],
      alone,
    );
    assert.deepEqual(seen, [[1, 2, true], [1, 2, true], 1]);
  });

  it('shares a 0666 segment; if it leaves last, the owner\'s next call frees it', async () => {
    const seen = await ask(
      async (shm, support, built) => {
        const { asNobody, existing, run, start } = require(support);
        const keys = built.map((backend) => ({ key: shm.create({ size: 64, backend, mode: 0o666 }).key, backend }));
        const other = start(
          (shm, keys) => {
            const views = keys.map((key) => shm.get(key));
            views.forEach((view) => (view[0] = 42));
            ready();
            process.stdin.once('data', () => {
              keys.forEach((key) => shm.detach(key));
              shm.sweep();
              console.log(views.map((view) => view.length).join());
            });
          },
          [keys],
          { under: asNobody, stdin: 'pipe' },
        );
        await other.ready;
        const values = keys.map((key) => shm.get(key)[0]);
        const left = keys.map((key) => shm.detach(key));
        shm.sweep();
        const held = existing(keys).length;
        other.child.stdin.end('go');
        const { code, stdout, stderr } = await other.ended;
        const after = existing(keys).length;
        await run((shm) => shm.get(1));
        await run((shm) => shm.sweep());
        ready([values, left, held, code, stdout + stderr, after, existing(keys).length]);
      },
      [support, built],
      alone,
    );
    const all = (value) => built.map(() => value);
    assert.deepEqual(seen, [all(42), all(1), built.length, 0, `${all(0)}\n`, built.length, 0]);
  });

  it("cannot give V8 bytes to decode: its maps are none for 'v8', whatever their mode is, and those of root are", withV8, async () => {
    const seen = await ask(
      async (shm, support, folder, built) => {
        const { ask, asNobody, start } = require(support);
        const answers = [];
        for (const backend of built) {
          const other = start(
            (shm, folder, backend) => {
              const { SharedMap } = require(`${folder}/map.js`);
              const map = new SharedMap(4711, { memory: 1 << 16, backend, encoding: 'v8' });
              ready(map.set('set', new Set([1])).set('text', 'words').key);
              setInterval(() => {}, 1000);
            },
            [folder, backend],
            { under: asNobody },
          );
          const look = (shm, folder, key, backend) => {
            const { SharedMap } = require(`${folder}/map.js`);
            const caught = (call) => {
              try {
                return call();
              } catch ({ code }) {
                return code;
              }
            };
            const options = { backend, readOnly: backend !== 'sysv' };
            const map = new SharedMap(key, options);
            const refused = caught(() => new SharedMap(key, { ...options, encoding: 'v8' }).get('set').size);
            ready([map.get('text'), caught(() => map.get('set').size), refused]);
          };
          answers.push(await ask(look, [folder, await other.ready, backend]));
          other.child.kill();
          await other.ended;
          if (backend === 'sysv') continue;
          // What is root's is trusted.
          const { SharedMap } = require(`${folder}/map.js`);
          const map = new SharedMap('/of-root', { memory: 1 << 16, backend, encoding: 'v8', mode: 0o644 });
          map.set('set', new Set([1])).set('text', 'words');
          answers.push(await ask(look, [folder, map.key, backend], { under: asNobody }));
          map.close();
        }
        ready(answers);
      },
      [support, folder, built],
      alone,
    );
    const refused = ['words', 'ERR_SHM_ENCODING', 'ERR_INVALID_ARG_VALUE'];
    assert.deepEqual(seen, built.flatMap((backend) => (backend === 'sysv' ? [refused] : [refused, ['words', 1, 1]])));
  });

  it('locks with us in a 0666 segment, and each is told when the other was killed', async () => {
    const seen = await ask(
      async (shm, support, built, folder) => {
        const { asNobody, start } = require(support);
        const { Mutex } = require(`${folder}/sync.js`);
        const backend = built[0];
        const view = shm.create({ length: 64, type: 'Int32Array', backend, mode: 0o666 });
        new Mutex(view, 0); // made by the owner
        const lock = (under) =>
          start(
            (shm, folder, target) => {
              const { Mutex } = require(`${folder}/sync.js`);
              ready(new Mutex(shm.get(target), 0).lock(20_000).ownerDied);
              setInterval(() => {}, 1000);
            },
            [folder, { key: view.key, backend, type: 'Int32Array' }],
            { under },
          );
        const told = [];
        for (const under of [asNobody, [], asNobody, asNobody]) {
          const holder = lock(under);
          told.push(await holder.ready);
          if (new Mutex(view, 0).tryLock() !== false) throw new Error('two hold it');
          holder.child.kill('SIGKILL');
          await holder.ended;
        }
        told.push(new Mutex(view, 0).lock().ownerDied);
        shm.destroy({ key: view.key, backend });
        ready(told);
      },
      [support, built, folder],
      alone,
    );
    assert.deepEqual(seen, [false, true, true, true, true]);
  });

  it('may be the first to open a structure', async () => {
    const seen = await ask(
      async (shm, support, visit, built, folder) => {
        const { ask, asNobody } = require(support);
        const views = built.map((backend) => shm.create({ length: 4, type: 'Int32Array', backend, mode: 0o666 }));
        const told = [];
        for (const [i, { key }] of views.entries()) {
          const target = { key, backend: built[i], type: 'Int32Array' };
          for (const under of [asNobody, [], asNobody]) told.push(await ask(visit, [folder, target], { under }));
        }
        ready(told);
      },
      [support, `${visit}`, built, folder],
      alone,
    );
    assert.deepEqual(seen, built.flatMap(() => [false, true, true]));
  });

  it('a user who may not open a segment cannot disturb its users', async () => {
    const seen = await ask(
      async (shm, support, visit, built, folder) => {
        const fs = require('fs');
        const { as, ask, asNobody, start } = require(support);
        const backend = built[0];
        const owner = as(1000, 500);
        const make = (shm, folder, backend) => {
          const { Mutex } = require(`${folder}/sync.js`);
          const options = { length: 4, type: 'Int32Array', backend, persist: true };
          const keys = [0o666, 0o660].map((mode) => {
            const view = shm.create({ ...options, mode });
            new Mutex(view, 0).lock().unlock();
            return view.key;
          });
          ready(keys[1]);
        };
        const key = await ask(make, [folder, backend], { under: owner });
        const target = { key, backend, type: 'Int32Array' };
        const hold = (shm, folder, target) => {
          new (require(`${folder}/sync.js`).Mutex)(shm.get(target), 0).lock();
          ready();
          setInterval(() => {}, 1000);
        };
        const holder = start(hold, [folder, target], { under: as(1001, 500) });
        await holder.ready;
        const home = '/dev/shm/.shm-node-1000';
        const files = fs.readdirSync(home).map((file) => `${home}/${file}`);
        const damage = (shm, files) => {
          const fs = require('fs');
          ready(
            files.filter((file) => {
              try {
                fs.writeFileSync(file, require('crypto').randomBytes(100));
                return true;
              } catch {
                return false;
              }
            }),
          );
        };
        const damaged = await ask(damage, [files], { under: asNobody });
        const told = [];
        for (const under of [owner, as(1001, 500), asNobody]) {
          const answer = await ask(visit, [folder, target], { under });
          told.push(Array.isArray(answer) ? answer[0] : answer);
        }
        holder.child.kill('SIGKILL');
        await holder.ended;
        told.push(await ask(visit, [folder, target], { under: owner }));
        shm.destroy({ key, backend });
        ready([damaged.map((file) => file.slice(home.length)).sort(), told]);
      },
      [support, `${visit}`, built, folder],
      alone,
    );
    assert.deepEqual(seen, [['/live.all', '/lock.all'], ['held', 'held', 'EACCES', true]]);
  });

  it('is told why it cannot use a structure, if the owner is not in the segment\'s group', needs('posix'), async () => {
    const seen = await ask(
      async (shm, support, visit, folder) => {
        const fs = require('fs');
        const { as, ask } = require(support);
        const make = (shm) => ready(shm.create({ key: 'group', length: 4, type: 'Int32Array', mode: 0o660, persist: true }).key);
        await ask(make, [], { under: as(1000) });
        fs.chownSync('/dev/shm/group', 1000, 4242);
        const target = { key: 'group', type: 'Int32Array' };
        const users = [as(1001, 4242), as(1000), as(1001, 4242)];
        const told = [];
        for (const under of users) told.push(await ask(visit, [folder, target], { under }));
        shm.destroy('group');
        ready(told);
      },
      [support, `${visit}`, folder],
      alone,
    );
    const [before, owner, after] = seen;
    assert.equal(owner, false);
    for (const [code] of [before, after]) assert.equal(code, 'ERR_SHM_LIVE_FILE');
    assert.match(before[1], /user 1000 owns the segment, and has not made the live file for it yet/);
    assert.match(after[1], /one that its owner is not in/);
  });

  it('has its own segments, which our sweep and detachAll never touch', async () => {
    const seen = await ask(
      async (shm, support, built) => {
        const { asNobody, existing, newKeys, run } = require(support);
        const keys = newKeys();
        await run((shm, keys) => { hold(keys); process.kill(process.pid, 'SIGKILL'); }, [keys], { under: asNobody });
        keys.forEach((key) => shm.get(key));
        shm.detachAll();
        shm.sweep();
        const kept = existing(keys).length;
        await run((shm) => shm.sweep(), [], { under: asNobody });
        ready([kept, existing(keys).length]);
      },
      [support, built],
      alone,
    );
    assert.deepEqual(seen, [built.length, 0]);
  });
});

describe('a removed folder', needsRoot(), () => {
  it('is an error while an earlier process has the segment, and works again afterwards', needs('sysv'), async () => {
    const seen = await ask(
      async (shm, support, visit, folder) => {
        const { ask, start } = require(support);
        const made = (shm, folder) => {
          const { Mutex } = require(`${folder}/sync.js`);
          const view = shm.create({ length: 4, type: 'Int32Array', persist: true });
          new Mutex(view, 0).lock();
          ready(view.key);
          process.stdin.once('data', () => {
            // Who was in goes on, also with a new object.
            new Mutex(view, 0).unlock();
            console.log(new Mutex(view, 0).lock(1000).ownerDied);
            setInterval(() => {}, 1000);
          });
        };
        const first = start(made, [folder], { stdin: 'pipe' });
        const target = { key: await first.ready, type: 'Int32Array' };
        require('fs').rmSync('/dev/shm/.shm-node-0', { recursive: true });
        const told = [await ask(visit, [folder, target])];
        first.child.stdin.write('go');
        await new Promise((resolve) => first.child.stdout.once('data', resolve));
        told.push(await ask(visit, [folder, target]));
        first.child.kill('SIGKILL');
        const { stdout } = await first.ended;
        for (let i = 0; i < 2; i++) told.push(await ask(visit, [folder, target]));
        shm.destroy(target.key);
        ready([told, stdout]);
      },
      [support, `${visit}`, folder],
      alone,
    );
    const [[refused, again, ...healed], stdout] = seen;
    assert.equal(refused[0], 'ERR_SHM_LIVE_FILE');
    assert.match(refused[1], /If it was removed/);
    assert.deepEqual(again, refused);
    assert.deepEqual([healed, stdout], [[true, true], 'false\n']);
  });
});

describe('in the place of our folder', needsRoot(), () => {
  for (const mode of ['0o777', '0o755', '0o711']) {
    it(`a folder of another user, mode ${mode}, does not disturb us`, async () => {
      const body = `async (shm, support, built) => {
        const fs = require('fs');
        const { existing, run } = require(support);
        const home = '/dev/shm/.shm-node-0';
        fs.mkdirSync(home);
        fs.chmodSync(home, ${mode});
        fs.chownSync(home, 65534, 65534);
        const keys = built.map((backend) => ({ key: 4711, backend }));
        await run((shm, keys) => { hold(keys); process.kill(process.pid, 'SIGKILL'); }, [keys]);
        const left = existing(keys).length;
        const freed = shm.sweep();
        ready([left, freed, existing(keys).length, fs.readdirSync(home)]);
      }`;
      assert.deepEqual(await ask(body, [support, built], alone), [built.length, built.length + 1, 0, []]);
    });
  }

  const planted = {
    'a symlink to a folder': "fs.mkdirSync('/dev/shm/trap'); fs.symlinkSync('/dev/shm/trap', home)",
    'a file': "fs.writeFileSync(home, '')",
    'a FIFO': "require('child_process').execFileSync('mkfifo', [home])",
    'our folder, writable for all': 'fs.mkdirSync(home); fs.chmodSync(home, 0o777)',
  };
  for (const [claim, plant] of Object.entries(planted)) {
    it(`${claim} causes only a clear error`, async () => {
      const body = `(shm, built) => {
        const fs = require('fs');
        const home = '/dev/shm/.shm-node-0';
        ${plant};
        ready(built.map((backend) => {
          try {
            return shm.create({ size: 64, backend }).length;
          } catch ({ name, code, message }) {
            return [name, code, message.includes('remove it'), fs.existsSync('/dev/shm/trap') && fs.readdirSync('/dev/shm/trap').length];
          }
        }));
      }`;
      assert.deepEqual(await ask(body, [built], alone), built.map(() => ['Error', 'EPERM', true, claim.includes('symlink') ? 0 : false]));
    });
  }

  for (const [claim, plant, code] of [
    ['a ledger of noise', "fs.writeFileSync(ledger, require('crypto').randomBytes(1 << 16))", 'ENOTSUP'],
    ['a symlink for a ledger', "fs.writeFileSync('/dev/shm/target', 'mine'); fs.symlinkSync('/dev/shm/target', ledger)", 'EPERM'],
    ['a FIFO for a ledger', "require('child_process').execFileSync('mkfifo', [ledger])", 'EPERM'],
    ['a ledger of another user', "fs.writeFileSync(ledger, ''); fs.chownSync(ledger, 65534, 65534)", 'EPERM'],
  ]) {
    it(`${claim} is not used: create is ${code}, and everything else works`, async () => {
      const body = `async (shm, built) => {
        const fs = require('fs');
        const home = '/dev/shm/.shm-node-0';
        const ledger = home + '/ledger.1';
        fs.mkdirSync(home, 0o711);
        ${plant};
        const codes = built.map((backend) => { try { return shm.create({ size: 64, backend }).length } catch ({ code }) { return code } });
        ready([codes, shm.get(123), shm.list().every(({ key }) => key === '/target'), shm.sweep(), fs.existsSync('/dev/shm/target') ? fs.readFileSync('/dev/shm/target', 'latin1') : 'mine']);
      }`;
      assert.deepEqual(await ask(body, [built], alone), [built.map(() => code), null, true, 0, 'mine']);
    });
  }

  it('a ledger with random entries destroys nothing and crashes nothing', async () => {
    const seen = await ask(
      async (shm, support, built) => {
        const fs = require('fs');
        const { execFileSync } = require('child_process');
        const { run } = require(support);
        fs.writeFileSync('/dev/shm/foreign', 'x');
        execFileSync('ipcmk', ['--shmem', '64']);
        shm.detach(shm.create(64));
        const file = fs.openSync('/dev/shm/.shm-node-0/ledger.1', 'r+');
        for (let round = 0; round < 20; round++) {
          const noise = require('crypto').randomBytes(127 * 512);
          for (let slot = 0; slot < 127; slot++) {
            noise[slot * 512] = 2; // written
            noise.writeUInt8((slot % 2) + 1, slot * 512 + 8);
          }
          fs.writeSync(file, noise, 0, noise.length, 512);
          const { code, signal, stderr } = await run((shm, built) => {
            shm.sweep();
            shm.list();
            for (const backend of built) shm.detach(shm.create({ size: 64, backend }));
          }, [built]);
          if (code !== 0) return ready([code, signal, stderr]);
        }
        const foreign = shm.list().map(({ state }) => state);
        ready([fs.readFileSync('/dev/shm/foreign', 'latin1'), foreign]);
      },
      [support, built],
      alone,
    );
    assert.deepEqual(seen, ['x', built.map(() => 'foreign')]);
  });
});

describe('a process that changes its user', needsRoot(), () => {
  it('keeps what it has attached, and leaves what it created to its former user', async () => {
    const seen = await ask(
      (shm, built) => {
        const code = (work) => {
          try {
            return work();
          } catch ({ code }) {
            return /^E(PERM|ACCES)$/.test(code) ? 'refused' : code;
          }
        };
        const answers = built.map((backend) => {
          const [one, other] = [shm.create({ size: 64, backend }), shm.create({ size: 64, backend })];
          process.seteuid(65534);
          one[0] = 7;
          const as = [shm.info(one).state, one[0], code(() => shm.destroy(one)), shm.detach(one), shm.sweep()];
          const mine = shm.create({ size: 64, backend });
          as.push(shm.info(mine).state, shm.detach(mine));
          process.seteuid(0);
          return [...as, shm.info(other).state, shm.sweep(), shm.detach(other)];
        });
        ready([answers, shm.list().length]);
      },
      [built],
      alone,
    );
    const expected = ['foreign', 7, 'refused', 1, 0, 'held', 0, 'held', 1, 0];
    assert.deepEqual(seen, [built.map(() => expected), 0]);
  });
});
