// Packages of Debian: installed on this machine, or unpacked into a folder below target/platforms, of any suite and
// architecture.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, root } from '../run.mjs';

export const platforms = join(root, 'target', 'platforms');

// Other systems with apt do not bring the keys.
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

// A mirror that fails for a moment does not fail the tests.
const RETRIES = ['-o', 'Acquire::Retries=5'];

const quietly = { stdio: ['ignore', 'ignore', 'inherit'] };

/** Installs packages whose command, or file, is not there: `{ command: package }`. */
export function need(wanted) {
  const isThere = (name) => existsSync(name) || spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
  const packages = Object.entries(wanted).filter(([name]) => !isThere(name)).map(([, name]) => name);
  if (packages.length === 0) return;
  if (process.getuid() !== 0) throw new Error(`needs ${packages.join(', ')}`);
  attempt('apt-get', [...RETRIES, 'update', '-qq'], quietly);
  attempt('apt-get', [...RETRIES, 'install', '-y', '-qq', '--no-install-recommends', ...packages], quietly);
}

/**
 * The folder in which packages of a suite lie unpacked. One that only names others, such as the newest kernel, is named
 * with how the right one of these begins: `['linux-image-amd64', 'linux-image-']`.
 */
export function unpacked(name, suite, architecture, packages) {
  const folder = join(platforms, name);
  if (existsSync(folder)) return folder;
  need({ 'apt-get': 'apt', [KEYS]: 'debian-archive-keyring' });
  const [apt, partial] = [`${folder}.apt`, `${folder}.part`];
  for (const part of [apt, partial]) rmSync(part, { recursive: true, force: true });
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'packages']) mkdirSync(join(apt, part), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  writeFileSync(join(apt, 'sources.list'), `deb [signed-by=${KEYS}] http://deb.debian.org/debian ${suite} main\n`);
  const settings = {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': 'root',
    'Dir::Cache': join(apt, 'cache'),
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State': join(apt, 'state'),
    'Dir::State::status': join(apt, 'status'),
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
  };
  const options = [...RETRIES, ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])];
  attempt('apt-get', [...options, 'update', '-qq'], quietly);
  const named = packages.map((name) => {
    if (typeof name === 'string') return name;
    const depends = attempt('apt-cache', [...options, 'depends', name[0]], { stdio: ['ignore', 'pipe', 'inherit'] });
    return depends.split(/\s+/).find((word) => word.startsWith(name[1]) && word !== name[0]);
  });
  attempt('apt-get', [...options, 'download', '-qq', ...named], { ...quietly, cwd: join(apt, 'packages') });
  for (const file of readdirSync(join(apt, 'packages'))) attempt('dpkg-deb', ['-x', join(apt, 'packages', file), partial], quietly);
  renameSync(partial, folder);
  rmSync(apt, { recursive: true });
  return folder;
}
