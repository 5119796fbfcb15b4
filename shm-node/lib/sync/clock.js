'use strict';

// Time from the addon, because tests replace the clocks and timers of JavaScript by fakes, before or after this is
// loaded.

const native = require('./native.js');
const { expect } = require('./door.js');

const nothing = () => {};

/**
 * Calls `call` in `ms` milliseconds; returns a function that cancels it. Keeps the event loop alive until then if
 * `ref`.
 */
function after(ms, ref, call) {
  const [alarm, forget] = expect((door, slot) => native.setAlarm(ms, door, slot), ref, () => call());
  return () => {
    call = nothing;
    if (native.cancelAlarm(alarm)) forget();
  };
}

module.exports = { after, now: native.now };
