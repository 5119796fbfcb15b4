'use strict';

// What a prebuilt binary is for: the system, the processor and, on Linux, the C library.

const fs = require('fs');

// The program interpreter that the start of an ELF executable names.
function libc() {
  try {
    const start = Buffer.alloc(4096);
    const file = fs.openSync(process.execPath, 'r');
    fs.readSync(file, start, 0, start.length, 0);
    fs.closeSync(file);
    return start.includes('/ld-musl-') ? '-musl' : '-gnu';
  } catch {
    return '-gnu';
  }
}

module.exports = { platform: `${process.platform}-${process.arch}${process.platform === 'linux' ? libc() : ''}` };
