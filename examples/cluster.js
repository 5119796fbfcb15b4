'use strict';

// A cluster that shares a Buffer of 4 KiB and 100 million floats: the primary writes, its worker reads.

const cluster = require('node:cluster');
const shm = require('../shm-node');

if (cluster.isPrimary) primary();
else worker();

function primary() {
  const buffer = shm.create(4096);
  const array = shm.create(1_000_000 * 100 * 4, shm.BufferType.Float32Array);
  buffer[0] = 1;
  array[0] = 10.0;
  console.log('[Master] Typeof buf:', buffer.constructor.name, 'Typeof arr:', array.constructor.name);

  const child = cluster.fork();
  child.on('online', () => child.send({ bufferKey: buffer.key, arrayKey: array.key }));
  child.once('message', () => {
    let round = 0;
    const timer = setInterval(() => {
      buffer[0] += 1;
      array[0] /= 2;
      console.log(round + ' [Master] Set buf[0]=', buffer[0], ' arr[0]=', array[0]);
      round += 1;
      if (round < 5) return child.send('look');
      clearInterval(timer);
      child.on('exit', () => process.exit());
      child.send('exit');
    }, 500);
  });
}

function worker() {
  let buffer, array;
  let round = 0;
  process.on('message', (message) => {
    if (message === 'exit') process.exit();
    if (message === 'look') return look();
    buffer = shm.get(message.bufferKey);
    array = shm.get(message.arrayKey, shm.BufferType.Float32Array);
    console.log('[Worker] Typeof buf:', buffer.constructor.name, 'Typeof arr:', array.constructor.name);
    process.send('ready');
  });

  function look() {
    // After a detach the array is empty, and reading it is harmless.
    console.log(round + ' [Worker] Get buf[0]=', buffer[0], ' arr[0]=', array[0] ?? null);
    round += 1;
    if (round === 2) shm.detach(array.key);
  }
}
