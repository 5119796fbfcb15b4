'use strict';

// The child processes of the main thread at its end, and which of them were told to go: for those it pays to wait,
// since what they hold of ours is then left by us, who are the last.

const diagnostics = require('diagnostics_channel');
const { isMainThread } = require('worker_threads');

// Kept by the channel, so that all copies of this file in a thread share it.
const SEEN = Symbol.for('shm-node.children');

function isAlive(child) {
  const { pid, exitCode, signalCode, killed } = child;
  if (pid === undefined) return false;
  if ((exitCode ?? signalCode ?? null) === null) return true;
  // Deno sets signalCode when it sends the signal.
  return 'deno' in process.versions && killed && child.kill(0);
}

/** Each ChildProcess since this file was loaded, if the runtime reports them, and its worker of the cluster, if any. */
function watch(channel) {
  const seen = new Map();
  diagnostics.subscribe?.('child_process', ({ process: child }) => {
    for (const other of seen.keys()) if (other.pid !== undefined && !isAlive(other)) seen.delete(other);
    seen.set(child, undefined);
    // Noted once it is a worker: a cluster forgets those that it told to disconnect.
    queueMicrotask(() => child.channel && noteWorkers(seen));
  });
  return Object.defineProperty(channel, SEEN, { value: seen })[SEEN];
}

function noteWorkers(seen) {
  for (const worker of Object.values(require('cluster').workers ?? {})) seen.set(worker.process, worker);
}

function seenOnes() {
  const channel = diagnostics.channel('child_process');
  return channel[SEEN] ?? watch(channel);
}

const seen = isMainThread ? seenOnes() : new Map();

/** Those of before this file was loaded, and of a runtime that tells of none. */
function noteOthers() {
  for (const handle of process._getActiveHandles?.() ?? []) {
    if (handle?.spawnargs !== undefined && !seen.has(handle)) seen.set(handle, undefined);
  }
  // Where there is a child process, its module is loaded, and with it most of what a cluster needs.
  if (seen.size > 0 || typeof Bun !== 'undefined') noteWorkers(seen);
}

/** The process ids of the children that are alive: those that were told to go, and the others. */
function children() {
  const told = [];
  const others = [];
  try {
    noteOthers();
    for (const [child, worker] of seen) {
      if (isAlive(child)) (child.killed || worker?.exitedAfterDisconnect === true ? told : others).push(child.pid);
    }
  } catch {
    // A program has replaced what we look at. Its end goes on.
  }
  return { told, others };
}

module.exports = { children };
