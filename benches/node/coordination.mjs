// npm run bench:coordination [-- COMMIT]: coordination in Node, now and as of COMMIT (cade9e8, the last one whose
// algorithms were JavaScript). Builds both, runs them in one process (and one other process for what streams), in
// alternated order, and tells the median of the rounds' ratios, new to old; below 1 is faster. ROUNDS=n: how many.
// Writes the table of this runtime to docs/beside-javascript.md, unless it was given a COMMIT.

import { execFileSync, fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build, install } from '../../scripts/build.mjs';
import { root, run } from '../../scripts/run.mjs';

const FIRST = 'cade9e8';
const OLD = process.argv[2] ?? FIRST;
const ROUNDS = Number(process.env.ROUNDS ?? 15);
const require = createRequire(import.meta.url);

/** The package as of a commit, built. */
function asOf(commit) {
  const folder = join(root, 'target', 'as-of', commit);
  const built = join(folder, 'shm-node');
  if (!existsSync(join(built, 'shm-node.node'))) {
    mkdirSync(folder, { recursive: true });
    const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 2 ** 30 });
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    run('node', [join(folder, 'scripts', 'build.mjs')]);
  }
  return built;
}

const current = join(root, 'shm-node');
install(build(), current);
const folders = { old: asOf(OLD), new: current };
process.env.SHM_NODE_QUIET = '1';

const both = (make) => Object.fromEntries(Object.entries(folders).map(([name, folder]) => [name, make(load(folder))]));
const load = (folder) => ({ shm: require(folder), sync: require(join(folder, 'sync.js')) });

const now = () => Number(process.hrtime.bigint());
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Runs `work[name](count)` of both in turns; tells the median time of each, and of their ratios. */
async function compare(what, limit, work, count = 100_000) {
  const times = { old: [], new: [] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const name of round % 2 ? ['old', 'new'] : ['new', 'old']) {
      const begun = now();
      await work[name](count);
      if (round >= 0) times[name].push((now() - begun) / count);
    }
  }
  tell(what, limit, times);
}

const { bun, node } = process.versions;
const runtime = bun === undefined ? `Node ${node}` : `Bun ${bun}`;

/** On Bun there are aims for these only. */
function aimOnBun(what, limit) {
  if (what.startsWith('Semaphore')) return 5.5;
  return what.includes('streaming') ? limit : undefined;
}

const rows = [];

function tell(what, aim, times) {
  const limit = bun === undefined ? aim : aimOnBun(what, aim);
  const ratio = median(times.new.map((time, round) => time / times.old[round]));
  const [before, after] = [times.old, times.new].map((all) => median(all).toFixed(1));
  const row = `| ${what} | ${before} | ${after} | ${ratio.toFixed(2)} | ${limit?.toFixed(2) ?? '–'} |`;
  console.log(row);
  rows.push({ row, what, isMissed: ratio.toFixed(2) > limit });
}

const words = ({ shm }, length) => shm.create({ length, type: 'Int32Array' });
const channel = (one, options) => {
  const view = words(one, one.sync.Channel.byteLength(options) / 4);
  return { view, ring: new one.sync.Channel(view, 0, options) };
};

const head = `| ${runtime} | ${OLD}, ns | now, ns | ratio | at most |\n|---|---|---|---|---|`;
console.log(head);

await compare('Mutex: lock, unlock', 1.05, both((one) => {
  const mutex = new one.sync.Mutex(words(one, 64), 0);
  return (count) => {
    for (let i = 0; i < count; i++) mutex.lock().unlock();
  };
}));
await compare('Semaphore of 4: acquire, unlock', 2.1, both((one) => {
  const semaphore = new one.sync.Semaphore(words(one, 64), 0, { permits: 4 });
  return (count) => {
    for (let i = 0; i < count; i++) semaphore.acquire().unlock();
  };
}));
for (const [how, limit] of [['read', 1.7], ['write', 0.3]]) {
  await compare(`RwLock of 8: ${how}, unlock`, limit, both((one) => {
    const lock = new one.sync.RwLock(words(one, 64), 0, { readers: 8 });
    return (count) => {
      for (let i = 0; i < count; i++) lock[how]().unlock();
    };
  }));
}
await compare('notify, nobody waits', 0.8, both((one) => {
  const view = words(one, 64);
  return (count) => {
    for (let i = 0; i < count; i++) one.sync.notify(view, 5);
  };
}));
for (const [receives, limit] of [[false, 1.3], [true, 0.85]]) {
  await compare(`Broadcast, 64 B: send${receives ? ' and receive' : ''}`, limit, both((one) => {
    const options = { slots: 16, maxMessage: 256 };
    const news = new one.sync.Broadcast(words(one, one.sync.Broadcast.byteLength(options) / 4), 0, options);
    const [reader, message, target] = [news.reader(), Buffer.alloc(64, 7), Buffer.alloc(64)];
    return (count) => {
      for (let i = 0; i < count; i++) {
        news.send(message);
        if (receives && reader.tryReceiveInto(target).message !== target) throw new Error('torn');
      }
    };
  }));
}
for (const [producers, limit] of [['one', 1.35], ['many', 1.1]]) {
  await compare(`Channel, 64 B, producers ${producers}: one by one in one process`, limit, both((one) => {
    const { ring } = channel(one, { capacity: 2 ** 16, producers });
    const [message, target] = [Buffer.alloc(64, 7), Buffer.alloc(64)];
    return (count) => {
      for (let i = 0; i < count; i++) {
        ring.trySend(message);
        if (ring.tryReceiveInto(target) !== 64) throw new Error('torn');
      }
    };
  }));
}

// Each call of a fresh process, before anything is compiled.
{
  const program = (folder) => `
    process.env.SHM_NODE_QUIET = '1';
    const shm = require(${JSON.stringify(folder)});
    const { Channel } = require(${JSON.stringify(join(folder, 'sync.js'))});
    const options = { capacity: 2 ** 16 };
    const ring = new Channel(shm.create({ size: Channel.byteLength(options), type: 'Int32Array' }), 0, options);
    const [message, target] = [Buffer.alloc(64, 7), Buffer.alloc(64)];
    const begun = process.hrtime.bigint();
    for (let i = 0; i < 500; i++) { ring.trySend(message); ring.tryReceiveInto(target); }
    console.log(Number(process.hrtime.bigint() - begun) / 1000);`;
  const times = { old: [], new: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 ? ['old', 'new'] : ['new', 'old']) {
      times[name].push(Number(execFileSync(process.execPath, ['-e', program(folders[name])], { encoding: 'utf8' })));
    }
  }
  tell('the first 1,000 Channel calls of a process', 0.25, times);
}

for (const [size, limits, count] of [[64, { receiveInto: 1, receive: 1, peek: 1 }, 100_000], [1024, { receiveInto: 1 }, 30_000], [65536, { receiveInto: 1.1 }, 1500]]) {
  for (const [how, limit] of Object.entries(limits)) {
    const ends = both((one) => channel(one, { capacity: 2 ** 20 }));
    const keys = Object.fromEntries(Object.entries(ends).map(([name, { view }]) => [name, view.key]));
    const peer = fork(new URL('coordination-peer.mjs', import.meta.url), [JSON.stringify({ folders, keys, size })]);
    await new Promise((resolve) => peer.once('message', resolve));
    const target = Buffer.alloc(size);
    const take = {
      receiveInto: (ring) => ring.receiveInto(target) === size && target[size - 1] === 7,
      receive: (ring) => ring.receive()[size - 1] === 7,
      peek: (ring) => {
        const message = ring.peek();
        const isWhole = message.view[size - 1] === 7;
        message.release();
        return isWhole;
      },
    }[how];
    const stream = (name) => (count) => {
      peer.send([name, count]);
      for (let i = 0; i < count; i++) if (!take(ends[name].ring)) throw new Error('torn');
      return new Promise((resolve) => peer.once('message', resolve));
    };
    await compare(`Channel, ${size} B, streaming between two processes: ${how}`, limit, { old: stream('old'), new: stream('new') }, count);
    peer.disconnect();
  }
}

for (const name of Object.keys(folders)) load(folders[name]).shm.detachAll();

if (OLD === FIRST) write(join(root, 'docs', 'beside-javascript.md'));

/** Puts the table of this runtime in the place of its last one. */
function write(file) {
  const causes = JSON.parse(readFileSync(join(root, 'benches/causes.json'), 'utf8'));
  const title = `## ${runtime.replace(/\..*/, '')}`;
  const missed = rows.filter(({ isMissed }) => isMissed).map(({ what }) => {
    const cause = Object.entries(causes).find(([start]) => what.startsWith(start))?.[1];
    return `- **${what}** misses its aim. ${cause ?? 'The cause is not known.'}`;
  });
  const date = new Date().toISOString().slice(0, 10);
  const table = [head, ...rows.map(({ row }) => row)].join('\n');
  const section = [title, `Measured on ${date}.`, table, missed.join('\n')].filter((part) => part !== '').join('\n\n');
  const [intro, ...others] = readFileSync(file, 'utf8').trimEnd().split(/\n\n(?=## )/);
  const kept = others.filter((other) => !other.startsWith(`${title}\n`));
  writeFileSync(file, `${[intro, ...[...kept, section].sort()].join('\n\n')}\n`);
}
