'use strict';

// A server. Several processes run it and share everything: loaded values, counts and logins. cluster.js starts them as
// a cluster, ecosystem.config.js under pm2. Neither file has anything about the maps.
//
// It needs the packages express, express-rate-limit and express-session.

const express = require('express');
const { rateLimit } = require('express-rate-limit');
const session = require('express-session');
const { SharedMap } = require('../../shm-node/map.js');
const { RateLimitStore } = require('../../shm-node/stores/express-rate-limit.js');
const { SessionStore } = require('../../shm-node/stores/express-session.js');

// Every process uses the same names. Raise the version when the meaning of the stored values changes.
const { SHOP = 'example-shop-v1', PORT = '3000', LIMIT = '100' } = process.env;
// On a machine with far too much to do, a request waits for its turn to write. (After 100 ms it would fail.)
const lockTimeout = 30_000;
const cache = new SharedMap(`/${SHOP}-cache`, { memory: 16 << 20, ttl: 60_000, lockTimeout });
const limits = new RateLimitStore({ key: `/${SHOP}-limits`, memory: 4 << 20, lockTimeout });
const sessions = new SessionStore({ key: `/${SHOP}-sessions`, memory: 16 << 20, lockTimeout });

async function loadProduct(key) {
  cache.increment('loads'); // and ask the database
  return { name: key, price: 12.5 };
}

const app = express();
app.use(rateLimit({ windowMs: 60_000, limit: Number(LIMIT), standardHeaders: 'draft-6', store: limits }));
app.use(
  session({
    store: sessions,
    secret: process.env.SECRET ?? 'an example',
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 3_600_000 },
  }),
);
app.get('/product/:id', async ({ params }, response) => {
  const product = await cache.getOrSet(`product:${params.id}`, loadProduct, { tags: ['products'] });
  response.json({ ...product, loads: cache.get('loads'), pid: process.pid });
});
app.get('/login/:user', (request, response) => {
  request.session.user = request.params.user;
  response.json({ user: request.session.user, pid: process.pid });
});
app.get('/me', ({ session: { user = null } }, response) => response.json({ user, pid: process.pid }));

app.listen(Number(PORT), () => process.send?.('ready')); // pm2 waits for that
