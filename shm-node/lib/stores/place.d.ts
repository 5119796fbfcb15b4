import { MapOptions, SharedMap } from '../../map.js';

/** The map of a store: an open one, or the key and options with which the store opens one, as `new SharedMap` does. */
export type PlaceOptions = ({ map: SharedMap } | ({ map?: undefined; key: string | number } & MapOptions)) & {
  /** All keys of the store begin with this. No prefix in the same map may begin with another one. */
  prefix?: string;
};
