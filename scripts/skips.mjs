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

/** The skipped tests in `file` whose reason is not on the list. */
export function unlisted(file) {
  const lines = readFileSync(join(root, 'tests', 'skips.txt'), 'utf8').split('\n');
  const listed = new Set(lines.map((line) => line.split(' | ')[0]));
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !listed.has(line.split('\t')[0]))
    .map((line) => line.split('\t').reverse().join(': skipped, as '));
}
