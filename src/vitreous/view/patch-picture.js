// A picture under its patch grid. Patches can be painted, captioned, pointed at and walked with arrow keys.

import { inkOn } from "vitreous/colors.js";
import { make, step } from "vitreous/dom.js";
import { onPaper } from "vitreous/theme.js";

const SMALL = 128;
const MAGNIFIED = 960;

export class PatchPicture {
  // Calls `onPoint(token or null)` while the cursor or the keyboard moves, `onPick(token)` on a click.
  constructor(picture, tokens, alt, { onPoint = () => {}, onPick = () => {} } = {}) {
    Object.assign(this, { tokens, onPoint, onPick });
    this.rows = tokens.grid.length;
    this.columns = tokens.grid[0].length;
    this.cells = tokens.grid.flat();
    this.pointed = null;
    this.content = { colors: null, texts: null, large: false, rings: [] };
    this.image = make("img", { src: picture, alt: "", draggable: "false" });
    this.image.addEventListener("load", () => magnify(this.image), { once: true });
    this.pixels = make("canvas");
    this.paintLayer = make("canvas", { class: "paint", "aria-hidden": "true" });
    this.markLayer = make("canvas", { class: "marks", "aria-hidden": "true" });
    this.ground = make("canvas"); // of the marks: all but the rings
    this.element = make(
      "div",
      { class: "patch-picture", tabindex: "0", role: "application", "aria-roledescription": "patch grid", "aria-label": alt },
      this.image,
      this.paintLayer,
      this.markLayer,
    );
    this.listen();
  }

  listen() {
    const { element } = this;
    element.addEventListener("pointermove", (event) => this.point(this.cellAt(event)));
    element.addEventListener("pointerleave", () => this.point(null));
    element.addEventListener("blur", () => this.point(null));
    element.addEventListener("click", (event) => this.onPick(this.cells[this.cellAt(event)]));
    element.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.redraw()).observe(element);
  }

  onKey(event) {
    if ((event.key === "Enter" || event.key === " ") && this.pointed !== null) {
      event.preventDefault();
      this.onPick(this.cells[this.pointed]);
      return;
    }
    const from = this.pointed ?? 0;
    const next = this.pointed === null && event.key.startsWith("Arrow") ? 0 : step(event.key, from, this.columns, this.cells.length);
    if (next === null) return;
    event.preventDefault();
    this.point(next);
  }

  cellAt(event) {
    const box = this.element.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
    const inside = (value, count) => Math.min(Math.max(value, 0), count - 1);
    return inside(row, this.rows) * this.columns + inside(column, this.columns);
  }

  point(cell) {
    if (cell === this.pointed) return;
    this.pointed = cell;
    this.onPoint(cell === null ? null : this.cells[cell]);
  }

  // `colors` by token: [r, g, b] or null; `texts` by token, `large` for emoji; `rings`: [{ token, kind }].
  draw(content) {
    this.content = { ...this.content, ...content };
    this.redraw(Object.keys(content).every((name) => name === "rings"));
  }

  // Where only the rings changed, all below them stays as it was painted.
  redraw(ringsOnly = false) {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return; // not loaded yet, or folded
    const ratio = window.devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    const state = [...size, onPaper()].join();
    if (!ringsOnly || this.painted !== state) this.repaint(size, ratio);
    this.painted = state;
    const marks = fit(this.markLayer, ...size);
    marks.drawImage(this.ground, 0, 0);
    this.drawRings(marks, ratio);
  }

  repaint(size, ratio) {
    const paint = fit(this.paintLayer, ...size);
    const ground = fit(this.ground, ...size);
    this.drawPaint(paint);
    if (onPaper()) this.flatten(ground);
    this.drawGround(ground, ratio);
  }

  // What stands on the paint and stays as it is while rings move.
  drawGround(context, ratio) {
    this.drawLattice(context, ratio);
    if (this.content.texts) this.drawTexts(context, ratio);
  }

  // Picture and paint in one opaque layer: not every printer's software stacks transparent ones.
  flatten(context) {
    const { width, height } = context.canvas;
    context.drawImage(this.image, 0, 0, width, height);
    context.globalAlpha = 0.8;
    context.drawImage(this.paintLayer, 0, 0);
    context.globalAlpha = 1;
  }

  drawPaint(context) {
    const { colors } = this.content;
    this.element.classList.toggle("painted", Boolean(colors));
    if (!colors) return;
    const { width, height } = context.canvas;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.onePixelEach(colors), 0, 0, width, height);
  }

  // A pixel per patch: to magnify it takes less time than to fill a thousand boxes.
  onePixelEach(colors) {
    const context = fit(this.pixels, this.columns, this.rows);
    const image = context.createImageData(this.columns, this.rows);
    this.cells.forEach((token, cell) => {
      if (colors[token]) image.data.set([...colors[token], 255], 4 * cell);
    });
    context.putImageData(image, 0, 0);
    return this.pixels;
  }

  drawRings(context, ratio) {
    for (const { token, kind } of this.content.rings) {
      const cell = this.cells.indexOf(token);
      if (cell >= 0) drawRing(context, this.box(cell, context.canvas), kind, ratio);
    }
  }

  drawLattice(context, ratio) {
    const { width, height } = context.canvas;
    context.strokeStyle = this.content.colors ? "rgb(128 128 128 / 0.22)" : "rgb(255 255 255 / 0.38)";
    context.lineWidth = ratio;
    context.beginPath();
    for (let column = 1; column < this.columns; column += 1) {
      const x = Math.round((column * width) / this.columns) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    for (let row = 1; row < this.rows; row += 1) {
      const y = Math.round((row * height) / this.rows) + 0.5;
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
  }

  drawTexts(context, ratio) {
    context.textAlign = "center";
    context.textBaseline = "middle";
    this.cells.forEach((token, cell) => {
      const text = this.content.texts[token];
      if (!text) return;
      context.fillStyle = this.content.colors?.[token] ? inkOn(this.content.colors[token]) : "#ffffff";
      drawText(context, text, this.box(cell, context.canvas), ratio, this.content.large);
    });
  }

  // Left, top, width and height of a cell, on whole pixels so that no seam shows.
  box(cell, { width, height }) {
    const edge = (index, count, size) => Math.round((index * size) / count);
    const row = Math.floor(cell / this.columns);
    const column = cell % this.columns;
    const left = edge(column, this.columns, width);
    const top = edge(row, this.rows, height);
    return [left, top, edge(column + 1, this.columns, width) - left, edge(row + 1, this.rows, height) - top];
  }
}

// The few pixels of a small picture are seen as they are, all of one size, not smoothed into more than there is.
function magnify(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const side = Math.max(width, height);
  if (side >= SMALL) return;
  const times = Math.ceil(MAGNIFIED / side);
  const context = fit(document.createElement("canvas"), times * width, times * height);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, times * width, times * height);
  image.src = context.canvas.toDataURL();
}

// An empty canvas of this size; one of another size costs more than to clear it.
export function fit(canvas, width, height) {
  const [columns, rows] = [Math.round(width), Math.round(height)];
  if (canvas.width !== columns) canvas.width = columns;
  if (canvas.height !== rows) canvas.height = rows;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, columns, rows);
  return context;
}

const RINGS = { query: ["#ffffff", "#c2185b"], key: ["#ffffff", "#10181c"] };

function drawRing(context, [left, top, width, height], kind, ratio) {
  const [halo, line] = RINGS[kind];
  for (const [color, thickness] of [[halo, 4.5], [line, 2.25]]) {
    context.strokeStyle = color;
    context.lineWidth = thickness * ratio;
    context.strokeRect(left, top, width, height);
  }
}

const FAMILY = '"colored emoji", -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

function drawText(context, text, [left, top, width, height], ratio, large) {
  const size = large ? 0.5 * Math.min(width, height) : Math.min(Math.max(0.19 * width, 7.5 * ratio), 13 * ratio);
  context.font = `${size}px ${FAMILY}`;
  const lines = large ? [text] : wrap(context, text, 0.92 * width, Math.max(1, Math.floor((0.94 * height) / (1.12 * size))));
  lines.forEach((line, i) => {
    const y = top + height / 2 + (i - (lines.length - 1) / 2) * 1.12 * size;
    context.fillText(line, left + width / 2, y, width);
  });
}

function wrap(context, text, width, mostLines) {
  const fits = (line) => context.measureText(line).width <= width;
  const lines = [];
  for (const word of text.split(/\s+/)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && fits(longer)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  const kept = lines.slice(0, mostLines);
  if (lines.length > mostLines) kept[mostLines - 1] += "…";
  return kept.map((line) => shorten(line, fits));
}

function shorten(line, fits) {
  if (fits(line)) return line;
  const letters = [...line.replace(/…$/, "")];
  while (letters.length > 1 && !fits(`${letters.join("")}…`)) letters.pop();
  return `${letters.join("")}…`;
}
