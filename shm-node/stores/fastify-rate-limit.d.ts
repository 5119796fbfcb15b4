import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** What the plugin makes of the class that it is given. */
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
 * `fastify.register(rateLimit, { store: rateLimitStore({ … }) })`. Default prefix: 'rl:'. A map of its own does not evict,
 * unless the options say so.
 *
 * The errors of the map's go to the callback. `ERR_SHM_FULL` fails the request, or lets it pass where the plugin has
 * `skipOnError: true`.
 */
export function rateLimitStore(options: PlaceOptions): { new (options: object): RateLimitStore; readonly map: SharedMap };
