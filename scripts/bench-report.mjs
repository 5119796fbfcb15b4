// npm run bench:report [-- --render]: measures everything and writes docs/benchmarks.md, .json and the charts; with
// --render, only writes the text and the charts anew, of the numbers that are there.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { PROGRAMS, prepare } from './bench-node.mjs';
import { charts } from './bench-charts.mjs';
import { attempt, root, run } from './run.mjs';

// What a row has to reach, by how its text begins. [what, against (part of it), at most]
const TARGETS = [
  ['sum of 10 million Float64', '', 1.03],
  ['fill of 10 million Float64', '', 1.03],
  ['warm copy, 64 MiB', '', 1.05],
  ['create + touch + destroy, 64 MiB', '', 1.05],
  ['create+detach, 4 KiB, Rust, System V', 'the bare calls', 1.5],
  ['create+detach, 4 KiB, Rust, POSIX', 'the bare calls', 1.9],
  ['attach+detach, 4 KiB, Rust, System V', 'the bare calls', 1.8],
  ['attach+detach, 4 KiB, Rust, POSIX', 'the bare calls', 2.0],
  ['create+detach, 4 KiB, Node, System V', '', 0.8],
  ['create+detach, 4 KiB, Node, POSIX', '', 0.75],
  ['the last 20,000 of', '', 1.1],
  ['create+detach, 4 KiB, Rust', 'with 1 alive', 1.3],
  ['64 MiB to another process', 'process.send, advanced', 0.06],
  ['`node -e', '', 1.1],
  ['uncontended lock+unlock, Rust', '', 1.5],
  ['Channel, 64 B a message, receiveInto', 'a unix socket stream', 1 / 15],
  ['Channel, 64 KiB a message', 'a unix socket stream', 1 / 10],
  ['Channel, 64 B a message, receiveInto', 'shared-memory-disruptor', 1 / 5],
  ['Channel, 64 B a message, Rust', 'a ring in C', 1 / 0.8],
  ['Broadcast, 8 KiB', 'iceoryx2', 1],
  ['lock and unlock', 'two empty native calls', 1],
  ['waitAsync', '', 1.3],
  ['fs.readFile, 5,000 waits pending', '', 1.2],
];

function targetOf({ what, against }) {
  if (against.endsWith('corked')) return undefined; // beside it, not a target
  return TARGETS.find(([start, part]) => what.startsWith(start) && against.includes(part))?.[2];
}

/** Runs a program and reads the rows it prints; one that fails is reported, and the others go on. */
function rowsOf(command, args) {
  try {
    const printed = attempt(command, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 << 20 });
    return printed.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  } catch (error) {
    console.error(`Left out: ${error.message}`);
    return [];
  }
}

function time(nanoseconds) {
  if (nanoseconds < 1e3) return `${nanoseconds.toPrecision(3)} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toPrecision(3)} µs`;
  return `${(nanoseconds / 1e6).toPrecision(3)} ms`;
}

function table(rows) {
  const lines = rows.map((row) => {
    const target = targetOf(row);
    const verdict = target === undefined ? '' : `${Number(target.toFixed(3))} ${row.ratio <= target ? '✓' : '✗'}`;
    return `| ${row.what} | ${row.against} | ${time(row.ours)} | ${time(row.other)} | **${row.ratio.toFixed(3)}** | ${verdict} |`;
  });
  return ['| what | against | ours | theirs | ratio | at most |', '|---|---|---|---|---|---|', ...lines].join('\n');
}

function growth(rows) {
  const lines = rows.flatMap(({ what, steps = [] }) =>
    steps
      .filter(({ cycles }, index) => index === 0 || cycles % 200_000 === 0)
      .map(
        ({ cycles, each, rss, descriptors, mappings }) =>
          `| ${what.split(', ').at(-1)} | ${cycles.toLocaleString('en')} | ${time(each)} | ${(rss / 2 ** 20).toFixed(0)} MiB | ${descriptors} | ${mappings} |`,
      ),
  );
  const head = ['| backend | cycles done | one cycle | memory | descriptors | mappings |', '|---|---|---|---|---|---|'];
  return [...head, ...lines].join('\n');
}

const TITLES = {
  access: 'Node: reading and writing elements',
  lifecycle: 'Node: create, get and detach',
  growth: 'Node: cost as work grows',
  handover: 'Node: handing bytes to another process',
  load: 'Node: loading the package',
  sync: 'Coordination',
  fairness: 'Coordination: fairness under contention',
};

function measure() {
  prepare();
  run('cargo', ['build', '--release', '--locked', '--package', 'shm-benches', '--bins']);
  const peer = (name) => {
    const where = ['--manifest-path', `benches/peers/${name}/Cargo.toml`, '--target-dir', 'target/peers'];
    return rowsOf('cargo', ['run', '--release', '--quiet', '--locked', ...where]);
  };
  const sections = {
    'Rust, beside the bare system calls': rowsOf('target/release/ratios', []),
    'Rust, beside the crate shared_memory': peer('rust'),
    'Rust, beside a ring in C and iceoryx2': [...peer('ring'), ...peer('iceoryx2')],
  };
  for (const program of PROGRAMS) sections[TITLES[program]] = rowsOf('node', [`benches/node/${program}.mjs`]);
  const machine = {
    cpu: os.cpus()[0].model,
    cores: os.cpus().length,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: os.release(),
    node: process.version,
    rust: attempt('rustc', ['--version'], {}).trim(),
    date: new Date().toISOString().slice(0, 10),
  };
  return { machine, sections };
}

const docs = join(root, 'docs');
const numbers = join(docs, 'benchmarks.json');
const onlyRender = process.argv.includes('--render');
const { machine, sections } = onlyRender ? JSON.parse(readFileSync(numbers, 'utf8')) : measure();
const all = Object.values(sections).flat();
const short = all.filter((row) => row.ratio > targetOf(row));
const causes = JSON.parse(readFileSync(join(root, 'benches/causes.json'), 'utf8'));

mkdirSync(join(docs, 'benchmarks'), { recursive: true });
writeFileSync(numbers, `${JSON.stringify({ machine, sections }, null, 1)}\n`);
const pictures = await charts(sections, join(docs, 'benchmarks'));

const text = `# Benchmarks

Made by \`npm run bench:report\`; the numbers are in \`benchmarks.json\`, and \`npm run bench:compare OLD NEW\` compares two
such files. Only ratios count: both sides ran in turns, in one run, on a shared machine. A ratio is the median of the
rounds' ratios, ours to theirs, so less is better. Every safety of the library was on.

${machine.cpu}, ${machine.cores} cores, ${machine.memory}; Linux ${machine.kernel}; Node ${machine.node}; ${machine.rust};
${machine.date}.

## What falls short

${
  short.length === 0
    ? 'Nothing: every row that has a target reached it in this run.'
    : short
        .map((row) => {
          const cause = Object.entries(causes).find(([start]) => row.what.startsWith(start))?.[1];
          return `- **${row.what}**, against ${row.against}: ${row.ratio.toFixed(3)}, where ${Number(targetOf(row).toFixed(3))} was the aim. ${cause ?? 'The cause was not looked into.'}`;
        })
        .join('\n')
}

${Object.entries(sections)
  .map(([title, rows]) => {
    const picture = pictures[title] === undefined ? '' : `\n\n![${title}](benchmarks/${pictures[title]})`;
    const steps = rows.some(({ steps }) => steps) ? `\n\n${growth(rows)}` : '';
    return `## ${title}\n\n${rows.length === 0 ? 'Not measured in this run.' : table(rows)}${steps}${picture}`;
  })
  .join('\n\n')}

## Instructions

\`npm run bench:instructions\` counts the instructions of the hot paths in user space with callgrind, which does not depend
on the machine's mood. CI fails when one rises by more than 10 %.

| path | instructions |
|---|---|
${Object.entries(JSON.parse(readFileSync(join(root, 'benches/instructions.json'), 'utf8')))
  .map(([path, count]) => `| ${path} | ${count.toLocaleString('en')} |`)
  .join('\n')}
`;
writeFileSync(join(docs, 'benchmarks.md'), text);
console.log(`docs/benchmarks.md: ${all.length} rows, ${short.length} short of their target`);
