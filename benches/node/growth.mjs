// node growth.mjs [CYCLES]: cost as work grows. Prints the first and the last 20,000 cycles, and what is held between.

import fs from 'node:fs';
import shm from '../../shm-node/index.mjs';
import { median, print } from './ratio.mjs';

process.env.SHM_NODE_QUIET = '1';
const CYCLES = Number(process.argv[2] ?? 1_000_000);
const STEP = 20_000;
const PART = 200;

function usage() {
  const count = (path) => fs.readdirSync(path).length;
  const mappings = fs.readFileSync('/proc/self/maps', 'utf8').split('\n').length - 1;
  return { rss: process.memoryUsage.rss(), descriptors: count('/proc/self/fd'), mappings };
}

for (const backend of ['sysv', 'posix']) {
  const steps = [];
  for (let done = 0; done < CYCLES; done += STEP) {
    // The median of many small parts: one disturbed second is not growth.
    const parts = [];
    for (let part = 0; part < STEP / PART; part++) {
      const start = process.hrtime.bigint();
      for (let count = 0; count < PART; count++) shm.detach(shm.create({ size: 4096, backend }));
      parts.push(Number(process.hrtime.bigint() - start) / PART);
      // Finalizers run between turns of the loop, as they do in any server.
      await new Promise((resolve) => setImmediate(resolve));
    }
    steps.push({ cycles: done + STEP, each: median(parts), ...usage() });
  }
  const [first, last] = [steps[0], steps.at(-1)];
  const label = backend === 'sysv' ? 'System V' : 'POSIX';
  print({
    what: `the last 20,000 of ${CYCLES.toLocaleString('en')} cycles, ${label}`,
    against: 'the first 20,000',
    ours: last.each,
    other: first.each,
    ratio: last.each / first.each,
    steps,
  });
}
