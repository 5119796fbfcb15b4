'use strict';

// A runtime that lets no buffer share memory (Electron): Node, with N-API's answer of such a runtime.

const assert = require('node:assert/strict');
const { cpSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { built, packageFolder, run, temporary } = require('./support/packaging.js');
const { buildShim } = require('./support/shim.js');

const CALL = 'napi_create_external_arraybuffer';
const OTHER = CALL.replace(/r$/, 'X');
const REFUSAL = 22; // napi_no_external_buffers_allowed

const elf = { skip: process.platform !== 'linux' && 'it is the dynamic linker of Linux that is asked' };
const folder = temporary();
const place = path.join(folder, 'package');
const shim = path.join(folder, 'shim.so');
after(() => rmSync(folder, { recursive: true, force: true }));

// The executable's own functions come before any that is preloaded, so the addon asks for another name.
before(() => {
  if (elf.skip) return;
  cpSync(packageFolder, place, { recursive: true });
  const addon = path.join(place, 'shm-node.node');
  const bytes = readFileSync(addon);
  const at = bytes.indexOf(`${CALL}\0`);
  assert.ok(at > 0 && bytes.indexOf(`${CALL}\0`, at + 1) < 0);
  bytes.write(OTHER, at);
  writeFileSync(addon, bytes);
  buildShim(shim, `#[unsafe(no_mangle)] pub extern "C" fn ${OTHER}() -> i32 { ${REFUSAL} }`);
});

/** Runs a program with the package as \`shm\`, on one backend; gives what it prints last. */
function printed(backend, code) {
  const program = `const shm = require(${JSON.stringify(place)}); const backend = '${backend}';
    const key = ${process.pid} * 4 + ${built.indexOf(backend)};
    const codeOf = (call) => { try { call(); return 'none'; } catch (error) { return error.code; } };
    ${code}`;
  const env = { ...process.env, LD_PRELOAD: shim, SHM_NODE_QUIET: '1' };
  return JSON.parse(run(process.execPath, ['-e', program], { env }).stdout);
}

for (const backend of built) {
  test(`${backend}: create throws an error that names the option view, and creates nothing`, elf, () => {
    const code = `
      const thrown = [{}, { persist: true }].map((more) => {
        try { shm.create({ size: 16, key, backend, ...more }); } catch ({ code, message }) { return { code, message }; }
      });
      console.log(JSON.stringify({ thrown, left: [shm.info({ key, backend }), shm.detach({ key, backend })] }));`;
    const { thrown, left } = printed(backend, code);
    for (const { code, message } of thrown) {
      assert.equal(code, 'ERR_SHM_NO_EXTERNAL_BUFFERS');
      assert.match(message, /view: false.*read\(key, offset, target\).*write\(key, offset, source\)/s);
    }
    assert.deepEqual(left, [null, -1]);
  });

  test(`${backend}: an attachment without a view stays when a view is refused`, elf, () => {
    const code = `
      shm.create({ size: 16, key, backend, view: false });
      shm.write({ key, backend }, 0, Buffer.from('data'));
      const refused = codeOf(() => shm.get({ key, backend }));
      const target = Buffer.alloc(4);
      shm.read({ key, backend }, 0, target);
      console.log(JSON.stringify([refused, target.toString(), shm.detach({ key, backend })]));`;
    assert.deepEqual(printed(backend, code), ['ERR_SHM_NO_EXTERNAL_BUFFERS', 'data', 0]);
  });
}

test('the drop-in leaves no object behind', { skip: elf.skip || (!built.includes('posix') && 'this build has no POSIX') }, () => {
  const code = `
    const old = require(${JSON.stringify(path.join(place, 'shm-typed-array.js'))});
    const name = '/no-external-' + process.pid;
    const refused = codeOf(() => old.create(4, 'Buffer', name));
    console.log(JSON.stringify([refused, shm.info(name), old.getTotalCreatedSize()]));`;
  assert.deepEqual(printed('posix', code), ['ERR_SHM_NO_EXTERNAL_BUFFERS', null, 0]);
});
