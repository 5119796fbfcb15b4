// npm run bench:node [-- NAME…]: the Node benches, a line of JSON for each comparison.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root, run } from './run.mjs';

export const PROGRAMS = ['access', 'lifecycle', 'growth', 'handover', 'load', 'sync', 'fairness'];

/** Installs what the benches need, and builds the peers where that works. */
export function prepare() {
  run('node', ['scripts/build.mjs']);
  if (!existsSync(join(root, 'benches/node/node_modules'))) run('npm', ['ci', '--prefix', 'benches/node']);
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

if (process.argv[1]?.endsWith('bench-node.mjs')) {
  prepare();
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : PROGRAMS) run('node', [`benches/node/${name}.mjs`]);
}
