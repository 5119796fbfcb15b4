// A reporter of node:test that writes each test as a line: `passed` or `failed`, a tab, its file and its name.

import { basename } from 'node:path';

export default async function* lines(events) {
  for await (const { type, data } of events) {
    if (!['test:pass', 'test:fail'].includes(type) || data.skip || data.details?.type === 'suite') continue;
    yield `${type === 'test:pass' ? 'passed' : 'failed'}\t${basename(data.file ?? '')}: ${data.name}\n`;
  }
}
