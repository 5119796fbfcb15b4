'use strict';

// /dev/shm on overlayfs, as in a container that has no mount of its own there. The kernel says there that nobody holds
// what others have mapped, so holders leave marks.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ask, needs, needsRoot } = require('./support.js');

const skip = needsRoot().skip || needs('posix').skip;
const layers = ['lower', 'upper', 'work'].map((layer) => `/dev/shm/${layer}`);
const script = `mount -t tmpfs tmpfs /dev/shm && mkdir ${layers.join(' ')} &&
  mount -t overlay -o lowerdir=${layers[0]},upperdir=${layers[1]},workdir=${layers[2]} overlay /dev/shm && exec "$@"`;
const under = ['unshare', '--mount', '--ipc', 'sh', '-c', script, 'sh'];

/** Runs each of the programs in turn, while a process holds a segment; what that process saw after each. */
const tell = (programs) =>
  ask(
    (shm, programs) => {
      const { spawnSync } = require('child_process');
      const held = shm.create({ key: 'held', size: 4096 });
      held[0] = 42;
      const seen = programs.map((code) => {
        const program = `const shm = require(process.env.SHM_NODE_PACKAGE); ${code}`;
        const { stdout, stderr, status, signal } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
        const files = require('fs').readdirSync('/dev/shm').filter((name) => !name.startsWith('.')).sort();
        const [said, ended, { state }] = [stdout.trim(), status ?? signal, shm.info('held') ?? {}];
        return { said, stderr, ended, files, state, value: held[0] };
      });
      ready(seen);
    },
    [programs],
    { under, env: { SHM_NODE_QUIET: '1' } },
  );

const untouched = { stderr: '', files: ['held'], state: 'held', value: 42 };

describe('/dev/shm on overlayfs', { skip }, () => {
  it('a segment that one process holds survives the first call of another', async () => {
    const look = `console.log(shm.get('held')[0], shm.sweep(), shm.detachAll())`;
    const [one, other] = await tell([`shm.get('nobody')`, look]);
    assert.deepEqual(one, { said: '', ended: 0, ...untouched });
    assert.deepEqual(other, { said: '42 0 0', ended: 0, ...untouched });
  });

  it('the segments of a process are freed: at its end, at a signal, and after SIGKILL at the next first call', async () => {
    const create = `shm.create({ key: 'mine', size: 4096 });`;
    const die = (signal) => `process.kill(process.pid, '${signal}'); setTimeout(() => {}, 60_000)`;
    const [end, term, kill, next] = await tell([
      create,
      create + die('SIGTERM'),
      create + die('SIGKILL'),
      `shm.get('nobody')`,
    ]);
    assert.deepEqual(end, { said: '', ended: 0, ...untouched });
    assert.deepEqual(term, { said: '', ended: 'SIGTERM', ...untouched });
    assert.deepEqual(kill, { said: '', ended: 'SIGKILL', ...untouched, files: ['held', 'mine'] });
    assert.deepEqual(next, { said: '', ended: 0, ...untouched });
  });
});
