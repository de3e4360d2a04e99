// Layers as columns: the slider, the top labels of single tokens, and the course of the one in focus.

import { css, inkOn } from "vitreous/colors.js";
import { label, make } from "vitreous/dom.js";
import { LayerPlayer } from "vitreous/layer-player.js";
import { LensCourse } from "vitreous/lens-course.js";
import { inSentence, spokenName } from "vitreous/tokens.js";

export class LensTimeline {
  // `onLayer(layer)` and `onRest()` as a player's; `onPoint(token or null)` while the cursor is on a token's row.
  constructor(data, layer, { onLayer, onRest, onPoint }) {
    Object.assign(this, { data, onPoint });
    this.player = new LayerPlayer(data.layers, layer, onLayer, onRest);
    const to = (chosen) => {
      this.player.to(chosen);
      onRest();
    };
    this.course = new LensCourse(data, to);
    this.lastPatch = data.tokens.grid[data.tokens.grid.length >> 1][data.tokens.grid[0].length >> 1];
    this.rows = [...data.tokens.special, null].map((token) => this.row(token, to));
    this.heads = data.layers.map((name, at) => this.head(name, at, to));
    const { slider, button } = this.player;
    const sliderRow = make("tr", {}, make("th", { scope: "row" }, button), make("td", { class: "slider", colspan: data.layers.length }, slider));
    const table = make(
      "table",
      { class: "timeline", style: `--layers: ${data.layers.length}` },
      make("thead", {}, sliderRow, make("tr", {}, make("th", { scope: "row" }, "layer"), ...this.heads)),
      make("tbody", {}, ...this.rows.map((row) => row.element)),
      this.course.element,
    );
    this.element = make("div", { class: "scroller" }, table);
  }

  head(name, layer, to) {
    const head = make("th", { scope: "col" }, name);
    head.addEventListener("click", () => to(layer));
    return head;
  }

  // A token's top label at every layer; `null` stands for the patch last pointed at.
  row(token, to) {
    const head = make("th", { scope: "row" });
    const cells = this.data.layers.map((_, layer) => {
      const cell = make("td", { class: "moment" });
      cell.addEventListener("click", () => to(layer));
      return cell;
    });
    const element = make("tr", {}, head, ...cells);
    element.addEventListener("pointerenter", () => this.onPoint(token ?? this.lastPatch));
    element.addEventListener("pointerleave", () => this.onPoint(null));
    return { token, head, cells, element };
  }

  // `show(layer, token)` gives what stands in a cell: { shade, text, large }; `look` changes with it.
  draw(focused, layer, by, show, look) {
    const { tokens } = this.data;
    if (!tokens.special.includes(focused)) this.lastPatch = focused;
    this.heads.forEach((head, at) => head.classList.toggle("now", at === layer));
    for (const row of this.rows) {
      const token = row.token ?? this.lastPatch;
      row.element.classList.toggle("focused", token === focused);
      const drawn = `${token},${layer},${look}`;
      if (row.drawn === drawn) continue;
      row.drawn = drawn;
      row.head.textContent = spokenName(tokens, token);
      row.cells.forEach((cell, at) => this.drawMoment(cell, at, token, show(at, token), at === layer));
    }
    this.course.draw(focused, inSentence(tokens, focused), layer, by);
  }

  drawMoment(cell, layer, token, { shade, text, large }, now) {
    cell.replaceChildren(label(text));
    cell.title = `${this.data.named(this.data.best(layer, token))}, ${this.data.layers[layer]}`;
    cell.style.background = shade ? css(shade) : "";
    cell.style.color = shade ? inkOn(shade) : "";
    cell.classList.toggle("now", now);
    cell.classList.toggle("large", large);
  }
}
