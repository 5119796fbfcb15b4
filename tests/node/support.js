'use strict';

// What the tests share: the package under test, processes of their own, and what the system itself says of a
// segment. Nothing here looks at segments that are not the tests' own: others use this machine meanwhile.

const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const folder = path.resolve(__dirname, process.env.SHM_NODE_PACKAGE ?? '../../shm-node');
process.env.SHM_NODE_PACKAGE = folder;

const shm = require(folder);

/** The backends of this build; the first is the one that integer keys live on. */
const built = ['sysv', 'posix', 'windows'].filter((backend) => {
  try {
    shm.info({ key: 1, backend });
    return true;
  } catch (error) {
    if (error.code !== 'ERR_INVALID_ARG_VALUE') throw error;
    return false;
  }
});

/** `{ skip }` for a test that needs one of the backends. */
const needs = (backend) => ({ skip: built.includes(backend) ? false : `this build has no ${backend}` });

/** The backend whose keys may be strings, and which has read-only views. */
const withNames = built.find((backend) => backend !== 'sysv');

/** `{ skip }` for a test of what Windows lacks, or of what only Unix shows. */
const notOnWindows = (reason) => ({ skip: built.includes('windows') && reason });

/** What ends a process that sends itself this signal, as [code, signal]: Windows has none, and ends it with 1. */
const bySignal = (name) => (built.includes('windows') ? [1, null] : [null, name]);

const canUnshare = () => spawnSync('unshare', ['--mount', '--ipc', 'true']).status === 0;

/** `{ skip }` for a test that needs namespaces of its own, or other users. */
const needsRoot = () => ({
  skip: process.getuid?.() === 0 && canUnshare() ? false : 'needs root, and the right to make namespaces',
});

/** `{ skip }` for a test that needs so many bytes of /dev/shm. */
function needsRoom(bytes) {
  if (!built.includes('posix')) return { skip: false };
  const { blocks, bsize } = fs.statfsSync('/dev/shm');
  return { skip: blocks * bsize >= bytes ? false : 'this /dev/shm is too small' };
}

/** A key that nobody else uses. */
const newKey = () => randomInt(0x1000_0000, 0x7fff_ffff);
const newName = () => `shm-node-test-${process.pid}-${newKey()}`;

/** A new key on each backend of the build. */
const newKeys = () => built.map((backend) => ({ key: newKey(), backend }));

const objectOf = (key) =>
  `/dev/shm/${typeof key === 'number' ? `shm-node-${key.toString(16).padStart(8, '0')}` : key.replace(/^\//, '')}`;

/** System V segments as the kernel lists them, by key. */
function systemV() {
  const [head, ...lines] = fs.readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n');
  const names = head.trim().split(/\s+/);
  const rows = lines.map((line) => Object.fromEntries(line.trim().split(/\s+/).map((value, i) => [names[i], +value])));
  return new Map(rows.map((row) => [row.key >>> 0, row]));
}

/** Whether a segment exists, as the kernel says and not the library. (Windows shows no files of them.) */
function exists({ key, backend = typeof key === 'string' ? built.at(-1) : built[0] }) {
  if (backend === 'windows') return shm.info({ key, backend }) !== null;
  return backend === 'sysv' ? systemV().has(key) : fs.existsSync(objectOf(key));
}

/** Those of the segments that exist. */
const existing = (segments) => segments.filter(exists);

/** The segments that this process created and that still exist, as text to compare. */
const mine = () =>
  shm
    .list()
    .filter(({ creator }) => creator === process.pid)
    .map(({ key, backend }) => `${backend} ${key}`);

const programs = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-test-'));
fs.chmodSync(programs, 0o755); // other users run them too
process.on('exit', () => fs.rmSync(programs, { recursive: true, force: true }));
let started = 0;

/**
 * Runs `body(shm, ...args)` in a process of its own. The body may use `ready(value)`, which `started.ready` here waits
 * for, and `hold(keys)`, which creates a segment of 4 KiB per key, and one more by the form that is counted at the end.
 */
function start(body, args = [], { env = {}, flags = [], under = [], stdin = 'ignore', patience = 300_000 } = {}) {
  const program = `
    const shm = require(${JSON.stringify(folder)});
    const ready = (value = true) => void require('fs').writeSync(3, JSON.stringify(value) + '\\n');
    const hold = (keys) => (shm.create(64), keys.map((key) => shm.create({ ...key, size: 4096 })));
    (${body})(shm, ...${JSON.stringify(args)});`;
  const file = path.join(programs, `${++started}.js`);
  fs.writeFileSync(file, program);
  const [command, ...rest] = [...under, process.execPath, ...flags, file];
  const child = spawn(command, rest, {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: [stdin, 'pipe', 'pipe', 'pipe'],
  });
  const output = [child.stdout, child.stderr, child.stdio[3]].map((stream) => {
    const read = { text: '' };
    stream.setEncoding('utf8').on('data', (text) => (read.text += text));
    return read;
  });
  const [stdout, stderr, told] = output;
  const hung = setTimeout(() => child.kill('SIGKILL'), patience);
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(hung);
      resolve({ code, signal, stdout: stdout.text, stderr: stderr.text });
    });
  });
  const ready = new Promise((resolve, reject) => {
    child.stdio[3].on('data', () => told.text.includes('\n') && resolve(JSON.parse(told.text.split('\n')[0])));
    ended.then(({ code, signal }) => reject(new Error(`ended before it was ready: ${code ?? signal}\n${stderr.text}`)));
  });
  ready.catch(() => {}); // the caller that waits for it gets the error
  return { child, ready, ended };
}

/** Runs a process as `start` does, and waits for its end. */
const run = (...args) => start(...args).ended;

/** Runs a process, and returns what it told by `ready`; whatever it printed to standard error is an error. */
async function ask(...args) {
  const { ready, ended } = start(...args);
  const { code, signal, stderr } = await ended;
  if (code !== 0) throw new Error(`ended with ${code ?? signal}: ${stderr}`);
  return ready;
}

/** A private /dev/shm and private System V segments, to put `start` under. */
const privately = (size = '64m') => [
  ...['unshare', '--mount', '--ipc', 'sh', '-c'],
  `mount -t tmpfs -o size=${size},mode=1777 tmpfs /dev/shm && exec "$@"`,
  'sh',
];

/** To put `start` under: the process runs as this user, in this group and no other. */
const as = (uid, gid = uid) => ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];

/** To put `start` under: the process runs as nobody. */
const asNobody = as(65534);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `condition()` holds; false if it does not within `ms`. */
async function until(condition, ms = 60_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) return false;
    await sleep(5);
  }
  return true;
}

/** What a process prints at its end that called `hold` once. */
const TOLD = 'shm segments destroyed: 1\n';

module.exports = {
  TOLD,
  as,
  ask,
  asNobody,
  built,
  bySignal,
  existing,
  exists,
  folder,
  mine,
  needs,
  needsRoom,
  needsRoot,
  newKey,
  newKeys,
  newName,
  notOnWindows,
  objectOf,
  privately,
  run,
  shm,
  sleep,
  start,
  systemV,
  until,
  withNames,
};
