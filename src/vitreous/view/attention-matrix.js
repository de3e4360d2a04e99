// A head as a table of numbers: a row per query, a column per key, a pixel per value.

import { colorTable, pixel } from "vitreous/colors.js";
import { part } from "vitreous/attention-data.js";
import { make, step } from "vitreous/dom.js";
import { fit } from "vitreous/patch-picture.js";
import { theme } from "vitreous/theme.js";

const SMALLEST_CELL = 1.5; // below that, no cursor can tell cells apart, and the matrix scrolls

export class AttentionMatrix {
  // Calls `onPoint({ query, key } or null)` while cursor or keyboard moves, `onPick` on a click.
  constructor(attention, { onPoint, onPick }) {
    Object.assign(this, { attention, onPoint, onPick, pointed: null, drawn: null });
    this.size = attention.queries;
    this.cells = make("canvas", { class: "cells", width: this.size, height: this.size, "aria-hidden": "true" });
    this.marks = make("canvas", { class: "marks", "aria-hidden": "true" });
    const attributes = { class: "matrix", tabindex: "0", role: "application", "aria-roledescription": "attention matrix" };
    const style = `min-width: ${SMALLEST_CELL * this.size}px`;
    this.board = make("div", { ...attributes, style, "aria-label": "Queries by keys" }, this.cells, this.marks);
    this.note = make("p", { class: "readout-line" });
    const axes = make("p", { class: "matrix-axes" }, make("span", {}, "query\u00a0↓ key\u00a0→"), make("span", {}, `${this.size} × ${this.size} tokens`));
    this.element = make("div", { class: "matrix-view" }, axes, make("div", { class: "matrix-scroller" }, this.board), this.note);
    this.listen();
  }

  listen() {
    const { board } = this;
    board.addEventListener("pointermove", (event) => this.point(this.cellAt(event)));
    board.addEventListener("pointerleave", () => this.point(null));
    board.addEventListener("blur", () => this.point(null));
    board.addEventListener("click", (event) => this.pick(this.cellAt(event)));
    board.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.drawMarks()).observe(board);
  }

  onKey(event) {
    if ((event.key === "Enter" || event.key === " ") && this.pointed !== null) {
      event.preventDefault();
      this.pick(this.pointed);
      return;
    }
    const entering = this.pointed === null && event.key.startsWith("Arrow");
    const next = entering ? this.entrance() : step(event.key, this.pointed ?? 0, this.size, this.size ** 2);
    if (next === null) return;
    event.preventDefault();
    this.point(next);
  }

  // The keyboard comes in where the picture looks from.
  entrance() {
    return (this.crossing?.query ?? 0) * this.size + (this.crossing?.key ?? 0);
  }

  cellAt(event) {
    const box = this.board.getBoundingClientRect();
    const at = (part) => Math.min(Math.max(Math.floor(part * this.size), 0), this.size - 1);
    return at((event.clientY - box.top) / box.height) * this.size + at((event.clientX - box.left) / box.width);
  }

  point(cell) {
    if (cell === this.pointed) return;
    this.pointed = cell;
    this.onPoint(cell === null ? null : this.placeOf(cell));
  }

  pick(cell) {
    this.onPick(this.placeOf(cell));
  }

  placeOf(cell) {
    return { query: Math.floor(cell / this.size), key: cell % this.size };
  }

  // `crossing`: the query and the key that are marked; either may be null. `note`: what the colors span.
  draw(kind, slot, scale, crossing, note) {
    const name = [kind, slot, ...scale, theme()].join("/");
    this.note.textContent = note;
    if (name !== this.drawn) this.drawCells(kind, slot, scale);
    this.drawn = name;
    this.crossing = crossing;
    this.drawMarks();
  }

  drawCells(kind, slot, scale) {
    const context = this.cells.getContext("2d");
    const image = context.createImageData(this.size, this.size);
    const pixels = new Uint32Array(image.data.buffer);
    const shades = colorTable("sequential", theme());
    for (let query = 0; query < this.size; query += 1) {
      const row = this.attention.fromQuery(kind, slot, query);
      for (let key = 0; key < this.size; key += 1) {
        if (row[key] !== -Infinity) pixels[query * this.size + key] = pixel(shades, part(row[key], scale));
      }
    }
    context.putImageData(image, 0, 0);
  }

  drawMarks() {
    const { width, height } = this.board.getBoundingClientRect();
    if (!width || !this.crossing) return;
    const ratio = window.devicePixelRatio || 1;
    const context = fit(this.marks, width * ratio, height * ratio);
    const { query, key } = this.crossing;
    if (query !== null) this.band(context, query, ratio, (top, size) => [-9, top, this.marks.width + 18, size]);
    if (key !== null) this.band(context, key, ratio, (left, size) => [left, -9, size, this.marks.height + 18]);
  }

  band(context, index, ratio, box) {
    const size = this.marks.width / this.size;
    const rect = box(index * size - ratio / 2, size + ratio);
    for (const [color, thickness] of [["#ffffff", 2.5], ["#c2185b", 1.25]]) {
      context.strokeStyle = color;
      context.lineWidth = thickness * ratio;
      context.strokeRect(...rect);
    }
  }
}
