// Older kernels of Debian, in a virtual machine that has cgroup v2 alone. Its root is in memory, and holds Node, the
// package and the tests, under the same paths as here.

import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../run.mjs';
import { need, platforms, unpacked } from './debian.mjs';
import { WAYS } from './files.mjs';

function kernel(version, suite, about) {
  const name = `kernel-${version}`;
  const prepare = () => {
    need({ 'qemu-system-x86_64': 'qemu-system-x86', busybox: 'busybox-static', cpio: 'cpio' });
    const boot = join(unpacked(`linux-${version}`, suite, 'amd64', [['linux-image-amd64', 'linux-image-']]), 'boot');
    const image = join(boot, readdirSync(boot).find((file) => file.startsWith('vmlinuz-')));
    const under = [join(root, 'scripts', 'platforms', 'under-kernel.sh'), image];
    return { under, bin: dirname(process.execPath), env: { SHM_TEST_OWN: join(platforms, name) } };
  };
  return { name, binary: 'linux-x64-gnu', about, files: WAYS, prepare };
}

export const kernels = [
  kernel('6.1', 'bookworm', 'Linux 6.1 of Debian 12 in qemu, with cgroup v2 alone'),
  kernel('6.12', 'trixie', 'Linux 6.12 of Debian 13 in qemu, with cgroup v2 alone'),
];
