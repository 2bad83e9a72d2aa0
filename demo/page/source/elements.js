/* The elements of a DICOM data set, as far as the pixels of one picture need them (PS3.5). */

import { letters } from "./container.js";

// Value representations whose length has four bytes, behind two that say nothing (PS3.5 7.1.2).
const LONG = /^(O[BDFLVW]|S[QV]|U[CNRTV])$/;
const UNDEFINED = 0xffffffff;
const [ITEM, ITEM_END, SEQUENCE_END] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
export const TAGS = {
  class: 0x00020002, syntax: 0x00020010, ownClass: 0x00080016, modality: 0x00080060,
  samples: 0x00280002, photometric: 0x00280004, frames: 0x00280008, rows: 0x00280010, columns: 0x00280011,
  allocated: 0x00280100, stored: 0x00280101, highBit: 0x00280102, signed: 0x00280103,
  padding: 0x00280120, paddingLimit: 0x00280121, burnedIn: 0x00280301,
  center: 0x00281050, width: 0x00281051, intercept: 0x00281052, slope: 0x00281053, voiFunction: 0x00281056,
  modalityLut: 0x00283000, voiLut: 0x00283010, lutDescriptor: 0x00283002, lutData: 0x00283006,
  pixels: 0x7fe00010,
};
/** Elements of a data set by their tag, as they were read, with ways to read their values. */
export class Elements extends Map {
  /** @param {Uint8Array} bytes @param {{explicit: boolean, little: boolean}} order */
  constructor(bytes, order) {
    super();
    this.explicit = order.explicit;
    this.little = order.little;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Read from `at` as far as the pixels, an item's end, or `group`'s; returns where that is. */
  read(at, end = this.bytes.length, group = 0) {
    const { view, little } = this;
    while (at + 8 <= end) {
      const tag = view.getUint16(at, little) * 65536 + view.getUint16(at + 2, little);
      if (group && tag >>> 16 !== group) break;
      if (tag === ITEM_END || tag === SEQUENCE_END) return at + 8;
      const vr = this.explicit ? letters(this.bytes, at + 4, 2) : "", long = LONG.test(vr);
      const length = vr && !long ? view.getUint16(at + 6, little) : view.getUint32(at + (long ? 8 : 4), little);
      const start = at + (long ? 12 : 8);
      const lut = tag === TAGS.modalityLut || tag === TAGS.voiLut;
      if (tag === TAGS.pixels) {
        this.set(tag, { vr, data: this.bytes.subarray(start, start + length) });
        return end;
      }
      if (length === UNDEFINED || lut) at = this.sequence(tag, vr, start, length);
      else {
        at = start + length;
        if (at > end) throw new Error("cut off");
        this.set(tag, { vr, data: this.bytes.subarray(start, at) });
      }
    }
    return at;
  }

  /** Read a sequence, of which the first item is kept; returns where it ends. */
  sequence(tag, vr, at, length) {
    const order = vr === "UN" ? { explicit: false, little: true } : this;
    const end = length === UNDEFINED ? this.bytes.length : at + length;
    while (at + 8 <= end) {
      const mark = this.view.getUint16(at, this.little) * 65536 + this.view.getUint16(at + 2, this.little);
      if (mark === SEQUENCE_END) return at + 8;
      if (mark !== ITEM) throw new Error("no item");
      const size = this.view.getUint32(at + 4, this.little);
      const item = new Elements(this.bytes, order);
      const last = item.read(at + 8, size === UNDEFINED ? end : at + 8 + size);
      if (!this.has(tag)) this.set(tag, { item });
      at = size === UNDEFINED ? last : at + 8 + size;
    }
    return end;
  }

  /** The text of an element; empty where there is none. */
  text(tag) {
    return letters(this.get(tag)?.data ?? new Uint8Array()).replace(/[\0 ]+$/, "").trim();
  }

  /** Its unsigned 16-bit numbers. */
  words(tag) {
    const { data = new Uint8Array() } = this.get(tag) ?? {};
    return wordsOf(data, data.length >> 1, this.little);
  }

  /** The first of them. */
  number(tag) {
    return this.words(tag)[0];
  }
}

/** Unsigned 16-bit numbers of bytes. */
export function wordsOf(bytes, count, little) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = new Uint16Array(count);
  for (let i = 0; i < count; i++) words[i] = view.getUint16(2 * i, little);
  return words;
}
