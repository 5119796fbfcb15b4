'use strict';

// A storm in JavaScript: processes that create, get and detach the same few segments, in a main thread and a worker
// thread each, and die at any moment, while strangers who know nothing of us map what they find. tests/tests/storm.rs
// is the one in Rust, with its mutants.

const assert = require('node:assert/strict');
const { existsSync } = require('node:fs');
const path = require('node:path');
const { it } = require('node:test');
const { ask, built, needsRoot, newKey, privately } = require('./support.js');

// On Windows without strangers: there every handle counts. Under Wine a process takes seconds to start.
const isWindows = built.includes('windows');
const KILLS = Number(process.env.SHM_NODE_KILLS ?? (isWindows ? 50 : 150));
const MS_PER_KILL = isWindows ? 10_000 : 1000;
const stranger = isWindows ? null : path.join(__dirname, '..', '..', 'target', 'debug', 'foreign');
const noStranger = () => needsRoot().skip || (!existsSync(stranger) && 'cargo test has not built target/debug/foreign');
const skip = stranger === null ? false : noStranger();

/** A process of the storm, and its worker thread: it tells of what was taken while it held it. */
const member = (shm, targets) => {
  const { Worker, isMainThread } = require('worker_threads');
  if (isMainThread) new Worker(__filename);
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  const turn = () => {
    const target = pick(targets);
    let view;
    try {
      // What another makes between the two calls is had the next time.
      view = shm.get({ ...target, type: 'BigUint64Array' }) ?? shm.create({ ...target, length: 512, type: 'BigUint64Array' });
    } catch (error) {
      if (error.code !== 'EBUSY') console.log(`error: ${error.message}`);
    }
    if (view) {
      const tag = BigInt(process.pid) * 1000n + BigInt(Math.floor(Math.random() * 1000));
      view[511] = tag;
      if (view.length !== 512) console.log(`missized: ${view.length}`);
      setTimeout(() => {
        const again = shm.get({ ...target, type: 'BigUint64Array' });
        if (again?.buffer !== view.buffer) console.log('taken while held');
        if (Math.random() < 0.9) shm.detach(view);
        turn();
      }, Math.random() * 3);
    } else {
      setImmediate(turn);
    }
  };
  turn();
};

const storm = async (shm, support, member, targets, kills, stranger) => {
  const { asNobody, exists, objectOf, run, start, systemV } = require(support);
  const { spawn } = require('child_process');
  const fs = require('fs');
  const said = [];
  const join = () => {
    const one = start(member, [targets], { env: { SHM_NODE_QUIET: '1' } });
    one.ready.catch(() => {});
    one.ended.then(({ stdout, stderr }) => said.push(...`${stdout}${stderr}`.split('\n').filter(Boolean)));
    return one;
  };

  // Strangers map a segment, and see whether its name still leads to it as long as they have it.
  let [over, visits, robbed] = [false, 0, 0];
  const identity = ({ key, backend }) =>
    backend === 'sysv' ? systemV().get(key)?.shmid : fs.statSync(objectOf(key), { throwIfNoEntry: false })?.ino;
  const visit = async () => {
    const child = spawn(asNobody[0], [...asNobody.slice(1), stranger], { stdio: ['pipe', 'pipe', 'inherit'] });
    let heard;
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (data) => {
      text += data;
      for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) heard(text.slice(0, end));
    });
    const tell = (command) => new Promise((resolve) => {
      heard = resolve;
      child.stdin.write(`${command}\n`);
    });
    while (!over) {
      const target = targets[Math.floor(Math.random() * targets.length)];
      const map = target.backend === 'sysv' ? `shmat ${target.key}` : `map ${objectOf(target.key).slice('/dev/shm'.length)}`;
      if (!(await tell(map)).startsWith('ok')) continue;
      // What had lost its name before it was mapped was nobody's to keep.
      const [had, which] = (await tell('which')).split(' ');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      visits += 1;
      if (had === 'ok' && identity(target) !== Number(which)) robbed += 1;
      await tell('unmap');
    }
    child.stdin.end();
    await new Promise((resolve) => child.on('exit', resolve));
  };
  const strangers = stranger === null ? [] : [visit(), visit()];

  const members = Array.from({ length: 4 }, join);
  for (let i = 0; i < kills; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 60));
    const place = i % members.length;
    members[place].child.kill(Math.random() < 0.7 ? 'SIGKILL' : 'SIGTERM');
    await members[place].ended;
    members[place] = join();
    // However slow the machine is: half as many visits as kills.
    while (stranger !== null && visits < i / 2) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  over = true;
  await Promise.all(strangers);
  for (const { child } of members) child.kill('SIGKILL');
  await Promise.all(members.map(({ ended }) => ended));
  // One call of the next process, on one backend.
  await run((shm) => { shm.get(1); process.kill(process.pid, 'SIGKILL'); });
  ready({ said, robbed, left: targets.filter(exists) });
};

it(`${KILLS} processes are killed: no held segment is removed, and nothing is left behind`, { skip }, async () => {
  // Most let strangers in, as the mode says; a stranger who is refused tries the next one.
  const first = isWindows ? newKey() : 7001;
  const targets = built.flatMap((backend) => Array.from({ length: 3 }, (_, i) => ({ key: first + i, backend, mode: 0o666 })));
  const support = require.resolve('./support.js');
  const seen = await ask(storm, [support, String(member), targets, KILLS, stranger], {
    under: isWindows ? [] : privately(),
    env: { SHM_NODE_QUIET: '1' },
    patience: 60_000 + KILLS * MS_PER_KILL,
  });
  assert.deepEqual(seen, { said: [], robbed: 0, left: [] });
});
