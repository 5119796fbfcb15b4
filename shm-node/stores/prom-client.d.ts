import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/** What is used of prom-client. */
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
   * Milliseconds from one `collect` of a metric in this process to the next: so old are its values at most where another
   * process answers. Infinity: only when this process answers. Default: 5000.
   */
  refresh?: number;
  /**
   * Is told of what could not be written to the map, `ERR_SHM_FULL` say, and so was not counted, and of what a `collect`
   * threw meanwhile. Default: a warning of the process, one for each code.
   */
  onError?: (error: any) => void;
}

/**
 * Classes of prom-client's whose metrics all processes share. Its registries take them as their own, and `metrics()` in
 * any process answers for all.
 *
 * A counter and a histogram are one for all, and keep what dead processes counted. A gauge has a value in each process;
 * the `aggregator` makes one of those of the processes that live. `reset` and `remove` of a gauge are of this process.
 */
export interface SharedMetrics<C extends PromClient> {
  readonly Counter: C['Counter'];
  readonly Gauge: C['Gauge'];
  readonly Histogram: C['Histogram'];
  /** @throws {Error} `ERR_SHM_UNSUPPORTED`, always: quantiles do not add up */
  readonly Summary: new (...args: any[]) => never;
  /** prom-client's, with metrics that are shared. */
  readonly collectDefaultMetrics: C['collectDefaultMetrics'];
  readonly map: SharedMap;
  readonly prefix: string;
  /** Ends refreshing, and closes a map of its own. */
  close(): void;
}

/**
 * `const { Counter, Histogram } = sharedMetrics(require('prom-client'), { key: '/metrics', memory: 4 << 20 })`. Default
 * prefix: 'prom:'. A map of its own does not evict, unless the options say so.
 *
 * The classes throw what prom-client's do, and `ERR_SHM_OPTIONS` where another process has a metric of that name and of
 * another type or other buckets. Exemplars are refused.
 */
export function sharedMetrics<C extends PromClient>(client: C, options: PlaceOptions & MetricsOptions): SharedMetrics<C>;
