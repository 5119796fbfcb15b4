/// <reference types="node" />

/** One map for all processes of a machine: a cache without a server, or a table. On macOS it has never run. */

/** What a new map is made with; who opens one that is there may give the same, or leave it out. */
export interface MapOptions {
  /** The size of all of it in bytes, its index included: 32 KiB or more. Needed where there is no map yet. */
  memory?: number;
  /** How many keys find a place in the index, whatever they are. Default: one for each 160 bytes of memory. */
  entries?: number;
  /** true: it makes room by eviction (S3-FIFO). false: what does not fit throws `ERR_SHM_FULL`. Default: true. */
  evict?: boolean;
  /** The longest value in bytes. Default: as much as there can be, a quarter of a shard's main ring. */
  maxValue?: number;
  /** How many parts there are, each of which one writer at a time changes: a power of two, 1 to 1024. */
  shards?: number;
  /** How many tags can be told apart: 1 to 2^24. Default: 4096. */
  tagSlots?: number;
  /** Milliseconds that what this object writes is valid, where nothing else is said. Default: Infinity. */
  ttl?: number;
  /** How this object writes what is not a string, a number, a bigint, a boolean, null or bytes. Default: 'json'. */
  encoding?: 'json' | 'v8' | 'bytes';
  /** So many parsed JSON values this object keeps, frozen, and gives again while they are unchanged. Default: 0. */
  near?: number;
  /** Milliseconds that this object waits for another writer of the same shard. Default: 100. */
  lockTimeout?: number;
  /** Permission bits of a new map, a number or an octal string. Default: 0o600. */
  mode?: number | string;
  backend?: 'sysv' | 'posix';
  /** Keep a new map when nobody has it open, until `destroy(key)`. Default: false. */
  persist?: boolean;
  /** Ask for huge pages. Default: false. */
  hugePages?: boolean;
  /** Open for reading only, on POSIX. Every write throws `ERR_SHM_READ_ONLY`. Default: false. */
  readOnly?: boolean;
}

export interface EntryOptions {
  /** Milliseconds from now on, above 0; Infinity: until it is deleted. Default: that of the map object. */
  ttl?: number;
  /** Names by which it can be invalidated: 128 at most, of 256 characters at most. */
  tags?: readonly string[];
}

export interface LoadOptions extends EntryOptions {
  /** Milliseconds after it expired in which the old value is given, while one process loads anew. Default: 0. */
  stale?: number;
  /** Ends the wait, not the load: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds after which another one may load. Default: 30,000. */
  loadTimeout?: number;
}

export interface Entry<V> {
  value: V;
  /** Another number whenever the value is another one. It never comes again. */
  version: number;
  /** When it expires, in milliseconds since 1970 as `Date.now()` has them; undefined: never. */
  expires: number | undefined;
}

/** What all processes have done with a map since it was made. */
export interface MapStats {
  /** How many entries there are. Those that have expired, or were invalidated, may be among them. */
  entries: number;
  /** The size of the map in bytes. */
  memory: number;
  /** How many bytes the entries take, with their headers and keys. */
  used: number;
  /** How often an entry was written. */
  sets: number;
  /** How many entries were evicted to make room. */
  evictions: number;
  /** How many entries were dropped because they had expired, or were invalidated. */
  expired: number;
  /** How many lookups found an entry. */
  hits: number;
  /** How many found none. */
  misses: number;
  /** How often a writer was killed while it wrote. */
  ownersDied: number;
}

/**
 * A map in shared memory, which any number of processes and threads use at the same time. Keys are well-formed strings
 * of at most 1 KiB of UTF-8. Readers take no lock. A string, number, boolean, null, bigint, Buffer or Uint8Array comes
 * back as what it was, all else by `encoding`.
 *
 * All methods throw a `TypeError` (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`) or a `RangeError`
 * (`ERR_OUT_OF_RANGE`) where an argument is wrong; `ERR_SHM_DETACHED` where the map was closed; `ERR_SHM_SHRUNK` where a
 * part of its segment was cut off; `ERR_SHM_DAMAGED` where its bytes contradict each other.
 */
export class SharedMap<V = unknown> {
  /** How many bytes of memory are enough for so many entries, with keys and values of so many bytes. */
  static memoryFor(options: { entries: number; key: number; value: number }): number;
  /**
   * Opens the map of a key; creates it where there is none, if the options give its `memory`. Several processes may do
   * so at the same moment.
   *
   * @param key An integer or a POSIX name, as for `create`.
   * @throws {Error} `ERR_SHM_FRESH`: there is none. `ERR_SHM_OPTIONS`: it was made with others. `ERR_SHM_VERSION`: by
   * another version of the library. `ERR_SHM_FOREIGN`: something else is there. `ERR_SHM_ENCODING`: `'v8'` on a runtime
   * whose bytes are not Node's. The system's errors, as of `create` and `get`
   */
  constructor(key: string | number, options?: MapOptions);
  /** Creates a map under a random key. */
  constructor(options: MapOptions & { memory: number });
  /** What other processes and worker threads open it by. */
  readonly key: string | number;
  /** How many entries there are; those that have expired, or were invalidated, may be among them. */
  readonly size: number;
  /** The size of all of it in bytes. */
  readonly memory: number;
  /**
   * A value of your own; with `near`, perhaps one that was given before, frozen.
   *
   * @throws {Error} `ERR_SHM_ENCODING`: this runtime cannot decode it
   */
  get(key: string): V | undefined;
  has(key: string): boolean;
  /**
   * Copies the bytes of a value: of a string, or of what has an encoding, its UTF-8.
   *
   * @returns How many bytes; -1: there is no such entry.
   * @throws {RangeError} `ERR_OUT_OF_RANGE`: they do not fit; nothing of use is in the target then
   */
  getInto(key: string, target: Uint8Array): number;
  /**
   * Shows the bytes of a value where they lie, without a copy, while `use` runs. It may see torn bytes, where others
   * write meanwhile: then it is called again, and what it threw or gave does not count. After three times it gets a copy.
   * Never write to the bytes, and do not keep them.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`: `use` gave a promise
   */
  view<T>(key: string, use: (bytes: Uint8Array) => T): T | undefined;
  /** As `get`, with what else is known of the entry; never a value of `near`. */
  getEntry(key: string): Entry<V> | undefined;
  /**
   * @throws {Error} `EBUSY`: another writer of the shard held it for all of `lockTimeout`. `ERR_SHM_FULL`: the map keeps
   * what it has, and is full. `ERR_SHM_READ_ONLY`. Whatever it throws, nothing was changed; so too for all that write
   */
  set(key: string, value: V, options?: EntryOptions): this;
  /** Writes an entry if there is none; tells whether it did. */
  add(key: string, value: V, options?: EntryOptions): boolean;
  /** Writes an entry if it has this version still; tells whether it did. */
  replace(key: string, version: number, value: V, options?: EntryOptions): boolean;
  /** Removes an entry; tells whether there was one. */
  delete(key: string): boolean;
  /** Removes all entries in one step: once it has returned, no process finds an older one. */
  clear(): void;
  /** Sets how many milliseconds an entry is valid from now on; tells whether there is one. */
  touch(key: string, ttl: number): boolean;
  /**
   * Adds to a number, and gives what it is then. One that there is not is 0, and gets the `ttl`.
   *
   * @param by A safe integer. Default: 1.
   * @throws {Error} `ERR_SHM_NOT_A_NUMBER`: the entry, or the sum, is not a safe integer
   */
  increment(key: string, by?: number, options?: { ttl?: number }): number;
  /** The same, with when it expires. */
  incrementEntry(key: string, by?: number, options?: { ttl?: number }): { value: number; expires: number | undefined };
  /**
   * Gives an entry; where there is none, one process of all loads it, and the others wait for that. All get what `get`
   * would give.
   *
   * What throws in `load` rejects for those who wait in this thread; nothing is stored then, and one who waits elsewhere
   * loads. undefined, and what does not fit, is given and not stored. So is what was loaded while somebody wrote, deleted
   * or invalidated the entry.
   */
  getOrSet(key: string, load: (key: string) => V | Promise<V>, options?: LoadOptions): Promise<V>;
  /** Removes all entries with one of these tags, in one step for each tag. */
  invalidateTag(...tags: string[]): void;
  /**
   * What is there from begin to end, exactly once, in no order; what comes or goes meanwhile once or not at all. Nothing
   * is locked.
   */
  keys(): IterableIterator<string>;
  values(): IterableIterator<V>;
  entries(): IterableIterator<[string, V]>;
  [Symbol.iterator](): IterableIterator<[string, V]>;
  forEach(callback: (value: V, key: string, map: this) => void, thisArg?: unknown): void;
  stats(): MapStats;
  /** Ends this object, and no other of the same map. A map that nobody has open is gone, unless it persists. */
  close(): void;
  [Symbol.dispose](): void;
}
