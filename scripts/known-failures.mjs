// The Node tests that fail on a runtime, and the reason: what that runtime cannot do, or does differently from Node.
// scripts/runtimes.mjs names a test as `file: groups: claim`.

export const KNOWN_FAILURES = [
  {
    runtime: 'bun',
    reason: `Bun restores the default action when the last listener of a signal is removed, and emits no \`removeListener\`.
So the library cannot install its handler again before the next \`create\` or \`get\`. The next process frees everything.`,
    tests: [
      /^signals: SIG\w+: a listener came and went after create:/,
      /^signals: SIG\w+: two listeners came and went:/,
      /^signals: SIG\w+: all listeners were removed:/,
      /^signals: SIG\w+: once, and the signal is sent again:/,
      /^signals: SIG\w+: as signal-exit does:/,
    ],
  },
  {
    runtime: 'bun',
    reason: `Bun does not report child processes, except the workers of a \`cluster\`. So a process that has killed a child does
not wait for its end, and is not the last holder. The next process frees everything.`,
    tests: [
      /^endings: a primary that tells its child to end, and exits at once,: is the last holder, and frees all: a child process,/,
      /^endings: a primary that tells its child to end, and exits at once,: is not the last holder/,
    ],
  },
  {
    runtime: 'bun',
    reason: `Bun keeps an object as long as something on the stack looks like a reference to it, and collects it later. The
addresses of a moved buffer stay mapped until then, without the memory of the segment.`,
    tests: [
      /^in-flight: the memory: that transfer\(\) moved reads zeros after detach, and outlives the object/,
      /^sync-forgotten: a SharedMap that was forgotten:/,
    ],
  },
  {
    runtime: 'bun',
    reason: 'The first call of a function needs more of the stack in Bun than the test leaves.',
    tests: [/^sync-stack: when the stack is full: Mutex.lock holds what it gives, and nothing else \(new\)/],
  },
  {
    runtime: 'deno',
    reason: `In Deno, \`terminate()\` answers before the worker has ended, and does not interrupt its JavaScript. A worker holds its
segments until it returns to its event loop, where it ends.`,
    tests: [
      /^(threads: a worker thread: leaves nothing behind when it|in-flight: .*: in workers that) (is|are) terminated at/, // by chance
      /^sync-waits: an end with pending waits: process.exit, detachAll and the end of workers, again and again/,
      /^sync-waits: an end with pending waits: a worker that blocks in wait can be terminated/,
    ],
  },
  {
    runtime: 'deno',
    reason: `If a child process was sent a signal by \`kill()\`, Deno reports that signal as its end, even if it has ended with an
exit code.`,
    tests: [/^cli: top shows what happens in maps, channels and broadcasts/],
  },
  {
    runtime: 'deno',
    reason: `Half a second after its start, Deno installs signal handlers, for which it opens two sockets. The test counts them.`,
    tests: [/^bounds: descriptors, mappings, memory and the ledger: are as before after 20000 creates and detaches/],
  },
  {
    runtime: 'deno',
    reason: `If a view is detached during an asynchronous \`crypto.randomFill\` into it, Deno throws an uncaught error.`,
    tests: [/^in-flight: detach with I\/O in flight: (1000 operations|process.exit\(\) or a signal in the middle)/],
  },
  {
    runtime: 'deno',
    reason: `Deno moves the memory of a view whose buffer is in a transfer list. The view is then empty.`,
    tests: [/^in-flight: the memory: cannot be moved to another thread/],
  },
  {
    runtime: 'deno',
    reason: `If several waits end at the same time, Deno resolves their promises together. In Node, the code that awaits one of
them runs before the next one is resolved.`,
    tests: [/^sync-ways: the end of a wait \(.*\): runs the code that awaits it before the next wait ends/],
  },
  {
    runtime: 'deno',
    reason: `Where the stack is full, \`setImmediate\` of Deno throws inside a promise that the caller has not got yet. Deno reports
it as an unhandled rejection.`,
    tests: [/^sync-stack: when the stack is full: \w+\.\w+Async gives what it holds, or rejects, and keeps no turn/],
  },
];
