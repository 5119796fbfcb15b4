import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/**
 * A storage adapter for Keyv 5 and 6: `new Keyv({ store: new KeyvSharedMap({ map }) })`. Each Keyv needs its own
 * adapter.
 *
 * The methods reject with the errors of the map. Keyv emits them as `error`.
 */
export class KeyvSharedMap {
  /** Default prefix: 'keyv:'. */
  constructor(options: PlaceOptions);
  readonly map: SharedMap;
  /** Keyv 5 sets it. */
  namespace: string | undefined;
  /** Keyv 5 reads it. */
  opts: object;
  get(key: string): Promise<any>;
  has(key: string): Promise<boolean>;
  /** @param ttl Milliseconds. Default: the `ttl` of the map object. */
  set(key: string, value: unknown, ttl?: number): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  /** Removes the entries of the namespace only; without one, those under the prefix. */
  clear(): Promise<void>;
  iterator(): AsyncGenerator<[string, any], void>;
  /** Closes the map if the store opened it. */
  disconnect(): Promise<void>;
}
