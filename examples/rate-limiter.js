'use strict';

// A rate limiter that worker threads share (processes can share it in the same way): a bucket of tokens in shared
// memory, under a mutex. If a worker dies while it has the mutex, the next one is told, and repairs the bucket.

const { Worker, isMainThread, workerData } = require('node:worker_threads');
const shm = require('../shm-node');
const { Mutex } = require('../shm-node/sync.js');

const BYTES = 64;
const NUMBERS = 2; // the bucket has two numbers after the mutex: the tokens, and when they were counted

class RateLimiter {
  #mutex;
  #bucket;
  #perSecond;
  #most;

  constructor(words, { perSecond, most }) {
    this.#mutex = new Mutex(words, 0);
    this.#bucket = new Float64Array(words.buffer, 16, NUMBERS);
    this.#perSecond = perSecond;
    this.#most = most;
  }

  /** Takes a token. If there is none, returns how many milliseconds to wait for one. */
  take() {
    return this.#mutex.withLock(({ ownerDied }) => {
      const now = Date.now();
      let [tokens, counted] = this.#bucket;
      // The bucket is new, or a worker died while it wrote.
      if (counted === 0 || ownerDied) [tokens, counted] = [this.#most, now];
      tokens = Math.min(this.#most, tokens + ((now - counted) / 1000) * this.#perSecond);
      const wait = tokens < 1 ? Math.ceil(((1 - tokens) / this.#perSecond) * 1000) : 0;
      this.#bucket.set([wait === 0 ? tokens - 1 : tokens, now]);
      return wait;
    });
  }

  async taken() {
    for (let wait; (wait = this.take()) > 0; ) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function work({ key, limits, requests }) {
  const limiter = new RateLimiter(shm.get(key, 'Int32Array'), limits);
  for (let request = 0; request < requests; request++) await limiter.taken();
}

function main(workers = 3, requests = 20) {
  const limits = { perSecond: 200, most: 10 };
  const words = shm.create(BYTES, 'Int32Array');
  const begin = performance.now();
  let running = workers;
  for (let i = 0; i < workers; i++) {
    new Worker(__filename, { workerData: { key: words.key, limits, requests } }).on('exit', () => {
      if (--running > 0) return;
      const [seconds, all] = [(performance.now() - begin) / 1000, workers * requests];
      console.log(`${all} requests of ${workers} workers took ${seconds.toFixed(2)} s`);
      console.log(`allowed: ${all <= limits.most + limits.perSecond * seconds + 1}`);
    });
  }
}

if (isMainThread) main();
else work(workerData);
