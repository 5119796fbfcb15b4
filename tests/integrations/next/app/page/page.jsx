import { randomUUID } from 'node:crypto';

export const revalidate = 3600;

export default function Page() {
  return <p>{`value:${randomUUID()}`}</p>;
}
