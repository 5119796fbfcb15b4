'use strict';

// Views over an attachment's ArrayBuffer.

// What an ArrayBuffer of ours, or the handle of an attachment without one, stands for: { number, backend, key }. A
// private field on an object of another class: as hidden as an entry of a WeakMap, and written twenty times as fast.
class Itself {
  constructor(object) {
    return object;
  }
}

class Attachment extends Itself {
  #attachment;

  constructor(object, attachment) {
    super(object);
    this.#attachment = attachment;
  }

  static of(object) {
    return #attachment in object ? object.#attachment : undefined;
  }
}

const attachments = {
  set(object, attachment) {
    // A further view of a buffer finds it there.
    if (Attachment.of(object) === undefined) new Attachment(object, attachment);
  },
  get: (object) => Attachment.of(object),
};

function toArray(buffer, size, { name, constructor, bytes }) {
  return name === 'Buffer' ? Buffer.from(buffer, 0, size) : new constructor(buffer, 0, Math.floor(size / bytes));
}

function toHandle(attachment, size) {
  const handle = { key: attachment.key, size };
  attachments.set(handle, attachment);
  return Object.freeze(handle);
}

function toView(buffer, size, type, key, detach) {
  const view = toArray(buffer, size, type);
  // Not enumerable: but for its memory, a view is equal to a plain array of the same elements.
  Object.defineProperty(view, 'key', { value: key });
  if (Symbol.dispose !== undefined) {
    Object.defineProperty(view, Symbol.dispose, { value: () => void detach(view), configurable: true });
  }
  return view;
}

module.exports = { attachments, toArray, toHandle, toView };
