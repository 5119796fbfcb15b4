/// <reference types="node" />

/** One map for all processes of a machine: a cache without a server, or a table. On macOS it has never run. */

/** The options of a map. To open an existing map, pass the values it was created with, or leave them out. */
export interface MapOptions {
  /** The size of the whole map in bytes, with its index: 32 KiB or more. Required to create a map. */
  memory?: number;
  /** The number of keys for which the index always has room. Default: one for each 160 bytes of memory. */
  entries?: number;
  /** true: evict entries to make room (S3-FIFO). false: throw `ERR_SHM_FULL` if there is no room. Default: true. */
  evict?: boolean;
  /** The longest value in bytes. Default: a quarter of a shard's main ring; half of that with `evict: false`. */
  maxValue?: number;
  /** The number of parts. Each part has one writer at a time. A power of two, 1 to 1024. */
  shards?: number;
  /** The number of tags that the map can distinguish: 1 to 2^24. Default: 4096, and less below 1 MiB. */
  tagSlots?: number;
  /** For how many milliseconds an entry is valid, if the call has no `ttl`. Default: Infinity. */
  ttl?: number;
  /** How this object writes values that are not a string, number, bigint, boolean, null or bytes. Default: 'json'. */
  encoding?: 'json' | 'v8' | 'bytes';
  /** How many parsed JSON values this object keeps, frozen, to return them again until they change. Default: 0. */
  near?: number;
  /** How many milliseconds a write waits for another writer of the same shard. Default: 100. */
  lockTimeout?: number;
  /** Permission bits of a new map, a number or an octal string. Default: 0o600. */
  mode?: number | string;
  backend?: 'sysv' | 'posix' | 'windows';
  /** Keep a new map when no process has it open, until `destroy(key)`. Default: false. `ENOTSUP` on Windows. */
  persist?: boolean;
  /** Ask for huge pages. Default: false. */
  hugePages?: boolean;
  /** Open for reading only, on POSIX and Windows. Every write throws `ERR_SHM_READ_ONLY`. Default: false. */
  readOnly?: boolean;
}

export interface EntryOptions {
  /** For how many milliseconds the entry is valid, above 0; Infinity: until it is deleted. Default: the map's `ttl`. */
  ttl?: number;
  /** Names by which the entry can be invalidated: at most 128, of at most 256 characters each. */
  tags?: readonly string[];
}

export interface LoadOptions extends EntryOptions {
  /** For how many milliseconds after its expiry the old value is returned, while one process loads. Default: 0. */
  stale?: number;
  /** Ends the wait, but not the load: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** After how many milliseconds another process may load the entry too. Default: 30,000. */
  loadTimeout?: number;
}

export interface Entry<V> {
  value: V;
  /** A number that changes with each change of the value, and is never used twice. */
  version: number;
  /** When it expires, in milliseconds since 1970 as `Date.now()` has them; undefined: never. */
  expires: number | undefined;
}

/** The sums over all processes since the map was created. */
export interface MapStats {
  /** The number of entries. It may include entries that have expired or were invalidated. */
  entries: number;
  /** The size of the map in bytes. */
  memory: number;
  /** How many bytes the entries take, with their headers and keys. */
  used: number;
  /** How often an entry was written. */
  sets: number;
  /** How many entries were evicted to make room. */
  evictions: number;
  /** How many entries were removed because they had expired or were invalidated. */
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
 * of at most 1 KiB of UTF-8. Readers take no lock. A string, number, boolean, null, bigint, Buffer or Uint8Array keeps
 * its type; other values are written as `encoding` says.
 *
 * All methods throw a `TypeError` (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`) or a `RangeError`
 * (`ERR_OUT_OF_RANGE`) if an argument is wrong; `ERR_SHM_DETACHED` if the map was closed; `ERR_SHM_SHRUNK` if a part of
 * its segment was cut off; `ERR_SHM_DAMAGED` if its bytes contradict each other.
 */
export class SharedMap<V = unknown> {
  /**
   * How many bytes are enough for `entries` entries, with keys of `key` bytes and values of `value` bytes, in a map with
   * so many `shards`, or else the default number.
   */
  static memoryFor(options: { entries: number; key: number; value: number; shards?: number }): number;
  /**
   * Opens the map of a key. If there is none, and the options have `memory`, creates it. Several processes may do so at
   * the same moment.
   *
   * @param key An integer or a POSIX name, as for `create`.
   * @throws {Error} `ERR_SHM_FRESH`: there is none, and no `memory`. `ERR_SHM_OPTIONS`: it has other options.
   * `ERR_SHM_VERSION`: it has another layout. `ERR_SHM_FOREIGN`: the segment is no map. `ERR_SHM_ENCODING`: `'v8'` on a
   * runtime whose format differs from Node's. The system's errors, as from `create` and `get`
   */
  constructor(key: string | number, options?: MapOptions);
  /** Creates a map under a random key. */
  constructor(options: MapOptions & { memory: number });
  /** The key by which other processes and worker threads open it. */
  readonly key: string | number;
  /** The number of entries. It may include entries that have expired or were invalidated. */
  readonly size: number;
  /** The size of the whole map in bytes. */
  readonly memory: number;
  /**
   * A new copy of the value; with `near`, perhaps the same frozen object again.
   *
   * @throws {Error} `ERR_SHM_ENCODING`: this runtime cannot decode it
   */
  get(key: string): V | undefined;
  has(key: string): boolean;
  /**
   * Copies the bytes of a value to the start of `target`. The bytes of a string or of a JSON value are UTF-8.
   *
   * @returns How many bytes; -1: there is no such entry.
   * @throws {RangeError} `ERR_OUT_OF_RANGE`: they do not fit; the content of the target is undefined then
   */
  getInto(key: string, target: Uint8Array): number;
  /**
   * Calls `use` with the bytes of a value in place, without a copy. If another process overwrites them meanwhile, the
   * result or the exception of that call is ignored, and `use` is called again. After three such calls it gets a copy.
   * Never write to the bytes, do not keep them, and copy them before you decode text or sort.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`: `use` returned a promise
   */
  view<T>(key: string, use: (bytes: Uint8Array) => T): T | undefined;
  /** As `get`, with the version and the expiry of the entry; never an object that `near` keeps. */
  getEntry(key: string): Entry<V> | undefined;
  /**
   * Writes an entry.
   *
   * @throws {Error} `EBUSY`: another writer of the shard held it for longer than `lockTimeout`. `ERR_SHM_FULL`: the map
   * does not evict, and is full. `ERR_SHM_READ_ONLY`. If it throws, nothing was changed. All methods that write throw
   * these errors
   */
  set(key: string, value: V, options?: EntryOptions): this;
  /** Writes an entry if there is none; returns whether it did. */
  add(key: string, value: V, options?: EntryOptions): boolean;
  /** Writes an entry if it still has this version; returns whether it did. */
  replace(key: string, version: number, value: V, options?: EntryOptions): boolean;
  /** Removes an entry; returns whether there was one. */
  delete(key: string): boolean;
  /** Removes all entries in one step: after it has returned, no process finds an older one. */
  clear(): void;
  /** Sets for how many milliseconds an entry is valid from now on; returns whether there is one. */
  touch(key: string, ttl: number): boolean;
  /**
   * Adds to a number, and returns the sum. A missing entry counts as 0; only a new entry gets the `ttl`.
   *
   * @param by A safe integer. Default: 1.
   * @throws {Error} `ERR_SHM_NOT_A_NUMBER`: the entry, or the sum, is not a safe integer
   */
  increment(key: string, by?: number, options?: { ttl?: number }): number;
  /** The same, with the time of expiry. */
  incrementEntry(key: string, by?: number, options?: { ttl?: number }): { value: number; expires: number | undefined };
  /**
   * Returns the value of an entry. If there is none, exactly one process loads it, and the others wait for the result.
   * All callers get what `get` would return.
   *
   * If `load` throws, the callers in this thread get that error, and nothing is stored. In other threads and processes,
   * one of the waiting callers then calls its own `load`. If `load` returns undefined or a value that does not fit, or
   * if the entry was written, deleted or invalidated meanwhile, the callers get the loaded value, but it is not stored.
   */
  getOrSet(key: string, load: (key: string) => V | Promise<V>, options?: LoadOptions): Promise<V>;
  /** Removes all entries with one of these tags, in one step for each tag. */
  invalidateTag(...tags: string[]): void;
  /**
   * Visits every entry that exists during the whole iteration exactly once, in no particular order. An entry that is
   * added or removed meanwhile is visited once or not at all. Nothing is locked.
   */
  keys(): IterableIterator<string>;
  values(): IterableIterator<V>;
  entries(): IterableIterator<[string, V]>;
  [Symbol.iterator](): IterableIterator<[string, V]>;
  forEach(callback: (value: V, key: string, map: this) => void, thisArg?: unknown): void;
  stats(): MapStats;
  /** Ends this object only. A map that no process has open is freed, unless it persists. */
  close(): void;
  [Symbol.dispose](): void;
}
