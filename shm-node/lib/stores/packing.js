'use strict';

// An object of Next.js as bytes: the length of its JSON, the JSON, and then the bytes that the object contains. These
// are fields, or values of fields that are a Map.

/** The bytes of `head`, which JSON can represent, and of an object or null. */
function pack(head, object) {
  const parts = [];
  const put = (bytes, name, key) => parts.push({ bytes, at: [name, bytes.length, key] });
  const maps = [];
  const plain = object && {};
  for (const [name, field] of Object.entries(object ?? {})) {
    if (field instanceof Uint8Array) put(field, name);
    else if (field instanceof Map) {
      maps.push(name);
      for (const [key, bytes] of field) put(bytes, name, key);
    } else plain[name] = field;
  }
  const json = Buffer.from(JSON.stringify({ head, plain, maps, parts: parts.map(({ at }) => at) }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json, ...parts.map(({ bytes }) => bytes)]);
}

/** `{ head, object }` of such bytes. */
function unpack(bytes) {
  let end = 4 + bytes.readUInt32LE();
  const { head, plain: object, maps, parts } = JSON.parse(bytes.toString('utf8', 4, end));
  for (const name of maps) object[name] = new Map();
  for (const [name, length, key] of parts) {
    const part = bytes.subarray(end, (end += length));
    if (key === undefined || key === null) object[name] = part;
    else object[name].set(key, part);
  }
  return { head, object };
}

module.exports = { pack, unpack };
