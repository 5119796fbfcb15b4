// Loading the package: the whole process, beside one that loads an empty addon.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { alternateAsync, print } from './ratio.mjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'shm-empty-'));
try {
  const source = path.join(folder, 'empty.c');
  const addon = path.join(folder, 'empty.node');
  writeFileSync(source, 'void *napi_register_module_v1(void *env, void *exports) { return exports; }\n');
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', addon, source], { stdio: 'ignore' });
  } catch {
    console.error('There is no C compiler (cc) to build an empty addon with, so loading is not measured.');
    process.exit(0);
  }
  const ours = fileURLToPath(new URL('../../shm-node', import.meta.url));
  const load = (what) => () => {
    const begin = process.hrtime.bigint();
    const { status } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(what)})`]);
    if (status !== 0) throw new Error(`loading ${what} failed`);
    return Number(process.hrtime.bigint() - begin);
  };
  print(await alternateAsync('`node -e "require(…)"`, whole process', 'an empty N-API addon', 41, load(ours), load(addon)));
} finally {
  rmSync(folder, { recursive: true });
}
