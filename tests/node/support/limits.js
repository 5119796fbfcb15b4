'use strict';

// What every limit that the workers of a cluster share is to hold. `serve` lets LIMIT requests to each path pass in an
// hour, and any to /pid; it answers with the worker's pid.

const assert = require('node:assert/strict');
const { after, before, it } = require('node:test');
const { startCluster } = require('./cluster.js');

const LIMIT = 30;
const BATCH = 12;
const KILLS = 2;

const counted = (answers, status) => answers.filter((answer) => answer.status === status).length;

/** The tests: `count(path)` gives how many requests were counted. */
function testLimits(map, serve, count) {
  let cluster;
  before(async () => (cluster = await startCluster(map, serve)));
  after(async () => assert.equal(await cluster?.stop(), ''));

  const batch = (path) => Promise.all(Array.from({ length: BATCH }, () => cluster.get(path)));

  it('lets exactly as many pass as the limit says, whichever worker answers, and whichever was killed', async () => {
    const answers = [];
    while (answers.length < 2 * LIMIT) {
      answers.push(...(await batch('/a')));
      if (answers.length <= KILLS * BATCH) await cluster.kill(answers.at(-1).body);
    }
    assert.deepEqual([counted(answers, 200), counted(answers, 429)], [LIMIT, LIMIT]);
    assert.ok(new Set(answers.slice(0, LIMIT).map(({ body }) => body)).size > KILLS);
    assert.equal(count('/a'), answers.length);
  });

  it('lets no more pass where workers are killed at it, and counts none twice', async () => {
    const answers = [];
    let lost = 0;
    let isOver = false;
    const kills = (async () => {
      for (let i = 0; i < KILLS; i++) await cluster.kill((await cluster.get('/pid')).body);
      isOver = true;
    })();
    while (!isOver || answers.length < 2 * LIMIT) {
      for (const answer of await batch('/b')) {
        if (answer === undefined) lost++;
        else answers.push(answer);
      }
    }
    await kills;
    const [passed, refused] = [counted(answers, 200), counted(answers, 429)];
    assert.equal(passed + refused, answers.length);
    assert.ok(passed <= LIMIT && passed + lost >= LIMIT, `${passed} passed, ${lost} were lost`);
    const hits = count('/b');
    assert.ok(hits >= answers.length && hits <= answers.length + lost, `${hits} of ${answers.length}, and ${lost} lost`);
  });
}

/** Writes to a map until not even the shortest entry has room. */
function fill(map) {
  for (const length of [500, 1]) {
    assert.throws(
      () => {
        for (let i = 0; ; i++) map.set(`fill ${length} ${i}`, 'x'.repeat(length));
      },
      { code: 'ERR_SHM_FULL' },
    );
  }
}

module.exports = { fill, testLimits };
