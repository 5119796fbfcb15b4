'use strict';

// A work queue over a cluster: the primary passes jobs to its workers through shared memory, and the results come back
// in the same way. Its arguments are the number of jobs and the number of workers.

const cluster = require('node:cluster');
const shm = require('../shm-node');
const { Channel } = require('../shm-node/sync.js');

const JOBS = { capacity: 1 << 16 };
const RESULTS = { capacity: 1 << 16, producers: 'many' };

if (cluster.isPrimary) primary(Number(process.argv[2] ?? 1000), Number(process.argv[3] ?? 2));
else worker(process.env.JOBS_KEY, process.env.RESULTS_KEY);

function create(options) {
  const view = shm.create({ size: Channel.byteLength(options), type: 'Int32Array' });
  return { key: view.key, channel: new Channel(view, 0, options) };
}

async function primary(count, size) {
  const results = create(RESULTS);
  const workers = Array.from({ length: size }, () => {
    const jobs = create(JOBS); // a channel has one consumer, so each worker has its own
    cluster.fork({ JOBS_KEY: jobs.key, RESULTS_KEY: results.key });
    return jobs.channel;
  });

  // A worker that has room gets the next job; a slow worker gets fewer.
  const handOut = async () => {
    for (let number = 0; number < count; number++) {
      const job = Buffer.from(JSON.stringify({ number }));
      const turn = number % workers.length;
      const free = [...workers.slice(turn), ...workers.slice(0, turn)].some((jobs) => jobs.trySend(job));
      if (!free) await workers[turn].sendAsync(job);
    }
    for (const jobs of workers) await jobs.sendAsync(Buffer.alloc(0)); // no more
  };
  handOut();

  let sum = 0;
  let done = 0;
  for await (const result of results.channel) {
    sum += JSON.parse(result).square;
    if (++done === count) break;
  }
  console.log(`${count} jobs done by ${size} workers, the sum is ${sum}`);
}

async function worker(jobsKey, resultsKey) {
  const jobs = new Channel(shm.get(Number(jobsKey), 'Int32Array'), 0);
  const results = new Channel(shm.get(Number(resultsKey), 'Int32Array'), 0);
  for await (const job of jobs) {
    if (job.length === 0) break;
    const { number } = JSON.parse(job);
    await results.sendAsync(Buffer.from(JSON.stringify({ number, square: number * number })));
  }
  cluster.worker.disconnect();
}
