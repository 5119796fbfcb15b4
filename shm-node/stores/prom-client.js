'use strict';

// Metrics of prom-client that all processes share: what any of them counts, each of them answers.

const errors = require('../lib/errors.js');
const { objectOf, ttlOf } = require('../lib/map/options.js');
const { collectDefaultMetricsOf } = require('../lib/stores/default-metrics.js');
const { metricsOver } = require('../lib/stores/metrics.js');
const { placeOf } = require('../lib/stores/place.js');
const { Series } = require('../lib/stores/series.js');

const REFRESH = 5000;

function sharedMetrics(client, options) {
  if (typeof client?.Counter !== 'function') throw errors.wrongType('client', 'prom-client', client);
  const { refresh = REFRESH, onError = warningOnce(), ...rest } = objectOf(options);
  ttlOf('refresh', refresh);
  if (typeof onError !== 'function') throw errors.wrongType('onError', 'a function', onError);
  // What is evicted would count from 0 again.
  const place = placeOf(rest, 'prom:', { evict: false });
  const attempt = (write) => {
    try {
      write();
    } catch (error) {
      onError(error);
    }
  };
  const refreshing = new Refreshing(refresh, onError);
  const metrics = metricsOver(client, new Series(place), attempt, (metric) => refreshing.add(metric));
  return {
    ...metrics,
    collectDefaultMetrics: collectDefaultMetricsOf(client, metrics),
    map: place.map,
    prefix: place.prefix,
    close() {
      refreshing.stop();
      if (place.isOwn) place.map.close();
    },
  };
}

/** Runs the `collect` of metrics again and again, so that the other processes have values that are no older. */
class Refreshing {
  #metrics = new Set();
  #timer;
  #isBusy = false;
  #onError;

  constructor(ms, onError) {
    this.#onError = onError;
    if (ms < 2 ** 31) this.#timer = setInterval(() => this.#refresh(), ms).unref();
  }

  add(metric) {
    this.#metrics.add(metric);
  }

  async #refresh() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (const metric of this.#metrics) {
      try {
        await metric.collect();
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#isBusy = false;
  }

  stop() {
    clearInterval(this.#timer);
    this.#metrics.clear();
  }
}

/** Warns of the first error of each code: a metric that is not counted is no reason to fail a request. */
function warningOnce() {
  const told = new Set();
  return (error) => {
    if (told.has(error.code)) return;
    told.add(error.code);
    process.emitWarning(`Metrics are not written: ${error.message}`, { type: 'ShmNodeWarning', code: error.code });
  };
}

module.exports = { sharedMetrics };
