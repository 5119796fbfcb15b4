'use strict';

// The tests of the crates pass on Windows, the conformance suite of the backends among them. npm run test:platforms runs
// this, and says in SHM_TEST_PROGRAMS where their programs are.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { it } = require('node:test');

for (const program of process.env.SHM_TEST_PROGRAMS.split('|')) {
  const name = path.basename(program, '.exe').replace(/-[0-9a-f]+$/, '');
  it(`all tests of ${name} pass`, () => {
    const { stdout, stderr, status } = spawnSync(program, { encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.match(stdout, /^test result: ok\. /m, `${stdout}\n${stderr}`);
    assert.equal(status, 0, `${stdout}\n${stderr}`);
  });
}
