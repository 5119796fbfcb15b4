'use strict';

// Letting the event loop go on while results come at once, and while a call polls.

const { setImmediate } = require('timers');
const { after, now } = require('./clock.js');

const nothing = () => {};

// A test may have replaced setImmediate by a fake before it loaded this file.
const probe = setImmediate(nothing);
const isReal = probe?.constructor?.name === 'Immediate';

/** Calls `call` after a turn of the event loop. Keeps the loop alive until then. */
const soon = isReal ? setImmediate : (call) => void after(0, true, call);

/** The same, without keeping the loop alive. */
const soonUnlessOver = isReal ? (call) => void setImmediate(call).unref() : (call) => void after(0, false, call);

// Promises that are already resolved keep timers and I/O waiting. So the loop takes a turn after this number of
// promises, or of milliseconds.
const MOST = 256;
const LONGEST = 1;
// At most this number of promises is given before the clock is read again.
const MOST_UNREAD = 16;

// How many promises were given since the last turn of the loop, and at which one the clock is read.
let given = 0;
let read = 2;
// The time of the first counted promise. Counting begins with the second one, because often there is only one.
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

// The turn that late results wait for. It is made with a whole stack, before it is needed.
let turn;
let endTurn;
let isTurning = false;

function newTurn() {
  turn = new Promise((resolve) => (endTurn = resolve));
}
newTurn();

function takeTurn() {
  const end = endTurn;
  isTurning = false;
  newTurn();
  count();
  end();
}

/**
 * A promise of a result that is there. It is already resolved, unless the loop has to take a turn first. A failure would
 * lose the result, so if there is no stack to begin a turn, none is taken.
 */
function give(value) {
  if (++given < read) return Promise.resolve(value);
  try {
    if (isLate()) {
      if (!isTurning) soon(takeTurn);
      isTurning = true;
      return turn.then(() => value);
    }
  } catch {
    // Resolved now.
  }
  return Promise.resolve(value);
}

function isLate() {
  if (!isCounting) {
    count();
    return false;
  }
  const passed = now() - since;
  if (given >= MOST || passed >= LONGEST) return true;
  // The number of promises that take half of the remaining time, at the same rate.
  const more = Math.floor((((LONGEST - passed) / passed) * given) / 2);
  read = Math.min(given + Math.max(1, Math.min(more, MOST_UNREAD)), MOST);
  return false;
}

// Polling stops for a while if it has failed this many times more often than it succeeded: at first, and later.
const TRIES = 8;
const TRIES_AGAIN = 4;
// For how many waits it stops. The number doubles each time, up to the longest.
const REST = 16;
const LONGEST_REST = 4096;

/** Decides whether one kind of call on one object polls from the loop before it sleeps. */
class Spin {
  /** A call has succeeded since the last one that had to wait. */
  isDue = false;
  #tries = TRIES;
  #left = 0;
  #rest = REST;

  /** Until when a waiting call polls; 0: it does not poll. */
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
    // A result after the end did not come by polling: another process had our core.
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
