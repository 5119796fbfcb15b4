'use strict';

const { checkOptions, checkTimeout, placeOf } = require('./arguments.js');
const errors = require('./errors.js');
const { Guard, handleOf } = require('./lock.js');
const { Mutex } = require('./mutex.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { block } = require('./operations.js');
const { pending } = require('./pending.js');

// How a wait ended.
const OWNER_DIED = 1;
const NOTIFIED = 2;

/** The mutex that a guard has locked. */
function mutexOf(guard) {
  const mutex = guard instanceof Guard ? Guard.lockOf(guard) : undefined;
  if (!(mutex instanceof Mutex)) throw errors.wrongValue('guard', guard, 'is not the guard of a locked Mutex');
  return handleOf(mutex);
}

/** Whether a wait ended by a notification. Its mutex is locked again. */
function ended(guard, how) {
  guard.ownerDied = (how & OWNER_DIED) !== 0;
  return (how & NOTIFIED) !== 0;
}

class Condition {
  #handle;

  static byteLength() {
    return native.CONDITION_BYTES;
  }

  constructor(view, index) {
    this.#handle = own(this, native.openCondition(...placeOf(view, index)));
  }

  wait(guard, timeout) {
    const limit = checkTimeout(timeout);
    return ended(guard, block(native.waitFor(this.#handle, mutexOf(guard), limit)));
  }

  async waitAsync(guard, options) {
    const checked = checkOptions(options);
    let giveBack;
    const begin = () => {
      const mutex = mutexOf(guard);
      // Meanwhile, another call of this thread may have locked the mutex: the guard must not unlock it.
      giveBack = Guard.lend(guard);
      try {
        return native.waiting(this.#handle, mutex);
      } catch (error) {
        giveBack();
        throw error;
      }
    };
    // After a wait that was given up, the mutex is locked too, so that the caller can always unlock it.
    return pending({ none: false, begin, use: (how) => (giveBack(), ended(guard, how)) }, checked);
  }

  notifyOne() {
    return native.notifyOne(this.#handle);
  }

  notifyAll() {
    return native.notifyAll(this.#handle);
  }
}

module.exports = { Condition };
