// docs/platforms.md, from what npm run test:platforms saw.

import { release } from 'node:os';
import { root } from '../run.mjs';

const escaped = (text) => text.replaceAll(root, '').replace(/([<>*_|])/g, '\\$1');

function row({ name, about, missing, date, version, files, passed, skipped, failed, example }) {
  const cells = missing === undefined
    ? [date, `Node ${version}`, example ? 'yes' : 'no', files, passed.length, skipped.length, failed.length]
    : ['not run', '', '', '', '', '', ''];
  return `| ${[name, about, ...cells].join(' | ')} |`;
}

function section({ name, missing, skipped, failed }) {
  const counts = new Map();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const lines = [
    ...(missing === undefined ? [] : [`Not run: ${missing}.`]),
    ...failed.map(({ file, claim }) => `- failed: ${escaped(`${file}: ${claim}`)}`),
    ...[...counts].map(([reason, count]) => `- skipped ${count}: ${escaped(reason)}`),
  ];
  return lines.length === 0 ? [] : ['', `## ${name}`, '', ...lines];
}

export function report(seen) {
  return [
    '# Platforms',
    '',
    `Written by \`npm run test:platforms\` on Linux ${release().split('-')[0]} on ${process.arch}. It runs Node tests with the binary that the`,
    'package has for the platform, and the first example of the README in an empty project where the tarball was installed',
    'with `--ignore-scripts`. Below the table is what failed, and why tests were skipped. [Runtimes](runtimes.md) has the',
    'versions of Node, Bun and Deno.',
    '',
    '| platform | what it is | when | runtime | first example | test files | passed | skipped | failed |',
    '|---|---|---|---|---|---|---|---|---|',
    ...seen.map(row),
    ...seen.flatMap(section),
    '',
  ].join('\n');
}
