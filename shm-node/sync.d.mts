import * as sync from './sync.js';

export * from './sync.js';
export default sync;
