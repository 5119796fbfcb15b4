// One process with one store: does the work that it is told to, and tells what it took.

import * as stores from './stores.mjs';
import { countOf, Work } from './work.mjs';

process.on('disconnect', () => process.exit());
const told = JSON.parse(process.argv[2]);
const { store: name, size, lanes = 1, seed = 1, isFirst = true, ofObjects = false } = told;
// Looks at the clock after so many.
const CHUNK = 500;

const count = countOf(size);
const store = await stores[name]({ ...told, lanes, count });
const work = new Work(count, seed);
const value = ofObjects ? stores.OBJECT : Buffer.alloc(size, 'v');
const operations = {
  ...store,
  set: (key) => store.set(key, value),
  mixed: (key) => (work.isSet ? store.set(key, value) : store.get(key)),
};
if (isFirst) await fill();

process.on('message', async ({ run, percentiles, overhead, end, ms }) => {
  if (run !== undefined) process.send({ done: await measure(operations[run], ms) });
  if (percentiles !== undefined) process.send({ done: late(operations[percentiles], ms) });
  if (overhead) process.send({ done: store.overhead() });
  if (end) {
    await store.end?.();
    process.exit();
  }
});
process.send({ done: store.place });

async function fill() {
  for (let at = 0; at < count; at += CHUNK) {
    await Promise.all(work.keys.slice(at, at + CHUNK).map((key) => store.set(key, value)));
  }
}

/** Nanoseconds an operation, by the clock and of the processor. */
async function measure(operate, ms) {
  let [done, missed] = [0, 0];
  const used = process.cpuUsage();
  const begin = process.hrtime.bigint();
  const end = begin + BigInt(ms) * 1_000_000n;
  const one = () => {
    work.next();
    done++;
    return operate(work.key);
  };
  const isMissed = (answer) => answer === undefined || answer === null || answer === -1;
  if (store.isAsync) {
    const lane = async () => {
      while (process.hrtime.bigint() < end) if (isMissed(await one())) missed++;
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  } else {
    while (process.hrtime.bigint() < end) {
      for (let i = 0; i < CHUNK; i++) if (isMissed(one())) missed++;
      if (store.settled !== undefined) await store.settled();
    }
  }
  const took = Number(process.hrtime.bigint() - begin);
  const { user, system } = process.cpuUsage(used);
  // A miss may cost less than a hit, so it would count for the store.
  if (missed > done / 100) throw new Error(`${name} has lost ${missed} of ${done}`);
  return { each: took / done, cpu: ((user + system) * 1000) / done };
}

/** How long single operations take, less the clock: half, and 99.9 %. */
function late(operate, ms) {
  const clock = percentile(timesOf(() => {}, 20), 0.5);
  const times = timesOf(operate, ms);
  return { p50: percentile(times, 0.5) - clock, 'p99.9': percentile(times, 0.999) - clock };
}

/** Nanoseconds of each, in order. */
function timesOf(operate, ms) {
  const times = new Float64Array(1 << 20);
  let count = 0;
  for (const until = performance.now() + ms; count < times.length && performance.now() < until; count++) {
    work.next();
    const { key } = work;
    const begin = performance.now();
    operate(key);
    times[count] = (performance.now() - begin) * 1e6;
  }
  return times.subarray(0, count).sort();
}

const percentile = (sorted, part) => sorted[Math.floor((sorted.length - 1) * part)];
