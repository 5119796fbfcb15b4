'use strict';

// Version 15 has no `use cache` but as an experiment, and asks its handlers for other things.
const isOld = require('next/package.json').version.startsWith('15.');

module.exports = {
  output: 'standalone',
  // Not the repository that this may lie in.
  outputFileTracingRoot: __dirname,
  turbopack: { root: __dirname },
  cacheHandler: require.resolve('./cache-handler.js'),
  cacheMaxMemorySize: 0,
  ...(!isOld && {
    cacheHandlers: { default: require.resolve('./use-cache-handler.js') },
    experimental: { useCache: true },
  }),
};
