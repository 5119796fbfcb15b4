import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** How many requests of a client were counted in this window, and when the window ends. */
export interface RateLimitInfo {
  totalHits: number;
  resetTime: Date;
}

/**
 * A store for express-rate-limit, whose counts all processes share: `rateLimit({ store: new RateLimitStore({ … }) })`.
 * Each limiter needs its own store, with its own prefix.
 *
 * The methods throw the errors of the map. `ERR_SHM_FULL` fails the request, or lets it pass if the limiter has
 * `passOnStoreError: true`.
 */
export class RateLimitStore {
  /** Default prefix: 'rl:'. A map that the store opens does not evict, unless the options say so. */
  constructor(options: PlaceOptions);
  readonly map: SharedMap;
  readonly prefix: string;
  readonly localKeys: boolean;
  init(options: { windowMs: number }): void;
  get(key: string): RateLimitInfo | undefined;
  increment(key: string): RateLimitInfo;
  decrement(key: string): void;
  resetKey(key: string): void;
  /** Removes the counts under the prefix only. */
  resetAll(): void;
  /** Closes the map if the store opened it. */
  shutdown(): void;
}
