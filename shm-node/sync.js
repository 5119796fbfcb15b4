'use strict';

// Coordination between processes: wait and notify, locks and rings, over any segment.

const native = require('./lib/native.js');

if (native.sleepOn === undefined) {
  const error = new Error(`shm-node/sync works on Linux and macOS only, and this is ${process.platform}`);
  throw Object.assign(error, { code: 'ERR_SHM_UNSUPPORTED' });
}

const { notify, wait, waitAsync } = require('./lib/sync/waits.js');
const { Mutex, RwLock, Semaphore } = require('./lib/sync/locks.js');
const { Barrier, Condition, Once } = require('./lib/sync/meetings.js');
const { Channel } = require('./lib/sync/channel.js');
const { Broadcast } = require('./lib/sync/broadcast.js');

module.exports = { wait, waitAsync, notify, Mutex, RwLock, Semaphore, Condition, Barrier, Once, Channel, Broadcast };
