/// <reference types="node" />

/** Coordination between processes, in any segment. It needs macOS 14.4, and has never run there. */

export type WaitOutcome = 'ok' | 'not-equal' | 'timed-out';

export interface WaitOptions {
  /** Milliseconds. Default: Infinity. */
  timeout?: number;
  /** Ends the wait: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** false: the wait does not keep the event loop alive. Default: true. */
  ref?: boolean;
  /**
   * For how many microseconds, 0 to 1,000,000, a call of a lock, channel or broadcast that has to wait polls from the
   * event loop before it sleeps. Two processes that exchange messages then need no wake-up. Timers and I/O go on
   * meanwhile. The call polls only if something came since the last time. It does not poll if polling failed lately, or
   * with `ref: false`. Default: 50; with 0 it sleeps at once.
   */
  spin?: number;
}

/**
 * Blocks this thread while `view[index]` is `value`, until a `notify` or until time is up. Change the word before you
 * notify. Then no wake-up is lost.
 *
 * @param view Over a segment of this library, not read-only. The same holds for all views below.
 * @param timeout Milliseconds. Default: Infinity.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws {Error} `ERR_SHM_DETACHED`; `ERR_SHM_SHRUNK`: a part of the segment was cut off. All calls below throw these
 */
export function wait(view: Int32Array, index: number, value: number, timeout?: number): WaitOutcome;

/**
 * As `wait`, without blocking; thousands can be pending. A detach of the segment rejects it with `ERR_SHM_DETACHED`.
 */
export function waitAsync(view: Int32Array, index: number, value: number, options?: WaitOptions): Promise<WaitOutcome>;

/**
 * Wakes waiters on `view[index]`, in every process.
 *
 * @param count How many waiters to wake at most. Default: all.
 * @returns How many were woken.
 */
export function notify(view: Int32Array, index: number, count?: number): number;

/** A held lock or permit, until `unlock`. */
export interface Guard {
  /** The previous owner died while holding it: the protected data may be half-changed. */
  readonly ownerDied: boolean;
  /** The slot of a permit or of a reader. Another thread of the process can release it: see `release` and `endRead`. */
  readonly slot: number;
  /** @throws {Error} `ERR_SHM_NOT_HELD` if it was unlocked already */
  unlock(): void;
  /** Unlocks, unless it was unlocked already. */
  [Symbol.dispose](): void;
}

/**
 * A mutex in shared memory. All-zero bytes are a fresh one. The owner is a thread; any thread of its process may
 * unlock. If the owner is killed, a waiter gets the mutex within some 20 ms, and its guard has `ownerDied`. It is not
 * fair: the waiter that came first does not always get it first.
 */
export class Mutex {
  /** How many bytes a mutex takes. It can begin at any index. */
  static byteLength(): number;
  /** @throws {Error} `ERR_SHM_FOREIGN`, `ERR_SHM_VERSION`, `ERR_SHM_LIVE_FILE` if the bytes are not a usable mutex */
  constructor(view: Int32Array, index: number);
  /**
   * Locks it, and waits for as long as that takes.
   *
   * @throws {Error} `ERR_SHM_DEADLOCK`: this thread holds it already
   */
  lock(): Guard;
  /** Locks it; false when `timeout` milliseconds are over. */
  lock(timeout: number): Guard | false;
  /** Locks it if it is free or its owner is dead; false otherwise. */
  tryLock(): Guard | false;
  /**
   * Locks it without blocking. If this thread holds it already, the call queues, in the order of the calls on this
   * object.
   *
   * @throws {Error} `ERR_SHM_DEADLOCK`: called without a time limit by the `work` of a `withLockAsync`. The other locks
   * throw it too
   */
  lockAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Guard>;
  /** Locks it without blocking; false when time is up. */
  lockAsync(options: WaitOptions): Promise<Guard | false>;
  /** @throws {Error} `ERR_SHM_NOT_HELD`: it is free. `ERR_SHM_NOT_OWNER`: another process holds it */
  unlock(): void;
  /** Runs `work` while holding it: until `work` returns, or until the promise that it returns is settled. */
  withLock<T>(work: (guard: Guard) => T): T;
  /** The same without blocking. @throws {Error} `ERR_SHM_TIMED_OUT` */
  withLockAsync<T>(work: (guard: Guard) => T, options?: WaitOptions): Promise<Awaited<T>>;
}

/** A number of permits, fixed at creation. The permits of a killed process come back. */
export class Semaphore {
  static byteLength(options: { permits: number }): number;
  /** @param options Without it: opens one that exists. `permits`: 1 to 65536. */
  constructor(view: Int32Array, index: number, options?: { permits: number });
  readonly permits: number;
  /**
   * Takes a permit. A thread may take several.
   *
   * @throws {Error} `ERR_SHM_DEADLOCK`: this thread has all permits
   */
  acquire(): Guard;
  acquire(timeout: number): Guard | false;
  tryAcquire(): Guard | false;
  acquireAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Guard>;
  acquireAsync(options: WaitOptions): Promise<Guard | false>;
  /**
   * Gives back the permit of a guard of any thread of this process, by its `slot`.
   *
   * @throws {Error} `ERR_SHM_NOT_HELD`: nobody has it. `ERR_SHM_NOT_OWNER`: another process has it
   */
  release(slot: number): void;
  withPermit<T>(work: (permit: Guard) => T): T;
  withPermitAsync<T>(work: (permit: Guard) => T, options?: WaitOptions): Promise<Awaited<T>>;
}

/**
 * Many readers, or one writer. A waiting writer keeps new readers out. After a writer was killed, all guards have
 * `ownerDied`, until the next writer has unlocked.
 */
export class RwLock {
  static byteLength(options: { readers: number }): number;
  /** @param options Without it: opens one that exists. `readers`: how many can read at a time, 1 to 65536. */
  constructor(view: Int32Array, index: number, options?: { readers: number });
  readonly readers: number;
  /**
   * @throws {Error} `ERR_SHM_DEADLOCK`: this thread writes, or reads already while a writer waits for it, or holds all
   * slots of readers
   */
  read(): Guard;
  read(timeout: number): Guard | false;
  tryRead(): Guard | false;
  readAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Guard>;
  readAsync(options: WaitOptions): Promise<Guard | false>;
  /** @throws {Error} `ERR_SHM_DEADLOCK`: this thread reads or writes already */
  write(): Guard;
  write(timeout: number): Guard | false;
  tryWrite(): Guard | false;
  writeAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Guard>;
  writeAsync(options: WaitOptions): Promise<Guard | false>;
  /** Ends the reading of a guard of any thread of this process, by its `slot`. Throws as `Semaphore.release`. */
  endRead(slot: number): void;
  /** Ends the writing of any thread of this process. Throws as `Mutex.unlock`. */
  endWrite(): void;
  withRead<T>(work: (guard: Guard) => T): T;
  withReadAsync<T>(work: (guard: Guard) => T, options?: WaitOptions): Promise<Awaited<T>>;
  withWrite<T>(work: (guard: Guard) => T): T;
  withWriteAsync<T>(work: (guard: Guard) => T, options?: WaitOptions): Promise<Awaited<T>>;
}

/**
 * Waits until the data that a mutex protects has changed. A wait can end without a notification: check again in a loop.
 * Notify while you hold the mutex: then the waiters are woken even if your process is killed before it notifies. If you
 * lock the mutex by `lock` and get `ownerDied`, call `notifyAll`.
 */
export class Condition {
  static byteLength(): number;
  constructor(view: Int32Array, index: number);
  /** Unlocks the mutex of the guard, waits, and locks it again. False if time was up. */
  wait(guard: Guard, timeout?: number): boolean;
  /**
   * As `wait`, without blocking. The mutex is locked again even if the signal rejects the promise. Until then the guard
   * holds nothing.
   */
  waitAsync(guard: Guard, options?: WaitOptions): Promise<boolean>;
  /** Wakes one waiter; returns whether one was asleep. */
  notifyOne(): boolean;
  /** Wakes all waiters; returns how many were asleep. */
  notifyAll(): number;
}

/** One party of a barrier. */
export interface Party {
  /**
   * Waits until all parties have arrived; true for the last one.
   *
   * @throws {Error} `ERR_SHM_BROKEN`: a party was killed. `ERR_SHM_DEADLOCK`: this party waits already
   */
  wait(): boolean;
  /** null: time was up, and this party has not arrived. */
  wait(timeout: number): boolean | null;
  waitAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<boolean>;
  waitAsync(options: WaitOptions): Promise<boolean | null>;
  /** Gives its place to another party; if it waits, after that wait. */
  leave(): void;
  [Symbol.dispose](): void;
}

/** Parties that wait for each other in each phase: no party goes on until all have arrived. */
export class Barrier {
  static byteLength(options: { parties: number }): number;
  /** @param options Without it: opens one that exists. `parties`: 1 to 65535. */
  constructor(view: Int32Array, index: number, options?: { parties: number });
  readonly parties: number;
  /** @throws {Error} `ERR_SHM_FULL`: all parties have joined already */
  join(): Party;
}

/** Work that is done once across processes, by the first caller. */
export class Once {
  static byteLength(): number;
  constructor(view: Int32Array, index: number);
  readonly done: boolean;
  /**
   * Runs `work` once across processes; blocks while another process runs it. If `work` throws, the next caller runs its
   * own.
   */
  call(work: (turn: { readonly ownerDied: boolean }) => void): void;
  /** @throws {Error} `ERR_SHM_DEADLOCK`: called by its own `work` without a time limit */
  callAsync(work: (turn: { readonly ownerDied: boolean }) => unknown, options?: WaitOptions): Promise<void>;
}

/** A Buffer with bytes of its own. Up to 8 KiB it shares its `ArrayBuffer` with others, as small Buffers of Node do. */
export type Copy = ReturnType<typeof Buffer.alloc>;

export type Bytes = ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

export interface ChannelOptions {
  /** The ring's size in bytes: a power of two, 64 to 2^30. A message has at most `capacity / 2 - 8` bytes. */
  capacity: number;
  /** How many may send at the same time. Default: `'one'`, which is cheaper. */
  producers?: 'one' | 'many';
}

/** Room for a message. Write the message to `view`, and call `commit`. */
export interface Reservation {
  readonly view: Uint8Array;
  /** Sends the message. */
  commit(): void;
  /** Sends nothing. */
  abandon(): void;
  [Symbol.dispose](): void;
}

/** A message in place. If you do not release it, you receive it again. */
export interface PeekedMessage {
  readonly view: Uint8Array;
  release(): void;
  [Symbol.dispose](): void;
}

/**
 * Messages from one or many producers to one consumer, in the order in which their room was reserved. The first send
 * makes an object a producer, and the first receive makes it the consumer, until it is closed or collected, or its
 * thread ends. If a producer is killed, only its uncommitted message is lost. If the consumer is killed, no unreleased
 * message is lost.
 */
export class Channel {
  static byteLength(options: ChannelOptions): number;
  /**
   * @param index Where the channel begins, at a multiple of 64 bytes.
   * @param options Without it: opens one that exists.
   */
  constructor(view: Int32Array, index: number, options?: ChannelOptions);
  readonly capacity: number;
  readonly producers: 'one' | 'many';
  /** The longest message, in bytes. */
  readonly maxMessage: number;
  /** How many messages this consumer found incomplete, because their producers were killed. */
  readonly lost: number;
  /**
   * Sends a message, and waits for room for as long as that takes, or for `timeout` milliseconds.
   *
   * @returns Whether it was sent.
   * @throws {RangeError} it is longer than `maxMessage`
   * @throws {Error} `ERR_SHM_TAKEN`: another producer is active, and only one is allowed. `ERR_SHM_DAMAGED`.
   * `ERR_SHM_CHANGED`: the message is detached
   */
  send(message: Bytes, timeout?: number): boolean;
  trySend(message: Bytes): boolean;
  /**
   * As `send`, without blocking. The message is copied when there is room for it: do not change it until then.
   *
   * @throws {Error} as `send`, and `ERR_SHM_CLOSED`
   */
  sendAsync(message: Bytes, options?: WaitOptions): Promise<boolean>;
  /** Reserves room for a message of `length` bytes, which you fill in place. */
  reserve(length: number): Reservation;
  reserve(length: number, timeout: number): Reservation | null;
  tryReserve(length: number): Reservation | null;
  reserveAsync(length: number, options?: WaitOptions): Promise<Reservation | null>;
  /** The next message, as a copy; null when time is up. */
  receive(): Copy;
  receive(timeout: number): Copy | null;
  tryReceive(): Copy | null;
  receiveAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Copy>;
  receiveAsync(options: WaitOptions): Promise<Copy | null>;
  /** Copies the next message to the start of `target`; returns its length, or -1 when time is up. The fastest way. */
  receiveInto(target: Uint8Array, timeout?: number): number;
  tryReceiveInto(target: Uint8Array): number;
  /** The next message, in place. */
  peek(): PeekedMessage;
  peek(timeout: number): PeekedMessage | null;
  tryPeek(): PeekedMessage | null;
  peekAsync(options?: WaitOptions): Promise<PeekedMessage | null>;
  /**
   * Calls `callback` for each message that is there now (at most `max`), without a copy, and returns how many there
   * were. The callback gets a view of the ring. It is valid until the callback returns; later it shows other messages.
   * If the callback throws, `drain` throws the same error, and the remaining messages stay in the channel. If the
   * callback closes the channel or detaches the segment, `drain` ends.
   *
   * @throws {Error} `ERR_SHM_DRAINING`: called within a callback. All receiving calls throw it there
   */
  drain(callback: (message: Uint8Array) => void, options?: { max?: number }): number;
  /**
   * Iterates over the messages to come. Ends if none comes within `timeout`, and at a `close`. `return()` also ends a
   * pending `next()`. With `batch`, each step returns an array of all messages that are there.
   */
  messages(options?: WaitOptions & { batch?: false }): AsyncGenerator<Copy, void, undefined>;
  messages(options: WaitOptions & { batch: true }): AsyncGenerator<Copy[], void, undefined>;
  [Symbol.asyncIterator](): AsyncGenerator<Copy, void, undefined>;
  /**
   * Gives up the roles of producer and consumer. It abandons a reservation, leaves an unreleased message to the next
   * consumer, and rejects pending calls with `ERR_SHM_CLOSED`. A detach does the same, with `ERR_SHM_DETACHED`.
   */
  close(): void;
  [Symbol.dispose](): void;
}

export interface BroadcastOptions {
  /** How many messages the broadcast keeps: a power of two, at least 2. A reader that is further behind misses some. */
  slots: number;
  /** The longest message in bytes, at least 1. */
  maxMessage: number;
}

export interface Received {
  /** The message's number. The first message of the broadcast has 0. */
  readonly number: number;
  /** How many messages were missed since the previous one of this reader. */
  readonly missed: number;
  readonly message: Copy;
}

/** Room for a message. Write the message to `view`, and call `commit`. */
export interface Draft {
  readonly view: Uint8Array;
  /** Sends the message, and returns its number. */
  commit(): number;
  /** Sends nothing. */
  abandon(): void;
  [Symbol.dispose](): void;
}

/** Reads at its own pace, and writes nothing. On a read-only view it polls, at most every millisecond. */
export interface BroadcastReader {
  /** The number of the message that it reads next. */
  readonly next: number;
  tryReceive(): Received | null;
  receive(): Received;
  receive(timeout: number): Received | null;
  receiveAsync(options?: Omit<WaitOptions, 'timeout'> & { timeout?: undefined }): Promise<Received>;
  receiveAsync(options: WaitOptions): Promise<Received | null>;
  /** As `tryReceive`, but copies to the start of `target`; `message` is that part of it. */
  tryReceiveInto(target: Uint8Array): (Omit<Received, 'message'> & { readonly message: Uint8Array }) | null;
  /** The next message in place. What you read is valid only if `finish` does not return null. */
  tryPeek(): {
    readonly view: Uint8Array;
    finish(): (Omit<Received, 'message'> & { readonly message: Uint8Array }) | null;
  } | null;
  /**
   * Iterates over the messages to come. Ends if none comes within `timeout`. `return()` also ends a pending `next()`.
   * With `batch`, each step returns an array of all messages that are there.
   */
  messages(options?: WaitOptions & { batch?: false }): AsyncGenerator<Received, void, undefined>;
  messages(options: WaitOptions & { batch: true }): AsyncGenerator<Received[], void, undefined>;
  [Symbol.asyncIterator](): AsyncGenerator<Received, void, undefined>;
}

/** Messages from one producer to many readers. The producer never waits: it overwrites the oldest message. */
export class Broadcast {
  static byteLength(options: BroadcastOptions): number;
  /**
   * @param index Where the broadcast begins, at a multiple of 64 bytes.
   * @param options Without it, or on a read-only view: opens one that exists.
   */
  constructor(view: Int32Array, index: number, options?: BroadcastOptions);
  readonly slots: number;
  readonly maxMessage: number;
  /** The number of the next message, which is the count of messages so far. */
  readonly next: number;
  /**
   * Sends a message, and returns its number.
   *
   * @throws {RangeError} it is longer than `maxMessage`
   * @throws {Error} `ERR_SHM_TAKEN`: another producer is active. `ERR_SHM_CHANGED`: the message is detached
   */
  send(message: Bytes): number;
  /** Room for a message of `length` bytes, which you fill in place. */
  draft(length: number): Draft;
  /** Returns a reader of the messages to come; with `rewind`, also of those that are still there. */
  reader(options?: { rewind?: boolean }): BroadcastReader;
  /** Gives up the role of producer, and abandons a draft. A detach does the same. */
  close(): void;
  [Symbol.dispose](): void;
}
