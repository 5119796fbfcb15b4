'use strict';

// Functions that are laid over those of the C library by LD_PRELOAD.

const { execFileSync } = require('node:child_process');
const { writeFileSync } = require('node:fs');

/** Compiles Rust functions into a library that needs no C library, so that it fits a Node of any. */
function buildShim(file, functions) {
  const source = `${file}.rs`;
  writeFileSync(source, `#![no_std]\n#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n${functions}`);
  const flags = ['-C', 'panic=abort', '-C', 'opt-level=1', '-C', 'link-arg=-nostdlib'];
  execFileSync('rustc', ['--edition', '2024', '--crate-name', 'shim', '--crate-type', 'cdylib', ...flags, '-o', file, source]);
}

module.exports = { buildShim };
