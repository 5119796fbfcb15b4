import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** How often a client was counted in this window, and when the window is over. */
export interface RateLimitInfo {
  totalHits: number;
  resetTime: Date;
}

/**
 * A store for express-rate-limit, whose counts all processes share: `rateLimit({ store: new RateLimitStore({ … }) })`.
 * Each limiter needs one of its own, with a prefix of its own.
 *
 * The methods throw the errors of the map's. `ERR_SHM_FULL` fails the request, or lets it pass where the limiter has
 * `passOnStoreError: true`.
 */
export class RateLimitStore {
  /** Default prefix: 'rl:'. A map of its own does not evict, unless the options say so. */
  constructor(options: PlaceOptions);
  readonly map: SharedMap;
  readonly prefix: string;
  readonly localKeys: boolean;
  init(options: { windowMs: number }): void;
  get(key: string): RateLimitInfo | undefined;
  increment(key: string): RateLimitInfo;
  decrement(key: string): void;
  resetKey(key: string): void;
  /** Removes all counts under the prefix, and nothing else. */
  resetAll(): void;
  /** Closes a map of its own. */
  shutdown(): void;
}
