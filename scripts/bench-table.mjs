// The tables of the report, and what each row has to reach.

// What a row has to reach, by how its text begins. [what, against (part of it), at most]
const TARGETS = [
  ['sum of 10 million Float64', '', 1.03],
  ['fill of 10 million Float64', '', 1.03],
  ['warm copy, 64 MiB', '', 1.05],
  ['create + touch + destroy, 64 MiB', '', 1.05],
  ['create+detach, 4 KiB, Rust, System V', 'the bare calls', 1.5],
  ['create+detach, 4 KiB, Rust, POSIX', 'the bare calls', 1.9],
  ['attach+detach, 4 KiB, Rust, System V', 'the bare calls', 1.8],
  ['attach+detach, 4 KiB, Rust, POSIX', 'the bare calls', 2.0],
  ['create+detach, 4 KiB, Node, System V', '', 0.8],
  ['create+detach, 4 KiB, Node, POSIX', '', 0.75],
  ['the last 20,000 of', '', 1.1],
  ['create+detach, 4 KiB, Rust', 'with 1 alive', 1.3],
  ['64 MiB to another process', 'process.send, advanced', 0.06],
  ['`node -e', '', 1.1],
  ['uncontended lock+unlock, Rust', '', 1.5],
  ['Channel, 64 B a message, receiveInto', 'a unix socket stream', 1 / 15],
  ['Channel, 64 KiB a message', 'a unix socket stream', 1 / 10],
  ['Channel, 64 B a message, receiveInto', 'shared-memory-disruptor', 1 / 5],
  ['Channel, 64 B a message, Rust', 'a ring in C', 1 / 0.8],
  ['Broadcast, 8 KiB', 'iceoryx2', 1],
  ['lock and unlock', 'two empty native calls', 1],
  ['waitAsync', '', 1.3],
  ['fs.readFile, 5,000 waits pending', '', 1.2],
  ['there and back by Channels, 64 B, a timer every ms', 'a unix socket', 0.35],
  ['there and back by Channels, 64 B, spin 0', 'a unix socket', 1],
  ['there and back by Channels, 64 B', 'a unix socket', 0.25],
  ['there and back by Channels, 64 B', "a worker's postMessage", 0.4],
  ['a timer every ms beside that', '', 1.1],
  ['Channel, stream, 64 B a message, for await', '', 0.2],
  ['Channel, stream, 64 B a message, drain', '', 0.08],
  ['Channel, stream, 1 KiB a message, for await', '', 0.2],
  ['Broadcast to 4 readers', '', 0.2],
  ['wake-up of a waitAsync', '', 1],
  ['lockAsync wanted by two processes', 'proper-lockfile', 0.05],
  ['lockAsync wanted by two processes', 'Redis', 0.3],
  ['idle process', '', 1.1],
  ['event-loop delay', '', 1],
  ['get 100 B', 'lmdb', 1 / 5],
  ['get 100 B', 'one by one', 1 / 100],
  ['get 100 B', 'Redis', 1 / 15],
  ['get 100 B', 'memcached', 1 / 15],
  ['get 100 B', 'messages to the primary', 1 / 75],
  ['get 100 B', 'lru-cache', 2],
  ['getInto 100 B', 'lmdb', 1 / 3],
  ['set 100 B', 'lmdb', 1 / 10],
  ['set 100 B', 'lru-cache', 2],
  ['set 100 B, p99.9', '', 20],
  ['increment', '', 1 / 100],
  ['the same object again', 'lru-cache', 1.75],
  ['the same object again', 'JSON.parse', 1 / 6],
  ['getInto 1 KiB', '', 4],
  ['get 16 KiB', '', 1],
  ['getInto 16 KiB', '', 1],
  ['view 16 KiB', '', 0.2],
  ['95 % get, 5 % set, 100 B, CPU', '', 1.15],
  ['memory an entry', '', 1],
];

/** What a row is to reach at most; some say it themselves, where it depends on what was measured. */
export function targetOf({ what, against, most }) {
  if (most !== undefined) return most;
  if (against.endsWith('corked')) return undefined; // beside it, not a target
  return TARGETS.find(([start, part]) => what.startsWith(start) && against.includes(part))?.[2];
}

/** A time in the unit in which it has three digits. */
export function time(nanoseconds) {
  // Before three digits would be rounded to a thousand.
  if (nanoseconds < 999.5) return `${nanoseconds.toPrecision(3)} ns`;
  if (nanoseconds < 999.5e3) return `${(nanoseconds / 1e3).toPrecision(3)} µs`;
  return `${(nanoseconds / 1e6).toPrecision(3)} ms`;
}

/** The rows; a `unit` is that of what is no time, and `leftOut` tells why a row has no numbers. */
export function table(rows) {
  const lines = rows.map((row) => {
    if (row.leftOut !== undefined) return `| ${row.what} | ${row.against} | left out: ${row.leftOut} | | | |`;
    const target = targetOf(row);
    const verdict = target === undefined ? '' : `${Number(target.toFixed(3))} ${row.ratio <= target ? '✓' : '✗'}`;
    const told = row.unit === undefined ? time : (value) => `${value.toPrecision(3)} ${row.unit}`;
    const [ours, other] = [row.ours, row.other].map(told);
    return `| ${row.what} | ${row.against} | ${ours} | ${other} | **${row.ratio.toFixed(3)}** | ${verdict} |`;
  });
  return ['| what | against | ours | theirs | ratio | at most |', '|---|---|---|---|---|---|', ...lines].join('\n');
}

/** What cost a cycle as cycles went by, and what was held. */
export function growth(rows) {
  const lines = rows.flatMap(({ what, steps = [] }) =>
    steps
      .filter(({ cycles }, index) => index === 0 || cycles % 200_000 === 0)
      .map(
        ({ cycles, each, rss, descriptors, mappings }) =>
          `| ${what.split(', ').at(-1)} | ${cycles.toLocaleString('en')} | ${time(each)} | ${(rss / 2 ** 20).toFixed(0)} MiB | ${descriptors} | ${mappings} |`,
      ),
  );
  const head = ['| backend | cycles done | one cycle | memory | descriptors | mappings |', '|---|---|---|---|---|---|'];
  return [...head, ...lines].join('\n');
}

/** Half, 99 % and 99.9 % were at most so late. */
export function percentiles(rows) {
  const lines = rows.flatMap(({ what, against, percentiles }) =>
    [['ours', percentiles.ours], [against, percentiles.other]].map(
      ([whose, times]) => `| ${what.replace(', p50', '')} | ${whose} | ${Object.values(times).map(time).join(' | ')} |`,
    ),
  );
  return ['| what | whose | p50 | p99 | p99.9 |', '|---|---|---|---|---|', ...lines].join('\n');
}
