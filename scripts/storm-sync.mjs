// npm run storm:sync [-- MINUTES]: the tests of coordination again and again, in parallel, on each way to wait; then
// those that need a moment in which no process dies, alone; a process of Node killed at every single step; and the
// storm of the Rust crate, whose processes die at any step.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, buildStorm, install } from './build.mjs';
import { fail, root, run } from './run.mjs';

const minutes = Number(process.argv[2] ?? 5);
if (!(minutes > 0)) fail('npm run storm:sync -- MINUTES');

install(build(), join(root, 'shm-node'));
buildStorm();
run('cargo', ['build', '--package', 'shm-sync', '--examples']);

const WAYS = ['', 'uring', 'waitv', 'sliced'];
// One of its tests waits until no process has died for some time, and the other tests kill processes all the time.
const ALONE = 'sync-deaths.test.js';

const tests = join(root, 'tests', 'node');
const files = readdirSync(tests)
  .filter((file) => /^sync-.*\.test\.js$/.test(file) && file !== ALONE)
  .map((file) => join(tests, file));
const until = Date.now() + minutes * 60_000;
let rounds = 0;

/** Runs the tests until time is up; whatever fails ends the storm. */
async function storm(way) {
  while (Date.now() < until) {
    const env = { ...process.env, SHM_NODE_WAITS: way };
    const child = spawn(process.execPath, ['--test', ...files], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) fail(`${output}\nfailed with the way to wait "${way}" after ${rounds} rounds`);
    rounds++;
  }
}

await Promise.all(WAYS.map(storm));
console.log(`${rounds} rounds of ${files.length} files`);
for (const way of WAYS) run('node', ['--test', join(tests, ALONE)], { SHM_NODE_WAITS: way });
run('node', ['--test', join(tests, 'sync-kills.test.js')], { SHM_NODE_KILL_EVERY: '1' });
run('cargo', ['test', '--package', 'shm-sync', '--release', '--test', 'processes', '--target-dir', 'target/storm'], { RUSTFLAGS: '--cfg shm_storm' });
