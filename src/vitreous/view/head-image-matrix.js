// The same heads on several images: a row per head, a column per image, and the chosen cell on its picture.

import { extent, part } from "vitreous/attention-data.js";
import { color } from "vitreous/colors.js";
import { choice, dropdown, label, make, roving } from "vitreous/dom.js";
import { drawThumbnail } from "vitreous/head-thumbnails.js";
import { Legend } from "vitreous/legend.js";
import { decimalsFor, plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { spokenName, capitalized } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

class HeadImageMatrix extends Viewer {
  build() {
    const { maps, tokens, mostShown } = this.data;
    [this.images, this.layers, this.heads] = maps[0].shape;
    this.patches = tokens.grid.flat();
    const many = this.images * this.layers * this.heads > mostShown;
    this.state = { map: "0", layer: many ? "0" : "all", scale: "own", order: "place" };
    this.chosen = { layer: 0, head: 0, image: 0 };
    this.pointed = null;
    this.pictures = new Map();
    this.legend = new Legend();
    this.heading = make("h3", { dir: "auto" });
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    this.note = make("p", { class: "readout-line" });
    this.scroller = make("div", { class: "scroller" });
    this.frame = make("div");
    const table = make("div", { class: "head-images" }, this.scroller, this.note);
    const side = make("div", { class: "side" }, this.heading, this.frame, this.legend.element, this.readout);
    this.replaceChildren(this.controls(), make("div", { class: "stage attention" }, table, side));
    this.lay();
  }

  controls() {
    const set = (name) => (value) => {
      this.state[name] = value;
      this.lay();
      this.draw();
    };
    const names = this.data.names.map((name, i) => [String(i), this.spoken(name)]);
    const layers = [["all", "all"], ...Array.from({ length: this.layers }, (_, layer) => [String(layer), String(layer)])];
    const scales = [["own", "each its own"], ["head", "per head"], ["shared", "shared"]];
    return make(
      "div",
      { class: "controls" },
      choice("Pattern of", names, this.state.map, set("map")),
      choice("Scale", scales, this.state.scale, set("scale")),
      dropdown("Layer", layers, this.state.layer, set("layer")),
      choice("Order", [["place", "by place"], ["alike", "most alike first"]], this.state.order, set("order")),
    );
  }

  spoken(name) {
    const token = this.data.tokens.names.indexOf(name);
    return token < 0 ? name : spokenName(this.data.tokens, token);
  }

  line({ layer, head, image }) {
    return this.data.maps[Number(this.state.map)].row(image, layer, head);
  }

  // As many digits as the steps can carry that the values are stored in.
  format(value) {
    const step = this.data.steps[Number(this.state.map)];
    return step ? plain(value, decimalsFor(step)) : probability(value);
  }

  alike({ layer, head }) {
    return this.data.alike[Number(this.state.map)][layer][head];
  }

  // The heads of the rows, in order; where nothing is known, last.
  rows() {
    const layers = this.state.layer === "all" ? Array.from({ length: this.layers }, (_, i) => i) : [Number(this.state.layer)];
    const rows = layers.flatMap((layer) => Array.from({ length: this.heads }, (_, head) => ({ layer, head })));
    if (this.state.order === "place") return rows;
    return rows.sort((a, b) => (this.alike(b) ?? -2) - (this.alike(a) ?? -2));
  }

  // Builds the table anew: which rows there are, and in which order.
  lay() {
    const { labels, pictures } = this.data;
    const images = labels.map((name, i) => make("th", { scope: "col" }, make("img", { src: pictures[i], alt: "" }), label(name)));
    const head = make("tr", {}, make("th", { class: "axis" }, "head"), ...images, make("th", { class: "alike", scope: "col" }, "alike"));
    this.cells = [];
    const body = this.rows().map((row) => this.tableRow(row));
    roving(this.cells.map(({ button }) => button), this.images, (i) => this.choose(this.cells[i].place));
    this.scroller.replaceChildren(make("table", { class: "thumbnails", role: "grid", style: `--heads: ${this.images}` }, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  tableRow(row) {
    const cells = this.data.labels.map((name, image) => make("td", {}, this.cell({ ...row, image })));
    const alike = this.alike(row);
    const number = make("td", { class: "alike" }, alike === null ? "–" : plain(alike, 2));
    return make("tr", {}, make("th", { scope: "row" }, `L${row.layer}H${row.head}`), ...cells, number);
  }

  cell(place) {
    const { grid } = this.data.tokens;
    const canvas = make("canvas", { width: grid[0].length, height: grid.length });
    const button = make("button", { type: "button", class: "thumbnail", "aria-label": this.name(place) }, canvas);
    button.addEventListener("click", () => button.focus());
    this.cells.push({ place, button, canvas });
    return button;
  }

  name({ layer, head, image }) {
    return `layer ${layer}, head ${head} on ${this.data.labels[image]}`;
  }

  choose(place) {
    this.chosen = place;
    this.pointed = null;
    this.schedule();
  }

  // Pointing at patches repaints nothing but the picture.
  point(token) {
    this.pointed = token;
    this.drawPicture();
  }

  draw() {
    const lines = this.cells.map(({ place }) => this.line(place));
    const onPatches = lines.map((line) => this.patches.map((token) => line[token]));
    const ranges = this.ranges(onPatches);
    this.cells.forEach(({ place, button, canvas }, i) => {
      drawThumbnail(canvas, this.patches, lines[i], ranges[i]);
      button.title = `${this.name(place)}: ${this.format(ranges[i][0])} to ${this.format(ranges[i][1])}`;
      const pressed = Object.keys(place).every((key) => place[key] === this.chosen[key]);
      button.setAttribute("aria-pressed", String(pressed));
      if (pressed) this.range = ranges[i];
    });
    this.range ??= ranges[0];
    this.note.textContent = "Alike: how the maps of two images correlate over the patches, the mean over all pairs.";
    this.drawPicture();
  }

  ranges(lines) {
    const { scale } = this.state;
    if (scale === "own") return lines.map((line) => extent([line], "pattern"));
    if (scale === "shared") return lines.map(((all) => () => all)(extent(lines, "pattern")));
    const first = (i) => i - (i % this.images);
    return lines.map((_, i) => extent(lines.slice(first(i), first(i) + this.images), "pattern"));
  }

  drawPicture() {
    const line = this.line(this.chosen);
    const picture = this.picture(this.chosen.image);
    if (this.frame.firstChild !== picture.element) this.frame.replaceChildren(picture.element);
    const colors = Array.from(line, (value) => color("sequential", part(value, this.range)));
    picture.draw({ colors, rings: this.pointed === null ? [] : [{ token: this.pointed, kind: "key" }] });
    this.heading.textContent = capitalized(this.name(this.chosen));
    const [low, high] = this.range;
    const caption = `attention: ${this.spoken(this.data.names[Number(this.state.map)])}`;
    this.legend.set({ scale: "sequential", low, high, format: (value) => this.format(value), caption });
    this.legend.mark(this.pointed === null ? null : line[this.pointed]);
    this.readout.textContent = this.pointed === null ? "Point at a patch to read its value." : `${capitalized(spokenName(this.data.tokens, this.pointed))}: ${this.format(line[this.pointed])}`;
  }

  // One for each image, made when it is first looked at.
  picture(image) {
    if (!this.pictures.has(image)) {
      const { pictures, tokens, labels } = this.data;
      this.pictures.set(image, new PatchPicture(pictures[image], tokens, `Attention on ${labels[image]}`, { onPoint: (token) => this.point(token) }));
    }
    return this.pictures.get(image);
  }
}

customElements.define("vt-head-image-matrix", HeadImageMatrix);
