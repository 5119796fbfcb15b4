'use strict';

const express = require('express');
const session = require('express-session');
const { SessionStore } = require('shm-node/express-session');

const store = new SessionStore({ key: process.env.KEY, memory: 1 << 20 });
const app = express();
app.use(session({ store, secret: 's', resave: false, saveUninitialized: false, cookie: { maxAge: 3_600_000 } }));
const answer = ({ session: { user } }, response) => response.json({ pid: process.pid, user });
app.get('/login', (request, response) => {
  request.session.user = 'ada';
  answer(request, response);
});
app.get('/logout', (request, response) => request.session.destroy(() => response.json({})));
app.get('/', answer);
app.listen(process.env.PORT, '127.0.0.1');
