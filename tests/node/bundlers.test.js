'use strict';

// Bundlers and packers find the binary, or say where it was searched: the real ones, on the package as it is installed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { installed, once, packageFolder, root, run } = require('./support/packaging.js');

const { platform } = require(path.join(packageFolder, 'lib', 'platform.js'));
const PLATFORMS = [
  'darwin-arm64', 'darwin-x64', 'linux-arm64-gnu', 'linux-arm64-musl', 'linux-x64-gnu', 'linux-x64-musl', 'win32-arm64', 'win32-x64',
];

const PROGRAM = {
  'program.cjs': "const shm = require('shm-node'); const sync = require('shm-node/sync'); const { SharedMap } = require('shm-node/map');",
  'program.mjs': "import shm from 'shm-node'; import * as sync from 'shm-node/sync'; import { SharedMap } from 'shm-node/map';",
};
const USE = "const view = shm.create({ length: 4, type: 'Int32Array' }); new SharedMap({ memory: 1 << 16 }).set('a', 1).close(); console.log(sync.notify(view, 0), shm.detach(view));";

describe('on the installed package', once, () => {
  let project;
  let remove = () => {};
  before(() => {
    ({ project, remove } = installed());
    for (const [file, code] of Object.entries(PROGRAM)) fs.writeFileSync(path.join(project, file), `${code}\n${USE}`);
  });
  after(() => remove());

  const at = (...parts) => path.join(project, ...parts);
  const modules = () => at('node_modules', 'shm-node');
  /** A folder of its own, away from the package: what runs there has brought all it needs. */
  const elsewhere = (name) => {
    const folder = path.join(project, '..', 'elsewhere', name.replace(/\W/g, '-'), 'dist');
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    return folder;
  };
  const works = (file) => assert.equal(run(process.execPath, [file], { cwd: path.dirname(file) }).stdout, '0 0\n');

  const hide = (then) => async () => {
    fs.renameSync(modules(), at('hidden'));
    try {
      await then();
    } finally {
      fs.renameSync(at('hidden'), modules());
    }
  };

  for (const file of Object.keys(PROGRAM)) {
    test(`node-file-trace, as Next.js uses it, copies the binary too (${file})`, async () => {
      const { nodeFileTrace } = require('@vercel/nft');
      const { fileList } = await nodeFileTrace([at(file)], { base: project });
      assert.ok(fileList.has(`node_modules/shm-node/prebuilds/${platform}/shm-node.node`), [...fileList].join('\n'));
      const folder = elsewhere(`traced-${file}`);
      for (const part of fileList) fs.cpSync(at(part), path.join(folder, part), { recursive: true });
      works(path.join(folder, file));
    });

    test(`esbuild copies the binary with a loader for it (${file})`, async () => {
      const folder = elsewhere(`esbuild-${file}`);
      const { errors } = await require('esbuild').build({
        entryPoints: [at(file)],
        outfile: path.join(folder, 'bundle.cjs'),
        bundle: true,
        platform: 'node',
        loader: { '.node': 'copy' },
        logLevel: 'silent',
      });
      assert.deepEqual(errors, []);
      await hide(() => works(path.join(folder, 'bundle.cjs')))();
    });

    test(`esbuild leaves the package outside if it is external (${file})`, async () => {
      await require('esbuild').build({
        entryPoints: [at(file)],
        outfile: at('bundle.cjs'),
        bundle: true,
        platform: 'node',
        external: ['shm-node'],
        logLevel: 'silent',
      });
      works(at('bundle.cjs'));
    });

    test(`webpack copies the binary with node-loader (${file})`, async () => {
      const folder = elsewhere(`webpack-${file}`);
      const { errors } = await webpack({
        entry: at(file),
        output: { path: folder, filename: 'bundle.cjs' },
        module: { rules: [{ test: /\.node$/, loader: require.resolve('node-loader') }] },
      });
      assert.deepEqual(errors, []);
      await hide(() => works(path.join(folder, 'bundle.cjs')))();
    });

    test(`webpack leaves the package outside if it is external (${file})`, async () => {
      const { errors, warnings } = await webpack({
        entry: at(file),
        output: { path: project, filename: 'bundle.cjs' },
        externals: Object.fromEntries(['', '/sync', '/map'].map((part) => [`shm-node${part}`, `commonjs shm-node${part}`])),
      });
      assert.deepEqual([errors, warnings], [[], []]);
      works(at('bundle.cjs'));
    });
  }

  test('a bundle and a single executable find a binary that lies beside them', async () => {
    const folder = elsewhere('beside');
    const bundle = path.join(folder, 'app', 'bundle.cjs');
    const options = { bundle: true, platform: 'node', external: ['*.node'], logLevel: 'silent' };
    await require('esbuild').build({ entryPoints: [at('program.cjs')], outfile: bundle, ...options });
    const binary = path.join(modules(), 'prebuilds', platform, 'shm-node.node');
    const look = (args, status) => run(process.execPath, args, { cwd: folder, status });
    // A single executable is a Node, from which the package reads for which C library it is.
    const executable = path.join(folder, 'bin', 'app');
    fs.mkdirSync(path.dirname(executable));
    fs.symlinkSync(process.execPath, executable);
    const asExecutable = `process.execPath = ${JSON.stringify(executable)}; require(${JSON.stringify(bundle)});`;

    const { stderr } = look(['-e', asExecutable], 1);
    assert.match(stderr, /ERR_SHM_NO_BINARY/);
    const places = ['shm-node.node', `prebuilds/${platform}/shm-node.node`, 'app/shm-node.node', 'bin/shm-node.node'];
    const named = [...stderr.matchAll(/^Not there: (.*)$/gm)].map(([, file]) => path.relative(fs.realpathSync(folder), file));
    assert.deepEqual(named, places);
    for (const place of places) {
      const file = path.join(folder, place);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.copyFileSync(binary, file);
      assert.equal(look(['-e', asExecutable]).stdout, '0 0\n', place);
      fs.rmSync(file);
    }
  });

  test('an ES module without `require` finds the binary beside it', async () => {
    const folder = elsewhere('esm');
    const file = path.join(folder, 'bundle.mjs');
    const options = { bundle: true, platform: 'node', format: 'esm', external: ['*.node'], logLevel: 'silent' };
    const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
    await require('esbuild').build({ entryPoints: [at('program.mjs')], outfile: file, banner, ...options });
    fs.copyFileSync(path.join(modules(), 'prebuilds', platform, 'shm-node.node'), path.join(folder, 'shm-node.node'));
    works(file);
  });
});

test('the path of the binary of each platform is written out', once, () => {
  const text = fs.readFileSync(path.join(packageFolder, 'lib', 'native.js'), 'utf8');
  const written = [...text.matchAll(/case '(.*)':\n\s*return require\('\.\.\/prebuilds\/(.*)\/shm-node\.node'\);/g)];
  assert.deepEqual(written.map(([, name]) => name).sort(), PLATFORMS);
  for (const [, name, folder] of written) assert.equal(name, folder);
  const built = fs.readFileSync(path.join(root, '.github', 'workflows', 'prebuilds.yml'), 'utf8');
  assert.deepEqual([...new Set([...built.matchAll(/platform: ([\w-]+)/g)].map(([, name]) => name))].sort(), PLATFORMS);
});

test('the lock file names no registry', once, () => {
  const { packages } = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  assert.deepEqual(Object.values(packages).filter(({ resolved }) => resolved !== undefined), []);
});

function webpack(options) {
  const compiler = require('webpack')({ mode: 'production', target: 'node', optimization: { minimize: false }, ...options });
  return new Promise((resolve, reject) => {
    compiler.run((error, stats) => {
      compiler.close(() => {});
      if (error) return reject(error);
      const { errors, warnings } = stats.compilation;
      const texts = (all) => all.map(({ message }) => message);
      // Of the platforms whose binary is not in this build.
      resolve({ errors: texts(errors), warnings: texts(warnings).filter((text) => !/resolve '\.\.\/(prebuilds\/.*\/)?shm-node\.node'/.test(text)) });
    });
  });
}
