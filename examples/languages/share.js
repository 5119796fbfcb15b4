'use strict';

// Shared memory with a program in another language. Each side makes a segment, and the other side reads and writes it.
//
//     node share.js sysv|posix COMMAND [ARGUMENT...]
//
// COMMAND is one of the programs beside this file.

const { execFileSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const shm = require('../../shm-node');

const [backend, command, ...args] = process.argv.slice(2);
const newKey = () => (backend === 'sysv' ? randomInt(1, 2 ** 31) : `/share-${randomInt(2 ** 40)}`);
const other = (what, key) => execFileSync(command, [...args, what, String(key)], { encoding: 'utf8' }).trim();

// A segment of the other program. This library did not create it, so a detach does not remove it.
const theirKey = newKey();
other('create', theirKey);
const theirs = shm.get(theirKey, 'Float64Array');
console.log('it created:', ...theirs);
theirs.set([1, 2, 3]);
console.log('we wrote, it reads:', other('double', theirKey));
console.log('it wrote, we read:', ...theirs);
shm.detach(theirs);
console.log('we removed it:', shm.destroy(theirKey));

// A segment of this program.
const ours = shm.create({ key: newKey(), length: 3, type: 'Float64Array' });
ours.set([0.5, 1, 2]);
console.log('we created, it reads:', other('double', ours.key));
console.log('it wrote, we read:', ...ours);
console.log('it is still there:', shm.info(ours) !== null);
