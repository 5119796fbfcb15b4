// There and back, exchange by exchange, by the size of the message: half, 99 % and 99.9 % take at most so long.

import { now } from './async/ends.mjs';
import { ways } from './async/there-and-back.mjs';
import { print, rowOf, turns } from './ratio.mjs';

process.env.SHM_NODE_QUIET = '1';
const ROUNDS = Number(process.env.ROUNDS ?? 13);
const EXCHANGES = 1000;
const SIZES = { '64 B': 64, '256 B': 256, '1 KiB': 1 << 10, '4 KiB': 4 << 10, '16 KiB': 16 << 10, '64 KiB': 64 << 10 };

const percentile = (sorted, part) => sorted[Math.floor((sorted.length - 1) * part)];
const inOrder = (times) => Float64Array.from(times).sort();

for (const [label, size] of Object.entries(SIZES)) {
  const ends = { ours: await ways.channel(size), other: await ways.socket(size) };
  const measure = async ({ exchange }) => {
    const times = new Float64Array(EXCHANGES);
    for (let i = 0; i < EXCHANGES; i++) {
      const begin = now();
      await exchange();
      times[i] = (now() - begin) / 2;
    }
    return times;
  };
  const rounds = await turns(ROUNDS, { ours: () => measure(ends.ours), other: () => measure(ends.other) });
  const medians = (all) => all.map((times) => percentile(inOrder(times), 0.5));
  const all = (times) => {
    const sorted = inOrder(times.flatMap((one) => [...one]));
    return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), 'p99.9': percentile(sorted, 0.999) };
  };
  print({
    ...rowOf(`Channel, one way, ${label}, p50`, 'a unix socket', medians(rounds.ours), medians(rounds.other)),
    size,
    percentiles: { ours: all(rounds.ours), other: all(rounds.other) },
  });
  for (const end of Object.values(ends)) end.end();
}
