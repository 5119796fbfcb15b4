// npm run test:runtimes [-- NAME...]: the Node tests on each runtime, each of which comes as an npm package.
// Writes what it saw to docs/runtimes.md, if it ran them all. Fails where a test fails that known-failures.mjs does not
// explain, and where the first example does not run.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build, buildStorm, copyPackage, install } from './build.mjs';
import { emptyProject, firstExample, packed } from './empty-project.mjs';
import { executable } from './executable.mjs';
import { finish } from './finish.mjs';
import { KNOWN_FAILURES } from './known-failures.mjs';
import { fail, root, run } from './run.mjs';

const { platform } = createRequire(import.meta.url)('../shm-node/lib/platform.js');

// How each runs a program, how it runs a test, and how it tells of a failure and of what passed or was skipped.
const node = { test: ['--test', '--test-reporter=tap'], run: [], lines: /^( *)(ok|not ok) \d+ - (.*?)(?: # (SKIP).*)?$/ };
const bun = { test: ['test', '--timeout', '120000'], run: [], lines: /^()\((pass|fail|skip|todo)\) (.*?)(?: \[[\d.]+m?s\])?()$/ };
const deno = { test: ['test', '-A', '--no-check'], run: ['run', '-A'], lines: /^( *)(.*) \.\.\. (ok|FAILED|ignored) \(.*\)()$/ };
const RUNTIMES = {
  ...Object.fromEntries([18, 20, 22, 24, 26].map((version) => [`node-${version}`, { spec: `node@${version}`, ...node }])),
  bun: { spec: 'bun', ...bun },
  deno: { spec: 'deno', ...deno },
};

const PATIENCE = 150_000;

// These try the compiler, the documents, other packages and programs in other languages, not the runtime.
const OF_OTHER_PACKAGES = ['express-rate-limit', 'express-session', 'fastify-rate-limit', 'keyv', 'next', 'prom-client'];
const NOT_OF_THE_RUNTIME = [
  ...['types', 'docs', 'languages', 'examples', 'package', 'bundlers', 'no-external-buffers'],
  ...OF_OTHER_PACKAGES,
];

if (!existsSync(join(root, 'node_modules'))) run('npm', ['ci', '--no-audit', '--no-fund']);

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in RUNTIMES));
if (unknown !== undefined) fail(`${unknown}: no such runtime. There are ${Object.keys(RUNTIMES).join(', ')}.`);

const packageFolder = join(root, 'target', 'packages', 'both');
rmSync(packageFolder, { recursive: true, force: true });
mkdirSync(packageFolder, { recursive: true });
copyPackage(packageFolder);
install(build(), packageFolder);
buildStorm(); // for sync-kills

const tests = join(root, 'tests', 'node');
const files = readdirSync(tests)
  .filter((file) => file.endsWith('.test.js') && !NOT_OF_THE_RUNTIME.includes(basename(file, '.test.js')))
  .map((file) => join(tests, file));
const project = mkdtempSync(join(tmpdir(), 'shm-node-runtimes-'));
emptyProject(project, packed(join(root, 'target', 'package')));

const seen = [];
for (const name of wanted.length > 0 ? wanted : Object.keys(RUNTIMES)) {
  const result = await test(name, RUNTIMES[name]);
  const explained = explain(name, result.failed);
  console.log(`${name} ${result.version}: ${result.passed} passed, ${result.skipped} skipped, ${result.failed.length} failed`);
  for (const claim of explained.unexplained) console.log(`  failed, and not in known-failures.mjs: ${claim}`);
  for (const pattern of explained.unused) console.log(`  in known-failures.mjs, but nothing like it failed: ${pattern}`);
  if (!result.example) console.log('  the first example of the README does not print what it should');
  seen.push({ name, ...result, ...explained });
}
rmSync(project, { recursive: true, force: true });
if (wanted.length === 0) writeFileSync(join(root, 'docs', 'runtimes.md'), report(seen));
process.exitCode = seen.some(({ example, unexplained }) => !example || unexplained.length > 0) ? 1 : 0;

async function test(name, runtime) {
  const program = executable(name, runtime.spec);
  const env = { ...process.env, SHM_NODE_PACKAGE: packageFolder, NO_COLOR: '1', NODE_OPTIONS: '' };
  const version = /\d+\.\d+\.\d+/.exec(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout)[0];
  const totals = { passed: 0, skipped: 0, failed: [] };
  for (const file of files) {
    const look = async () => {
      const { output, code } = await finish([program, ...runtime.test, file], PATIENCE, { cwd: root, env });
      return count(output, runtime, basename(file, '.test.js'), code);
    };
    let result = await look();
    // What fails for want of processor time on a busy machine does not fail twice.
    if (result.failed.length > 0) result = await look();
    totals.passed += result.passed;
    totals.skipped += result.skipped;
    totals.failed.push(...result.failed);
  }
  const first = await finish([program, ...runtime.run, 'first.cjs'], PATIENCE, { cwd: project });
  return { version, example: first.output === firstExample().output, ...totals };
}

// What failed, by reason; what failed without one; and the patterns that nothing matched.
function explain(name, failed) {
  const known = KNOWN_FAILURES.filter(({ runtime }) => runtime === name);
  const reasons = known.map(({ reason, tests }) => [reason, failed.filter((claim) => tests.some((test) => test.test(claim)))]);
  const unexplained = failed.filter((claim) => !reasons.some(([, claims]) => claims.includes(claim)));
  const unused = known.flatMap(({ tests }) => tests).filter((test) => !failed.some((claim) => test.test(claim)));
  return { reasons: reasons.filter(([, claims]) => claims.length > 0), unexplained, unused };
}

// Counts tests, not the groups that they are in: a group comes after or before what is indented below it.
function count(output, { lines }, file, status) {
  const totals = { passed: 0, skipped: 0, failed: [] };
  const results = output
    .split('\n')
    .map((line) => lines.exec(line))
    .filter(Boolean)
    .map(([, indent, a, b, skip]) => {
      const verdict = [a, b].find((text) => /^(ok|not ok|pass|fail|skip|todo|FAILED|ignored)$/.test(text));
      return { depth: indent.length, claim: verdict === a ? b : a, verdict: skip ? 'skip' : verdict };
    });
  for (const [place, { depth, claim, verdict }] of results.entries()) {
    if (place > 0 && results[place - 1].depth > depth) continue; // a group's own line
    if (['skip', 'todo', 'ignored'].includes(verdict)) totals.skipped += 1;
    else if (['ok', 'pass'].includes(verdict)) totals.passed += 1;
    else totals.failed.push([file, ...groupsOf(results, place), ...claim.split(' > ')].join(': ')); // as Bun has groups
  }
  totals.failed = [...new Set(totals.failed)]; // Bun repeats them at its end
  if (status !== 0 && totals.failed.length === 0) totals.failed.push(`${file}: it does not come to its end`);
  return totals;
}

// The groups that a test is in, outermost first: a group's own line comes after those of its tests.
function groupsOf(results, place) {
  const groups = [];
  for (let { depth } = results[place]; depth > 0; ) {
    const group = results.slice(place).find((result) => result.depth < depth);
    if (group === undefined) break;
    groups.unshift(group.claim);
    depth = group.depth;
  }
  return groups;
}

function sections({ reasons, unexplained }) {
  const all = unexplained.length > 0 ? [...reasons, ['No reason is known.', unexplained]] : reasons;
  return all.flatMap(([reason, claims]) => ['', reason, '', ...claims.map((claim) => `- ${claim.replace(/([<>*_|])/g, '\\$1')}`)]);
}

function report(all) {
  const title = { node: 'Node', bun: 'Bun', deno: 'Deno' };
  const nameOf = ({ name, version }) => `${title[name.replace(/-\d+$/, '')]} ${version}`;
  const rows = all.map((one) => {
    const cells = [nameOf(one), one.example ? 'yes' : 'no', one.passed, one.skipped, one.failed.length];
    return `| ${cells.join(' | ')} |`;
  });
  const lists = all
    .filter(({ failed }) => failed.length > 0)
    .flatMap((one) => ['', `## ${nameOf(one)}`, ...sections(one)]);
  return [
    '# Runtimes',
    '',
    `Written by \`npm run test:runtimes\` on ${platform}. It runs the same tests on each runtime, and the first example of the`,
    'README in an empty project where the tarball was installed offline with `--ignore-scripts`.',
    '',
    '| runtime | first example | passed | skipped | failed |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    'Below are the failed tests of each runtime, by reason: what that runtime cannot do, or does differently from Node. A test',
    'is named by its file, its groups and its claim. Bun runs the tests with `bun test`, Deno with `deno test -A`.',
    ...lists,
    '',
  ].join('\n');
}
