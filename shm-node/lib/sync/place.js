'use strict';

// Where a structure lies, and how its users sleep there. docs/layout.md tells what the words mean; the algorithms
// are those of shm-sync/src/protocol.

const { bufferOf } = require('../arrays.js');
const native = require('../native.js');
const { after, now } = require('./clock.js');
const errors = require('./errors.js');
const { load } = require('./order.js');
const { throwIfAborted } = require('./signals.js');
const waits = require('./waits.js');
const shrinks = require('../shrinks.js');

const VERSION = 1;
const MAGIC = 0;
const LIVE = 1;

/** How long, in milliseconds, until a waiter asks whether the one it waits for is still alive. */
const PATIENCE = 10;

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

const READ_ONLY = 64;

/** The words of a structure, this environment's owner id there, and the way to sleep on one of the words. */
class Place {
  /** @param {{ name: string, letter: string, align: number, readOnly?: boolean }} kind */
  constructor(kind, view, index) {
    this.kind = kind;
    this.number = waits.attachmentOf(view);
    waits.checkIndex(view, index);
    const flags = native.place(this.number);
    this.readOnly = (flags & READ_ONLY) !== 0;
    if (this.readOnly && !kind.readOnly) {
      throw errors.wrongValue('view', view, 'is read-only: such a segment can neither wait nor lock');
    }
    this.buffer = bufferOf(view);
    this.start = view.byteOffset + index * 4;
    this.room = view.byteLength - index * 4;
    if (((flags % 64) + this.start) % kind.align !== 0) {
      throw errors.outOfRange('index', `a place at a multiple of ${kind.align} bytes, as a ${kind.name} needs`, index);
    }
    /** What it is known by in this thread. */
    this.key = `${this.number} ${this.start}`;
    this.words = undefined;
    this.live = undefined;
    this.me = 0;
    this.shrinks = 0;
    this.pauseWord = 0;
    this.pauseValue = 0;
  }

  /** The words from the start on, `byteLength` bytes of them. */
  span(byteLength) {
    if (byteLength > this.room) throw errors.tooSmall(this.kind.name, byteLength, this.room);
    return new Int32Array(this.buffer, this.start, byteLength / 4);
  }

  /** Whether the structure is there; throws where something else is. */
  isStamped(words) {
    const found = load(words, MAGIC) >>> 0;
    if (shrinks.counter[0] !== this.shrinks) this.#checkShrunk();
    if (found === 0) return false;
    const [s, y, letter, version] = [found & 255, (found >> 8) & 255, (found >> 16) & 255, found >>> 24];
    if (s !== 0x73 || y !== 0x79 || letter !== this.kind.letter.charCodeAt(0)) throw errors.foreign(this.kind.name, found);
    if (version !== VERSION) throw errors.version(this.kind.name, version, VERSION);
    return true;
  }

  /** What the structure was made with, for one who opens it without saying; throws where there is none. */
  stamped(...options) {
    const words = this.span(Math.max(...options, LIVE) * 4 + 4);
    if (!this.isStamped(words)) throw errors.fresh(this.kind.name);
    return options.map((option) => load(words, option) >>> 0);
  }

  /** Makes the structure, or checks that it was made the same. `options`: [name, word, value]. */
  open(byteLength, options = []) {
    const words = this.span(byteLength);
    this.isStamped(words);
    this.meet();
    if (settle(words, LIVE, this.liveId) !== this.liveId) throw errors.otherLiveFile(this.kind.name);
    for (const [name, word, wanted] of options) {
      const found = settle(words, word, wanted);
      if (found !== wanted) throw errors.options(this.kind.name, name, found, wanted);
    }
    const { letter } = this.kind;
    const magic = 0x73 | (0x79 << 8) | (letter.charCodeAt(0) << 16) | (VERSION << 24);
    const found = settle(words, MAGIC, magic);
    if (found !== magic) throw errors.foreign(this.kind.name, found);
    this.words = words;
    this.check();
  }

  /** Finds the live file, and who this environment is there. */
  meet() {
    const [live, id, owner] = native.live(this.number, this.start + LIVE * 4);
    this.live = live;
    this.liveId = id;
    this.me = owner;
  }

  isAlive(owner) {
    return native.isAlive(this.live, owner);
  }

  isOurs(owner) {
    return native.isOurs(this.live, owner);
  }

  /** Throws where the segment was detached: its words are gone. For what lets go: others may still see the word. */
  checkAttached() {
    if (this.words.length === 0) throw errors.detached();
  }

  /** Throws where the segment was detached or cut off. */
  check() {
    this.checkAttached();
    if (shrinks.counter[0] !== this.shrinks) this.#checkShrunk();
  }

  /** Some mapping of the process was cut off since the last time. */
  #checkShrunk() {
    const count = shrinks.counter[0];
    shrinks.check(this.number);
    this.shrinks = count;
  }

  /** Takes a step. What it finds in what was cut off counts for nothing: no lock there excludes anybody. */
  #take(step) {
    this.check();
    try {
      return step();
    } finally {
      this.check();
    }
  }

  wake(word, count = 0x7fffffff) {
    return native.wake(this.number, this.start + word * 4, count);
  }

  /** What a step does that has to wait: sleep on a word while it has this value, and take the next step. */
  pause(word, value) {
    this.pauseWord = word;
    this.pauseValue = value;
  }

  /** Takes steps until one gives something; undefined when time is up. */
  drive(step, timeout) {
    const deadline = timeout === Infinity ? Infinity : now() + timeout;
    for (;;) {
      const result = this.#take(step);
      if (result !== undefined) return result;
      const left = deadline === Infinity ? PATIENCE : deadline - now();
      if (left <= 0) return undefined;
      native.sleepOn(this.number, this.start + this.pauseWord * 4, this.pauseValue, Math.min(left, PATIENCE));
    }
  }

  /** The same without blocking; rejects when `signal` aborts. */
  async driveAsync(step, { timeout, signal, ref }) {
    throwIfAborted(signal);
    const deadline = timeout === Infinity ? Infinity : now() + timeout;
    for (let first = true; ; first = false) {
      const result = this.#take(step);
      if (result !== undefined) return result;
      if (first) {
        // Whoever called may have no stack left, and a wait must not be cut in two as it is begun.
        await undefined;
        continue;
      }
      const left = deadline === Infinity ? Infinity : deadline - now();
      if (left <= 0) return undefined;
      const found = await this.#sleep(step, left, signal, ref);
      if (found !== undefined) return found;
    }
  }

  /** Sleeps as the last step said; gives what a look meanwhile has found. */
  #sleep(step, timeout, signal, ref) {
    const [word, value] = [this.pauseWord, this.pauseValue];
    return new Promise((resolve, reject) => {
      let found;
      let cancel;
      const ended = (settle, outcome) => {
        stop();
        if (found?.error !== undefined) reject(found.error);
        else if (found !== undefined) resolve(found.result);
        else settle(outcome);
      };
      const stop = looks(() => {
        if (found !== undefined || this.words.length === 0) return;
        try {
          const result = this.#take(step);
          if (result === undefined && this.pauseWord === word && this.pauseValue === value) return;
          found = { result };
        } catch (error) {
          found = { error };
        }
        cancel();
      });
      cancel = waits.begin(
        this.number,
        this.start + word * 4,
        value,
        timeout,
        signal,
        ref,
        () => ended(resolve),
        (error) => ended(reject, error),
      );
    });
  }
}

function settle(words, word, wanted) {
  const found = Atomics.compareExchange(words, word, 0, wanted);
  return found === 0 ? wanted : found >>> 0;
}

/** Tells when it is time to ask for the living. */
class Patience {
  #since;

  isOver() {
    const time = now();
    if (this.#since === undefined) this.#since = time;
    if (time - this.#since < PATIENCE) return false;
    this.#since = time;
    return true;
  }

  restart() {
    this.#since = undefined;
  }
}

/** Looks a few times whether it is done, as a peer on another core is often about to do what we wait for. */
function spin(done) {
  for (let i = 0; i < 200; i++) if (done()) return true;
  return false;
}

/**
 * Looks a few times whether a word has changed, at a distance: whoever looks without a pause slows the one down who
 * is to change it, and finds one message where there could be twenty.
 */
function spinUntilChanged(words, word, value) {
  for (let i = 0; i < LOOKS; i++) {
    for (let pause = 0; pause < PAUSE; pause++);
    if (Atomics.load(words, word) !== value) return true;
  }
  return false;
}

const LOOKS = 40;
const PAUSE = 1000;

/** A whole number, as an option is. */
function whole(name, value, min, max) {
  if (typeof value !== 'number') throw errors.wrongType(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw errors.outOfRange(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** Gives a class a `Symbol.dispose`, where the runtime has one. */
function disposable(Class, dispose) {
  if (Symbol.dispose === undefined) return;
  Object.defineProperty(Class.prototype, Symbol.dispose, { value: dispose, configurable: true, writable: true });
}

/**
 * Has each of these methods of a class throw where the segment was cut off until it was done, whatever it came to.
 * `placeOf` gives the place of an object.
 */
function checked(Class, placeOf, names) {
  for (const name of names) {
    const method = Class.prototype[name];
    const isAsync = method.constructor !== Function;
    const checkedMethod = isAsync
      ? function (first, second) {
          const promise = method.call(this, first, second);
          const place = placeOf(this);
          // Its steps are checked one by one, and here only what was done at once.
          return place.shrinks === shrinks.counter[0] ? promise : promise.finally(() => place.check());
        }
      : function (first, second) {
          try {
            return method.call(this, first, second);
          } finally {
            const place = placeOf(this);
            if (place.shrinks !== shrinks.counter[0]) place.check();
          }
        };
    for (const property of ['name', 'length']) Object.defineProperty(checkedMethod, property, { value: method[property] });
    Object.defineProperty(Class.prototype, name, { value: checkedMethod, writable: true, configurable: true });
  }
}

module.exports = { PATIENCE, Patience, Place, checked, disposable, spin, spinUntilChanged, whole };
