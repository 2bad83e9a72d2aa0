/* What of a picture the network sees, bit for bit as chexnet/transforms.py has it. A picture is that
   of resize.js. Shapes: H W pixels. */

import { resize, rint } from "../base/resize.js";

/** At most `side` pixels a side, as `Image.thumbnail` of Pillow gives it with `reducing_gap=None`. */
export function reduced(picture, side) {
  const { width, height } = picture, aspect = width / height;
  if (Math.max(width, height) <= side) return picture;
  const nearest = (value, off) => {
    const [low, high] = [Math.floor(value), Math.ceil(value)];
    return Math.max(1, off(high) < off(low) ? high : low);
  };
  const size = aspect <= 1
    ? [nearest(side * aspect, (n) => Math.abs(aspect - n / side)), side]
    : [side, nearest(side / aspect, (n) => (n ? Math.abs(aspect - side / n) : 0))];
  return resize(picture, size, "bicubic");
}

/** Left, top, right and bottom of the crop by percent; `PercentCenterCrop.box`. */
function percentBox(percent, width, height) {
  const [across, down] = [width, height].map((side) => Math.max(1, rint((side * percent) / 100)));
  const [left, top] = [Math.floor((width - across) / 2), Math.floor((height - down) / 2)];
  return [left, top, left + across, top + down];
}

/** Size after resizing the shorter side, and the square's left and top; `Preprocessing._square`. */
function square({ crop, size }, width, height) {
  const short = rint((size * 100) / crop);
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  const whole = width <= height ? [short, long] : [long, short];
  return { whole, corner: whole.map((side) => rint((side - size) / 2)) };
}

/** What the network sees of a picture: left, top, right, bottom; `Preprocessing.frame`. */
export function frame(preprocessing, width, height) {
  const { crop, size, keep_aspect } = preprocessing;
  if (!keep_aspect) return percentBox(crop, width, height);
  const { whole: [across, down], corner: [left, top] } = square(preprocessing, width, height);
  const [x, y] = [width / across, height / down];
  const [first, upper, last, lower] = [left * x, top * y, (left + size) * x, (top + size) * y].map(rint);
  return [first, upper, Math.max(last, first + 1), Math.max(lower, upper + 1)];
}

function cropped({ pixels, width }, box) {
  const [left, top, right, bottom] = box;
  const [across, down] = [right - left, bottom - top];
  const inside = new pixels.constructor(across * down);
  for (let y = 0; y < down; y++) {
    const from = (top + y) * width + left;
    inside.set(pixels.subarray(from, from + across), y * across);
  }
  return { pixels: inside, width: across, height: down };
}

/** An 8-bit picture as the network's input, Uint8Array (size * size); `transforms.item_pixels`. */
export function itemPixels(picture, preprocessing) {
  const { width, height } = picture, { crop, size, resample, keep_aspect } = preprocessing;
  if (!keep_aspect) {
    return resize(cropped(picture, percentBox(crop, width, height)), [size, size], resample).pixels;
  }
  const { whole, corner: [left, top] } = square(preprocessing, width, height);
  return cropped(resize(picture, whole, resample), [left, top, left + size, top + size]).pixels;
}
