/* A picture's bytes to one gray picture, bone white, or a refusal: chexnet/imaging in the browser.

   A PNG is unpacked here: a canvas has 8 bits, and some browsers change what is read from it. A
   JPEG is the browser's. `limits` is `reading` of demo/local_facts.py.

   A radiograph is {pixels, width, height, low, high, facts}; see `Radiograph` and `Facts`. */

import { checkSize, checksum, inflate, letters, ONE_VALUE, Refusal } from "./container.js";
import { readDicom } from "./dicom.js";
import { histogram, valueRange } from "./value_range.js";

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // of a PNG's colour types
const [GRAY, PALETTE] = [0, 3];
// Where a pass begins, and how far its pixels are apart (PNG specification, section 8).
const WHOLE = [[0, 0, 1, 1]];
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
const NEEDED = ["IHDR", "PLTE", "tRNS", "acTL", "eXIf"];
const ORIENTATION = 0x0112;
// Markers of a JPEG. What else applications add may be a colour profile or a turn.
const [SCAN, COMMENT, APP0, APP1, ADOBE, LAST_APP] = [0xda, 0xfe, 0xe0, 0xe1, 0xee, 0xef];
const FRAMES = [0xc0, 0xc1, 0xc2];

/**
 * A picture as a radiograph.
 *
 * @param {Uint8Array} bytes
 * @param {any} limits
 * @returns {Promise<any>} or an error whose message a visitor may read.
 */
export async function read(bytes, limits) {
  try {
    const kind = kindOf(bytes);
    if (kind === "DICOM") return await readDicom(bytes, limits);
    const { turn, bits, ...picture } = await (kind === "PNG" ? readPng : readJpeg)(bytes, limits);
    const facts = { format: kind, bits, inverted: false, turned: turn > 1 };
    return { ...ranged(turned(picture, turn), limits), facts };
  } catch (error) {
    const { message, advice } = error instanceof Refusal
      ? error : new Refusal("is damaged, incomplete or of an unusual kind.");
    throw new Error(`The picture ${message}${advice ? ` ${limits.export}` : ""}`);
  }
}

/** Its format by its first bytes. */
function kindOf(bytes) {
  const head = letters(bytes, 0, 132), [first, second, , fourth] = bytes;
  if (!head) throw new Refusal("is empty.");
  if (head.slice(128) === "DICM") return "DICOM";
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (head.startsWith("\xff\xd8\xff")) return "JPEG";
  const tiff = /^(II[*+]\0|MM\0[*+])/.test(head);
  if (tiff || (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP")) {
    throw new Refusal(`is a ${tiff ? "TIFF" : "WebP"}, which cannot be read without a server.`);
  }
  // A DICOM without preamble; by its first element, of group 2 or 8.
  if (head.startsWith("DICM") || ([2, 8].includes(first) && second === 0 && fourth === 0)) return "DICOM";
  if (/^GIF8[79]a/.test(head)) throw new Refusal("is a GIF, which has too few shades of gray.");
  throw new Refusal("is not a PNG, JPEG, TIFF, WebP or DICOM picture.");
}

/** With the range that 8 bits have, or that 16 bits use; `as_radiograph`. */
function ranged(picture, limits) {
  const { pixels } = picture;
  if (pixels instanceof Uint16Array) {
    const { low, high } = valueRange(picture, histogram(pixels), limits.value_range);
    return { ...picture, low, high, pixels: pixels.map((value) => Math.min(high, Math.max(low, value))) };
  }
  if (pixels.every((value) => value === pixels[0])) throw new Refusal(ONE_VALUE);
  return { ...picture, low: 0, high: 255 };
}

/** The picture as EXIF's orientation says that it stands, 1 to 8. */
export function turned(picture, orientation) {
  if (orientation <= 1 || orientation > 8) return picture;
  const { pixels, width, height } = picture, across = orientation > 4;
  const [flipX, flipY] = [[2, 3, 7, 8], [3, 4, 6, 7]].map((ones) => ones.includes(orientation));
  const [w, h] = across ? [height, width] : [width, height];
  const upright = new pixels.constructor(pixels.length);
  for (let y = 0, i = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const [column, row] = across ? [y, x] : [x, y];
      upright[i++] = pixels[(flipY ? height - 1 - row : row) * width + (flipX ? width - 1 - column : column)];
    }
  }
  return { ...picture, pixels: upright, width: w, height: h };
}

/** The orientation that EXIF names; 1 where it names none. */
function orientationOf(tiff) {
  try {
    const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length), little = tiff[0] === 0x49;
    const at = view.getUint32(4, little);
    for (let entry = at + 2; entry < at + 2 + 12 * view.getUint16(at, little); entry += 12) {
      if (view.getUint16(entry, little) === ORIENTATION) return view.getUint16(entry + 8, little);
    }
  } catch { /* the pixels are there all the same */ }
  return 1;
}

/** Red, green and blue to gray with Pillow's weights, which leave equal channels as they are. */
const luma = (red, green, blue) => (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;

/**
 * Samples to gray; transparent becomes black.
 *
 * @param {Uint8Array | Uint8ClampedArray | Uint16Array} samples `channels` of each pixel.
 * @param {number} channels 1 or 3, and one more where the last is opacity.
 */
function grayOf(samples, channels) {
  const deep = samples instanceof Uint16Array, count = samples.length / channels, top = deep ? 65535 : 255;
  const gray = new (deep ? Uint16Array : Uint8Array)(count), colours = channels > 2;
  let most = channels % 2 ? top : 0;
  for (let i = 0, at = 0; i < count; i++, at += channels) {
    const [red, green, blue] = [samples[at], samples[at + 1], samples[at + 2]];
    if (deep && colours && (red !== green || red !== blue)) throw new Refusal("has 16 bits in colour.");
    gray[i] = colours && !deep ? luma(red, green, blue) : red;
    if (channels % 2) continue;
    const opacity = samples[at + channels - 1];
    most = Math.max(most, opacity);
    gray[i] = Math.floor((gray[i] * opacity + (top >> 1)) / top);
  }
  if (!most) throw new Refusal("is fully transparent.");
  return gray;
}

/** The chunks that a PNG's pixels need, by their kind; those of the pixels together. */
function chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = { IDAT: [] };
  for (let at = 8, kind = ""; kind !== "IEND"; ) {
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length) throw new Error("cut off");
    kind = letters(bytes, at + 4, 4);
    const data = bytes.subarray(at + 8, end - 4);
    if (kind === "IDAT") chunks.IDAT.push(data); // zlib has a checksum of its own
    else if (NEEDED.includes(kind)) {
      if (checksum(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) throw new Error("damaged");
      chunks[kind] ??= data;
    }
    at = end;
  }
  return chunks;
}

async function readPng(bytes, limits) {
  const { IHDR, IDAT, PLTE, tRNS, acTL, eXIf } = chunksOf(bytes);
  const header = new DataView(IHDR.buffer, IHDR.byteOffset, IHDR.length);
  const [width, height] = [header.getUint32(0), header.getUint32(4)], [depth, colour, , , interlaced] = IHDR.subarray(8);
  checkSize(width, height, limits);
  if (acTL?.[3] > 1) throw new Refusal("holds several pictures.");
  if (depth === 1) throw new Refusal("has 1 bit a pixel, only black and white.");
  const channels = CHANNELS[colour], passes = (interlaced ? ADAM7 : WHOLE)
    .map(([x, y, dx, dy]) => ({ x, y, dx, dy, w: Math.ceil((width - x) / dx), h: Math.ceil((height - y) / dy) }));
  const strideOf = ({ w }) => Math.ceil((w * channels * depth) / 8);
  const size = passes.reduce((sum, pass) => sum + pass.h * (1 + strideOf(pass)), 0);
  const data = await inflate(IDAT, "deflate", size);
  const samples = new (depth === 16 ? Uint16Array : Uint8Array)(width * height * channels);
  let at = 0;
  for (const { x, y, dx, dy, w, h } of passes) {
    const stride = strideOf({ w }), step = Math.max(1, (channels * depth) / 8);
    let above = new Uint8Array(stride);
    for (let line = 0; line < h; line++, at += stride + 1) {
      const row = data.subarray(at + 1, at + 1 + stride);
      unfilter(row, above, data[at], step);
      above = row;
      const start = ((y + line * dy) * width + x) * channels;
      if (depth === 8 && dx === 1) samples.set(row, start);
      else for (let i = 0; i < w * channels; i++) {
        samples[start + Math.floor(i / channels) * dx * channels + (i % channels)] = sampleOf(row, i, depth);
      }
    }
  }
  const turn = eXIf ? orientationOf(eXIf) : 1, bits = depth === 16 ? 16 : 8;
  return { width, height, turn, bits, pixels: grayOfPng(samples, { colour, depth, PLTE, tRNS }) };
}

/** Undo a row's filter in place (PNG specification, section 9); `step` bytes are a pixel. */
function unfilter(row, above, filter, step) {
  if (filter > 4) throw new Error("unknown filter");
  if (filter) for (let i = 0; i < row.length; i++) {
    const left = i < step ? 0 : row[i - step], up = above[i];
    if (filter === 1) row[i] += left;
    else if (filter === 2) row[i] += up;
    else if (filter === 3) row[i] += (left + up) >> 1;
    else {
      const corner = i < step ? 0 : above[i - step];
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      row[i] += a <= b && a <= c ? left : b <= c ? up : corner;
    }
  }
}

function sampleOf(row, i, depth) {
  if (depth === 16) return row[2 * i] * 256 + row[2 * i + 1];
  const bit = i * depth;
  return (row[bit >> 3] >> (8 - depth - (bit % 8))) & (2 ** depth - 1);
}

/** Samples as they were stored to gray. */
function grayOfPng(samples, { colour, depth, PLTE, tRNS }) {
  const channels = CHANNELS[colour];
  if (colour === PALETTE) {
    const table = Array.from({ length: PLTE.length / 3 }, (_, i) => [...PLTE.subarray(3 * i, 3 * i + 3), tRNS?.[i] ?? 255]);
    const rgba = new Uint8Array(4 * samples.length);
    samples.forEach((value, i) => { rgba.set(table[value], 4 * i); });
    return grayOf(rgba, 4);
  }
  // Pillow, too, knows no transparent value of 16 gray bits.
  const clear = colour === GRAY && depth === 16 ? null : tRNS;
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  const scaled = scale > 1 ? samples.map((value) => value * scale) : samples;
  if (!clear) return grayOf(scaled, channels);
  const key = Array.from({ length: channels }, (_, c) => clear[2 * c] * 256 + clear[2 * c + 1]);
  const withOpacity = new samples.constructor((samples.length / channels) * (channels + 1));
  for (let i = 0, at = 0; at < samples.length; i += channels + 1, at += channels) {
    withOpacity.set(scaled.subarray(at, at + channels), i);
    withOpacity[i + channels] = key.every((value, c) => value === samples[at + c]) ? 0 : depth === 16 ? 65535 : 255;
  }
  return grayOf(withOpacity, channels + 1);
}

async function readJpeg(bytes, limits) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const kept = [bytes.subarray(0, 2)];
  let at = 2, turn = 1, size = null;
  for (let marker = 0; marker !== SCAN; ) {
    if (bytes[at] !== 0xff) throw new Error("no segment");
    marker = bytes[at + 1];
    if (marker === 0xff) { // a fill byte
      at++;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2), data = bytes.subarray(at + 4, end);
    if (marker === APP1 && letters(data, 0, 6) === "Exif\0\0") turn = orientationOf(data.slice(6));
    if (FRAMES.includes(marker)) size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7), channels: data[5] };
    if (marker === APP0 || marker === ADOBE || !(marker === COMMENT || (marker > APP0 && marker <= LAST_APP))) {
      kept.push(bytes.subarray(at, end));
    }
    at = end;
  }
  checkSize(size.width, size.height, limits);
  if (size.channels === 4) throw new Refusal("is a JPEG for printing (CMYK).");
  if (!endsIn(bytes, at)) throw new Error("cut off");
  const { width, height } = size;
  const blob = new Blob(/** @type {BlobPart[]} */ ([...kept, bytes.subarray(at)]), { type: "image/jpeg" });
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  return { width, height, turn, bits: 8, pixels: grayOf(context.getImageData(0, 0, width, height).data, 4) };
}

/** Whether a JPEG's end marker follows; a decoder fills what is cut off with gray, and says nothing. */
function endsIn(bytes, at) {
  for (let i = bytes.indexOf(0xff, at); i >= 0; i = bytes.indexOf(0xff, i + 1)) if (bytes[i + 1] === 0xd9) return true;
  return false;
}
