'use strict';

// The command line: what each command prints, does, refuses, and its exit codes.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once: event } = require('node:events');
const { closeSync, lstatSync, openSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { describe, test } = require('node:test');
const { ask, needsRoot, privately } = require('./support.js');
const { built, packageFolder, run, runtime } = require('./support/packaging.js');

const shm = require(packageFolder);
const command = path.join(packageFolder, 'cli.js');
const cli = (...args) => spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });
const good = (...args) => run(process.execPath, [command, ...args]).stdout;

const posix = { skip: !built.includes('posix') && 'this build has no POSIX' };
const sysv = { skip: !built.includes('sysv') && 'this build has no System V' };
const isWindows = built.includes('windows');
const keeping = { skip: isWindows && 'Windows keeps no segment that nobody holds' };
const shell = { skip: isWindows && 'Windows has no shell of Unix' };
/** The process of an owner, where the system tells which it is. */
const ownerPid = (pid) => (isWindows ? null : pid);
const foreign = { skip: posix.skip || (process.platform !== 'linux' && 'POSIX objects are files on Linux only') };

const newName = () => `/cli-${process.pid}-${randomInt(2 ** 40)}`;
const newKey = () => randomInt(1, 2 ** 31);

function fails(status, message, ...args) {
  const result = cli(...args);
  assert.equal(result.status, status, result.stdout + result.stderr);
  assert.match(result.stderr, message);
  assert.equal(result.stdout, '');
}

test('--help names every command and the exit codes', () => {
  const help = good('--help');
  for (const name of ['ls', 'inspect', 'map', 'top', 'watch', 'create', 'rm', 'sweep']) assert.match(help, new RegExp(`^  ${name}\\b`, 'm'));
  assert.match(help, /exit code/);
  assert.equal(good('ls', '--help'), help);
  const { version } = JSON.parse(readFileSync(path.join(packageFolder, 'package.json'), 'utf8'));
  assert.equal(good('--version'), `${version}\n`);
  assert.equal(cli().status, 2);
});

test('wrong usage is exit code 2, and says what is wrong', () => {
  fails(2, /no such command: lss/, 'lss');
  fails(2, /no such command: toString/, 'toString');
  fails(2, /--jason/, 'ls', '--jason');
  fails(2, /which KEY/, 'inspect');
  fails(2, /too many keys/, 'ls', '7');
  fails(2, /--type float33/, 'inspect', '7', '--type', 'float33');
  fails(2, /multiple of 4/, 'inspect', '7', '--type', 'float32', '--offset', '2');
  fails(2, /--bytes/, 'inspect', '7', '--bytes', '0');
  fails(2, /--size or --length/, 'create');
  fails(2, /--size or --length/, 'create', '--size', '4', '--length', '4');
  fails(2, /--size is an integer/, 'create', '--size', '1.5');
  fails(2, /--backend/, 'ls', '--backend', 'sysv');
  fails(2, /--backend/, 'rm', '7', '--backend', 'other');
  fails(2, /which KEY/, 'map', 'stats');
  fails(2, /map size: no such command; use one of stats, keys, get, delete, clear/, 'map', 'size', '7');
  fails(2, /which ENTRY/, 'map', 'get', '7');
  fails(2, /too many entries/, 'map', 'clear', '7', 'a');
  fails(2, /--json/, 'inspect', '7', '--json', '--bytes', '8');
  fails(2, /--every is an integer, 10 to 2147483647/, 'top', '--every', '1');
  fails(2, /--every is an integer, 10 to 2147483647/, 'top', '--once', '--every', '2147483648');
  fails(2, /"key"/, 'create', '0', '--size', '4');
  fails(2, /multiple of 8/, 'create', '--size', '10', '--type', 'float64');
  fails(2, /"mode"/, 'create', '--size', '10', '--mode', '999');
});

test('create makes a segment that stays, and rm removes it', keeping, () => {
  const key = Number(good('create', '--size', '100'));
  const info = shm.info(key);
  assert.equal(info.size, 100);
  assert.equal(info.state, 'persistent');
  assert.equal(info.mode, 0o600);
  fails(1, /that key is taken/, 'create', `0x${key.toString(16)}`, '--size', '4');
  assert.equal(good('rm', String(key)), '');
  assert.equal(shm.info(key), null);
  fails(1, /no such segment/, 'rm', String(key));
});

test('create takes elements, a mode, a name', posix, () => {
  const name = newName();
  assert.equal(good('create', name.slice(1), '--length', '5', '--type', 'float64', '--mode', '640'), `${name}\n`);
  assert.deepEqual([shm.info(name).size, shm.info(name).mode], [40, 0o640]);
  good('rm', name);
});

test('--backend puts an integer key on POSIX', posix, () => {
  const key = newKey();
  good('create', String(key), '--size', '4', '--backend', 'posix');
  assert.equal(shm.info({ key, backend: 'posix' }).size, 4);
  good('rm', String(key), '--backend', 'posix');
  assert.equal(shm.info({ key, backend: 'posix' }), null);
});

test('an integer key finds its segment on POSIX without --backend', posix, () => {
  const key = newKey();
  good('create', String(key), '--size', '4', '--backend', 'posix');
  assert.match(good('inspect', String(key)), /^00000000 {2}00 00 00 00/);
  good('rm', String(key));
  assert.equal(shm.info({ key, backend: 'posix' }), null);
});

test('a link is no segment: it is not listed, not shown, and not removed', foreign, () => {
  const name = newName();
  symlinkSync('/etc/hostname', `/dev/shm${name}`);
  try {
    assert.ok(!good('ls').includes(name));
    fails(1, /no such segment/, 'inspect', name);
    for (const options of [[], ['--force']]) fails(1, /no such segment/, 'rm', name, ...options);
    assert.ok(lstatSync(`/dev/shm${name}`));
  } finally {
    unlinkSync(`/dev/shm${name}`);
  }
});

test('ls shows each segment, for people and as JSON', () => {
  const view = shm.create({ size: 123, mode: 0o640 });
  const lines = good('ls').split('\n');
  assert.match(lines[0], /^KEY +BACKEND +SIZE +MODE +OWNER +HOLDERS +CREATED BY +AGE +STATE +CONTENTS$/);
  const line = lines.find((line) => line.split(/\s+/).includes(String(view.key)));
  assert.match(line, new RegExp(`${view.key} +${built[0]} +123 +0640 +\\S+ +1 +${process.pid} .* +held +bytes$`));
  const info = JSON.parse(good('ls', '--json')).find(({ key }) => key === view.key);
  assert.equal(info.creator, process.pid);
  assert.equal(info.mode, 0o640);
  if (built[0] === 'posix') assert.deepEqual(info.mappedBy, [process.pid]);
  else assert.equal(info.holders, 1);
  shm.detach(view);
});

/** Control characters of one byte and of two, and two that cannot be seen: one of them has two units of UTF-16. */
const CONTROLS = '\x1b[31m\x7f\x9b31m\u202e\u{e0041}';
const ESCAPED = '\\u001b[31m\\u007f\\u009b31m\\u202e\\udb40\\udc41';
const isHarmless = (shown) => assert.doesNotMatch(shown, /(?![\r\n])[\p{Cc}\p{Cf}]/u);

test('ls sends no control characters of a name to the terminal', foreign, () => {
  const name = `${newName()}${CONTROLS}`;
  writeFileSync(`/dev/shm${name}`, 'x');
  const [shown, json] = [good('ls'), good('ls', '--json')];
  good('rm', name);
  isHarmless(shown);
  assert.ok(shown.includes(ESCAPED));
  isHarmless(json);
  assert.ok(JSON.parse(json).some(({ key }) => key === name));
});

test('map sends none of a key, of a value as JSON, and of an error', () => {
  const { SharedMap } = require(`${packageFolder}/map.js`);
  const native = require(`${packageFolder}/lib/sync/native.js`);
  const map = new SharedMap({ memory: 1 << 20 });
  const key = String(map.key);
  map.set(CONTROLS, CONTROLS);
  const shown = [good('map', 'keys', key), good('map', 'keys', key, '--json'), good('map', 'get', key, CONTROLS, '--json')];
  shown.forEach(isHarmless);
  assert.equal(shown[0], `${ESCAPED}\n`);
  assert.deepEqual(JSON.parse(shown[1]), [CONTROLS]);
  assert.equal(JSON.parse(shown[2]).value, CONTROLS);
  assert.equal(good('map', 'get', key, CONTROLS), `${CONTROLS}\n`, 'a program gets it as it is');

  const [handle, number] = native.openMap(0, map.key, 0, 0o600, 100, 0, 0, 0, 0, 0, 0);
  native.key.write('bad');
  native.mapSet(handle, 3, native.JSON, `${CONTROLS}\n`, 0);
  const { status, stderr } = cli('map', 'get', key, 'bad');
  assert.equal(status, 1);
  assert.match(stderr, /^shm-node: the value is not JSON: .*\n$/);
  isHarmless(stderr);
  require(`${packageFolder}/lib/native.js`).detachNumber(number);
  map.close();
});

test('on a terminal, map get sends none of a value', (t) => {
  if (spawnSync('script', ['--version']).error) return t.skip('script is missing');
  const { SharedMap } = require(`${packageFolder}/map.js`);
  const map = new SharedMap({ memory: 1 << 20 });
  map.set('text', CONTROLS).set('object', { text: CONTROLS });
  for (const name of ['text', 'object']) {
    const { stdout } = run('script', ['-qec', `${runtime} "${command}" map get ${map.key} ${name}`, '/dev/null']);
    isHarmless(stdout);
    assert.match(stdout, /\\u202e/);
  }
  map.close();
});

test('ls counts no holders in another /dev/shm, whose objects have the same inodes', { skip: posix.skip || needsRoot().skip }, async () => {
  // Both have a new tmpfs, which numbers its files anew.
  const seen = await ask(
    async (shm, support, command) => {
      const { privately, start } = require(support);
      const inodeOf = ({ key }) => require('fs').statSync(`/dev/shm${key}`).ino;
      const hold = (shm) => {
        const views = Array.from({ length: 20 }, () => shm.create({ size: 1, backend: 'posix' }));
        ready(views.map(({ key }) => require('fs').statSync(`/dev/shm/shm-node-${key.toString(16).padStart(8, '0')}`).ino));
        process.stdin.once('data', () => {});
      };
      const other = start(hold, [], { under: privately(), stdin: 'pipe' });
      const inodes = await other.ready;
      const views = Array.from({ length: 20 }, (_, i) => shm.create({ size: 1, key: `/one-${i}` }));
      const same = views.find((view) => inodes.includes(inodeOf(view)));
      const listed = require('child_process').execFileSync(process.execPath, [command, 'ls', '--json'], { encoding: 'utf8' });
      const { mappedBy } = JSON.parse(listed).find(({ key }) => key === same.key);
      other.child.stdin.end('done');
      await other.ended;
      ready(mappedBy.length === 1 && mappedBy[0] === process.pid);
    },
    [require.resolve('./support.js'), command],
    { under: privately(), env: { SHM_NODE_QUIET: '1' } },
  );
  assert.equal(seen, true);
});

test('inspect shows bytes, and elements by type', () => {
  const view = shm.create({ size: 64, type: 'Uint8Array' });
  view.set(Buffer.from('hello, world'), 4);
  shm.get(view.key, 'Float32Array')[8] = 1.1;
  const key = String(view.key);
  assert.equal(
    good('inspect', key),
    [
      '00000000  00 00 00 00 68 65 6c 6c 6f 2c 20 77 6f 72 6c 64  |....hello, world|',
      '00000010  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|',
      '00000020  cd cc 8c 3f 00 00 00 00 00 00 00 00 00 00 00 00  |...?............|',
      '00000030  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|',
      '',
    ].join('\n'),
  );
  const floats = good('inspect', key, '--type', 'float32', '--offset', '32');
  assert.equal(floats, '00000020  1.1   0   0   0\n00000030    0   0   0   0\n');
  assert.match(good('inspect', key, '--bytes', '5'), /^00000000 {2}00 00 00 00 68 +\|\.\.\.\.h\|\n… 59 more bytes/);
  assert.match(good('inspect', key, '--type', 'BigInt64Array', '--bytes', '8'), /^00000000 {2}\d{19}\n/);
  fails(1, /has 64 bytes/, 'inspect', key, '--offset', '64');
  assert.equal(shm.info(view.key).state, 'held', 'it left nothing, and took nothing');
  shm.detach(view);
  fails(1, /no such segment/, 'inspect', key);
});

test('a float is shown with as many digits as tell it from others', () => {
  const float32s = [0.1, 8388607.5, 16777216, -0, NaN, Infinity, 3.4028234663852886e38, 1.401298464324817e-45];
  for (const [type, values] of [
    [Float64Array, [0.1, 123456789.5, Math.PI, 2 ** 53 - 1, -0, NaN, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE]],
    [Float32Array, float32s],
    ...('Float16Array' in globalThis ? [[Float16Array, [0.1, 2047.5 / 2, 65504, 2 ** -24]]] : []),
  ]) {
    const view = shm.create({ length: values.length, type });
    view.set(values);
    const lines = good('inspect', String(view.key), '--type', type.name).trim().split('\n');
    const shown = lines.flatMap((line) => line.split(/ +/).slice(1));
    assert.deepEqual(type.from(shown, Number), type.from(values));
    assert.equal(shown[0], '0.1');
    shm.detach(view);
  }
});

test('repeated lines are shown as one *', () => {
  const view = shm.create(160);
  const lines = good('inspect', String(view.key)).trim().split('\n');
  assert.equal(lines.length, 3);
  assert.equal(lines[1], '*');
  assert.match(lines[2], /^00000090/);
  shm.detach(view);
});

test('inspect shows a range of any length', () => {
  const size = (2 << 20) + 24;
  const { key } = shm.create({ size });
  for (const [type, element] of [['float32', 4], ['uint8', 1]]) {
    const view = shm.get(key, type === 'float32' ? Float32Array : Uint8Array);
    view.fill(0);
    view[(1 << 20) / element] = 7;
    const lines = good('inspect', String(key), '--type', type, '--bytes', String(size)).trim().split('\n');
    assert.match(lines.find((line) => line.startsWith('00100000')), /^00100000 +0?7\b/);
    assert.match(lines.at(-1), /^00200010/);
    assert.match(good('inspect', String(key), '--type', type, '--bytes', String(2 << 20)), /… 24 more bytes: --offset 2097152/);
  }
  shm.detach(key);
});

test('inspect reads a segment that it may not write', foreign, () => {
  const name = newName();
  writeFileSync(`/dev/shm${name}`, 'of another program', { mode: 0o400 });
  assert.match(good('inspect', name), /of another progr/);
  assert.match(good('inspect', name, '--type', 'int16'), /^00000000 {2}\d+/);
  good('rm', name);
});

/** A process that does `body` with `shm`, `sync`, the words of a segment and `SharedMap`, and tells that it has. */
async function peer(key, body) {
  const program = `const [folder, key] = process.argv.slice(-2);
    const [shm, sync, { SharedMap }] = ['', '/sync.js', '/map.js'].map((file) => require(folder + file));
    (${body})(shm, sync, Number(key), SharedMap);
    process.stdout.write('done');
    setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['-e', program, packageFolder, String(key)], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.equal(String((await event(child.stdout, 'data'))[0]), 'done');
  return child;
}

async function kill(child) {
  const ended = event(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

const structuresOf = (key) => JSON.parse(good('inspect', String(key), '--json')).structures;

test('inspect shows which structures a segment has, and who holds them', async () => {
  const sync = require(`${packageFolder}/sync.js`);
  const view = shm.create({ size: 8192, type: 'Int32Array' });
  const options = { slots: 4, maxMessage: 100 };
  new sync.Mutex(view, 4);
  const sending = new sync.Channel(view, 128, { capacity: 1024 });
  sending.send(Buffer.alloc(8));
  new sync.Broadcast(view, 1024, options).send(Buffer.from('news'));
  const reading = new sync.RwLock(view, 64, { readers: 2 }).read();
  const child = await peer(view.key, (shm, sync, key) => new sync.Mutex(shm.get(key, 'Int32Array'), 4).lock());
  const [mutex, lock, channel, broadcast, ...others] = structuresOf(view.key);
  assert.deepEqual([mutex, lock, channel, broadcast].map(({ what, offset }) => [what, offset]), [
    ['mutex', 16],
    ['read-write lock', 256],
    ['channel', 512],
    ['broadcast', 4096],
  ]);
  assert.deepEqual(others, []);
  assert.deepEqual([mutex.owner.pid, mutex.owner.isAlive], [ownerPid(child.pid), true]);
  assert.deepEqual(lock.owners.map(({ pid }) => pid), [ownerPid(process.pid)]);
  assert.deepEqual([channel.used, channel.capacity, channel.producer.pid, channel.consumer], [16, 1024, ownerPid(process.pid), null]);
  assert.deepEqual([broadcast.sent, broadcast.slots, broadcast.maxMessage], [1, 4, 100]);
  assert.match(good('inspect', String(view.key)), new RegExp(`^00000010 {2}Mutex, 16 bytes\n +held by ${isWindows ? 'owner' : child.pid} `));
  const line = good('ls').split('\n').find((line) => line.split(/\s+/).includes(String(view.key)));
  assert.match(line, /held +Mutex, RwLock, Channel, Broadcast$/);

  await kill(child);
  assert.deepEqual(structuresOf(view.key)[0].owner, { id: mutex.owner.id, isAlive: false, pid: null });
  assert.match(good('inspect', String(view.key)), /held by owner \d+ \(dead\)/);
  sending.close(); // which has kept it from being collected
  reading.unlock();
  shm.detach(view);
});

test('a message that looks like a structure is not shown as one', () => {
  const sync = require(`${packageFolder}/sync.js`);
  const size = sync.Channel.byteLength({ capacity: 1024 });
  const view = shm.create({ size: size + 64, type: 'Int32Array' });
  const mutex = new sync.Mutex(view, size / 4);
  const copy = Buffer.alloc(16);
  shm.read(view, size, copy);
  new sync.Channel(view, 0, { capacity: 1024 }).send(copy);
  assert.deepEqual(structuresOf(view.key).map(({ what, offset }) => [what, offset]), [['channel', 0], ['mutex', size]]);
  mutex.withLock(() => {});
  shm.detach(view);
});

test('map shows and changes the entries of a map', () => {
  const { SharedMap } = require(`${packageFolder}/map.js`);
  const map = new SharedMap({ memory: 1 << 20 });
  const key = String(map.key);
  map.set('object', { a: 1 }).set('text', 'words').set('bytes', Buffer.from('ab')).set('big', 10n);
  map.get('text');
  map.get('none');
  const stats = JSON.parse(good('map', 'stats', key, '--json'));
  const { ownersDied, used, ...counts } = map.stats();
  assert.deepEqual({ ...stats, loads: undefined, options: undefined }, { ...counts, used, ownersDied, loads: undefined, options: undefined });
  assert.deepEqual([stats.loads, stats.options.evict, stats.options.memory], [0, true, 1 << 20]);
  assert.match(good('map', 'stats', key), /^hits +1$/m);
  assert.match(good('inspect', key), /^00000000 {2}SharedMap, 1048576 bytes\n[^]*4 entries[^]*50\.0 % of the lookups/);

  assert.deepEqual(JSON.parse(good('map', 'keys', key, '--json')).sort(), ['big', 'bytes', 'object', 'text']);
  assert.deepEqual(good('map', 'keys', key).trim().split('\n').sort(), ['big', 'bytes', 'object', 'text']);
  assert.equal(good('map', 'get', key, 'object'), '{ a: 1 }\n');
  assert.equal(good('map', 'get', key, 'text'), 'words\n');
  assert.equal(JSON.parse(good('map', 'get', key, 'big', '--json')).value, '10');
  assert.deepEqual(JSON.parse(good('map', 'get', key, 'bytes', '--json')).value, Buffer.from('ab').toJSON());
  fails(1, /no entry none/, 'map', 'get', key, 'none');

  assert.equal(good('map', 'delete', key, 'text', 'big'), '');
  fails(1, /no entry text/, 'map', 'delete', key, 'text');
  assert.deepEqual([...map.keys()].sort(), ['bytes', 'object']);
  assert.equal(JSON.parse(good('map', 'clear', key, '--json')).cleared, 2);
  assert.equal(map.size, 0);
  map.close();
});

test('for a segment that is not a map, or is missing, the error is one line that says what to do', () => {
  const view = shm.create(64);
  const key = String(view.key);
  fails(1, /^shm-node: \d+: not a map, but bytes: `shm-node inspect \d+` shows it\n$/, 'map', 'keys', key);
  shm.detach(view);
  for (const command of [['map', 'stats'], ['inspect'], ['watch']]) {
    fails(1, /^shm-node: \d+: no such segment: `shm-node ls` lists the segments\n$/, ...command, key);
  }
  assert.equal(shm.info(view.key), null, 'and none is made');
});

test('a name that looks like an integer is not taken for one', { skip: posix.skip || sysv.skip }, () => {
  const view = shm.create({ size: 4, key: newKey(), backend: 'sysv' });
  fails(1, new RegExp(`no such segment; there is one with the key ${view.key}\n`), 'inspect', `/${view.key}`);
  shm.detach(view);
});

test('a segment goes when its last holder leaves, even while others look at it', async () => {
  const child = spawn(process.execPath, [command, 'top', '--every', '10', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await event(child.stdout, 'data');
  let looks = 0;
  child.stdout.on('data', () => looks++);
  const kept = [];
  while (looks < 20) {
    for (let i = 0; i < 50; i++) {
      const view = shm.create({ size: 4096 });
      if (shm.detach(view) !== 0) kept.push(view.key);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await kill(child);
  assert.deepEqual(kept, []);
});

test('top shows what happens in maps, channels and broadcasts', async () => {
  const { SharedMap } = require(`${packageFolder}/map.js`);
  const sync = require(`${packageFolder}/sync.js`);
  const map = new SharedMap({ memory: 1 << 20 });
  const view = shm.create({ size: 4096, type: 'Int32Array' });
  const channel = new sync.Channel(view, 0, { capacity: 1024 });
  const broadcast = new sync.Broadcast(view, 512, { slots: 4, maxMessage: 8 });
  const child = spawn(process.execPath, [command, 'top', '--every', '20', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let shown;
  for await (const line of createInterface({ input: child.stdout })) {
    const rows = JSON.parse(line);
    const of = (key, what) => rows.find((row) => row.key === key && row.what === what);
    shown = [of(map.key, 'map'), of(view.key, 'channel'), of(view.key, 'broadcast')];
    if (shown.every((row) => (row?.getsPerSecond ?? row?.bytesPerSecond ?? row?.messagesPerSecond) > 0)) break;
    map.set('a', 1).get('a');
    map.get('b');
    if (channel.trySend(Buffer.alloc(8))) channel.receive();
    broadcast.send(Buffer.alloc(8));
  }
  assert.equal(shown[0].hitRatio, 0.5);
  assert.ok(shown[0].setsPerSecond > 0 && shown[0].evictionsPerSecond === 0);
  child.stdout.resume();
  const ended = event(child, 'exit');
  child.kill('SIGINT');
  assert.deepEqual(await ended, isWindows ? [null, 'SIGINT'] : [0, null], 'Ctrl+C ends it');

  const text = good('top', '--once', '--every', '10');
  assert.match(text, /^KEY +WHAT +FILL +OPERATIONS +HITS +SETS +EVICTIONS +LOADS +WAITING\n/);
  assert.match(text, new RegExp(`^${view.key} +\\+2048 +Broadcast `, 'm'));
  assert.equal(JSON.parse(good('top', '--once', '--json', '--every', '10')).filter(({ key }) => key === view.key).length, 2);
  map.close();
  shm.detach(view);
});

test('top ends when its reader does', shell, () => {
  const line = `${runtime} "${command}" top --every 10 --json | head -n 1`;
  const { status, stderr } = spawnSync('bash', ['-c', `set -o pipefail; ${line}`], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

test('watch shows what changed, and ends with the segment', async () => {
  const view = shm.create({ length: 4, type: 'Int32Array' });
  view[0] = 7;
  const child = spawn(process.execPath, [command, 'watch', String(view.key), '--type', 'int32', '--every', '20']);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    if (/ 7 +0 +0 +0\n/.test(output)) view[2] = 42;
    if (/ 42\*/.test(output)) shm.destroy(view);
  });
  const [code] = await event(child, 'close');
  assert.equal(code, 0);
  assert.match(output, / 7 +0 +42\* +0\n/);
  assert.match(output, /gone\n$/);
  assert.ok(!output.includes('\x1b'), 'no colours but on a terminal');
  shm.detach(view);
});

test('watch takes a number of times', () => {
  const view = shm.create(4);
  const shown = good('watch', String(view.key), '--times', '2', '--every', '10');
  assert.equal(shown.match(/^00000000/gm).length, 2);
  shm.detach(view);
});

test('on a terminal watch draws in place, with colours', (t) => {
  if (spawnSync('script', ['--version']).error) return t.skip('script is missing');
  const view = shm.create(4);
  const line = `${runtime} "${command}" watch ${view.key} --times 2 --every 10`;
  const env = { ...process.env, TERM: 'xterm', NO_COLOR: '' };
  const { stdout } = run('script', ['-qec', line, '/dev/null'], { env });
  assert.match(stdout, /\x1b\[1A\x1b\[J/);
  assert.match(stdout, /\x1b\[2m00000000\x1b\[0m/);
  const plain = run('script', ['-qec', line, '/dev/null'], { env: { ...env, NO_COLOR: '1' } }).stdout;
  assert.ok(!plain.includes('\x1b[2m'));
  shm.detach(view);
});

test('watch draws what fits on a small terminal', (t) => {
  if (spawnSync('script', ['--version']).error) return t.skip('script is missing');
  const view = shm.create(256);
  const line = `stty cols 50 rows 8; ${runtime} "${command}" watch ${view.key} --bytes 256 --times 3 --every 10`;
  const { stdout } = run('script', ['-qec', line, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } });
  assert.deepEqual(stdout.match(/\x1b\[\d+A/g), ['\x1b[7A', '\x1b[7A'], 'three lines of two rows each, and one that says how many more');
  assert.equal(stdout.match(/… 13 more lines/g).length, 3);
  shm.detach(view);
});

describe('rm refuses to remove held segments without --force', () => {
  for (const [backend, reason] of [['sysv', sysv], ['posix', posix]]) {
    test(backend, reason, () => {
      const view = shm.create({ size: 4, backend });
      const other = shm.create({ size: 4, backend, persist: true });
      shm.detach(other);
      const keys = [String(view.key), String(other.key), '--backend', backend];
      fails(1, /held by 1: --force removes it/, 'rm', ...keys);
      assert.equal(shm.info({ key: view.key, backend }).state, 'held');
      assert.equal(shm.info({ key: other.key, backend }), null, 'the rest is removed');
      view[0] = 1;
      assert.equal(good('rm', String(view.key), '--force', '--backend', backend), '');
      assert.equal(shm.info({ key: view.key, backend }), null);
      assert.equal(view[0], 1, 'a holder keeps its memory');
      shm.detach(view);
    });
  }

  test('segments of another program', foreign, () => {
    const name = newName();
    writeFileSync(`/dev/shm${name}`, 'x');
    const view = shm.get(name);
    fails(1, /held by 1/, 'rm', name);
    shm.detach(view);
    const descriptor = openSync(`/dev/shm${name}`);
    fails(1, /held by someone/, 'rm', name);
    closeSync(descriptor);
    good('rm', name);
    assert.equal(shm.info(name), null);
  });
});

test('the error for a key of the other backend says so', { skip: posix.skip || sysv.skip }, () => {
  const { key } = shm.create({ size: 4, key: newKey(), backend: 'posix' });
  fails(1, /no such segment; there is one on the other backend: --backend posix/, 'rm', String(key), '--backend', 'sysv');
  fails(1, /--backend posix/, 'inspect', String(key), '--backend', 'sysv');
  shm.detach({ key, backend: 'posix' });
});

test('sweep says what it frees, and with --dry-run what it would free', () => {
  const child = `const shm = require(${JSON.stringify(packageFolder)});
    console.log(shm.create(4321).key); process.kill(process.pid, 'SIGKILL');`;
  const key = run(process.execPath, ['-e', child], { status: isWindows ? 1 : null }).stdout.trim();
  const line = `${key} (${built[0]}, 4321 bytes)`;
  const found = good('sweep', '--dry-run');
  // Another process on this machine may have swept it by now.
  if (shm.info(Number(key)) !== null) {
    assert.ok(found.includes(`would free ${line}`), found);
    cli('inspect', key, '--json');
    if (shm.info(Number(key)) !== null) assert.equal(shm.info(Number(key)).state, 'orphan', 'to look frees nothing');
    const freed = good('sweep');
    assert.ok(freed.includes(`freed ${line}`) || freed === 'nothing to free\n', freed);
  }
  assert.equal(shm.info(Number(key)), null);
});

test('a reader that closes the pipe early causes no error', shell, () => {
  const view = shm.create(4);
  const { status, stderr } = spawnSync('sh', ['-c', `${runtime} "${command}" ls | head -n 1`], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  shm.detach(view);
});
