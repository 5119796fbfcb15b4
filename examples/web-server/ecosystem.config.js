'use strict';

// The same under pm2, which prints its table of 4 processes that are online:
//
//     pm2 start examples/web-server/ecosystem.config.js
//     pm2 reload shop
//
// A reload replaces one process after the other. So the maps always have a holder, and keep their entries.

module.exports = {
  apps: [
    {
      name: 'shop',
      script: require.resolve('./server.js'),
      instances: 4,
      exec_mode: 'cluster',
      wait_ready: true,
      env: { PORT: '3000' },
    },
  ],
};
