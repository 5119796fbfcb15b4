'use strict';

// Messages as they are given to JavaScript: those up to 8 KiB share memory.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { MessageChannel } = require('node:worker_threads');
const { folder } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');
const { Broadcast, Channel } = require(`${folder}/sync.js`);

leaveNothing();

const KIB = 1024;

/** One that gives each message as it was sent, through a structure of each kind. */
const PIPES = {
  'a channel whose messages the addon looks for': () => overChannel('one'),
  'a channel within its window': () => overChannel('one', ['found with the one behind it']),
  'a channel with many producers': () => overChannel('many'),
  'a broadcast': () => {
    const options = { slots: 2, maxMessage: 32 * KIB };
    const news = new Broadcast(words(Broadcast.byteLength(options)), 0, options);
    const reader = news.reader();
    return (message) => (news.send(message), reader.tryReceive().message);
  },
};

function overChannel(producers, before = []) {
  const options = { capacity: 128 * KIB, producers };
  const ring = new Channel(words(Channel.byteLength(options)), 0, options);
  return (message) => {
    for (const one of before) ring.send(Buffer.from(one));
    ring.send(message);
    for (const one of before) assert.equal(`${ring.tryReceive()}`, one);
    return ring.tryReceive();
  };
}

const filled = (length, number) => Buffer.alloc(length, number).fill(number >> 8, 0, length >> 1);

for (const [name, open] of Object.entries(PIPES)) {
  describe(`the Buffer that ${name} returns`, () => {
    it('has its own memory above 8 KiB, and shares a pool up to 8 KiB', () => {
      const give = open();
      for (const length of [1, 256, 257, KIB, 8 * KIB]) {
        const received = give(filled(length, length));
        assert.equal(received.buffer.byteLength, 64 * KIB, `${length}`);
        assert.deepEqual(received, filled(length, length));
      }
      for (const length of [8 * KIB + 1, 20 * KIB, 32 * KIB]) {
        const received = give(filled(length, length));
        assert.deepEqual([received.buffer.byteLength, received.byteOffset], [length, 0]);
        assert.deepEqual(received, filled(length, length));
      }
    });

    it('belongs to its receiver alone: later messages do not change it', () => {
      const give = open();
      const lengths = Array.from({ length: 500 }, (_, i) => [0, i % 300, (i * 37) % 9000, 8 * KIB - (i % 9)][i % 4]);
      const kept = lengths.map((length, i) => give(filled(length, i)));
      for (const [i, one] of kept.entries()) assert.deepEqual(one, filled(lengths[i], i));
      // Written to the end of one, and not into the next.
      for (const [i, one] of kept.entries()) if (i % 2 === 0) one.fill(255);
      for (const [i, one] of kept.entries()) if (i % 2 === 1) assert.deepEqual(one, filled(lengths[i], i));
    });

    it('cannot be transferred, because others share its memory', () => {
      const give = open();
      const kept = give(filled(100, 1));
      const other = give(filled(KIB, 2));
      assert.equal(other.buffer, kept.buffer);
      const { port1 } = new MessageChannel();
      // Newer runtimes throw, older ones copy.
      for (const transfer of [() => port1.postMessage(other, [other.buffer]), () => structuredClone(other, { transfer: [other.buffer] })]) {
        try {
          transfer();
        } catch (error) {
          assert.match(`${error.name}`, /DataCloneError|TypeError/);
        }
        assert.deepEqual([kept, other], [filled(100, 1), filled(KIB, 2)]);
      }
      port1.close();
    });

    it('comes from another pool if the runtime has transferred the first', () => {
      const give = open();
      for (const length of [0, 100, KIB, 8 * KIB]) {
        const { buffer } = give(filled(length, 1));
        try {
          buffer.transfer?.();
        } catch (error) {
          assert.equal(error.name, 'TypeError'); // it is not detachable
        }
        assert.deepEqual(give(filled(length, 2)), filled(length, 2));
      }
    });
  });
}
