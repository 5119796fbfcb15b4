'use strict';

// shm-node/express-session under pm2: who has logged in is logged in after a reload.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { mkdtempSync, rmSync } = require('node:fs');
const http = require('node:http');
const { createServer } = require('node:net');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const shm = require('shm-node');

const NAME = 'shm-node-sessions';
const KEY = `/shm-node-sessions-${process.pid}`;
// A daemon of pm2's of our own.
const home = mkdtempSync(path.join(tmpdir(), 'shm-node-pm2-'));
const env = { ...process.env, PM2_HOME: home, KEY, NODE_OPTIONS: '', SHM_NODE_QUIET: '1' };

function pm2(...args) {
  const program = require.resolve('pm2/bin/pm2');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** `{ pid, user, cookie }` of an answer over a connection of its own; undefined where none was to be had. */
function ask(port, place, cookie) {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: place, agent: false, headers: cookie ? { cookie } : {} };
    const request = http.get(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('error', () => resolve(undefined)).on('end', () => {
        const [given] = response.headers['set-cookie'] ?? [];
        resolve({ ...JSON.parse(body), cookie: given?.split(';')[0] });
      });
    });
    request.on('error', () => resolve(undefined));
  });
}

describe('Express under pm2', () => {
  let port;
  before(async () => {
    port = await freePort();
    env.PORT = `${port}`;
    pm2('start', path.join(__dirname, 'sessions-server.js'), '--name', NAME, '-i', '2', '--silent');
    while ((await ask(port, '/')) === undefined) await new Promise(setImmediate);
  });
  after(() => {
    pm2('kill');
    rmSync(home, { recursive: true, force: true });
    shm.destroy(KEY);
  });

  it('a login survives `pm2 reload`, and is one for all', async () => {
    const { cookie } = await ask(port, '/login');
    const pids = new Set();
    const look = async () => {
      let answer;
      // A worker that is reloaded may drop a connection that it has not answered.
      while (answer === undefined) answer = await ask(port, '/', cookie);
      assert.equal(answer.user, 'ada');
      return answer.pid;
    };
    while (pids.size < 2) pids.add(await look());
    pm2('reload', NAME, '--silent');
    const young = new Set();
    while (young.size < 2) {
      const pid = await look();
      if (!pids.has(pid)) young.add(pid);
    }
    while ((await ask(port, '/logout', cookie)) === undefined);
    for (let i = 0; i < 4; i++) assert.equal((await ask(port, '/', cookie))?.user, undefined);
  });
});
