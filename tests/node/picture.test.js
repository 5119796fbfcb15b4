'use strict';

// The plot of the README, of get and set beside other stores.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { once, root } = require('./support/packaging.js');

const script = import('../../scripts/bench-picture.mjs');
const read = (file) => readFileSync(path.join(root, file), 'utf8');

describe('the plot of get and set', once, () => {
  const row = (what, against, ours, other) => ({ what, against, ours, other, ratio: ours / other });
  const rows = [
    row('get 100 B', 'lmdb on /dev/shm, getBinary', 300, 2000),
    row('get 100 B', 'Redis on a unix socket, one by one', 300, 50_000),
    row('get 16 KiB', 'lmdb on /dev/shm, getBinary', 4000, 9000),
    row('set 100 B', 'lmdb on /dev/shm, noSync', 600, 4000),
    { what: 'get 100 B', against: 'messages to the primary', leftOut: 'not here' },
  ];

  test('has a line for each store that was measured, ours first', async () => {
    const { linesOf } = await script;
    assert.deepEqual(linesOf(rows).map(({ name, get, set }) => [name, get, set]), [
      ['shm-node', 300, 600],
      ['lmdb', 2000, 4000],
      ['Redis', 50_000, undefined],
    ]);
    assert.equal(linesOf([]), undefined);
  });

  test('tells the times, and can be read on dark', async () => {
    const { picture } = await script;
    const drawn = picture(rows);
    for (const text of ['get 300 ns', 'set 600 ns', 'get 2.00 µs', 'get 50.0 µs', '100 ns', '100 µs']) {
      assert.ok(drawn.includes(`>${text}</text>`), text);
    }
    assert.match(drawn, /prefers-color-scheme: dark/);
    assert.doesNotMatch(drawn, /NaN|undefined/);
  });

  test('is drawn from the numbers of the report, if it has some', async () => {
    const { SECTION, picture } = await script;
    const numbers = JSON.parse(read('docs/benchmarks.json')).sections[SECTION];
    const shown = read('docs/pictures/get-and-set.svg');
    if (numbers !== undefined) assert.equal(shown, picture(numbers), 'npm run bench:picture draws it anew');
  });
});
