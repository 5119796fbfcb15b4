#!/usr/bin/env node
'use strict';

// The command line. What it prints is in lib/show.js and lib/cli.

process.env.SHM_NODE_QUIET = '1'; // before the package is loaded: this process prints only what its command prints

const fs = require('fs');
const { setTimeout: sleep } = require('timers/promises');
const { parseArgs } = require('util');
const shm = require('./index.js');
const parse = require('./lib/arguments.js');
const mapCommands = require('./lib/cli/map.js');
const { Refusal, bytesOf, infoOf, missing, structuresOf, structuresOfAll } = require('./lib/cli/segments.js');
const structures = require('./lib/cli/structures.js');
const look = require('./lib/cli/top.js');
const native = require('./lib/native.js');
const show = require('./lib/show.js');
const { BufferType } = require('./lib/types.js');

const HELP = `usage: shm-node <command> [options]

  ls [--json]                 lists the segments of all programs, on both backends, and what is in them
  inspect KEY [--json]        shows the map, channels and locks in it, and who holds them; else its bytes
      --type TYPE             shows its elements instead: uint8 (default), int16, float32, bigint64, …
      --offset N --bytes N    from which byte (0), and how many (512)
  map stats|keys KEY          shows the statistics of a map, or its keys
  map get KEY ENTRY           shows a value
  map delete KEY ENTRY...     removes entries
  map clear KEY               removes all entries; each map command takes --json
  top                         shows maps, channels and broadcasts, live
      --every MS              how often to look (1000)
      --once                  looks twice, and prints once
      --json                  prints a line of JSON each time
  watch KEY                   shows its first elements, live; * marks what changed
      --type TYPE --offset N --bytes N (64)
      --every MS              how often to look (500)
      --times N               how many times (until it is gone, or Ctrl+C)
  create [KEY]                creates a segment that stays until rm; prints its key
      --size N                bytes
      --length N --type TYPE  or elements
      --mode MODE             permissions in octal (600)
  rm KEY... [--force]         removes segments; those that are held, or may be, only with --force
  sweep [--dry-run]           frees what killed processes left behind
  --help, --version

KEY is an integer (0x for hexadecimal) or a name (POSIX). An integer is looked for on System V,
then on POSIX. create puts an integer on System V. --backend sysv|posix chooses the backend.
On Windows both name sections.

exit code: 0 success, 1 failure (no such segment, held, refused by the system), 2 wrong usage`;

/** Which part of a segment, and as what. */
const PART = { type: { type: 'string' }, offset: { type: 'string' }, bytes: { type: 'string' } };
const OPTIONS = {
  ls: { json: { type: 'boolean' } },
  inspect: { ...PART, json: { type: 'boolean' } },
  map: { json: { type: 'boolean' } },
  top: { every: { type: 'string' }, once: { type: 'boolean' }, json: { type: 'boolean' } },
  watch: { ...PART, every: { type: 'string' }, times: { type: 'string' } },
  create: {
    size: { type: 'string' },
    length: { type: 'string' },
    type: { type: 'string' },
    mode: { type: 'string' },
  },
  rm: { force: { type: 'boolean' } },
  sweep: { 'dry-run': { type: 'boolean' } },
};
const KEYS = {
  ls: [0, 0],
  inspect: [1, 1],
  map: [2, Infinity],
  top: [0, 0],
  watch: [1, 1],
  create: [0, 1],
  rm: [1, Infinity],
  sweep: [0, 0],
};

/** How much of a segment is looked through for structures, and how many words that look like one are looked at. */
const [LS_WITHIN, LS_MOST] = [64 << 10, 64];
const [INSPECT_WITHIN, INSPECT_MOST] = [16 << 20, 1000];

/** The longest time of a timer: a longer one ends at once. */
const MOST_MS = 2 ** 31 - 1;

/** How many bytes are shown at once. */
const PIECE = 1 << 20;

class UsageError extends Error {}

/** What is wrong may come from a segment: a value that cannot be decoded, say. */
const tell = (why) => console.error(`shm-node: ${show.key(why)}`);

const commands = { ls, inspect, map, top, watch, create, rm, sweep };

function ls({ json }) {
  const mappedBy = show.mappings();
  const all = shm.list().map((info) => ({ ...info, mappedBy: mappedBy(info) }));
  const found = structuresOfAll(all, LS_WITHIN, LS_MOST);
  if (!json) return console.log(show.table(all, found.map(structures.summary)));
  const brief = (one) => ({ what: one.what, offset: one.offset, size: one.size });
  console.log(show.json(all.map((info, i) => ({ ...info, structures: found[i]?.map(brief) ?? null })), 2));
}

function inspect(values, [target]) {
  const type = typeOf(values.type);
  const range = rangeOf(values, type, 512);
  const areBytesWanted = Object.keys(PART).some((name) => values[name] !== undefined);
  if (values.json && areBytesWanted) throw new UsageError('--json is for structures, not for bytes');
  if (!areBytesWanted) {
    const info = infoOf(target);
    const found = structuresOf(target, INSPECT_WITHIN, INSPECT_MOST) ?? [];
    if (values.json) return console.log(show.json({ ...info, structures: found }, 2));
    if (found.length > 0) return console.log(structures.text(found));
  }
  const rest = dump(target, range, type);
  if (rest.bytes > 0) console.log(`… ${rest.bytes} more bytes: --offset ${rest.offset}, or --bytes`);
}

/** Prints a range, piece by piece, as text takes many times the memory of its bytes; returns what is behind it. */
function dump(target, { offset, count, unit }, type) {
  for (;;) {
    const { bytes, size } = copy(target, { offset, count: Math.min(count, PIECE), unit });
    console.log(show.dump(bytes, offset, type));
    offset += bytes.length;
    count -= bytes.length;
    if (bytes.length < PIECE || count < unit || size - offset < unit) return { offset, bytes: size - offset };
  }
}

async function watch(values, [target]) {
  const type = typeOf(values.type);
  const range = rangeOf(values, type, 64);
  const every = integer('every', values.every, 500, 10, MOST_MS);
  const times = integer('times', values.times, Infinity, 1);
  const draw = show.canvas();
  let before = null;
  for (let time = 0; time < times; time++) {
    if (time > 0) await sleep(every);
    if (before !== null && shm.info(target) === null) return console.log('gone');
    const { bytes } = copy(target, range);
    draw(show.dump(bytes, range.offset, type, before ?? bytes));
    before = bytes;
  }
}

function copy(target, { offset, count, unit }) {
  const { size } = infoOf(target);
  if (offset >= size) throw new Refusal(`${show.key(target.key)}: has ${size} bytes, none at offset ${offset}`);
  const bytes = bytesOf(target, offset, Math.floor(Math.min(count, size - offset) / unit) * unit);
  return { bytes, size };
}

function map({ json }, [verb, target, ...names]) {
  mapCommands.run(verb, target, names, { json });
}

async function top({ every: given, once, json }) {
  const every = integer('every', given, 1000, 10, MOST_MS);
  const draw = json ? (line) => process.stdout.write(`${line}\n`) : show.canvas();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  let before = look.sample();
  while (!stop.signal.aborted) {
    await sleep(every, undefined, { signal: stop.signal }).catch(() => {});
    if (stop.signal.aborted) return;
    const after = look.sample();
    const rows = look.compare(before, after);
    draw(json ? show.json(rows) : look.text(rows));
    if (once) return;
    before = after;
  }
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
    const why = whyNotRemoved(target, force);
    if (!why) continue;
    tell(why);
    process.exitCode = 1;
  }
}

/** Removes a segment, or returns why not. */
function whyNotRemoved(target, force) {
  try {
    return force ? !shm.destroy(target) && missing(target) : removeUnheld(target);
  } catch (error) {
    if (typeof error.syscall !== 'string') throw error;
    return error.message;
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

function integer(name, text, fallback, min, max = Number.MAX_SAFE_INTEGER) {
  if (text === undefined) return fallback;
  const value = /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name} is an integer, ${max < Number.MAX_SAFE_INTEGER ? `${min} to ${max}` : `${min} or more`}`);
  }
  return value;
}

function typeOf(text = 'uint8') {
  const wanted = text.toLowerCase().replace(/array$/, '');
  const name = Object.keys(BufferType).find((name) => name.toLowerCase().replace(/array$/, '') === wanted);
  const constructor = name === 'Buffer' ? Uint8Array : globalThis[name];
  if (constructor === undefined) throw new UsageError(`--type ${text} is not one of ${Object.keys(BufferType).join(', ')}`);
  return { name, constructor };
}

function rangeOf(values, { constructor: { BYTES_PER_ELEMENT: unit } }, count) {
  const range = { offset: integer('offset', values.offset, 0, 0), count: integer('bytes', values.bytes, count, 1), unit };
  if (range.offset % unit !== 0) throw new UsageError(`--offset must be a multiple of ${unit}, the element size of the type`);
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
  if (positionals.length < min || positionals.length > max) throw new UsageError(`${name}: ${positionals.length > max ? 'too many keys' : 'which KEY?'}`);
  if (name === 'map') checkMap(positionals);
  const { backend } = values;
  if (![undefined, 'sysv', 'posix', 'windows'].includes(backend)) throw new UsageError('--backend is sysv, posix or windows');
  const targetOf = (text) => ({ key: keyOf(text), ...(backend && { backend }) });
  const [verb, key, ...names] = positionals;
  const targets = name === 'map' ? [verb, targetOf(key), ...names] : positionals.map(targetOf);
  if (name === 'create' && targets.length === 0 && backend) targets.push({ backend });
  await commands[name](values, targets);
}

function checkMap([verb, , ...names]) {
  if (!Object.hasOwn(mapCommands.ARGUMENTS, verb)) {
    throw new UsageError(`map ${verb}: no such command; use one of ${Object.keys(mapCommands.ARGUMENTS).join(', ')}`);
  }
  const [least, most] = mapCommands.ARGUMENTS[verb];
  if (names.length < least) throw new UsageError(`map ${verb}: which ENTRY of the map?`);
  if (names.length > most) throw new UsageError(`map ${verb}: too many entries`);
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
  tell(error.message);
  process.exit(1);
});

// A key, a size or a mode that cannot be one.
const isWrongUsage = (error) => error instanceof UsageError || /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test(error.code);

main(process.argv.slice(2)).catch((error) => {
  tell(error.message);
  if (isWrongUsage(error)) console.error('`shm-node --help` lists all commands.');
  process.exitCode = isWrongUsage(error) ? 2 : 1;
});
