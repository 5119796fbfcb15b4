'use strict';

// What the addon reports later: the end of a wait, or of a time limit. Several copies of this file may share the addon
// and a thread (bundles, a module registry that was reset). Each copy opens its own door.

const native = require('./native.js');

let door;
let kept = 0;

// By slot: the function `told(how)` of each pending wait.
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

/** Keeps the event loop alive until `letGo` has been called as often as this. */
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
 * Lets `begin(door, slot)` begin something. `told(how)` is called when it has ended. Until then, the event loop is kept
 * alive if `ref`. Returns the result of `begin`, and a function that frees the slot if the addon will not report an
 * end.
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
