'use strict';

// A small and full /dev/shm, in a mount namespace of its own: an error that says what to do, never SIGBUS.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, built, needs, needsRoot, privately } = require('./support.js');

const support = require.resolve('./support.js');
const skip = needsRoot().skip || needs('posix').skip;

describe('a /dev/shm of 16 MiB', { skip }, () => {
  const small = { under: privately('16m'), env: { SHM_NODE_QUIET: '1' } };

  it('is ENOSPC at create; the error says how much was asked and is free, and nothing is left', async () => {
    const seen = await ask(
      (shm) => {
        const fs = require('fs');
        shm.detach(shm.create({ size: 4096, backend: 'posix' })); // the library's own files are there
        const before = fs.readdirSync('/dev/shm');
        const { bavail, bsize } = fs.statfsSync('/dev/shm');
        const key = 4711;
        try {
          shm.create({ size: 32 << 20, key, backend: 'posix' });
        } catch ({ name, code, errno, key, message }) {
          const after = fs.statfsSync('/dev/shm');
          ready({ name, code, errno, key, message, free: bavail * bsize, same: after.bavail === bavail, before, after: fs.readdirSync('/dev/shm') });
        }
      },
      [],
      small,
    );
    assert.deepEqual([seen.name, seen.code, seen.errno, seen.key], ['Error', 'ENOSPC', -28, 4711]);
    assert.ok(seen.message.includes(`${32 << 20}`) && seen.message.includes(`${seen.free}`), seen.message);
    assert.deepEqual(seen.after, seen.before);
    assert.ok(seen.same, 'as much is free as before');
  });

  it('can be filled and written to the last segment, and recovers', async () => {
    const seen = await ask(
      (shm) => {
        const views = [];
        let error;
        while (error === undefined) {
          try {
            views.push(shm.create({ size: 1 << 20, backend: 'posix' }));
          } catch (thrown) {
            error = thrown.code;
          }
        }
        views.forEach((view, index) => view.fill(index));
        const read = views.every((view, index) => view[0] === index && view[view.length - 1] === index);
        const refused = () => {
          try {
            return shm.create({ size: 4 << 20, backend: 'posix' }).length;
          } catch ({ code }) {
            return code;
          }
        };
        const first = refused();
        views.splice(0, 5).forEach((view) => shm.detach(view));
        const second = refused();
        shm.detachAll();
        const third = shm.create({ size: 15 << 20, backend: 'posix' }).fill(1).length;
        shm.detachAll();
        ready({ error, count: views.length, read, first, second, third, left: require('fs').readdirSync('/dev/shm') });
      },
      [],
      small,
    );
    assert.deepEqual([seen.error, seen.read, seen.first, seen.second, seen.third], ['ENOSPC', true, 'ENOSPC', 4 << 20, 15 << 20]);
    assert.deepEqual(seen.left, ['.shm-node-0']);
  });

  it('that orphans fill is swept before ENOSPC is thrown', async () => {
    const size = await ask(
      async (shm, support) => {
        const { run } = require(support);
        shm.create({ size: 4096, backend: 'posix' }); // this process has swept already
        await run((shm) => {
          for (let i = 0; i < 3; i++) shm.create({ size: 4 << 20, backend: 'posix' });
          process.kill(process.pid, 'SIGKILL');
        });
        ready(shm.create({ size: 10 << 20, backend: 'posix' }).length);
      },
      [support],
      small,
    );
    assert.equal(size, 10 << 20);
  });

  it('full to the last byte, other processes still get, detach, destroy, list and sweep', async () => {
    const seen = await ask(
      async (shm, support, built) => {
        const fs = require('fs');
        const { ask } = require(support);
        const [keep, other, orphan] = built.flatMap((backend) => [1, 2, 3].map(() => ({ key: shm.create({ size: 64, backend }).key, backend }))).reduce((lists, target, i) => (lists[i % 3].push(target), lists), [[], [], []]);
        await ask((shm, orphan) => {
          orphan.forEach((target) => shm.get(target));
          ready();
        }, [orphan]);
        const filler = fs.openSync('/dev/shm/filler', 'w');
        for (const size of [1 << 20, 4096, 1]) {
          try {
            for (;;) fs.writeSync(filler, Buffer.alloc(size, 1));
          } catch {}
        }
        const { bavail } = fs.statfsSync('/dev/shm');
        const answers = await ask(
          (shm, keep, other) => {
            const refused = () => {
              try {
                return shm.create({ size: 1 << 20, backend: 'posix' }).length;
              } catch ({ code }) {
                return code;
              }
            };
            const views = keep.map((target) => shm.get(target));
            views.forEach((view) => view.fill(5));
            ready([
              views.map((view) => view.length),
              views.map((view) => shm.detach(view) >= 1),
              other.map((target) => shm.destroy(target)),
              shm.list().length,
              keep.map((target) => shm.info(target).state),
              shm.sweep(),
              refused(),
            ]);
          },
          [keep, other],
        );
        shm.detachAll();
        ready({ bavail, answers, left: fs.readdirSync('/dev/shm') });
      },
      [support, built],
      small,
    );
    const all = (value) => built.map(() => value);
    assert.equal(seen.bavail, 0);
    assert.deepEqual(seen.answers, [all(64), all(true), all(true), 2 * built.length + 1, all('held'), 0, 'ENOSPC']);
    assert.deepEqual(seen.left.sort(), ['.shm-node-0', 'filler']);
  });

  it('that is full before the first use of the library is a clear error', async () => {
    const seen = await ask(
      (shm, built) => {
        const fs = require('fs');
        const filler = fs.openSync('/dev/shm/filler', 'w');
        for (const size of [1 << 20, 4096, 1]) {
          try {
            for (;;) fs.writeSync(filler, Buffer.alloc(size, 1));
          } catch {}
        }
        const codes = built.map((backend) => {
          try {
            return shm.create({ size: 64, backend }).length;
          } catch ({ code, message }) {
            return [code, message.length > 30];
          }
        });
        ready([codes, shm.list().map(({ key }) => key), shm.sweep()]);
      },
      [built],
      small,
    );
    assert.deepEqual(seen, [built.map(() => ['ENOSPC', true]), ['/filler'], 0]);
  });
});
