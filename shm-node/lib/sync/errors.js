'use strict';

// Errors that the addon does not throw. Each says what to do.

const errors = require('../errors.js');

function ours(code, message) {
  const error = new Error(message);
  Error.captureStackTrace?.(error, ours);
  return Object.assign(error, { code });
}

module.exports = {
  ...errors,
  // The error that Node uses, for signals that have no reason.
  aborted: () => Object.assign(ours('ABORT_ERR', 'The operation was aborted'), { name: 'AbortError' }),
  changed: () => ours('ERR_SHM_CHANGED', 'the message was detached or made shorter before it was sent: nothing was sent'),
  closed: () => ours('ERR_SHM_CLOSED', 'this object was closed, which ended its reservations and pending calls: make a new one'),
  deadlockOfChain: () =>
    ours(
      'ERR_SHM_DEADLOCK',
      'this chain of calls holds it already, and would wait for itself: release it first, or wait with a timeout',
    ),
  detached: () => ours('ERR_SHM_DETACHED', 'the segment is detached: create or get it anew'),
  ours,
  notHeld: () => ours('ERR_SHM_NOT_HELD', 'nobody holds it: release only what you hold'),
  timedOut: () => ours('ERR_SHM_TIMED_OUT', 'time is up: pass a longer timeout, or see who holds it (npx shm-node inspect KEY)'),
};
