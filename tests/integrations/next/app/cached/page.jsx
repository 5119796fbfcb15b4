import { randomUUID } from 'node:crypto';
import { cacheLife, cacheTag } from 'next/cache';

export const dynamic = 'force-dynamic';

async function load() {
  'use cache';
  cacheTag('cached');
  cacheLife('hours');
  return randomUUID();
}

export default async function Page() {
  return <p>{`value:${await load()}`}</p>;
}
