// npm run package [-- --prebuilds FOLDER] [-- --into FOLDER]: the package as a tarball, shm-node-<version>.tgz.
// Its prebuilt binaries are those of the first folder (<platform>-<arch>-<libc>/shm-node.node), or else one built
// here; it is put into the second, or else into target/package.

import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, copyPackage, install } from './build.mjs';
import { root, run } from './run.mjs';

const { platform } = createRequire(import.meta.url)('../shm-node/lib/platform.js');
const { values } = parseArgs({
  options: { prebuilds: { type: 'string' }, into: { type: 'string', default: join(root, 'target', 'package') } },
});

const staged = join(values.into, 'shm-node');
rmSync(staged, { recursive: true, force: true });
mkdirSync(join(staged, 'prebuilds', platform), { recursive: true });
copyPackage(staged);
if (values.prebuilds === undefined) install(build(), join(staged, 'prebuilds', platform));
else cpSync(values.prebuilds, join(staged, 'prebuilds'), { recursive: true });
run('npm', ['pack', staged, '--pack-destination', values.into, '--loglevel', 'error']);
