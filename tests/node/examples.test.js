'use strict';

// The examples of real use, each run as a user would run it.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once: event } = require('node:events');
const { rmSync } = require('node:fs');
const { createInterface } = require('node:readline');
const { after, describe, test } = require('node:test');
const { built, exampleFolder, packageFolder, run, temporary } = require('./support/packaging.js');

const shm = require(packageFolder);
const folder = temporary();
const examples = exampleFolder(folder);
after(() => rmSync(folder, { recursive: true, force: true }));

const env = { ...process.env, SHM_NODE_QUIET: '1' };
const python = process.env.PYTHON ?? 'python3';
const posix = { skip: !built.includes('posix') && 'this build has no POSIX' };

/** Starts an example, and gives it and its first lines. */
async function start(count, ...args) {
  const child = spawn(process.execPath, args, { cwd: examples, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) return { child, lines };
  }
  throw new Error(`${args}: ended after ${lines.length} lines`);
}

async function stop(child) {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGINT');
    await event(child, 'exit');
  }
}

test('a cluster whose workers read one table of 100 MB', async () => {
  const { child, lines } = await start(2, 'lookup-table.js');
  try {
    assert.match(lines[0], new RegExp(`4 workers share 100 MB, held ${built[0] === 'sysv' ? 5 : 'some'} times`));
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(lines[1]).then((answer) => answer.text())));
    assert.deepEqual(new Set(answers), new Set([`${12345 ** 2}\n`]));
    assert.equal((await fetch(lines[1].replace('12345', '-1'))).status, 404);
  } finally {
    await stop(child);
  }
  const left = shm.list().filter(({ creator, size }) => creator === child.pid && size === 100_000_000);
  for (const { holders, state } of left) assert.ok(state === 'held' || holders > 0, 'its workers are about to go');
});

describe('a camera', posix, () => {
  const viewers = [['JavaScript', [process.execPath, 'frames/viewer.js'], false]];
  const noNumpy = spawnSync(python, ['-c', 'import numpy, multiprocessing.shared_memory']).status !== 0;
  viewers.push(['Python with numpy', [python, 'frames/viewer.py'], noNumpy && 'python3 with numpy is missing']);
  for (const [language, [command, file], skip] of viewers) {
    test(`and a viewer in ${language}`, { skip }, async () => {
      const name = `camera-${process.pid}-${randomInt(2 ** 40)}`;
      const { child, lines } = await start(1, 'frames/camera.js', 'Infinity', name);
      try {
        assert.equal(lines[0], `frames are in /${name}`);
        const { stdout } = run(command, [file, '5', name], { cwd: examples, env });
        assert.equal(stdout.trim(), '5 frames of 640 x 480, the last of one grey: true');
        assert.equal(shm.info(name).state, 'held', 'the viewer took nothing with it');
      } finally {
        await stop(child);
      }
      assert.equal(shm.info(name), null);
    });
  }
});
