// node scripts/exports.mjs SOME ALL: of two folders of prebuilt binaries. Fails where one in the first exports other
// functions than that for the same platform in the second.

import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, fail, run } from './run.mjs';

/** What every binary exports: what Node calls, and the handler by which copies of the package know each other. */
export const EXPORTS = ['napi_register_module_v1', 'shm_node_leave_on_signal'];

/** The functions that a binary of any system exports, in order. */
export function exportsOf(file) {
  const elf = isElf(file);
  const [tool, args] = elf
    ? ['llvm-nm', ['--dynamic', '--defined-only', '--extern-only', '--format=just-symbols']]
    : ['llvm-objdump', ['--macho', '--exports-trie']];
  const said = attempt(find(tool), [...args, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const names = said.split('\n').map((line) => /^(?:0x\w+ +_)?(\w+)$/.exec(line)?.[1]);
  return names.filter((name) => name !== undefined && (elf || !OF_MACH_O.test(name))).sort();
}

// For macOS, zig's linker exports Rust's own functions too, by names that no other library has.
const OF_MACH_O = /^_|^rust_eh_personality$/;

function isElf(file) {
  const magic = Buffer.alloc(4);
  const opened = openSync(file, 'r');
  readSync(opened, magic);
  closeSync(opened);
  return magic.equals(Buffer.from('\x7fELF'));
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
