// npm run bench:report [-- --only TITLE | --render]: measures everything and writes docs/benchmarks.md, .json and the
// charts. With --only, it measures the sections whose titles have TITLE in them, and keeps the others with their dates;
// with --render, it only writes the text and the charts anew, of the numbers that are there.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodes, waysOn, WORDS } from './bench-async.mjs';
import { charts } from './bench-charts.mjs';
import { MAP } from './bench-map.mjs';
import { PROGRAMS, prepare, preparePeers, rowsOf } from './bench-node.mjs';
import { growth, percentiles, table, targetOf } from './bench-table.mjs';
import { attempt, root, run } from './run.mjs';
import { SECTION, draw } from './bench-picture.mjs';

const TITLES = {
  access: 'Node: reading and writing elements',
  lifecycle: 'Node: create, get and detach',
  'first-touch': 'Node: the first touch of each page',
  growth: 'Node: cost as work grows',
  handover: 'Node: handing bytes to another process',
  load: 'Node: loading the package',
  sync: 'Coordination',
  fairness: 'Coordination: fairness under contention',
};

const today = new Date().toISOString().slice(0, 10);

/** What measures each section, by its title; several versions of Node give sections of their own. */
function sectionsToMeasure() {
  const peer = (name) => {
    const where = ['--manifest-path', `benches/peers/${name}/Cargo.toml`, '--target-dir', 'target/peers'];
    return rowsOf('cargo', ['run', '--release', '--quiet', '--locked', ...where]);
  };
  const ways = {
    'Rust, beside the bare system calls': () => rowsOf('target/release/ratios', []),
    'Rust, beside the crate shared_memory': () => peer('rust'),
    'Rust, beside a ring in C and iceoryx2': () => [...peer('ring'), ...peer('iceoryx2')],
  };
  for (const program of PROGRAMS) ways[TITLES[program]] = () => rowsOf('node', [`benches/node/${program}.mjs`]);
  for (const { title, rows } of Object.values(MAP)) ways[title] = rows;
  for (const one of nodes()) Object.assign(ways, waysOn(one));
  return ways;
}

/** Measures the sections whose titles have `only` in them, and keeps the others of the last report. */
function measure(only, last) {
  prepare();
  preparePeers();
  run('cargo', ['build', '--release', '--locked', '--package', 'shm-benches', '--bins']);
  const [sections, dates] = [{}, {}];
  for (const [title, way] of Object.entries(sectionsToMeasure())) {
    const isWanted = title.includes(only);
    if (!isWanted && last?.sections[title] === undefined) continue;
    sections[title] = isWanted ? way() : last.sections[title];
    dates[title] = isWanted ? today : (last.dates?.[title] ?? last.machine.date);
  }
  const machine = {
    cpu: os.cpus()[0].model,
    cores: os.cpus().length,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: os.release(),
    node: process.version,
    nodes: [...nodes().values()].map((program) => attempt(program, ['--version'], {}).trim()).join(', '),
    rust: attempt('rustc', ['--version'], {}).trim(),
    date: today,
  };
  return { machine, dates, sections };
}

const docs = join(root, 'docs');
const numbers = join(docs, 'benchmarks.json');
const last = existsSync(numbers) ? JSON.parse(readFileSync(numbers, 'utf8')) : undefined;
const { values } = parseArgs({ options: { only: { type: 'string', default: '' }, render: { type: 'boolean' } } });
const { machine, dates = {}, sections } = values.render ? last : measure(values.only, last);
const all = Object.entries(sections).flatMap(([title, rows]) => rows.map((row) => ({ title, ...row })));
const short = all.filter((row) => row.ratio > targetOf(row));
// What is the same on several versions of Node is told once.
const firstOf = (kind) => Object.keys(sections).find((title) => title.endsWith(`, ${kind}`));
const wordsOf = Object.fromEntries([
  ...Object.entries(WORDS).map(([kind, words]) => [firstOf(kind), words]),
  ...Object.values(MAP).map(({ title, words }) => [title, words]),
]);
const causes = JSON.parse(readFileSync(join(root, 'benches/causes.json'), 'utf8'));

rmSync(join(docs, 'benchmarks'), { recursive: true, force: true });
mkdirSync(join(docs, 'benchmarks'));
writeFileSync(numbers, `${JSON.stringify({ machine, dates, sections }, null, 1)}\n`);
draw(sections[SECTION] ?? []);
const pictures = await charts(sections, join(docs, 'benchmarks'));

const text = `# Benchmarks

\`npm run bench:report\` writes this page. The numbers are in \`benchmarks.json\`, and \`npm run bench:compare OLD NEW\` compares
two such files. Only the ratios are meaningful: both sides ran in turns, in one run, on a shared machine. A ratio is the
median of the ratios of all rounds, ours to theirs, so a smaller one is better. All safety checks of the library were on.

${machine.cpu}, ${machine.cores} cores, ${machine.memory}; Linux ${machine.kernel}; Node ${machine.node};
in the groups that name a version, Node ${machine.nodes ?? machine.node}; ${machine.rust}; ${machine.date}.

## What falls short

${
  short.length === 0
    ? 'Nothing: in this run, every row with a target reached it.'
    : short
        .map((row) => {
          const cause = Object.entries(causes).find(([start]) => row.what.startsWith(start))?.[1];
          const where = row.title.includes(', as ') ? ` (${row.title.split(',')[0]})` : '';
          return `- **${row.what}**, against ${row.against}${where}: ${row.ratio.toFixed(3)}, where ${Number(targetOf(row).toFixed(3))} was the aim. ${cause ?? 'The cause is not known.'}`;
        })
        .join('\n')
}

${Object.entries(sections)
  .map(([title, rows]) => {
    const picture = pictures[title] === undefined ? '' : `\n\n![${title}](benchmarks/${pictures[title]})`;
    const steps = rows.some(({ steps }) => steps) ? `\n\n${growth(rows)}` : '';
    const words = title in wordsOf ? `\n\n${wordsOf[title]}` : '';
    const late = rows.some(({ percentiles }) => percentiles) ? `\n\n${percentiles(rows)}` : '';
    const measured = rows.length === 0 ? 'Not measured in this run.' : table(rows);
    const date = (dates[title] ?? machine.date) === machine.date ? '' : `\n\nMeasured on ${dates[title]}, with the code of that day.`;
    return `## ${title}${words}${date}\n\n${measured}${steps}${late}${picture}`;
  })
  .join('\n\n')}

## Instructions

\`npm run bench:instructions\` counts the instructions of the hot paths in user space, with callgrind. The counts do not
depend on the load of the machine. CI fails if one rises by more than 10 %.

| path | instructions |
|---|---|
${Object.entries(JSON.parse(readFileSync(join(root, 'benches/instructions.json'), 'utf8')))
  .map(([path, count]) => `| ${path} | ${count.toLocaleString('en')} |`)
  .join('\n')}
`;
writeFileSync(join(docs, 'benchmarks.md'), text);
console.log(`docs/benchmarks.md: ${all.length} rows, ${short.length} short of their target`);
