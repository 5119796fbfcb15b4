'use strict';

// Calls that wait without blocking. A call first waits in a line behind earlier calls. Then it polls from the event
// loop for a moment, unless polling failed lately. Then it sleeps. The addon takes the steps of its operation; this
// file decides when.

const { checkOptions } = require('./arguments.js');
const { after, now } = require('./clock.js');
const { expect, keepAlive, letGo } = require('./door.js');
const { Spin, give, soon, turned } = require('./loop.js');
const native = require('./native.js');
const { offAbort, onAbort, reasonOf, throwIfAborted } = require('./signals.js');

const { AGAIN, WAIT } = native;

// How a sleep ended, where it matters.
const WOKEN = 0;
const CANCELLED = 3;

/** After how many milliseconds a waiter checks whether the owner that it waits for is still alive. */
const PATIENCE = 10;

/** How many milliseconds a call that cannot sleep waits before it looks again. */
const POLL = 1;

// No wake-up tells a sleeping call that an owner was killed. So each sleeping call checks by itself, from time to time,
// until the addon reports deaths.
const sleepers = new Set();

// Half of the patience, so that a check comes soon after the patience is over.
const LOOK = PATIENCE / 2;
// If all calls wait for messages, silence is no sign of a death: then they check less and less often.
const LOOK_AT_LEAST = 1000;
// How long they check at first, and after each report of a death: the report comes a moment before the death can be
// seen.
const LOOKS = 2000;

let pause = LOOK;
let since = 0;
let looking;
let isToldOfDeaths = false;

function lookLater() {
  // Thousands of waits do not keep the loop busy.
  looking = { stop: after(Math.max(pause, sleepers.size / 10), false, look), pause };
}

function look() {
  looking = undefined;
  // Before the calls check, so that no death is missed.
  const isQuiet = now() - since >= LOOKS && hearOfDeaths();
  let arePatient = true;
  for (const call of sleepers) {
    arePatient &&= call.isPatient;
    call.look();
  }
  pause = arePatient ? Math.min(2 * pause, LOOK_AT_LEAST) : LOOK;
  if (!isQuiet && looking === undefined && sleepers.size > 0) lookLater();
}

/** From now on, all calls check when an owner may have died. False if deaths are not reported. */
function hearOfDeaths() {
  if (!native.watchDeaths()) return false;
  if (!isToldOfDeaths) expect(native.awaitDeath, false, () => ((isToldOfDeaths = false), lookAgain()));
  return (isToldOfDeaths = true);
}

/** From now on, the calls check often. */
function lookAgain() {
  since = now();
  if (looking?.pause > LOOK) {
    looking.stop();
    looking = undefined;
  }
  pause = LOOK;
  if (looking === undefined && sleepers.size > 0) lookLater();
}

/** One more call sleeps. */
function lookFor(call) {
  sleepers.add(call);
  lookAgain();
}

/**
 * Its callbacks run with a whole stack. The caller of this code, or the code that ends a call, may have no stack left.
 */
const fresh = Promise.resolve();

/** The waiting calls of one kind on one object, in the order in which they came. */
class Line {
  spin = new Spin();
  #calls = new Set();

  /** Nobody waits. */
  get isFree() {
    return this.#calls.size === 0;
  }

  get #first() {
    return this.#calls.values().next().value;
  }

  /** Adds a call; returns whether it is the first. */
  join(call) {
    return this.#calls.add(call).size === 1;
  }

  leave(call) {
    const isFirst = this.#first === call;
    this.#calls.delete(call);
    if (isFirst && !this.isFree) fresh.then(() => this.#first?.go());
  }

  /** Rejects all of them. */
  fail(error) {
    for (const call of this.#calls) call.giveUp({ error });
  }
}

class Call {
  #way;
  #options;
  #resolve;
  #reject;
  #isOver = false;
  #isGoing = false;
  #keepsAlive = false;
  #isBegun = false;
  #due;
  #failure;
  #until = 0;
  #operation;
  #got = AGAIN;
  #sleep;
  #stop;

  constructor(way, options, resolve, reject) {
    this.#way = way;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** It waits for no owner, so it may wait for long. */
  get isPatient() {
    return this.#way.isPatient === true;
  }

  /** Begins to wait. An error rejects the promise. */
  begin() {
    // This comes first: below, the stack may be full. Then an end of the call is left to this callback.
    fresh.then(this.#doDue);
    const { timeout, signal, ref, calls } = this.#options;
    try {
      calls?.add(this);
      const isFirst = this.#way.line?.join(this) ?? true;
      if (ref) {
        keepAlive();
        this.#keepsAlive = true;
      }
      if (signal !== undefined) onAbort(signal, this.#abort);
      if (signal?.aborted) throw reasonOf(signal); // adding the listener may have run code that aborted it
      if (isFirst) this.#wait();
      if (timeout === 0) this.giveUp();
      else if (timeout !== Infinity && !this.#isOver) this.#stop = after(timeout, false, () => this.giveUp());
    } catch (error) {
      this.#due ??= () => this.#fail(error);
    }
    this.#isBegun = true;
  }

  #doDue = () => {
    const due = this.#due;
    this.#due = undefined;
    due?.();
  };

  #abort = () => this.giveUp({ error: reasonOf(this.#options.signal) });

  /** It is the first in its line now, and its result may be there already. */
  go() {
    if (this.#isOver || this.#isGoing) return;
    this.#try(() => this.#found() || this.#wait());
  }

  #try(work) {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #wait() {
    this.#isGoing = true;
    const { spin, ref } = this.#options;
    if (ref) this.#until = this.#way.spin?.until(spin) ?? 0;
    if (this.#until > 0) soon(this.#spin);
    else this.#fallAsleep();
  }

  #spin = () => {
    turned();
    if (this.#isOver) return;
    this.#try(() => {
      const isFound = this.#found();
      const goesOn = this.#way.spin.goesOn(this.#until, isFound);
      if (isFound) return;
      if (goesOn) soon(this.#spin);
      else this.#fallAsleep();
    });
  };

  // Whether the result was there, so that this call has ended.
  #found() {
    const found = this.#way.look();
    const isFound = found !== this.#way.none;
    if (isFound) this.#end(this.#resolve, found);
    return isFound;
  }

  #fallAsleep() {
    const { begin, check, woken } = this.#way;
    if (begin === undefined) return void after(POLL, false, () => this.#poll());
    check?.(this.#options);
    this.#operation ??= begin();
    const operation = this.#operation;
    const sleep = (this.#sleep = { slot: 0 });
    const begun = (door, slot) => (this.#got = native.step(operation, door, (sleep.slot = slot)));
    const [got, forget] = expect(begun, false, (how) => this.#woken(sleep, how));
    if (got !== AGAIN) {
      forget();
      return this.#answer(got);
    }
    if (woken === undefined) lookFor(this);
  }

  #poll() {
    if (!this.#isOver) this.#try(() => this.#found() || this.#fallAsleep());
  }

  #woken(sleep, how) {
    const outcome = how & 7;
    // A cancelled wait that was also woken passes the wake-up on.
    if (sleep !== this.#sleep) return outcome === WOKEN && native.passOn(sleep.slot);
    this.#try(() => {
      if (outcome >= CANCELLED) native.failWait(sleep.slot, how >> 3);
      if (this.#way.woken !== undefined) return this.#end(this.#resolve, this.#way.woken(outcome));
      try {
        this.#fallAsleep();
      } catch (error) {
        if (outcome === WOKEN) native.passOn(sleep.slot); // it fails, and others wait for the same
        throw error;
      }
    });
  }

  /** Takes a step without a wake-up. */
  look() {
    this.#try(() => {
      this.#way.check?.(this.#options);
      const got = native.look(this.#operation);
      if (got === WAIT) this.#fallAsleep();
      else if (got !== AGAIN) this.#answer(got);
    });
  }

  #answer(got) {
    if (!this.#isBegun) return void (this.#due ??= () => this.#answer(got));
    let value;
    try {
      value = this.#way.use(got);
    } catch (error) {
      return this.#end(this.#reject, error);
    }
    if (this.#failure !== undefined) this.#end(this.#reject, this.#failure.error);
    else if (value === undefined) this.#fallAsleep();
    else this.#end(this.#resolve, value);
  }

  #fail(error) {
    if (this.#isOver) return;
    // There was no stack to use the answer.
    if (this.#got >= 0) this.#answer(this.#got);
    else if (this.#operation === undefined || this.#failure !== undefined) this.#end(this.#reject, error);
    else this.giveUp({ error });
  }

  /** Ends it, by a failure or because time is up. Its operation may have work to do before that. */
  giveUp(failure) {
    if (this.#isBegun) this.#doDue();
    if (this.#isOver || this.#due !== undefined) return;
    this.#stopListening();
    this.#failure = failure;
    if (this.#operation !== undefined) {
      try {
        const got = native.giveUp(this.#operation);
        if (got === AGAIN) return this.#fallAsleep();
        if (got >= 0) return this.#answer(got);
      } catch (error) {
        return this.#end(this.#reject, error);
      }
    }
    if (failure === undefined) this.#end(this.#resolve, this.#way.none);
    else this.#end(this.#reject, failure.error);
  }

  #stopListening() {
    const { signal } = this.#options;
    this.#stop?.();
    this.#stop = undefined;
    if (signal !== undefined) offAbort(signal, this.#abort);
  }

  #end(settle, value) {
    if (this.#isOver) return;
    if (!this.#isBegun) return void (this.#due ??= () => this.#end(settle, value));
    this.#isOver = true;
    this.#sleep = undefined;
    this.#stopListening();
    sleepers.delete(this);
    if (this.#operation !== undefined) native.end(this.#operation);
    if (this.#keepsAlive) letGo();
    const { none, line, spin } = this.#way;
    if (spin !== undefined && settle === this.#resolve && value !== none) spin.isDue = true;
    settle(value);
    line?.leave(this);
    this.#options.calls?.delete(this);
  }
}

/** Returns a result that is there without waiting, if no call waits before this one; otherwise the value for none. */
function there({ line, look, none, spin }) {
  const found = line === undefined || line.isFree ? look() : none;
  if (found !== none) spin.isDue = true;
  return found;
}

/** A promise of the result of a call that has to wait. `options` are checked; their `calls` has it meanwhile. */
const pending = (way, options) => new Promise((resolve, reject) => new Call(way, options, resolve, reject).begin());

/**
 * A promise of the result of a call. `way` says how the call works:
 *
 * - `look()` returns a result that is there without waiting, or `none`. The promise also gets `none` if time is up.
 * - `begin()` begins an operation. `use` turns its answer into a result; undefined: the operation has to go on. Without
 *   `begin`, the call polls.
 * - `line` has the earlier calls. `spin` decides about polling from the event loop.
 * - `isPatient`: a late answer is no sign of a death.
 * - `check(options)` throws if the call must not wait. `woken(outcome)` returns the result for the end of a sleep.
 */
function ask(way, options) {
  try {
    const checked = checkOptions(options);
    throwIfAborted(checked.signal);
    const found = there(way);
    return found !== way.none ? give(found) : pending(way, checked);
  } catch (error) {
    return Promise.reject(error);
  }
}

module.exports = { Line, ask, pending, there };
