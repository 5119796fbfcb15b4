'use strict';

// Prints: 3 workers saw dark mode off, and on as soon as it was set
//
// A table of feature flags that all workers read, and that one process changes. The table evicts nothing (`evict:
// false`). A worker that reads an unchanged flag again gets the same object again (`near`), without parsing it.

const cluster = require('node:cluster');
const { SharedMap } = require('../shm-node/map.js');

const WORKERS = 3;

if (cluster.isPrimary) primary();
else worker();

async function primary() {
  const flags = new SharedMap({ memory: 1 << 20, evict: false });
  flags.set('dark-mode', { isOn: false });
  const workers = Array.from({ length: WORKERS }, () => cluster.fork({ FLAGS: flags.key }));
  const all = (what) => Promise.all(workers.map((worker) => told(worker, what)));

  await all('off');
  const seen = all('on');
  flags.set('dark-mode', { isOn: true }); // for all of them
  await seen;
  console.log(`${WORKERS} workers saw dark mode off, and on as soon as it was set`);
  for (const worker of workers) worker.disconnect();
}

function told(worker, what) {
  return new Promise((resolve) => worker.on('message', (message) => message === what && resolve()));
}

function worker() {
  const flags = new SharedMap(Number(process.env.FLAGS), { near: 100 });
  const isDark = () => flags.get('dark-mode').isOn;

  process.send(isDark() ? 'on' : 'off');
  const timer = setInterval(() => {
    if (!isDark()) return; // a request would be answered here
    process.send('on');
    clearInterval(timer);
  }, 1);
}
