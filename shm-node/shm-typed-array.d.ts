/// <reference types="node" />

// The API of shm-typed-array 0.1.1.

import type { TypeName, Views } from './index.js';

export type Shm<T> = T & {
  /** System V only: the key, to be sent to another process. */
  key?: number;
};

export type ShmMap = {
  [Name in Exclude<TypeName, 'BigInt64Array' | 'BigUint64Array' | 'Float16Array'>]: Shm<Views[Name]>;
};

/**
 * Creates a System V segment (integer key; without a key, a random one) or a POSIX object (string key).
 *
 * @param count Elements, not bytes: 1 to `LengthMax`.
 * @param typeKey Default: `'Buffer'`.
 * @param key 1 to 2^32 - 2, or a POSIX name.
 * @param perm Permissions in octal. Default: `'660'`.
 * @returns null if the key is taken.
 * @throws {Error} `Unknown type key`, or an error of the system: `EACCES`, `ENOSPC`, `ENOMEM`, `EBUSY`, …
 * @throws {RangeError} a count or a key that is out of range
 * @throws {TypeError} a string that is not a POSIX name
 */
export function create<K extends keyof ShmMap = 'Buffer'>(
  count: number,
  typeKey?: K,
  key?: number | string | null,
  perm?: string,
): ShmMap[K] | null;

/** As `create` with a string key. The object stays until it is destroyed. */
export function createPosix<K extends keyof ShmMap = 'Buffer'>(
  name: string,
  count: number,
  typeKey?: K,
  perm?: string,
): ShmMap[K] | null;

/**
 * Attaches a segment or an object; null if there is none.
 *
 * @throws {Error} `Unknown type key`; `ERR_SHM_SIZE_MISMATCH`: the first 8 bytes of the object are not its size;
 * `EAGAIN`: they are 0, because its creator has not written them yet; `EACCES` and other errors of the system
 * @throws {RangeError} a key that is out of range
 * @throws {TypeError} a string that is not a POSIX name
 */
export function get<K extends keyof ShmMap = 'Buffer'>(key: number | string, typeKey?: K): ShmMap[K] | null;

/** As `get` with a string key. */
export function getPosix<K extends keyof ShmMap = 'Buffer'>(name: string, typeKey?: K): ShmMap[K] | null;

/**
 * Detaches a segment or an object. A System V segment is destroyed when nobody holds it any more, a POSIX object only
 * with `forceDestroy`.
 *
 * @returns 0: destroyed. n > 0: detached, with n holders left (System V; always 1 on POSIX). -1: there was none.
 * @throws {Error} `EPERM`, `EACCES`: you were the last holder of a segment of another user
 * @throws {RangeError} a key that is out of range
 */
export function detach(key: number | string, forceDestroy?: boolean): number;

/** As `detach` with a string key. */
export function detachPosix(name: string, forceDestroy?: boolean): number;

/** As `detach(key, true)`. Returns whether a segment or an object was destroyed. */
export function destroy(key: number | string): boolean;

/** Detaches everything; returns how many System V segments that destroyed. Runs by itself when the process ends. */
export function detachAll(): number;

/** Bytes of shared memory that are attached now. */
export function getTotalSize(): number;

/** Bytes of shared memory that were created here and not destroyed since. */
export function getTotalCreatedSize(): number;

/** The largest number of elements that a segment can have; on Node 18 and 20, also the largest number of bytes. */
export const LengthMax: number;

/** The number of each array type. */
export const BufferType: { readonly [K in keyof ShmMap]: number };
