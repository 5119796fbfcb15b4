'use strict';

// The examples of real use, each run as a user would run it.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once: event } = require('node:events');
const { readFileSync, rmSync } = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { after, describe, test } = require('node:test');
const { built, exampleFolder, packageFolder, root, run, temporary } = require('./support/packaging.js');

const shm = require(packageFolder);
const folder = temporary();
const examples = exampleFolder(folder);
after(() => rmSync(folder, { recursive: true, force: true }));

// Other packages that examples use are there as they are for the tests.
const env = { ...process.env, SHM_NODE_QUIET: '1', NODE_PATH: path.join(root, 'node_modules') };
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
    assert.match(lines[0], new RegExp(`4 workers share 100 MB, held ${built[0] === 'posix' ? 'some' : 5} times`));
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

/** What an example says that it prints. */
const promised = (file) => /^\/\/ Prints: (.*)$/m.exec(readFileSync(path.join(examples, file), 'utf8'))[1];

for (const file of ['feature-flags.js', 'no-stampede.js']) {
  test(`${file} prints what it says`, () => {
    assert.equal(run(process.execPath, [file], { cwd: examples, env }).stdout.trim(), promised(file));
  });
}

describe('a web server whose processes share everything', posix, () => {
  const LIMIT = 20;
  const file = 'web-server/cluster.js';

  /** One request over a connection of its own, so that any worker may answer. */
  const ask = (url, cookie) =>
    new Promise((resolve, reject) => {
      const headers = cookie && { cookie };
      http
        .get(url, { agent: false, headers }, async (response) => {
          const body = (await response.setEncoding('utf8').toArray()).join('');
          resolve({ status: response.statusCode, cookie: response.headers['set-cookie']?.[0].split(';')[0], body });
        })
        .on('error', reject);
    });

  /** What the example promises, of servers at `url` that were started as `SHOP` with this limit. */
  async function check(url, kill) {
    const products = await Promise.all(Array.from({ length: 8 }, () => ask(`${url}/product/7`)));
    const all = products.map(({ body }) => JSON.parse(body));
    assert.ok(all.every(({ name, price, loads }) => name === 'product:7' && price === 12.5 && loads === 1));
    const login = await ask(`${url}/login/ada`);
    await kill(JSON.parse(login.body).pid);
    const me = await ask(`${url}/me`, login.cookie);
    assert.equal(JSON.parse(me.body).user, 'ada', 'another process knows who is logged in');
    const rest = await Promise.all(Array.from({ length: LIMIT }, () => ask(`${url}/me`)));
    assert.equal(rest.filter(({ status }) => status === 200).length, LIMIT - 10, 'ten requests have passed before');
    assert.equal(rest.filter(({ status }) => status === 429).length, 10);
  }

  test('as a cluster', async () => {
    const SHOP = `shop-${process.pid}-${randomInt(2 ** 40)}`;
    const options = { cwd: examples, env: { ...env, SHOP, LIMIT }, stdio: ['ignore', 'pipe', 'inherit'] };
    const child = spawn(process.execPath, [file, '0'], options);
    const lines = createInterface({ input: child.stdout });
    try {
      const [line] = await event(lines, 'line');
      assert.equal(line.replace(/:\d+/, ':3000'), promised(file));
      await check(/http:\S+(?=,)/.exec(line)[0], async (pid) => {
        const told = event(lines, 'line');
        process.kill(pid, 'SIGKILL');
        assert.match((await told)[0], new RegExp(`worker ${pid} died`));
      });
    } finally {
      await stop(child);
    }
  });

  test('pm2 is told of four processes of the same program', () => {
    const { apps } = require(path.join(examples, 'web-server/ecosystem.config.js'));
    assert.deepEqual(apps.map(({ instances, exec_mode: mode }) => [instances, mode]), [[4, 'cluster']]);
    assert.equal(apps[0].script, path.join(examples, 'web-server', 'server.js'));
  });
});
