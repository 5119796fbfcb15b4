'use strict';

// The addon: one built from source here, or else the prebuilt one for this platform.

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { platform } = require('./platform.js');

// In a bundle this file lies elsewhere, and where that is an ES module, it does not know where.
const here = typeof __dirname === 'string' ? __dirname : path.dirname(process.argv[1] ?? process.execPath);
const root = path.join(here, '..');

// What was searched, and why it was nothing.
const searched = [];

function load() {
  const addon = built() ?? prebuilt() ?? beside();
  if (addon === undefined) throw missing(`it has none for ${platform}`);
  return addon;
}

// Each path is written out: tools that follow a program's files (node-file-trace, webpack, esbuild) see no other. They
// forgive a file that is not there where it is required inside a `try`.

function built() {
  try {
    return require('../shm-node.node');
  } catch (error) {
    return absent(error, path.join(root, 'shm-node.node'));
  }
}

function prebuilt() {
  try {
    switch (platform) {
      case 'linux-x64-gnu':
        return require('../prebuilds/linux-x64-gnu/shm-node.node');
      case 'linux-x64-musl':
        return require('../prebuilds/linux-x64-musl/shm-node.node');
      case 'linux-arm64-gnu':
        return require('../prebuilds/linux-arm64-gnu/shm-node.node');
      case 'linux-arm64-musl':
        return require('../prebuilds/linux-arm64-musl/shm-node.node');
      case 'darwin-x64':
        return require('../prebuilds/darwin-x64/shm-node.node');
      case 'darwin-arm64':
        return require('../prebuilds/darwin-arm64/shm-node.node');
      case 'win32-x64':
        return require('../prebuilds/win32-x64/shm-node.node');
      case 'win32-arm64':
        return require('../prebuilds/win32-arm64/shm-node.node');
      default:
        return undefined;
    }
  } catch (error) {
    return absent(error, path.join(root, 'prebuilds', platform, 'shm-node.node'));
  }
}

// A binary that was put beside a bundle, or beside a single executable, whose own `require` knows no files.
function beside() {
  for (const folder of new Set([here, path.dirname(process.execPath)])) {
    const file = path.join(folder, 'shm-node.node');
    try {
      return createRequire(file)(file);
    } catch (error) {
      absent(error, file);
    }
  }
  return undefined;
}

function absent(error, file) {
  if (fs.existsSync(file)) throw missing(`the one for ${platform} does not load: ${error.message}`);
  searched.push(file);
}

function missing(why) {
  const lines = [`shm-node needs a binary, and ${why}.`, ...searched.map((file) => `Not there: ${file}`), advice()];
  return Object.assign(new Error(lines.join('\n')), { code: 'ERR_SHM_NO_BINARY' });
}

function advice() {
  // It installs anywhere, so that a project that can do without it does, too.
  if (!['linux', 'darwin', 'win32'].includes(process.platform)) {
    return `There is none for ${process.platform}: shm-node works on Linux, macOS and Windows.
In a program that can do without it, catch this error, or load shm-node on these systems only.`;
  }
  const { repository } = require('../package.json');
  const clone = path.join(root, '..');
  const how = fs.existsSync(path.join(clone, 'Cargo.toml'))
    ? `npm --prefix '${clone}' run build`
    : `git clone ${repository.url.replace('git+', '')} shm-node-source && npm --prefix shm-node-source run build -- --into '${root}'`;
  return `In a bundle or a single executable, leave shm-node outside it, or put its binary in one of these places.
To build one, with Rust (https://rustup.rs): ${how}`;
}

module.exports = load();
