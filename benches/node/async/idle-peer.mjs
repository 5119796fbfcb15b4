// Waits for messages that do not come, or for nothing, and tells what that used.

import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHANNELS, STRIDE } from './idle.mjs';

process.on('disconnect', () => process.exit());
const [way, key] = process.argv.slice(2);
const view = shm.get(Number(key), Int32Array);
for (let which = 0; which < CHANNELS; which++) receive(new sync.Channel(view, which * STRIDE));

async function receive(channel) {
  await channel.receiveAsync();
  if (way === 'pending') await channel.receiveAsync();
}

process.on('message', async (seconds) => {
  const before = process.resourceUsage();
  await sleep(seconds * 1000);
  const after = process.resourceUsage();
  const each = (name) => (after[name] - before[name]) / seconds;
  const cpu = 1000 * (each('userCPUTime') + each('systemCPUTime'));
  process.send({ cpu, switches: each('voluntaryContextSwitches') });
});
process.send('ready');
