'use strict';

// Chains of asynchronous calls that hold a lock: a call for the same lock from within would wait for itself.

const { AsyncLocalStorage } = require('async_hooks');
const addon = require('../native.js');
const { after } = require('./clock.js');
const errors = require('./errors.js');

// One for all copies of this file in a thread, kept by the addon.
const chains = (addon.chains ??= { storage: new AsyncLocalStorage(), count: 0, isEnding: false });

const REST = 100;

/** The innermost holding that has not ended, from `one` outwards. */
function lasting(one) {
  while (one !== undefined && !one.lasts) one = one.outer;
  return one;
}

/** How often the calling chain holds the lock `key`. */
function held(key) {
  let count = 0;
  if (chains.count === 0) return count;
  for (let one = lasting(chains.storage.getStore()); one !== undefined; one = one.outer) {
    if (one.key === key) count++;
    one.outer = lasting(one.outer); // so that those that are over can be collected
  }
  return count;
}

// While the storage is in use, every promise of the process is slower. To begin to use it also takes some time.
function restLater() {
  if (chains.isEnding) return;
  chains.isEnding = true;
  after(REST, false, () => {
    chains.isEnding = false;
    if (chains.count === 0) chains.storage.disable();
  });
}

/** Runs `work`, whose chain holds the lock `key` until its promise is settled. */
async function holding(key, work) {
  const { storage } = chains;
  const one = { key, lasts: true, outer: chains.count === 0 ? undefined : lasting(storage.getStore()) };
  chains.count++;
  try {
    return await storage.run(one, work);
  } finally {
    one.lasts = false;
    if (--chains.count === 0) restLater();
  }
}

/** Throws if a call without a limit would wait for a lock that its own chain holds. */
function checkChain({ timeout, signal }, isHeld) {
  if (timeout === Infinity && signal === undefined && isHeld()) throw errors.deadlockOfChain();
}

module.exports = { checkChain, held, holding };
