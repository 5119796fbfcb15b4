// npm run bench:async [-- VERSION…]: the group "as Node programs use it" of the report, as a table; on this Node, or on
// those of the versions (20, 22, 24).

import { executable } from './executable.mjs';
import { prepare, rowsOf } from './bench-node.mjs';
import { table } from './bench-table.mjs';

const VERSIONS = ['20', '22', '24'];

const ASYNC = 'as Node programs use it';
const LATENCY = 'as its messages grow';

export const WORDS = {
  [ASYNC]: `Two processes on a machine of two cores, bound to neither, each with nothing but its event loop; everything is awaited.
All ways of a row are up at once and take turns, each going first in turn; the first round warms them up and is not
counted. A figure is the median of the rounds, a ratio the median of the rounds' ratios.
Both processes need a core when they look for messages: these figures were measured at a real-time priority, by
\`chrt -r 1 npm run bench:report\`, as others share the machine.

- *There and back*: a message and an answer of the same size: \`await sendAsync()\` and \`await receiveAsync()\` here,
  \`for await\` and \`await sendAsync()\` there, over two Channels; the others by their events, with a promise here.
- *A timer every ms on both sides*: the same beside \`setInterval(…, 1)\`; here it tells how long it was from one time to
  the next.
- *Stream*: \`trySend()\`, and \`await sendAsync()\` when the ring is full, as a socket's \`write()\` and 'drain'. The
  socket's reader puts its chunks together to messages. Ours reads \`for await\`, or awaits one message and drains what has
  come with it. Time counts from the command until the last message is here.
- *Broadcast*: four processes read \`for await\`. The sender waits for the slowest, so that nobody misses a message, as
  that of the sockets does.
- *Wake-up*: from the time that the other process writes down before it notifies until the sleeper's code goes on, by the
  clock that all processes share.
- *lockAsync*: both processes want the lock again at once. What all sections took, by their number, less the 10 µs that
  each holds it. The peers ask again at once when it is taken.
- *Idle process*: it has received a message from each of a hundred Channels, and waits for more, or for nothing, at the
  same time as the other; by getrusage, over seconds.
- *Event-loop delay*: \`monitorEventLoopDelay\`, asked every ms, while messages are awaited one by one on both sides.`,
  [LATENCY]: `There and back as above, each exchange by itself, half of its time: the table has the median, ours to theirs, and below
it are all percentiles, over all exchanges of all rounds.`,
};

/** The program of each version of Node, by version; installs what is not there yet. */
export function nodes(versions = VERSIONS) {
  const own = process.versions.node.split('.')[0];
  const installed = (version) => executable(`node-${version}`, `node@${version}`);
  return new Map(versions.map((version) => [version, version === own ? process.execPath : installed(version)]));
}

/** What measures the sections of the report that one version of Node gives, by their titles. */
export function waysOn([version, node]) {
  return {
    [`Node ${version}, ${ASYNC}`]: () => rowsOf(node, ['benches/node/async.mjs']),
    [`Node ${version}, ${LATENCY}`]: () => rowsOf(node, ['benches/node/latency.mjs']),
  };
}

if (process.argv[1]?.endsWith('bench-async.mjs')) {
  const versions = process.argv.slice(2);
  prepare();
  for (const [version, node] of nodes(versions.length > 0 ? versions : [process.versions.node.split('.')[0]])) {
    const rows = rowsOf(node, ['benches/node/async.mjs']);
    console.log(`## Node ${version}, ${ASYNC}\n\n${WORDS[ASYNC]}\n\n${table(rows)}\n`);
  }
}
