// A card for each head, layer by layer; the chosen one large, with the value under the cursor.

import { extent, part } from "vitreous/attention-data.js";
import { color } from "vitreous/colors.js";
import { choice, label, make, step } from "vitreous/dom.js";
import { drawThumbnail } from "vitreous/head-thumbnails.js";
import { Legend } from "vitreous/legend.js";
import { decimalsFor, plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

class HeadCards extends Viewer {
  build() {
    this.state = { map: "0", scale: "own", heads: "all" };
    this.slot = 0;
    this.pointed = null;
    this.grids = this.data.sizes.map(([rows, columns]) => cellsOf(rows, columns));
    this.pictures = this.data.blanks.map((blank, map) => new PatchPicture(blank, this.grids[map], this.data.names[map], { onPoint: (cell) => this.point(cell) }));
    this.cards = this.data.heads.map((_, slot) => this.card(slot));
    this.layers = this.byLayer();
    this.heading = make("h3");
    this.earned = make("ul", { class: "earned" });
    this.frame = make("div");
    this.legend = new Legend();
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    const side = make("div", { class: "side" }, this.heading, this.earned, this.frame, this.legend.element, this.readout);
    const cards = make("div", { class: "all-cards" }, ...this.layers);
    cards.addEventListener("keydown", (event) => this.onKey(event));
    const stage = this.alone ? make("div", { class: "stage head-cards alone" }, side) : make("div", { class: "stage head-cards" }, cards, side);
    this.replaceChildren(this.controls(), stage);
  }

  get alone() {
    return this.cards.length === 1;
  }

  controls() {
    const set = (name) => (value) => {
      this.state[name] = value;
      this.pointed = null;
      this.draw();
      this.remember();
    };
    const names = this.data.names.map((name, i) => [String(i), name]);
    const scales = [["own", "each its own"], ["shared", "shared"]];
    const named = !this.alone && this.data.earned.some((names) => names.length);
    return make(
      "div",
      { class: "controls" },
      choice("Map", names, this.state.map, set("map")),
      this.alone ? null : choice("Scale", scales, this.state.scale, set("scale")),
      named ? choice("Heads", [["all", "all"], ["named", "those with a name"]], this.state.heads, set("heads")) : null,
    );
  }

  card(slot) {
    const [layer, head] = this.data.heads[slot];
    const names = this.data.earned[slot];
    const title = `layer ${layer}, head ${head}${names.length ? `: ${names.join("; ")}` : ""}`;
    const said = names.map((name) => make("span", { class: "name" }, label(name)));
    const card = make("button", { type: "button", class: "card", "aria-label": title, title }, make("canvas"), make("b", {}, `L${layer}H${head}`), ...said);
    card.addEventListener("click", () => card.focus());
    card.addEventListener("focus", () => this.choose(slot));
    return card;
  }

  get seen() {
    return this.cards.filter((card) => !card.hidden);
  }

  onKey(event) {
    const next = step(event.key, this.seen.indexOf(event.target), this.seen.length, this.seen.length);
    if (next === null) return;
    event.preventDefault();
    this.seen[next].focus();
  }

  byLayer() {
    const layers = [...new Set(this.data.heads.map(([layer]) => layer))].sort((a, b) => a - b);
    return layers.map((layer) => {
      const cards = this.cards.filter((_, slot) => this.data.heads[slot][0] === layer);
      const row = make("div", { class: "cards", style: `--heads: ${cards.length}` }, ...cards);
      return make("div", { role: "group", "aria-label": `Layer ${layer}` }, make("h3", {}, `Layer ${layer}`), row);
    });
  }

  point(cell) {
    this.pointed = cell;
    this.schedule();
  }

  choose(slot) {
    if (slot === this.slot) return;
    this.slot = slot;
    this.schedule();
    this.remember();
  }

  get bookmark() {
    const [layer, head] = this.data.heads[this.slot];
    return { layer, head };
  }

  restore({ layer, head }) {
    const slot = this.data.heads.findIndex(([l, h]) => l === Number(layer) && h === Number(head));
    if (slot < 0) return;
    this.slot = slot;
    this.draw();
  }

  get map() {
    return Number(this.state.map);
  }

  line(slot) {
    return this.data.maps[this.map].row(slot);
  }

  // As many digits as the steps can carry that the values are stored in.
  format(value) {
    if (value === -Infinity) return "nothing";
    const step = this.data.steps[this.map];
    return step ? plain(value, decimalsFor(step)) : probability(value);
  }

  draw() {
    const [rows, columns] = this.data.sizes[this.map];
    const lines = this.data.heads.map((_, slot) => this.line(slot));
    const shared = extent(lines, "pattern");
    const ranges = lines.map((line) => (this.state.scale === "own" ? extent([line], "pattern") : shared));
    const cells = this.grids[this.map].grid.flat();
    this.cards.forEach((card, slot) => {
      Object.assign(card.firstChild, { width: columns, height: rows });
      drawThumbnail(card.firstChild, cells, lines[slot], ranges[slot]);
      card.hidden = this.state.heads === "named" && !this.data.earned[slot].length;
    });
    if (this.cards[this.slot].hidden) this.slot = this.cards.indexOf(this.seen[0]);
    this.cards.forEach((card, slot) => {
      card.tabIndex = slot === this.slot ? 0 : -1;
      card.setAttribute("aria-pressed", String(slot === this.slot));
    });
    for (const layer of this.layers) layer.hidden = [...layer.querySelectorAll(".card")].every((card) => card.hidden);
    this.drawLarge(lines[this.slot], ranges[this.slot]);
  }

  drawLarge(line, range) {
    const picture = this.pictures[this.map];
    if (this.frame.firstChild !== picture.element) this.frame.replaceChildren(picture.element);
    const [layer, head] = this.data.heads[this.slot];
    this.heading.textContent = `Layer ${layer}, head ${head}`;
    const names = this.data.earned[this.slot];
    this.earned.replaceChildren(...(names.length ? names : ["a head without a name"]).map((name) => make("li", {}, label(name))));
    const rings = this.pointed === null ? [] : [{ token: this.pointed, kind: "key" }];
    if (this.data.kinds[this.map] === "offsets") rings.unshift({ token: (line.length - 1) / 2, kind: "query" });
    picture.draw({ colors: Array.from(line, (value) => (value === -Infinity ? null : color("sequential", part(value, range)))), rings });
    const [low, high] = range;
    this.legend.set({ scale: "sequential", low, high, format: (value) => this.format(value), caption: this.data.unit });
    this.legend.mark(this.pointed === null ? null : line[this.pointed]);
    this.readout.textContent = this.pointed === null ? this.hint() : `${capitalized(this.nameOf(this.pointed))}: ${this.format(line[this.pointed])}`;
  }

  hint() {
    return this.data.kinds[this.map] === "offsets" ? "The framed cell is the patch that looks. Point at a cell to read its value." : "Point at a patch to read its value.";
  }

  nameOf(cell) {
    const [rows, columns] = this.data.sizes[this.map];
    const [row, column] = [Math.floor(cell / columns), cell % columns];
    if (this.data.kinds[this.map] === "patches") return `patch row ${row}, column ${column}`;
    return offsetName(row - (rows - 1) / 2, column - (columns - 1) / 2);
  }
}

function cellsOf(rows, columns) {
  const grid = Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (__, column) => row * columns + column));
  return { grid, names: grid.flat().map(String), special: [] };
}

function offsetName(down, right) {
  const steps = [];
  if (down) steps.push(`${Math.abs(down)} ${down < 0 ? "up" : "down"}`);
  if (right) steps.push(`${Math.abs(right)} ${right < 0 ? "left" : "right"}`);
  return steps.join(", ") || "the patch itself";
}

customElements.define("vt-head-cards", HeadCards);
