'use strict';

// AbortSignals as Node takes them: any object that has `aborted` and can be listened to, of any realm.

const errors = require('./errors.js');

function checkSignal(signal) {
  const isSignal = typeof signal === 'object' && signal !== null && 'aborted' in signal;
  if (signal !== undefined && !(isSignal && typeof signal.addEventListener === 'function')) {
    throw errors.wrongType('signal', 'an AbortSignal', signal);
  }
  return signal;
}

/** The reason of the abort. Older signals have none. */
const reasonOf = (signal) => ('reason' in signal ? signal.reason : errors.aborted());

function throwIfAborted(signal) {
  if (signal?.aborted) throw reasonOf(signal);
}

// One listener for each signal, however many calls wait for it, because Node warns about more than ten. It is removed
// with the last of these calls.
const listening = new WeakMap();

/** Calls `call` when the signal aborts. It does not call it if the signal has aborted already. */
function onAbort(signal, call) {
  let heard = listening.get(signal);
  if (heard === undefined) {
    const calls = new Set();
    const listener = () => {
      listening.delete(signal);
      for (const one of [...calls]) one();
    };
    heard = { calls, listener };
    signal.addEventListener('abort', listener, { once: true });
    listening.set(signal, heard);
  }
  heard.calls.add(call);
}

function offAbort(signal, call) {
  const heard = listening.get(signal);
  if (!heard?.calls.delete(call) || heard.calls.size > 0) return;
  listening.delete(signal);
  signal.removeEventListener?.('abort', heard.listener);
}

module.exports = { checkSignal, offAbort, onAbort, reasonOf, throwIfAborted };
