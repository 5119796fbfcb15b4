'use strict';

// What the addon does for coordination: functions over numbers, and what we may know of layouts. shm-node/src/sync has
// them, each with a line on what it takes and gives. What this copy opens there is its own.

const native = require('../native.js').coordination();

/** Further answers of the last call. */
native.out = new Int32Array(native.out);
/** Where the key of a map goes, as UTF-8. */
native.key = Buffer.from(native.key);

module.exports = native;
