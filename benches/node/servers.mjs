// Servers to compare with, each on a unix socket of its own. One that is not installed is undefined.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Redis without persistence. */
export function redis(folder) {
  const place = path.join(folder, 'redis.sock');
  const memoryOnly = ['--save', '', '--appendonly', 'no', '--dir', folder];
  return serve('redis-server', ['--port', '0', '--unixsocket', place, ...memoryOnly], place);
}

/** memcached with so many MiB. */
export function memcached(folder, memory) {
  const place = path.join(folder, 'memcached.sock');
  return serve('memcached', ['-u', process.env.USER ?? 'root', '-s', place, '-m', String(memory), '-I', '1m'], place);
}

async function serve(program, args, place) {
  if (spawnSync(program, ['--version']).error !== undefined) return undefined;
  const server = spawn(program, args, { stdio: 'ignore' });
  const ended = once(server, 'exit');
  for (let tries = 0; !existsSync(place); tries++) {
    if (tries === 200 || server.exitCode !== null) throw new Error(`${program} does not come up`);
    await sleep(20);
  }
  const end = async () => {
    server.kill();
    await ended;
  };
  return { place, end };
}
