// Compiled by types.test.js, never run: what must be accepted, and after @ts-expect-error what must not.

import * as shm from 'shm-node';
import defaultExport, { create, get, BufferType } from 'shm-node';
import * as old from 'shm-node/shm-typed-array';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Equal<A, B>): void {}
function is<A>(_: A): void {}

// The type of the view follows `type`: nothing, a number constant, a name, a constructor.
is<Buffer & { readonly key: number }>(create(4096));
is<Float32Array & { readonly key: number }>(create(4096, BufferType.Float32Array));
is<Float64Array & { readonly key: number }>(create(4096, shm.SHMBT_FLOAT64));
is<Int16Array & { readonly key: number }>(create(4096, 'Int16Array'));
is<BigInt64Array & { readonly key: number }>(create(4096, BigInt64Array));
is<Buffer & { readonly key: number }>(create(4096, Buffer));
is<Float32Array & { readonly key: number }>(create({ length: 4, type: 'Float32Array' }));
is<Uint8ClampedArray & { readonly key: number }>(create({ size: 4, type: Uint8ClampedArray }));
is<BigUint64Array & { readonly key: number }>(create({ size: 8, type: BufferType.BigUint64Array }));
same<ReturnType<typeof create<'Float32Array'>>, shm.Shared<shm.Views['Float32Array'], number>>(true);
same<ReturnType<typeof create<typeof Float32Array>>, shm.Shared<shm.Views['Float32Array'], number>>(true);
same<ReturnType<typeof create<typeof Buffer>>, shm.Shared<shm.Views['Buffer'], number>>(true);

// A wide type gives any of the views.
declare const someName: shm.TypeName;
is<{ readonly length: number; readonly key: number }>(create(8, someName));

// A string key gives a string, an integer a number; with a key, null where it is taken.
same<NonNullable<ReturnType<typeof named>>['key'], string>(true);
function named() {
  return create({ size: 1, key: 'frames' });
}
const byNumber = create({ size: 1, key: 7 });
is<(Buffer & { readonly key: number }) | null>(byNumber);
// @ts-expect-error the key may be taken
byNumber.length;
// @ts-expect-error the name may be taken
named().length;
create({ size: 1 }).length;
declare const anyKey: number | string;
same<NonNullable<ReturnType<typeof anywhere>>['key'], number | string>(true);
function anywhere() {
  return create({ size: 1, key: anyKey });
}
declare const maybeKey: number | undefined;
// @ts-expect-error a key that may be there may be taken
create({ size: 1, key: maybeKey }).length;

const found = get('frames', 'Uint16Array');
is<(Uint16Array & { readonly key: string }) | null>(found);
// @ts-expect-error there may be none
found.length;
is<(Float32Array & { readonly key: number }) | null>(get(7, Float32Array));
is<(Float32Array & { readonly key: number }) | null>(get({ key: 7, type: 'Float32Array', backend: 'posix' }));
is<(Buffer & { readonly key: string }) | null>(get({ key: 'frames', readOnly: true, populate: true }));
is<(Int8Array & { readonly key: number }) | null>(get(create(16), 'Int8Array'));

// Without a view.
is<{ readonly key: number; readonly size: number }>(create({ size: 1, view: false }));
is<{ readonly key: string; readonly size: number } | null>(create({ size: 1, view: false, key: 'a' }));
is<{ readonly key: string; readonly size: number } | null>(get({ key: 'a', view: false }));
// @ts-expect-error no view, no elements
create({ size: 1, view: false })[0];
// @ts-expect-error a view has no size
create({ size: 1 }).size;

// Read-only, all of it.
const view = create(8, 'Float64Array');
view[0] = 1.5;
// @ts-expect-error the key is not ours to change
view.key = 1;
// @ts-expect-error a float, not a bigint
view[0] = 1n;
// @ts-expect-error constants are constant
shm.BufferType.Buffer = 1;

// Wrong arguments.
// @ts-expect-error no size
create();
// @ts-expect-error no size in the options
create({ type: 'Float32Array' });
// @ts-expect-error both
create({ size: 4, length: 4 });
// @ts-expect-error no such option
create({ size: 4, lenght: 4 });
// @ts-expect-error no such type
create(4, 'Float33Array');
// @ts-expect-error no such number
create(4, 99);
// @ts-expect-error not an array type
create(4, Map);
// @ts-expect-error a DataView is no array
create(4, DataView);
// @ts-expect-error a size is a number
create('4096');
// @ts-expect-error no such backend
create({ size: 4, backend: 'sysv4' });
// @ts-expect-error mode is a number or a string
create({ size: 4, mode: true });
// @ts-expect-error a key is a number or a string
get(7n);
// @ts-expect-error no key
get({ type: 'Float32Array' });
// @ts-expect-error size is for create
get({ key: 7, size: 4 });

// All else.
same<ReturnType<typeof shm.detach>, number>(true);
shm.detach(view);
shm.detach('frames');
shm.detach({ key: 7, backend: 'posix' });
// @ts-expect-error nothing named
shm.detach();
// @ts-expect-error null is no segment
shm.detach(get(7));
is<number>(shm.read('frames', 0, new Float32Array(4)));
is<number>(shm.write(7, 0, Buffer.from('hello')));
// @ts-expect-error strings are not bytes
shm.write(7, 0, 'hello');
is<boolean>(shm.destroy(view));
is<number>(shm.sweep() + shm.detachAll() + shm.SizeMax);
const first = shm.list()[0]!;
is<number | null>(first.holders);
is<Date | null>(first.created);
if (first.state === 'orphan') is<'sysv' | 'posix' | 'windows'>(first.backend);
// @ts-expect-error no such state
if (first.state === 'lost') shm.sweep();
// @ts-expect-error there may be none
shm.info(7).size;
is<typeof create>(defaultExport.create);
{
  using scoped = create(16);
  is<Buffer>(scoped);
}

// The drop-in.
is<(Buffer & { key?: number }) | null>(old.create(10));
is<(Float32Array & { key?: number }) | null>(old.create(10, 'Float32Array', '/name', '600'));
is<(Float64Array & { key?: number }) | null>(old.get(7, 'Float64Array'));
is<(Buffer & { key?: number }) | null>(old.createPosix('/name', 4));
is<(Int8Array & { key?: number }) | null>(old.getPosix('/name', 'Int8Array'));
is<number>(old.detach(7) + old.detach('/name', true) + old.detachPosix('/name') + old.detachAll());
is<boolean>(old.destroy('/name'));
is<number>(old.getTotalSize() + old.getTotalCreatedSize() + old.LengthMax + old.BufferType.Float64Array);
// @ts-expect-error there may be none
is<Buffer>(old.get(7));
// @ts-expect-error a name of an array type
old.create(10, 'Float33Array');
// @ts-expect-error POSIX names are strings
old.createPosix(7, 4);

// Coordination.
import * as sync from 'shm-node/sync';
const cells = create({ length: 64, type: 'Int32Array' });
is<sync.WaitOutcome>(sync.wait(cells, 0, 0, 5));
is<Promise<'ok' | 'not-equal' | 'timed-out'>>(sync.waitAsync(cells, 0, 0, { signal: AbortSignal.abort(), ref: false }));
is<number>(sync.notify(cells, 0));
// @ts-expect-error futexes are 32 bits
sync.wait(new BigInt64Array(1), 0, 0n);
const mutex = new sync.Mutex(cells, 0);
is<boolean>(mutex.lock().ownerDied);
// @ts-expect-error time may be up
mutex.lock(5).unlock();
same<ReturnType<typeof mutex.tryLock>, sync.Guard | false>(true);
is<number>(mutex.withLock((guard) => Number(guard.ownerDied)));
is<Promise<number>>(mutex.withLockAsync(async () => 1));
new sync.Semaphore(cells, 0, { permits: 3 }).acquire().unlock();
// @ts-expect-error a number of permits is what it is made with
new sync.Semaphore(cells, 0, { readers: 3 });
const ring = new sync.Channel(cells, 0, { capacity: sync.Channel.byteLength({ capacity: 64 }), producers: 'many' });
is<number>(ring.drain((message) => void is<Uint8Array>(message), { max: 7 }));
ring.messages({ batch: true, timeout: 1 }).next().then(({ value }) => is<Buffer[] | void>(value));
ring.messages({ batch: false }).next().then(({ value }) => is<Buffer | void>(value));
is<boolean>(ring.send(cells));
is<Buffer>(ring.receive());
is<Buffer | null>(ring.tryReceive());
// @ts-expect-error a text is no message
ring.send('text');
async function consume() {
  for await (const message of ring) is<Buffer>(message);
  for await (const { number, missed, message } of new sync.Broadcast(cells, 0).reader()) is<Buffer>(message);
}

// The map.
import { SharedMap, type MapStats } from 'shm-node/map';
import map from 'shm-node/map';
is<typeof SharedMap>(map.SharedMap);
interface User {
  name: string;
}
const users = new SharedMap<User>('users', { memory: 1 << 20, evict: false, encoding: 'json', near: 100 });
is<User | undefined>(users.get('a'));
is<SharedMap<User>>(users.set('a', { name: 'b' }, { ttl: 1000, tags: ['staff'] as const }));
// @ts-expect-error not such a value
users.set('a', 1);
// @ts-expect-error keys are strings
users.get(1);
// @ts-expect-error a map under a random key needs to know how much memory it is to have
new SharedMap({ evict: true });
is<number>(users.getInto('a', Buffer.alloc(3)) + users.increment('n') + users.size + users.memory);
is<number | undefined>(users.view('a', (bytes) => bytes.length));
is<Promise<User>>(users.getOrSet('a', async (key) => ({ name: key }), { stale: 5, signal: AbortSignal.abort() }));
const entry = users.getEntry('a');
// @ts-expect-error there may be none
entry.version;
is<boolean>(users.replace('a', entry!.version, entry!.value));
for (const [key, value] of users) is<string>(key + value.name);
is<MapStats['hits']>(users.stats().hits + SharedMap.memoryFor({ entries: 1, key: 1, value: 1 }));
is<unknown>(new SharedMap(7).get('x'));

// What other packages have behind the map.
import { memoize } from 'shm-node/memoize';
const user = memoize(async (id: number) => ({ id }), { map: users, key: (id) => `${id + 1}`, ttl: 1000, stale: 5 });
is<Promise<{ id: number }>>(user(7));
// @ts-expect-error as the function that it calls
user('7');
import { KeyvSharedMap } from 'shm-node/keyv';
is<SharedMap>(new KeyvSharedMap({ map: users, prefix: 'cache:' }).map);
is<Promise<boolean>>(new KeyvSharedMap({ key: 'cache', memory: 1 << 20 }).set('a', 1, 1000));
// @ts-expect-error a map of its own has a key
new KeyvSharedMap({ memory: 1 << 20 });
import { RateLimitStore } from 'shm-node/express-rate-limit';
is<number>(new RateLimitStore({ map: users, prefix: 'api:' }).increment('ada').totalHits);
import { rateLimitStore } from 'shm-node/fastify-rate-limit';
is<SharedMap>(rateLimitStore({ map: users }).map);
import { SessionStore } from 'shm-node/express-session';
new SessionStore({ key: 7, memory: 1 << 20, ttl: 1000 }).length((error, length) => is<number | undefined>(length));
import { PromClient, sharedMetrics } from 'shm-node/prom-client';
interface Client extends Omit<PromClient, 'Counter'> {
  Counter: new (config: { name: string }) => { inc(value: number): void };
}
declare const promClient: Client;
const metrics = sharedMetrics(promClient, { key: 'metrics', memory: 1 << 20, refresh: 1000, onError: (error) => error.code });
new metrics.Counter({ name: 'a' }).inc(1);
// @ts-expect-error as prom-client's own class
new metrics.Counter({ name: 1 });
is<SharedMap>(metrics.map);
import { cacheHandler, useCacheHandler } from 'shm-node/next';
const Handler = cacheHandler({ key: 'pages', memory: 1 << 20 });
is<SharedMap>(Handler.map);
is<Promise<void>>(new Handler({}).revalidateTag(['a'], { expire: 5 }));
is<Promise<number>>(useCacheHandler({ map: users, prefix: 'use:' }).getExpiration(['a']));
