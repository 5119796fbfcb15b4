import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** The parts of prom-client that are used. */
export interface PromClient {
  Counter: new (config: any) => any;
  Gauge: new (config: any) => any;
  Histogram: new (config: any) => any;
  Registry: new (...args: any[]) => any;
  register: any;
  collectDefaultMetrics: any;
}

export interface MetricsOptions {
  /**
   * Every how many milliseconds a metric with a `collect` is collected in this process. If another process answers a
   * scrape, the values of this process are at most that old. Infinity: only when this process answers. Default: 5000.
   */
  refresh?: number;
  /**
   * Called with the error if a value could not be written to the map, and so was not counted (for example
   * `ERR_SHM_FULL`), or if a `collect` threw. Default: a warning of the process, one for each code.
   */
  onError?: (error: any) => void;
}

/**
 * The classes of prom-client, with metrics that all processes share. You register them in prom-client's registries as
 * usual. `metrics()` in any process answers for all.
 *
 * All processes share the numbers of a counter or a histogram. These keep the counts of processes that have ended. A
 * gauge has a value in each process; the `aggregator` combines the values of the running processes. `reset` and
 * `remove` of a gauge apply to this process only.
 */
export interface SharedMetrics<C extends PromClient> {
  readonly Counter: C['Counter'];
  readonly Gauge: C['Gauge'];
  readonly Histogram: C['Histogram'];
  /** @throws {Error} `ERR_SHM_UNSUPPORTED`, always: quantiles of several processes cannot be combined */
  readonly Summary: new (...args: any[]) => never;
  /** That of prom-client, with metrics that all processes share. */
  readonly collectDefaultMetrics: C['collectDefaultMetrics'];
  readonly map: SharedMap;
  readonly prefix: string;
  /** Ends the refreshes. Closes the map if this call of `sharedMetrics` opened it. */
  close(): void;
}

/**
 * `const { Counter, Histogram } = sharedMetrics(require('prom-client'), { key: '/metrics', memory: 4 << 20 })`. Default
 * prefix: 'prom:'. A map that it opens does not evict, unless the options say so.
 *
 * The classes throw the errors of prom-client's classes. They throw `ERR_SHM_OPTIONS` if another process has a metric
 * of that name with another type or other buckets. Exemplars are not supported.
 */
export function sharedMetrics<C extends PromClient>(client: C, options: PlaceOptions & MetricsOptions): SharedMetrics<C>;
