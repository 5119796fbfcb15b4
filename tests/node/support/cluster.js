'use strict';

// A cluster of workers that serve HTTP on one port, and die when they are told to.

const http = require('node:http');
const { folder, start } = require('../support.js');

const WORKERS = 4;

/** Runs in the primary: tells the port of the workers, and its own, where one asks for a worker's death. */
function runPrimary(cluster, http, workers, ready) {
  // The workers accept themselves: what the primary has handed to a worker that dies would never be answered.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const listening = () => new Promise((resolve) => cluster.fork().once('listening', ({ port }) => resolve(port)));
  const deaths = http.createServer(async ({ url }, response) => {
    const worker = Object.values(cluster.workers).find(({ process: { pid } }) => url === `/${pid}`);
    const died = new Promise((resolve) => worker.once('exit', resolve));
    worker.process.kill('SIGKILL');
    await died;
    await listening();
    response.end();
  });
  deaths.listen(0, '127.0.0.1', async () => {
    const [port] = await Promise.all(Array.from({ length: workers }, listening));
    ready({ port, deaths: deaths.address().port });
  });
}

/**
 * Starts workers that each run `serve(map, need, folder)`, which listens on port 0 of 127.0.0.1 and gets other packages
 * by `need(name)`. Gives `get(path, headers)`; `kill(pid)`, which is done when another worker serves; and `stop()`.
 */
async function startCluster(map, serve) {
  const primary = start(
    `(shm, folder, key, file, workers) => {
      const cluster = require('cluster');
      if (cluster.isPrimary) return (${runPrimary})(cluster, require('http'), workers, ready);
      const { SharedMap } = require(folder + '/map.js');
      (${serve})(new SharedMap(key), require('module').createRequire(file), folder);
    }`,
    [folder, map.key, __filename, WORKERS],
    { env: { SHM_NODE_QUIET: '1' } },
  );
  const { port, deaths } = await primary.ready;
  return {
    get: (path, headers) => get(port, path, headers),
    kill: (pid) => get(deaths, `/${pid}`),
    async stop() {
      primary.child.kill();
      const { stderr } = await primary.ended;
      return stderr;
    },
  };
}

/** One request over a connection of its own: { status, headers, body }; undefined where the server died at it. */
function get(port, path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, path, headers, agent: false, host: '127.0.0.1' }, (response) => {
      const { statusCode: status, headers } = response;
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('error', lost).on('end', () => resolve({ status, headers, body }));
    });
    const lost = (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(undefined) : reject(error));
    request.on('error', lost);
  });
}

module.exports = { get, startCluster };
