// npm run build [-- --backend sysv|posix] [-- --if-missing] [-- --into FOLDER]: builds the addon and puts it where
// index.js finds it, in this workspace or in another copy of the package. [-- --storm]: the one for tests whose
// processes die at any step, into target/storm.

import { copyFileSync, cpSync, existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, root, run } from './run.mjs';

/** The options of a command; what is none of them ends it. */
export function parsed(options, allowPositionals = false) {
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    fail(`${error.message}\n(npm takes what stands before \`--\` for itself: npm run … -- --option)`);
  }
}

/** What the addon is called where cargo puts it, on a system as `process.platform` names it. */
export function libraryOf(system) {
  const names = { darwin: 'libshm_node.dylib', win32: 'shm_node.dll' };
  return names[system] ?? 'libshm_node.so';
}

const library = libraryOf(process.platform);

/** Builds the addon with all backends of this system or one, and returns the file. */
export function build(backend) {
  // A target folder each: features unify within one, and the artefacts share a name.
  const target = join(root, 'target', ...(backend === undefined ? [] : [backend]));
  const features = backend === undefined ? [] : ['--no-default-features', '--features', backend];
  run('cargo', ['build', '--release', '--package', 'shm-node', '--target-dir', target, ...features]);
  return join(target, 'release', library);
}

/** Builds the addon for tests whose processes die at any step, and returns where it is. */
export function buildStorm() {
  const target = join(root, 'target', 'storm');
  run('cargo', ['build', '--release', '--package', 'shm-node', '--target-dir', target], { RUSTFLAGS: '--cfg shm_storm' });
  install(join(target, 'release', library), target);
}

/** Puts an addon into a copy of the package; a process that has the old one loaded keeps it. */
export function install(library, folder) {
  const place = join(folder, 'shm-node.node');
  copyFileSync(library, `${place}.new`);
  renameSync(`${place}.new`, place);
}

/** Copies the package without its binaries. */
export function copyPackage(folder) {
  const source = join(root, 'shm-node');
  const { files } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  for (const part of ['package.json', ...files.filter((part) => part !== 'prebuilds')]) {
    // README and licences are the workspace's.
    const from = [source, root].map((place) => join(place, part)).find(existsSync);
    cpSync(from, join(folder, part), { recursive: true });
  }
}

if (process.argv[1] === import.meta.filename || process.argv[1]?.endsWith('build.mjs')) {
  const options = {
    backend: { type: 'string' },
    'if-missing': { type: 'boolean' },
    storm: { type: 'boolean' },
    into: { type: 'string', default: join(root, 'shm-node') },
  };
  const { values } = parsed(options);
  if (![undefined, 'sysv', 'posix'].includes(values.backend)) fail('--backend is sysv or posix; without it, both.');
  if (values.storm) buildStorm();
  else if (!values['if-missing'] || !existsSync(join(values.into, 'shm-node.node'))) install(build(values.backend), values.into);
}
