// Linux: this machine itself, and with musl, and on arm64 with either C library. The other system's libraries lie over
// those of this machine, and qemu runs what is for arm64. So the tests find their tools, and only Node and the addon
// are the other system's.

import { dirname, join } from 'node:path';
import { buildStorm } from '../build.mjs';
import { root } from '../run.mjs';
import { need, unpacked } from './debian.mjs';
import { CORE, PART } from './files.mjs';
import { nodeOf } from './node.mjs';

const script = (name) => join(root, 'scripts', 'platforms', name);

const SUITE = 'trixie';

// Tests of what was built for this machine.
const left = { 'sync-kills': 'the build whose processes die at any step is for another platform' };

/** A platform whose libraries are those of these packages. */
function linux(platform, architecture, packages, { about, files, short }) {
  const prepare = () => {
    need({ unshare: 'util-linux', setpriv: 'util-linux' });
    const under = [script('under-libraries.sh'), unpacked(`libraries-${platform}`, SUITE, architecture, packages)];
    if (architecture === 'arm64') {
      const qemu = join(unpacked('qemu', SUITE, 'amd64', ['qemu-user']), 'usr', 'bin', 'qemu-aarch64');
      under.push(script('under-qemu.sh'), qemu);
    }
    const bin = nodeOf(platform);
    return { under, bin, npm: [...under, join(bin, 'npm')] };
  };
  return { name: platform, binary: platform, about, files, short, left, prepare };
}

const glibc = ['libc6', 'libstdc++6', 'libgcc-s1'];
const underQemu = 'on arm64, which qemu-user runs, in a user and an IPC namespace of its own';

/** With the binary that the package has; npm test uses one that is built for this machine alone. */
const native = {
  name: 'linux-x64-gnu',
  binary: 'linux-x64-gnu',
  about: 'this machine',
  files: CORE,
  prepare() {
    buildStorm();
    return { under: [], bin: dirname(process.execPath) };
  },
};

export const linuxes = [
  native,
  linux('linux-x64-musl', 'amd64', ['musl'], { about: 'musl of Debian 13, natively', files: /./, short: PART }),
  linux('linux-arm64-gnu', 'arm64', glibc, { about: `glibc of Debian 13, ${underQemu}`, files: CORE, short: /^api$/ }),
  linux('linux-arm64-musl', 'arm64', ['musl'], { about: `musl of Debian 13, ${underQemu}`, files: CORE }),
];
