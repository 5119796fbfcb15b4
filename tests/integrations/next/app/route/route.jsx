import { randomUUID } from 'node:crypto';

export const dynamic = 'force-static';
export const revalidate = 3600;

export const GET = () => new Response(`value:${randomUUID()}`);
