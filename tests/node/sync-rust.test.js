'use strict';

// The same memory for Rust and Node: a mutex, channels and a broadcast with a Rust process at the other end.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { it } = require('node:test');
const { built, folder, newKey, objectOf, shm, sleep } = require('./support.js');
const { Broadcast, Channel, Mutex } = require(`${folder}/sync.js`);

// Built by `cargo test`.
const program = path.join(__dirname, '..', '..', 'target', 'debug', 'examples', 'peer');
const skip = !built.includes('posix') ? 'this build has no posix' : !fs.existsSync(program) && `there is no ${program}: run cargo test`;

it('Rust and Node exclude each other, and send to each other', { skip }, async () => {
  const rounds = 5000;
  const view = shm.create({ size: 65536, type: 'Int32Array', backend: 'posix', key: newKey() });
  const mutex = new Mutex(view, 0);
  const to = new Channel(view, 16, { capacity: 4096 });
  const from = new Channel(view, 2048, { capacity: 4096, producers: 'many' });
  const reader = new Broadcast(view, 4096, { slots: 64, maxMessage: 200 }).reader();
  const child = spawn(program, [objectOf(view.key), String(rounds)], { stdio: ['ignore', 'inherit', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));

  for (let round = 0; round < rounds; round++) {
    const guard = round % 2 ? mutex.lock() : await mutex.lockAsync();
    view[8]++;
    guard.unlock();
  }
  const message = (number) => Buffer.alloc(number % 200, number);
  const sending = (async () => {
    for (let number = 0; number < rounds; number++) await to.sendAsync(message(number));
  })();
  let seen = 0;
  let expected = 0;
  for (let number = 0; number < rounds; number++) {
    assert.deepEqual(await from.receiveAsync(), message(number));
    for (let received; (received = reader.tryReceive()) !== null; expected = received.number + 1, seen++) {
      assert.equal(received.number, expected + received.missed);
      assert.deepEqual(received.message, message(received.number));
    }
  }
  await sending;
  assert.deepEqual(await ended, { code: 0, stderr: '' });
  assert.equal(view[8], 2 * rounds);
  assert.ok(seen > 0);
  const guard = await mutex.lockAsync();
  assert.equal(guard.ownerDied, true);
  guard.unlock();
  shm.detach(view);
  await sleep(0);
});
