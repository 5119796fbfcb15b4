// Sends what coordination.mjs receives.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const { folders, keys, size } = JSON.parse(process.argv[2]);
process.env.SHM_NODE_QUIET = '1';
const rings = Object.fromEntries(
  Object.entries(folders).map(([name, folder]) => {
    const { Channel } = require(join(folder, 'sync.js'));
    return [name, new Channel(require(folder).get(keys[name], 'Int32Array'), 0)];
  }),
);
const message = Buffer.alloc(size, 7);

process.on('message', ([name, count]) => {
  const ring = rings[name];
  for (let i = 0; i < count; i++) ring.send(message);
  process.send('done');
});
process.on('disconnect', () => process.exit());
process.send('ready');
