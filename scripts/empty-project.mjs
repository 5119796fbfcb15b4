// A project with nothing but the package, as its users have it, and the first example of the README.

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root, run } from './run.mjs';

/**
 * Makes the project in an empty folder: the tarball with one binary, installed offline and without scripts, and
 * `first.cjs`. `npm` is how npm is run.
 */
export function emptyProject(folder, platform, binary, npm = ['npm'], env = process.env) {
  const prebuilds = join(folder, 'prebuilds');
  cpSync(binary, join(prebuilds, platform, 'shm-node.node'));
  run('node', [join(root, 'scripts', 'package.mjs'), '--prebuilds', prebuilds, '--into', folder]);
  for (const part of ['prebuilds', 'shm-node']) rmSync(join(folder, part), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  writeFileSync(join(folder, 'first.cjs'), firstExample().code);
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
  const [command, ...args] = [...npm, 'install', '--prefix', folder, ...flags, join(folder, tarball)];
  attempt(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The first example of the README, `code`, and what it prints, `output`. */
export function firstExample() {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const [, code, output] = /```js\n(.*?)```.*?```text\n(.*?)```/s.exec(text);
  return { code, output };
}
