'use strict';

// What the addon reports later: the end of a wait, the end of some time. Several copies of this file may share the
// addon and a thread (bundles, a module registry that was reset), and each opens a door of its own.

const native = require('./native.js');

let door;
let kept = 0;

// By slot: `told(how)` for each that is pending.
const pending = [];
const free = [];

function tell(slot, how) {
  const { told, ref } = pending[slot];
  forget(slot, ref);
  told(how);
}

function forget(slot, ref) {
  pending[slot] = undefined;
  free.push(slot);
  if (ref) letGo();
}

/** Keeps the event loop alive until `letGo` is called as often. */
function keepAlive() {
  door ??= native.openDoor(tell);
  if (kept === 0) native.keepAlive(door, true); // it may throw
  kept++;
}

function letGo() {
  if (kept === 1) native.keepAlive(door, false);
  kept--;
}

/**
 * Has `begin(door, slot)` begin something; `told(how)` is called when it has ended, and until then the event loop is
 * kept alive, if `ref`. Gives what `begin` gave, and what forgets it where the addon will not tell.
 */
function expect(begin, ref, told) {
  door ??= native.openDoor(tell);
  const slot = free.pop() ?? pending.push(undefined) - 1;
  pending[slot] = { told, ref };
  if (ref) keepAlive();
  try {
    return [begin(door, slot), () => forget(slot, ref)];
  } catch (error) {
    forget(slot, ref);
    throw error;
  }
}

module.exports = { expect, keepAlive, letGo };
