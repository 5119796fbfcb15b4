// npm run test:windows: the tests of the crates that run on Windows. There they run as they are. Elsewhere they are
// built for Windows and run under Wine 10, in a Debian 13 root in target/windows that this script sets up. That needs
// root, debootstrap, mingw-w64 and `rustup target add x86_64-pc-windows-gnu`. Prints what each program of tests says,
// and ends with 1 where one fails.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { attempt, fail, root } from './run.mjs';

const TARGET = 'x86_64-pc-windows-gnu';
const FOLDER = join(root, 'target', 'windows');
const DEBIAN = join(FOLDER, 'debian');
const HALF_AN_HOUR = 1_800_000;

const EXAMPLES = join(FOLDER, 'examples');

// Which tests there are. Left out is what is about forks, descriptors, live files and memory that cannot be touched
// (shm-sync: hostile, python_reader; shm-map: hostile, layout), which all need Unix.
const TESTS = [
  [...packages('shm-api', 'shm-lifetime', 'shm-windows', 'shm-sync', 'shm-map'), '--lib'],
  [...packages('shm-tests'), '--no-default-features', '--test', 'backends'],
  [...packages('shm-sync'), '--test', 'processes', '--test', 'inspect'],
  [...packages('shm-map'), '--test', 'map'],
  [...packages('shm-segments'), '--tests'],
];

function packages(...names) {
  return names.flatMap((name) => ['--package', name]);
}

// Enters the root $0, with the folder $1 as /work in it. The mounts end with the command.
const ENTER = `
  mkdir -p "$0/work" && mount --bind "$1" "$0/work" && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
  exec chroot "$0" env -C /work HOME=/root WINEPREFIX=/work/prefix WINEDEBUG=-all WINEARCH=win64 XDG_RUNTIME_DIR=/tmp \\
    sh -c "$2"`;

/** Runs a command and shows what it prints. */
function show(command, args, env = {}) {
  attempt(command, args, { env: { ...process.env, ...env }, stdio: 'inherit' });
}

/** Runs a script in the Debian root, in namespaces of its own; whether it succeeded. */
function inDebian(script) {
  const args = ['--mount', '--ipc', 'bash', '-c', ENTER, DEBIAN, FOLDER, script];
  return spawnSync('unshare', args, { timeout: HALF_AN_HOUR, killSignal: 'SIGKILL' }).status === 0;
}

function setUp() {
  if (process.getuid?.() !== 0) fail('Not run: Wine runs in a root of its own, so this needs to be root.');
  const missing = ['debootstrap', 'x86_64-w64-mingw32-gcc'].filter((tool) => spawnSync(tool, ['--version']).error);
  if (missing.length > 0) fail(`Not found: ${missing.join(', ')}. apt-get install debootstrap gcc-mingw-w64-x86-64`);
  const done = join(FOLDER, 'done');
  if (existsSync(done)) return;
  mkdirSync(FOLDER, { recursive: true });
  if (!existsSync(join(DEBIAN, 'etc', 'os-release'))) {
    show('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'trixie', DEBIAN]);
  }
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'wine', 'wine64'];
  show('chroot', [DEBIAN, ...install], { DEBIAN_FRONTEND: 'noninteractive' });
  if (!inDebian('wineboot --init && wineserver --wait')) fail('Wine cannot make its folder.');
  writeFileSync(done, '');
}

/** Builds something for Windows; the paths of the programs. */
function build(...what) {
  const args = [...what, '--locked', '--target', TARGET, '--message-format', 'json'];
  const lines = attempt('cargo', args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 }).trim().split('\n');
  return lines.map((line) => JSON.parse(line).executable).filter(Boolean);
}

/** What the tests of the examples run: there is no cargo where they run. */
function buildExamples() {
  mkdirSync(EXAMPLES, { recursive: true });
  for (const program of build('build', ...packages('shm-segments'), '--examples')) {
    copyFileSync(program, join(EXAMPLES, basename(program)));
  }
}

/** Runs a program of tests under Wine. What Windows programs print goes to a file. */
function underWine(program) {
  copyFileSync(program, join(FOLDER, 'tests.exe'));
  const succeeded = inDebian('SHM_TESTS_EXAMPLES="Z:\\\\work\\\\examples" wine tests.exe > output 2>&1 < /dev/null');
  const output = readFileSync(join(FOLDER, 'output'), 'utf8').replaceAll('\r', '');
  return { output, succeeded };
}

if (process.platform === 'win32') {
  for (const tests of TESTS) show('cargo', ['test', '--locked', ...tests]);
} else {
  setUp();
  buildExamples();
  const failed = [];
  for (const program of TESTS.flatMap((tests) => build('test', '--no-run', ...tests))) {
    const name = basename(program).replace(/-[0-9a-f]+\.exe$/, '');
    const { output, succeeded } = underWine(program);
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
