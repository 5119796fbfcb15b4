// node scripts/exports.mjs SOME ALL: of two folders of prebuilt binaries. Fails where one in the first exports other
// functions than that for the same platform in the second.

import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, fail, run } from './run.mjs';

/** What a binary exports: what Node calls, and the handler of signals by which copies of the package know each other. */
export function exportsFor(platform) {
  return ['napi_register_module_v1', ...(platform.startsWith('win32') ? [] : ['shm_node_leave_on_signal'])];
}

// For macOS, zig's linker cannot be told what to export. These are left besides: the places of the library itself, and
// two of Rust's own.
const OF_MACOS = /^(_mh_dylib_header|__dso_handle|rust_eh_personality|_R\w+3std9panicking11EMPTY_PANIC)$/;

// For Windows, zig's linker also exports functions of Rust's and of its own. A program gets only those that it asks the
// library for.
const OF_WINDOWS = /^_|^(rust_eh_personality|unw_getcontext|atexit)$/;

// By how a file begins: the tool that tells its exports, a line of the tool's with a name, and what else it exports.
const FORMATS = {
  '\x7fELF': ['llvm-nm', ['--dynamic', '--defined-only', '--extern-only', '--format=just-symbols'], /^([\w$.]+)$/, /^$/],
  'MZ': ['llvm-readobj', ['--coff-exports'], /^ +Name: (\w+)$/, OF_WINDOWS],
  '': ['llvm-objdump', ['--macho', '--exports-trie'], /^0x\w+ +_([\w$.]+)$/, OF_MACOS],
};

/** The functions that a binary of any system exports, in order. */
export function exportsOf(file) {
  const begin = beginOf(file);
  const [, [tool, args, line, inner]] = Object.entries(FORMATS).find(([magic]) => begin.startsWith(magic));
  const said = attempt(find(tool), [...args, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const names = said.split('\n').map((text) => line.exec(text)?.[1]);
  return names.filter((name) => name !== undefined && !inner.test(name)).sort();
}

function beginOf(file) {
  const magic = Buffer.alloc(4);
  const opened = openSync(file, 'r');
  readSync(opened, magic);
  closeSync(opened);
  return magic.toString('latin1');
}

/** A tool that comes with Rust, and reads the formats of all systems. */
function find(tool) {
  const place = join(attempt('rustc', ['--print', 'target-libdir'], { stdio: 'pipe' }).trim(), '..', 'bin', tool);
  if (!existsSync(place)) run('rustup', ['component', 'add', 'llvm-tools']);
  return place;
}

if (process.argv[1]?.endsWith('exports.mjs')) {
  const [some, all] = process.argv.slice(2);
  if (all === undefined) fail('Two folders of prebuilt binaries are needed: node scripts/exports.mjs SOME ALL');
  for (const platform of readdirSync(some)) {
    const [one, other] = [some, all].map((folder) => exportsOf(join(folder, platform, 'shm-node.node')).join(', '));
    if (one !== other) fail(`${platform}: ${some} exports ${one}, and ${all} exports ${other}`);
  }
}
