'use strict';

// The pool of messages and values. The addon writes values into it.

const { POOLED, place, room, take } = require('../sync/bytes.js');
const native = require('../sync/native.js');

let told;

/** The pool, with room at `place()`. Ask for it before each call, so that the addon knows the current one. */
function pool() {
  const bytes = room(0);
  if (bytes !== told) {
    native.mapPool(bytes);
    told = bytes;
  }
  return bytes;
}

module.exports = { POOLED, place, pool, room, take };
