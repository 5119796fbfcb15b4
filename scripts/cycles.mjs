// npm run cycles: a million create+detach cycles on each backend, and what the process uses before and after.

import { run } from './run.mjs';

for (const backend of ['sysv', 'posix']) {
  run('cargo', ['run', '--release', '--quiet', '--package', 'shm-tests', '--bin', 'cycles', backend, '1000000']);
}
