'use strict';

// prom-client's default metrics. It makes them of its own classes: here each is followed by one that processes share.

/** What `collectDefaultMetrics` is where its metrics are to be of `metrics`, the classes of a copy of prom-client. */
function collectDefaultMetricsOf(client, metrics) {
  function collectDefaultMetrics({ register = client.register, ...options } = {}) {
    const own = new client.Registry();
    client.collectDefaultMetrics({ ...options, register: own });
    for (const metric of own.getMetricsAsArray()) follow(client, metrics, metric, register);
  }
  return Object.assign(collectDefaultMetrics, { metricsList: client.collectDefaultMetrics.metricsList });
}

function follow(client, { Counter, Gauge, Histogram }, metric, register) {
  const { name, help, labelNames, aggregator } = metric;
  const config = { name, help, labelNames, aggregator, registers: [register] };
  if (metric instanceof client.Gauge) new Gauge({ ...config, collect: copying(metric) });
  else if (metric instanceof client.Counter) new Counter({ ...config, collect: counting(metric) });
  else new Histogram({ ...config, buckets: metric.upperBounds, collect: observing(metric) });
}

/** Takes over what a gauge has, and drops what it has no longer. */
function copying(metric) {
  let last = new Map();
  return async function collect() {
    const { values } = await metric.get();
    for (const { labels, value } of values) this.set(labels, value);
    const found = new Map(values.map(({ labels }) => [JSON.stringify(labels), labels]));
    for (const [text, labels] of last) if (!found.has(text)) this.remove(labels);
    last = found;
  };
}

/** Adds what a counter has counted since it was looked at last. */
function counting(metric) {
  const last = new Map();
  return async function collect() {
    const { values } = await metric.get();
    for (const { labels, value } of values) this.inc(labels, rise(last, JSON.stringify(labels), value));
  };
}

/** The same for a histogram, whose buckets come with the counts of those before them in theirs. */
function observing(metric) {
  const last = new Map();
  return async function collect() {
    const { values } = await metric.get();
    const all = new Map();
    for (const { labels: { le, ...labels }, metricName, value } of values) {
      const text = JSON.stringify(labels);
      if (!all.has(text)) all.set(text, { labels, sum: 0, counts: [] });
      const one = all.get(text);
      if (le !== undefined) one.counts.push(value);
      else if (metricName.endsWith('_sum')) one.sum = value;
    }
    for (const [text, { labels, sum, counts }] of all) {
      const terms = [sum, ...counts.map((count, i) => count - (counts[i - 1] ?? 0))];
      this.addTerms(labels, terms.map((term, i) => rise(last, `${text}${i}`, term)));
    }
  };
}

function rise(last, key, value) {
  const by = value - (last.get(key) ?? 0);
  last.set(key, value);
  return by;
}

module.exports = { collectDefaultMetricsOf };
