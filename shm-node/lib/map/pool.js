'use strict';

// The pool of messages and values, as the addon puts values there.

const { POOLED, place, room, take } = require('../sync/bytes.js');
const native = require('../sync/native.js');

let told;

/** The pool, with room for something at `place()`. The addon knows it then: it is asked for before each call. */
function pool() {
  const bytes = room(0);
  if (bytes !== told) {
    native.mapPool(bytes);
    told = bytes;
  }
  return bytes;
}

module.exports = { POOLED, place, pool, room, take };
