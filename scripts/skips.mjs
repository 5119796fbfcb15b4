// Which tests may be skipped: those whose reason is in tests/skips.txt.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

const reporter = join(root, 'scripts', 'skips-reporter.mjs');

/** Arguments for `node --test` that also write the skipped tests to `file`. */
export const telling = (file) => [
  ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
  ...[`--test-reporter=${reporter}`, `--test-reporter-destination=${file}`],
];

/** Whether a test may be skipped for this reason on another platform. */
export function isListed(reason) {
  return listed(true).has(reason);
}

/** The skipped tests in `file` whose reason is not on the list. */
export function unlisted(file) {
  const reasons = listed();
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !reasons.has(line.split('\t')[0]))
    .map((line) => line.split('\t').reverse().join(': skipped, as '));
}

function listed(onPlatforms = false) {
  const [always, there] = readFileSync(join(root, 'tests', 'skips.txt'), 'utf8').split('# npm run test:platforms alone:\n');
  const lines = (onPlatforms ? always + there : always).split('\n');
  return new Set(lines.map((line) => line.split(' | ')[0]));
}
