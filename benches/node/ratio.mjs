// Several ways of doing one thing, measured in turns, so that a noisy neighbour disturbs all alike.

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

/** A row of two ways that took turns. */
export function rowOf(what, against, ours, theirs) {
  return row(what, against, ours.map((mine, round) => [mine, theirs[round]]));
}

/** Measures functions that measure themselves, each going first in turn. Gives what each gave, by round. */
export async function turns(rounds, ways) {
  const names = Object.keys(ways);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length];
      const result = await ways[name]();
      if (round > 0) results[name].push(result); // the first warms all up
    }
  }
  return results;
}

/** Measures two functions in one process, each going first in turn. */
export async function alternate(what, against, rounds, ours, other) {
  const time = async (work) => (await measure(work, { min_cpu_time: 60e6, min_samples: 3 })).p50;
  return alternateAsync(what, against, rounds, () => time(ours), () => time(other));
}

/** The same with functions that measure themselves, in another process, say. */
export async function alternateAsync(what, against, rounds, ours, other) {
  const times = await turns(rounds, { ours, other });
  return rowOf(what, against, times.ours, times.other);
}

export function print(result) {
  console.log(JSON.stringify(result));
}
