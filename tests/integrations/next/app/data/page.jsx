import { randomUUID } from 'node:crypto';
import { unstable_cache as cached } from 'next/cache';

export const dynamic = 'force-dynamic';

const load = cached(async () => randomUUID(), ['data'], { tags: ['data'] });

export default async function Page() {
  return <p>{`value:${await load()}`}</p>;
}
