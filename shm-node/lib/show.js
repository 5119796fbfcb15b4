'use strict';

// The output of the command line. Colours and redrawing only on a terminal.

const fs = require('fs');

const terminal = process.stdout.isTTY === true;
const coloured = terminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

const paint = (code, text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
const STATES = { held: 32, orphan: 31, persistent: 33, foreign: 36 };

// A name or a value may contain control characters for a terminal, and others that hide or reorder what is shown.
const unit = (code) => `\\u${code.charCodeAt(0).toString(16).padStart(4, '0')}`;
const escape = (character) => JSON.stringify(character).slice(1, -1).replace(/[^ -~]/g, unit);
const key = (value) => String(value).replace(/[\p{Cc}\p{Cf}]/gu, escape);

/** Lines of text, harmless for a terminal. */
const harmless = (value) => value.replace(/(?![\n\t])[\p{Cc}\p{Cf}]/gu, escape);

/** A text of a user's: as it is for a program, and harmless for a terminal. */
const text = (value) => (terminal ? harmless(value) : value);

/** A value as JSON, in which such characters may stand as they are, but need not. */
const json = (value, space) => harmless(JSON.stringify(value, null, space));

/** An offset, as the lines of a dump begin with. */
const offset = (value) => paint(2, value.toString(16).padStart(8, '0'));

/**
 * Which processes have a POSIX object mapped, as far as this user may look: a function of its key. By device and inode,
 * as a mapping keeps the name that its file was opened by, and a new object is published under its name afterwards.
 * Another container's /dev/shm has the same inodes.
 */
function mappings() {
  const found = new Map();
  const pids = process.platform === 'linux' ? fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : [];
  for (const pid of pids) {
    let maps;
    try {
      maps = fs.readFileSync(`/proc/${pid}/maps`, 'utf8');
    } catch {
      continue; // another user's, or gone
    }
    for (const file of new Set([...maps.matchAll(/ ([\da-f]+:[\da-f]+ \d+) +\/dev\/shm\/.*$/gm)].map(([, file]) => file))) {
      found.set(file, [...(found.get(file) ?? []), Number(pid)]);
    }
  }
  return ({ backend, key }) => {
    if (backend !== 'posix') return [];
    const name = typeof key === 'string' ? key : `/shm-node-${key.toString(16).padStart(8, '0')}`;
    const stat = fs.lstatSync(`/dev/shm${name}`, { throwIfNoEntry: false });
    return (stat && found.get(`${deviceOf(stat)} ${stat.ino}`)) ?? [];
  };
}

/** A device as /proc has it: its major and minor number, in the encoding of makedev(3). */
function deviceOf({ dev }) {
  const device = BigInt(dev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn);
  return [major, minor].map((number) => number.toString(16).padStart(2, '0')).join(':');
}

function users() {
  try {
    const lines = fs.readFileSync('/etc/passwd', 'utf8').split('\n');
    return new Map(lines.map((line) => line.split(':')).map(([name, , uid]) => [Number(uid), name]));
  } catch {
    return new Map();
  }
}

function processName(pid) {
  if (pid === null) return '-';
  try {
    return `${pid} ${key(fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim())}`;
  } catch {
    return `${pid} (gone)`;
  }
}

function age(created) {
  if (created === null) return '-';
  let amount = Math.max(0, (Date.now() - created.getTime()) / 1000);
  for (const [unit, size] of [['s', 60], ['min', 60], ['h', 24]]) {
    if (amount < size) return `${Math.floor(amount)} ${unit}`;
    amount /= size;
  }
  return `${Math.floor(amount)} d`;
}

/** A line for each segment; `contents` tells what is in it. */
function table(all, contents) {
  const names = users();
  const rows = all.map((info, index) => [
    key(info.key),
    info.backend,
    String(info.size),
    info.mode.toString(8).padStart(4, '0'),
    names.get(info.uid) ?? String(info.uid),
    String(info.holders ?? (info.mappedBy.length || '-')),
    processName(info.creator),
    age(info.created),
    info.state,
    contents[index],
  ]);
  const head = ['KEY', 'BACKEND', 'SIZE', 'MODE', 'OWNER', 'HOLDERS', 'CREATED BY', 'AGE', 'STATE', 'CONTENTS'];
  return columns(head, rows, [2, 5, 7], (cell, column, row) =>
    column === 8 ? paint(STATES[all[row].state], cell) : cell,
  );
}

/** Cells below their titles; `right` are the columns that end together, and `colour` has the last word on a cell. */
function columns(head, rows, right, colour = (cell) => cell) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const pad = (cell, column) => (right.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]));
  const line = (row, colour) => row.map((cell, column) => colour(pad(cell, column), column)).join('  ').trimEnd();
  const body = rows.map((row, index) => line(row, (cell, column) => colour(cell, column, index)));
  return [paint(1, line(head, (cell) => cell)), ...body].join('\n');
}

/** Bytes as elements of a type, each line with its offset; what differs from `before` is marked. */
function dump(bytes, first, { name, constructor }, before = null) {
  const unit = constructor.BYTES_PER_ELEMENT;
  const isBytes = unit === 1 && /^(Buffer|Uint8)/.test(name);
  const perLine = Math.min(16, Math.max(4, 16 / unit)) / (isBytes || unit === 8 ? 1 : unit === 1 ? 2 : 1);
  const array = new constructor(bytes.buffer, bytes.byteOffset, bytes.length / unit);
  const old = before && new constructor(before.buffer, before.byteOffset, before.length / unit);
  const one = new constructor(1);
  const texts = Array.from(array, (value) => (isBytes ? value.toString(16).padStart(2, '0') : number(value, one)));
  const width = isBytes ? 2 : texts.reduce((most, { length }) => Math.max(most, length), 1);
  const lines = [];
  let repeated = false;
  for (let start = 0; start < array.length; start += perLine) {
    const end = Math.min(start + perLine, array.length);
    const changed = (index) => old !== null && !Object.is(old[index], array[index]);
    const same = (index) => Object.is(array[index], array[index - perLine]);
    const span = Array.from({ length: end - start }, (_, place) => start + place);
    // As hexdump does: one * for lines that are all as the one before.
    if (before === null && start > 0 && end < array.length && span.every(same)) {
      if (!repeated) lines.push('*');
      repeated = true;
      continue;
    }
    repeated = false;
    const cells = span.map((index) => {
      const text = texts[index].padStart(width);
      return changed(index) ? paint('1;33', `${text}*`) : before === null ? text : `${text} `;
    });
    const shown = cells.join(before === null || !isBytes ? ' ' : '');
    const letters = isBytes
      ? `  ${' '.repeat((perLine - span.length) * 3)}|${span.map((index) => letter(array[index])).join('')}|`
      : '';
    lines.push(`${offset(first + start * unit)}  ${shown}${letters}`.trimEnd());
  }
  return lines.join('\n');
}

const letter = (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.');

/** How many decimal digits an element of so many bytes keeps at least; those of C are called FLT_DIG and DBL_DIG. */
const DIGITS = { 2: 3, 4: 6, 8: 15 };

/** A number with as few digits as mean the same element. `one` is an array of one of them. */
function number(value, one) {
  if (typeof value === 'bigint' || Number.isInteger(value)) return Object.is(value, -0) ? '-0' : String(value);
  for (let digits = DIGITS[one.BYTES_PER_ELEMENT]; ; digits++) {
    one[0] = value.toPrecision(digits);
    if (Object.is(one[0], value)) return String(Number(value.toPrecision(digits)));
  }
}

/** A function that draws a text, on a terminal over the one before, and as much of it as fits there. */
function canvas() {
  const redraws = terminal && process.env.TERM !== 'dumb';
  let height = 0;
  return (text) => {
    if (redraws && height > 0) process.stdout.write(`\x1b[${height}A\x1b[J`);
    else if (height > 0) process.stdout.write('\n');
    const lines = redraws ? fitting(text.split('\n'), process.stdout.rows - 1) : text.split('\n');
    process.stdout.write(`${lines.join('\n')}\n`);
    height = rowsOf(lines);
  };
}

/** How many rows of the terminal lines take: a long one goes on in the next row. */
function rowsOf(lines) {
  const width = (line) => line.replace(/\x1b\[[\d;]*m/g, '').length;
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / (process.stdout.columns || 80))), 0);
}

function fitting(lines, rows) {
  if (!(rows > 1) || rowsOf(lines) <= rows) return lines;
  const shown = lines.findIndex((_, count) => rowsOf(lines.slice(0, count + 1)) > rows - 1);
  return [...lines.slice(0, shown), `… ${lines.length - shown} more lines`];
}

module.exports = { canvas, columns, dump, json, key, mappings, offset, processName, table, text };
