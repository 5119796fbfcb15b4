'use strict';

// Runs every code block of the README and the guides as it is printed. A `text` block that follows it is its output. A
// block that needs a server begins with "```js not executed".

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const { once, packageFolder, root, run, temporary } = require('./support/packaging.js');

const project = temporary();
mkdirSync(path.join(project, 'node_modules'));
symlinkSync(packageFolder, path.join(project, 'node_modules', 'shm-node'));
after(() => rmSync(project, { recursive: true, force: true }));

const guides = path.join('docs', 'guides');
const files = ['README.md', ...['api.md', 'architecture.md', 'command-line.md', 'integrations.md', 'map.md'].map((file) => path.join('docs', file))];
if (existsSync(path.join(root, guides))) files.push(...readdirSync(path.join(root, guides)).map((file) => path.join(guides, file)));

function blocksOf(text) {
  const blocks = [];
  for (const [all, language, mark, code] of text.matchAll(/^```(\w*)( not executed)?\n(.*?)^```$/gms)) {
    if (mark !== undefined) continue;
    const line = text.slice(0, text.indexOf(all)).split('\n').length;
    if (language === 'text') blocks.at(-1).output = code;
    else blocks.push({ language, code, line });
  }
  return blocks;
}

// Other packages that the documents use are there as they are for the tests.
const env = { ...process.env, SHM_NODE_QUIET: '0', NODE_OPTIONS: '', NODE_PATH: path.join(root, 'node_modules') };
const python = process.env.PYTHON ?? 'python3';
const has = (command) => spawnSync(command, ['--version']).error === undefined;

const node = (extension) => (file, { code, output }) => {
  const program = `${file}.${extension}`;
  writeFileSync(program, code);
  check(run(process.execPath, [program], { cwd: project, env }), output);
};

const runners = {
  js: node('cjs'),
  mjs: node('mjs'),
  python(file, { code, output }, t) {
    if (!has(python)) return t.skip('python3 is missing');
    if (code.includes('import numpy') && spawnSync(python, ['-c', 'import numpy']).status !== 0) {
      return t.skip('numpy is missing');
    }
    writeFileSync(`${file}.py`, code);
    check(run(python, [`${file}.py`], { cwd: project, env }), output);
  },
  sh(file, { code }) {
    const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    for (const line of code.trim().split('\n')) {
      const [command, first, second] = line.split(' ');
      if (line === 'npm install shm-node') continue; // package.test.js does it, with the tarball
      else if (command === 'npm') assert.ok(scripts[first === 'run' ? second : first], line);
      else run('bash', ['-c', line.replace('npx shm-node', '"$NODE" "$CLI"')], {
        cwd: project,
        env: { ...env, NODE: process.execPath, CLI: path.join(packageFolder, 'cli.js') },
      });
    }
  },
  mermaid() {},
};

function anchorsOf(text) {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading);
  return headings.map((heading) => heading.toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-'));
}

function check({ stdout }, output) {
  if (output !== undefined) assert.equal(stdout, output);
}

for (const file of files.filter((file) => existsSync(path.join(root, file)))) {
  describe(file, once, () => {
    const text = readFileSync(path.join(root, file), 'utf8');
    for (const block of blocksOf(text)) {
      test(`line ${block.line}, ${block.language}`, (t) => {
        const name = `${path.basename(file, '.md')}-${block.line}`;
        return runners[block.language](path.join(project, name), block, t);
      });
    }

    test('its links lead somewhere', () => {
      for (const [, link] of text.matchAll(/\]\(([^)]+)\)/g)) {
        if (link.startsWith('https:')) continue;
        const [page, anchor] = link.split('#');
        const target = page === '' ? path.join(root, file) : path.join(root, path.dirname(file), page);
        assert.ok(existsSync(target), link);
        if (anchor !== undefined) assert.ok(anchorsOf(readFileSync(target, 'utf8')).includes(anchor), link);
      }
    });
  });
}
