// Sends as many messages as it is told to, and tells how late its event loop was meanwhile.

import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openChannel, writeAll } from './ends.mjs';

process.on('disconnect', () => process.exit());
const [way, size, place, how] = process.argv.slice(2);
const message = Buffer.alloc(Number(size), 7);
const sendAll = { channel, socket }[way]();
const delay = monitorEventLoopDelay({ resolution: 1 });

process.on('message', (told) => {
  if (told !== 'delay') return sendAll(told.count);
  process.send(delay.count === 0 ? 0 : delay.percentile(99));
  delay.reset();
  delay.enable();
});

function channel() {
  const ring = openChannel(place);
  process.send('ready');
  const sends = {
    // As one writes to a stream: until it is full, then when there is room again.
    async full(count) {
      for (let i = 0; i < count; i++) if (!ring.trySend(message)) await ring.sendAsync(message);
    },
    async awaited(count) {
      for (let i = 0; i < count; i++) await ring.sendAsync(message);
    },
  };
  return sends[how];
}

function socket() {
  const connection = net.connect(place, () => process.send('ready'));
  return (count) => writeAll(connection, message, count);
}
