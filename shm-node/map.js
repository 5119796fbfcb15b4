'use strict';

// One map for all processes of a machine.

if (require('./lib/native.js').coordination === undefined) {
  const error = new Error(`shm-node/map works on Linux and macOS only, and this is ${process.platform}`);
  throw Object.assign(error, { code: 'ERR_SHM_UNSUPPORTED' });
}

const { SharedMap } = require('./lib/map/shared-map.js');

module.exports = { SharedMap };
