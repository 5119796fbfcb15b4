'use strict';

// The declarations, checked by the compiler as a project that uses the package would have it done.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { once, root, temporary } = require('./support/packaging.js');

const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');

for (const [name, options, file] of [
  ['as a CommonJS module', { module: 'nodenext' }, 'types.test-d.cts'],
  ['as an ES module', { module: 'nodenext' }, 'types.test-d.mts'],
  ['through a bundler', { module: 'esnext', moduleResolution: 'bundler' }, 'types.test-d.ts'],
]) {
  test(`the types hold under tsc --strict, ${name}`, once, () => {
    const folder = temporary();
    try {
      mkdirSync(path.join(folder, 'node_modules'));
      symlinkSync(path.join(root, 'shm-node'), path.join(folder, 'node_modules', 'shm-node'));
      cpSync(path.join(__dirname, 'types.test-d.ts'), path.join(folder, file));
      const compilerOptions = {
        ...options,
        strict: true,
        noEmit: true,
        target: 'esnext',
        preserveSymlinks: true,
        esModuleInterop: true,
        typeRoots: [path.join(root, 'node_modules', '@types')],
        types: ['node'],
      };
      writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
      const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
      assert.equal(stdout, '');
      assert.equal(status, 0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
