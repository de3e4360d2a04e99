// A table of layers and heads with a thumbnail for each, of which one is chosen.

import { color } from "vitreous/colors.js";
import { make, roving } from "vitreous/dom.js";

export class HeadThumbnails {
  constructor(nLayers, nHeads, grid, onChoose) {
    Object.assign(this, { nHeads, rows: grid.length, columns: grid[0].length, cells: grid.flat() });
    this.buttons = Array.from({ length: nLayers * nHeads }, (_, i) => this.button(i));
    roving(this.buttons, nHeads, onChoose);
    const heads = Array.from({ length: nHeads }, (_, head) => make("th", { scope: "col" }, String(head)));
    const top = make("tr", {}, make("th", { class: "axis" }, "layer\u00a0↓ head\u00a0→"), ...heads);
    const body = Array.from({ length: nLayers }, (_, layer) => this.line(layer));
    const table = make("table", { class: "thumbnails", role: "grid", style: `--heads: ${nHeads}` }, make("thead", {}, top), make("tbody", {}, ...body));
    this.element = make("div", { class: "scroller" }, table);
  }

  button(i) {
    const canvas = make("canvas", { width: this.columns, height: this.rows });
    const name = `layer ${Math.floor(i / this.nHeads)}, head ${i % this.nHeads}`;
    const button = make("button", { type: "button", class: "thumbnail", "aria-label": name }, canvas);
    button.addEventListener("click", () => button.focus());
    return button;
  }

  line(layer) {
    const first = layer * this.nHeads;
    const cells = this.buttons.slice(first, first + this.nHeads).map((button) => make("td", {}, button));
    return make("tr", {}, make("th", { scope: "row" }, String(layer)), ...cells);
  }

  choose(chosen) {
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
  }

  // `lines` and `ranges`: for each head its values by token, and the [low, high] of its scale.
  draw(lines, ranges, describe) {
    this.buttons.forEach((button, i) => {
      button.title = `${button.getAttribute("aria-label")}: ${describe(ranges[i])}`;
      this.drawOne(button.firstChild.getContext("2d"), lines[i], ranges[i]);
    });
  }

  drawOne(context, line, [low, high]) {
    const image = context.createImageData(this.columns, this.rows);
    this.cells.forEach((token, cell) => {
      image.data.set(color("sequential", (line[token] - low) / (high - low || 1)), 4 * cell);
      image.data[4 * cell + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }
}
