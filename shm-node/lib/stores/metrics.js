'use strict';

// Metrics of prom-client whose numbers are series of a map. prom-client's own classes check arguments, measure times
// and register the metrics. The numbers that these classes keep in this process are not used.

const errors = require('../sync/errors.js');

/**
 * The classes for a copy of prom-client. `attempt(write)` runs a write that must not fail its caller. `refresh(metric)`
 * is called for each metric with a `collect`.
 */
function metricsOver(client, series, attempt, refresh) {
  /** The series of a metric: shared, or of this owner only. It keeps its name when OpenMetrics renames the metric. */
  class Kept {
    #name;
    #labelNames;
    #sorted;
    #isOurs;

    constructor(metric, what, isOurs = false) {
      this.#name = metric.name;
      this.#labelNames = metric.labelNames;
      this.#sorted = [...metric.labelNames].sort();
      this.#isOurs = isOurs;
      try {
        this.#check(metric);
        series.define(metric.name, what);
      } catch (error) {
        // prom-client has registered it already, and every scrape would fail.
        for (const register of metric.registers) register.removeSingleMetric(metric.name);
        throw error;
      }
      if (metric.collect) refresh(metric);
    }

    #check({ enableExemplars, aggregator }) {
      if (enableExemplars) {
        throw errors.wrongValue('enableExemplars', true, 'is not supported for metrics that processes share');
      }
      if (this.#isOurs && !(aggregator in client.aggregators)) {
        const names = Object.keys(client.aggregators).join(', ');
        throw errors.wrongValue('aggregator', aggregator, `is not one of ${names}`);
      }
    }

    add(labels, terms) {
      attempt(() => series.add(this.#name, this.#textOf(labels), terms, this.#isOurs));
    }

    set(labels, numbers) {
      attempt(() => series.set(this.#name, this.#textOf(labels), numbers));
    }

    clear() {
      attempt(() => series.clear(this.#name, this.#isOurs));
    }

    remove(args) {
      const text = this.#textOf(labelsOf(this.#labelNames, args));
      attempt(() => series.delete(this.#name, text, this.#isOurs));
    }

    shared() {
      return series.shared(this.#name);
    }

    ofTheLiving() {
      return series.ofTheLiving(this.#name);
    }

    /** The text of labels in keys. */
    #textOf(given) {
      if (given === undefined || given === null) return '{}';
      let pairs = '';
      for (const name of this.#sorted) {
        if (!Object.hasOwn(given, name) || given[name] === undefined) continue;
        pairs += `${pairs === '' ? '' : ','}"${name}":${JSON.stringify(`${given[name]}`)}`;
      }
      return `{${pairs}}`;
    }
  }

  class Counter extends client.Counter {
    #kept;

    constructor(config) {
      super(config);
      this.#kept = new Kept(this, { type: 'counter' });
      const check = this.inc;
      this.inc = (labels, value) => {
        check.call(this, labels, value);
        const [given, by] = isObject(labels) ? [labels, value] : [undefined, labels];
        this.#kept.add(given, [by ?? 1]);
      };
      if (this.labelNames.length === 0) this.#kept.add(undefined, [0]);
    }

    async get() {
      const own = await super.get();
      if (!(#kept in this)) return own; // registered by a constructor that threw
      return { ...own, values: valuesOf(this.#kept.shared()) };
    }

    reset() {
      super.reset();
      if (!(#kept in this)) return; // called by the constructor above
      this.#kept.clear();
      if (this.labelNames.length === 0) this.#kept.add(undefined, [0]);
    }

    remove(...args) {
      super.remove(...args);
      this.#kept.remove(args);
    }
  }

  /**
   * A series has the sum, and how many values are in each bucket but not in the one before; the last has all others.
   */
  class Histogram extends client.Histogram {
    #kept;

    constructor(config) {
      super(config);
      this.#kept = new Kept(this, { type: 'histogram', buckets: this.upperBounds });
      const check = this.observe;
      this.observe = (labels, value) => {
        check.call(this, labels, value);
        const [given, seen] = typeof labels === 'number' ? [undefined, labels] : [labels, value];
        const terms = this.#zeros();
        terms[0] = seen;
        const bucket = this.upperBounds.findIndex((bound) => seen <= bound);
        terms[1 + (bucket < 0 ? this.upperBounds.length : bucket)] = 1;
        this.addTerms(given, terms);
      };
      if (this.labelNames.length === 0) this.zero({});
    }

    #zeros() {
      return new Array(this.upperBounds.length + 2).fill(0);
    }

    /** Adds values that were observed elsewhere. */
    addTerms(labels, terms) {
      this.#kept.add(labels, terms);
    }

    labels(...args) {
      const labels = labelsOf(this.labelNames, args);
      return { ...super.labels(...args), observe: (value) => this.observe(labels, value) };
    }

    async get() {
      if (!(#kept in this)) return super.get(); // registered by a constructor that threw
      await this.collect?.();
      const { name, help, aggregator, upperBounds } = this;
      const samples = ([labels, [sum, ...counts]]) => {
        let count = 0;
        const buckets = counts.map((number, i) => {
          const labelled = { le: upperBounds[i] ?? '+Inf', ...labels };
          return { labels: labelled, value: (count += number), metricName: `${name}_bucket` };
        });
        const total = (kind, value) => ({ labels, value, metricName: `${name}_${kind}` });
        return [...buckets, total('sum', sum), total('count', count)];
      };
      const values = this.#kept.shared().flatMap(samples);
      return { name, help, type: 'histogram', values, aggregator };
    }

    getForPromString() {
      return #kept in this ? this.get() : super.getForPromString();
    }

    zero(labels) {
      super.zero(labels);
      this.addTerms(labels, this.#zeros());
    }

    reset() {
      super.reset();
      if (!(#kept in this)) return; // called by the constructor above
      this.#kept.clear();
    }

    remove(...args) {
      super.remove(...args);
      this.#kept.remove(args);
    }
  }

  /** Each process has its own values. */
  class Gauge extends client.Gauge {
    #kept;

    constructor(config) {
      super(config);
      this.#kept = new Kept(this, { type: 'gauge' }, true);
      if (this.labelNames.length === 0) this.set(0);
    }

    set(labels, value) {
      super.set(labels, value);
      const [given, number] = isObject(labels) ? [labels, value] : [undefined, labels];
      this.#kept.set(given, [number]);
    }

    inc(labels, value) {
      super.inc(labels, value);
      this.#add(labels, value, 1);
    }

    dec(labels, value) {
      super.dec(labels, value);
      this.#add(labels, value, -1);
    }

    #add(labels, value, sign) {
      const [given, by = 1] = isObject(labels) ? [labels, value] : [undefined, labels];
      this.#kept.add(given, [sign * by]);
    }

    async get() {
      const own = await super.get();
      if (!(#kept in this)) return own; // registered by a constructor that threw
      const all = this.#kept.ofTheLiving().map((one) => ({ ...own, values: valuesOf(one) }));
      return client.aggregators[this.aggregator](all) ?? { ...own, values: [] };
    }

    reset() {
      super.reset();
      if (!(#kept in this)) return; // called by the constructor above
      this.#kept.clear();
      if (this.labelNames.length === 0) this.set(0);
    }

    remove(...args) {
      super.remove(...args);
      this.#kept.remove(args);
    }
  }

  class Summary {
    constructor() {
      const why = 'quantiles of several processes cannot be combined: use a Histogram';
      throw errors.ours('ERR_SHM_UNSUPPORTED', `a Summary cannot be shared, because ${why}`);
    }
  }

  return { Counter, Gauge, Histogram, Summary };
}

const isObject = (value) => typeof value === 'object' && value !== null;
const valuesOf = (all) => all.map(([labels, [value]]) => ({ labels, value }));

/** The labels in a call's arguments: an object, or the values in the order of their names. */
const labelsOf = (names, args) =>
  isObject(args[0]) ? args[0] : Object.fromEntries(names.map((name, i) => [name, args[i]]));

module.exports = { metricsOver };
