// npm run bench:async [-- VERSION…]: the group "as Node programs use it" of the report, as a table; on this Node, or on
// those of the versions (20, 22, 24).

import { executable } from './executable.mjs';
import { prepare, rowsOf } from './bench-node.mjs';
import { table } from './bench-table.mjs';

const VERSIONS = ['20', '22', '24'];

const ASYNC = 'as Node programs use it';
const LATENCY = 'as its messages grow';

export const WORDS = {
  [ASYNC]: `Two processes run on a machine with two cores, and are bound to neither. Each only runs its event loop, and awaits everything.
All programs of a row run at the same time and take turns; each is the first in some rounds. The first round is a warm-up
and is not counted. A figure is the median of the rounds; a ratio is the median of the ratios of the rounds.
A process that polls for messages needs a core. Other programs share the machine, so these figures were measured at a
real-time priority, by \`chrt -r 1 npm run bench:report\`.

- *There and back*: a message and an answer of the same size, over two Channels. This process uses \`await sendAsync()\` and
  \`await receiveAsync()\`, the other one \`for await\` and \`await sendAsync()\`. The peers use their events, and a promise
  in this process.
- *A timer every ms on both sides*: the same with a \`setInterval(…, 1)\`. The row has the time from one call of the timer
  to the next.
- *Stream*: \`trySend()\`, and \`await sendAsync()\` when the ring is full; with a socket, \`write()\` and 'drain'. The
  reader of the socket joins its chunks to messages. Ours reads by \`for await\`, or awaits one message and drains the
  others. The time counts from the command until the last message has come.
- *Broadcast*: four processes read by \`for await\`. The sender waits for the slowest one, so that no reader misses a
  message. The sender of the sockets does so too.
- *Wake-up*: the time from just before the other process notifies until the code of the sleeper goes on, by a clock that
  all processes share.
- *lockAsync*: both processes ask for the lock again at once. The figure is the time of all sections, divided by their
  number, without the 10 µs for which each section holds the lock. The peers ask again at once when the lock is taken.
- *Idle process*: it has received a message from each of a hundred Channels, and waits for more; the other process waits for
  nothing. Measured by getrusage, over seconds, at the same time.
- *Event-loop delay*: \`monitorEventLoopDelay\`, every ms, while both sides await messages one by one.`,
  [LATENCY]: `There and back as above, where each exchange is measured by itself, and half of its time counts. The table has the median,
ours to theirs. Below it are all percentiles, over all exchanges of all rounds.`,
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
