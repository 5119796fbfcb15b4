// Answers each message by one of the same size.

import net from 'node:net';
import { parentPort } from 'node:worker_threads';
import { onMessages, openChannel, optionsOf } from './ends.mjs';

process.on('disconnect', () => process.exit());
const [way, size, timer, ...rest] = process.argv.slice(2);
const message = Buffer.alloc(Number(size), 7);
if (timer !== '') setInterval(() => {}, 1);
await { channel, socket, send, worker }[way](...rest);

async function channel(thereKey, backKey, spin) {
  const [there, back, options] = [openChannel(thereKey), openChannel(backKey), optionsOf(spin)];
  process.send('ready');
  for await (const _ of there.messages(options)) await back.sendAsync(message, options);
}

function socket(place) {
  const connection = net.connect(place, () => process.send('ready'));
  onMessages(connection, message.length, () => connection.write(message));
}

function send() {
  process.on('message', () => process.send(message));
  process.send('ready');
}

function worker() {
  parentPort.on('message', () => parentPort.postMessage(message));
  parentPort.postMessage('ready');
}
