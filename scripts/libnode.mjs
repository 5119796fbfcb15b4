// The crate napi wants to link a libnode.dll where it is built for Windows by the tools of GNU or LLVM, although the
// addon looks up each function of Node-API. An empty one is enough.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

/** What cargo needs in its environment to build for Windows on another system. */
export function withLibnode() {
  const folder = join(root, 'target', 'libnode');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'libnode.dll'), '');
  writeFileSync(join(folder, 'libnode.a'), '!<arch>\n');
  return { LIBNODE_PATH: folder };
}
