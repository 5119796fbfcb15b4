// npm run bench:node [-- NAME…]: the Node benches, a line of JSON for each comparison.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root, run } from './run.mjs';

export const PROGRAMS = ['access', 'lifecycle', 'first-touch', 'growth', 'handover', 'load', 'sync', 'fairness'];

/** Builds the addon, and installs what the benches need. */
export function prepare() {
  run('node', ['scripts/build.mjs']);
  if (isOlder('benches/node/node_modules/.package-lock.json', 'benches/node/package-lock.json')) {
    run('npm', ['ci', '--prefix', 'benches/node', '--ignore-scripts', '--no-audit', '--no-fund']);
  }
}

/** Builds the addons that the benches compare with, where that works. */
export function preparePeers() {
  const peers = join(root, 'benches/peers/node');
  if (!existsSync(join(peers, 'node_modules'))) run('npm', ['ci', '--prefix', peers, '--ignore-scripts']);
  for (const name of ['shm-typed-array', 'shared-memory-disruptor']) {
    const folder = join(peers, 'node_modules', name);
    if (existsSync(join(folder, 'build'))) continue;
    try {
      attempt('npx', ['--yes', 'node-gyp', 'rebuild', '--directory', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
    } catch (error) {
      console.error(`${name} could not be built, so the benches go on without it: ${error.message}`);
    }
  }
}

function isOlder(file, other) {
  const time = (name) => statSync(join(root, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return time(file) < time(other);
}

/** Runs a program and reads the rows it prints; one that fails is reported, and the others go on. */
export function rowsOf(command, args) {
  try {
    const printed = attempt(command, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 << 20 });
    return printed.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  } catch (error) {
    console.error(`Left out: ${error.message}`);
    return [];
  }
}

if (process.argv[1]?.endsWith('bench-node.mjs')) {
  prepare();
  preparePeers();
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : PROGRAMS) run('node', [`benches/node/${name}.mjs`]);
}
