'use strict';

// Segments as the command line looks at them: without attaching them, so that it neither keeps nor frees any.

const shm = require('../../index.js');
const parse = require('../arguments.js');
const native = require('../native.js');
const show = require('../show.js');

/** The command failed: exit code 1. */
class Refusal extends Error {}

/** What is known of a segment that is there. */
function infoOf(target) {
  const info = shm.info(target);
  if (info === null) throw new Refusal(missing(target));
  return info;
}

/** Says that there is no such segment, and which one may be meant. */
function missing(target) {
  const name = (key) => String(key).replace(/^\//, '');
  const alike = shm.list().filter(({ key }) => name(key) === name(target.key));
  const other = alike.find(({ key, backend }) => typeof key === typeof target.key && backend !== target.backend);
  const what = `${show.key(target.key)}: no such segment`;
  if (other !== undefined) return `${what}; there is one on the other backend: --backend ${other.backend}`;
  if (alike.length > 0) return `${what}; there is one with the key ${show.key(alike[0].key)}`;
  return `${what}: \`shm-node ls\` lists the segments`;
}

/** So many bytes from an offset on, or as many as there are. */
function bytesOf(target, offset, count) {
  const { backend, key } = parse.target(target);
  const bytes = Buffer.alloc(count);
  const found = native.peek(backend, key, offset, bytes);
  if (found === null) throw new Refusal(missing(target));
  return bytes.subarray(0, found);
}

/** The structures that begin in the first `within` bytes of a segment; null: there is no such segment. */
function structuresOf(target, within, most) {
  const { backend, key } = parse.target(target);
  return native.inspect(backend, key, within, most);
}

/** The same of each segment of a list, but null where this user may not look. */
function structuresOfAll(all, within, most) {
  return all.map(({ key, backend }) => {
    try {
      return structuresOf({ key, backend }, within, most);
    } catch (error) {
      if (typeof error.syscall !== 'string') throw error;
      return null;
    }
  });
}

module.exports = { Refusal, bytesOf, infoOf, missing, structuresOf, structuresOfAll };
