// npm test: every test of the workspace, Rust and Node; the Node tests on each of the three builds. With
// SHM_TESTS_NO_SKIP=1 a test that is skipped for a reason that is not in tests/skips.txt is a failure.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, buildStorm, copyPackage, install } from './build.mjs';
import { fail, root, run } from './run.mjs';
import { telling, unlisted } from './skips.mjs';

if (!existsSync(join(root, 'node_modules'))) run('npm', ['ci', '--no-audit', '--no-fund']);
run('cargo', ['test', '--workspace', '--locked']);
// The algorithms of coordination and of the map: every interleaving of a few threads, and processes that die at any
// step.
for (const [crate, test, storms] of [['shm-sync', 'processes', 'storms::'], ['shm-map', 'map', 'storm::']]) {
  const args = ['test', '--release', '--locked', '--package', crate];
  run('cargo', [...args, '--lib', '--target-dir', 'target/loom'], { RUSTFLAGS: '--cfg loom' });
  run('cargo', [...args, '--test', test, '--target-dir', 'target/storm', storms], { RUSTFLAGS: '--cfg shm_storm' });
}

buildStorm();

const tests = join(root, 'tests', 'node');
// A file that never ends is named. Node 18 has no such option.
const limit = '--test-timeout=600000';
const limits = spawnSync('node', [limit, '--eval', '0']).status === 0 ? [limit] : [];
const files = readdirSync(tests).filter((file) => file.endsWith('.test.js'));

for (const backend of [undefined, 'sysv', 'posix']) {
  const name = backend ?? 'both';
  const folder = join(root, 'target', 'packages', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyPackage(folder);
  install(build(backend), folder);
  console.log(`\n# Node tests, ${name}`);
  const skipped = join(folder, '..', `${name}.skipped`);
  run('node', ['--test', ...limits, ...telling(skipped), ...files.map((file) => join(tests, file))], { SHM_NODE_PACKAGE: folder });
  const refused = process.env.SHM_TESTS_NO_SKIP === '1' ? unlisted(skipped) : [];
  if (refused.length > 0) fail(`Skipped, and not on the list tests/skips.txt:\n${refused.join('\n')}`);
}
