'use strict';

// The addon's part of coordination: functions that take and return numbers, and the places of the words that JavaScript
// may use. shm-node/src/sync has the functions, each with its arguments and results. Each copy of this file has its own
// objects there.

// A copy: V8 takes longer to find properties of the addon's object, because they were added one by one.
const native = { ...require('../native.js').coordination() };

/** Further answers of the last call. */
native.out = new Int32Array(native.out);
/** The place for the key of a map, as UTF-8. */
native.key = Buffer.from(native.key);

module.exports = native;
