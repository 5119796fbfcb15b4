// A Python environment of the workspace's own, in target/tools, with the tools that come from there.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './run.mjs';

export const tools = join(root, 'target', 'tools');
export const bin = join(tools, 'bin');

/** Runs pip with the environment's own Python. */
export function pip(...args) {
  if (!existsSync(join(bin, 'pip'))) run('python3', ['-m', 'venv', tools]);
  run(join(bin, 'pip'), [...args, '--quiet']);
}
