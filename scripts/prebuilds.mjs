// The prebuilt binaries of every platform, linked on one machine by zig, which brings each system's libraries.

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { install } from './build.mjs';
import { attempt, fail, root, run } from './run.mjs';

/** The newest C library that a binary for glibc may ask for: that of the systems which Node 18 is for. */
export const GLIBC = '2.28';

const TARGETS = {
  'linux-x64-gnu': 'x86_64-unknown-linux-gnu',
  'linux-arm64-gnu': 'aarch64-unknown-linux-gnu',
  'linux-x64-musl': 'x86_64-unknown-linux-musl',
  'linux-arm64-musl': 'aarch64-unknown-linux-musl',
  'darwin-x64': 'x86_64-apple-darwin',
  'darwin-arm64': 'aarch64-apple-darwin',
};

const TOOLS = ['cargo-zigbuild==0.24.1', 'ziglang==0.15.2'];

/** Builds them all, into `<folder>/<platform>/shm-node.node`. */
export function buildAll(folder) {
  const env = { PATH: [getTools(), process.env.PATH].join(delimiter) };
  getTargets();
  rmSync(folder, { recursive: true, force: true });
  for (const [platform, target] of Object.entries(TARGETS)) {
    console.log(`\n# ${platform}`);
    const wanted = platform.endsWith('-gnu') ? `${target}.${GLIBC}` : target;
    run('cargo', ['zigbuild', '--release', '--locked', '--package', 'shm-node', '--target', wanted], env);
    const library = platform.startsWith('darwin') ? 'libshm_node.dylib' : 'libshm_node.so';
    mkdirSync(join(folder, platform), { recursive: true });
    install(join(root, 'target', target, 'release', library), join(folder, platform));
    const asked = glibcOf(join(folder, platform, 'shm-node.node'));
    if (isTooNew(platform, asked)) fail(`${platform}: the binary asks for glibc ${asked}`);
  }
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

function getTools() {
  const tools = join(root, 'target', 'tools');
  const bin = join(tools, 'bin');
  if (!['cargo-zigbuild', 'python-zig'].every((tool) => existsSync(join(bin, tool)))) {
    run('python3', ['-m', 'venv', tools]);
    run(join(bin, 'pip'), ['install', '--quiet', ...TOOLS]);
  }
  return bin;
}

function getTargets() {
  const there = attempt('rustup', ['target', 'list', '--installed'], { stdio: 'pipe' }).split('\n');
  const missing = Object.values(TARGETS).filter((target) => !there.includes(target));
  if (missing.length > 0) run('rustup', ['target', 'add', ...missing]);
}
