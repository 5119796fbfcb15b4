// Running the tools that the commands need, and saying how to get one that is missing.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const HOW_TO_GET = {
  cargo: 'Rust is needed: install it from https://rustup.rs, then open a new shell.',
  npm: 'npm is needed: it comes with Node, https://nodejs.org.',
};

/** Runs a command in the workspace's root and ends this process if it fails. */
export function run(command, args, env = {}) {
  try {
    attempt(command, args, { env: { ...process.env, ...env }, stdio: 'inherit' });
  } catch (error) {
    fail(error.message);
  }
}

/** Runs a command in the workspace's root, throws if it fails, and returns what it printed if that is asked for. */
export function attempt(command, args, options) {
  const { status, signal, error, stdout } = spawnSync(command, args, { cwd: root, encoding: 'utf8', ...options });
  if (error?.code === 'ENOENT') throw new Error(`${command}: not found. ${HOW_TO_GET[command] ?? ''}`);
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${status}`}`);
  return stdout;
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}
