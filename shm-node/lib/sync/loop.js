'use strict';

// The event loop, which has to go on while answers come at once, and while a call polls for one.

const { setImmediate } = require('timers');
const { after, now } = require('./clock.js');

const nothing = () => {};

// A test may have replaced it by a fake before it loaded us.
const probe = setImmediate(nothing);
const isReal = probe?.constructor?.name === 'Immediate';

/** Calls `call` when the loop has taken a turn. Keeps it alive until then. */
const soon = isReal ? setImmediate : (call) => void after(0, true, call);

/** The same, without keeping it alive. */
const soonUnlessOver = isReal ? (call) => void setImmediate(call).unref() : (call) => void after(0, false, call);

// Promises that are resolved already keep timers and I/O waiting: after so many of them, or so many milliseconds, the
// loop takes a turn.
const MOST = 256;
const LONGEST = 1;
// The clock is read at least so often.
const MOST_UNREAD = 16;

// How many were given since the loop's last turn, and at which one the clock is read.
let given = 0;
let read = 2;
// Since when they are counted, which is from the second one on: mostly there is none.
let since = 0;
let isCounting = false;

/** Call it when the loop has taken a turn. */
function turned() {
  isCounting = false;
  given = 0;
  read = 2;
}

function count() {
  isCounting = true;
  given = 0;
  read = 1;
  since = now();
  soonUnlessOver(turned);
}

/** A promise of what is there: resolved already, unless the loop is to take a turn first. */
function give(value) {
  if (++given < read || !isLate()) return Promise.resolve(value);
  return new Promise((resolve) => soon(() => (count(), resolve(value))));
}

function isLate() {
  if (!isCounting) {
    count();
    return false;
  }
  const passed = now() - since;
  if (given >= MOST || passed >= LONGEST) return true;
  // After as many more as take half of the time that is left, if they go on like this.
  const more = Math.floor((((LONGEST - passed) / passed) * given) / 2);
  read = Math.min(given + Math.max(1, Math.min(more, MOST_UNREAD)), MOST);
  return false;
}

// How often looking may be in vain, more often than not, until it is given up for a while: at first, and then again.
const TRIES = 8;
const TRIES_AGAIN = 4;
// For how many waits: twice as many each time, at most.
const REST = 16;
const LONGEST_REST = 4096;

/** Whether to poll from the loop before a sleep: what was learnt of one kind of call on one object. */
class Spin {
  /** Something came since a call last had to wait. */
  isDue = false;
  #tries = TRIES;
  #left = 0;
  #rest = REST;

  /** Until when a waiting call polls; 0 is not at all. */
  until(spin) {
    if (!this.isDue || spin === 0) return 0;
    this.isDue = false;
    if (this.#left === 0) return now() + spin / 1000;
    this.#left--;
    return 0;
  }

  /** After a poll: whether to poll again. */
  goesOn(until, isFound) {
    const isOver = now() >= until;
    // What came too late came without polling, while another process had our core.
    if (isOver) this.#wasInVain();
    else if (isFound && this.#tries < TRIES) this.#tries++;
    else if (isFound) this.#rest = REST;
    return !isOver;
  }

  #wasInVain() {
    if (--this.#tries > 0) return;
    this.#tries = TRIES_AGAIN;
    this.#left = this.#rest;
    this.#rest = Math.min(2 * this.#rest, LONGEST_REST);
  }
}

module.exports = { Spin, give, soon, turned };
