// The arrays that travel with a page, as `_packing.py` wrote them. Each is decoded once.

// What was done so far. Tests read it: pointing at something decodes no array again.
export const work = { decoded: 0, rows: 0 };

const decoded = new Map();

export async function loadPayload(identity) {
  const payload = JSON.parse(document.getElementById(identity).textContent);
  for (const [name, value] of Object.entries(payload)) payload[name] = await unstow(value);
  return payload;
}

async function unstow(value) {
  if (value?.$array) return loadArray(value.$array);
  if (value?.$picture) return pictureUrl(value.$picture);
  return value?.$list ? Promise.all(value.$list.map(unstow)) : value;
}

function pictureUrl(identity) {
  return `data:image/png;base64,${document.getElementById(identity).textContent}`;
}

function loadArray(identity) {
  if (!decoded.has(identity)) decoded.set(identity, decode(document.getElementById(identity)));
  return decoded.get(identity);
}

async function decode(script) {
  work.decoded += 1;
  const shape = script.dataset.shape.split(",").map(Number);
  const bytes = await inflate(bytesOf(script.textContent));
  if (script.dataset.kind === "uint12" || script.dataset.kind === "uint8") return new SteppedArray(shape, bytes, script.dataset.kind);
  const Kind = script.dataset.kind === "uint16" ? Uint16Array : Float32Array;
  return new ExactArray(shape, new Kind(bytes));
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

class RowArray {
  constructor(shape) {
    this.shape = shape;
    this.width = shape.at(-1);
  }

  // Number of the row at these indices of all axes but the last.
  rowNumber(indices) {
    return indices.reduce((number, index, axis) => number * this.shape[axis] + index, 0);
  }
}

export class ExactArray extends RowArray {
  constructor(shape, values) {
    super(shape);
    this.values = values;
  }

  at(...indices) {
    return this.values[this.rowNumber(indices)];
  }

  row(...indices) {
    work.rows += 1;
    const start = this.rowNumber(indices) * this.width;
    return this.values.subarray(start, start + this.width);
  }
}

// Code 0 is minus infinity; the others count steps above the row's smallest value.
export class SteppedArray extends RowArray {
  constructor(shape, buffer, kind) {
    super(shape);
    const size = shape.reduce((product, length) => product * length, 1);
    const rows = size / this.width;
    this.low = new Float32Array(buffer, 0, rows);
    this.step = new Float32Array(buffer, 4 * rows, rows);
    const codes = new Uint8Array(buffer, 8 * rows, size);
    this.codes = kind === "uint8" ? codes : widened(codes, new Uint8Array(buffer, 8 * rows + size));
  }

  at(...indices) {
    const row = this.rowNumber(indices.slice(0, -1));
    return this.decoded(row, this.codes[row * this.width + indices.at(-1)]);
  }

  row(...indices) {
    work.rows += 1;
    const number = this.rowNumber(indices);
    const values = new Float64Array(this.width);
    for (let i = 0; i < this.width; i += 1) values[i] = this.decoded(number, this.codes[number * this.width + i]);
    return values;
  }

  decoded(row, code) {
    return code === 0 ? -Infinity : this.low[row] + (code - 1) * this.step[row];
  }
}

function widened(high, nibbles) {
  const codes = new Uint16Array(high.length);
  for (let i = 0; i < codes.length; i += 1) {
    const pair = nibbles[i >> 1];
    codes[i] = (high[i] << 4) | (i & 1 ? pair & 15 : pair >> 4);
  }
  return codes;
}
