// npm run storm:map [-- KILLS]: processes that use one map and are killed, at any moment and at any step of its
// algorithms, while another one checks all that it reads. Once for a map that keeps what it has, once for a cache.

import { fail, run } from './run.mjs';

const kills = process.argv[2] ?? '2500';
if (!(Number(kills) > 0)) fail('npm run storm:map -- KILLS');

const args = ['test', '--release', '--package', 'shm-map', '--test', 'map'];
const storm = ['storm::', '--', '--nocapture'];
const env = { SHM_MAP_KILLS: kills };
run('cargo', [...args, ...storm], env);
run('cargo', [...args, '--target-dir', 'target/storm', ...storm], { ...env, RUSTFLAGS: '--cfg shm_storm' });
