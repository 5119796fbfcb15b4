'use strict';

// The end of the main thread. A worker's end, signals and all else are Rust's (src/endings.rs, src/signals.rs).

const { isMainThread } = require('worker_threads');
const { MAX_LENGTH } = require('buffer').constants;
const { children } = require('./children.js');
const native = require('./native.js');

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];

// Listeners of ours say which addon they are for. Copies of this file over one addon (jest, two bundles) need one of
// each only: they end everything in the addon, for all copies.
const ADDON = Symbol.for('shm-node.addon');
const addon = native.address();

const runtime = ['bun', 'deno'].find((name) => name in process.versions) ?? 'node';

let prepared = false;

// Called by what attaches first: a program that only requires the package gets no listeners. Where it throws, the next
// call does what is missing.
function prepare() {
  if (prepared) return;
  native.prepare(MAX_LENGTH, isMainThread, runtime);
  if (isMainThread) {
    listen('exit', onExit);
    listen('removeListener', onRemoved);
  }
  prepared = true;
}

function listen(event, listener) {
  if (process.listeners(event).some((other) => other[ADDON] === addon)) return;
  listener[ADDON] = addon;
  process.on(event, listener);
}

// When the last listener of a signal goes, the default action is back, and with it our handler.
function onRemoved(event) {
  if (SIGNALS.includes(event) && process.listenerCount(event) === 0) native.armSignals();
}

// Deno asks for a permission, which must not come before the clean-up.
function isQuiet() {
  try {
    return process.env.SHM_NODE_QUIET === '1';
  } catch {
    return false;
  }
}

function onExit() {
  try {
    leave();
  } catch {
    // The exit code is the program's.
  }
}

function leave() {
  const tell = !isQuiet();
  // Listeners that came after ours may still read their views.
  if (process.listeners('exit').pop() !== onExit) return native.leaveToProcessExit(tell, children());
  native.detachAtExit(tell, children());
}

module.exports = { isQuiet, prepare };
