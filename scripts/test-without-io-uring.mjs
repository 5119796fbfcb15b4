// npm run test:without-io-uring [-- COMMAND…]: `npm test`, or another command, where the kernel forbids io_uring.

import { join } from 'node:path';
import { root, run } from './run.mjs';

const command = process.argv.slice(2);
run('cargo', ['build', '--locked', '--package', 'shm-tests', '--bin', 'without_io_uring']);
run(join(root, 'target', 'debug', 'without_io_uring'), command.length > 0 ? command : ['npm', 'test']);
