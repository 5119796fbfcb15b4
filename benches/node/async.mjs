// As Node programs use it: everything is awaited, in two processes that do nothing else.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { broadcast, READERS, sockets } from './async/broadcast.mjs';
import { now } from './async/ends.mjs';
import { CHANNELS, idle } from './async/idle.mjs';
import { mutex, properLockfile, redis } from './async/lock.mjs';
import * as stream from './async/stream.mjs';
import { ways } from './async/there-and-back.mjs';
import * as wake from './async/wake.mjs';
import { print, rowOf, turns } from './ratio.mjs';

process.env.SHM_NODE_QUIET = '1';
const ROUNDS = Number(process.env.ROUNDS ?? 13);
const SIZES = [
  [64, '64 B'],
  [1024, '1 KiB'],
];
const SOCKET = 'a unix socket';
const STREAM = 'a unix socket stream';

await thereAndBack();
await besideTimers();
await streams();
await toFour();
await wakeUps();
await locks();
await idleProcesses();
await loopDelays();

/** Starts all, measures them in turns, and ends them. `times(end)` gives what measures one. */
async function inTurns(ends, times, rounds = ROUNDS) {
  try {
    const ways = Object.entries(ends).map(([name, end]) => [name, () => times(end, name)]);
    return await turns(rounds, Object.fromEntries(ways));
  } finally {
    for (const end of Object.values(ends)) await end.end();
  }
}

async function thereAndBack() {
  const EXCHANGES = 800;
  for (const [size, label] of SIZES) {
    const ends = {
      ours: await ways.channel(size),
      'without spin': await ways.channel(size, { spin: 0 }),
      [SOCKET]: await ways.socket(size),
      'process.send': await ways.send(size),
      "a worker's postMessage": await ways.worker(size),
    };
    const { ours, 'without spin': withoutSpin, ...others } = await inTurns(ends, async ({ exchange }) => {
      const begin = now();
      for (let i = 0; i < EXCHANGES; i++) await exchange();
      return (now() - begin) / EXCHANGES;
    });
    const what = `there and back by Channels, ${label}`;
    for (const [against, times] of Object.entries(others)) print(rowOf(what, against, ours, times));
    print(rowOf(`${what}, spin 0`, SOCKET, withoutSpin, others[SOCKET]));
  }
}

/** Both sides serve a timer every ms meanwhile; here it tells how long it was from one time to the next. */
async function besideTimers() {
  const MS = 400;
  const ends = {
    ours: await ways.channel(64, { timer: 'timer' }),
    theirs: await ways.socket(64, { timer: 'timer' }),
  };
  const results = await inTurns(ends, async ({ exchange }) => {
    const gaps = [];
    let last = now();
    const timer = setInterval(() => {
      gaps.push(now() - last);
      last = now();
    }, 1);
    const begin = now();
    let exchanges = 0;
    for (const until = begin + MS * 1e6; now() < until; exchanges++) await exchange();
    const each = (now() - begin) / exchanges;
    clearInterval(timer);
    gaps.sort((a, b) => a - b);
    return { each, p50: gaps[gaps.length >> 1], p99: gaps[Math.floor(gaps.length * 0.99)] };
  });
  const [ours, theirs] = [results.ours, results.theirs];
  const compare = (what, key) => print(rowOf(what, SOCKET, ...[ours, theirs].map((all) => all.map((one) => one[key]))));
  compare('there and back by Channels, 64 B, a timer every ms on both sides', 'each');
  compare('a timer every ms beside that, from one time to the next, p50', 'p50');
  compare('a timer every ms beside that, from one time to the next, p99', 'p99');
}

async function streams() {
  for (const [size, label] of SIZES) {
    const ends = {
      'for await': await stream.channel(size, 'forAwait'),
      'in batches': await stream.channel(size, 'batches'),
      drain: await stream.channel(size, 'drain'),
      theirs: await stream.socket(size),
    };
    const counts = { 'for await': 200_000, 'in batches': 400_000, drain: 400_000, theirs: 50_000 };
    const { theirs, ...ours } = await inTurns(ends, (end, name) => end.time(counts[name]));
    for (const [how, times] of Object.entries(ours)) {
      print(rowOf(`Channel, stream, ${label} a message, ${how}`, STREAM, times, theirs));
    }
  }
}

async function toFour() {
  const ends = { ours: await broadcast(1024), theirs: await sockets(1024) };
  const counts = { ours: 64 * 400, theirs: 64 * 100 };
  const { ours, theirs } = await inTurns(ends, (end, name) => end.time(counts[name]));
  const what = `Broadcast to ${READERS} readers, 1 KiB, for await, a message and reader`;
  print(rowOf(what, 'four unix sockets', ours, theirs));
}

async function wakeUps() {
  const ends = { ours: await wake.waitAsync(), theirs: await wake.socket() };
  const { ours, theirs } = await inTurns(ends, (end) => end.time(50));
  print(rowOf('wake-up of a waitAsync after 10 ms of silence', "a unix socket's", ours, theirs));
}

async function locks() {
  const what = 'lockAsync wanted by two processes, 10 µs each, beyond the 10 µs';
  const ends = { ours: await mutex(), 'proper-lockfile 4.1.2': await properLockfile() };
  const server = await redis();
  if (server !== undefined) ends['Redis SET NX'] = server;
  const counts = { ours: 10_000, 'proper-lockfile 4.1.2': 150, 'Redis SET NX': 1000 };
  const { ours, ...others } = await inTurns(ends, (end, name) => end.time(counts[name]));
  for (const [against, times] of Object.entries(others)) print(rowOf(what, against, ours, times));
  if (server === undefined) print({ what, against: 'Redis SET NX', leftOut: 'there is no redis-server here' });
}

async function idleProcesses() {
  const SECONDS = 2;
  const [pending, none] = [await idle(true), await idle(false)];
  const both = [];
  // At the same time, as neither disturbs the other.
  for (let round = 0; round < ROUNDS; round++) {
    both.push(await Promise.all([pending.usage(SECONDS), none.usage(SECONDS)]));
  }
  pending.end();
  none.end();
  const of = (which, key) => both.map((usages) => usages[which][key]);
  const what = (kind) => `idle process with ${CHANNELS} pending receives, ${kind} in a second`;
  print(rowOf(what('CPU'), 'none pending', of(0, 'cpu'), of(1, 'cpu')));
  const switches = rowOf(what('voluntary context switches'), 'none pending', of(0, 'switches'), of(1, 'switches'));
  print({ ...switches, unit: 'switches' });
}

async function loopDelays() {
  const ends = { ours: await stream.channel(64, 'forAwait', 'awaited'), theirs: await stream.socket(64) };
  const results = await inTurns(ends, async (end) => {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    await end.senderDelay();
    delay.enable();
    for (const until = now() + 1e9; now() < until; ) await end.time(20_000);
    delay.disable();
    return { receiver: delay.percentile(99), sender: await end.senderDelay() };
  });
  for (const side of ['receiver', 'sender']) {
    const [ours, theirs] = [results.ours, results.theirs].map((all) => all.map((one) => one[side]));
    print(rowOf(`event-loop delay of the ${side} at full speed, 64 B, p99`, STREAM, ours, theirs));
  }
}
