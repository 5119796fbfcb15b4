'use strict';

// Mutex, RwLock and Semaphore: what one holds until one lets go.

const { checkChain, held, holding } = require('./chains.js');
const errors = require('./errors.js');
const { Patience, Place, checked, disposable, spin, whole } = require('./place.js');
const {
  DIED,
  NO,
  OWNER,
  Queue,
  SLOTS_MOST,
  SlotQueue,
  Slots,
  WAITERS,
  YES_FROM_THE_DEAD,
  bury,
  lockAttempt,
  lockRelease,
  lockReleaseOurs,
  lockStep,
} = require('./words.js');
const { throwIfAborted } = require('./signals.js');
const { Turns } = require('./turns.js');
const waits = require('./waits.js');

const END = Symbol('end');
const RESUME = Symbol('resume');

/**
 * What is held, until it is let go. It is made before it is held: where the stack is full, what was locked without a
 * guard would stay so.
 */
class Guard {
  #lock;

  constructor(lock, slot) {
    this.#lock = lock;
    /** What another thread of this process names it by, to let go of it. */
    this.slot = slot;
    /** Whether the owner before us died while holding it: what it protects may be half-changed. */
    this.ownerDied = false;
  }

  /** Lets go of it. */
  unlock() {
    const lock = this.#lock;
    if (lock === undefined) throw errors.notHeld();
    this.#lock = undefined;
    lock[END](this.slot);
  }

  /** What it holds, for a condition; undefined when it was let go. */
  static lockOf(guard) {
    return guard.#lock;
  }

  static dispose() {
    if (this.#lock !== undefined) this.unlock();
  }
}
disposable(Guard, Guard.dispose);

/** Runs `work` with a guard, and lets go of it when that is done, or when what it promises is. */
function during(guard, work) {
  let result;
  try {
    result = work(guard);
  } catch (error) {
    guard.unlock();
    throw error;
  }
  if (typeof result?.then !== 'function') {
    guard.unlock();
    return result;
  }
  return Promise.resolve(result).finally(() => guard.unlock());
}

async function duringAsync(key, locking, work) {
  const guard = await locking;
  if (guard === false) throw errors.timedOut();
  return holding(key, () => during(guard, work));
}

const MUTEX = { name: 'mutex', letter: 'M', align: 4 };
const WORD = 2;

class Mutex {
  #at;
  #words;
  #me;
  #locking = new Turns();

  static byteLength() {
    return 16;
  }

  constructor(view, index) {
    this.#at = new Place(MUTEX, view, index);
    this.#at.open(Mutex.byteLength());
    this.#words = this.#at.words;
    this.#me = this.#at.me;
  }

  lock(timeout = Infinity) {
    if (timeout !== Infinity) waits.checkTimeout(timeout);
    this.#at.check();
    const guard = new Guard(this, 0);
    if (Atomics.compareExchange(this.#words, WORD, 0, this.#me) === 0) return guard;
    return this.#lockSlowly(timeout, guard);
  }

  #lockSlowly(timeout, guard) {
    const words = this.#words;
    const me = this.#me;
    if ((Atomics.load(words, WORD) & OWNER) === me) throw errors.deadlock();
    const free = () => Atomics.load(words, WORD) === 0 && Atomics.compareExchange(words, WORD, 0, me) === 0;
    if (spin(free)) return guard;
    return this.#at.drive(this.#step(), timeout) ?? false;
  }

  #step() {
    const queue = new Queue();
    const guard = new Guard(this, 0);
    return () => {
      const got = lockStep(this.#at, WORD, queue);
      guard.ownerDied = got === YES_FROM_THE_DEAD;
      return got === NO ? undefined : guard;
    };
  }

  tryLock() {
    this.#at.check();
    const guard = new Guard(this, 0);
    const got = lockAttempt(this.#at, WORD);
    guard.ownerDied = got === YES_FROM_THE_DEAD;
    return got === NO ? false : guard;
  }

  async lockAsync(options) {
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    this.#at.check();
    checkChain(checked, () => held(this.#at.key) > 0);
    // Those who ask here get it in the order in which they asked.
    return (await this.#locking.take(checked, (left) => this.#at.driveAsync(this.#step(), left))) ?? false;
  }

  unlock() {
    this.#at.checkAttached();
    if (Atomics.compareExchange(this.#words, WORD, this.#me, 0) !== this.#me) lockReleaseOurs(this.#at, WORD, 1);
  }

  withLock(work) {
    return during(this.lock(), work);
  }

  withLockAsync(work, options) {
    return duringAsync(this.#at.key, this.lockAsync(options), work);
  }

  [END]() {
    this.#at.checkAttached();
    if (Atomics.compareExchange(this.#words, WORD, this.#me, 0) !== this.#me) lockRelease(this.#at, WORD, this.#me, 1);
  }

  /**
   * For a condition: how to let go, and to lock again, which tells whether the owner before us died; and whether the
   * owner is dead now.
   */
  [RESUME]() {
    const queue = new Queue();
    const step = () => {
      const got = lockStep(this.#at, WORD, queue);
      return got === NO ? undefined : got === YES_FROM_THE_DEAD;
    };
    return {
      unlock: () => this[END](),
      isLeftBehind: () => {
        const holder = Atomics.load(this.#words, WORD) & OWNER;
        return holder !== 0 && !this.#at.isAlive(holder);
      },
      lock: () => this.#at.drive(step, Infinity),
      lockAsync: (ref) => this.#at.driveAsync(step, { timeout: Infinity, ref }),
    };
  }

  static {
    checked(Mutex, (mutex) => mutex.#at, ['lock', 'tryLock', 'lockAsync', 'unlock', END]);
  }
}

const SEMAPHORE = { name: 'semaphore', letter: 'S', align: 4 };
const COUNT = 2;
const SEMAPHORE_QUEUE = 4;
const SLOTS = 8;

const bytesOfSlots = (count) => SLOTS * 4 + 4 * count;

class Semaphore {
  #at;
  #slots;

  static byteLength({ permits }) {
    return bytesOfSlots(whole('permits', permits, 1, SLOTS_MOST));
  }

  constructor(view, index, options) {
    const at = new Place(SEMAPHORE, view, index);
    const permits = countOf(at, 'permits', options, SLOTS_MOST);
    at.open(bytesOfSlots(permits), [['permits', COUNT, permits]]);
    this.#at = at;
    this.#slots = new Slots(at, SEMAPHORE_QUEUE, SLOTS, permits);
  }

  get permits() {
    return this.#slots.count;
  }

  acquire(timeout) {
    const limit = waits.checkTimeout(timeout);
    this.#at.check();
    const guard = new Guard(this, -1);
    guard.slot = this.#slots.claim();
    if (guard.slot >= 0) return guard;
    const step = this.#step();
    const checked = () => {
      if (limit === Infinity && this.#slots.isHeldByOnly(this.#at.me)) throw errors.deadlock();
      return step();
    };
    return this.#at.drive(checked, limit) ?? false;
  }

  tryAcquire() {
    this.#at.check();
    const guard = new Guard(this, -1);
    guard.slot = this.#slots.claim();
    if (guard.slot >= 0) return guard;
    guard.ownerDied = true;
    guard.slot = this.#slots.claimFromTheDead();
    return guard.slot >= 0 ? guard : false;
  }

  async acquireAsync(options) {
    const checked = waits.checkOptions(options);
    checkChain(checked, () => held(this.#at.key) >= this.#slots.count);
    return (await this.#at.driveAsync(this.#step(), checked)) ?? false;
  }

  #step() {
    const state = new SlotQueue();
    const guard = new Guard(this, -1);
    return () => {
      guard.slot = this.#slots.step(state);
      guard.ownerDied = state.ownerDied;
      return guard.slot < 0 ? undefined : guard;
    };
  }

  /** Gives back the permit of a guard of any thread of this process, by its `slot`. */
  release(slot) {
    this.#at.checkAttached();
    this.#slots.releaseOurs(whole('slot', slot, 0, this.#slots.count - 1));
  }

  withPermit(work) {
    return during(this.acquire(), work);
  }

  withPermitAsync(work, options) {
    return duringAsync(this.#at.key, this.acquireAsync(options), work);
  }

  [END](slot) {
    this.#at.checkAttached();
    this.#slots.release(slot, this.#at.me);
  }

  static {
    checked(Semaphore, (semaphore) => semaphore.#at, ['acquire', 'tryAcquire', 'acquireAsync', 'release', END]);
  }
}

/** The one option that says how many holders there can be; what the memory says, where it is left out. */
function countOf(at, name, options, most) {
  if (options !== undefined) return whole(name, options?.[name], 1, most);
  const [found] = at.stamped(COUNT);
  if (found < 1 || found > most) throw errors.damaged(at.kind.name, `its number of ${name} is impossible`);
  return found;
}

const RW_LOCK = { name: 'read-write lock', letter: 'R', align: 4 };
const WRITER = 4;
const READERS_QUEUE = 5;
const FOR_WRITING = -1;

class RwLock {
  #at;
  #readers;
  #readingKey;

  static byteLength({ readers }) {
    return bytesOfSlots(whole('readers', readers, 1, SLOTS_MOST));
  }

  constructor(view, index, options) {
    const at = new Place(RW_LOCK, view, index);
    const readers = countOf(at, 'readers', options, SLOTS_MOST);
    at.open(bytesOfSlots(readers), [['readers', COUNT, readers]]);
    this.#at = at;
    this.#readers = new Slots(at, READERS_QUEUE, SLOTS, readers);
    this.#readingKey = `${at.key} read`;
  }

  get readers() {
    return this.#readers.count;
  }

  #writer() {
    return Atomics.load(this.#at.words, WRITER);
  }

  // The slot is taken first and then the writer looked for; a writer does it the other way round, so that one of the
  // two sees the other.
  #lookForWriter(guard) {
    const seen = Atomics.load(this.#at.words, WRITER);
    guard.ownerDied = (seen & DIED) !== 0;
    if ((seen & OWNER) === 0) return guard;
    this.#readers.release(guard.slot, this.#at.me);
    return undefined;
  }

  #tryRead() {
    if ((this.#writer() & OWNER) !== 0) return undefined;
    const guard = new Guard(this, -1);
    guard.slot = this.#readers.claim();
    return guard.slot < 0 ? undefined : this.#lookForWriter(guard);
  }

  #readStep() {
    const state = new SlotQueue();
    const patience = new Patience();
    const guard = new Guard(this, -1);
    return () => {
      const over = patience.isOver();
      for (;;) {
        const seen = this.#writer();
        if ((seen & OWNER) === 0) {
          guard.slot = this.#readers.step(state);
          if (guard.slot < 0) return undefined;
          if (this.#lookForWriter(guard) !== undefined) return guard;
        } else if (over && !this.#at.isAlive(seen & OWNER)) {
          bury(this.#at, WRITER, seen);
        } else if (this.#markWaiting(WRITER, seen)) {
          return undefined;
        }
      }
    };
  }

  /** Says that we sleep on a word as it was seen; false if it changed. */
  #markWaiting(word, seen) {
    const expected = seen | WAITERS;
    if (seen !== expected && Atomics.compareExchange(this.#at.words, word, seen, expected) !== seen) return false;
    this.#at.pause(word, expected);
    return true;
  }

  read(timeout) {
    const limit = waits.checkTimeout(timeout);
    this.#at.check();
    const guard = this.#tryRead();
    if (guard !== undefined) return guard;
    const step = this.#readStep();
    const checked = () => {
      const writer = this.#writer() & OWNER;
      const waitsForUs = writer !== 0 && this.#readers.isHeldBy(this.#at.me);
      const forEver = limit === Infinity && this.#readers.isHeldByOnly(this.#at.me);
      if (writer === this.#at.me || waitsForUs || forEver) throw errors.deadlock();
      return step();
    };
    return this.#at.drive(checked, limit) ?? false;
  }

  tryRead() {
    this.#at.check();
    const guard = this.#tryRead();
    if (guard !== undefined) return guard;
    this.#buryTheDead();
    return this.#tryRead() ?? false;
  }

  async readAsync(options) {
    const checked = waits.checkOptions(options);
    const reading = held(this.#readingKey);
    const waitsForUs = () => reading > 0 && (this.#writer() & OWNER) !== 0;
    checkChain(checked, () => held(this.#at.key) > 0 || reading >= this.#readers.count);
    const read = this.#readStep();
    const step = () => {
      checkChain(checked, waitsForUs);
      return read();
    };
    return (await this.#at.driveAsync(step, checked)) ?? false;
  }

  #writeStep(state) {
    const queue = new Queue();
    const patience = new Patience();
    const guard = new Guard(this, FOR_WRITING);
    return () => {
      if (state.got === NO) state.got = lockStep(this.#at, WRITER, queue);
      if (state.got === NO) return undefined;
      const over = patience.isOver();
      for (let slot = 0; slot < this.#readers.count; slot++) if (this.#waitForReader(slot, over)) return undefined;
      guard.ownerDied = state.got === YES_FROM_THE_DEAD;
      state.got = NO;
      return guard;
    };
  }

  #waitForReader(slot, over) {
    const word = SLOTS + slot;
    for (;;) {
      const seen = Atomics.load(this.#at.words, word);
      if ((seen & OWNER) === 0) return false;
      if (over && !this.#at.isAlive(seen & OWNER)) this.#readers.replace(slot, seen, 0);
      else if (this.#markWaiting(word, seen)) return true;
    }
  }

  // It may have the word already, and wait for readers to leave. Nothing was written, so whoever died before us is
  // still to be told of.
  #giveUp(state) {
    if (state.got === NO || this.#at.words.length === 0) return;
    lockRelease(this.#at, WRITER, this.#at.me, 0x7fffffff, state.got === YES_FROM_THE_DEAD ? DIED : 0);
    state.got = NO;
  }

  write(timeout) {
    const limit = waits.checkTimeout(timeout);
    this.#at.check();
    if ((this.#writer() & OWNER) === this.#at.me || this.#readers.isHeldBy(this.#at.me)) throw errors.deadlock();
    const state = { got: NO };
    try {
      return this.#at.drive(this.#writeStep(state), limit) ?? false;
    } finally {
      this.#giveUp(state);
    }
  }

  tryWrite() {
    this.#at.check();
    this.#buryTheDead();
    const guard = new Guard(this, FOR_WRITING);
    const got = lockAttempt(this.#at, WRITER);
    if (got === NO) return false;
    guard.ownerDied = got === YES_FROM_THE_DEAD;
    if (this.#readers.isEmpty()) return guard;
    this.#giveUp({ got });
    return false;
  }

  async writeAsync(options) {
    const checked = waits.checkOptions(options);
    checkChain(checked, () => held(this.#at.key) > 0 || held(this.#readingKey) > 0);
    const state = { got: NO };
    try {
      return (await this.#at.driveAsync(this.#writeStep(state), checked)) ?? false;
    } finally {
      this.#giveUp(state);
    }
  }

  // Who only ever tries would otherwise never find out about them.
  #buryTheDead() {
    const seen = this.#writer();
    if ((seen & OWNER) !== 0 && !this.#at.isAlive(seen & OWNER)) bury(this.#at, WRITER, seen);
    for (let slot = 0; slot < this.#readers.count; slot++) {
      const reader = Atomics.load(this.#at.words, SLOTS + slot);
      if ((reader & OWNER) !== 0 && !this.#at.isAlive(reader & OWNER)) this.#readers.replace(slot, reader, 0);
    }
  }

  /** Ends the reading of a guard of any thread of this process, by its `slot`. */
  endRead(slot) {
    this.#at.checkAttached();
    this.#readers.releaseOurs(whole('slot', slot, 0, this.#readers.count - 1));
  }

  /** Ends the writing of any thread of this process. */
  endWrite() {
    this.#at.checkAttached();
    lockReleaseOurs(this.#at, WRITER, 0x7fffffff);
  }

  withRead(work) {
    return during(this.read(), work);
  }

  withReadAsync(work, options) {
    return duringAsync(this.#readingKey, this.readAsync(options), work);
  }

  withWrite(work) {
    return during(this.write(), work);
  }

  withWriteAsync(work, options) {
    return duringAsync(this.#at.key, this.writeAsync(options), work);
  }

  [END](slot) {
    this.#at.checkAttached();
    if (slot === FOR_WRITING) lockRelease(this.#at, WRITER, this.#at.me, 0x7fffffff);
    else this.#readers.release(slot, this.#at.me);
  }

  static {
    const reading = ['read', 'tryRead', 'readAsync', 'endRead'];
    checked(RwLock, (lock) => lock.#at, [...reading, 'write', 'tryWrite', 'writeAsync', 'endWrite', END]);
  }
}

module.exports = { Guard, Mutex, RESUME, RwLock, Semaphore, bytesOfSlots, countOf };
