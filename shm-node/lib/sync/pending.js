'use strict';

// Calls that wait without blocking: in a line behind those before them, then looking from the event loop for a moment,
// if that was worth while lately, then asleep. The addon takes the steps of their operations; here is when.

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

/** How long, in milliseconds, until a waiter asks whether the one it waits for is still alive. */
const PATIENCE = 10;

/** How long one that cannot sleep waits before it looks again. */
const POLL = 1;

// No wake-up tells a sleeper that an owner was killed: each sleeper checks by itself, now and then, until the addon
// tells of deaths.
const sleepers = new Set();

// Twice as often as somebody may ask, so that it is not twice as late.
const LOOK = PATIENCE / 2;
// Where all wait for messages, silence is no sign of a death: then ever less often.
const LOOK_AT_LEAST = 1000;
// How long they look at first, and after each death, which is told a moment before it is to be seen.
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
  // Before they look, so that no death is missed.
  const isQuiet = now() - since >= LOOKS && hearOfDeaths();
  let arePatient = true;
  for (const call of sleepers) {
    arePatient &&= call.isPatient;
    call.look();
  }
  pause = arePatient ? Math.min(2 * pause, LOOK_AT_LEAST) : LOOK;
  if (!isQuiet && looking === undefined && sleepers.size > 0) lookLater();
}

/** Has all look when an owner may have died; false where nobody would tell. */
function hearOfDeaths() {
  if (!native.watchDeaths()) return false;
  if (!isToldOfDeaths) expect(native.awaitDeath, false, () => ((isToldOfDeaths = false), lookAgain()));
  return (isToldOfDeaths = true);
}

/** From now on they look often. */
function lookAgain() {
  since = now();
  if (looking?.pause > LOOK) {
    looking.stop();
    looking = undefined;
  }
  pause = LOOK;
  if (looking === undefined && sleepers.size > 0) lookLater();
}

/** One more sleeps. */
function lookFor(call) {
  sleepers.add(call);
  lookAgain();
}

/** Runs with the whole stack: the caller of this code, or of the end of a call, may have none left. */
const fresh = Promise.resolve();

/** Calls of one kind on one object, one after the other in the order in which they came. */
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

  /** Tells whether it is its turn. */
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

  /** Nobody is asked for: it may last. */
  get isPatient() {
    return this.#way.isPatient === true;
  }

  /** Begins to wait. An error rejects the promise. */
  begin() {
    // Comes first: below, the stack may be full. What ends the call there is left to this.
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
      if (signal?.aborted) throw reasonOf(signal); // it may have been by what it runs when somebody listens
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

  /** Its turn has come, and what it waits for may have, too. */
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

  // Whether it was there, and so this has ended.
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
      if (this.#way.woken !== undefined) this.#end(this.#resolve, this.#way.woken(outcome));
      else this.#fallAsleep();
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
    // There was no stack to take it.
    if (this.#got >= 0) this.#answer(this.#got);
    else if (this.#operation === undefined || this.#failure !== undefined) this.#end(this.#reject, error);
    else this.giveUp({ error });
  }

  /** Ends it, by a failure or as time is up. What its operation has to do even then, it does. */
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

/** What is there without waiting, if no call waits before this one; else the value that means none. */
function there({ line, look, none, spin }) {
  const found = line === undefined || line.isFree ? look() : none;
  if (found !== none) spin.isDue = true;
  return found;
}

/** A promise of the result of a call that has to wait. Its options are checked; it is in their `calls` meanwhile. */
const pending = (way, options) => new Promise((resolve, reject) => new Call(way, options, resolve, reject).begin());

/**
 * A promise of the result of a call. Its `way` says how it is done:
 *
 * - `look()`: what is there without waiting, or `none`, which is what it gives when time is up, too.
 * - `begin()`: an operation, whose answer `use` makes a value of: undefined where it has to go on. Else it polls.
 * - `line`: those before it; `spin`: what was learnt of looking from the loop.
 * - `isPatient`: a late answer is no sign of a death.
 * - `check(options)`: throws if it must not wait; `woken(outcome)`: the result of the end of its sleep.
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
