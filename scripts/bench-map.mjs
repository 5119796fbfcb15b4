// npm run bench:map: a map for all processes, beside other stores, as a table.

import { prepare, rowsOf } from './bench-node.mjs';
import { table } from './bench-table.mjs';

const WORDS = `The same work for all: 100,000 keys of 16 bytes (20,000 at 16 KiB), drawn by zipf 0.99; every key is there, and the
entries of ours take half of its memory. Each store has a process of its own, one after the other has its turn of 200 ms,
and the first round warms them up and is not counted. lmdb lies on /dev/shm and does not sync. Redis and memcached keep
everything in memory, on unix sockets. \`get\` gives a Buffer, and the same object again is one of 100 bytes as JSON. What
can be asked for one by one only is awaited one by one; "64 at a time" are 64 loops that do so, in one pipeline.`;

prepare();
console.log(`${WORDS}\n\n${table(rowsOf('node', ['benches/node/map.mjs']))}\n`);
