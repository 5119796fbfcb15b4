'use strict';

// What is known of the tags of Next.js, for all processes. A tag that is known has a record: what is older than `since`
// is gone with the tag; what is older than `stale` is to be made anew, and goes at `expired`.
//
// A record may be evicted, and what it said is not known then. So what has a tag without a record counts as gone, and a
// new record says that nothing older is known.

// What the map's own default says is of what it holds for others.
const FOR_EVER = Object.freeze({ ttl: Infinity });

class Tags {
  #map;
  #keyOf;

  constructor(map, keyOf) {
    this.#map = map;
    this.#keyOf = keyOf;
  }

  /** Makes records where there are none, of things that are made at a time or later. */
  know(tags, time) {
    for (const tag of tags) {
      const key = this.#keyOf(tag);
      if (!this.#map.has(key)) this.#map.add(key, JSON.stringify({ since: time }), FOR_EVER);
    }
  }

  /** What the tags say of something that was made at a time: 'fresh', 'stale' or 'gone'. */
  look(tags, time) {
    const now = Date.now();
    let answer = 'fresh';
    for (const tag of tags) {
      const text = this.#map.get(this.#keyOf(tag));
      if (text === undefined) return 'gone';
      const { since, stale, expired } = JSON.parse(text);
      if (time < since || (time <= expired && expired <= now)) return 'gone';
      if (time <= stale) answer = 'stale';
    }
    return answer;
  }

  /** Invalidates what was made until now: at once, or, where `durations` are given, when it was made anew or they end. */
  invalidate(tags, durations) {
    const now = Date.now();
    for (const tag of tags) {
      if (durations === undefined) {
        this.#map.set(this.#keyOf(tag), JSON.stringify({ since: now + 1 }), FOR_EVER);
        continue;
      }
      const { expire } = durations;
      const change = { stale: now, ...(expire !== undefined && { expired: now + expire * 1000 }) };
      this.#update(this.#keyOf(tag), (record) => ({ since: now + 1, ...record, ...change }));
    }
  }

  #update(key, change) {
    for (;;) {
      const entry = this.#map.getEntry(key);
      const text = JSON.stringify(change(entry && JSON.parse(entry.value)));
      const isDone =
        entry === undefined
          ? this.#map.add(key, text, FOR_EVER)
          : this.#map.replace(key, entry.version, text, FOR_EVER);
      if (isDone) return;
    }
  }
}

module.exports = { Tags };
