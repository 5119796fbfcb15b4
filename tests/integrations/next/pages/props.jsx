import { randomUUID } from 'node:crypto';

export const getStaticProps = () => ({ props: { value: randomUUID() }, revalidate: 3600 });

export default function Props({ value }) {
  return <p>{`value:${value}`}</p>;
}
