// A picture of text and lines in a palette of 256 colours: a third of the bytes, and nobody sees a difference.

import { deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const PALETTE_MAX = 256;
/** Nobody tells these apart: the sum of three squared differences. */
const ALIKE = 75;

function* chunks(png) {
  for (let at = SIGNATURE.length; at < png.length;) {
    const size = png.readUInt32BE(at);
    yield [png.toString("latin1", at + 4, at + 8), png.subarray(at + 8, at + 8 + size)];
    at += size + 12;
  }
}

/** The checksum of the format; older versions of node have none. */
function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}

function chunk(name, body) {
  const named = Buffer.concat([Buffer.from(name, "latin1"), body]);
  const [size, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  size.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([size, named, sum]);
}

/** What each filter of the PNG format predicts from the bytes to the left, above, and above to the left. */
const PREDICTED = [
  () => 0,
  (left) => left,
  (_, up) => up,
  (left, up) => (left + up) >> 1,
  (left, up, corner) => {
    const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
    if (a <= b && a <= c) return left;
    return b <= c ? up : corner;
  },
];

/** The colours of the pixels as numbers, row by row. */
function pixels(data, width, height, bytes) {
  const row = width * bytes;
  const colours = new Uint32Array(width * height);
  let above = Buffer.alloc(row);
  for (let y = 0; y < height; y += 1) {
    const predicted = PREDICTED[data[y * (row + 1)]];
    const line = Buffer.from(data.subarray(y * (row + 1) + 1, (y + 1) * (row + 1)));
    for (let i = 0; i < row; i += 1) {
      const [left, corner] = i < bytes ? [0, 0] : [line[i - bytes], above[i - bytes]];
      line[i] = (line[i] + predicted(left, above[i], corner)) & 255;
    }
    for (let x = 0; x < width; x += 1) colours[y * width + x] = line.readUIntBE(x * bytes, 3);
    above = line;
  }
  return colours;
}

/** The commonest colours that differ, and the place of each colour among them. */
function palette(colours) {
  const counts = new Map();
  for (const c of colours) counts.set(c, (counts.get(c) || 0) + 1);
  const all = [...counts].sort((a, b) => b[1] - a[1]).map(([c]) => c);
  const far = (a, b) => [16, 8, 0].reduce((sum, s) => sum + (((a >> s) & 255) - ((b >> s) & 255)) ** 2, 0);
  const kept = [];
  for (const c of all) if (kept.length < PALETTE_MAX && kept.every((k) => far(c, k) > ALIKE)) kept.push(c);
  const place = new Map();
  for (const c of all) {
    let best = 0;
    for (let i = 1; i < kept.length; i += 1) if (far(c, kept[i]) < far(c, kept[best])) best = i;
    place.set(c, best);
  }
  return [kept, place];
}

/** The same picture in fewer bytes. It takes what a browser writes: eight bits, without interlacing. */
export function smaller(png) {
  const parts = [...chunks(png)];
  const head = Buffer.from(parts.find(([name]) => name === "IHDR")[1]);
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  const data = inflateSync(Buffer.concat(parts.filter(([name]) => name === "IDAT").map(([, body]) => body)));
  const colours = pixels(data, width, height, head[9] === 6 ? 4 : 3);
  const [kept, place] = palette(colours);
  const rows = Buffer.alloc((width + 1) * height);
  for (let i = 0; i < colours.length; i += 1) rows[i + Math.floor(i / width) + 1] = place.get(colours[i]);
  head[9] = 3;
  const table = Buffer.from(kept.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255]));
  return Buffer.concat([SIGNATURE, chunk("IHDR", head), chunk("PLTE", table), chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}
