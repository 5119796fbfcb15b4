'use strict';

// node cycles.cjs WAY CYCLES: prints the nanoseconds that each create+detach or get+detach of 4 KiB took.

process.env.SHM_NODE_QUIET = '1';
const [way, cycles] = process.argv.slice(2);
const name = `cycles-${process.pid}`;

const ours = () => require('../../shm-node');
const peer = () => require('../peers/node/node_modules/shm-typed-array');

const WAYS = {
  'ours sysv': () => {
    const shm = ours();
    return () => shm.detach(shm.create(4096));
  },
  'ours posix': () => {
    const shm = ours();
    return () => shm.detach(shm.create({ size: 4096, key: name }));
  },
  'peer sysv': () => {
    const shm = peer();
    return () => shm.detach(shm.create(4096).key, true);
  },
  'peer posix': () => {
    const shm = peer();
    return () => {
      shm.createPosix(`/${name}`, 4096);
      shm.detachPosix(`/${name}`, true);
    };
  },
  'ours sysv get': () => {
    const shm = ours();
    // Another thread's attachment would do; `view: false` leaves the key to be attached anew each time.
    const { key } = shm.create({ size: 4096, persist: true, view: false });
    shm.detach(key);
    process.on('exit', () => shm.destroy(key));
    return () => {
      shm.get(key);
      shm.detach(key);
    };
  },
  'peer sysv get': () => {
    const own = ours();
    const { key } = own.create({ size: 4096, persist: true, view: false });
    process.on('exit', () => own.destroy(key));
    const shm = peer();
    return () => {
      shm.get(key);
      shm.detach(key);
    };
  },
};

const cycle = WAYS[way]();
const start = process.hrtime.bigint();
for (let count = 0; count < cycles; count++) cycle();
console.log(Number(process.hrtime.bigint() - start) / cycles);
