'use strict';

// The state of the tags of Next.js, for all processes. Each known tag has a record: entries older than `since` are
// gone; entries older than `stale` have to be made again, and are gone after `expired`.
//
// A record may be evicted, and then the state of its tag is not known. So entries with a tag without a record count as
// gone, and a new record says that all older entries are gone.

// The `ttl` of the map object does not apply to these records.
const FOR_EVER = Object.freeze({ ttl: Infinity });

class Tags {
  #map;
  #keyOf;

  constructor(map, keyOf) {
    this.#map = map;
    this.#keyOf = keyOf;
  }

  /** Makes missing records, for entries that are made at `time` or later. */
  know(tags, time) {
    for (const tag of tags) {
      const key = this.#keyOf(tag);
      if (!this.#map.has(key)) this.#map.add(key, JSON.stringify({ since: time }), FOR_EVER);
    }
  }

  /** The same for a reader, who goes on if there is no room, or another writer holds that part of the map. */
  tryToKnow(tags, time) {
    try {
      this.know(tags, time);
    } catch (error) {
      if (error.code !== 'EBUSY' && error.code !== 'ERR_SHM_FULL') throw error;
      // Entries with a tag without a record count as gone.
    }
  }

  /** The state by these tags of an entry that was made at `time`: 'fresh', 'stale' or 'gone'. */
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

  /**
   * Invalidates entries made until now: at once, or with `durations`, when they were made again or the time is over.
   */
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
