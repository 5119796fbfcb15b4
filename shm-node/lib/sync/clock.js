'use strict';

// Time from the addon: tests replace the clocks and timers of JavaScript by fakes, before or after they load us.

const native = require('./native.js');
const { expect } = require('./door.js');

const nothing = () => {};

/** Calls `call` in `ms` milliseconds; gives what takes that back. Keeps the event loop alive until then, if `ref`. */
function after(ms, ref, call) {
  const [alarm, forget] = expect((door, slot) => native.setAlarm(ms, door, slot), ref, () => call());
  return () => {
    call = nothing;
    if (native.cancelAlarm(alarm)) forget();
  };
}

module.exports = { after, now: native.now };
