// npm run test:load [-- TIMES [NAME…]]: each Node test file TIMES times (20), and the Rust tests as often, beside three
// busy processes a core. A test that fails only there is decided by the clock. NAME: `sync-locks`, or `rust`.

import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import { basename, join } from 'node:path';
import { build, install } from './build.mjs';
import { fail, root, run } from './run.mjs';

const [times = 20, ...wanted] = process.argv.slice(2);
if (!(Number(times) > 0)) fail('npm run test:load -- TIMES [NAME…]');

install(build(), join(root, 'shm-node'));
run('cargo', ['test', '--workspace', '--locked', '--no-run']);

const tests = join(root, 'tests', 'node');
const node = readdirSync(tests)
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => [basename(file, '.test.js'), 'node', ['--test', join(tests, file)]]);
const all = [...node, ['rust', 'cargo', ['test', '--workspace', '--locked']]];
const unknown = wanted.find((name) => !all.some(([known]) => known === name));
if (unknown !== undefined) fail(`${unknown}: no such test. There are ${all.map(([name]) => name).join(', ')}.`);

const busy = Array.from({ length: 3 * os.cpus().length }, () => spawn(process.execPath, ['-e', 'for (;;);']));
process.on('exit', () => busy.forEach((process) => process.kill('SIGKILL')));

const failed = [];
for (const [name, command, args] of all.filter(([name]) => wanted.length === 0 || wanted.includes(name))) {
  let failures = 0;
  for (let time = 1; time <= times; time++) {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (status === 0) continue;
    failures++;
    console.log(`${stdout}\n${stderr}\n${name} failed at time ${time}`);
  }
  console.log(`${name}: failed ${failures} of ${times} times`);
  if (failures > 0) failed.push(name);
}
if (failed.length > 0) fail(`Failed beside busy processes: ${failed.join(', ')}`);
