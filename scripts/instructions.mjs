// npm run bench:instructions [-- --write]: counts the instructions of the hot paths, which do not depend on the load of
// the machine, and fails if one rose by more than 10 % over benches/instructions.json.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, root, run } from './run.mjs';

// Each path, and how often it runs: the fewer instructions it has, the more often.
const PATHS = {
  'create+detach, System V': 1_000,
  'create+detach, POSIX': 1_000,
  'attach+detach, System V': 1_000,
  'attach+detach, POSIX': 1_000,
  'write and read 64 bytes': 100_000,
  'send and receive 64 bytes': 100_000,
  'send and receive 64 bytes, many producers': 100_000,
  'lock and unlock a mutex': 100_000,
  'acquire and release a permit': 100_000,
  'lock for reading and unlock': 100_000,
  'lock for writing and unlock': 100_000,
  'find that it was done once': 100_000,
  'send and receive 64 bytes, broadcast': 100_000,
};
const ALLOWED = 1.1;
const kept = join(root, 'benches', 'instructions.json');

if (process.arch !== 'x64') {
  console.log('Instructions are counted on x64 only: that is where they were kept from.');
  process.exit();
}

run('cargo', ['build', '--release', '--locked', '--package', 'shm-benches', '--bin', 'hot_paths']);
const folder = mkdtempSync(join(tmpdir(), 'callgrind-'));

// A look-up takes longer in a ledger that many segments once made grow: where the system lets us, we have a new one.
const ALONE = ['unshare', '--mount', '--ipc', 'sh', '-c', 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"', 'sh'];
const alone = spawnSync(ALONE[0], [...ALONE.slice(1), 'true']).status === 0 ? ALONE : [];
if (alone.length === 0) console.log('Counted with the ledger of this user, as it is: namespaces need root.');

function count(path, runs) {
  const valgrind = ['valgrind', '--tool=callgrind', `--callgrind-out-file=${join(folder, 'out')}`];
  const [command, ...args] = [...alone, ...valgrind, join(root, 'target/release/hot_paths'), path, runs];
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error?.code === 'ENOENT' || status === 127) fail('valgrind: not found. Install it with your system (apt-get install valgrind).');
  const collected = /Collected : (\d+)/.exec(stderr);
  if (status !== 0 || collected === null) fail(`valgrind: ${stderr}`);
  return Number(collected[1]);
}

try {
  // Two lengths, so that starting up and the first use cancel out.
  const each = ([path, runs]) => [path, Math.round((count(path, runs + 100) - count(path, 100)) / runs)];
  const counts = Object.fromEntries(Object.entries(PATHS).map(each));
  if (process.argv.includes('--write')) {
    writeFileSync(kept, `${JSON.stringify(counts, null, 2)}\n`);
  } else {
    const before = JSON.parse(readFileSync(kept, 'utf8'));
    const risen = Object.keys(PATHS).filter((path) => counts[path] > before[path] * ALLOWED);
    for (const path of Object.keys(PATHS)) console.log(`${path}: ${counts[path]} instructions, kept ${before[path] ?? 'none'}`);
    if (risen.length > 0) fail(`More instructions than allowed (10 % over what is kept): ${risen.join('; ')}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
