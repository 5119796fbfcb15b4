'use strict';

// Messages of any size from one process to another, through a ring of bytes. As shm-sync/src/protocol/ring.rs.

const { Into, checkTarget, copyOut, isMoved, toBytes } = require('./bytes.js');
const errors = require('./errors.js');
const { Messages } = require('./messages.js');
const { Patience, Place, checked, disposable, spin, spinUntilChanged, whole } = require('./place.js');
const { Roles } = require('./roles.js');
const { throwIfAborted } = require('./signals.js');
const { Turns } = require('./turns.js');
const {
  NO,
  OWNER,
  Queue,
  SLEEPERS,
  lockAttempt,
  lockRelease,
  lockStep,
  prepareEvent,
  readAfterWrite,
  wakeEvent,
} = require('./words.js');
const waits = require('./waits.js');

const KIND = { name: 'channel', letter: 'C', align: 64 };

// Words, by their index.
const CAPACITY = 2;
const PRODUCERS = 3;
const HEAD = 32;
const TAIL_SEEN = 33;
const LOCK = 34;
const PRODUCER = 35;
const TAIL = 64;
const CONSUMER = 65;
const CONSUMER_EVENT = 96;
const PRODUCERS_EVENT = 112;

// Bytes.
const DATA = 512;
const RECORD = 8;

const BUSY = 1 << 31;
const SKIP = 1 << 30;
const LENGTH = SKIP - 1;

const CAPACITY_MIN = 64;
const CAPACITY_MAX = 2 ** 30;

const PRODUCERS_NAMES = ['one', 'many'];

const recordSize = (length) => RECORD + ((length + 7) & ~7);

// What a look for room came to, and what the consumer finds.
const FULL = 0;
const RESERVED = 1;
const LOCKED = 2;
const NOTHING = 0;
const MESSAGE = 1;
const UNFINISHED = 2;

function checkCapacity(capacity) {
  whole('capacity', capacity, CAPACITY_MIN, CAPACITY_MAX);
  if ((capacity & (capacity - 1)) !== 0) throw errors.outOfRange('capacity', 'a power of two', capacity);
  return capacity;
}

function checkOptions({ capacity, producers = 'one' }) {
  if (!PRODUCERS_NAMES.includes(producers)) throw errors.wrongValue('producers', producers, "is neither 'one' nor 'many'");
  return [checkCapacity(capacity), PRODUCERS_NAMES.indexOf(producers) + 1];
}

class Channel {
  #at;
  #roles;
  #words;
  #bytes;
  #capacity;
  #isMany;
  // Goes up at each close: what was begun before it is given up.
  #era = 0;

  // The producer's side. Where there is one producer, its head is the truth; the shared one follows.
  #sends = false;
  #head = 0;
  #tailSeen = 0;
  #position = 0;
  #reservation;
  #sending = new Turns();

  // The consumer's side. Its tail is the truth; the shared one follows.
  #receives = false;
  #tail = 0;
  #tailPublished = 0;
  #headSeen = 0;
  #length = 0;
  #busy = new Patience();
  #lost = 0;
  #receiving = new Turns();
  #into = new Into();

  static byteLength(options) {
    return DATA + checkOptions(options)[0];
  }

  constructor(view, index, options) {
    const at = new Place(KIND, view, index);
    const [capacity, producers] = options === undefined ? Channel.#found(at) : checkOptions(options);
    at.open(DATA + capacity, [
      ['the capacity', CAPACITY, capacity],
      ['the number of producers (1 one, 2 many)', PRODUCERS, producers],
    ]);
    this.#at = at;
    this.#roles = new Roles(this, at);
    this.#words = at.words;
    this.#bytes = new Uint8Array(at.buffer, at.start, DATA + capacity);
    this.#capacity = capacity;
    this.#isMany = producers === 2;
  }

  static #found(at) {
    const [capacity, producers] = at.stamped(CAPACITY, PRODUCERS);
    const isPower = capacity >= CAPACITY_MIN && capacity <= CAPACITY_MAX && (capacity & (capacity - 1)) === 0;
    if (!isPower) throw errors.damaged(KIND.name, 'its capacity is impossible');
    if (producers !== 1 && producers !== 2) throw errors.damaged(KIND.name, 'its number of producers is impossible');
    return [capacity, producers];
  }

  get capacity() {
    return this.#capacity;
  }

  get producers() {
    return PRODUCERS_NAMES[this.#isMany ? 1 : 0];
  }

  get maxMessage() {
    return this.#capacity / 2 - RECORD;
  }

  get lost() {
    return this.#lost;
  }

  // How much to skip so that `size` bytes fit in one piece, or -1 while there is no room.
  #skip(head, tail, size) {
    const used = (head - tail) >>> 0;
    if (used > this.#capacity || ((head | tail) & 7) !== 0) throw errors.damaged(KIND.name, 'its positions are impossible');
    const toEnd = this.#capacity - (head & (this.#capacity - 1));
    const skip = size > toEnd ? toEnd : 0;
    return skip + size <= this.#capacity - used ? skip : -1;
  }

  // Byte offset of the record at a position.
  #offset(position) {
    // The mask keeps it inside whatever the position, and aligned.
    return DATA + (position & (this.#capacity - 8));
  }

  #fillUp(position, skip) {
    if (skip === 0) return;
    const header = this.#offset(position) >> 2;
    this.#words[header + 1] = 0;
    this.#words[header] = (skip - RECORD) | SKIP;
  }

  #checkSend(length) {
    this.#at.check();
    if (length > this.#capacity / 2 - RECORD) throw errors.tooLong(length, this.maxMessage);
    if (!this.#sends) this.#startSending();
    if (this.#reservation !== undefined) throw errors.reserved();
  }

  #startSending() {
    if (!this.#isMany) {
      this.#roles.take(PRODUCER * 4, 'producer');
      this.#tailSeen = Atomics.load(this.#words, TAIL);
      this.#head = Atomics.load(this.#words, HEAD);
    }
    this.#sends = true;
  }

  // Room for a record, at #position from then on.
  #reserve(length, queue) {
    const size = recordSize(length);
    if (this.#isMany) return this.#reserveAsMany(length, size, queue);
    let skip = this.#skip(this.#head, this.#tailSeen, size);
    if (skip < 0) {
      this.#tailSeen = Atomics.load(this.#words, TAIL);
      skip = this.#skip(this.#head, this.#tailSeen, size);
      if (skip < 0) return FULL;
    }
    this.#fillUp(this.#head, skip);
    this.#position = (this.#head + skip) | 0;
    return RESERVED;
  }

  #reserveAsMany(length, size, queue) {
    const words = this.#words;
    const { me } = this.#at;
    const free = () => Atomics.load(words, LOCK) === 0 && Atomics.compareExchange(words, LOCK, 0, me) === 0;
    if (Atomics.compareExchange(words, LOCK, 0, me) !== 0 && !spin(free)) {
      const got = queue === undefined ? lockAttempt(this.#at, LOCK) : lockStep(this.#at, LOCK, queue);
      if (got === NO) return LOCKED;
    }
    // Whoever died here before us had not moved the head, or had finished.
    try {
      const head = Atomics.load(words, HEAD);
      let skip = this.#skip(head, Atomics.load(words, TAIL_SEEN), size);
      if (skip < 0) {
        this.#tailSeen = Atomics.load(words, TAIL);
        Atomics.store(words, TAIL_SEEN, this.#tailSeen);
        skip = this.#skip(head, this.#tailSeen, size);
        if (skip < 0) return FULL;
      }
      this.#fillUp(head, skip);
      const position = (head + skip) | 0;
      const header = this.#offset(position) >> 2;
      words[header + 1] = me;
      Atomics.store(words, header, length | BUSY);
      Atomics.store(words, HEAD, (position + size) | 0);
      this.#position = position;
      return RESERVED;
    } finally {
      if (Atomics.compareExchange(words, LOCK, me, 0) !== me) lockRelease(this.#at, LOCK, me, 1);
    }
  }

  // The message is there, or (`length` with SKIP) will never be.
  #commit(position, length) {
    const words = this.#words;
    const header = this.#offset(position) >> 2;
    if (this.#isMany) {
      Atomics.store(words, header, length);
    } else {
      words[header] = length;
      this.#head = (position + recordSize(length)) | 0;
      Atomics.store(words, HEAD, this.#head);
    }
    if ((readAfterWrite(words, CONSUMER_EVENT) & SLEEPERS) !== 0) wakeEvent(this.#at, CONSUMER_EVENT);
  }

  #waitForRoom() {
    const seen = this.#tailSeen;
    prepareEvent(this.#at, PRODUCERS_EVENT, () => Atomics.load(this.#words, TAIL) !== seen);
  }

  // Steps until there is room, where `use` does what is to be done with it.
  #reserveStep(length, spins, use) {
    let queue = new Queue();
    return () => {
      if (this.#reservation !== undefined) throw errors.reserved();
      let got = this.#reserve(length, queue);
      if (got === FULL && spins) {
        const seen = this.#tailSeen;
        if (spinUntilChanged(this.#words, TAIL, seen)) got = this.#reserve(length, queue);
      }
      if (got === RESERVED) return use();
      if (got === FULL) {
        queue = new Queue(); // the next wait for the lock is another one
        this.#waitForRoom();
      }
      return undefined;
    };
  }

  #write(bytes, length) {
    // While there was no room for it, its buffer may have been moved or made shorter.
    if (bytes.length < length) {
      if (this.#isMany) this.#commit(this.#position, length | SKIP);
      throw errors.changed();
    }
    this.#bytes.set(bytes.length === length ? bytes : bytes.subarray(0, length), this.#offset(this.#position) + RECORD);
    this.#commit(this.#position, length);
    return true;
  }

  trySend(message) {
    const bytes = message instanceof Uint8Array ? message : toBytes(message);
    const { length } = bytes;
    this.#checkMessage(bytes, length);
    return this.#reserve(length) === RESERVED && this.#write(bytes, length);
  }

  send(message, timeout = Infinity) {
    const bytes = message instanceof Uint8Array ? message : toBytes(message);
    const { length } = bytes;
    if (timeout !== Infinity) waits.checkTimeout(timeout);
    this.#checkMessage(bytes, length);
    if (!this.#isMany && this.#reserve(length) === RESERVED) return this.#write(bytes, length);
    return this.#at.drive(this.#reserveStep(length, true, () => this.#write(bytes, length)), timeout) ?? false;
  }

  async sendAsync(message, options) {
    const bytes = toBytes(message);
    const { length } = bytes;
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    this.#checkMessage(bytes, length);
    if (!this.#sending.isBusy && this.#reserve(length) === RESERVED) return this.#write(bytes, length);
    const step = this.#reserveStep(length, false, () => this.#write(bytes, length));
    return (await this.#inTurn(this.#sending, step, checked)) ?? false;
  }

  #checkMessage(bytes, length) {
    if (length === 0 && isMoved(bytes)) throw errors.changed();
    this.#checkSend(length);
  }

  #inTurn(turns, step, options) {
    const era = this.#era;
    const lasting = () => {
      if (this.#era !== era) throw errors.closed();
      return step();
    };
    return turns.take(options, (left) => this.#at.driveAsync(lasting, left));
  }

  #open(length) {
    const era = this.#era;
    const position = this.#position;
    const header = this.#offset(position);
    const view = this.#bytes.subarray(header + RECORD, header + RECORD + length);
    if (this.#isMany) {
      // A detach gives it up, so that the consumer does not wait for it.
      this.#roles.holdRecord(header, length | BUSY, CONSUMER_EVENT * 4);
    }
    const end = (flags) => {
      this.#at.checkAttached();
      if (this.#era !== era) throw errors.closed();
      this.#reservation = undefined;
      if (this.#isMany) this.#roles.letGoOfRecord(header);
      // One producer alone has published nothing yet.
      if (flags === 0 || this.#isMany) this.#commit(position, length | flags);
      this.#at.check();
    };
    const reservation = new Reservation(view, end);
    if (!this.#isMany) this.#reservation = reservation;
    return reservation;
  }

  #checkReserve(length) {
    whole('length', length, 0, 0x7fffffff);
    this.#checkSend(length);
  }

  tryReserve(length) {
    this.#checkReserve(length);
    return this.#reserve(length) === RESERVED ? this.#open(length) : null;
  }

  reserve(length, timeout) {
    const limit = waits.checkTimeout(timeout);
    this.#checkReserve(length);
    return this.#at.drive(this.#reserveStep(length, true, () => this.#open(length)), limit) ?? null;
  }

  async reserveAsync(length, options) {
    const checked = waits.checkOptions(options);
    this.#checkReserve(length);
    const step = this.#reserveStep(length, false, () => this.#open(length));
    return (await this.#inTurn(this.#sending, step, checked)) ?? null;
  }

  #checkReceive() {
    this.#at.check();
    if (!this.#receives) this.#startReceiving();
  }

  #startReceiving() {
    this.#roles.take(CONSUMER * 4, 'consumer');
    this.#tail = Atomics.load(this.#words, TAIL);
    this.#tailPublished = this.#tail;
    this.#headSeen = this.#tail;
    this.#receives = true;
  }

  // Looks for the next message. Skips what is none, at most one round of the ring.
  #find() {
    const words = this.#words;
    // Where one has died, those behind it may have died with it: they are asked about at once.
    let over = false;
    for (;;) {
      const position = this.#tail;
      if (position === this.#headSeen) this.#headSeen = Atomics.load(words, HEAD);
      const used = (this.#headSeen - position) >>> 0;
      if (used === 0) return NOTHING;
      if (used > this.#capacity || ((this.#headSeen | position) & 7) !== 0) {
        throw errors.damaged(KIND.name, 'its positions are impossible');
      }
      const word = this.#offset(position) >> 2;
      // Where there is one producer, what is below the head does not change any more.
      const header = this.#isMany ? Atomics.load(words, word) : words[word];
      const length = header & LENGTH;
      const size = recordSize(length);
      if (size > used || size > this.#capacity - (position & (this.#capacity - 1))) {
        throw errors.damaged(KIND.name, 'a record is longer than its ring');
      }
      if ((header & (BUSY | SKIP)) === 0) {
        this.#length = length;
        return MESSAGE;
      }
      if ((header & BUSY) !== 0) {
        over ||= this.#busy.isOver();
        if (!over || this.#at.isAlive(Atomics.load(words, word + 1) & OWNER)) return UNFINISHED;
        // Its producer may have committed just before it died.
        if ((Atomics.load(words, word) & BUSY) === 0) continue;
        this.#lost++;
      }
      this.#busy.restart();
      this.#tail = (position + size) | 0;
    }
  }

  #publishTail() {
    if (this.#tail === this.#tailPublished) return;
    this.#tailPublished = this.#tail;
    Atomics.store(this.#words, TAIL, this.#tail);
    if ((readAfterWrite(this.#words, PRODUCERS_EVENT) & SLEEPERS) !== 0) wakeEvent(this.#at, PRODUCERS_EVENT);
  }

  #release() {
    this.#tail = (this.#tail + recordSize(this.#length)) | 0;
    this.#publishTail();
  }

  // Whether looking again is worth while.
  #isChanged(found) {
    if (found !== UNFINISHED) return Atomics.load(this.#words, HEAD) !== this.#headSeen;
    return (Atomics.load(this.#words, this.#offset(this.#tail) >> 2) & BUSY) === 0;
  }

  // The same for one who has time.
  #findSoon() {
    const found = this.#find();
    if (found !== NOTHING || !spinUntilChanged(this.#words, HEAD, this.#headSeen)) return found;
    return this.#find();
  }

  #receiveStep(use) {
    return () => {
      const found = this.#find();
      if (found === MESSAGE) return use();
      this.#publishTail();
      prepareEvent(this.#at, CONSUMER_EVENT, () => this.#isChanged(found));
      return undefined;
    };
  }

  #copy() {
    const copy = copyOut(this.#words, this.#bytes, this.#offset(this.#tail) + RECORD, this.#length);
    this.#release();
    return copy;
  }

  tryReceive() {
    this.#checkReceive();
    return this.#find() === MESSAGE ? this.#copy() : null;
  }

  receive(timeout = Infinity) {
    if (timeout !== Infinity) waits.checkTimeout(timeout);
    this.#checkReceive();
    if (this.#findSoon() === MESSAGE) return this.#copy();
    return this.#at.drive(this.#receiveStep(() => this.#copy()), timeout) ?? null;
  }

  async receiveAsync(options) {
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    this.#checkReceive();
    if (!this.#receiving.isBusy && this.#find() === MESSAGE) return this.#copy();
    return (await this.#inTurn(this.#receiving, this.#receiveStep(() => this.#copy()), checked)) ?? null;
  }

  #copyInto(target) {
    const length = this.#length;
    this.#into.copy(this.#words, this.#bytes, this.#offset(this.#tail) + RECORD, length, target);
    this.#release();
    return length;
  }

  tryReceiveInto(target) {
    checkTarget(target);
    this.#checkReceive();
    return this.#find() === MESSAGE ? this.#copyInto(target) : -1;
  }

  receiveInto(target, timeout = Infinity) {
    checkTarget(target);
    if (timeout !== Infinity) waits.checkTimeout(timeout);
    this.#checkReceive();
    if (this.#findSoon() === MESSAGE) return this.#copyInto(target);
    return this.#at.drive(this.#receiveStep(() => this.#copyInto(target)), timeout) ?? -1;
  }

  #message() {
    const era = this.#era;
    const position = this.#tail;
    const length = this.#length;
    const start = this.#offset(position) + RECORD;
    return new Message(this.#bytes.subarray(start, start + length), () => {
      this.#at.check();
      if (this.#era !== era) throw errors.closed();
      if (this.#tail !== position) throw errors.notHeld();
      this.#length = length;
      this.#release();
      this.#at.check();
    });
  }

  tryPeek() {
    this.#checkReceive();
    return this.#find() === MESSAGE ? this.#message() : null;
  }

  peek(timeout) {
    const limit = waits.checkTimeout(timeout);
    this.#checkReceive();
    if (this.#findSoon() === MESSAGE) return this.#message();
    return this.#at.drive(this.#receiveStep(() => this.#message()), limit) ?? null;
  }

  async peekAsync(options) {
    const checked = waits.checkOptions(options);
    this.#checkReceive();
    return (await this.#inTurn(this.#receiving, this.#receiveStep(() => this.#message()), checked)) ?? null;
  }

  messages(options) {
    const era = this.#era;
    const receive = (checked) => (this.#era === era ? this.receiveAsync(checked) : null);
    return new Messages(receive, waits.checkOptions(options));
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }

  close() {
    this.#era++;
    if (this.#words.length === 0) return;
    this.#roles.end();
    this.#sends = false;
    this.#receives = false;
    this.#reservation = undefined;
  }

  static {
    const sending = ['trySend', 'send', 'sendAsync', 'tryReserve', 'reserve', 'reserveAsync'];
    const receiving = ['tryReceive', 'receive', 'receiveAsync', 'tryReceiveInto', 'receiveInto'];
    checked(Channel, (channel) => channel.#at, [...sending, ...receiving, 'tryPeek', 'peek', 'peekAsync']);
  }
}
disposable(Channel, Channel.prototype.close);

/** Room for a message, ours until it is committed. */
class Reservation {
  #end;

  constructor(view, end) {
    this.view = view;
    this.#end = end;
  }

  /** Sends the message. */
  commit() {
    this.#finish(0);
  }

  /** Gives it up. */
  abandon() {
    this.#finish(SKIP);
  }

  #finish(flags) {
    const end = this.#end;
    if (end === undefined) throw errors.notHeld();
    this.#end = undefined;
    end(flags);
  }

  static dispose() {
    if (this.#end !== undefined) unlessClosed(() => this.abandon());
  }
}
disposable(Reservation, Reservation.dispose);

// What a close or a detach has given up needs no giving up.
function unlessClosed(end) {
  try {
    end();
  } catch (error) {
    if (!['ERR_SHM_CLOSED', 'ERR_SHM_DETACHED', 'ERR_SHM_SHRUNK'].includes(error.code)) throw error;
  }
}

/** A message in place, until it is released. */
class Message {
  #release;

  constructor(view, release) {
    this.view = view;
    this.#release = release;
  }

  /** Done with it: its room is free for others. */
  release() {
    const release = this.#release;
    if (release === undefined) throw errors.notHeld();
    this.#release = undefined;
    release();
  }

  static dispose() {
    if (this.#release !== undefined) unlessClosed(() => this.release());
  }
}
disposable(Message, Message.dispose);

module.exports = { Channel };
