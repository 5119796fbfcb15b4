// Running a program that may hang.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs a program to its end, or, where it takes longer than `patience` ms, ends it with all that it started. */
export async function finish([command, ...args], patience, options) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const hung = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), patience);
  const [code] = await once(child, 'close');
  clearTimeout(hung);
  return { output, code };
}
