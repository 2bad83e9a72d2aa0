/* What all who open a file need; chexnet/imaging/containers.py in the browser. */

/** Why a picture cannot be read: what was found, as `ImageError` says it. */
export class Refusal extends Error {
  /** `advice`: whether the sentence that says how to export it follows. */
  constructor(problem, advice = true) {
    super(problem);
    this.advice = advice;
  }
}

export const ONE_VALUE = "is blank: every pixel has the same value.";

/** Refuse what is too large, too small or too long to be a radiograph, before it is decoded. */
export function checkSize(width, height, { max_pixels, min_side, max_aspect }) {
  const [across, down, most] = [width, height, max_pixels].map((value) => value.toLocaleString("en-US"));
  const problem = `is ${across} x ${down} pixels`;
  if (width * height > max_pixels) {
    throw new Refusal(`${problem}; at most ${most} in all can be read. Reduce it first.`, false);
  }
  if (Math.min(width, height) < min_side) {
    throw new Refusal(`${problem}; a side needs at least ${min_side}. Export it in full size.`, false);
  }
  if (Math.max(width, height) > max_aspect * Math.min(width, height)) {
    throw new Refusal(`${problem}, too long for a chest radiograph. Crop it to the chest.`, false);
  }
}

/** Bytes as text, each a letter. */
export const letters = (bytes, at = 0, count = bytes.length) => String.fromCharCode(...bytes.subarray(at, at + count));

/**
 * The first `size` bytes that parts unpack to; the rest stays packed.
 *
 * @param {Uint8Array[]} parts
 * @param {"deflate" | "deflate-raw"} kind
 * @param {number} size
 * @param {boolean} whole an error where there are fewer.
 */
export async function inflate(parts, kind, size, whole = true) {
  const stream = new Blob(/** @type {BlobPart[]} */ (parts)).stream().pipeThrough(new DecompressionStream(kind));
  const unpacked = new Uint8Array(size), reader = stream.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at === size) {
      reader.cancel();
      break;
    }
    unpacked.set(value.subarray(0, size - at), at);
    at = Math.min(size, at + value.length);
  }
  if (at < size && whole) throw new Error("cut off");
  return unpacked.subarray(0, at);
}

/** The CRC-32 of bytes (PNG specification, annex D). */
export function checksum(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** Bytes as base64 text; in parts, as a function takes only so many arguments. */
export function base64Of(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2 ** 14) text += letters(bytes, at, 2 ** 14);
  return btoa(text);
}

/** Bytes as zlib packs them. */
export async function deflated(bytes) {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
