// What a compiler would refuse, and the form of the code. No tool rewrites it: lines are broken by hand.

const named = (names) => Object.fromEntries(names.split(/\s+/).map((name) => [name, 'readonly']));
const globals = named(`AbortController AbortSignal Atomics Buffer Bun Deno Event EventTarget MessageChannel MessagePort
  SharedArrayBuffer TextDecoder TextEncoder URL WebAssembly clearImmediate clearInterval clearTimeout console fetch gc
  global performance process queueMicrotask setImmediate setInterval setTimeout structuredClone`);
const commonjs = { ...named('__dirname __filename require'), exports: 'writable', module: 'writable' };

const rules = {
  'no-undef': 'error',
  'no-unused-vars': ['error', { args: 'none', varsIgnorePattern: '^_', caughtErrors: 'all', ignoreRestSiblings: true }],
};

const form = {
  'arrow-spacing': 'error',
  'brace-style': ['error', '1tbs', { allowSingleLine: true }],
  'comma-dangle': ['error', 'always-multiline'],
  'comma-spacing': 'error',
  'eol-last': 'error',
  indent: ['error', 2, { SwitchCase: 1, ignoredNodes: ['TemplateLiteral *'] }],
  'key-spacing': 'error',
  'keyword-spacing': 'error',
  'no-multi-spaces': 'error',
  'no-multiple-empty-lines': ['error', { max: 1 }],
  'no-tabs': 'error',
  'no-trailing-spaces': 'error',
  'object-curly-spacing': ['error', 'always'],
  quotes: ['error', 'single', { avoidEscape: true, allowTemplateLiterals: true }],
  semi: 'error',
  'semi-spacing': 'error',
  'space-before-blocks': 'error',
  'space-infix-ops': 'error',
};

export default [
  { ignores: ['target/', 'shm-node/prebuilds/', '**/node_modules/'] },
  { rules: form },
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
