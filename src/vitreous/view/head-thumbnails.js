// A table of layers and heads with a thumbnail for each, of which one is chosen.

import { color } from "vitreous/colors.js";
import { part } from "vitreous/attention-data.js";
import { make, roving } from "vitreous/dom.js";

export class HeadThumbnails {
  // `slots`: for each head of each layer in turn its number among those that the page holds, or -1.
  // `names`: for each of these what it is called, or nothing.
  constructor(nLayers, nHeads, slots, grid, onChoose, names) {
    Object.assign(this, { nHeads, slots, names, rows: grid.length, columns: grid[0].length, cells: grid.flat() });
    this.buttons = Array.from({ length: nLayers * nHeads }, (_, i) => this.button(i));
    roving(this.buttons, nHeads, (i) => slots[i] >= 0 && onChoose(slots[i]));
    const heads = Array.from({ length: nHeads }, (_, head) => make("th", { scope: "col" }, String(head)));
    const top = make("tr", {}, make("th", { class: "axis" }, "layer\u00a0↓ head\u00a0→"), ...heads);
    const body = Array.from({ length: nLayers }, (_, layer) => this.line(layer));
    const table = make("table", { class: "thumbnails", role: "grid", style: `--heads: ${nHeads}` }, make("thead", {}, top), make("tbody", {}, ...body));
    this.element = make("div", { class: "scroller" }, table);
  }

  button(i) {
    const canvas = make("canvas", { width: this.columns, height: this.rows });
    const called = this.names[this.slots[i]];
    const name = `layer ${Math.floor(i / this.nHeads)}, head ${i % this.nHeads}${called ? ` (${called})` : ""}`;
    const button = make("button", { type: "button", class: "thumbnail", "aria-label": name }, canvas);
    button.addEventListener("click", () => button.focus());
    if (this.slots[i] < 0) {
      button.setAttribute("aria-disabled", "true");
      button.title = `${name}: not on this page`;
    }
    return button;
  }

  line(layer) {
    const first = layer * this.nHeads;
    const cells = this.buttons.slice(first, first + this.nHeads).map((button) => make("td", {}, button));
    return make("tr", {}, make("th", { scope: "row" }, String(layer)), ...cells);
  }

  choose(slot) {
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(this.slots[i] === slot)));
  }

  // `lines` and `ranges`: for each head of the page its values by token, and the [low, high] of its scale.
  draw(lines, ranges, describe) {
    this.buttons.forEach((button, i) => {
      const slot = this.slots[i];
      if (slot < 0) return;
      button.title = `${button.getAttribute("aria-label")}: ${describe(ranges[slot])}`;
      drawThumbnail(button.firstChild, this.cells, lines[slot], ranges[slot]);
    });
  }
}

// A pixel per patch; what is masked stays clear.
export function drawThumbnail(canvas, cells, line, range) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  cells.forEach((token, cell) => {
    if (line[token] === -Infinity) return;
    image.data.set(color("sequential", part(line[token], range)), 4 * cell);
    image.data[4 * cell + 3] = 255;
  });
  context.putImageData(image, 0, 0);
}
