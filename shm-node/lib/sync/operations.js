'use strict';

// What may have to wait. The addon takes the steps; here is when.

const { after, now } = require('./clock.js');
const native = require('./native.js');
const { throwIfAborted } = require('./signals.js');
const waits = require('./waits.js');

const { AGAIN } = native;

/** How long, in milliseconds, until a waiter asks whether the one it waits for is still alive. */
const PATIENCE = 10;

/** What a blocking call came to, which comes back for a moment now and then. */
function block(got) {
  while (got === AGAIN) got = native.goOn();
  return got;
}

/** The same for a call that is to be made again, with what is left of the time. */
function within(timeout, call) {
  if (timeout === Infinity) {
    for (;;) {
      const got = call(timeout);
      if (got !== AGAIN) return got;
    }
  }
  const deadline = now() + timeout;
  let got = call(timeout);
  while (got === AGAIN) got = call(Math.max(0, deadline - now()));
  return got;
}

// Those who wait without blocking. Nobody tells them that another was killed: all look for themselves, now and then.
const waiting = new Set();
let looking;

function lookLater() {
  // Twice as often as somebody may ask, so that it is not twice as late. Thousands who wait do not keep the loop busy.
  looking = after(Math.max(PATIENCE / 2, waiting.size / 10), false, look);
}

function look() {
  looking = undefined;
  for (const one of waiting) one();
  if (looking === undefined && waiting.size > 0) lookLater();
}

/** Has `one` look every now and then; gives what ends that. */
function looks(one) {
  waiting.add(one);
  if (looking === undefined) lookLater();
  return () => waiting.delete(one);
}

/** Throws where the caller's stack has no room for so many calls: what is begun must not be cut in two. */
const hasStack = (calls) => calls > 0 && hasStack(calls - 1);
const STACK = 64;

/**
 * Takes the steps of the operation that `begin` begins, until one is done: gives what `use` makes of the answer at once,
 * or undefined when time is up; the answer itself without it. Rejects when `signal` aborts, and where `check` throws
 * before a step. What an operation has to do even then, it does.
 */
async function drive(begin, { timeout, signal, ref }, use, check) {
  throwIfAborted(signal);
  let deadline = timeout === Infinity ? Infinity : now() + timeout;
  let failure;
  let result;
  hasStack(STACK);
  const operation = begin();
  const isDone = (got) => {
    if (got >= 0) result = use === undefined ? got : use(got);
    return got >= 0;
  };
  const step = () => {
    check?.();
    const got = native.step(operation);
    return isDone(got) || got;
  };
  try {
    for (let got = step(); got !== true; got = step()) {
      const left = deadline === Infinity ? Infinity : deadline - now();
      if (left > 0) {
        try {
          if ((await sleep(operation, step, { timeout: left, signal, ref })) === true) return result;
          continue;
        } catch (error) {
          if (failure !== undefined) throw error;
          failure = { error };
        }
      }
      const given = native.giveUp(operation);
      if (given !== AGAIN) {
        isDone(given);
        break;
      }
      [deadline, signal] = [Infinity, undefined];
    }
    if (failure !== undefined) throw failure.error;
    return result;
  } finally {
    native.end(operation);
  }
}

/** Sleeps as the last step said; gives what a look meanwhile has found. */
function sleep(operation, step, options) {
  return new Promise((resolve, reject) => {
    let found;
    let cancel;
    const ended = (settle, outcome) => {
      stop();
      if (found === undefined) settle(outcome);
      else if (found.error !== undefined) reject(found.error);
      else resolve(found.got);
    };
    const stop = looks(() => {
      if (found !== undefined) return;
      try {
        const got = step();
        if (got === AGAIN) return;
        found = { got };
      } catch (error) {
        found = { error };
      }
      cancel();
    });
    const start = (door, slot) => native.sleep(door, slot, options.timeout, operation);
    cancel = waits.begin(start, options, () => ended(resolve), (error) => ended(reject, error));
  });
}

module.exports = { block, drive, within };
