import { LoadOptions, SharedMap } from '../map.js';

export interface MemoizeOptions<A extends unknown[]> extends Omit<LoadOptions, 'signal'> {
  /** The map that keeps the results. */
  map: SharedMap;
  /** Returns the key of a call: a string that nothing else in the map uses. */
  key: (...args: A) => string;
}

/**
 * Returns an async function whose results all processes share. For each key, one process calls `fn`, and the others
 * wait for the result. All callers get what `map.get` would return. An error of `fn` is not kept, and neither is
 * undefined.
 */
export function memoize<A extends unknown[], R>(
  fn: (...args: A) => R,
  options: MemoizeOptions<A>,
): (...args: A) => Promise<Awaited<R>>;
