'use strict';

module.exports = {
  output: 'standalone',
  cacheHandler: require.resolve('./cache-handler.js'),
  cacheHandlers: { default: require.resolve('./use-cache-handler.js') },
  cacheMaxMemorySize: 0,
  experimental: { useCache: true },
};
