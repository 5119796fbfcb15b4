// npm run bench:compare OLD NEW: two files of the report's numbers, side by side.

import { readFileSync } from 'node:fs';
import { fail } from './run.mjs';

const [older, newer] = process.argv.slice(2);
if (newer === undefined) fail('npm run bench:compare OLD.json NEW.json');

const rows = (file) =>
  Object.entries(JSON.parse(readFileSync(file, 'utf8')).sections)
    .flatMap(([title, all]) => all.map((row) => ({ title, ...row })))
    .filter(({ leftOut }) => leftOut === undefined);
const name = ({ title, what, against }) => `${title}: ${what} | ${against}`;
const before = new Map(rows(older).map((row) => [name(row), row.ratio]));

console.log('| what | against | old | new | change |\n|---|---|---|---|---|');
for (const row of rows(newer)) {
  const old = before.get(name(row));
  const change = old === undefined ? 'new' : `${((row.ratio / old - 1) * 100).toFixed(1)} %`;
  console.log(`| ${name(row)} | ${old?.toFixed(3) ?? ''} | ${row.ratio.toFixed(3)} | ${change} |`);
}
