// npm run lint: formatting, clippy and documentation, without a warning.

import { run } from './run.mjs';

run('cargo', ['fmt', '--all', '--check']);
run('cargo', ['clippy', '--workspace', '--exclude', 'shm-node', '--all-targets', '--locked', '--', '-D', 'warnings']);
for (const features of ['sysv,posix', 'sysv', 'posix']) {
  // The addon has no targets but its library: under test its functions are not exported, and so unused.
  const args = ['--package', 'shm-node', '--no-default-features', '--features', features, '--locked'];
  run('cargo', ['clippy', ...args, '--', '-D', 'warnings']);
}
run('cargo', ['doc', '--workspace', '--no-deps', '--locked'], { RUSTDOCFLAGS: '-D warnings' });
