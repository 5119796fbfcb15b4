// The first touch of each page of a segment, mapped before by `populate`, and not; and what the calls cost with it.

import shm from '../../shm-node/index.mjs';
import { print, rowOf, turns } from './ratio.mjs';

const PAGES = 4096;
const PAGE = 4096;
const ROUNDS = 15;

const now = () => Number(process.hrtime.bigint());

/** Nanoseconds of a call, and of the first touch of a page of what it gives. */
function measured(call) {
  const begin = now();
  const view = call();
  const called = now();
  for (let at = 0; at < view.length; at += PAGE) view[at] = 1;
  return { call: called - begin, touch: (now() - called) / PAGES, view };
}

for (const [backend, label] of [
  ['sysv', 'System V'],
  ['posix', 'POSIX'],
]) {
  const create = (populate) => {
    const { view, ...times } = measured(() => shm.create({ size: PAGES * PAGE, backend, populate }));
    shm.detach(view);
    return times;
  };
  const kept = shm.create({ size: PAGES * PAGE, backend, persist: true });
  const target = { key: kept.key, backend };
  shm.detach(kept);
  const get = (populate) => {
    const { view, ...times } = measured(() => shm.get({ ...target, populate }));
    shm.detach(view);
    return times;
  };
  for (const [name, way] of Object.entries({ create, get })) {
    const { plain, populated } = await turns(ROUNDS, { populated: () => way(true), plain: () => way(false) });
    const rowWith = (what, time) => print(rowOf(what, 'without populate', populated.map(time), plain.map(time)));
    rowWith(`first touch of a page of 16 MiB, ${name}, ${label}, populate`, ({ touch }) => touch);
    rowWith(`${name} of 16 MiB, ${label}, populate`, ({ call }) => call);
    rowWith(`${name} of 16 MiB and first touch of it all, ${label}, populate`, ({ call, touch }) => call + PAGES * touch);
  }
  shm.destroy(target);
}
