'use strict';

// The addon: one built from source here, or else the prebuilt one for this platform.

const fs = require('fs');
const path = require('path');
const { platform } = require('./platform.js');

const root = path.join(__dirname, '..');

function load() {
  const places = ['shm-node.node', path.join('prebuilds', platform, 'shm-node.node')];
  const file = places.map((place) => path.join(root, place)).find((place) => fs.existsSync(place));
  if (file === undefined) throw missing(`it has none for ${platform}`);
  try {
    return require(file);
  } catch (error) {
    throw missing(`the one for ${platform} does not load: ${error.message}`);
  }
}

function missing(why) {
  const { repository } = require('../package.json');
  const clone = path.join(root, '..');
  const how = fs.existsSync(path.join(clone, 'Cargo.toml'))
    ? `npm --prefix '${clone}' run build`
    : `git clone ${repository.url.replace('git+', '')} shm-node-source && npm --prefix shm-node-source run build -- --into '${root}'`;
  const error = new Error(`shm-node needs a binary, and ${why}.\nTo build one, with Rust (https://rustup.rs): ${how}`);
  return Object.assign(error, { code: 'ERR_SHM_NO_BINARY' });
}

module.exports = load();
