import * as shm from './index.js';

export * from './index.js';
export default shm;
