// docs/platforms.md, from what npm run test:platforms saw. It keeps what it says of platforms that did not run now.

import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { basename, join } from 'node:path';
import { root } from '../run.mjs';

const FILES = readdirSync(join(root, 'tests', 'node'))
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => basename(file, '.test.js'));

const escaped = (text) => text.replaceAll(root, '').replace(/([<>*_|])/g, '\\$1');

/** Files by name, or where they are most of all, the other ones. */
function named(files) {
  const others = FILES.filter((file) => !files.includes(file));
  if (others.length > files.length) return files.join(', ');
  return others.length === 0 ? 'every file' : `every file but ${others.join(', ')}`;
}

function row({ name, about, missing, version, ran, passed, skipped, failed, example }) {
  const date = new Date().toISOString().slice(0, 10);
  const cells = missing === undefined
    ? [date, `Node ${version}`, example ? 'yes' : 'no', ran.length, passed.length, skipped.length, failed.length]
    : ['not run', '', '', '', '', '', ''];
  return `| ${[name, about, ...cells].join(' | ')} |`;
}

function section({ missing, ran, skipped, failed }) {
  const counts = new Map();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [
    missing === undefined ? `- ran: ${named(ran)}` : `Not run: ${missing}.`,
    ...failed.map(({ file, claim }) => `- failed: ${escaped(`${file}: ${claim}`)}`),
    ...[...counts].map(([reason, count]) => `- skipped ${count}: ${escaped(reason)}`),
  ].join('\n');
}

/** What the report said before of a platform. */
function kept(before, { name, about }) {
  const old = before.split('\n').find((line) => line.startsWith(`| ${name} |`));
  const text = new RegExp(`\n## ${name}\n\n(.*?)\n(?=\n##|$)`, 's').exec(before)?.[1];
  const never = { name, about, missing: 'nobody has yet', ran: [], skipped: [], failed: [] };
  return { row: old ?? row(never), section: old === undefined ? section(never) : text };
}

/** The report on all platforms, after one of them was seen. */
export function report(platforms, seen, before) {
  const parts = platforms.map(({ name, about }) => {
    return { name, ...(name === seen.name ? { row: row({ ...seen, about }), section: section(seen) } : kept(before, { name, about })) };
  });
  return [
    '# Platforms',
    '',
    `Written by \`npm run test:platforms\` on Linux ${release().split('-')[0]} on ${process.arch}. It runs Node tests with the binary that the`,
    'package has for the platform, and the first example of the README in an empty project where the tarball was installed',
    'with `--ignore-scripts`. Below the table is which files of tests ran, what failed, and why tests were skipped.',
    '[Runtimes](runtimes.md) has the versions of Node, Bun and Deno.',
    '',
    '| platform | what it is | when | runtime | first example | test files | passed | skipped | failed |',
    '|---|---|---|---|---|---|---|---|---|',
    ...parts.map((part) => part.row),
    ...parts.filter((part) => part.section).flatMap((part) => ['', `## ${part.name}`, '', part.section]),
    '',
  ].join('\n');
}
