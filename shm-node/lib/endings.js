'use strict';

// The end of the main thread. A worker's end, signals and all else are Rust's (src/endings.rs, src/signals.rs).

const { isMainThread } = require('worker_threads');
const { MAX_LENGTH } = require('buffer').constants;
const native = require('./native.js');

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];

let prepared = false;

// Called by what attaches first: a program that only requires the package gets no listeners.
function prepare() {
  if (prepared) return;
  prepared = true;
  native.prepare(MAX_LENGTH, isMainThread, typeof Deno === 'undefined');
  if (!isMainThread) return;
  process.on('exit', onExit);
  // When the last listener of a signal goes, the default action is back, and with it our handler.
  process.on('removeListener', (event) => {
    if (SIGNALS.includes(event) && process.listenerCount(event) === 0) native.armSignals();
  });
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
  const tell = !isQuiet();
  // Bun runs none of the C library's exit handlers: all has to be done here.
  const isBun = typeof Bun !== 'undefined';
  // Listeners that came after ours may still read their views.
  if (!isBun && process.listeners('exit').pop() !== onExit) return native.leaveToProcessExit(tell);
  const destroyed = native.detachAtExit();
  if (isBun) native.leaveTheRest();
  if (tell && destroyed > 0) console.log(`shm segments destroyed: ${destroyed}`);
}

module.exports = { isQuiet, prepare };
