// Element access: a shared view beside an ordinary typed array.

import shm from '../../shm-node/index.mjs';
import { alternate, print } from './ratio.mjs';

const LENGTH = 10_000_000;
const ordinary = new Float64Array(LENGTH).fill(1);
const source = new Float64Array(LENGTH).fill(3);

function sum(array) {
  let total = 0;
  for (let index = 0; index < array.length; index++) total += array[index];
  return total;
}

for (const backend of ['sysv', 'posix']) {
  const shared = shm.create({ length: LENGTH, type: Float64Array, backend });
  shared.fill(1);
  const label = backend === 'sysv' ? 'System V' : 'POSIX';
  const against = 'an ordinary Float64Array';
  const rounds = 11;
  print(await alternate(`sum of 10 million Float64, ${label}`, against, rounds, () => sum(shared), () => sum(ordinary)));
  print(
    await alternate(`fill of 10 million Float64, ${label}`, against, rounds, () => shared.fill(2), () => ordinary.fill(2)),
  );
  print(
    await alternate(`set of 10 million Float64, ${label}`, against, rounds, () => shared.set(source), () => ordinary.set(source)),
  );
  shm.detach(shared);
}
