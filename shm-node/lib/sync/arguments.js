'use strict';

// Checks arguments. The addon knows what they mean.

const { attachmentOf, integer } = require('../arguments.js');
const { classOf } = require('../arrays.js');
const errors = require('./errors.js');
const { checkSignal } = require('./signals.js');

const MOST_SPIN = 1_000_000;

/** A place for the addon: the attachment, the byte offset, and how many bytes follow. */
function placeOf(view, index) {
  if (classOf(view) !== 'Int32Array') throw errors.wrongType('view', 'an Int32Array over a segment', view);
  const { number } = attachmentOf(view);
  if (view.length === 0) throw errors.detached();
  integer('index', index, 0, view.length - 1);
  return [number, view.byteOffset + index * 4, view.byteLength - index * 4];
}

/** The name of a place in this thread. */
const nameOf = ([number, offset]) => `${number} ${offset}`;

function checkTimeout(timeout) {
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== 'number') throw errors.wrongType('timeout', 'a number', timeout);
  if (!(timeout >= 0)) throw errors.outOfRange('timeout', 'a number of milliseconds, 0 or more', timeout);
  return timeout;
}

/**
 * How long a waiting call polls from the event loop before it sleeps, in microseconds, unless polling failed lately.
 */
const SPIN = 50;

const DEFAULTS = Object.freeze({ timeout: Infinity, signal: undefined, ref: true, spin: SPIN });

/** `{ timeout, signal, ref, spin }`, checked. */
function checkOptions(options) {
  if (options === undefined) return DEFAULTS;
  if (typeof options !== 'object' || options === null) throw errors.wrongType('options', 'an object', options);
  const { timeout, signal, ref = true, spin = SPIN } = options;
  checkSignal(signal);
  if (typeof ref !== 'boolean') throw errors.wrongType('ref', 'a boolean', ref);
  if (typeof spin !== 'number') throw errors.wrongType('spin', 'a number', spin);
  if (!(spin >= 0 && spin <= MOST_SPIN)) throw errors.outOfRange('spin', `0 to ${MOST_SPIN} microseconds`, spin);
  return { timeout: checkTimeout(timeout), signal, ref, spin };
}

function powerOfTwo(name, value, min, max) {
  integer(name, value, min, max);
  if ((value & (value - 1)) !== 0) throw errors.outOfRange(name, 'a power of two', value);
  return value;
}

/** How many holders there can be at a time, by the option of that name; 0 without options. */
function holders(name, options, most) {
  return options === undefined ? 0 : integer(name, options?.[name], 1, most);
}

module.exports = { checkOptions, checkTimeout, holders, integer, nameOf, placeOf, powerOfTwo };
