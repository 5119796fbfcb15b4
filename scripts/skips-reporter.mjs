// A reporter of node:test that writes the reason of each skipped test, a line each: `reason<TAB>file: test`.

import { basename } from 'node:path';

export default async function* skips(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' || !data.skip) continue;
    yield `${data.skip === true ? 'no reason' : data.skip}\t${basename(data.file ?? '')}: ${data.name}\n`;
  }
}
