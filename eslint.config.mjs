// What a compiler would refuse. The form of the code is not its business.

const named = (names) => Object.fromEntries(names.split(/\s+/).map((name) => [name, 'readonly']));
const globals = named(`AbortController AbortSignal Atomics Buffer Bun Deno Event EventTarget MessageChannel MessagePort
  SharedArrayBuffer TextDecoder TextEncoder URL WebAssembly clearImmediate clearInterval clearTimeout console fetch gc
  global performance process queueMicrotask setImmediate setInterval setTimeout structuredClone`);
const commonjs = { ...named('__dirname __filename require'), exports: 'writable', module: 'writable' };

const rules = {
  'no-undef': 'error',
  'no-unused-vars': ['error', { args: 'none', varsIgnorePattern: '^_', caughtErrors: 'all', ignoreRestSiblings: true }],
};

export default [
  { ignores: ['target/', 'shm-node/prebuilds/', '**/node_modules/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.js', '**/*.cjs'],
    languageOptions: { sourceType: 'commonjs', globals: { ...globals, ...commonjs } },
    rules,
  },
  // A function that a test hands to a peer runs there, with what the peer has: tests/node/support.js.
  { files: ['tests/node/**'], languageOptions: { globals: { hold: 'readonly', ready: 'readonly' } } },
  { files: ['**/*.mjs'], languageOptions: { sourceType: 'module', globals }, rules },
];
