#!/usr/bin/env node
'use strict';

// The command line. What it prints is in lib/show.js.

process.env.SHM_NODE_QUIET = '1'; // before the package is loaded: what this process attaches is nobody's news

const fs = require('fs');
const { parseArgs } = require('util');
const shm = require('./index.js');
const parse = require('./lib/arguments.js');
const native = require('./lib/native.js');
const show = require('./lib/show.js');
const { BufferType } = require('./lib/types.js');

const HELP = `usage: shm-node <command> [options]

  ls [--json]                 the segments of all programs, on both backends
  inspect KEY                 its bytes or elements
      --type TYPE             uint8 (default), int16, float32, bigint64, …
      --offset N --bytes N    from which byte (0), and how many (512)
  watch KEY                   its first elements, live; what changed is marked with *
      --type TYPE --offset N --bytes N (64)
      --every MS              how often to look (500)
      --times N               how many times (until it is gone, or Ctrl+C)
  create [KEY]                a segment that stays until rm; prints its key
      --size N                bytes
      --length N --type TYPE  or elements
      --mode MODE             permissions in octal (600)
  rm KEY... [--force]         removes segments; what someone holds, or may hold, only with --force
  sweep [--dry-run]           frees what crashes left behind
  --help, --version

KEY is an integer (0x for hexadecimal) or a name (POSIX). An integer is looked for on System V,
then on POSIX, and created on System V; --backend sysv|posix says otherwise.

exit code: 0 done, 1 not done (no such segment, held, refused by the system), 2 wrong usage`;

const OPTIONS = {
  ls: { json: { type: 'boolean' } },
  inspect: { type: { type: 'string' }, offset: { type: 'string' }, bytes: { type: 'string' } },
  watch: {
    type: { type: 'string' },
    offset: { type: 'string' },
    bytes: { type: 'string' },
    every: { type: 'string' },
    times: { type: 'string' },
  },
  create: {
    size: { type: 'string' },
    length: { type: 'string' },
    type: { type: 'string' },
    mode: { type: 'string' },
  },
  rm: { force: { type: 'boolean' } },
  sweep: { 'dry-run': { type: 'boolean' } },
};
const KEYS = { ls: [0, 0], inspect: [1, 1], watch: [1, 1], create: [0, 1], rm: [1, Infinity], sweep: [0, 0] };

class UsageError extends Error {}

/** The command failed: exit code 1. */
class Refusal extends Error {}

const commands = { ls, inspect, watch, create, rm, sweep };

function ls({ json }) {
  const mappedBy = show.mappings();
  const all = shm.list().map((info) => ({ ...info, mappedBy: mappedBy(info) }));
  console.log(json ? JSON.stringify(all, null, 2) : show.table(all));
}

function inspect(values, [target]) {
  const type = typeOf(values.type);
  const range = rangeOf(values, type, 512);
  const { bytes, size } = copy(target, range);
  console.log(show.dump(bytes, range.offset, type));
  const rest = size - range.offset - bytes.length;
  if (rest > 0) console.log(`… ${rest} more bytes: --offset ${range.offset + bytes.length}, or --bytes`);
}

async function watch(values, [target]) {
  const type = typeOf(values.type);
  const range = rangeOf(values, type, 64);
  const every = integer('every', values.every, 500, 10);
  const times = integer('times', values.times, Infinity, 1);
  const draw = show.canvas();
  let before = null;
  for (let time = 0; time < times; time++) {
    if (time > 0) await new Promise((resolve) => setTimeout(resolve, every));
    if (before !== null && shm.info(target) === null) return console.log('gone');
    const { bytes } = copy(target, range);
    draw(show.dump(bytes, range.offset, type, before ?? bytes));
    before = bytes;
  }
}

// A copy of a part of a segment. It is attached only while it is read: on POSIX read-only, and on System V, where
// that is not possible, as a holder for that moment.
function copy(target, { offset, count, unit }) {
  const info = shm.info(target);
  if (info === null) throw new Refusal(missing(target));
  if (info.state === 'orphan') {
    throw new Refusal(`${show.key(target.key)}: held by nobody, and freed by the next process that attaches anything`);
  }
  const readOnly = info.backend === 'posix';
  const attached = shm.get({ ...target, view: false, readOnly });
  if (attached === null) throw new Refusal(missing(target));
  const { size } = attached;
  if (offset >= size) throw new Refusal(`${show.key(target.key)}: has ${size} bytes, none at offset ${offset}`);
  const bytes = Buffer.alloc(Math.floor(Math.min(count, size - offset) / unit) * unit);
  shm.read(target, offset, bytes);
  shm.detach(target);
  return { bytes, size };
}

function create(values, [target = {}]) {
  if ((values.size === undefined) === (values.length === undefined)) throw new UsageError('create needs --size or --length');
  const { name } = typeOf(values.type);
  const made = shm.create({
    ...target,
    ...(values.size === undefined
      ? { length: integer('length', values.length, 0, 1) }
      : { size: integer('size', values.size, 0, 1) }),
    type: name,
    mode: values.mode ?? 0o600,
    persist: true,
    view: false,
  });
  if (made === null) throw new Refusal(`${show.key(target.key)}: that key is taken`);
  console.log(String(made.key));
}

function rm({ force }, targets) {
  for (const target of targets) {
    const why = force ? !shm.destroy(target) && missing(target) : removeUnheld(target);
    if (!why) continue;
    console.error(`shm-node: ${why}`);
    process.exitCode = 1;
  }
}

/** Removes a segment if the kernel says that nobody holds it; else returns why not. */
function removeUnheld(target) {
  const { backend, key } = parse.target(target);
  const holders = native.destroyUnheld(backend, key);
  if (holders < 0) return missing(target);
  if (holders === 0) return undefined;
  const info = shm.info(target);
  const known = info && (info.holders ?? show.mappings()(info).length);
  return `${show.key(key)}: held by ${known || 'someone'}: --force removes it`;
}

/** Says that there is no such segment, and where there is one of that key. */
function missing(target) {
  const other = shm.list().find(({ key, backend }) => key === target.key && backend !== target.backend);
  const hint = other === undefined ? '' : `; there is one on the other backend: --backend ${other.backend}`;
  return `${show.key(target.key)}: no such segment${hint}`;
}

function sweep(values) {
  const orphans = shm.list().filter(({ state }) => state === 'orphan');
  const dry = values['dry-run'] === true;
  if (!dry) shm.sweep();
  const freed = dry ? orphans : orphans.filter(({ key, backend }) => shm.info({ key, backend }) === null);
  for (const { key, backend, size } of freed) {
    console.log(`${dry ? 'would free' : 'freed'} ${show.key(key)} (${backend}, ${size} bytes)`);
  }
  if (freed.length === 0) console.log('nothing to free');
}

function keyOf(text) {
  if (/^(\d+|0x[\da-f]+)$/i.test(text)) return Number(text);
  return text;
}

function integer(name, text, fallback, min) {
  if (text === undefined) return fallback;
  const value = /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < min) throw new UsageError(`--${name} is an integer, ${min} or more`);
  return value;
}

function typeOf(text = 'uint8') {
  const wanted = text.toLowerCase().replace(/array$/, '');
  const name = Object.keys(BufferType).find((name) => name.toLowerCase().replace(/array$/, '') === wanted);
  const constructor = name === 'Buffer' ? Uint8Array : globalThis[name];
  if (constructor === undefined) throw new UsageError(`--type ${text} is none of ${Object.keys(BufferType).join(', ')}`);
  return { name, constructor };
}

function rangeOf(values, { constructor: { BYTES_PER_ELEMENT: unit } }, count) {
  const range = { offset: integer('offset', values.offset, 0, 0), count: integer('bytes', values.bytes, count, 1), unit };
  if (range.offset % unit !== 0) throw new UsageError(`--offset is a multiple of ${unit}, as the type has`);
  return range;
}

async function main([name, ...args]) {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help' || args.includes('--help')) {
    if (name === undefined) process.exitCode = 2;
    return console.log(HELP);
  }
  if (name === '--version') return console.log(JSON.parse(fs.readFileSync(`${__dirname}/package.json`, 'utf8')).version);
  if (!Object.hasOwn(commands, name)) throw new UsageError(`no such command: ${name}`);
  const { values, positionals } = parseOptions(name, args);
  const [min, max] = KEYS[name];
  if (positionals.length < min || positionals.length > max) throw new UsageError(`${name}: ${min === 0 ? 'too many keys' : 'which KEY?'}`);
  const { backend } = values;
  if (![undefined, 'sysv', 'posix'].includes(backend)) throw new UsageError('--backend is sysv or posix');
  const targets = positionals.map((text) => ({ key: keyOf(text), ...(backend && { backend }) }));
  if (name === 'create' && targets.length === 0 && backend) targets.push({ backend });
  await commands[name](values, targets);
}

function parseOptions(name, args) {
  const options = KEYS[name][1] === 0 ? OPTIONS[name] : { ...OPTIONS[name], backend: { type: 'string' } };
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE') process.exit(0);
  console.error(`shm-node: ${error.message}`);
  process.exit(1);
});

// A key, a size or a mode that cannot be one.
const isWrongUsage = (error) => error instanceof UsageError || /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test(error.code);

main(process.argv.slice(2)).catch((error) => {
  console.error(`shm-node: ${error.message}`);
  if (isWrongUsage(error)) console.error('shm-node --help tells of all commands.');
  process.exitCode = isWrongUsage(error) ? 2 : 1;
});
