'use strict';

// What the tests of the package as a whole share.

const { spawnSync } = require('node:child_process');
const { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..', '..', '..');

/** The package under test. */
const packageFolder = path.resolve(process.env.SHM_NODE_PACKAGE ?? path.join(root, 'shm-node'));

/** The backends of the build under test. */
const built = require(path.join(packageFolder, 'lib', 'native.js')).backendNames();

/** How a shell runs a program on this runtime; without a shell, Deno adds what it needs itself. */
const runtime = `"${process.execPath}"${typeof Deno === 'undefined' ? '' : ' run -A'}`;

/** For tests that do not depend on the build: `npm test` runs the suite on three, and these on the first. */
const once = { skip: ['sysv', 'posix'].includes(path.basename(packageFolder)) && 'the same for every build' };

const temporary = () => mkdtempSync(path.join(tmpdir(), 'shm-node-test-'));

/** Runs a program to its end and gives { status, stdout, stderr }; throws where it did not do as expected. */
function run(command, args, { status = 0, ...options } = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (result.error) throw result.error;
  if (status !== undefined && result.status !== status) {
    throw new Error(`${command} ${args.join(' ')}: ${result.status ?? result.signal}\n${result.stdout}${result.stderr}`);
  }
  return result;
}

/** The examples beside the package under test, as they are beside shm-node; returns their folder. */
function exampleFolder(folder) {
  const place = path.join(folder, 'shm-node');
  if (process.platform === 'win32') cpSync(packageFolder, place, { recursive: true }); // not everybody may make links
  else symlinkSync(packageFolder, place);
  cpSync(path.join(root, 'examples'), path.join(folder, 'examples'), { recursive: true });
  return path.join(folder, 'examples');
}

/**
 * Packs the package under test and installs it, offline and in an environment, into an empty project; gives the
 * project's folder and how to remove it.
 */
function installed(env = process.env) {
  const folder = temporary();
  try {
    const [prebuilds, project] = [path.join(folder, 'prebuilds'), path.join(folder, 'project')];
    const { platform } = require(path.join(packageFolder, 'lib', 'platform.js'));
    cpSync(path.join(packageFolder, 'shm-node.node'), path.join(prebuilds, platform, 'shm-node.node'));
    run(process.execPath, [path.join(root, 'scripts', 'package.mjs'), '--prebuilds', prebuilds, '--into', folder]);
    mkdirSync(project);
    writeFileSync(path.join(project, 'package.json'), '{ "name": "empty", "private": true }');
    const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--cache', path.join(folder, 'cache')];
    run('npm', ['install', ...flags, path.join(folder, 'shm-node-0.1.0.tgz')], { cwd: project, env });
    return { project, remove: () => rmSync(folder, { recursive: true, force: true }) };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

module.exports = { built, exampleFolder, installed, once, packageFolder, root, run, runtime, temporary };
