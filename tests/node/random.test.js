'use strict';

// Random calls with random arguments: typed errors only, and nothing left behind. SHM_NODE_CALLS sets how many.

const assert = require('node:assert/strict');
const fc = require('fast-check');
const { after, it } = require('node:test');
const { built, exists, mine, newKey, newName, shm } = require('./support.js');

const CALLS = Number(process.env.SHM_NODE_CALLS ?? 20_000);
const PER_RUN = 50;

const keys = [...Array.from({ length: 5 }, newKey), newName(), `/${newName()}`];
const wrong = fc.oneof(
  fc.constantFrom(undefined, null, NaN, -1, 0, 1.5, 2 ** 32, Infinity, '', 'a/b', '..', 'a\0b', '__proto__', true, 1n),
  fc.double({ max: 0 }),
  fc.constantFrom(Symbol('wrong'), () => 1, [], {}, new Date(), new Map(), new Proxy({}, {}), Buffer.alloc(4), new DataView(new ArrayBuffer(4))),
  fc.object({ maxDepth: 1 }),
);
/** Mostly what is right, now and then what is not. */
const or = (right) => fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: wrong });

const key = or(fc.constantFrom(...keys));
const backend = or(fc.constantFrom(undefined, ...built));
const type = or(fc.constantFrom(undefined, ...Object.keys(shm.BufferType), ...Object.values(shm.BufferType), Buffer, Float64Array, Int8Array));
const size = or(fc.integer({ min: 1, max: 1 << 16 }));
const flag = or(fc.constantFrom(undefined, true, false));
const mode = or(fc.constantFrom(undefined, 0o600, 0o666, '0640', '600', 0o400));
const offset = or(fc.nat({ max: 1 << 17 }));
const bytes = or(fc.constantFrom(0, 1, 64, 1 << 17).map((length) => Buffer.alloc(length)));
const optional = (model) => fc.record(model, { requiredKeys: [] });
const target = fc.oneof(key, optional({ key, backend }));

const call = fc.oneof(
  fc.tuple(fc.constant('create'), fc.tuple(size, type)),
  fc.tuple(fc.constant('create'), fc.tuple(optional({ size, type, key, mode, backend, persist: flag, reserve: flag, hugePages: flag, populate: flag, view: flag }))),
  fc.tuple(fc.constant('create'), fc.tuple(optional({ length: size, type, key, mode, backend }))),
  fc.tuple(fc.constant('get'), fc.tuple(key, type)),
  fc.tuple(fc.constant('get'), fc.tuple(optional({ key, type, backend, readOnly: flag, populate: flag, view: flag }))),
  fc.tuple(fc.constantFrom('detach', 'destroy', 'info'), fc.tuple(target)),
  fc.tuple(fc.constantFrom('read', 'write'), fc.tuple(target, offset, bytes)),
  fc.tuple(fc.constantFrom('detachAll', 'sweep'), fc.constant([])),
  fc.tuple(fc.constant('touch'), fc.constant([])),
);

const CLASSES = { ERR_INVALID_ARG_TYPE: TypeError, ERR_INVALID_ARG_VALUE: TypeError, ERR_OUT_OF_RANGE: RangeError, ERR_SHM_NOT_ATTACHED: Error };
const ERRNOS = ['EACCES', 'EBUSY', 'EEXIST', 'EINVAL', 'ENOMEM', 'ENOSPC', 'ENOTSUP', 'EPERM'];

function clear() {
  shm.detachAll();
  for (const key of keys) {
    for (const backend of typeof key === 'string' ? built.filter((name) => name === 'posix') : built) shm.destroy({ key, backend });
  }
  for (const { key, backend, creator } of shm.list()) if (creator === process.pid) shm.destroy({ key, backend });
}

after(clear);

it(`${CALLS} random calls throw only typed errors, and leave nothing behind`, () => {
  const seen = { calls: 0, answered: 0, codes: {} };
  const property = fc.property(fc.array(call, { minLength: PER_RUN, maxLength: PER_RUN, size: 'max' }), (calls) => {
    const views = [];
    for (const [name, args] of calls) {
      seen.calls++;
      if (name === 'touch') {
        for (const view of views) if (view.length > 0) view[view.length - 1] = view[0];
        continue;
      }
      try {
        const answer = shm[name](...args);
        seen.answered++;
        if (ArrayBuffer.isView(answer)) views.push(answer);
      } catch (error) {
        seen.codes[error.code] = (seen.codes[error.code] ?? 0) + 1;
        const Class = CLASSES[error.code] ?? (ERRNOS.includes(error.code) && error.errno < 0 && error.syscall && Error);
        assert.ok(Class && Object.getPrototypeOf(error) === Class.prototype, `${name}: ${error.stack}`);
      }
    }
    clear();
    assert.ok(views.every((view) => view.length === 0));
    assert.deepEqual(mine(), []);
    assert.deepEqual(keys.filter((key) => exists({ key })), []);
  });
  fc.assert(property, { numRuns: Math.ceil(CALLS / PER_RUN), endOnFailure: true });
  assert.ok(seen.calls >= CALLS);
  assert.ok(seen.answered > CALLS / 4, `${seen.answered} of ${seen.calls} calls were answered`);
  for (const code of ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE']) {
    assert.ok(seen.codes[code] > 0, `${code} was never seen: ${JSON.stringify(seen.codes)}`);
  }
});
