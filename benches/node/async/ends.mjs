// The two ends of what is measured: the other process, and what lies between it and this one.

import { fork } from 'node:child_process';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';

const CAPACITY = 1 << 20;

export const now = () => Number(process.hrtime.bigint());

/** The next message of another process or thread. */
export const said = (other) => new Promise((resolve) => other.once('message', resolve));

/** Starts a program of this folder, and waits until it is ready. */
export async function start(program, args, options) {
  const child = fork(new URL(program, import.meta.url), args.map(String), options);
  await said(child);
  return child;
}

/** A new Channel. */
export function makeChannel() {
  const options = { capacity: CAPACITY };
  const view = shm.create({ size: sync.Channel.byteLength(options), type: Int32Array });
  return { key: view.key, channel: new sync.Channel(view, 0, options) };
}

/** The Channel that another process made. */
export const openChannel = (key) => new sync.Channel(shm.get(Number(key), Int32Array), 0);

/** The options of a call; '' for the default. */
export const optionsOf = (spin) => (spin === '' ? undefined : { spin: Number(spin) });

let sockets = 0;

/** A unix socket that waits for `count` programs to connect. */
export function listen(count = 1) {
  const place = path.join(os.tmpdir(), `async-${process.pid}-${sockets++}.sock`);
  const connections = [];
  const server = net.createServer().listen(place);
  const connected = new Promise((resolve) => {
    server.on('connection', (connection) => {
      if (connections.push(connection) === count) resolve(connections);
    });
  });
  const end = () => {
    for (const connection of connections) connection.destroy();
    server.close();
  };
  return { place, connected, end };
}

/** Calls `take` with each message of `size` bytes that comes by a stream, whole, as a program needs it. */
export function onMessages(connection, size, take) {
  let parts = [];
  let missing = size;
  connection.on('data', (chunk) => {
    let at = 0;
    while (chunk.length - at >= missing) {
      const last = chunk.subarray(at, at + missing);
      at += missing;
      missing = size;
      take(parts.length === 0 ? last : Buffer.concat([...parts, last]));
      if (parts.length > 0) parts = [];
    }
    if (at === chunk.length) return;
    parts.push(chunk.subarray(at));
    missing -= chunk.length - at;
  });
}

/** Writes `count` messages, and minds the back-pressure: until the buffer is full, then when it is empty. */
export async function writeAll(connection, message, count) {
  for (let i = 0; i < count; i++) {
    if (!connection.write(message)) await new Promise((resolve) => connection.once('drain', resolve));
  }
}
