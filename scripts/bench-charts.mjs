// Charts of the report, as SVG, by Vega-Lite.

import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './run.mjs';

// The libraries belong to the benches, not to the workspace.
const from = createRequire(join(root, 'benches/node/package.json'));
const load = (name) => import(pathToFileURL(from.resolve(name)));

const COLOURS = ['#2f6f9f', '#b5b5b5'];

/** Writes a chart for each section that has one; returns the file names by section. */
export async function charts(sections, folder) {
  const vega = await load('vega');
  const { compile } = await load('vega-lite');
  const files = {};
  for (const [title, rows] of Object.entries(sections)) {
    const times = rows.filter(({ leftOut, unit }) => leftOut === undefined && unit === undefined);
    if (times.length === 0) continue;
    const file = `${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.svg`;
    const has = (what) => times.some((row) => row[what] !== undefined);
    const draw = has('steps') ? lines : has('percentiles') ? latencies : dots;
    const spec = draw(times);
    const view = new vega.View(vega.parse(compile(spec).spec), { renderer: 'none' });
    writeFileSync(join(folder, file), await view.toSVG());
    files[title] = file;
  }
  return files;
}

const base = { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', background: 'white', padding: 10 };

/** Ours and theirs, a pair of dots each: a logarithmic axis has no zero that a bar could begin at. */
function dots(rows) {
  const values = rows.flatMap(({ what, against, ours, other }) => [
    { what: `${what} · ${against}`, whose: 'ours', microseconds: ours / 1e3 },
    { what: `${what} · ${against}`, whose: 'theirs', microseconds: other / 1e3 },
  ]);
  return {
    ...base,
    data: { values },
    width: 460,
    height: { step: 18 },
    mark: { type: 'point', filled: true, size: 70, opacity: 1 },
    encoding: {
      y: { field: 'what', type: 'nominal', sort: null, title: null, axis: { labelLimit: 900, grid: true } },
      x: { field: 'microseconds', type: 'quantitative', scale: { type: 'log' }, title: 'µs, logarithmic' },
      color: { field: 'whose', scale: { range: COLOURS }, title: null },
    },
  };
}

/** The cost of a cycle as cycles go by. */
function lines(rows) {
  const values = rows.flatMap(({ what, steps }) =>
    steps.map(({ cycles, each }) => ({ backend: what.split(', ').at(-1), cycles, microseconds: each / 1e3 })),
  );
  return {
    ...base,
    data: { values },
    width: 560,
    height: 220,
    mark: { type: 'line', interpolate: 'monotone' },
    encoding: {
      x: { field: 'cycles', type: 'quantitative', title: 'create+detach cycles done' },
      y: { field: 'microseconds', type: 'quantitative', title: 'µs a cycle', scale: { zero: true } },
      color: { field: 'backend', scale: { range: ['#2f6f9f', '#c77b30'] }, title: null },
    },
  };
}

/** How long messages of each size take: half, 99 % and 99.9 % are below the lines. */
function latencies(rows) {
  const values = rows.flatMap(({ size, against, percentiles }) =>
    [['ours', percentiles.ours], [against, percentiles.other]].flatMap(([whose, times]) =>
      Object.entries(times).map(([percentile, time]) => ({ size, whose, percentile, microseconds: time / 1e3 })),
    ),
  );
  return {
    ...base,
    data: { values },
    width: 560,
    height: 320,
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'size', type: 'quantitative', scale: { type: 'log', base: 2 }, title: 'bytes a message' },
      y: { field: 'microseconds', type: 'quantitative', scale: { type: 'log' }, title: 'µs, logarithmic' },
      color: { field: 'whose', sort: null, scale: { range: COLOURS }, title: null },
      strokeDash: { field: 'percentile', sort: null, title: null },
    },
  };
}
