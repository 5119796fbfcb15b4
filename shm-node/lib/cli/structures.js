'use strict';

// What stands in a segment, as text. The addon says what it is.

const show = require('../show.js');

// As the classes of `shm-node/map` and `shm-node/sync` are called.
const NAMES = {
  map: 'SharedMap',
  channel: 'Channel',
  broadcast: 'Broadcast',
  mutex: 'Mutex',
  condition: 'Condition',
  once: 'Once',
  semaphore: 'Semaphore',
  'read-write lock': 'RwLock',
  barrier: 'Barrier',
};

const nameOf = ({ what }) => NAMES[what] ?? what;

/** What a segment is, in a few words. */
function summary(structures) {
  if (structures === null) return '-';
  const counts = new Map();
  for (const structure of structures) counts.set(nameOf(structure), (counts.get(nameOf(structure)) ?? 0) + 1);
  const words = [...counts].map(([name, count]) => (count === 1 ? name : `${count} × ${name}`));
  return words.join(', ') || 'bytes';
}

const percent = (part, whole) => (whole > 0 ? `${((part / whole) * 100).toFixed(1)} %` : '-');
const waits = (who, does) => (does ? [`${who} may be waiting`] : []);

function person(owner) {
  if (owner === null) return 'nobody';
  if (owner.pid !== null) return show.processName(owner.pid);
  return `owner ${owner.id}${{ true: ' (alive)', false: ' (dead)', null: '' }[owner.isAlive]}`;
}

const people = (owners) => owners.map(person).join(', ') || 'nobody';

const TEXTS = {
  map: ({ problem, options, stats, loads, writers, writersWait }) => {
    if (problem !== undefined) return [problem];
    const { entries, memory, used, sets, evictions, expired, hits, misses, ownersDied } = stats;
    return [
      Object.entries(options).map(([name, value]) => `${name}: ${value}`).join(', '),
      `${entries} entries, which take ${used} of ${memory} bytes (${percent(used, memory)})`,
      `${hits} hits, ${misses} misses: ${percent(hits, hits + misses)} of the lookups found something`,
      `${sets} sets, ${evictions} evictions, ${expired} expired, ${loads} loads under way`,
      `being written by ${people(writers)}; ${ownersDied} writers were killed at it`,
      ...waits('a writer', writersWait),
    ];
  },
  channel: ({ capacity, producers, used, producer, consumer, consumerWaits, producersWait }) => [
    used === null ? 'its positions are impossible' : `${used} of ${capacity} bytes are full (${percent(used, capacity)})`,
    producers === 'one' ? `producer: ${person(producer)}` : `many producers; making room: ${person(producer)}`,
    `consumer: ${person(consumer)}`,
    ...waits('the consumer', consumerWaits),
    ...waits('a producer', producersWait),
  ],
  broadcast: ({ slots, maxMessage, sent, producer, readersWait }) => [
    `${sent ?? 'some'} messages were sent, the last ${slots} are kept, of ${maxMessage} bytes at most`,
    `producer: ${person(producer)}`,
    ...waits('a reader', readersWait),
  ],
  mutex: ({ owner, ownerDied, hasWaiters }) => [held(owner, ownerDied), ...waits('somebody', hasWaiters)],
  condition: ({ notified, waiters }) => [`${waiters} wait, notified ${notified} times`],
  once: ({ isDone, owner, hasWaiters }) => [
    isDone ? 'done' : owner === null ? 'not done' : `being done by ${person(owner)}`,
    ...waits('somebody', hasWaiters),
  ],
  semaphore: ({ permits, owners, hasWaiters }) => [
    `${owners.length} of ${permits} permits are taken, by ${people(owners)}`,
    ...waits('somebody', hasWaiters),
  ],
  'read-write lock': ({ readers, writer, ownerDied, owners, hasWaiters }) => [
    `writer: ${held(writer, ownerDied)}`,
    `${owners.length} of ${readers} at most read: ${people(owners)}`,
    ...waits('somebody', hasWaiters),
  ],
  barrier: ({ parties, owners, arrived, phase, wasBroken }) => [
    `${owners.length} of ${parties} parties have joined: ${people(owners)}`,
    `${arrived} have arrived in phase ${phase}${wasBroken ? ', the phase before was broken' : ''}`,
  ],
};

function held(owner, ownerDied) {
  if (owner !== null) return `held by ${person(owner)}`;
  return ownerDied ? 'free; the last owner died or panicked' : 'free';
}

/** Some lines for each structure, after its offset as a dump has it. */
const text = (structures) =>
  structures
    .map((one) => [`${show.offset(one.offset)}  ${nameOf(one)}, ${one.size} bytes`, ...TEXTS[one.what](one)].join('\n          '))
    .join('\n');

module.exports = { nameOf, percent, summary, text };
