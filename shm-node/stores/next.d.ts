import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** What Next.js makes of the class that is its `cacheHandler`. */
export interface NextCacheHandler {
  get(key: string, context?: object): Promise<any>;
  /** Rejects with the errors of the map's, which Next.js logs: what has no room is not kept. */
  set(key: string, value: any, context?: object): Promise<void>;
  /** For all processes. With `expire`, what has the tags is given as old until then, or until it was made anew. */
  revalidateTag(tags: string | string[], durations?: { expire?: number }): Promise<void>;
  resetRequestCache(): void;
}

/**
 * The class for `cacheHandler` of next.config.js, 15 or 16: pages, what route handlers answer and what `fetch` and
 * `unstable_cache` gave are one for all processes. The file that it names has
 * `module.exports = cacheHandler({ key: '/shop', memory: 64 << 20 })`. Default prefix: 'next:'.
 *
 * While Next.js builds, each process has a map of its own.
 */
export function cacheHandler(options: PlaceOptions): { new (context?: object): NextCacheHandler; readonly map: SharedMap };

/** What Next.js asks a handler of `use cache`. */
export interface NextUseCacheHandler {
  readonly map: SharedMap;
  get(key: string, softTags: string[]): Promise<any>;
  /** Warns of what has no room, and does not keep it. */
  set(key: string, entry: Promise<any>): Promise<void>;
  refreshTags(): Promise<void>;
  /** Infinity: `get` looks at all tags. */
  getExpiration(tags: string[]): Promise<number>;
  updateTags(tags: string[], durations?: { expire?: number }): Promise<void>;
}

/**
 * A handler for `cacheHandlers` of next.config.js, 16: what has `use cache` is one for all processes. With the same map
 * and prefix, a tag is one for this and the `cacheHandler`.
 */
export function useCacheHandler(options: PlaceOptions): NextUseCacheHandler;
