// npm run bench:map [-- NAME…]: a map for all processes beside other stores (node), beside caches in one Rust process
// (rust), and how often it misses beside models of other evictions (misses), as tables. TRACES is the folder of the
// public traces, unpacked (benches/src/bin/map_hits.rs names them); without it there are generated ones alone. What is
// not installed here is left out, and the table and the last lines say so.

import { prepare, rowsOf } from './bench-node.mjs';
import { table } from './bench-table.mjs';

const cargo = ['run', '--release', '--quiet', '--locked'];
const peers = ['--manifest-path', 'benches/peers/map/Cargo.toml', '--target-dir', 'target/peers'];
const { TRACES } = process.env;
const hits = ['--package', 'shm-benches', '--bin', 'map_hits', '--', '--json'];
const noTraces = { what: 'misses of public traces', against: 'both', leftOut: 'TRACES names no folder of public traces' };

/** By name: the title in the report, what it says about it, and what measures it. */
export const MAP = {
  node: {
    title: 'Map: beside other stores',
    words: `All stores do the same work: 100,000 keys of 16 bytes (20,000 with values of 16 KiB), chosen by zipf 0.99. Every key
exists, and the entries take half of the memory of our map. Each store has its own process. The stores take turns of 200 ms,
and the first round is a warm-up and is not counted. lmdb lies on /dev/shm and does not sync. Redis and memcached keep
everything in memory, and use unix sockets. \`get\` returns a Buffer. In "the same object again", the object has 100 bytes
as JSON. Asynchronous stores are awaited one by one; "64 at a time" are 64 such loops, in one pipeline. For the last rows,
processes are killed while they hold a lock, or load a value, in a full map of 64 MiB: 20 ms are promised.`,
    rows: () => rowsOf('node', ['benches/node/map.mjs']),
  },
  rust: {
    title: 'Map: in Rust, beside caches of one process',
    words: `The same work in Rust, in one thread. The others keep each value in an \`Arc\`, for the threads of one process.`,
    rows: () => rowsOf('cargo', [...cargo, ...peers]),
  },
  misses: {
    title: 'Map: misses beside models of evictions',
    words: `How many of a hundred lookups miss, with room for a hundredth and for a tenth of the keys. The models have as many
entries as fit into the map's rings. The aim was at most half a point more than LRU, and at most one more than S3-FIFO.`,
    rows: () => [...rowsOf('cargo', [...cargo, ...hits, ...(TRACES ? [TRACES] : [])]), ...(TRACES ? [] : [noTraces])],
  },
};

if (process.argv[1]?.endsWith('bench-map.mjs')) {
  const names = process.argv.slice(2);
  prepare();
  const leftOut = new Set();
  for (const name of names.length > 0 ? names : Object.keys(MAP)) {
    const { title, words, rows } = MAP[name];
    const measured = rows();
    measured.forEach((row) => row.leftOut !== undefined && leftOut.add(row.leftOut));
    console.log(`## ${title}\n\n${words}\n\n${table(measured)}\n`);
  }
  for (const why of leftOut) console.log(`Left out: ${why}`);
}
