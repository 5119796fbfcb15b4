'use strict';

// Segments that a peer made smaller while this process has them: noticed, and reported once.
// The handler of the touch that finds it is Rust's (shm-lifetime/src/shrink.rs).

const { setInterval } = require('timers');
const native = require('./native.js');

/** How many mappings of the process were cut off so far: one number, which the handler counts up. */
const counter = new Int32Array(native.shrinkCounter() ?? 4);

// A program that only reads its views calls no function of the package.
const PERIOD = 1000;

const POSIX = native.backendNames().indexOf('posix');

let noticed = 0;
let watching = false;
let timer;

/** Warns of this thread's segments that were cut off since the last time. */
function notice() {
  if (counter[0] === noticed) return;
  noticed = counter[0];
  for (const key of new Set(native.newlyShrunk())) {
    process.emitWarning(`segment ${key} was made smaller by another process, or had no room for a page`, {
      code: 'ERR_SHM_SHRUNK',
      detail: 'What was cut off reads as zeros in this thread, and what is written there reaches nobody. Detach it, and get it anew.',
    });
  }
}

/** Called with what was attached: a peer can make a POSIX object smaller. */
function watch(backend) {
  if (watching || backend !== POSIX) return notice();
  // Not within this call: where the stack runs out between a timer and its `unref`, the process would never end.
  Promise.resolve().then(look);
  watching = true;
}

function look() {
  timer ??= setInterval(notice, PERIOD).unref();
}

/** Throws where an attachment was cut off. */
function check(number) {
  notice();
  if (number !== undefined && counter[0] > 0) native.checkShrunk(number);
}

module.exports = { check, counter, notice, watch };
