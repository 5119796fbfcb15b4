'use strict';

// C, Python and Rust each make a segment that Node reads and writes, and read and write one that Node made.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { rmSync } = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { built, exampleFolder, packageFolder, root, run, temporary } = require('./support/packaging.js');

const shm = require(packageFolder);
const folder = temporary();
const languages = path.join(exampleFolder(folder), 'languages');
after(() => rmSync(folder, { recursive: true, force: true }));

const posix = !built.includes('posix') && 'this build has no POSIX';
const backendReasons = { sysv: !built.includes('sysv') && 'this build has no System V', posix };
const python = process.env.PYTHON ?? 'python3';
const missing = (command, ...args) => spawnSync(command, args).status !== 0 && `${command} ${args.at(-1)}: not there`;

const OUTPUT = `it created: 1.5 2.5 3.5
we wrote, it reads: 1 2 3
it wrote, we read: 2 4 6
we removed it: true
we created, it reads: 0.5 1 2
it wrote, we read: 1 2 4
it is still there: true
`;

function share(backend, ...command) {
  const options = { cwd: languages, env: { ...process.env, SHM_NODE_QUIET: '1' } };
  assert.equal(run(process.execPath, ['share.js', backend, ...command], options).stdout, OUTPUT);
}

const c = missing('cc', '--version');
describe('C', { skip: c }, () => {
  const program = path.join(folder, 'share');
  before(() => {
    // shm_open was in a library of its own before glibc 2.34.
    const rt = process.platform === 'linux' ? ['-lrt'] : [];
    run('cc', ['-Wall', '-Wextra', '-Werror', '-o', program, path.join(languages, 'share.c'), ...rt]);
  });
  for (const [backend, skip] of Object.entries(backendReasons)) test(backend, { skip }, () => share(backend, program));
});

const noPython = missing(python, '-c', 'import multiprocessing.shared_memory');
test('Python', { skip: posix || noPython }, () => {
  share('posix', python, 'share.py');
});

const noCargo = missing('cargo', '--version');
describe('Rust', { skip: noCargo }, () => {
  const cargo = ['cargo', 'run', '--quiet', '--locked', '--manifest-path', path.join(root, 'Cargo.toml')];
  for (const [backend, skip] of Object.entries(backendReasons)) {
    test(backend, { skip }, () => share(backend, ...cargo, '--package', 'shm-example-share', '--'));
  }
});

test('ls shows what each of them made, side by side', { skip: posix || backendReasons.sysv || c }, () => {
  const program = path.join(folder, 'share-ls');
  run('cc', ['-o', program, path.join(languages, 'share.c'), ...(process.platform === 'linux' ? ['-lrt'] : [])]);
  const name = () => `/languages-${process.pid}-${randomInt(2 ** 40)}`;
  const [fromC, fromSysV, fromRust, fromPython] = [name(), randomInt(1, 2 ** 31), name(), name()];
  const fromNode = shm.create({ key: name(), size: 24 });
  const made = [fromC, fromSysV, fromNode.key];
  try {
    run(program, ['create', fromC]);
    run(program, ['create', String(fromSysV)]);
    if (!noCargo) {
      made.push(fromRust);
      run('cargo', ['run', '--quiet', '--locked', '--package', 'shm-example-share', '--', 'create', fromRust], { cwd: root });
    }
    if (!noPython) {
      made.push(fromPython);
      run(python, ['share.py', 'create', fromPython], { cwd: languages });
    }
    const { stdout } = run(process.execPath, [path.join(packageFolder, 'cli.js'), 'ls']);
    for (const key of made) assert.ok(stdout.includes(`\n${key} `), `${key}\n${stdout}`);
  } finally {
    for (const key of made) shm.destroy(key);
    shm.detach(fromNode);
  }
});
