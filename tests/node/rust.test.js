'use strict';

// One segment between a Rust process and this one. The Rust process is the `actor` of the workspace's tests: it does
// what it is told, line by line.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { describe, it } = require('node:test');
const { built, newKey, shm } = require('./support.js');

const program = path.join(__dirname, '..', '..', 'target', 'debug', 'actor');
const skip = existsSync(program) ? false : 'cargo test has not built target/debug/actor';

/** Starts a Rust process; `tell` says a line and gives the answer to it. */
function actor() {
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async tell(line) {
      child.stdin.write(`${line}\n`);
      return (await lines.next()).value;
    },
    async end() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
    async kill() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

for (const backend of built) {
  describe(`a segment of Rust and Node, ${backend}`, { skip }, () => {
    it('is freed by Rust, if Rust leaves last', async () => {
      const view = shm.create({ size: 64, key: newKey(), backend });
      const rust = actor();
      assert.match(await rust.tell(`${backend} attach s ${view.key}`), /^ok/);
      view[0] = 7;
      assert.ok(shm.detach(view) >= 1);
      assert.equal(await rust.tell(`${backend} detach s`), 'ok destroyed');
      assert.equal(shm.get({ key: view.key, backend }), null);
      await rust.end();
    });

    it('is freed by Node, if Node leaves last', async () => {
      const rust = actor();
      const key = newKey();
      assert.match(await rust.tell(`${backend} create s ${key} 64`), /^ok/);
      const view = shm.get({ key, backend });
      assert.match(await rust.tell(`${backend} detach s`), /^ok outlives/);
      assert.equal(shm.detach(view), 0);
      assert.equal(shm.get({ key, backend }), null);
      await rust.end();
    });

    it('is freed by Node, if Rust is killed', async () => {
      const rust = actor();
      const key = newKey();
      assert.match(await rust.tell(`${backend} create s ${key} 64`), /^ok/);
      const view = shm.get({ key, backend });
      await rust.kill();
      assert.equal(shm.detach(view), 0);
      assert.equal(shm.get({ key, backend }), null);
    });
  });
}
