// Runtimes, each of which comes as an npm package.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root } from './run.mjs';

/** The program of a runtime, such as `node-22` of the package `node@22`. Installs it where it is not there yet. */
export function executable(name, spec) {
  const folder = join(root, 'target', 'runtimes', name);
  const file = join(folder, 'node_modules', '.bin', name.replace(/-\d+$/, ''));
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const quietly = ['--no-audit', '--no-fund', '--loglevel', 'error'];
    attempt('npm', ['install', '--prefix', folder, ...quietly, spec], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return file;
}
