'use strict';

// Our example, and the specification's own as it stands there: both print what the specification shows.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, it } = require('node:test');
const { folder, shm, systemV } = require('./support.js');

const root = path.join(__dirname, '..', '..');
const specification = path.join(root, '..', 'shared', 'spec', 'spec.md');
const RUNS = Number(process.env.SHM_NODE_EXAMPLE_RUNS ?? 1);

const OUTPUT = `
[Master] Typeof buf: Buffer Typeof arr: Float32Array
[Worker] Typeof buf: Buffer Typeof arr: Float32Array
0 [Master] Set buf[0]= 2  arr[0]= 5
0 [Worker] Get buf[0]= 2  arr[0]= 5
1 [Master] Set buf[0]= 3  arr[0]= 2.5
1 [Worker] Get buf[0]= 3  arr[0]= 2.5
2 [Master] Set buf[0]= 4  arr[0]= 1.25
2 [Worker] Get buf[0]= 4  arr[0]= null
3 [Master] Set buf[0]= 5  arr[0]= 0.625
3 [Worker] Get buf[0]= 5  arr[0]= null
4 [Master] Set buf[0]= 6  arr[0]= 0.3125
shm segments destroyed: 2
`.trim().split('\n');

/** Runs a program in a folder of its own, whose `index.js` and `shm-node` are the package under test. */
async function example(program, env = {}) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-example-'));
  try {
    fs.mkdirSync(path.join(place, 'shm-node'));
    fs.mkdirSync(path.join(place, 'examples'));
    for (const index of ['index.js', 'shm-node/index.js']) {
      fs.writeFileSync(path.join(place, index), `module.exports = require(${JSON.stringify(folder)});`);
    }
    const file = path.join(place, program.in ?? '', 'example.js');
    fs.writeFileSync(file, program.text);
    const child = spawn(process.execPath, [file], { cwd: place, env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    const [code, signal] = await new Promise((resolve) => child.on('close', (...end) => resolve(end)));
    const left = [
      ...[...systemV().values()].filter(({ cpid }) => cpid === child.pid),
      ...shm.list().filter(({ creator }) => creator === child.pid),
    ];
    return { lines: stdout.trim().split('\n'), stderr, code, signal, left };
  } finally {
    fs.rmSync(place, { recursive: true });
  }
}

const own = (lines, who) => lines.filter((line) => line.includes(who));

function clean({ stderr, code, signal, left }) {
  assert.equal(stderr, '');
  assert.deepEqual([code, signal], [0, null]);
  assert.deepEqual(left, []);
}

/**
 * The specification's two processes have a clock of 500 ms each, a few milliseconds apart, and nothing keeps them in
 * step. Loaded before it, this lets the worker look after each change of the primary, and the primary wait for that,
 * through files in a folder.
 */
const IN_TURNS = `
  const fs = require('fs');
  const { isWorker } = require('cluster');
  const [changed, seen] = ['changed', 'seen'].map((what) => (turn) => process.env.TURNS + '/' + what + turn);
  globalThis.setInterval = (look) => {
    let turn = 0;
    const step = () => {
      setTimeout(step, 5);
      if (!(isWorker ? fs.existsSync(changed(turn)) : turn === 0 || fs.existsSync(seen(turn - 1)))) return;
      look();
      fs.writeFileSync((isWorker ? seen : changed)(turn++), '');
    };
    setTimeout(step, 5);
  };`;

const ours = { in: 'examples', text: fs.readFileSync(path.join(root, 'examples', 'cluster.js'), 'utf8') };

describe('our example', () => {
  it("prints the specification's output, and leaves nothing", async () => {
    const end = await example(ours);
    clean(end);
    assert.deepEqual(end.lines, OUTPUT);
  });

  it('prints no last line with SHM_NODE_QUIET=1', async () => {
    const { lines, left } = await example(ours, { SHM_NODE_QUIET: '1' });
    assert.deepEqual(lines.filter((line) => line.startsWith('shm')), []);
    assert.ok(lines.includes(OUTPUT.at(-2)));
    assert.deepEqual(left, []);
  });
});

const skip = fs.existsSync(specification) ? false : 'the specification does not lie beside this repository';

describe("the specification's example, as it stands", { skip }, () => {
  const text = skip ? '' : fs.readFileSync(specification, 'utf8');
  const program = { text: /```\s*js\n(.*?)```/s.exec(text)?.[1] };

  it('shows the output that we expect', () => {
    assert.deepEqual(/<b>Output:<\/b>\s*<pre>\n(.*?)\n<\/pre>/s.exec(text)[1].split('\n'), OUTPUT);
  });

  for (let run = 1; run <= RUNS; run++) {
    it(`prints its output, the two taking turns, and leaves nothing (run ${run} of ${RUNS})`, async (context) => {
      const place = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-turns-'));
      context.after(() => fs.rmSync(place, { recursive: true }));
      const preload = path.join(place, 'in-turns.cjs');
      fs.writeFileSync(preload, IN_TURNS);
      const end = await example(program, { NODE_OPTIONS: `--require=${preload}`, TURNS: place });
      clean(end);
      for (const who of ['[Master]', '[Worker]', 'shm']) assert.deepEqual(own(end.lines, who), own(OUTPUT, who));
      assert.equal(end.lines.length, OUTPUT.length);
    });
  }

  it('shows its worker only what its primary wrote, however their clocks go', async () => {
    const end = await example(program);
    clean(end);
    for (const who of ['[Master]', 'shm']) assert.deepEqual(own(end.lines, who), own(OUTPUT, who));
    const seen = own(end.lines, '[Worker] Get').map((line) => /buf\[0\]= (\d+)  arr\[0\]= (\S+)$/.exec(line).slice(1).map(JSON.parse));
    seen.reduce((before, [byte], round) => (assert.ok(byte >= before && byte <= 6, `round ${round}: ${byte}`), byte), 1);
    // The primary writes the byte first: a look in between sees the float of the round before.
    for (const [byte, float] of seen.slice(0, 2)) assert.ok([10, 20].includes(float * 2 ** (byte - 1)), `${byte}: ${float}`);
    for (const [, float] of seen.slice(2)) assert.equal(float, null);
  });
});
