'use strict';

// Coordination between processes: wait and notify, locks and rings, over any segment.

if (require('./lib/native.js').coordination === undefined) {
  const error = new Error(`shm-node/sync works on Linux and macOS only, and this is ${process.platform}`);
  throw Object.assign(error, { code: 'ERR_SHM_UNSUPPORTED' });
}

const { notify, wait, waitAsync } = require('./lib/sync/waits.js');
const { Barrier } = require('./lib/sync/barrier.js');
const { Broadcast } = require('./lib/sync/broadcast.js');
const { Channel } = require('./lib/sync/channel.js');
const { Condition } = require('./lib/sync/condition.js');
const { Mutex } = require('./lib/sync/mutex.js');
const { Once } = require('./lib/sync/once.js');
const { RwLock } = require('./lib/sync/rw-lock.js');
const { Semaphore } = require('./lib/sync/semaphore.js');

module.exports = { wait, waitAsync, notify, Mutex, RwLock, Semaphore, Condition, Barrier, Once, Channel, Broadcast };
