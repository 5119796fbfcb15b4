import { revalidatePath, revalidateTag } from 'next/cache';

export const dynamic = 'force-dynamic';

export function GET({ nextUrl: { searchParams } }) {
  const [path, tag, profile] = ['path', 'tag', 'profile'].map((name) => searchParams.get(name));
  if (path !== null) revalidatePath(path);
  if (tag !== null) revalidateTag(tag, profile ?? { expire: 0 });
  return new Response('done');
}
