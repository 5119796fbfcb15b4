// Two ways of doing one thing, measured in turns, so that a noisy neighbour disturbs both alike.

import { measure } from 'mitata';

export function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** A row of the report: medians in nanoseconds, and the median of the rounds' ratios. */
export function row(what, against, pairs) {
  const ours = median(pairs.map(([mine]) => mine));
  const other = median(pairs.map(([, theirs]) => theirs));
  return { what, against, ours, other, ratio: median(pairs.map(([mine, theirs]) => mine / theirs)) };
}

/** Measures two functions in one process, each going first in turn. */
export async function alternate(what, against, rounds, ours, other) {
  const time = async (work) => (await measure(work, { min_cpu_time: 60e6, min_samples: 3 })).p50;
  return alternateAsync(what, against, rounds, () => time(ours), () => time(other));
}

/** The same with functions that measure themselves, in another process, say. */
export async function alternateAsync(what, against, rounds, ours, other) {
  const pairs = [];
  for (let round = 0; round <= rounds; round++) {
    let mine, theirs;
    if (round % 2 === 0) {
      mine = await ours();
      theirs = await other();
    } else {
      theirs = await other();
      mine = await ours();
    }
    if (round > 0) pairs.push([mine, theirs]); // the first warms both up
  }
  return row(what, against, pairs);
}

export function print(result) {
  console.log(JSON.stringify(result));
}
