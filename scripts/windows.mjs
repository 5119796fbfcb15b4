// npm run test:windows: the tests of the crates on Windows. There they run as they are, and then the Node tests with an
// addon that is built. Elsewhere those of the crates are built for Windows and run under Wine 10, which this script sets
// up. (There the Node tests are `npm run test:platforms -- win32-x64`.) That needs root, debootstrap, mingw-w64 and
// `rustup target add x86_64-pc-windows-gnu`. Prints what each program of tests says, and ends with 1 where one fails.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TESTS, environment, programs } from './platforms/crates.mjs';
import { left } from './platforms/windows.mjs';
import { setUpWine, underWine } from './platforms/wine.mjs';
import { attempt, fail, root } from './run.mjs';

const HALF_AN_HOUR = 1_800_000;

/** Runs a command and shows what it prints. */
function show(command, args) {
  attempt(command, args, { stdio: 'inherit' });
}

/** Runs a program of tests under Wine. The examples that some of them run lie there under the same path. */
function runUnderWine(program) {
  const [command, ...under] = underWine;
  const env = { ...process.env, ...environment };
  const options = { encoding: 'utf8', env, timeout: HALF_AN_HOUR, killSignal: 'SIGKILL', maxBuffer: 1 << 26 };
  const { stdout, status } = spawnSync(command, [...under, program.replace(/\.exe$/, '')], options);
  return { output: stdout, succeeded: status === 0 };
}

/** On Windows itself. */
function testHere() {
  for (const tests of TESTS) show('cargo', ['test', '--locked', ...tests]);
  show(process.execPath, [join('scripts', 'build.mjs')]);
  const folder = join('tests', 'node');
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith('.test.js') && !(basename(file, '.test.js') in left));
  show(process.execPath, ['--test', '--test-timeout=600000', ...files.map((file) => join(folder, file))]);
}

function testUnderWine() {
  try {
    setUpWine();
    attempt('x86_64-w64-mingw32-gcc', ['--version'], { stdio: 'pipe' });
  } catch ({ message }) {
    fail(`Not run: ${message}`);
  }
  const failed = [];
  for (const program of programs()) {
    const name = basename(program).replace(/-[0-9a-f]+\.exe$/, '');
    const { output, succeeded } = runUnderWine(program);
    // The last one: processes that a test starts print theirs before.
    const results = [...output.matchAll(/^test result: (.+?); 0 measured/gm)];
    const summary = results.at(-1)?.[1] ?? 'it does not come to its end';
    console.log(`${name}: ${summary}`);
    if (succeeded) continue;
    failed.push(name);
    console.log(output);
  }
  if (failed.length > 0) fail(`Failed under Wine: ${failed.join(', ')}`);
}

if (process.platform === 'win32') testHere();
else testUnderWine();
