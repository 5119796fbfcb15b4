'use strict';

// Nothing grows with the number of segments ever created, and the system's limits come back as errors.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, folder, needs, needsRoot, privately } = require('./support.js');

const CYCLES = Number(process.env.SHM_NODE_CYCLES ?? 20_000);

describe('descriptors, mappings, memory and the ledger', () => {
  for (const backend of built) {
    it(`are as before after ${CYCLES} creates and detaches (${backend})`, async () => {
      const { before, after } = await ask(
        async (shm, backend, cycles) => {
          const fs = require('fs');
          const settle = async () => {
            for (let i = 0; i < 4; i++) {
              gc();
              await new Promise((resolve) => setImmediate(resolve));
            }
          };
          const cycle = async (count) => {
            for (let i = 0; i < count; i++) {
              const view = shm.create({ size: 8192, backend });
              view[0] = 1;
              if (i % 4 === 0) shm.get({ key: view.key, backend, type: 'Float64Array' });
              shm.detach(view);
              if (i % 1024 === 1023) await settle();
            }
            await settle();
          };
          const look = () => ({
            descriptors: fs.readdirSync('/proc/self/fd').length,
            mappings: fs.readFileSync('/proc/self/maps', 'utf8').split('\n').length,
            rss: process.memoryUsage.rss(),
            ledger: fs.statSync(`/dev/shm/.shm-node-${process.getuid()}/ledger.1`).size,
          });
          await cycle(4000);
          const before = look();
          await cycle(cycles);
          ready({ before, after: look() });
        },
        [backend, CYCLES],
        { flags: ['--expose-gc'] },
      );
      assert.equal(after.descriptors, before.descriptors);
      assert.ok(after.mappings < before.mappings + 100, `${before.mappings} mappings, then ${after.mappings}`);
      assert.ok(after.rss < before.rss + (24 << 20), `${before.rss} bytes, then ${after.rss}`);
    });
  }

  it('the ledger of a user alone keeps its size', needsRoot(), async () => {
    const sizes = await ask(
      (shm, built) => {
        const look = () => require('fs').statSync('/dev/shm/.shm-node-0/ledger.1').size;
        const cycle = (count) => {
          for (let i = 0; i < count; i++) shm.detach(shm.create({ size: 64, backend: built[i % built.length] }));
        };
        cycle(1);
        const before = look();
        cycle(3000);
        ready([before, look()]);
      },
      [built],
      { under: privately() },
    );
    assert.equal(sizes[1], sizes[0]);
  });
});

describe('a limit of the system', () => {
  it('on System V segments leads to ENOSPC, and the message names it', { skip: needsRoot().skip || needs('sysv').skip }, async () => {
    const seen = await ask(
      (shm) => {
        require('fs').writeFileSync('/proc/sys/kernel/shmmni', '8');
        const views = [];
        try {
          for (;;) views.push(shm.create({ size: 64, backend: 'sysv' }));
        } catch ({ name, code, syscall, message }) {
          const freed = shm.detach(views.pop());
          ready([views.length + 1, name, code, syscall, message.includes('shmmni'), freed, shm.create({ size: 64, backend: 'sysv' }).length]);
        }
      },
      [],
      { under: privately(), env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual(seen, [8, 'Error', 'ENOSPC', 'shmget', true, 0, 64]);
  });

  it('on mappings leads to ENOMEM before Node itself has none left', { skip: needsRoot().skip || needs('posix').skip }, async () => {
    const seen = await ask(
      async (shm) => {
        const views = [];
        try {
          for (;;) views.push(shm.create({ size: 1, backend: 'posix' }));
        } catch ({ name, code, syscall, message }) {
          const left = Array.from({ length: 1e6 }, (_, i) => ({ i })).length; // V8 goes on
          for (const view of views.splice(100)) shm.detach(view);
          gc(); // the addresses go with the views
          await new Promise((resolve) => setTimeout(resolve, 10));
          const again = shm.create({ size: 1, backend: 'posix' }).length;
          ready([name, code, syscall, message.includes('vm.max_map_count'), left, again, shm.detachAll()]);
        }
      },
      [],
      { under: privately('1g'), env: { SHM_NODE_QUIET: '1' }, flags: ['--expose-gc'] },
    );
    assert.deepEqual(seen, ['Error', 'ENOMEM', 'mmap', true, 1e6, 1, 101]);
  });

  it('on the size of files leads to EFBIG, and the message names it', needs('posix'), async () => {
    const seen = await ask(
      (shm) => {
        const attempt = (reserve) => {
          try {
            shm.create({ size: 2 ** 30, backend: 'posix', reserve });
          } catch ({ name, code, syscall, message }) {
            return [name, code, syscall, message.includes('ulimit -f')];
          }
        };
        ready([attempt(true), attempt(false)]);
      },
      [],
      { under: ['sh', '-c', 'ulimit -f 1000000; exec "$@"', 'sh'] },
    );
    assert.deepEqual(seen, ['fallocate', 'ftruncate'].map((call) => ['Error', 'EFBIG', call, true]));
  });

  it('on memory does not matter to a value that is too long for its map', needs('posix'), async () => {
    const body = (shm, folder, isSet) => {
      const { SharedMap } = require(`${folder}/map.js`);
      const map = new SharedMap({ memory: 1 << 20 });
      const value = Buffer.alloc(2 ** 31 - 1);
      let seen;
      try {
        if (isSet) map.set('k', value);
      } catch ({ name, code }) {
        seen = [name, code];
      }
      const [, peak] = /VmPeak:\s+(\d+)/.exec(require('fs').readFileSync('/proc/self/status', 'latin1'));
      ready([seen, Number(peak)]);
    };
    const [, peak] = await ask(body, [folder, false]);
    // There is room for half of another such value.
    const under = ['sh', '-c', `ulimit -v ${peak + 2 ** 20}; exec "$@"`, 'sh'];
    const [seen] = await ask(body, [folder, true], { under });
    assert.deepEqual(seen, ['RangeError', 'ERR_OUT_OF_RANGE']);
  });

  it('on descriptors leads to EMFILE, and held segments stay', needs('posix'), async () => {
    const seen = await ask(
      (shm) => {
        const fs = require('fs');
        const view = shm.create({ size: 64, backend: 'posix' });
        view[0] = 7;
        const files = [];
        try {
          for (;;) files.push(fs.openSync('/dev/null'));
        } catch {}
        let error;
        try {
          shm.create({ size: 64, backend: 'posix' });
        } catch ({ name, code, message }) {
          error = [name, code, message.includes('ulimit -n')];
        }
        const key = view.key;
        const value = view[0];
        const left = shm.detach(view);
        files.forEach((file) => fs.closeSync(file));
        shm.sweep();
        ready([error, value, left, shm.info({ key, backend: 'posix' }), shm.create({ size: 64, backend: 'posix' }).length]);
      },
      [],
      { under: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'], env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual(seen, [['Error', 'EMFILE', true], 7, 1, null, 64]);
  });
});
