import { LoadOptions, SharedMap } from '../map.js';

export interface MemoizeOptions<A extends unknown[]> extends Omit<LoadOptions, 'signal'> {
  /** Where the results are kept. */
  map: SharedMap;
  /** Gives the key of a call: a string that tells it from all else in the map. */
  key: (...args: A) => string;
}

/**
 * An async function that gives what `fn` gave for the same key, in whichever process: one of them calls `fn`, and the
 * others wait for it. All get what `map.get` would give. What `fn` throws, and undefined, is not kept.
 */
export function memoize<A extends unknown[], R>(
  fn: (...args: A) => R,
  options: MemoizeOptions<A>,
): (...args: A) => Promise<Awaited<R>>;
