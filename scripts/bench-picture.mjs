// npm run bench:picture [-- FILE]: draws the README's plot, docs/pictures/get-and-set.svg, from the report's numbers
// (docs/benchmarks.json), or from rows in a file, one a line, as benches/node/map.mjs prints them. Where there are no
// numbers of the map, it says so and leaves the plot as it is.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAP } from './bench-map.mjs';
import { time } from './bench-table.mjs';
import { root } from './run.mjs';

export const SECTION = MAP.node.title;

// By how a row tells of it: what it is compared with, and how the plot calls that.
const STORES = [
  [/^lru-cache/, 'lru-cache', 'in one process'],
  [/^lmdb/, 'lmdb', 'on /dev/shm'],
  [/^memcached.*64 at a time/, 'memcached', '64 requests at a time'],
  [/^Redis.*64 at a time/, 'Redis', '64 requests at a time'],
  [/^Redis.*one by one/, 'Redis', 'one by one'],
  [/^messages to the primary/, 'messages', 'to the primary'],
];

const [WIDTH, LEFT, RIGHT, TOP, LINE] = [760, 220, 24, 64, 42];

/** What is drawn: `{ name, note, get, set }` in nanoseconds, ours first. undefined: there are no such rows. */
export function linesOf(rows) {
  const measured = rows.filter(({ leftOut }) => leftOut === undefined);
  const of = (operation) => measured.filter(({ what }) => what === `${operation} 100 B`);
  const [gets, sets] = [of('get'), of('set')];
  if (gets.length === 0) return undefined;
  const ours = { name: 'shm-node', note: 'for all processes', get: gets[0].ours, set: sets[0]?.ours };
  const others = STORES.map(([start, name, note]) => {
    const find = (all) => all.find(({ against }) => start.test(against))?.other;
    return { name, note, get: find(gets), set: find(sets) };
  });
  return [ours, ...others.filter(({ get, set }) => get !== undefined || set !== undefined)];
}

/** The plot as SVG, readable on light and on dark. */
export function picture(rows) {
  const lines = linesOf(rows);
  if (lines === undefined) return undefined;
  const times = lines.flatMap(({ get, set }) => [get, set]).filter((one) => one !== undefined);
  const [first, last] = [Math.floor(Math.log10(Math.min(...times))), Math.ceil(Math.log10(Math.max(...times)))];
  const x = (value) => LEFT + ((Math.log10(value) - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const bottom = TOP + lines.length * LINE;
  const parts = [];
  for (let power = first; power <= last; power++) {
    const at = x(10 ** power).toFixed(1);
    parts.push(`<line class="grid" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${bottom}"/>`);
    parts.push(`<text class="note" x="${at}" y="${bottom + 18}" text-anchor="middle">${round(10 ** power)}</text>`);
  }
  lines.forEach(({ name, note, get, set }, index) => {
    const y = TOP + index * LINE + LINE / 2;
    const whose = index === 0 ? 'ours' : 'theirs';
    parts.push(`<text class="${whose === 'ours' ? 'name strong' : 'name'}" x="12" y="${y + 1}">${name}</text>`);
    parts.push(`<text class="note" x="12" y="${y + 13}">${note}</text>`);
    if (get !== undefined && set !== undefined) {
      parts.push(`<line class="span ${whose}" x1="${x(get).toFixed(1)}" x2="${x(set).toFixed(1)}" y1="${y}" y2="${y}"/>`);
    }
    if (get !== undefined) parts.push(`<circle class="${whose}" cx="${x(get).toFixed(1)}" cy="${y}" r="6"/>`);
    if (set !== undefined) parts.push(`<circle class="hollow ${whose}" cx="${x(set).toFixed(1)}" cy="${y}" r="5"/>`);
    for (const [value, label, below] of [[get, 'get', false], [set, 'set', true]]) {
      if (value === undefined) continue;
      const text = `${label} ${time(value)}`;
      parts.push(`<text class="note" x="${x(value).toFixed(1)}" y="${below ? y + 17 : y - 9}" text-anchor="middle">${text}</text>`);
    }
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 34}" width="${WIDTH}" role="img" aria-label="Time of one get and one set of 100 bytes, of a map of shm-node and of other stores">
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 14px; font-weight: 600; }
.strong { font-weight: 600; }
.note { font-size: 10px; fill: #59636e; }
.grid { stroke: #d1d9e0; }
.ours { fill: #2f6f9f; stroke: #2f6f9f; }
.theirs { fill: #8c959f; stroke: #8c959f; }
.hollow { fill: #ffffff; stroke-width: 2.5; }
.span { stroke-width: 2; opacity: 0.4; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .note { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .ours { fill: #6cb6ff; stroke: #6cb6ff; }
  .theirs { fill: #768390; stroke: #768390; }
  .hollow { fill: #0d1117; }
}
</style>
<text class="title" x="12" y="22">One get and one set of 100 bytes</text>
<text class="note" x="12" y="38">Less is better; the axis is logarithmic. Keys by zipf 0.99, all of them there.</text>
${parts.join('\n')}
</svg>
`;
}

function round(nanoseconds) {
  const units = [[1e6, 'ms'], [1e3, 'µs'], [1, 'ns']];
  const [factor, unit] = units.find(([least]) => nanoseconds >= least) ?? units[2];
  return `${nanoseconds / factor} ${unit}`;
}

/** Draws it anew, if there are numbers. */
export function draw(rows) {
  const drawn = picture(rows);
  if (drawn === undefined) return console.log('No numbers of the map: the plot stays as it is.');
  mkdirSync(join(root, 'docs/pictures'), { recursive: true });
  writeFileSync(join(root, 'docs/pictures/get-and-set.svg'), drawn);
}

if (process.argv[1]?.endsWith('bench-picture.mjs')) {
  const [file] = process.argv.slice(2);
  const read = (name) => readFileSync(name, 'utf8');
  draw(
    file === undefined
      ? (JSON.parse(read(join(root, 'docs/benchmarks.json'))).sections[SECTION] ?? [])
      : read(file).split('\n').filter(Boolean).map((line) => JSON.parse(line)),
  );
}
