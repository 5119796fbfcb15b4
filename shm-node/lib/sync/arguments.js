'use strict';

// Checks arguments. The addon knows what they mean.

const { bufferOf, classOf } = require('../arrays.js');
const { attachments } = require('../views.js');
const errors = require('./errors.js');
const { checkSignal } = require('./signals.js');

const MOST_SPIN = 1_000_000;

/** The number of a view's attachment, once the view is known to be one that can be waited on. */
function attachmentOf(view) {
  if (classOf(view) !== 'Int32Array') throw errors.wrongType('view', 'an Int32Array over a segment', view);
  const attachment = attachments.get(bufferOf(view));
  if (attachment === undefined) throw errors.wrongValue('view', view, 'is not over a shared segment');
  if (view.length === 0) throw errors.detached();
  return attachment.number;
}

function checkIndex(view, index) {
  if (typeof index !== 'number') throw errors.wrongType('index', 'a number', index);
  if (!Number.isInteger(index) || index < 0 || index >= view.length) {
    throw errors.outOfRange('index', `an integer from 0 to ${view.length - 1}`, index);
  }
}

/** A place for the addon: the attachment, the byte offset, and how many bytes follow. */
function placeOf(view, index) {
  const number = attachmentOf(view);
  checkIndex(view, index);
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

/** Checks that an option is a whole number from `min` to `max`. */
function whole(name, value, min, max) {
  if (typeof value !== 'number') throw errors.wrongType(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw errors.outOfRange(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** How many holders there can be at a time, by the option of that name; 0 without options. */
function holders(name, options, most) {
  return options === undefined ? 0 : whole(name, options?.[name], 1, most);
}

module.exports = { checkOptions, checkTimeout, holders, nameOf, placeOf, whole };
