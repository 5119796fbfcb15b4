'use strict';

// What the tests of coordination share. It does not load lib/sync: some tests change what that calls before they do.

const assert = require('node:assert/strict');
const { after } = require('node:test');
const { built, folder, mine, newKey, shm, start } = require('../support.js');

/** Detaches all when the tests of a file are over; they fail where a segment is left then. */
const leaveNothing = () =>
  after(() => {
    shm.detachAll();
    assert.deepEqual(mine(), []);
  });

/** A new segment of so many bytes. */
const words = (size = 4096, backend = built[0]) => shm.create({ size, type: 'Int32Array', key: newKey(), backend });

/** How another process or thread gets it. */
const place = (view, backend = built[0]) => ({ key: view.key, backend, type: 'Int32Array' });

/** A process that runs `body(shm, sync, view, ready, argument)`. */
const peer = (view, body, argument, backend) =>
  start(
    `(shm, folder, target, argument) => (${body})(shm, require(folder + '/sync.js'), shm.get(target), ready, argument)`,
    [folder, place(view, backend), argument],
    { env: { SHM_NODE_QUIET: '1' } },
  );

/** Kills a process, and waits until it is gone. */
async function kill({ child, ended }) {
  child.kill('SIGKILL');
  const { signal, stderr } = await ended;
  assert.deepEqual([signal, stderr], ['SIGKILL', '']);
}

module.exports = { kill, leaveNothing, peer, place, words };
