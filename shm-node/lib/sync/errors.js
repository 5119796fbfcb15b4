'use strict';

// Errors of the coordination structures. Each says what to do.

const errors = require('../errors.js');

function ours(code, message) {
  const error = new Error(message);
  Error.captureStackTrace?.(error, ours);
  return Object.assign(error, { code });
}

module.exports = {
  ...errors,
  // As Node's, for signals that have no reason.
  aborted: () => Object.assign(ours('ABORT_ERR', 'The operation was aborted'), { name: 'AbortError' }),
  changed: () => ours('ERR_SHM_CHANGED', 'the message was detached or made shorter before it was sent: nothing was sent'),
  closed: () => ours('ERR_SHM_CLOSED', 'it was closed meanwhile: what was open or pending is given up'),
  damaged: (what, how) =>
    ours('ERR_SHM_DAMAGED', `the ${what} is damaged (${how}): fill its bytes with zeros once nobody uses it`),
  deadlock: () =>
    ours('ERR_SHM_DEADLOCK', 'this thread holds it already, and would wait for itself: release it first'),
  deadlockOfChain: () =>
    ours(
      'ERR_SHM_DEADLOCK',
      'this chain of calls holds it already, and would wait for itself: release it first, or wait with a timeout',
    ),
  detached: () => ours('ERR_SHM_DETACHED', 'the segment is detached: create or get it anew'),
  foreign: (what, found) =>
    ours('ERR_SHM_FOREIGN', `the bytes here are no ${what} (they begin with 0x${found.toString(16)}): wrong index?`),
  fresh: (what) => ours('ERR_SHM_FRESH', `there is no ${what} here yet: open it with its options first`),
  full: (parties) => ours('ERR_SHM_FULL', `all ${parties} parties have joined: make the barrier for more`),
  broken: () => ours('ERR_SHM_BROKEN', 'a party was killed, so the others would wait for ever: begin the phase again'),
  notHeld: () => ours('ERR_SHM_NOT_HELD', 'nobody holds it: release only what you hold'),
  notOwner: (owner) =>
    ours('ERR_SHM_NOT_OWNER', `owner ${owner}, of another process, holds it: release only what you hold`),
  options: (what, option, found, wanted) =>
    ours('ERR_SHM_OPTIONS', `this ${what} has ${option} ${found}, not ${wanted}: open it with the options it was made with`),
  otherLiveFile: (what) =>
    ours(
      'ERR_SHM_LIVE_FILE',
      `this ${what} is used with another live file, so nobody here could tell who of its users lives: ` +
        "was it made by another user, or under another mode of the segment? If that file was removed (with its owner's " +
        'folder, at a logout perhaps) or is that of another mount, end the programs that still have the segment: a ' +
        'System V segment is then taken over by who comes next, any other is to be destroyed and created anew',
    ),
  reserved: () => ours('ERR_SHM_RESERVED', 'a reservation is open: commit it or give it up first'),
  taken: (role, owner) => ours('ERR_SHM_TAKEN', `owner ${owner} is the ${role} already: there can be only one, close it first`),
  timedOut: () => ours('ERR_SHM_TIMED_OUT', 'time is up: give it more, or see who holds it'),
  tooLong: (length, most) =>
    errors.outOfRange('message', `at most ${most} bytes long: split it, or make more room`, `${length} bytes`),
  tooSmall: (what, needed, room) =>
    errors.outOfRange('view', `${needed} bytes long from the index on, as this ${what} needs`, `${room} bytes`),
  version: (what, found, known) =>
    ours('ERR_SHM_VERSION', `this ${what} has layout version ${found}, we know ${known}: use one version everywhere`),
};
