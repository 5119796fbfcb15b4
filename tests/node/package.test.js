'use strict';

// The package as it is published: what is in it, how it is loaded, and what it says where it cannot be.

const assert = require('node:assert/strict');
const { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { installed, once, packageFolder, root, run, temporary } = require('./support/packaging.js');

const shm = require(packageFolder);

test('import gives the same as require', async () => {
  const { default: whole, ...named } = await import(pathToFileURL(path.join(packageFolder, 'index.mjs')));
  assert.equal(whole, shm);
  assert.deepEqual(Object.keys(named).sort(), Object.keys(shm).sort());
  for (const [name, value] of Object.entries(named)) assert.equal(value, shm[name], name);
});

test('the declarations have every name, and no other', () => {
  const text = readFileSync(path.join(packageFolder, 'index.d.ts'), 'utf8');
  const declared = new Set([...text.matchAll(/^export (?:const|function) (\w+)/gm)].map(([, name]) => name));
  assert.deepEqual([...declared].sort(), Object.keys(shm).sort());
});

describe('installed offline, without scripts', once, () => {
  let project;
  let remove = () => {};
  before(() => ({ project, remove } = installed()));
  after(() => remove());

  test('the package has no scripts, no dependencies, and every file that it names', () => {
    const folder = path.join(project, 'node_modules', 'shm-node');
    const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    assert.equal(manifest.scripts, undefined);
    assert.equal(manifest.dependencies, undefined);
    const named = [];
    JSON.stringify([manifest.exports, manifest.bin ?? [], manifest.main, manifest.types], (_, value) => {
      if (typeof value === 'string') named.push(value);
      return value;
    });
    for (const file of [...named, 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE']) readFileSync(path.join(folder, file));
  });

  for (const [how, flags, code] of [
    ['require', [], "const shm = require('shm-node');"],
    ['import', ['--input-type=module'], "import shm from 'shm-node';"],
    ['import of names', ['--input-type=module'], "import * as shm from 'shm-node';"],
  ]) {
    test(`it works with ${how}`, () => {
      const use = `const a = shm.create({ length: 2, type: 'Float32Array' });
        a[1] = 1.5;
        console.log(shm.get(a.key, 'Float32Array')[1], shm.detach(a));`;
      assert.equal(run(process.execPath, [...flags, '-e', code + use], { cwd: project }).stdout, '1.5 0\n');
    });
  }
});

describe('on a system without a binary', once, () => {
  const folder = temporary();
  const pretend = path.join(folder, 'pretend.cjs');
  const env = { ...process.env, NODE_OPTIONS: `--require=${pretend}` };
  let project;
  let remove = () => {};
  before(() => {
    writeFileSync(pretend, "Object.defineProperty(process, 'platform', { value: 'freebsd' })");
    ({ project, remove } = installed(env));
  });
  after(() => {
    remove();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const part of ['shm-node', 'shm-node/sync']) {
    test(`npm installs it, and require('${part}') says what to do`, () => {
      const code = `try { require('${part}') } catch ({ code, message }) { console.log(code, message) }`;
      const { stdout } = run(process.execPath, ['-e', code], { cwd: project, env });
      assert.match(stdout, /^ERR_SHM_NO_BINARY shm-node needs a binary, and it has none for freebsd-/);
      assert.match(stdout, /works on Linux, macOS and Windows/);
      assert.doesNotMatch(stdout, /To build one/);
    });
  }
});

describe('each prebuilt binary', once, () => {
  const prebuilds = path.join(root, 'target', 'prebuilds');
  const skip = existsSync(prebuilds) ? false : 'npm run package -- --all did not run here';
  const each = (check) => {
    for (const platform of readdirSync(prebuilds)) check(platform, path.join(prebuilds, platform, 'shm-node.node'));
  };

  test('needs no newer C library than promised', { skip }, async () => {
    const { glibcOf, isTooNew } = await import('../../scripts/prebuilds.mjs');
    each((platform, file) => {
      const asked = glibcOf(file);
      assert.equal(asked !== undefined, platform.endsWith('-gnu'), `${platform}: glibc ${asked}`);
      assert.ok(!isTooNew(platform, asked), `${platform}: glibc ${asked}`);
    });
  });

  test('exports only what Node calls, and the signal handler', { skip }, async () => {
    const { exportsFor, exportsOf } = await import('../../scripts/exports.mjs');
    each((platform, file) => assert.deepEqual(exportsOf(file), exportsFor(platform), platform));
  });
});

describe('the loader', () => {
  const folder = temporary();
  after(() => rmSync(folder, { recursive: true, force: true }));

  const { platform } = require(path.join(packageFolder, 'lib', 'platform.js'));
  const binary = path.join(packageFolder, 'shm-node.node');
  const copy = (name) => {
    const place = path.join(folder, name);
    mkdirSync(path.join(place, 'prebuilds', platform), { recursive: true });
    for (const part of ['lib', 'package.json']) cpSync(path.join(packageFolder, part), path.join(place, part), { recursive: true });
    return place;
  };
  const load = (place, status) =>
    run(process.execPath, ['-e', `console.log(require(${JSON.stringify(place)} + '/lib/native.js').backendNames)`], {
      status,
    });

  for (const [libc, loader] of [['musl', '/lib/ld-musl-x86_64.so.1'], ['gnu', '/lib64/ld-linux-x86-64.so.2']]) {
    test(`recognises an executable for ${libc}, wherever it names its interpreter`, () => {
      const [header, part] = [Buffer.alloc(64), Buffer.alloc(56)];
      header.writeBigUInt64LE(64n, 32); // where its parts are listed
      header.writeUInt16LE(part.length, 54);
      header.writeUInt16LE(1, 56);
      part.writeUInt32LE(3); // PT_INTERP
      part.writeBigUInt64LE(100_000n, 8);
      const executable = path.join(folder, libc);
      const fill = Buffer.alloc(100_000 - header.length - part.length);
      writeFileSync(executable, Buffer.concat([header, part, fill, Buffer.from(`${loader}\0`)]));
      const code = `Object.defineProperty(process, 'platform', { value: 'linux' });
        process.execPath = ${JSON.stringify(executable)};
        console.log(require(${JSON.stringify(path.join(packageFolder, 'lib', 'platform.js'))}).platform)`;
      assert.match(run(process.execPath, ['-e', code]).stdout, new RegExp(`-${libc}\n$`));
    });
  }

  test('asks on Windows for the binary of the processor alone', () => {
    const code = (arch) => `Object.defineProperties(process, { platform: { value: 'win32' }, arch: { value: '${arch}' } });
      console.log(require(${JSON.stringify(path.join(packageFolder, 'lib', 'platform.js'))}).platform)`;
    for (const arch of ['x64', 'arm64']) assert.equal(run(process.execPath, ['-e', code(arch)]).stdout, `win32-${arch}\n`);
  });

  test('takes the prebuilt binary of this platform', () => {
    const place = copy('prebuilt');
    cpSync(binary, path.join(place, 'prebuilds', platform, 'shm-node.node'));
    assert.match(load(place).stdout, /Function/);
  });

  test('prefers the binary that was built here', () => {
    const place = copy('built');
    cpSync(binary, path.join(place, 'shm-node.node'));
    writeFileSync(path.join(place, 'prebuilds', platform, 'shm-node.node'), 'not a binary');
    assert.match(load(place).stdout, /Function/);
  });

  test('says which platform it looked for, and the command that builds it', () => {
    const { stderr } = load(copy('empty'), 1);
    assert.ok(stderr.includes(`it has none for ${platform}`), stderr);
    assert.match(stderr, /: git clone https:\/\/\S+ (\S+) && npm --prefix \1 run build -- --into '.*empty'$/m);
    assert.match(stderr, /ERR_SHM_NO_BINARY/);
  });

  test('says why a binary does not load', () => {
    const place = copy('broken');
    writeFileSync(path.join(place, 'prebuilds', platform, 'shm-node.node'), 'not a binary');
    const { stderr } = load(place, 1);
    assert.ok(stderr.includes(`the one for ${platform} does not load`), stderr);
  });

  test('in a clone, says the command for the clone', () => {
    writeFileSync(path.join(folder, 'Cargo.toml'), '');
    try {
      assert.match(load(copy('clone'), 1).stderr, /: npm --prefix '.*' run build$/m);
    } finally {
      rmSync(path.join(folder, 'Cargo.toml'));
    }
  });
});
