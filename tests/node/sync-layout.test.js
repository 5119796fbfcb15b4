'use strict';

// What words of a structure mean is known in Rust. JavaScript touches those that the addon tells of, and no others.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { folder, shm } = require('./support.js');
const { leaveNothing, words } = require('./support/sync.js');

leaveNothing();

const sources = path.join(folder, 'lib', 'sync');
const files = fs.readdirSync(sources).filter((file) => file.endsWith('.js'));
const withoutComments = (text) => text.replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '').replace(/\s\/\/ .*$/gm, '');
const codeOf = (file) => withoutComments(fs.readFileSync(path.join(sources, file), 'utf8'));

/** All that stands between the parentheses or brackets after each match. */
function* operands(code, opening) {
  for (const { index, 0: text } of code.matchAll(opening)) {
    let [depth, end] = [1, index + text.length];
    for (; depth > 0; end++) depth += '([{'.includes(code[end]) ? 1 : ')]}'.includes(code[end]) ? -1 : 0;
    yield code.slice(index + text.length, end - 1);
  }
}

describe('words in JavaScript', () => {
  // What lies in a segment, by the names that lib/sync has for it, and how a place there is named.
  const told = new Set(['PRODUCER_AT', 'CONSUMER_AT', 'CONSUMER_EVENT', 'PRODUCERS_EVENT', 'word']);
  const inRing = [/^at >> 2$/, /^\(RING \+ \(windows\[TAIL\] & this\.#mask\)\) >> 2$/, /^from \+ i$/];

  it('are accessed at the places that the addon reports', () => {
    let seen = 0;
    for (const file of files) {
      const code = codeOf(file);
      for (const operand of operands(code, /\b(?:Atomics\.\w+|readAfterWrite)\(/g)) {
        const [array, index] = operand.split(', ');
        seen++;
        // A word alone, whose place the addon told, or one by its name.
        assert.ok((array === 'word' && index === '0') || told.has(index), `${file}: Atomics(${operand})`);
      }
      for (const index of operands(code, /\b(?:words|this\.#words)\[/g)) {
        seen++;
        assert.ok(told.has(index) || inRing.some((pattern) => pattern.test(index)), `${file}: words[${index}]`);
      }
    }
    assert.ok(seen > 10, `${seen}`);
  });

  it('are not accessed in any other way: by another view, or by another name', () => {
    // Memory that is no segment; a channel's words, and a mutex.
    const over = [
      /^(fresh|windows|native\.out|out\.buffer|target\.buffer, target\.byteOffset, target\.length >> 2)$/,
      /^(buffer, offset, \(RING \+ capacity\) >> 2|bufferOf\(view\), place\[1\] \+ native\.MUTEX, 1)$/,
    ];
    // What would get past the test above: words that are handed on, renamed, or asked by a method; a user's view;
    // bytes.
    const escapes = [
      /(?<![#\w.])words\b(?!\[|, | = this\.#words;)/,
      /(?<!Atomics\.\w+|readAfterWrite|copyOut|copy)\((?:this\.#)?words, (?!word\) =>)/,
      /\b(view|bytes)\[/,
    ];
    const ofChannel = [/#words\b(?!\[|, |\.length\b|;| = new )/, /(?<!const words = )this\.#words;/];
    let seen = 0;
    for (const file of files) {
      const code = codeOf(file);
      for (const operand of operands(code, /\bnew (?:(?:Big)?(?:Int|Uint|Float)(?:16|32|64)Array|DataView)\(/g)) {
        seen++;
        assert.ok(over.some((pattern) => pattern.test(operand)), `${file}: a view of words over ${operand}`);
      }
      for (const escape of [...escapes, ...(file === 'channel.js' ? ofChannel : [])]) assert.doesNotMatch(code, escape, file);
    }
    assert.ok(seen > 5, `${seen}`);
  });

  it('have names that the addon defines', () => {
    const channel = codeOf('channel.js');
    assert.match(channel, /const \{ RECORD, RING, SLEEPERS, NO_MESSAGE, out \} = native;/);
    for (const [name, from] of [['PRODUCER_AT', 'HEAD'], ['CONSUMER_AT', 'TAIL'], ['CONSUMER_EVENT', 'CONSUMER_EVENT'], ['PRODUCERS_EVENT', 'PRODUCERS_EVENT']]) {
      assert.ok(channel.includes(`const ${name} = native.${from} >> 2;`), name);
    }
    assert.match(codeOf('mutex.js'), /new Int32Array\(\w+\(view\), \w+(?:\[\d\])? \+ native\.MUTEX, 1\)/);
  });

  it('are accessed at other places if the addon reports other places', () => {
    const native = require(`${folder}/lib/sync/native.js`);
    const offsets = ['MUTEX', 'HEAD', 'TAIL', 'CONSUMER_EVENT', 'PRODUCERS_EVENT', 'RING', 'RECORD'];
    const real = Object.fromEntries(offsets.map((name) => [name, native[name]]));
    for (const [name, value] of Object.entries(real)) assert.ok(Number.isInteger(value / 4), name);
    // At the end of the ring, where nobody else is.
    Object.assign(native, { MUTEX: 1400, HEAD: 1404, TAIL: 1408, CONSUMER_EVENT: 1412, PRODUCERS_EVENT: 1416 });
    for (const file of files) delete require.cache[path.join(sources, file)];
    require.cache[path.join(sources, 'native.js')] = { id: 'told', loaded: true, exports: native };
    const { Mutex } = require(`${folder}/lib/sync/mutex.js`);
    const { Channel } = require(`${folder}/lib/sync/channel.js`);
    Object.assign(native, real);
    const view = words(8192);
    native.MUTEX = 1400;
    const mutex = new Mutex(view, 0);
    native.MUTEX = real.MUTEX;
    mutex.lock();
    assert.ok(view[1400 / 4] !== 0 && view[real.MUTEX / 4] === 0);
    view.fill(0);
    const [sender, receiver] = [new Channel(view, 0, { capacity: 1024 }), new Channel(view, 0)];
    sender.send(Buffer.alloc(8)); // the addon finds room
    const head = view[real.HEAD / 4];
    sender.send(Buffer.alloc(8)); // within the window
    assert.deepEqual([view[real.HEAD / 4], view[1404 / 4]], [head, 2 * head]);
    view[real.HEAD / 4] = 2 * head;
    receiver.receive();
    const tail = view[real.TAIL / 4];
    receiver.receive();
    assert.deepEqual([view[real.TAIL / 4], view[1408 / 4]], [tail, 2 * tail]);
    shm.detach(view);
  });
});
