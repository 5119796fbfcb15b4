'use strict';

// C, Python and Rust each make a segment that Node reads and writes, and read and write one that Node made.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs');
const { homedir } = require('node:os');
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

/** Python as it is called here, and every version from 3.8 on that there is. */
function pythons() {
  const found = new Map();
  const versions = path.join(homedir(), '.pyenv', 'versions');
  const others = existsSync(versions) ? readdirSync(versions).map((name) => path.join(versions, name, 'bin', 'python3')) : [];
  for (const command of [python, ...[8, 9, 10, 11, 12, 13, 14].map((minor) => `python3.${minor}`), ...others]) {
    const { stdout, status } = spawnSync(command, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
    const version = stdout?.trim();
    if (status === 0 && /^3\.([89]|1\d)$/.test(version)) found.set(version, command);
  }
  return found;
}

test('attach() of the guide leaves Python\'s own segments tracked, and leaves nothing behind', { skip: posix || noPython }, () => {
  const guide = readFileSync(path.join(root, 'docs/guides/python.md'), 'utf8');
  const [attach] = /^import sys\n[^]*?\n\n(?=segment =)/m.exec(guide);
  const program = `${attach}
import os
from multiprocessing import get_context

def work(name):
    threads = [threading.Thread(target=lambda: attach(name).close()) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    segment = attach(name)
    segment.buf[0] += 1
    segment.close()

if __name__ == "__main__":
    ours = SharedMemory("python-%d" % os.getpid(), create=True, size=100)
    for how in "fork", "spawn":
        child = get_context(how).Process(target=work, args=(ours.name,))
        child.start()
        child.join()
    work(ours.name)
    print(ours.buf[0], child.exitcode)
    ours.close()
    ours.unlink()

    # Another thread makes one in the middle of an attach. Its tracker removes it, and warns.
    made, open_segment = [], SharedMemory
    def SharedMemory(name, **options):
        make = lambda: made.append(open_segment("tracked-%d" % os.getpid(), create=True, size=100))
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return open_segment(name, **options)
    attach(sys.argv[1], create=True, size=100).close()
    print(made[0].name, flush=True)
    os._exit(0)
`;
  const file = path.join(folder, 'attach.py');
  writeFileSync(file, program);
  for (const [version, command] of pythons()) {
    const kept = `/languages-${process.pid}-${randomInt(2 ** 40)}`;
    try {
      const { stdout, stderr } = run(command, [file, kept]);
      const [counted, left] = stdout.split('\n');
      assert.equal(counted, '3 0', version);
      assert.doesNotMatch(stderr, /Traceback|KeyError/, version);
      assert.equal(shm.info(left), null, `${version}: what Python made is still its tracker's`);
      assert.equal(shm.destroy(kept), true, `${version}: what was made by attach() outlives it`);
    } finally {
      shm.destroy(kept);
    }
  }
});

const noCargo = missing('cargo', '--version');
describe('Rust', { skip: noCargo }, () => {
  const cargo = ['cargo', 'run', '--quiet', '--locked', '--manifest-path', path.join(root, 'Cargo.toml')];
  for (const [backend, skip] of Object.entries(backendReasons)) {
    test(backend, { skip }, () => share(backend, ...cargo, '--package', 'shm-example-share', '--'));
  }
});

test('ls shows the segments of each of them', { skip: posix || backendReasons.sysv || c }, () => {
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
