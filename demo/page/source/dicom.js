/* The pixels of a DICOM radiograph that is not compressed, and nothing that names a patient:
   chexnet/imaging/dicom.py and frames.py in the browser. */

import { checkSize, inflate, letters, Refusal } from "./container.js";
import { Elements, TAGS, wordsOf } from "./elements.js";
import { show } from "./presentation.js";

// What stands before the pixels of a deflated file.
const MAX_HEADER = 2 ** 23;

/** A DICOM as a radiograph; see `read` of decode.js. */
export async function readDicom(bytes, limits) {
  const start = letters(bytes, 128, 4) === "DICM" ? 132 : letters(bytes, 0, 4) === "DICM" ? 4 : 0;
  const meta = new Elements(bytes, { explicit: true, little: true });
  let at = meta.read(start, bytes.length, 2);
  const syntax = meta.text(TAGS.syntax), order = limits.dicom.syntaxes[syntax];
  if (meta.text(TAGS.class) === limits.dicom.directory) {
    throw new Refusal("is a DICOMDIR, a list of pictures. Choose one of the files it lists.", false);
  }
  if (!syntax) throw new Refusal("is a DICOM without a Transfer Syntax UID, which says how to read it.");
  if (!order) throw new Refusal("is a DICOM in a compression that is not supported.");
  let rest = bytes;
  if (order.deflated) {
    const packed = bytes.subarray(at);
    // The stream may be padded to an even length (PS3.5 A.5), which a browser takes for damage.
    const unpacked = (size) => inflate([packed], "deflate-raw", size, false)
      .catch(() => inflate([packed.subarray(0, -1)], "deflate-raw", size, false));
    const head = new Elements(await unpacked(MAX_HEADER), order);
    head.read(0);
    check(head, meta, limits);
    rest = await unpacked(MAX_HEADER + sizeOf(head));
    at = 0;
  }
  const data = new Elements(rest, order);
  data.read(at);
  check(data, meta, limits);
  if (order.compressed) throw new Refusal("is a compressed DICOM, which cannot be read without a server.");
  const [rows, columns] = [data.number(TAGS.rows), data.number(TAGS.columns)], kind = data.text(TAGS.photometric);
  const picture = { pixels: grayWords(data, rows * columns), width: columns, height: rows };
  const facts = { format: "DICOM", bits: data.number(TAGS.stored), inverted: kind === "MONOCHROME1", turned: false };
  return { ...show(picture, data, limits.value_range), facts };
}

const sizeOf = (data) => data.number(TAGS.rows) * data.number(TAGS.columns) * data.number(TAGS.samples)
  * (data.number(TAGS.allocated) / 8);

/** Refuse by the header whatever is no single gray radiograph of a sensible size. */
function check(data, meta, limits) {
  const { modalities, radiographs, colours } = limits.dicom, modality = data.text(TAGS.modality).toUpperCase();
  const expected = `radiographs are ${modalities.join(", ")}`;
  if (modality && !modalities.includes(modality)) {
    // Only a code of the standard's form is repeated; the field can hold any text.
    const known = /^[A-Z]{2}$/.test(modality) ? modality : "other";
    throw new Refusal(`is a DICOM of modality ${known}; ${expected}.`, false);
  }
  if (!modality && !radiographs.includes(data.text(TAGS.ownClass) || meta.text(TAGS.class))) {
    throw new Refusal(
      `is a DICOM whose modality is missing, and its SOP class is not that of a radiograph; ${expected}.`, false);
  }
  if (Number(data.text(TAGS.frames) || 1) !== 1) throw new Refusal("is a DICOM of several frames.");
  const kind = data.text(TAGS.photometric), samples = data.number(TAGS.samples);
  if (!(samples === 1 ? kind.startsWith("MONOCHROME") : samples === 3 && colours.includes(kind))) throw inColour();
  if (data.text(TAGS.burnedIn).toUpperCase() === "YES") {
    throw new Refusal("is marked as having text burned into it. Use one without patient data.", false);
  }
  const [allocated, stored] = [data.number(TAGS.allocated), data.number(TAGS.stored)];
  if (![8, 16].includes(allocated) || !(stored >= 2 && stored <= allocated)) {
    throw new Refusal("is a DICOM of neither 8 nor 16 bits a pixel.");
  }
  checkSize(data.number(TAGS.columns), data.number(TAGS.rows), limits);
}

const inColour = () => new Refusal("is a DICOM in colour.");

/** The stored words of `count` pixels, Uint8Array or Uint16Array; colours where they are gray. */
function grayWords(data, count) {
  const { vr, data: bytes } = data.get(TAGS.pixels), samples = data.number(TAGS.samples);
  const deep = data.number(TAGS.allocated) === 16, size = count * samples * (deep ? 2 : 1);
  if (bytes.length < size) throw data.text(TAGS.photometric) === "YBR_FULL_422" ? inColour() : new Error("cut off");
  let words = deep ? wordsOf(bytes, count * samples, data.little) : bytes.subarray(0, size);
  // Two bytes in a word, the second first.
  if (!deep && !data.little && vr === "OW") words = words.map((_, i) => bytes[i ^ 1]);
  if (samples === 1) return words;
  // By pixel or by channel: some writers name the wrong one, but a gray picture is gray in one.
  const none = 2 ** (data.number(TAGS.stored) - 1);
  for (const [pixel, channel] of [[samples, 1], [1, count]]) {
    const gray = words.filter((_, i) => (pixel === 1 ? i < count : i % samples === 0));
    const others = (holds) => gray.every((value, i) => [1, 2].every((c) => holds(words[i * pixel + c * channel], value)));
    if (others((other, value) => other === value) || others((other) => other === none)) return gray;
  }
  throw inColour();
}
