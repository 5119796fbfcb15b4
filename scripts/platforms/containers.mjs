// Containers on this machine, by podman and runc. A container's root is this machine's own, through an overlay, so
// nothing is downloaded, and the tests find their tools.

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildStorm } from '../build.mjs';
import { root } from '../run.mjs';
import { need, platforms } from './debian.mjs';
import { CORE, FIRST } from './files.mjs';

const LIMIT = 3600; // seconds: what ends podman does not end the container

// Without an engine daemon, and on either cgroup version.
const PODMAN = ['--runtime', 'runc', '--cgroup-manager=cgroupfs', '--events-backend=file'];
// Without the right to raise limits. The workspace may lie on another file system than the root.
const RUN = ['--rm', '--network=none', '--ulimit=nofile=1024:1024', '--ulimit=nproc=4096:4096', `--timeout=${LIMIT}`];
RUN.push(`--workdir=${root}`, `--volume=${root}:${root}:ro`);

const withPodman = join(root, 'scripts', 'platforms', 'with-podman.sh');
const bin = dirname(process.execPath);

function needed() {
  need({ podman: 'podman', runc: 'runc', conmon: 'conmon' });
  mkdirSync(join(platforms, 'empty'), { recursive: true });
}

/** The Node tests in a container that podman starts with these options. */
function container(name, about, files, ...options) {
  const prepare = () => {
    needed();
    if (files.test('sync-kills')) buildStorm();
    const packaged = `--env=SHM_NODE_PACKAGE=${join(platforms, name, 'package')}`;
    return { under: [withPodman, 'podman', ...PODMAN, 'run', ...RUN, packaged, ...options, '--rootfs', '/:O'], bin };
  };
  return { name, binary: 'linux-x64-gnu', about, files, prepare };
}

/** Tests that start containers themselves. */
const shared = {
  name: 'container-shared-ipc',
  binary: 'linux-x64-gnu',
  about: 'two containers that share System V segments and /dev/shm',
  tests: [join('tests', 'platforms', 'shared-ipc.test.js')],
  prepare() {
    needed();
    return { under: [withPodman], bin, env: { SHM_TEST_CONTAINER: JSON.stringify({ podman: PODMAN, run: RUN }) } };
  },
};

export const containers = [
  container(
    'container-default',
    "podman's defaults: a /dev/shm of 64 MiB, and a seccomp profile that forbids io_uring",
    CORE,
  ),
  container('container-unprivileged', 'a user without capabilities, and a root that is read-only', FIRST, '--read-only', '--read-only-tmpfs=false', '--tmpfs=/tmp:rw,mode=1777,notmpcopyup', '--user=65534:65534', '--cap-drop=all'),
  container('container-memory', 'a memory limit of 512 MiB', FIRST, '--memory=512m', '--memory-swap=512m'),
  container('container-overlayfs', '/dev/shm on overlayfs, with no mount of its own', FIRST, '--ipc=none', `--volume=${join(platforms, 'empty')}:/dev/shm:O`),
  shared,
];
