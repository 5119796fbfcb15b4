import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** An object of the class that Next.js uses as its `cacheHandler`. */
export interface NextCacheHandler {
  get(key: string, context?: object): Promise<any>;
  /** Rejects with the errors of the map, which Next.js logs: a value for which there is no room is not kept. */
  set(key: string, value: any, context?: object): Promise<void>;
  /**
   * Revalidates tags for all processes. With `expire` (in seconds), an entry with one of the tags is still returned, as
   * stale, until that time is over or until the entry was made again.
   */
  revalidateTag(tags: string | string[], durations?: { expire?: number }): Promise<void>;
  resetRequestCache(): void;
}

/**
 * Returns the class for `cacheHandler` in next.config.js, of Next.js 15 or 16. All processes share its cache of pages,
 * of the answers of route handlers, and of the results of `fetch` and `unstable_cache`. The file that next.config.js
 * names contains `module.exports = cacheHandler({ key: '/shop', memory: 64 << 20 })`. Default prefix: 'next:'.
 *
 * While Next.js builds, each process has a map of its own.
 */
export function cacheHandler(options: PlaceOptions): { new (context?: object): NextCacheHandler; readonly map: SharedMap };

/** The methods that Next.js calls on a handler of `use cache`. */
export interface NextUseCacheHandler {
  readonly map: SharedMap;
  get(key: string, softTags: string[]): Promise<any>;
  /** If there is no room for the entry, warns and does not keep it. */
  set(key: string, entry: Promise<any>): Promise<void>;
  refreshTags(): Promise<void>;
  /** Infinity, because `get` checks all tags itself. */
  getExpiration(tags: string[]): Promise<number>;
  updateTags(tags: string[], durations?: { expire?: number }): Promise<void>;
}

/**
 * Returns a handler for `cacheHandlers` in next.config.js, of Next.js 16. All processes share the results of functions
 * and components with `use cache`. If the map and the prefix are those of the `cacheHandler`, a tag applies to both.
 */
export function useCacheHandler(options: PlaceOptions): NextUseCacheHandler;
