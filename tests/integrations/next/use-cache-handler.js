'use strict';

const { useCacheHandler } = require('shm-node/next');

module.exports = useCacheHandler({ key: process.env.CACHE_KEY, memory: 16 << 20 });
