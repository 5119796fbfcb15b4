// npm run test:platforms [-- NAME...] [-- --short] [-- --prebuilds FOLDER]: the Node tests on each platform that can
// run on this machine, and the README's first example in an empty project where the tarball was installed. The tarball
// is that of npm run package -- --all, or has the binaries of the folder, or in the short form those that it needs.
// Sets up what it needs in target/platforms. Writes what it saw to docs/platforms.md, except in the short form. Fails
// where a test fails, where one is skipped for a reason that is not in tests/skips.txt, and where a platform cannot be
// set up.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { copyPackage, install, parsed } from './build.mjs';
import { emptyProject, firstExample, packed } from './empty-project.mjs';
import { finish } from './finish.mjs';
import { containers } from './platforms/containers.mjs';
import { platforms as folder } from './platforms/debian.mjs';
import { kernels } from './platforms/kernels.mjs';
import { linuxes } from './platforms/linux.mjs';
import { report } from './platforms/report.mjs';
import { windows } from './platforms/windows.mjs';
import { buildFor } from './prebuilds.mjs';
import { fail, root, run } from './run.mjs';
import { isListed } from './skips.mjs';

const PLATFORMS = [...linuxes, ...containers, ...kernels, ...windows];
const HOUR = 3_600_000;

const { values, positionals } = parsed({ short: { type: 'boolean' }, prebuilds: { type: 'string' } }, true);
const unknown = positionals.find((name) => !PLATFORMS.some((platform) => platform.name === name));
if (unknown !== undefined) fail(`${unknown}: no such platform. There are ${PLATFORMS.map(({ name }) => name).join(', ')}.`);
if (process.platform !== 'linux' || process.arch !== 'x64' || process.getuid() !== 0) fail('This needs root, and Linux on x64.');
if (!existsSync(join(root, 'node_modules'))) run('npm', ['ci', '--no-audit', '--no-fund']);

const wanted = PLATFORMS.filter(({ name, short }) => (positionals.length === 0 || positionals.includes(name)) && (!values.short || short));
mkdirSync(folder, { recursive: true });
const { tarball, prebuilds } = packageOf(wanted);
const seen = [];
for (const platform of wanted) {
  const result = await test(platform);
  console.log(`${platform.name}: ${summary(result)}`);
  for (const { file, claim, error } of result.failed) console.log(`  failed: ${file}: ${claim}\n    ${error}`);
  for (const { file, claim, reason } of unlisted(result)) console.log(`  skipped, and not in tests/skips.txt: ${file}: ${claim}: ${reason}`);
  if (result.example === false) console.log('  the first example of the README does not print what it should');
  seen.push(result);
  if (values.short) continue;
  const file = join(root, 'docs', 'platforms.md');
  writeFileSync(file, report(PLATFORMS, { name: platform.name, ...result }, readFileSync(file, 'utf8')));
}
const isBad = (result) => result.missing !== undefined || !result.example || result.failed.length > 0 || unlisted(result).length > 0;
process.exitCode = seen.some(isBad) ? 1 : 0;

/** The package with every binary (in the short form, with those of some platforms), and the folder of the binaries. */
function packageOf(platforms) {
  const into = join(folder, 'package');
  if (values.prebuilds === undefined && !values.short) {
    return { tarball: packed(into, '--all'), prebuilds: join(root, 'target', 'prebuilds') };
  }
  const prebuilds = values.prebuilds ?? join(folder, 'prebuilds');
  if (values.prebuilds === undefined) for (const binary of new Set(platforms.map(({ binary }) => binary))) buildFor(binary, prebuilds);
  return { tarball: packed(into, '--prebuilds', prebuilds), prebuilds };
}

function summary({ missing, version, passed, skipped, failed }) {
  if (missing !== undefined) return `not run: ${missing}`;
  return `Node ${version}: ${passed.length} passed, ${skipped.length} skipped, ${failed.length} failed`;
}

function unlisted({ skipped }) {
  return skipped.filter(({ reason }) => !isListed(reason));
}

/** What a platform's tests, and the first example, come to there. */
async function test({ name, binary, files, short, tests, left = {}, prepare }) {
  const results = { passed: [], skipped: [], failed: [] };
  let place;
  try {
    place = prepare();
  } catch ({ message }) {
    return { ...results, ran: [], missing: message };
  }
  const own = join(folder, name);
  const [loose, project] = [join(own, 'package'), join(own, 'project')];
  rmSync(own, { recursive: true, force: true });
  for (const part of [loose, project]) mkdirSync(part, { recursive: true });
  copyPackage(loose);
  install(join(prebuilds, binary, 'shm-node.node'), loose);

  const node = [...place.under, join(place.bin, 'node')];
  const env = { ...process.env, PATH: [place.bin, process.env.PATH].join(delimiter), NODE_OPTIONS: '', SHM_NODE_PACKAGE: loose, ...place.env };
  const version = spawnSync(node[0], [...node.slice(1), '--version'], { encoding: 'utf8', env }).stdout.trim().slice(1);
  emptyProject(project, tarball, place.npm, env);
  const example = await finish([...node, join(project, 'first.cjs')], HOUR, { cwd: project, env });

  const chosen = tests ?? testsOf(values.short ? short : files);
  const reporter = `--test-reporter=${join(root, 'scripts', 'results-reporter.mjs')}`;
  for (const file of chosen) {
    const reason = left[basename(file, '.test.js')];
    if (reason !== undefined) {
      results.skipped.push({ file: basename(file, '.test.js'), claim: 'all of it', reason });
      continue;
    }
    const args = ['--test', '--test-timeout=600000', reporter, file];
    const look = async () => resultsIn(await finish([...node, ...args], HOUR, { cwd: root, env }), basename(file, '.test.js'));
    let one = await look();
    // What fails for want of processor time on a busy machine does not fail twice.
    if (one.some(({ verdict }) => verdict === 'failed')) one = await look();
    for (const result of one) results[result.verdict].push(result);
    const count = (wanted) => one.filter(({ verdict }) => verdict === wanted).length;
    console.log(`  ${basename(file, '.test.js')}: ${count('passed')} passed, ${count('skipped')} skipped, ${count('failed')} failed`);
  }
  const ran = chosen.map((file) => basename(file, '.test.js')).filter((file) => !(file in left));
  return { ...results, version, ran, example: example.output === firstExample().output };
}

/** The files of the Node tests whose names match. */
function testsOf(names) {
  const files = readdirSync(join(root, 'tests', 'node')).filter((file) => file.endsWith('.test.js'));
  return files.filter((file) => names.test(basename(file, '.test.js'))).map((file) => join('tests', 'node', file));
}

/** The results of tests that a file has told. */
function resultsIn({ output, code }, file) {
  const lines = output.split('\n').filter((line) => line.startsWith('{"file":'));
  const results = lines.map((line) => JSON.parse(line));
  if (code === 0 || results.some(({ verdict }) => verdict === 'failed')) return results;
  const error = output.split('\n').filter((line) => !line.startsWith('{"file":')).slice(-5).join('\n');
  return [...results, { file, claim: 'it does not come to its end', verdict: 'failed', error }];
}
