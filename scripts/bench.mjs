// npm run bench [-- criterion's arguments]: the Rust benches.

import { run } from './run.mjs';

run('cargo', ['bench', '--package', 'shm-benches', '--', ...process.argv.slice(2)]);
