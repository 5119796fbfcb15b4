'use strict';

// docs/layout.md on the map, in Node: the encodings that it tells of, and its reader in Python.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { it } = require('node:test');
const { folder, needs, newName, objectOf } = require('./support.js');
const { SharedMap, keep } = require('./support/map.js');
const native = require(`${folder}/lib/sync/native.js`);

const page = readFileSync(path.join(__dirname, '..', '..', 'docs', 'layout.md'), 'utf8').split('\n## Map\n')[1];
const python = process.env.PYTHON ?? 'python3';

it('each encoding has the number that the page says', () => {
  const [, table] = /\| encoding \| value \|\n\|---\|---\|\n((?:\|.*\n)+)/.exec(page);
  const rows = [...table.matchAll(/^\| ([\d, ]+) \| (.*) \|$/gm)].flatMap(([, numbers, what]) => {
    const names = what.split(':')[0].split(', ');
    return numbers.split(', ').map((number, i, all) => [Number(number), all.length > 1 ? names[i] : what]);
  });
  const expected = ['BUFFER', 'NUMBER', 'STRING', 'UTF16', 'NULL', 'FALSE', 'TRUE', 'BIGINT', 'UINT8_ARRAY', 'JSON', 'V8'];
  assert.deepEqual(rows.map(([number]) => number), expected.map((name) => native[name]));
  const words = [/Buffer/, /double/, /UTF-8/, /UTF-16/, /^null$/, /^false$/, /^true$/, /decimal/, /Uint8Array/, /JSON/, /V8/];
  for (const [i, [, what]] of rows.entries()) assert.match(what, words[i]);
});

it('its reader in Python reads what Node writes', needs('posix'), () => {
  const map = keep(new SharedMap(newName(), { memory: 1 << 20 }));
  map.set('json', { a: [1, 'ü'] }).set('text', 'grüße').set('number', 1.5).set('bytes', Buffer.from('bytes'));
  map.set('big', -(10n ** 30n)).set('tagged', 'value', { tags: ['t'], ttl: 1e6 }).set('gone', 1, { tags: ['u'] });
  map.invalidateTag('u');
  for (let i = 0; i < 100; i++) map.increment('ключ');
  const [, reader] = /```python\n([^]*?)```/.exec(page);
  const program = `${reader}
import sys, json, struct
file = open(sys.argv[1], "rb")
map = Map(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
number = lambda key: struct.unpack("<d", map.get(key))[0]
print(json.dumps([
    json.loads(map.get(b"json")), map.get(b"text").decode(), number(b"number"), map.get(b"bytes").decode(),
    map.get(b"big").decode(), map.get(b"tagged").decode(), map.get(b"gone"), number("ключ".encode()), map.get(b"none"),
]))`;
  const { stdout, stderr } = spawnSync(python, ['-c', program, objectOf(map.key)], { encoding: 'utf8' });
  assert.equal(stderr, '');
  const expected = [{ a: [1, 'ü'] }, 'grüße', 1.5, 'bytes', `${-(10n ** 30n)}`, 'value', null, 100, null];
  assert.deepEqual(JSON.parse(stdout), expected);
});
