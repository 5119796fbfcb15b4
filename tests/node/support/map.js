'use strict';

// What the tests of the map share.

const assert = require('node:assert/strict');
const { after } = require('node:test');
const { folder, mine, newKey, shm, start } = require('../support.js');
const { SharedMap } = require(`${folder}/map.js`);

const opened = [];
after(() => {
  opened.forEach((map) => map.close());
  assert.deepEqual(mine(), []);
});

// On a busy machine a writer may be kept from running for long.
const lockTimeout = 60_000;

/** A map under a new key, which is closed when the tests of the file are over. */
const newMap = (options) => keep(new SharedMap(newKey(), { memory: 1 << 20, lockTimeout, ...options }));

/** Another object of the same map. */
const again = (map, options) => keep(new SharedMap(map.key, { lockTimeout, ...options }));

function keep(map) {
  opened.push(map);
  return map;
}

/** A process that runs `body(map, ready, argument, SharedMap)` with a map that is there. */
const peer = (map, body, argument) =>
  start(
    `(shm, folder, key, argument) => {
      const { SharedMap } = require(folder + '/map.js');
      return (${body})(new SharedMap(key, { lockTimeout: ${lockTimeout} }), ready, argument, SharedMap);
    }`,
    [folder, map.key, argument],
    { env: { SHM_NODE_QUIET: '1' } },
  );

module.exports = { SharedMap, again, keep, lockTimeout, newMap, peer, shm };
