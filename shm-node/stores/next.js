'use strict';

// Next.js's caches in a map, so that all processes that serve an application have the same pages, and a tag that one of
// them revalidates is revalidated for all.

const { createHash } = require('crypto');
const { readFileSync } = require('fs');
const { join } = require('path');
const { ReadableStream } = require('stream/web');
const { objectOf } = require('../lib/map/options.js');
const { pack, unpack } = require('../lib/stores/packing.js');
const { placeOf } = require('../lib/stores/place.js');
const { Tags } = require('../lib/stores/tags.js');
const { SharedMap } = require('../map.js');

const TAGS_HEADER = 'x-next-cache-tags';
const LONG = 512;

/** The class that next.config.js names as `cacheHandler`: of pages, route handlers and `fetch`. */
function cacheHandler(options) {
  const { map, keyOf, tags } = openCache(options);
  let build;

  class CacheHandler {
    static map = map;
    #revalidated;
    #build;

    constructor({ serverDistDir, revalidatedTags = [] } = {}) {
      this.#revalidated = revalidatedTags;
      this.#build = build ??= buildIn(serverDistDir);
    }

    /** Pages are of one build, what `fetch` gave is not. */
    #keyOf(key, isOfFetch) {
      return isOfFetch ? keyOf('fetch', key) : keyOf(`route:${this.#build}`, key);
    }

    async get(key, { kind, tags: tagsOfRequest = [], softTags = [] } = {}) {
      const isOfFetch = kind === 'FETCH';
      const bytes = map.get(this.#keyOf(key, isOfFetch));
      const asked = isOfFetch ? [...tagsOfRequest, ...softTags] : [];
      tags.tryToKnow(asked, Date.now());
      if (bytes === undefined) return null;
      const { head, object: value } = unpack(bytes);
      const { tags: tagsOfEntry, ...entry } = head;
      const all = [...tagsOfEntry, ...asked];
      if (all.some((tag) => this.#revalidated.includes(tag))) return null;
      const state = tags.look(all, entry.lastModified);
      if (state === 'gone') return null;
      return { ...entry, value, ...(state === 'stale' && toBeMadeAnew(entry, isOfFetch)) };
    }

    async set(key, value, { fetchCache, cacheControl, tags: tagsOfRequest = [] } = {}) {
      const lastModified = Date.now();
      const all = tagsOf(value, tagsOfRequest);
      tags.know(all, lastModified);
      const { expire } = cacheControl ?? {};
      const ttl = expire > 0 ? expire * 1000 : Infinity;
      const place = this.#keyOf(key, fetchCache === true || value?.kind === 'FETCH');
      write(map, place, pack({ lastModified, cacheControl, tags: all }, value), { ttl });
    }

    async revalidateTag(given, durations) {
      tags.invalidate([given].flat(), durations);
    }

    resetRequestCache() {}
  }
  return CacheHandler;
}

/** One of the `cacheHandlers` of next.config.js: of functions and components with `use cache`. */
function useCacheHandler(options) {
  const { map, keyOf, tags } = openCache(options);
  const pending = new Map();

  return {
    map,

    async get(key, softTags) {
      await pending.get(key);
      tags.tryToKnow(softTags, Date.now());
      const bytes = map.get(keyOf('use', key));
      if (bytes === undefined) return undefined;
      const { head: entry, object } = unpack(bytes);
      const state = tags.look([...entry.tags, ...softTags], entry.timestamp);
      if (state === 'gone') return undefined;
      return { ...entry, ...(state === 'stale' && { revalidate: -1 }), value: streamOf(object.value) };
    },

    async set(key, given) {
      const set = store(key, given);
      pending.set(key, set);
      try {
        await set;
      } finally {
        if (pending.get(key) === set) pending.delete(key);
      }
    },

    async refreshTags() {},

    /** `get` sees to them itself. */
    async getExpiration() {
      return Infinity;
    },

    async updateTags(given, durations) {
      tags.invalidate(given, durations);
    },
  };

  async function store(key, given) {
    try {
      const { value: stream, ...entry } = await given;
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      if (!(entry.expire > 0)) return;
      tags.know(entry.tags, entry.timestamp);
      const ttl = entry.timestamp + entry.expire * 1000 - Date.now();
      const value = Buffer.concat(chunks);
      if (ttl > 0) write(map, keyOf('use', key), pack(entry, { value }), { ttl });
    } catch (error) {
      // As Next.js does it where a page cannot be stored.
      console.warn('Failed to update the cache for', key, error);
    }
  }
}

/** `{ map, keyOf, tags }` of a handler's options. */
function openCache(options) {
  const { map, prefix } = placeWhileServing(options);
  const keyOf = (kind, name) => `${prefix}${kind}:${short(name)}`;
  return { map, keyOf, tags: new Tags(map, (tag) => keyOf('tag', tag)) };
}

/** The place of the options; while Next.js builds, a map of this process alone, so that nothing of it is served. */
function placeWhileServing(options) {
  if (process.env.NEXT_PHASE !== 'phase-production-build') return placeOf(options, 'next:');
  const { map: _map, key: _key, prefix = 'next:', memory = 16 << 20, ...rest } = objectOf(options);
  return { map: new SharedMap({ ...rest, memory, persist: false }), prefix };
}

/** Writes, or removes what was there before and throws. */
function write(map, key, bytes, options) {
  try {
    map.set(key, bytes, options);
  } catch (error) {
    map.delete(key);
    throw error;
  }
}

const tagsOf = (value, given) => {
  const header = value?.headers?.[TAGS_HEADER];
  const ofPage = typeof header === 'string' && header !== '' ? header.split(',') : [];
  return [...new Set([...ofPage, ...(value?.tags ?? []), ...given])];
};

/** What makes Next.js give an entry once more, and make it anew meanwhile. */
function toBeMadeAnew({ lastModified, cacheControl }, isOfFetch) {
  // It may be kept for ever.
  if (isOfFetch) return { lastModified: Number.MIN_SAFE_INTEGER };
  return { lastModified: Math.min(lastModified, Date.now() - 2000), cacheControl: { ...cacheControl, revalidate: 1 } };
}

/** A name that is a key's end: as it is, or where it is long, what stands for it. */
const short = (name) =>
  Buffer.byteLength(name) <= LONG ? name : `#${createHash('sha256').update(name).digest('base64')}`;

function buildIn(serverDistDir) {
  if (serverDistDir === undefined) return '';
  try {
    return readFileSync(join(serverDistDir, '..', 'BUILD_ID'), 'utf8').trim();
  } catch {
    return ''; // the development server has none
  }
}

const streamOf = (bytes) =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
  });

module.exports = { cacheHandler, useCacheHandler };
