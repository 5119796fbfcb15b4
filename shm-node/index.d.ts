/// <reference types="node" />

/**
 * The array types of views, by name. They are over an `ArrayBuffer`, never a `SharedArrayBuffer`: if the compiler
 * distinguishes the two (TypeScript 5.9), the types are those of `new`, for example `Float32Array<ArrayBuffer>`.
 */
export interface Views {
  Buffer: ReturnType<typeof Buffer.alloc>;
  Int8Array: ReturnType<Int8ArrayConstructor['of']>;
  Uint8Array: ReturnType<Uint8ArrayConstructor['of']>;
  Uint8ClampedArray: ReturnType<Uint8ClampedArrayConstructor['of']>;
  Int16Array: ReturnType<Int16ArrayConstructor['of']>;
  Uint16Array: ReturnType<Uint16ArrayConstructor['of']>;
  Int32Array: ReturnType<Int32ArrayConstructor['of']>;
  Uint32Array: ReturnType<Uint32ArrayConstructor['of']>;
  Float32Array: ReturnType<Float32ArrayConstructor['of']>;
  Float64Array: ReturnType<Float64ArrayConstructor['of']>;
  BigInt64Array: ReturnType<BigInt64ArrayConstructor['of']>;
  BigUint64Array: ReturnType<BigUint64ArrayConstructor['of']>;
  /** Node 24 and later. Its type is `never` if the TypeScript `lib` lacks it. */
  Float16Array: typeof globalThis extends { Float16Array: { of(...items: number[]): infer A } } ? A : never;
}

// The types of the constructors' prototypes.
interface Classes {
  Buffer: Buffer;
  Int8Array: Int8Array;
  Uint8Array: Uint8Array;
  Uint8ClampedArray: Uint8ClampedArray;
  Int16Array: Int16Array;
  Uint16Array: Uint16Array;
  Int32Array: Int32Array;
  Uint32Array: Uint32Array;
  Float32Array: Float32Array;
  Float64Array: Float64Array;
  BigInt64Array: BigInt64Array;
  BigUint64Array: BigUint64Array;
  Float16Array: typeof globalThis extends { Float16Array: { prototype: infer A } } ? A : never;
}

/** The number of each array type. */
export const BufferType: {
  readonly Buffer: 0;
  readonly Int8Array: 1;
  readonly Uint8Array: 2;
  readonly Uint8ClampedArray: 3;
  readonly Int16Array: 4;
  readonly Uint16Array: 5;
  readonly Int32Array: 6;
  readonly Uint32Array: 7;
  readonly Float32Array: 8;
  readonly Float64Array: 9;
  readonly BigInt64Array: 10;
  readonly BigUint64Array: 11;
  readonly Float16Array: 12;
};

export const SHMBT_BUFFER: 0;
export const SHMBT_INT8: 1;
export const SHMBT_UINT8: 2;
export const SHMBT_UINT8CLAMPED: 3;
export const SHMBT_INT16: 4;
export const SHMBT_UINT16: 5;
export const SHMBT_INT32: 6;
export const SHMBT_UINT32: 7;
export const SHMBT_FLOAT32: 8;
export const SHMBT_FLOAT64: 9;
export const SHMBT_BIGINT64: 10;
export const SHMBT_BIGUINT64: 11;
export const SHMBT_FLOAT16: 12;

/** The largest size in bytes that `create(size, type)` takes: 0x7fffffff, or 0x3fffffff on 32-bit systems. */
export const SizeMax: number;

export type TypeName = keyof Views;
export type TypeNumber = (typeof BufferType)[TypeName];
export type TypeConstructor = { readonly prototype: Classes[TypeName] };

/** A `BufferType` number, the name of an array type, or its constructor. */
export type Type = TypeName | TypeNumber | TypeConstructor;

/** The array type that a `Type` stands for. */
export type ViewOf<T extends Type> = T extends TypeName
  ? Views[T]
  : T extends TypeNumber
    ? { [N in TypeName]: (typeof BufferType)[N] extends T ? Views[N] : never }[TypeName]
    : T extends typeof Buffer // whose prototype has no type
      ? Views['Buffer']
      : T extends { readonly prototype: infer A }
        ? { [N in TypeName]: [A, Classes[N]] extends [Classes[N], A] ? Views[N] : never }[TypeName]
        : never;

/**
 * Which system interface holds a segment. Windows has only `'windows'`, and no other system has it. (It is tested
 * under Wine 10. The tests have not yet been run on Windows itself.)
 */
export type Backend = 'sysv' | 'posix' | 'windows';

/**
 * The key of a segment. An integer from 1 to 2^32 - 1 is a System V key, the same 32 bits that `shmget` takes.
 * A string of at most 255 bytes is a POSIX name, without NUL and without a slash except a leading one, which you may
 * leave out. On Windows both are names of sections, without a backslash and of at most 230 bytes; an integer stands for
 * `shm-node-%08x`.
 */
export type Key = number | string;

/** The type of a segment's key: the type of the key that you passed, or number if the library chose it. */
export type KeyOf<K> = K extends string ? string : number;

/**
 * An array over a segment. All processes see what one of them writes. After a detach it is empty (`length` 0), and
 * reading it is safe. If others may write meanwhile, copy it before you decode text or sort: `toString`, `TextDecoder`
 * and `sort` without a function may end the process if the bytes change (`Buffer.from(view).toString()`).
 */
export type Shared<A, K = number> = A & {
  /** The key; send it to another process. A POSIX name has its leading slash. */
  readonly key: K;
  /** Detaches the segment, so that `using view = …` does at the end of its block. */
  [Symbol.dispose](): void;
};

/** An attached segment without a view, for `read` and `write`. */
export interface Attachment<K = number> {
  readonly key: K;
  /** Bytes. */
  readonly size: number;
}

type Held<T extends Type, K, V extends boolean> = V extends false
  ? Attachment<KeyOf<K>>
  : Shared<ViewOf<T>, KeyOf<K>>;

type Extent =
  | {
      /** Bytes: at least 1, a multiple of the element's size, at most `buffer.constants.MAX_LENGTH`. */
      size: number;
      length?: undefined;
    }
  | {
      /** Elements: at least 1. */
      length: number;
      size?: undefined;
    };

export type CreateOptions<
  T extends Type = 'Buffer',
  K extends Key | undefined = Key | undefined,
  V extends boolean = boolean,
> = object & Extent & {
  /** What the view is. Default: `'Buffer'`. */
  type?: T;
  /** Default: a random integer that is free, 1 to 2^31 - 1. */
  key?: K;
  /** Permission bits, as a number from 0 to 0o777 or an octal string. Default: 0o600, whatever the umask. */
  mode?: number | string;
  /** Default: `'posix'` for a string key, else `'sysv'` where it is built in; on Windows `'windows'`. */
  backend?: Backend;
  /**
   * Keep the segment when no process holds it, until it is destroyed. Default: false. `ENOTSUP` on System V if
   * `kernel.shm_rmid_forced` is 1, and on Windows.
   */
  persist?: boolean;
  /** Reserve room for all of it now, so that no later write can fail. Default: true. Windows always does. */
  reserve?: boolean;
  /** Ask for huge pages where the system allows them. Default: false. Without effect on Windows. */
  hugePages?: boolean;
  /**
   * Map all pages now, so that the first touch of a page is fast. Default: false. `EFAULT` if there is no room for a
   * page (only with `reserve: false`), `ENOTSUP` before Linux 5.14 and on macOS.
   */
  populate?: boolean;
  /** false: attach without a view, and copy with `read` and `write`. Default: true. */
  view?: V;
};

export interface GetOptions<T extends Type = 'Buffer', K extends Key = Key, V extends boolean = boolean> {
  key: K;
  /** What the view is. Default: `'Buffer'`. */
  type?: T;
  /** Default, for an integer: the backend of an attached segment with this key; then System V, then POSIX. */
  backend?: Backend;
  /** POSIX and Windows: writes to the view stay private to it and never reach the segment. Default: false. */
  readOnly?: boolean;
  /** Map all pages now, as for `create`, even if the segment is attached already. Default: false. */
  populate?: boolean;
  /** false: attach without a view, and copy with `read` and `write`. Default: true. */
  view?: V;
}

/**
 * A segment: its key, a view of it, an attachment without a view, or a key with its backend. For an integer without a
 * backend, the library looks first among the segments that this thread has attached, then on System V, then on POSIX. A
 * string of digits is refused. A view and an attachment mean their own segment, and no segment after the detach.
 */
export type Target = Key | ArrayBufferView | { readonly key: Key; readonly backend?: Backend };

/**
 * Creates a segment of `size` bytes under a random integer key, filled with zeros, and attaches it. When the process
 * ends, it prints how many segments created in this form it destroyed; `SHM_NODE_QUIET=1` silences that line.
 *
 * @param size Bytes: 1 to `SizeMax`, a multiple of the element's size.
 * @param type What the view is. Default: `BufferType.Buffer`.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws {Error} with `code`, `errno`, `syscall` and `key`: `ENOSPC`, `EDQUOT` and `ENOMEM` (no room), `EACCES`,
 * `EINVAL` (over the system's own limit), `EBUSY` (another process held the key's lock for a second)
 */
export function create<T extends Type = 'Buffer'>(size: number, type?: T): Shared<ViewOf<T>, number>;

/**
 * Creates a segment, filled with zeros, and attaches it. Nothing is printed at the end of the process.
 *
 * @returns The view, or `{ key, size }` with `view: false`; null if the key is taken.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 * @throws {Error} as above; `ERR_SHM_NO_EXTERNAL_BUFFERS` in a runtime where only `view: false` works (Electron)
 */
export function create<
  T extends Type = 'Buffer',
  K extends Key | undefined = undefined,
  V extends boolean = true,
>(options: CreateOptions<T, K, V>): Held<T, K, V> | ([K] extends [undefined] ? never : null);

/**
 * Attaches the segment of a key. A second `get` in the same thread gives another view of the same memory.
 *
 * @param target A key, or a view of the segment.
 * @param type What the view is: as many whole elements as the segment holds. Default: `BufferType.Buffer`.
 * @returns The view; null if there is no such segment.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`: a bad key, or a segment that is too large for a buffer of this runtime
 * @throws {Error} with `code`, `errno`, `syscall` and `key`: `EACCES`, `EAGAIN` (its creator has not set its size yet),
 * `EBUSY` (another process held the key's lock for a second)
 */
export function get<K extends Key, T extends Type = 'Buffer'>(
  target: K | (ArrayBufferView & { readonly key: K }),
  type?: T,
): Shared<ViewOf<T>, KeyOf<K>> | null;

/**
 * Attaches the segment of a key.
 *
 * @returns The view, or `{ key, size }` with `view: false`; null if there is no such segment.
 * @throws as above; `ENOTSUP` for `readOnly` on System V
 */
export function get<K extends Key, T extends Type = 'Buffer', V extends boolean = true>(
  options: GetOptions<T, K, V>,
): Held<T, K, V> | null;

/**
 * Detaches a segment from this thread: every view of it here is empty from then on. Given a view, it detaches the
 * attachment of that view. The last holder destroys a segment that this library created, unless it persists. Native
 * code that still reads the memory, such as a write in flight, reads zeros from then on.
 *
 * @returns 0: the segment is gone. n > 0: it still exists, with n holders (System V; on POSIX always 1, a lower bound).
 * -1: this thread did not hold it.
 * @throws {TypeError | RangeError} a bad key, or a view that is not over a segment
 */
export function detach(target: Target): number;

/**
 * Detaches every segment that this thread holds. Runs by itself when the process or a worker thread ends.
 *
 * @returns How many segments that destroyed.
 */
export function detachAll(): number;

/**
 * Copies bytes of an attached segment, from `offset` on, into `target`, up to the end of `target` or of the segment.
 *
 * @param offset Bytes from the start of the segment: 0 to 2^53 - 1.
 * @returns How many bytes were copied; 0 at the end of the segment.
 * @throws {Error} `ERR_SHM_NOT_ATTACHED`: `create` or `get` it first. `ERR_SHM_SHRUNK`: a part of it was cut off by
 *   another process, or had no room (`reserve: false`), and reads as zeros: `detach` it, and `get` it anew
 */
export function read(segment: Target, offset: number, target: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): number;

/**
 * Copies `source` into an attached segment, from `offset` on, as far as the segment goes.
 *
 * @param offset Bytes from the start of the segment: 0 to 2^53 - 1.
 * @returns How many bytes were copied; 0 at the end of the segment.
 * @throws {Error} `ERR_SHM_NOT_ATTACHED`: `create` or `get` it first. `ERR_SHM_SHRUNK`: as `read`
 * @throws {TypeError} `ERR_INVALID_ARG_VALUE`: it is attached read-only
 */
export function write(segment: Target, offset: number, source: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): number;

/**
 * Removes a segment now, even if processes hold it or another program made it. Holders keep their memory; the key is
 * free.
 *
 * @returns Whether there was one. A name in `/dev/shm` that is no regular file is no segment, and stays.
 * @throws {Error} with `code` `EPERM` or `EACCES`: it belongs to another user
 */
export function destroy(target: Target): boolean;

export interface SegmentInfo {
  key: Key;
  backend: Backend;
  /** Bytes. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** The user that owns it. */
  uid: number;
  /** The group that owns it. */
  gid: number;
  /** How many mappings of it there are; null on POSIX, where the system does not count them. */
  holders: number | null;
  /** The process that created it, where that is known. */
  creator: number | null;
  created: Date | null;
  /**
   * `'held'`: created by this user with this library, and held. `'orphan'`: the same, but no process holds it: the next
   * sweep frees it. `'persistent'`: created with `persist`. `'foreign'`: created by another program or another user.
   */
  state: 'held' | 'orphan' | 'persistent' | 'foreign';
}

/** Every segment that has a key, of all users and both backends. */
export function list(): SegmentInfo[];

/**
 * Describes a segment, without attaching it; null if there is none.
 *
 * @throws {Error} `ERR_SHM_SHRUNK`, given a view: as `read`. Given the key, `info` returns the size that it has now
 */
export function info(target: Target): SegmentInfo | null;

/**
 * Destroys the segments that this user's processes created and that no process holds: killed processes leave them
 * behind. Runs by itself on the first `create` or `get` of a process, and when the process ends.
 *
 * @returns How many segments it destroyed.
 */
export function sweep(): number;
