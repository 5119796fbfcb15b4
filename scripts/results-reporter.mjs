// A reporter of node:test that writes what became of each test, a line of JSON each. Groups of tests are not counted.

import { basename } from 'node:path';

export default async function* results(events) {
  const groups = [];
  for await (const { type, data } of events) {
    if (type === 'test:start') groups.splice(data.nesting, Infinity, data.name);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const inner = data.details.error?.failureType === 'subtestsFailed';
    if (inner || (data.details.type === 'suite' && type === 'test:pass' && data.skip === undefined)) continue;
    const verdict = type === 'test:fail' && data.todo === undefined ? 'failed' : data.skip === undefined ? 'passed' : 'skipped';
    const reason = data.skip === true || data.skip === '' ? 'no reason' : data.skip;
    const claim = [...groups.slice(0, data.nesting), data.name].join(' > ');
    const error = verdict === 'failed' ? String(data.details.error?.cause?.message ?? data.details.error) : undefined;
    yield `${JSON.stringify({ file: basename(data.file ?? '', '.test.js'), claim, verdict, reason, error })}\n`;
  }
}
