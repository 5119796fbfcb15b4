// The tests of the crates that run on Windows, and how another system builds them.

import { join } from 'node:path';
import { attempt, root } from '../run.mjs';

const TARGET = 'x86_64-pc-windows-gnu';
const EXAMPLES = join(root, 'target', TARGET, 'debug', 'examples');

// Left out is what is about forks, descriptors, live files and memory that cannot be touched (shm-sync: hostile,
// python_reader; shm-map: hostile, layout), which all need Unix.
export const TESTS = [
  [...packages('shm-api', 'shm-lifetime', 'shm-windows', 'shm-sync', 'shm-map'), '--lib'],
  [...packages('shm-tests'), '--no-default-features', '--test', 'backends'],
  [...packages('shm-sync'), '--test', 'processes', '--test', 'inspect'],
  [...packages('shm-map'), '--test', 'map'],
  [...packages('shm-segments'), '--tests'],
];

/** Where some of them find the examples that they run, as Wine names it. */
export const environment = { SHM_TESTS_EXAMPLES: `Z:${EXAMPLES.replaceAll('/', '\\')}` };

function packages(...names) {
  return names.flatMap((name) => ['--package', name]);
}

/** Builds something for Windows; the paths of the programs. */
function build(...what) {
  const args = [...what, '--locked', '--target', TARGET, '--message-format', 'json'];
  const lines = attempt('cargo', args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 }).trim().split('\n');
  return lines.map((line) => JSON.parse(line).executable).filter(Boolean);
}

/** Builds them, and the examples; the paths of their programs. */
export function programs() {
  build('build', ...packages('shm-segments'), '--examples');
  return TESTS.flatMap((tests) => build('test', '--no-run', ...tests));
}
