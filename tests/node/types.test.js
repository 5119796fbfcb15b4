'use strict';

// The declarations, checked by the compiler as a project that uses the package would have it done.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { once, root, temporary } = require('./support/packaging.js');

const ALL = 'types.test-d';
const ARRAY_BUFFER = 'types-array-buffer.test-d';

const commonjs = { module: 'nodenext', file: 'cts' };
const esModule = { module: 'nodenext', file: 'mts' };
const bundler = { module: 'esnext', moduleResolution: 'bundler', file: 'ts' };

for (const [claim, compiler, source, { file, ...options }] of [
  ['as a CommonJS module', 'typescript', ALL, commonjs],
  ['as an ES module', 'typescript', ALL, esModule],
  ['through a bundler', 'typescript', ALL, bundler],
  ['by a compiler that does not tell what an array is over', 'typescript-5.2', ALL, commonjs],
  ['by TypeScript 5.9', 'typescript-5.9', ALL, esModule],
  ['for what takes arrays over an ArrayBuffer', 'typescript', ARRAY_BUFFER, esModule],
  ['for what takes arrays over an ArrayBuffer, by TypeScript 5.9', 'typescript-5.9', ARRAY_BUFFER, commonjs],
]) {
  test(`the types hold under tsc --strict, ${claim}`, once, () => {
    const folder = temporary();
    try {
      mkdirSync(path.join(folder, 'node_modules'));
      symlinkSync(path.join(root, 'shm-node'), path.join(folder, 'node_modules', 'shm-node'));
      cpSync(path.join(__dirname, `${source}.ts`), path.join(folder, `${source}.${file}`));
      const compilerOptions = {
        ...options,
        strict: true,
        noEmit: true,
        target: 'esnext',
        lib: ['esnext', 'dom'],
        preserveSymlinks: true,
        esModuleInterop: true,
        typeRoots: [path.join(root, 'node_modules', '@types')],
        types: ['node'],
      };
      writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [`${source}.${file}`] }));
      const tsc = path.join(root, 'node_modules', compiler, 'bin', 'tsc');
      const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
      assert.equal(stdout, '');
      assert.equal(status, 0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
