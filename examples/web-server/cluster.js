'use strict';

// Prints: 4 workers answer on http://localhost:3000, with one cache, one limit and one login
//
//     node examples/web-server/cluster.js [port]

const cluster = require('node:cluster');

const WORKERS = 4;

cluster.setupPrimary({ exec: require.resolve('./server.js') });
const port = process.argv[2] ?? '3000';
let listening = 0;
for (let i = 0; i < WORKERS; i++) cluster.fork({ PORT: port });
cluster.on('listening', (_, address) => {
  listening += 1;
  if (listening !== WORKERS) return;
  console.log(`${WORKERS} workers answer on http://localhost:${address.port}, with one cache, one limit and one login`);
});
cluster.on('exit', ({ process: { pid } }) => {
  const worker = cluster.fork({ PORT: port });
  worker.once('listening', () => console.log(`worker ${pid} died, and ${worker.process.pid} has what it had`));
});
process.on('SIGINT', () => process.exit());
