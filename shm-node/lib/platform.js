'use strict';

// What a prebuilt binary is for: the system, the processor and, on Linux, the C library.

const fs = require('fs');

const PT_INTERP = 3;

function libc() {
  try {
    return interpreter(process.execPath).includes('/ld-musl-') ? '-musl' : '-gnu';
  } catch {
    return '-gnu';
  }
}

// The program interpreter that an ELF executable names: elf(5), of 64 bits. It may lie anywhere in the file.
function interpreter(path) {
  const file = fs.openSync(path, 'r');
  const read = (place, length) => {
    const bytes = Buffer.alloc(length);
    fs.readSync(file, bytes, 0, length, place);
    return bytes;
  };
  try {
    const header = read(0, 64);
    const [start, size, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)];
    for (let index = 0; index < count; index += 1) {
      const part = read(start + index * size, size);
      if (part.readUInt32LE(0) !== PT_INTERP) continue;
      const [name] = read(Number(part.readBigUInt64LE(8)), 256).toString('latin1').split('\0');
      return name;
    }
    return '';
  } finally {
    fs.closeSync(file);
  }
}

module.exports = { platform: `${process.platform}-${process.arch}${process.platform === 'linux' ? libc() : ''}` };
