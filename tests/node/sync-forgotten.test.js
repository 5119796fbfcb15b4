'use strict';

// Objects that a program forgot: what they were, or had, in a structure is free again when they are collected.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { setFlagsFromString } = require('node:v8');
const vm = require('node:vm');
const { folder, newKey, run, shm, until } = require('./support.js');
const { leaveNothing, peer, words } = require('./support/sync.js');
const { SharedMap } = require(`${folder}/map.js`);
const { Barrier, Broadcast, Channel } = require(`${folder}/sync.js`);

leaveNothing();

if (typeof Bun === 'undefined') setFlagsFromString('--expose-gc');
const gc = typeof Bun === 'undefined' ? vm.runInNewContext('gc') : () => Bun.gc(true);

/** Collects until `work` throws no more; it may take a few rounds. */
async function collected(work) {
  for (let round = 0; ; round++) {
    gc();
    await new Promise(setImmediate);
    try {
      return await work();
    } catch (error) {
      if (round === 50) throw error;
    }
  }
}

const bytes = (number) => Buffer.alloc(8, number);
const claim = (name, body) => it(name, { timeout: 120_000 }, body);

describe('a Channel that was forgotten', () => {
  for (const producers of ['one', 'many']) {
    const options = { capacity: 256, producers };

    claim(`is no consumer any more (${producers})`, async () => {
      const view = words(Channel.byteLength(options));
      const sender = new Channel(view, 0, options);
      for (let number = 0; number < 3; number++) sender.send(bytes(number));
      assert.deepEqual((() => new Channel(view, 0).receive())(), bytes(0));
      await collected(() => assert.deepEqual(new Channel(view, 0).receive(), bytes(1)));
      await collected(async () => {
        for await (const message of new Channel(view, 0)) return assert.deepEqual(message, bytes(2));
      });
      sender.send(bytes(3));
      await collected(() => assert.deepEqual(new Channel(view, 0).receive(), bytes(3)));
      shm.detach(view);
    });

    claim(`leaves its role to another process too (${producers})`, async () => {
      const view = words(Channel.byteLength(options));
      const sender = new Channel(view, 0, options);
      for (const number of [1, 2]) sender.send(bytes(number));
      assert.deepEqual((() => new Channel(view, 0).receive())(), bytes(1));
      const { ended } = peer(view, async (shm, sync, view) => {
        const channel = new sync.Channel(view, 0);
        for (;;) {
          try {
            return console.log(channel.receive()[0]);
          } catch (error) {
            if (error.code !== 'ERR_SHM_TAKEN') throw error;
          }
          await new Promise(setImmediate);
        }
      });
      const collecting = setInterval(gc, 5);
      const { code, stdout, stderr } = await ended;
      clearInterval(collecting);
      assert.deepEqual([code, stdout, stderr], [0, '2\n', '']);
      shm.detach(view);
    });
  }

  claim('is not kept by an iterator that is over', async () => {
    const options = { capacity: 256 };
    const view = words(Channel.byteLength(options));
    const sender = new Channel(view, 0, options);
    for (const number of [1, 2]) sender.send(bytes(number));
    const iterator = (() => new Channel(view, 0)[Symbol.asyncIterator]())();
    assert.deepEqual((await iterator.next()).value, bytes(1));
    await iterator.return();
    await collected(() => assert.deepEqual(new Channel(view, 0).receive(), bytes(2)));
    assert.deepEqual(await iterator.next(), { value: undefined, done: true });
    shm.detach(view);
  });

  claim('is no producer any more', async () => {
    const options = { capacity: 256 };
    const view = words(Channel.byteLength(options));
    (() => new Channel(view, 0, options).send(bytes(1)))();
    await collected(() => new Channel(view, 0).send(bytes(2)));
    const receiver = new Channel(view, 0);
    assert.deepEqual([receiver.receive(), receiver.receive()], [bytes(1), bytes(2)]);
    shm.detach(view);
  });

  claim('gives up what it had reserved, of which nobody else can', async () => {
    const options = { capacity: 256, producers: 'many' };
    const view = words(Channel.byteLength(options));
    (() => new Channel(view, 0, options).reserve(8))();
    const [sender, receiver] = [new Channel(view, 0), new Channel(view, 0)];
    sender.send(bytes(2));
    const received = receiver.receiveAsync();
    await collected(() => {
      if (view[128] < 0) throw new Error('it is still being written');
    });
    assert.deepEqual([await received, receiver.lost], [bytes(2), 0]);
    shm.detach(view);
  });

  claim('that was closed before takes nothing from its successor', async () => {
    const options = { capacity: 256 };
    const view = words(Channel.byteLength(options));
    (() => {
      const first = new Channel(view, 0, options);
      first.send(bytes(1));
      first.receive();
      first.close();
    })();
    const second = new Channel(view, 0);
    second.send(bytes(2));
    for (let round = 0; round < 5; round++) {
      gc();
      await new Promise(setImmediate);
    }
    assert.throws(() => new Channel(view, 0).send(bytes(3)), { code: 'ERR_SHM_TAKEN' });
    assert.deepEqual(second.receive(), bytes(2));
    assert.throws(() => new Channel(view, 0).receive(), { code: 'ERR_SHM_TAKEN' });
    shm.detach(view);
  });

  claim('whose segment was detached does no harm', async () => {
    const options = { capacity: 256 };
    for (let round = 0; round < 5; round++) {
      const view = words(Channel.byteLength(options));
      new Channel(view, 0, options).send(bytes(1));
      if (round % 2) gc();
      shm.detach(view);
      gc();
      await new Promise(setImmediate);
    }
  });
});

describe('a pending call keeps its Channel', () => {
  const options = { capacity: 64 };

  claim('a call that waits, an iterator, a reservation and a message', async () => {
    const view = words(4 * Channel.byteLength(options));
    const at = (number) => (number * Channel.byteLength(options)) / 4;
    const receiving = (() => new Channel(view, at(0), options).receiveAsync())();
    const iterating = (() => new Channel(view, at(1), options).messages().next())();
    const room = (() => new Channel(view, at(2), options).reserve(8))();
    new Channel(view, at(3), options).send(bytes(4));
    const message = (() => new Channel(view, at(3)).peek())();
    for (let round = 0; round < 5; round++) {
      gc();
      await new Promise(setImmediate);
    }
    for (const number of [0, 1, 3]) {
      assert.throws(() => new Channel(view, at(number)).tryReceive(), { code: 'ERR_SHM_TAKEN' });
    }
    assert.throws(() => new Channel(view, at(2)).send(bytes(1)), { code: 'ERR_SHM_TAKEN' });
    for (const number of [0, 1]) new Channel(view, at(number)).send(bytes(number));
    assert.deepEqual(await receiving, bytes(0));
    assert.deepEqual((await iterating).value, bytes(1));
    room.view.fill(2);
    room.commit();
    assert.deepEqual(new Channel(view, at(2)).receive(), bytes(2));
    assert.deepEqual(Buffer.from(message.view), bytes(4));
    message.release();
    shm.detach(view);
  });
});

describe('a Broadcast that was forgotten', () => {
  const options = { slots: 4, maxMessage: 8 };

  claim('is no producer any more', async () => {
    const view = words(Broadcast.byteLength(options));
    (() => new Broadcast(view, 0, options).send(bytes(1)))();
    await collected(() => new Broadcast(view, 0).send(bytes(2)));
    assert.equal(new Broadcast(view, 0).next, 2);
    shm.detach(view);
  });

  claim('is kept by a draft, and not by its readers', async () => {
    const view = words(Broadcast.byteLength(options));
    let draft = (() => new Broadcast(view, 0, options).draft(8))();
    for (let round = 0; round < 5; round++) {
      gc();
      await new Promise(setImmediate);
    }
    assert.throws(() => new Broadcast(view, 0).send(bytes(1)), { code: 'ERR_SHM_TAKEN' });
    draft.view.fill(7);
    assert.equal(draft.commit(), 0);
    draft = undefined;
    const reader = new Broadcast(view, 0).reader();
    await collected(() => new Broadcast(view, 0).send(bytes(8)));
    assert.deepEqual(reader.receive().message, bytes(8));
    shm.detach(view);
  });
});

describe('a Party that was forgotten', () => {
  const options = { parties: 2 };

  claim('has left', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, options);
    const one = barrier.join();
    (() => barrier.join())();
    const other = await collected(() => barrier.join());
    const waiting = one.waitAsync();
    assert.equal(await other.waitAsync(), true);
    assert.equal(await waiting, false);
    shm.detach(view);
  });

  claim('that left before takes nothing from its successor, and one that waits stays', async () => {
    const view = words();
    const barrier = new Barrier(view, 0, options);
    (() => barrier.join().leave())();
    const one = barrier.join();
    const waiting = (() => barrier.join().waitAsync())();
    for (let round = 0; round < 5; round++) {
      gc();
      await new Promise(setImmediate);
    }
    assert.throws(() => barrier.join(), { code: 'ERR_SHM_FULL' });
    assert.equal(one.wait(), true);
    assert.equal(await waiting, false);
    shm.detach(view);
  });
});

describe('a copy of the package that was forgotten with its Channel', () => {
  claim('leaves the role to the next copy', async () => {
    const { code, stdout, stderr } = await run(
      async (shm, folder) => {
        const view = shm.create({ size: 4096, type: 'Int32Array' });
        const forget = () => {
          for (const file of Object.keys(require.cache)) {
            if (!file.startsWith(folder) || file.endsWith('.node')) continue;
            delete require.cache[file];
          }
          module.children.length = 0;
        };
        const fresh = () => {
          forget();
          return [require(folder), require(folder + '/sync.js')];
        };
        (() => {
          const [theirs, { Channel }] = fresh();
          new Channel(theirs.get(view.key, 'Int32Array'), 0, { capacity: 256 }).send(Buffer.from('one'));
        })();
        const [ours, { Channel }] = fresh();
        const channel = new Channel(ours.get(view.key, 'Int32Array'), 0);
        for (let round = 0; round < 50; round++) {
          gc();
          await new Promise(setImmediate);
          try {
            channel.send(Buffer.from('two'));
            break;
          } catch (error) {
            if (round === 49) throw error;
          }
        }
        console.log(String(channel.receive()), String(channel.receive()));
      },
      [folder],
      { flags: ['--expose-gc'], env: { SHM_NODE_QUIET: '1' } },
    );
    assert.deepEqual([code, stdout, stderr], [0, 'one two\n', '']);
  });
});

describe('a SharedMap that was forgotten', () => {
  claim('still stores what it loads, and disturbs no other map', async () => {
    const map = new SharedMap(newKey(), { memory: 1 << 20 });
    let finish;
    const load = () => new Promise((resolve) => (finish = resolve));
    await (async () => {
      const forgotten = new SharedMap(map.key);
      forgotten.set('a', 'old', { ttl: 1 });
      await until(() => !map.has('a'));
      assert.equal(await forgotten.getOrSet('a', load, { stale: 1e9, loadTimeout: Infinity }), 'old');
    })();
    const end = finish;
    for (let round = 0; round < 20; round++) {
      gc();
      await new Promise(setImmediate);
    }
    const another = new SharedMap(newKey(), { memory: 1 << 20 });
    const loading = another.getOrSet('b', load);
    end('new');
    assert.equal(await map.getOrSet('a', assert.fail), 'new');
    finish('theirs');
    assert.deepEqual([await loading, another.get('b')], ['theirs', 'theirs']);
  });
});
