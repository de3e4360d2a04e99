// All layers at once: one small captioned picture of the patches for each.

import { make, roving } from "vitreous/dom.js";
import { PatchPicture } from "vitreous/patch-picture.js";

const MOST_ACROSS = 5;

export class LayerMultiples {
  // `onPoint(token or null, layer)` while the cursor moves, `onPick(token, layer)` on a click,
  // `onLayer(layer)` when a caption is chosen.
  constructor(picture, tokens, layers, { onPoint, onPick, onLayer }) {
    this.tokens = tokens;
    this.figures = layers.map((name, layer) => {
      const patches = new PatchPicture(picture, tokens, name, {
        onPoint: (token) => onPoint(token, layer),
        onPick: (token) => onPick(token, layer),
      });
      patches.element.removeAttribute("tabindex"); // the captions are for the keyboard
      patches.element.setAttribute("role", "img");
      const ring = make("i", { class: "ring", hidden: true });
      patches.element.append(ring);
      const caption = make("button", { type: "button", class: "caption" }, name);
      caption.addEventListener("click", () => onLayer(layer));
      return { patches, ring, caption, element: make("figure", {}, make("figcaption", {}, caption), patches.element) };
    });
    roving(this.figures.map((figure) => figure.caption), 1, () => {});
    const across = Math.min(MOST_ACROSS, Math.ceil(Math.sqrt(1.2 * layers.length)));
    this.element = make("div", { class: "multiples", style: `--across: ${across}` }, ...this.figures.map((figure) => figure.element));
  }

  // `contents`: for each layer what its picture shows, and a sentence that says it.
  draw(contents) {
    this.figures.forEach(({ patches, caption }, layer) => {
      patches.draw(contents[layer]);
      caption.title = contents[layer].summary;
      patches.element.setAttribute("aria-label", `${caption.textContent}: ${contents[layer].summary}`);
    });
  }

  // Rings a token in every layer, and says which layer is chosen. Paints nothing again.
  mark(token, chosen) {
    const cell = this.tokens.grid.flat().indexOf(token);
    const [rows, columns] = [this.tokens.grid.length, this.tokens.grid[0].length];
    this.figures.forEach(({ ring, caption }, layer) => {
      caption.setAttribute("aria-pressed", String(layer === chosen));
      ring.hidden = cell < 0;
      if (cell < 0) return;
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      Object.assign(ring.style, { left: `${(100 * column) / columns}%`, top: `${(100 * row) / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` });
    });
  }
}
