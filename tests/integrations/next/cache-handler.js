'use strict';

const { cacheHandler } = require('shm-node/next');

module.exports = cacheHandler({ key: process.env.CACHE_KEY, memory: 16 << 20 });
