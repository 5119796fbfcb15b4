'use strict';

// Prints: 4 workers asked 400 times at once, the database was asked once
//
// When an entry of a cache expires, all processes that need it ask the database at the same moment: a stampede. With
// `getOrSet`, only one process asks, and the others wait for its result.

const cluster = require('node:cluster');
const { setTimeout: sleep } = require('node:timers/promises');
const { SharedMap } = require('../shm-node/map.js');

const [WORKERS, EACH] = [4, 100];

if (cluster.isPrimary) primary();
else worker();

async function primary() {
  const cache = new SharedMap({ memory: 1 << 20 });
  const workers = Array.from({ length: WORKERS }, () => cluster.fork({ CACHE: cache.key }));
  const all = () => Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));

  await all(); // they are ready
  const answers = all();
  for (const worker of workers) worker.send('go');
  const right = (await answers).reduce((sum, count) => sum + count, 0);
  console.log(`${WORKERS} workers asked ${right} times at once, the database was asked ${times(cache.get('queries'))}`);
  for (const worker of workers) worker.disconnect();
}

function times(count) {
  return count === 1 ? 'once' : `${count} times`;
}

function worker() {
  const cache = new SharedMap(Number(process.env.CACHE));

  async function query() {
    cache.increment('queries');
    await sleep(100); // a slow database
    return { headline: 'no news' };
  }

  process.on('message', async () => {
    const asked = Array.from({ length: EACH }, () => cache.getOrSet('front-page', query, { ttl: 60_000 }));
    const pages = await Promise.all(asked);
    process.send(pages.filter(({ headline }) => headline === 'no news').length);
  });
  process.send('ready');
}
