'use strict';

// The examples of coordination, and the package that they use.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { pathToFileURL } = require('node:url');
const { built, folder, needs, run, shm } = require('./support.js');

const examples = path.join(__dirname, '..', '..', 'examples');

/** Runs an example with the package under test, and returns what it printed. */
async function example(name, args = []) {
  const text = fs.readFileSync(path.join(examples, name), 'utf8').replaceAll("'../shm-node", `'${folder.replaceAll('\\', '/')}`);
  const copy = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'shm-node-example-'));
  try {
    fs.writeFileSync(path.join(copy, name), text);
    fs.cpSync(path.join(examples, 'frames.py'), path.join(copy, 'frames.py'));
    const env = { ...process.env, SHM_NODE_QUIET: '1' };
    const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(copy, name), ...args], { env, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
  } finally {
    fs.rmSync(copy, { recursive: true });
  }
}

describe('examples', () => {
  it('a work queue over a cluster', async () => {
    const sum = Array.from({ length: 500 }, (_, i) => i * i).reduce((a, b) => a + b);
    assert.equal(await example('work-queue.js', ['500', '3']), `500 jobs done by 3 workers, the sum is ${sum}\n`);
  });

  it('a rate limiter that workers share', async () => {
    assert.match(await example('rate-limiter.js'), /^60 requests of 3 workers took [\d.]+ s\nallowed: true\n$/);
  });

  const python = spawnSync('python3', ['--version']).status === 0 ? needs('posix') : { skip: 'there is no python3' };
  it('frames to Python and back', python, async () => {
    assert.match(await example('frames.js', ['30']), /^3\d frames went to Python and came back inverted\n$/);
  });
});

describe('the package', () => {
  it('import gives what require gives, and the declarations have the same names', async () => {
    const sync = require(`${folder}/sync.js`);
    const { default: whole, ...named } = await import(pathToFileURL(`${folder}/sync.mjs`));
    assert.equal(whole, sync);
    assert.deepEqual(named, sync);
    const text = fs.readFileSync(path.join(folder, 'sync.d.ts'), 'utf8');
    const declared = new Set([...text.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name));
    assert.deepEqual([...declared].sort(), Object.keys(sync).sort());
  });

  it('a program that does not coordinate does not load it', async () => {
    const { stdout } = await run((shm) => {
      shm.detach(shm.create(64));
      console.log(Object.keys(require.cache).filter((file) => /lib.sync.|sync.js$/.test(file)).length);
    });
    assert.equal(stdout, '0\n');
    assert.ok(built.length > 0 && shm.create);
  });
});
