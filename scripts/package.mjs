// npm run package [-- --all] [-- --prebuilds FOLDER] [-- --into FOLDER]: the package as a tarball,
// shm-node-<version>.tgz. Its prebuilt binaries are those of the first folder (<platform>-<arch>-<libc>/shm-node.node),
// or else one for this machine, or with --all those of every platform; both are built here. It is put into the second
// folder, or else into target/package.

import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build, copyPackage, install, parsed } from './build.mjs';
import { buildAll } from './prebuilds.mjs';
import { fail, root, run } from './run.mjs';

const { platform } = createRequire(import.meta.url)('../shm-node/lib/platform.js');
const { values } = parsed({
  all: { type: 'boolean' },
  prebuilds: { type: 'string' },
  into: { type: 'string', default: join(root, 'target', 'package') },
});
if (values.all && values.prebuilds !== undefined) fail('--all builds what --prebuilds brings: give one of them.');
if (values.all) {
  values.prebuilds = join(root, 'target', 'prebuilds');
  buildAll(values.prebuilds);
}

const staged = join(values.into, 'shm-node');
rmSync(staged, { recursive: true, force: true });
copyPackage(staged);
if (values.prebuilds === undefined) {
  mkdirSync(join(staged, 'prebuilds', platform), { recursive: true });
  install(build(), join(staged, 'prebuilds', platform));
} else cpSync(values.prebuilds, join(staged, 'prebuilds'), { recursive: true });
run('npm', ['pack', staged, '--pack-destination', values.into, '--loglevel', 'error']);
