'use strict';

// Loads that also read-only views can bear, and what orders ordinary accesses around atomic ones.

const native = require('../native.js');

const isBun = typeof Bun !== 'undefined';

// x86 does by itself. What we have Bun load is not atomic, and must not be moved or left out.
const fence = ['x64', 'ia32'].includes(process.arch) && !isBun ? () => {} : native.fence;

/**
 * `Atomics.load`. Bun compiles that into an instruction that writes, and a page of a read-only view that was written to
 * is no longer the segment's.
 */
const load = isBun
  ? (words, word) => {
      const value = words[word];
      fence();
      return value;
    }
  : (words, word) => Atomics.load(words, word);

module.exports = { fence, load };
