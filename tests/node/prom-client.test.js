'use strict';

// shm-node/prom-client over prom-client 14 and 15: metrics that all processes share.

const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { folder, newKey, until } = require('./support.js');
const { startCluster } = require('./support/cluster.js');
const { fill } = require('./support/limits.js');
const { again, newMap, peer } = require('./support/map.js');
const { sharedMetrics } = require(`${folder}/stores/prom-client.js`);

function serve(map, need, folder) {
  const client = need('prom-client');
  const { sharedMetrics } = require(`${folder}/stores/prom-client.js`);
  const { Counter, Gauge, Histogram } = sharedMetrics(client, { map });
  const requests = new Counter({ name: 'requests_total', help: 'h', labelNames: ['status'] });
  const sizes = new Histogram({ name: 'sizes', help: 'h', buckets: [10, 20] });
  new Gauge({ name: 'workers', help: 'h' }).set(1);
  let sent = 0;
  const server = require('http').createServer(async ({ url }, response) => {
    if (url === '/metrics') {
      const before = sent;
      const text = await client.register.metrics();
      return response.end(JSON.stringify({ sent: sent - before, text }));
    }
    requests.inc({ status: 200 });
    sizes.observe(Number(url.slice(1)));
    response.end(`${process.pid}`);
  });
  server.listen(0, '127.0.0.1', () => {
    const { send } = process;
    process.send = (...args) => (sent++, send.apply(process, args));
  });
}

/** The samples of a registry's text, by name and labels. */
const samplesOf = (text) => {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').pop())]));
};

for (const [version, name] of [
  [15, 'prom-client'],
  [14, 'prom-client-14'],
]) {
  const client = require(name);

  describe(`a cluster with prom-client ${version}`, () => {
    const map = newMap({ evict: false });
    let cluster;
    before(async () => (cluster = await startCluster(map, `${serve}`.replace("'prom-client'", `'${name}'`))));
    after(async () => assert.equal(await cluster?.stop(), ''));

    it('each worker answers for all, and for those that were killed, without a message', async () => {
      const pids = [];
      for (let kills = 0; kills < 3; kills++) {
        for (const size of [5, 15, 25, 35]) pids.push((await cluster.get(`/${size}`)).body);
        await cluster.kill(pids.at(-1));
      }
      assert.ok(new Set(pids).size > 3);
      for (let i = 0; i < 4; i++) {
        const { sent, text } = JSON.parse((await cluster.get('/metrics')).body);
        assert.equal(sent, 0);
        assert.deepEqual(samplesOf(text), {
          'requests_total{status="200"}': 12,
          'sizes_bucket{le="10"}': 3,
          'sizes_bucket{le="20"}': 6,
          'sizes_bucket{le="+Inf"}': 12,
          sizes_sum: 3 * (5 + 15 + 25 + 35),
          sizes_count: 12,
          workers: 4,
        });
      }
    });
  });

  describe(`prom-client ${version}`, () => {
    /** Shared metrics, and a registry for them. */
    const open = (options) => {
      const register = new client.Registry();
      const metrics = sharedMetrics(client, { map: newMap({ evict: false }), ...options });
      const samples = async () => samplesOf(await register.metrics());
      return { ...metrics, metrics, register, samples, config: { help: 'h', registers: [register] } };
    };

    it('prints the same as prom-client\'s own metrics', async () => {
      const use = async ({ Counter, Gauge, Histogram }) => {
        const register = new client.Registry();
        const config = { help: 'h', registers: [register] };
        new Counter({ ...config, name: 'c' });
        const counter = new Counter({ ...config, name: 'c_labels', labelNames: ['b', 'a'] });
        counter.inc({ a: 'x"\n\\', b: 7 }, 0.5);
        counter.inc({ a: 'x"\n\\', b: '7' });
        counter.labels('only', 'both').inc();
        counter.inc({ b: 'zero' }, 0);
        counter.inc({ b: 'gone' });
        counter.remove({ b: 'gone' });
        const histogram = new Histogram({ ...config, name: 'h_labels', labelNames: ['a'], buckets: [0.1, 1] });
        for (const value of [0.05, 0.1, 0.5, 7, -1]) histogram.observe({ a: 1 }, value);
        histogram.labels('2').observe(1);
        histogram.labels('3').startTimer();
        histogram.zero({ a: 4 });
        histogram.observe({ a: 5 }, 1);
        histogram.remove('5');
        new Histogram({ ...config, name: 'h' }).observe(3);
        new Histogram({ ...config, name: 'h_unused' });
        const gauge = new Gauge({ ...config, name: 'g', collect: () => gauge.inc(2) });
        gauge.set(5);
        gauge.dec(3);
        const labelled = new Gauge({ ...config, name: 'g_labels', labelNames: ['a'] });
        labelled.labels('1').inc();
        labelled.dec({ a: '2' }, 1.5);
        labelled.set({ a: '3' }, 1);
        labelled.remove('3');
        new Counter({ ...config, name: 'collected', collect() { this.inc(4); } });
        const [text, json] = [await register.metrics(), await register.getMetricsAsJSON()];
        assert.throws(() => counter.inc({ c: 1 }), Error);
        assert.throws(() => counter.inc(-1), Error);
        assert.throws(() => histogram.observe({ a: 1 }, 'x'), TypeError);
        assert.throws(() => labelled.set({ a: 1 }, 'x'), TypeError);
        const kinds = json.map(({ values, ...metric }) => [metric, values.length]);
        return { text, kinds, after: await register.metrics() };
      };
      const [theirs, ours] = [await use(client), await use(sharedMetrics(client, { map: newMap({ evict: false }) }))];
      // Ours are in the order of their names.
      const sorted = (line) => line.replace(/b="(.*)",a="(.*)"/, 'a="$2",b="$1"');
      const lines = (text) => text.split('\n').map(sorted).sort();
      assert.deepEqual(lines(ours.text), lines(theirs.text));
      assert.deepEqual(lines(ours.after), lines(theirs.after));
      assert.deepEqual(ours.kinds, theirs.kinds);
    });

    it('counts exactly when processes count at the same moment', async () => {
      const { metrics, config, samples, map } = open();
      const names = { name: 'c', labelNames: ['a'] };
      new metrics.Counter({ ...config, ...names });
      new metrics.Histogram({ ...config, name: 'h', buckets: [1] });
      const count = (opened, ready, { folder, file }, SharedMap) => {
        // What is not counted for want of processor time is another matter.
        const map = new SharedMap(opened.key, { lockTimeout: 10_000 });
        const { Counter, Histogram } = require(`${folder}/stores/prom-client.js`).sharedMetrics(require(file), { map });
        const counter = new Counter({ name: 'c', help: 'h', labelNames: ['a'] });
        const histogram = new Histogram({ name: 'h', help: 'h', buckets: [1] });
        map.increment('ready');
        while (map.get('ready') < 3);
        for (let i = 0; i < 2000; i++) {
          counter.inc({ a: 1 }, 0.5);
          histogram.observe(i % 2);
        }
        ready();
      };
      const all = Array.from({ length: 3 }, () => peer(map, count, { folder, file: require.resolve(name) }));
      for (const { ready, ended } of all) {
        await ready;
        assert.equal((await ended).stderr, '');
      }
      const found = await samples();
      assert.deepEqual([found['c{a="1"}'], found.h_count, found.h_sum], [3000, 6000, 3000]);
    });

    it('adds to a set of labels that another process creates meanwhile', async () => {
      const { metrics, config, samples, map } = open();
      const counter = new metrics.Counter({ ...config, name: 'c', labelNames: ['a'] });
      map.getEntry = (key) => {
        delete map.getEntry;
        map.add(key, 5);
        return undefined;
      };
      counter.inc({ a: 1 });
      assert.deepEqual(await samples(), { 'c{a="1"}': 6 });
    });

    it('measures durations', async () => {
      const { Histogram, Gauge, config, samples } = open();
      new Histogram({ ...config, name: 'h', labelNames: ['a', 'b'] }).labels('1', '2').startTimer()();
      new Gauge({ ...config, name: 'g' }).startTimer()();
      const found = await samples();
      assert.equal(found['h_count{a="1",b="2"}'], 1);
      assert.ok(found['h_sum{a="1",b="2"}'] > 0 && found.g > 0);
    });

    it('a reset applies to all processes, and to one metric; for a gauge, to this process only', async () => {
      const map = newMap({ evict: false });
      const [one, two] = [open({ map }), open({ map })];
      const made = [one, two].map(({ Counter, Histogram, config }) => [
        new Counter({ ...config, name: 'c', labelNames: ['a'] }),
        new Counter({ ...config, name: 'plain' }),
        new Histogram({ ...config, name: 'h', buckets: [] }),
      ]);
      for (const [counter, plain, histogram] of made) {
        counter.inc({ a: 1 });
        plain.inc();
        histogram.observe(1);
      }
      for (const metric of made[0]) metric.reset();
      assert.deepEqual(await two.samples(), { plain: 0 });
      made[1][0].inc({ a: 1 });
      assert.deepEqual(await one.samples(), { 'c{a="1"}': 1, plain: 0 });
      const gauge = new one.Gauge({ ...one.config, name: 'g', labelNames: ['a'] });
      gauge.set({ a: 1 }, 5);
      assert.equal((await one.samples())['g{a="1"}'], 5);
      gauge.reset();
      assert.equal((await one.samples())['g{a="1"}'], undefined);
      const other = open({ map, prefix: 'other:' });
      new other.Counter({ ...other.config, name: 'c', labelNames: ['a'] }).inc({ a: 9 });
      one.register.resetMetrics();
      assert.deepEqual(await other.samples(), { 'c{a="9"}': 1 });
    });

    it('combines the values of running processes by the aggregator, and removes those of dead ones', async () => {
      const { metrics, config, samples, map } = open();
      const aggregators = ['sum', 'min', 'max', 'average', 'first', 'omit'];
      const gauges = aggregators.map((aggregator) => new metrics.Gauge({ ...config, name: aggregator, aggregator }));
      gauges.forEach((gauge) => gauge.set(2));
      const set = (map, ready, { folder, file, aggregators }) => {
        const client = require(file);
        const { Gauge } = require(`${folder}/stores/prom-client.js`).sharedMetrics(client, { map });
        for (const aggregator of aggregators) new Gauge({ name: aggregator, help: 'h', aggregator }).set(8);
        ready();
        setInterval(() => {}, 1000);
      };
      const { child, ready, ended } = peer(map, set, { folder, file: require.resolve(name), aggregators });
      await ready;
      assert.deepEqual(await samples(), { sum: 10, min: 2, max: 8, average: 5, first: 2 });
      gauges[0].remove();
      assert.equal((await samples()).sum, 8);
      gauges[0].set(2);
      const before = map.size;
      child.kill('SIGKILL');
      await ended;
      assert.deepEqual(await samples(), { sum: 2, min: 2, max: 2, average: 2, first: 2 });
      assert.equal(map.size, before - aggregators.length);
    });

    it('answers a scrape without the values of dead processes, even if it cannot remove them yet', async () => {
      const { metrics, config, samples, map } = open();
      new metrics.Gauge({ ...config, name: 'g' }).set(2);
      const set = (map, ready, { folder, file }) => {
        const { Gauge } = require(`${folder}/stores/prom-client.js`).sharedMetrics(require(file), { map });
        new Gauge({ name: 'g', help: 'h' }).set(8);
        ready();
      };
      const { ended } = peer(map, set, { folder, file: require.resolve(name) });
      assert.equal((await ended).stderr, '');
      const before = map.size;
      map.delete = () => {
        throw Object.assign(new Error('another writer holds it'), { code: 'EBUSY' });
      };
      assert.deepEqual(await samples(), { g: 2 });
      assert.equal(map.size, before);
      delete map.delete;
      assert.deepEqual(await samples(), { g: 2 });
      assert.equal(map.size, before - 1);
    });

    it('the value of a gauge goes with its thread', async () => {
      const { Gauge, config, samples, map } = open();
      new Gauge({ ...config, name: 'g' }).set(1);
      const code = `const { SharedMap } = require(${JSON.stringify(`${folder}/map.js`)});
        const { sharedMetrics } = require(${JSON.stringify(`${folder}/stores/prom-client.js`)});
        const client = require(${JSON.stringify(require.resolve(name))});
        const { Gauge } = sharedMetrics(client, { map: new SharedMap(${JSON.stringify(map.key)}) });
        new Gauge({ name: 'g', help: 'h' }).set(2);
        require('worker_threads').parentPort.on('message', () => {}).postMessage('ready');`;
      const worker = new Worker(code, { eval: true });
      await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
      assert.deepEqual(await samples(), { g: 3 });
      await worker.terminate();
      assert.deepEqual(await samples(), { g: 1 });
    });

    it('shares the default metrics, which each process refreshes without being asked', async () => {
      const { metrics, register, samples, map } = open();
      metrics.collectDefaultMetrics({ register, prefix: 'my_' });
      const { my_process_resident_memory_bytes: alone } = await samples();
      const collect = (map, ready, { folder, file }) => {
        const { sharedMetrics } = require(`${folder}/stores/prom-client.js`);
        sharedMetrics(require(file), { map, refresh: 5 }).collectDefaultMetrics({ prefix: 'my_' });
        ready();
        setInterval(() => {}, 1000);
      };
      const { child, ended } = peer(map, collect, { folder, file: require.resolve(name) });
      let found = await samples();
      while (!(found.my_process_resident_memory_bytes > 1.5 * alone)) {
        await new Promise(setImmediate);
        found = await samples();
      }
      assert.ok(found.my_process_start_time_seconds === undefined);
      assert.ok(found.my_nodejs_version_info === undefined && Object.values(found).includes(1));
      const { my_process_cpu_seconds_total: used } = found;
      child.kill('SIGKILL');
      await ended;
      found = await samples();
      assert.ok(found.my_process_resident_memory_bytes < 1.5 * alone);
      assert.ok(found.my_process_cpu_seconds_total >= used);
      assert.ok(!Object.keys(found).some((key) => key.startsWith('process_')));
    });

    it('a histogram of the default metrics has the values since the last look', async () => {
      const { metrics, register, samples } = open();
      let theirs;
      const collectDefaultMetrics = ({ register }) => {
        const config = { name: 'gc', help: 'h', labelNames: ['kind'], buckets: [1, 2] };
        theirs = new client.Histogram({ ...config, registers: [register] });
      };
      sharedMetrics({ ...client, collectDefaultMetrics }, { map: metrics.map }).collectDefaultMetrics({ register });
      for (const [value, counts] of [[0.5, [1, 1, 1]], [1.5, [1, 2, 2]], [9, [1, 2, 3]]]) {
        theirs.observe({ kind: 'major' }, value);
        for (let i = 0; i < 2; i++) await samples();
        const found = await samples();
        assert.deepEqual([1, 2, '+Inf'].map((le) => found[`gc_bucket{le="${le}",kind="major"}`]), counts);
      }
      assert.equal((await samples())['gc_sum{kind="major"}'], 11);
    });

    it('values without room are not counted, and onError is called; existing labels are counted', async () => {
      const map = newMap({ memory: 32 << 10, evict: false });
      const errors = [];
      const { Counter, Gauge, Histogram, config, samples } = open({ map, onError: ({ code }) => errors.push(code) });
      const [counter, gauge, histogram] = [Counter, Gauge, Histogram].map(
        (Metric) => new Metric({ ...config, name: Metric.name, labelNames: ['a'] }),
      );
      const use = (a) => (counter.inc({ a }), gauge.set({ a }, 1), histogram.observe({ a }, 1));
      use('known');
      fill(map);
      use('new');
      assert.deepEqual(errors, ['ERR_SHM_FULL', 'ERR_SHM_FULL', 'ERR_SHM_FULL']);
      counter.inc({ a: 'known' });
      histogram.observe({ a: 'known' }, 1);
      const found = await samples();
      assert.deepEqual([found['Counter{a="known"}'], found['Histogram_count{a="known"}']], [2, 2]);
      assert.equal(found['Counter{a="new"}'], undefined);
      counter.inc({ a: 'x'.repeat(2000) });
      assert.equal(errors.at(-1), 'ERR_OUT_OF_RANGE');
    });

    it('a remove or a reset that another writer holds up fails nothing, and onError is called', async () => {
      const errors = [];
      const { metrics, map, register, config, samples } = open({ onError: ({ code }) => errors.push(code) });
      const all = [metrics.Counter, metrics.Gauge, metrics.Histogram].map((Metric) => {
        const metric = new Metric({ ...config, name: Metric.name, labelNames: ['a'] });
        metric.labels('1')[metric.inc ? 'inc' : 'observe'](1);
        return metric;
      });
      const before = await samples();
      map.delete = () => {
        throw Object.assign(new Error('another writer holds it'), { code: 'EBUSY' });
      };
      for (const metric of all) metric.remove({ a: 1 });
      register.resetMetrics();
      assert.deepEqual(errors, new Array(6).fill('EBUSY'));
      assert.deepEqual(await samples(), before);
      delete map.delete;
      register.resetMetrics();
      assert.deepEqual(await samples(), {});
    });

    it('warns once about values that are not counted', async () => {
      const { Counter, config } = open();
      const warnings = [];
      const hear = (warning) => warnings.push(warning);
      process.on('warning', hear);
      const counter = new Counter({ ...config, name: 'c', labelNames: ['a'] });
      for (let i = 0; i < 3; i++) counter.inc({ a: 'x'.repeat(2000) });
      assert.ok(await until(() => warnings.length > 0));
      process.off('warning', hear);
      assert.deepEqual(warnings.map(({ name, code }) => [name, code]), [['ShmNodeWarning', 'ERR_OUT_OF_RANGE']]);
    });

    it('refuses metrics that cannot be shared, or that another process has with other options', () => {
      const { metrics, config, map } = open();
      const { Counter, Gauge, Histogram, Summary } = metrics;
      const unsupported = { code: 'ERR_SHM_UNSUPPORTED', message: /use a Histogram/ };
      assert.throws(() => new Summary({ ...config, name: 's' }), unsupported);
      const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
      assert.throws(() => new Gauge({ ...config, name: 'g', aggregator: 'median' }), wrong);
      const registers = version === 15 ? [new client.Registry(client.Registry.OPENMETRICS_CONTENT_TYPE)] : [];
      assert.throws(() => new Counter({ help: 'h', name: 'e', enableExemplars: true, registers }), wrong);
      new Histogram({ ...config, name: 'h', buckets: [1, 2] });
      const other = open({ map });
      new other.Histogram({ ...other.config, name: 'h', buckets: [1, 2] });
      for (const [Metric, more] of [[Histogram, { buckets: [1, 3] }], [Counter, {}]]) {
        const make = () => new Metric({ name: 'h', help: 'h', registers: [], ...more });
        assert.throws(make, { code: 'ERR_SHM_OPTIONS', message: /\[1,2\]/ });
      }
      const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      for (const given of [undefined, {}]) assert.throws(() => sharedMetrics(given, { map }), type);
      for (const options of [undefined, {}, { map, refresh: '1' }, { map, onError: 1 }]) {
        assert.throws(() => sharedMetrics(client, options), type);
      }
    });

    it('a metric that is refused is in no registry, and scrapes go on', async () => {
      const { Counter, Gauge, Histogram, config, register, samples } = open();
      new Counter({ help: 'h', name: 'taken', registers: [] });
      const collect = () => assert.fail('collected');
      assert.throws(() => new Gauge({ ...config, name: 'taken', collect }), { code: 'ERR_SHM_OPTIONS' });
      assert.throws(() => new Histogram({ ...config, name: 'taken' }), { code: 'ERR_SHM_OPTIONS' });
      assert.throws(() => new Gauge({ ...config, name: 'g', aggregator: 'median' }), { code: 'ERR_INVALID_ARG_VALUE' });
      assert.deepEqual(register.getMetricsAsArray(), []);
      new Counter({ ...config, name: 'taken' }).inc();
      assert.deepEqual(await samples(), { taken: 1 });
    });

    it('scrapes go on if prom-client refuses a metric that it has registered', async () => {
      const { Counter, Gauge, Histogram, config, register, samples } = open();
      assert.throws(() => new Histogram({ ...config, name: 'le', labelNames: ['le'] }), /reserved/);
      const full = new client.Registry();
      for (const Metric of [Counter, Gauge, Histogram]) {
        const { name } = Metric;
        new client.Counter({ help: 'h', name, registers: [full] });
        assert.throws(() => new Metric({ help: 'h', name, registers: [register, full] }), /already been registered/);
      }
      new Counter({ ...config, name: 'c' }).inc();
      assert.equal((await samples()).c, 1);
      assert.equal((await register.getMetricsAsJSON()).length, 5);
      register.resetMetrics();
    });

    it('a scrape that fails is not the answer of the next one', async () => {
      const { map, register, samples, Counter, config } = open();
      new Counter({ ...config, name: 'c', labelNames: ['l'] }).inc({ l: 'a' });
      map.set('prom:c{no labels', 1);
      for (let i = 0; i < 3; i++) await assert.rejects(register.metrics(), SyntaxError);
      map.delete('prom:c{no labels');
      assert.deepEqual(await samples(), { 'c{l="a"}': 1 });
      map.close();
      for (let i = 0; i < 3; i++) await assert.rejects(register.metrics(), { code: 'ERR_SHM_DETACHED' });
    });

    it('only the own properties of an object are labels', async () => {
      const { Counter, config, samples } = open();
      new Counter({ ...config, name: 'c', labelNames: ['a', 'constructor'] }).inc({ a: 1 });
      assert.deepEqual(await samples(), { 'c{a="1"}': 1 });
    });

    it('a map that it opens does not evict, and is closed with it', () => {
      const { map, close } = sharedMetrics(client, { key: newKey(), memory: 1 << 20 });
      assert.throws(() => again(map, { evict: true }), { code: 'ERR_SHM_OPTIONS' });
      close();
      assert.throws(() => map.size, { code: 'ERR_SHM_DETACHED' });
    });
  });
}

it('keeps counting under the name that OpenMetrics gives a counter', async () => {
  const client = require('prom-client');
  const register = new client.Registry(client.Registry.OPENMETRICS_CONTENT_TYPE);
  const { Counter } = sharedMetrics(client, { map: newMap({ evict: false }) });
  const counter = new Counter({ name: 'c_total', help: 'h', registers: [register] });
  for (const count of [1, 2, 3]) {
    counter.inc();
    assert.deepEqual(samplesOf(await register.metrics()), { c_total: count });
  }
});
