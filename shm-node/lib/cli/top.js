'use strict';

// shm-node top: maps, channels and broadcasts, and what happens in them.

const shm = require('../../index.js');
const show = require('../show.js');
const { structuresOfAll } = require('./segments.js');
const { nameOf, percent } = require('./structures.js');

const SHOWN = ['map', 'channel', 'broadcast'];
/** How much of each segment is looked through, and how many structures are looked at. */
const [WITHIN, MOST] = [64 << 10, 64];

/** What there is now, by where it is. */
function sample() {
  const all = shm.list();
  const found = structuresOfAll(all, WITHIN, MOST);
  const rows = all.flatMap(({ key, backend }, i) =>
    (found[i] ?? [])
      .filter(({ what, problem }) => SHOWN.includes(what) && problem === undefined)
      .map((one) => [`${backend} ${key} ${one.offset}`, { key, backend, one }]),
  );
  return { at: process.hrtime.bigint(), rows: new Map(rows) };
}

/** What happened between two samples; null where something was not there before, or is not counted. */
function compare(before, after) {
  const seconds = Number(after.at - before.at) / 1e9;
  return [...after.rows].map(([place, { key, backend, one }]) => {
    const old = before.rows.get(place)?.one;
    const isSame = old?.what === one.what;
    const rate = (count) => {
      const [now, then] = [count(one), isSame ? count(old) : null];
      return now === null || then === null || now < then ? null : (now - then) / seconds;
    };
    const all = { key, backend, offset: one.offset, what: one.what };
    return Object.assign(all, RATES[one.what](one, isSame ? old : null, rate, seconds));
  });
}

const RATES = {
  map({ stats, loads, writersWait }, old, rate) {
    const hits = rate(({ stats }) => stats.hits);
    const gets = rate(({ stats }) => stats.hits + stats.misses);
    return {
      fill: stats.used / stats.memory,
      entries: stats.entries,
      getsPerSecond: gets,
      hitRatio: gets > 0 && hits !== null ? hits / gets : null,
      setsPerSecond: rate(({ stats }) => stats.sets),
      evictionsPerSecond: rate(({ stats }) => stats.evictions),
      loads,
      waiting: writersWait ? ['writers'] : [],
    };
  },
  channel({ capacity, used, sent, consumerWaits, producersWait }, old, rate, seconds) {
    const waiting = [...(consumerWaits ? ['consumer'] : []), ...(producersWait ? ['producers'] : [])];
    // Bytes are counted modulo 2^32.
    const bytesPerSecond = old === null ? null : ((sent - old.sent) >>> 0) / seconds;
    return { fill: used === null ? null : used / capacity, bytesPerSecond, waiting };
  },
  broadcast({ readersWait }, old, rate) {
    return { messagesPerSecond: rate(({ sent }) => sent), waiting: readersWait ? ['readers'] : [] };
  },
};

const HEAD = ['KEY', 'WHAT', 'FILL', 'OPERATIONS', 'HITS', 'SETS', 'EVICTIONS', 'LOADS', 'WAITING'];

function text(rows) {
  if (rows.length === 0) return 'no maps, channels or broadcasts';
  const cells = rows.map((row) => [
    `${show.key(row.key)}${row.offset > 0 ? ` +${row.offset}` : ''}`,
    nameOf(row),
    typeof row.fill === 'number' ? percent(row.fill, 1) : '-',
    operations(row),
    typeof row.hitRatio === 'number' ? percent(row.hitRatio, 1) : '-',
    perSecond(row.setsPerSecond),
    perSecond(row.evictionsPerSecond),
    row.loads === undefined ? '-' : String(row.loads),
    row.waiting.join(', ') || '-',
  ]);
  return show.columns(HEAD, cells, [2, 3, 4, 5, 6, 7]);
}

function operations({ what, getsPerSecond, setsPerSecond, bytesPerSecond, messagesPerSecond }) {
  if (what === 'channel') return perSecond(bytesPerSecond, ' B');
  if (what === 'broadcast') return perSecond(messagesPerSecond);
  return perSecond(getsPerSecond === null || setsPerSecond === null ? null : getsPerSecond + setsPerSecond);
}

function perSecond(rate, unit = '') {
  if (rate === null || rate === undefined) return '-';
  const [factor, letter] = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, '']].find(([least]) => rate >= least) ?? [1, ''];
  const amount = rate / factor;
  return `${amount.toFixed(amount < 10 && letter !== '' ? 1 : 0)}${letter === '' ? unit : ` ${letter}${unit.trim()}`}/s`;
}

module.exports = { compare, sample, text };
