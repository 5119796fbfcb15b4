'use strict';

// Views over an attachment's ArrayBuffer.

// What an ArrayBuffer of ours stands for: { number, backend, key }. A private field on an object of another class: as
// hidden as an entry of a WeakMap, and written twenty times as fast.
class Itself {
  constructor(object) {
    return object;
  }
}

class Attachment extends Itself {
  #attachment;

  constructor(buffer, attachment) {
    super(buffer);
    this.#attachment = attachment;
  }

  static of(buffer) {
    return #attachment in buffer ? buffer.#attachment : undefined;
  }
}

const attachments = {
  set(buffer, attachment) {
    // A further view of a buffer finds it there.
    if (Attachment.of(buffer) === undefined) new Attachment(buffer, attachment);
  },
  get: (buffer) => Attachment.of(buffer),
};

function toArray(buffer, size, { name, constructor, bytes }) {
  return name === 'Buffer' ? Buffer.from(buffer, 0, size) : new constructor(buffer, 0, Math.floor(size / bytes));
}

function toView(buffer, size, type, key, detach) {
  const view = toArray(buffer, size, type);
  Object.defineProperty(view, 'key', { value: key, enumerable: true });
  if (Symbol.dispose !== undefined) {
    Object.defineProperty(view, Symbol.dispose, { value: () => void detach(view), configurable: true });
  }
  return view;
}

module.exports = { attachments, toArray, toView };
