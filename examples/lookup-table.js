'use strict';

// A cluster whose workers read one table of 100 MB. The table is in memory once, and not once in each worker.
//
//     node examples/lookup-table.js [port]
//
// The primary fills it; each worker attaches it and answers GET /square/12345.

const cluster = require('node:cluster');
const http = require('node:http');
const shm = require('../shm-node');

const COUNT = 100_000_000 / 8;
const WORKERS = 4;

if (cluster.isPrimary) primary();
else worker(Number(process.env.TABLE));

function primary() {
  const table = shm.create({ length: COUNT, type: Float64Array });
  for (let i = 0; i < COUNT; i++) table[i] = i * i;

  const port = Number(process.argv[2] ?? 0);
  let listening = 0;
  for (let i = 0; i < WORKERS; i++) cluster.fork({ TABLE: table.key, PORT: port });
  cluster.on('listening', (_, address) => {
    listening += 1;
    if (listening < WORKERS) return;
    console.log(`${WORKERS} workers share ${table.byteLength / 1e6} MB, held ${shm.info(table).holders ?? 'some'} times`);
    console.log(`http://localhost:${address.port}/square/12345`);
  });
  process.on('SIGINT', () => process.exit());
}

function worker(key) {
  const table = shm.get(key, Float64Array);
  const server = http.createServer((request, response) => {
    const index = Number(request.url.replace('/square/', ''));
    response.statusCode = index in table ? 200 : 404;
    response.end(`${table[index]}\n`);
  });
  server.listen(Number(process.env.PORT));
  process.on('disconnect', () => process.exit());
}
