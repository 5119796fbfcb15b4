// Wine 10, in a Debian 13 root in target/windows: its programs and Wine's own folder.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root } from '../run.mjs';

/** Where the root lies, and what Wine is to find. */
export const wine = join(root, 'target', 'windows');

const DEBIAN = join(wine, 'debian');

/** To put a Windows program under, whose name follows without its `.exe`. */
export const underWine = [join(root, 'scripts', 'platforms', 'under-wine.sh'), wine];

/** Sets it up where it is not there yet; throws where it cannot be. */
export function setUpWine() {
  if (process.getuid?.() !== 0) throw new Error('Wine runs in a root of its own, so this needs to be root');
  const done = join(wine, 'done');
  if (existsSync(done)) return;
  if (spawnSync('debootstrap', ['--version']).error) throw new Error('debootstrap is missing: apt-get install debootstrap');
  const quietly = { stdio: ['ignore', 'ignore', 'inherit'] };
  mkdirSync(wine, { recursive: true });
  if (!existsSync(join(DEBIAN, 'etc', 'os-release'))) {
    attempt('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'trixie', DEBIAN], quietly);
  }
  writeFileSync(join(DEBIAN, 'etc', 'hosts'), '127.0.0.1 localhost\n');
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'wine', 'wine64'];
  attempt('chroot', [DEBIAN, ...install], { ...quietly, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  attempt(underWine[0], [wine, 'wineboot', '--init'], quietly);
  writeFileSync(done, '');
}
