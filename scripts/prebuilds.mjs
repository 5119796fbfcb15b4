// The prebuilt binaries of every platform, linked on one machine by zig, which brings each system's libraries.

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { install, libraryOf } from './build.mjs';
import { exportsFor, exportsOf } from './exports.mjs';
import { withLibnode } from './libnode.mjs';
import { attempt, fail, root, run } from './run.mjs';
import { bin, pip } from './tools.mjs';

/** The newest C library that a binary for glibc may ask for: that of the systems which Node 18 is for. */
export const GLIBC = '2.28';

const TARGETS = {
  'linux-x64-gnu': 'x86_64-unknown-linux-gnu',
  'linux-arm64-gnu': 'aarch64-unknown-linux-gnu',
  'linux-x64-musl': 'x86_64-unknown-linux-musl',
  'linux-arm64-musl': 'aarch64-unknown-linux-musl',
  'darwin-x64': 'x86_64-apple-darwin',
  'darwin-arm64': 'aarch64-apple-darwin',
  'win32-x64': 'x86_64-pc-windows-gnullvm',
  'win32-arm64': 'aarch64-pc-windows-gnullvm',
};

const TOOLS = ['cargo-zigbuild==0.24.1', 'ziglang==0.15.2'];

/** Builds them all, into `<folder>/<platform>/shm-node.node`. */
export function buildAll(folder) {
  rmSync(folder, { recursive: true, force: true });
  for (const platform of Object.keys(TARGETS)) buildFor(platform, folder);
}

/** Builds the one of a platform, into `<folder>/<platform>/shm-node.node`, which it returns. */
export function buildFor(platform, folder) {
  console.log(`\n# ${platform}`);
  const target = TARGETS[platform];
  getTools(target);
  const wanted = platform.endsWith('-gnu') ? `${target}.${GLIBC}` : target;
  const args = ['zigbuild', '--release', '--locked', '--package', 'shm-node', '--target', wanted];
  // For macOS, zig's linker takes no list of what to export. It exports each function that two crates share, and an
  // optimization of all crates as one leaves none.
  const settings = platform.startsWith('darwin') ? { CARGO_PROFILE_RELEASE_LTO: 'fat' } : {};
  run('cargo', args, { PATH: [bin, process.env.PATH].join(delimiter), ...withLibnode(), ...settings });
  mkdirSync(join(folder, platform), { recursive: true });
  install(join(root, 'target', target, 'release', libraryOf(platform.split('-')[0])), join(folder, platform));
  const file = join(folder, platform, 'shm-node.node');
  const asked = glibcOf(file);
  if (isTooNew(platform, asked)) fail(`${platform}: the binary asks for glibc ${asked}`);
  const exported = exportsOf(file);
  if (exported.join() !== exportsFor(platform).join()) fail(`${platform}: the binary exports ${exported.join(', ')}`);
  return file;
}

/** The newest version of glibc that a binary's symbols ask for; `undefined` where they ask for none. */
export function glibcOf(file) {
  const versions = readFileSync(file, 'latin1').matchAll(/GLIBC_(\d+\.\d+)/g);
  return [...versions].map(([, version]) => version).sort(byNumbers).at(-1);
}

/** Whether a binary for a platform asks for a glibc that may not be there. */
export function isTooNew(platform, asked) {
  return asked !== undefined && (!platform.endsWith('-gnu') || byNumbers(asked, GLIBC) > 0);
}

function byNumbers(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}

function getTools(target) {
  if (!['cargo-zigbuild', 'python-zig'].every((tool) => existsSync(join(bin, tool)))) pip('install', ...TOOLS);
  const there = attempt('rustup', ['target', 'list', '--installed'], { stdio: 'pipe' }).split('\n');
  if (!there.includes(target)) run('rustup', ['target', 'add', target]);
}
