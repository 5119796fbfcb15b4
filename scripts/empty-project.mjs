// A project with nothing but the package, as its users have it, and the first example of the README.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root, run } from './run.mjs';

/** Makes the tarball by `npm run package` with these options, and returns the file. */
export function packed(into, ...options) {
  run('node', [join(root, 'scripts', 'package.mjs'), ...options, '--into', into]);
  const { version } = JSON.parse(readFileSync(join(root, 'shm-node', 'package.json'), 'utf8'));
  return join(into, `shm-node-${version}.tgz`);
}

/**
 * Makes the project in an empty folder: the tarball, installed offline and without scripts, and `first.cjs`. `npm` is
 * how npm is run.
 */
export function emptyProject(folder, tarball, npm = ['npm'], env = process.env) {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  writeFileSync(join(folder, 'first.cjs'), firstExample().code);
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
  const [command, ...args] = [...npm, 'install', '--prefix', folder, ...flags, tarball];
  attempt(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The first example of the README, `code`, and what it prints, `output`. */
export function firstExample() {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const [, code, output] = /```js\n(.*?)```.*?```text\n(.*?)```/s.exec(text);
  return { code, output };
}
