import sync from './sync.js';

export default sync;
export const { wait, waitAsync, notify, Mutex, RwLock, Semaphore, Condition, Barrier, Once, Channel, Broadcast } = sync;
