import { MapOptions, SharedMap } from '../../map.js';

/** Where a store keeps what it has: in a map, or in one of its own, which is opened as `new SharedMap(key, options)` is. */
export type PlaceOptions = ({ map: SharedMap } | ({ map?: undefined; key: string | number } & MapOptions)) & {
  /** What all its keys begin with: one that no other's in the same map begins with. */
  prefix?: string;
};
