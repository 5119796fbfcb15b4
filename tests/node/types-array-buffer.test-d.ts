// Compiled by types.test.js where the compiler tells an array over an ArrayBuffer from one over a SharedArrayBuffer.

import { BufferType, create, get, type Views } from 'shm-node';
import { Broadcast, Channel } from 'shm-node/sync';
import * as old from 'shm-node/shm-typed-array';

declare function is<A>(_: A): void;
declare const anyName: keyof Views;

const bytes = create({ size: 4096 });
const floats = create({ length: 4, type: Float32Array });

is<Buffer<ArrayBuffer>>(bytes);
is<Buffer<ArrayBuffer>>(create(64, Buffer));
is<Float32Array<ArrayBuffer>>(floats);
is<Int8Array<ArrayBuffer>>(create(8, 'Int8Array'));
is<Uint8Array<ArrayBuffer>>(create(8, BufferType.Uint8Array));
is<Uint8ClampedArray<ArrayBuffer>>(create(8, Uint8ClampedArray));
is<Int16Array<ArrayBuffer>>(create(8, 'Int16Array'));
is<Uint16Array<ArrayBuffer>>(create(8, 'Uint16Array'));
is<Int32Array<ArrayBuffer>>(create(8, 'Int32Array'));
is<Uint32Array<ArrayBuffer>>(create(8, Uint32Array));
is<Float64Array<ArrayBuffer> | null>(get(1, 'Float64Array'));
is<BigInt64Array<ArrayBuffer> | null>(get({ key: 1, type: BigInt64Array }));
is<BigUint64Array<ArrayBuffer>>(create(8, 'BigUint64Array'));
is<ArrayBuffer>(create(8, anyName).buffer);
is<ArrayBuffer>(bytes.buffer);
is<Uint8Array>(bytes.subarray(1));

// What takes no array that may be over a SharedArrayBuffer.
is<BufferSource>(bytes);
is<BufferSource>(floats);
is<BlobPart>(bytes);
is<BodyInit>(bytes);
is<BodyInit>(floats);
crypto.subtle.digest('SHA-256', floats);
new Blob([bytes, floats]);
new Response(bytes);
new WritableStreamDefaultWriter(new WritableStream<Uint8Array<ArrayBuffer>>()).write(bytes);

const words = create({ length: 64, type: 'Int32Array' });
is<BlobPart>(new Channel(words, 0).receive());
is<BlobPart>(new Broadcast(words, 0).reader().receive().message);
is<BlobPart | null>(old.create(10));
is<Float64Array<ArrayBuffer> | null>(old.get(7, 'Float64Array'));
