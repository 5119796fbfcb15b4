// Two processes want one lock all the time, and hold it for 10 µs each time.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import shm from '../../../shm-node/index.mjs';
import sync from '../../../shm-node/sync.mjs';
import { redis as startRedis } from '../servers.mjs';
import { said, start } from './ends.mjs';

const PEER = './lock-peer.mjs';
export const SECTION = 10_000;

export async function mutex() {
  const view = shm.create({ size: sync.Mutex.byteLength() + 64, type: Int32Array });
  return contended(['mutex', view.key], () => shm.detach(view));
}

export async function properLockfile() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'async-lock-'));
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  return contended(['properLockfile', file], () => rmSync(folder, { recursive: true }));
}

/** undefined where there is no redis-server. */
export async function redis() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'async-redis-'));
  const server = await startRedis(folder);
  const end = async () => {
    await server?.end();
    rmSync(folder, { recursive: true });
  };
  if (server !== undefined) return contended(['redis', server.place], end);
  await end();
  return undefined;
}

async function contended(args, cleanUp) {
  const children = await Promise.all([start(PEER, args), start(PEER, args)]);
  return {
    /** Nanoseconds beyond the section, a section, where each process has `count`. */
    async time(count) {
      const spans = children.map(said);
      for (const child of children) child.send(count);
      const times = await Promise.all(spans);
      const took = Math.max(...times.map(({ end }) => end)) - Math.min(...times.map(({ begin }) => begin));
      return took / (children.length * count) - SECTION;
    },
    async end() {
      for (const child of children) child.kill();
      await cleanUp();
    },
  };
}
