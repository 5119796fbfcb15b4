'use strict';

// Several copies of the package in one thread. Required in a process of its own; it loads nothing of the package
// itself.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** How there come to be two: what it is called, and how the second is made of the first. */
const KINDS = {
  // jest.resetModules(), two bundles: the addon is the same.
  reset: (first) => {
    for (const file of Object.keys(require.cache)) {
      if (file.startsWith(first) && !file.endsWith('.node')) delete require.cache[file];
    }
    return first;
  },
  // Package managers that save room: another file of the same addon.
  links: (first) => copyOf(first, fs.linkSync),
  // Installed twice: another addon.
  installed: (first) => copyOf(first, fs.copyFileSync),
};

function copyOf(folder, copy) {
  const to = fs.mkdtempSync(path.join(os.tmpdir(), 'shm-node-copy-'));
  process.on('exit', () => {
    try {
      fs.rmSync(to, { recursive: true, force: true });
    } catch (error) {
      if (process.platform !== 'win32') throw error; // where the file of a loaded library stays
    }
  });
  for (const file of fs.readdirSync(folder, { recursive: true })) {
    const from = path.join(folder, file);
    if (fs.statSync(from).isDirectory()) fs.mkdirSync(path.join(to, file), { recursive: true });
    else if (!/^(src|target|node_modules)/.test(file)) copy(from, path.join(to, file));
  }
  return to;
}

const load = (folder) => ({ shm: require(folder), sync: require(path.join(folder, 'sync.js')) });

/** Two copies, each as { shm, sync }. */
function copies(kind, folder) {
  // A link is not made from one file system to another.
  const first = copyOf(folder, fs.copyFileSync);
  return [load(first), load(KINDS[kind](first))];
}

module.exports = { copies, kinds: Object.keys(KINDS) };
