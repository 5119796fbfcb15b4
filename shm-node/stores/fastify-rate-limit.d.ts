import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** The stores that the plugin creates of the class. */
export interface RateLimitStore {
  incr(
    key: string,
    callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
    timeWindow: number,
    max: number,
  ): void;
  read(key: string, callback: (error: Error | null, result?: { current: number; ttl: number }) => void): void;
  child(route: object): RateLimitStore;
}

/**
 * The store class of @fastify/rate-limit, whose counts all processes share:
 * `fastify.register(rateLimit, { store: rateLimitStore({ … }) })`. Default prefix: 'rl:'. A map that the store
 * opens does not evict, unless the options say so.
 *
 * The callback gets the errors of the map. `ERR_SHM_FULL` fails the request, or lets it pass if the plugin has
 * `skipOnError: true`.
 */
export function rateLimitStore(options: PlaceOptions): { new (options: object): RateLimitStore; readonly map: SharedMap };
