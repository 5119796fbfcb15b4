'use strict';

// shm-node/next: an application of Next.js, built and served as it stands alone, by two processes.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const { cpSync, rmSync } = require('node:fs');
const { createServer } = require('node:net');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const shm = require('shm-node');

// Version 15 has no `use cache` but as an experiment, and revalidates a tag always at once.
const isOld = require('next/package.json').version.startsWith('15.');
const CACHED = isOld ? [] : ['/cached'];

const CACHE_KEY = `/shm-node-next-${process.pid}`;
const env = { ...process.env, CACHE_KEY, NEXT_TELEMETRY_DISABLED: '1', NODE_OPTIONS: '', SHM_NODE_QUIET: '1' };
// Away from what it was built of: it has brought all it needs.
const standalone = path.join(__dirname, '..', `next-standalone-${randomUUID()}`);

const servers = [];
after(() => {
  servers.forEach(({ child }) => child.kill('SIGKILL'));
  rmSync(standalone, { recursive: true, force: true });
  shm.destroy(CACHE_KEY);
});

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

async function serve() {
  const port = await freePort();
  const child = spawn(process.execPath, ['server.js'], {
    cwd: standalone,
    env: { ...env, PORT: port, HOSTNAME: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const server = { child, said: '', port };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (server.said += text));
  servers.push(server);
  await new Promise((resolve, reject) => {
    child.stdout.on('data', () => server.said.includes('Ready') && resolve());
    child.on('exit', () => reject(new Error(server.said)));
  });
  const ask = async (place) => {
    const response = await fetch(`http://127.0.0.1:${port}${place}`);
    assert.equal(response.status, 200, server.said);
    return response.text();
  };
  const value = async (place) => /value:([-\w]+)/.exec(await ask(place))[1];
  return Object.assign(server, { ask, value });
}

describe('an application of Next.js that two processes serve', () => {
  let one;
  let two;
  before(async () => {
    if (isOld) rmSync(path.join(__dirname, 'app', 'cached'), { recursive: true, force: true });
    const next = require.resolve('next/dist/bin/next');
    const built = spawnSync(process.execPath, [next, 'build'], { cwd: __dirname, env, encoding: 'utf8' });
    assert.equal(built.status, 0, built.stdout + built.stderr);
    assert.equal(shm.info(CACHE_KEY), null, 'what is built is not served');
    cpSync(path.join(__dirname, '.next', 'standalone'), standalone, { recursive: true });
    [one, two] = [await serve(), await serve()];
  });
  after(() => {
    for (const { said } of servers) assert.doesNotMatch(said, /Failed|Error/);
  });

  for (const [what, place, revalidate] of [
    ['a page', '/page', '/revalidate?path=/page'],
    ['what a route handler answers', '/route', '/revalidate?path=/route'],
    ['a page of the Pages Router', '/props', '/api/props'],
    ['what unstable_cache has', '/data', '/revalidate?tag=data'],
    ...CACHED.map((place) => ['what `use cache` has', place, '/revalidate?tag=cached']),
  ]) {
    it(`${what} is one for both; revalidated in one it is new in the other at the next request`, async () => {
      const first = await one.value(place);
      assert.deepEqual([await two.value(place), await one.value(place)], [first, first]);
      await one.ask(revalidate);
      const second = await two.value(place);
      assert.notEqual(second, first);
      assert.deepEqual([await one.value(place), await two.value(place)], [second, second]);
      await two.ask(revalidate);
      const third = await one.value(place);
      assert.ok(![first, second].includes(third));
      assert.equal(await two.value(place), third);
    });
  }

  for (const place of isOld ? [] : ['/data', ...CACHED]) {
    it(`${place} is given once more while it is made anew, where its tag is revalidated so`, async () => {
      const first = await one.value(place);
      await one.ask(`/revalidate?tag=${place.slice(1)}&profile=max`);
      assert.equal(await two.value(place), first);
      let second = first;
      while (second === first) second = await one.value(place);
      assert.equal(await two.value(place), second);
    });
  }

  it('what one had is there when it was killed, and for one that comes', async () => {
    const places = ['/page', '/route', '/props', '/data', ...CACHED];
    const values = await Promise.all(places.map((place) => one.value(place)));
    const gone = new Promise((resolve) => one.child.on('exit', resolve));
    one.child.kill('SIGKILL');
    await gone;
    one = await serve();
    for (const server of [two, one]) {
      assert.deepEqual(await Promise.all(places.map((place) => server.value(place))), values);
    }
  });
});
