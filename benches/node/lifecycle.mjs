// create+detach and get+detach beside shm-typed-array: a process each, in turns, as that package slows down with use.

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { alternateAsync, print } from './ratio.mjs';

const program = fileURLToPath(new URL('cycles.cjs', import.meta.url));
const cycles = (way) => Number(execFileSync(process.execPath, [program, way, '20000'], { encoding: 'utf8' }));

try {
  createRequire(import.meta.url)('../peers/node/node_modules/shm-typed-array');
} catch (error) {
  console.error(`shm-typed-array is not built here, so nothing is compared with it: ${error.message.split('\n')[0]}`);
  process.exit(0);
}

const against = 'shm-typed-array 0.1.1, its first 20,000 cycles';
for (const [what, ours, peer] of [
  ['create+detach, 4 KiB, Node, System V', 'ours sysv', 'peer sysv'],
  ['create+detach, 4 KiB, Node, POSIX', 'ours posix', 'peer posix'],
  ['get+detach, 4 KiB, Node, System V', 'ours sysv get', 'peer sysv get'],
]) {
  print(await alternateAsync(what, against, 11, () => cycles(ours), () => cycles(peer)));
}
