import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/**
 * A storage adapter for Keyv 5 and 6: `new Keyv({ store: new KeyvSharedMap({ map }) })`. Each Keyv needs one of its own.
 *
 * The methods reject with the errors of the map's. Keyv emits them as `error`.
 */
export class KeyvSharedMap {
  /** Default prefix: 'keyv:'. */
  constructor(options: PlaceOptions);
  readonly map: SharedMap;
  /** What Keyv 5 sets. */
  namespace: string | undefined;
  /** What Keyv 5 looks at. */
  opts: object;
  get(key: string): Promise<any>;
  has(key: string): Promise<boolean>;
  /** @param ttl Milliseconds. Default: that of the map object. */
  set(key: string, value: unknown, ttl?: number): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  /** Removes what is in the namespace, or under the prefix where there is none; nothing else. */
  clear(): Promise<void>;
  iterator(): AsyncGenerator<[string, any], void>;
  /** Closes a map of its own. */
  disconnect(): Promise<void>;
}
