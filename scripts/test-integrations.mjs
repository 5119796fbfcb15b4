// npm run test:integrations [-- --short]: the stores with packages that are too heavy for npm test, or are one major
// version older than those there. Installs what it needs into target/integrations, and writes what it saw to
// docs/integrations.md. --short leaves Next.js out, and writes nothing.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, copyPackage, install, parsed } from './build.mjs';
import { fail, root, run } from './run.mjs';

// Each is a folder of tests/integrations with its packages; `of` has the tests where they are another's.
const GROUPS = [
  { name: 'stores', of: 'stores', isShort: true, also: ['express-rate-limit', 'express-session', 'fastify-rate-limit'] },
  { name: 'next', of: 'next' },
  { name: 'next-15', of: 'next' },
];
const [BEGIN, END] = ['<!-- written by npm run test:integrations -->', '<!-- the end of what it writes -->'];

const { values } = parsed({ short: { type: 'boolean' } });
const redis = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
if (redis.error) fail('redis-server: not found. It comes with the distribution: apt-get install redis-server');

const seen = [];
const addon = build();
for (const group of GROUPS.filter(({ isShort }) => isShort || !values.short)) {
  const folder = prepare(group);
  seen.push({ ...group, versions: versionsIn(folder), ...test(folder) });
}

for (const { name, versions, failed, passed } of seen) {
  console.log(`\n${name}: ${versions.join(', ')}: ${passed} passed, ${failed.length} failed`);
  for (const claim of failed) console.log(`  ${claim}`);
}
const failures = seen.flatMap(({ failed }) => failed).length;
console.log(`\n${seen.reduce((sum, { passed }) => sum + passed, 0)} passed, ${failures} failed`);
if (!values.short && failures === 0) record();
process.exitCode = failures === 0 ? 0 : 1;

/** Installs the packages of a group, unless they are there, and lays its tests and our package beside them. */
function prepare({ name, of, also = [] }) {
  const source = join(root, 'tests', 'integrations');
  const folder = join(root, 'target', 'integrations', name);
  const lock = 'package-lock.json';
  const wanted = readFileSync(join(source, name, lock), 'utf8');
  const isThere = existsSync(join(folder, 'installed'));
  if (!isThere || readFileSync(join(folder, 'installed'), 'utf8') !== wanted) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const file of ['package.json', lock]) cpSync(join(source, name, file), join(folder, file));
    run('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error']);
    writeFileSync(join(folder, 'installed'), wanted);
  }
  for (const part of readdirSync(join(source, of))) {
    if (!part.startsWith('package')) cpSync(join(source, of, part), join(folder, part), { recursive: true });
  }
  const tests = join(root, 'tests', 'node');
  for (const part of also.length === 0 ? [] : ['support.js', 'support', ...also.map((file) => `${file}.test.js`)]) {
    cpSync(join(tests, part), join(folder, part), { recursive: true });
  }
  const ours = join(folder, 'node_modules', 'shm-node');
  rmSync(ours, { recursive: true, force: true });
  mkdirSync(ours);
  copyPackage(ours);
  install(addon, ours);
  return folder;
}

function test(folder) {
  const results = join(folder, 'results');
  const reporters = ['spec', 'stdout', join(root, 'scripts', 'results-reporter.mjs'), results];
  const args = reporters.map((value, i) => `--test-reporter${i % 2 === 0 ? '' : '-destination'}=${value}`);
  const files = readdirSync(folder).filter((file) => file.endsWith('.test.js'));
  const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=900000', ...args, ...files], {
    cwd: folder,
    env: { ...process.env, SHM_NODE_PACKAGE: join(folder, 'node_modules', 'shm-node') },
    stdio: 'inherit',
  });
  const lines = readFileSync(results, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const of = (wanted) => lines.filter(({ verdict }) => verdict === wanted);
  const failed = of('failed').map(({ file, claim }) => `${file}: ${claim}`);
  if (status !== 0 && failed.length === 0) failed.push('the tests do not come to their end');
  return { passed: of('passed').length, failed };
}

function versionsIn(folder) {
  const read = (...parts) => JSON.parse(readFileSync(join(folder, ...parts, 'package.json'), 'utf8'));
  const versions = Object.keys(read().dependencies).map((name) => `${name} ${read('node_modules', name).version}`);
  const [server] = /\d+\.\d+\.\d+/.exec(redis.stdout);
  return folder.endsWith('stores') ? [...versions, `redis-server ${server}`] : versions;
}

function record() {
  const file = join(root, 'docs', 'integrations.md');
  const text = readFileSync(file, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const [, after] = rest.split(END);
  const rows = seen.map(({ versions, passed }) => {
    return `| ${versions.map((version) => `\`${version.replace(' ', '` ')}`).join(', ')} | ${passed} |`;
  });
  const part = ['', `With Node ${process.versions.node}:`, '', '| packages | tests that passed |', '|---|---|', ...rows, ''];
  writeFileSync(file, `${before}${BEGIN}\n${part.join('\n')}\n${END}${after}`);
}
