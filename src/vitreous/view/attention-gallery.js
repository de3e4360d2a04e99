// Where each head looks: a gallery of all heads, and the chosen one on the picture.

import { AttentionData, extent } from "vitreous/attention-data.js";
import { color, css, inkOn } from "vitreous/colors.js";
import { choice, make } from "vitreous/dom.js";
import { HeadThumbnails } from "vitreous/head-thumbnails.js";
import { Legend } from "vitreous/legend.js";
import { decimalsFor, plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized, inSentence, shortName, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

const TOP_KEYS = 5;

class AttentionGallery extends Viewer {
  build() {
    const { picture, tokens, scores, logPartition } = this.data;
    this.attention = new AttentionData(scores, logPartition);
    const middle = tokens.grid[tokens.grid.length >> 1][tokens.grid[0].length >> 1];
    this.query = tokens.special[0] ?? middle;
    this.held = false;
    this.pointed = null;
    this.chosen = this.data.start[0] * this.attention.heads + this.data.start[1];
    this.state = { kind: "pattern", way: "from", scale: "own", gallery: tokens.special.length ? "start" : "average" };
    this.patches = new PatchPicture(picture, tokens, "Attention on the patches of the picture", {
      onPoint: (token) => this.point(token),
      onPick: (token) => this.hold(token),
    });
    this.thumbnails = new HeadThumbnails(this.attention.layers, this.attention.heads, tokens.grid, (i) => this.choose(i));
    this.legend = new Legend();
    this.readout = make("div", { class: "readout", "aria-live": "polite" });
    this.replaceChildren(this.controls(), this.stage());
    this.addEventListener("keydown", (event) => event.key === "Escape" && this.release());
  }

  controls() {
    const { special } = this.data.tokens;
    const set = (name) => (value) => {
      this.state[name] = value;
      this.thumbnailsDrawn = false;
      this.draw();
    };
    const first = special.length ? [["start", spokenName(this.data.tokens, special[0])]] : [];
    const galleries = [...first, ["average", "mean over queries"], ["query", "chosen token"]];
    return make(
      "div",
      { class: "controls" },
      choice("Show", [["pattern", "pattern"], ["scores", "scores"]], this.state.kind, set("kind")),
      choice("Direction", [["from", "looks at"], ["to", "is looked at by"]], this.state.way, set("way")),
      choice("Thumbnails of", galleries, this.state.gallery, set("gallery")),
      choice("Thumbnail scale", [["own", "each its own"], ["shared", "shared"]], this.state.scale, set("scale")),
    );
  }

  stage() {
    this.heading = make("h3");
    this.chips = this.data.tokens.special.map((token) => this.chip(token));
    const chips = make("div", { class: "chips", role: "group", "aria-label": "Tokens that are no patch" }, ...this.chips);
    const picture = make("div", { class: "side" }, this.heading, this.chips.length ? chips : null, this.patches.element, this.legend.element, this.readout);
    this.galleryNote = make("p", { class: "readout-line" });
    const gallery = make("div", { class: "gallery" }, this.thumbnails.element, this.galleryNote);
    return make("div", { class: "stage attention" }, gallery, picture);
  }

  chip(token) {
    const button = make("button", { type: "button", class: "chip", "data-token": token }, spokenName(this.data.tokens, token));
    button.addEventListener("pointerenter", () => this.point(token));
    button.addEventListener("pointerleave", () => this.point(null));
    button.addEventListener("click", () => this.hold(token));
    return button;
  }

  choose(i) {
    this.chosen = i;
    this.schedule();
  }

  // Pointing chooses the token to look from, until a click holds one; then it reads values.
  point(token) {
    this.pointed = token;
    if (!this.held && token !== null) this.setQuery(token);
    this.schedule();
  }

  hold(token) {
    if (this.held && token === this.query) {
      this.release();
      return;
    }
    this.held = true;
    this.setQuery(token);
    this.schedule();
  }

  release() {
    this.held = false;
    this.schedule();
  }

  setQuery(token) {
    if (token !== this.query && this.state.gallery === "query") this.thumbnailsDrawn = false;
    this.query = token;
  }

  get place() {
    return [Math.floor(this.chosen / this.attention.heads), this.chosen % this.attention.heads];
  }

  draw() {
    const { kind, way } = this.state;
    this.line = this.attention.line(kind, way, ...this.place, this.query);
    this.scale = extent([this.line], kind);
    const shades = Array.from(this.line, (value) => this.shade(value));
    const rings = [{ token: this.query, kind: "query" }];
    if (this.held && this.pointed !== null && this.pointed !== this.query) rings.push({ token: this.pointed, kind: "key" });
    this.patches.draw({ colors: shades, rings });
    this.drawChips(shades);
    this.drawWords();
    this.drawThumbnails();
  }

  shade(value) {
    const [low, high] = this.scale;
    return color("sequential", (value - low) / (high - low || 1));
  }

  drawChips(shades) {
    for (const chip of this.chips) {
      const token = Number(chip.dataset.token);
      chip.style.background = css(shades[token]);
      chip.style.color = inkOn(shades[token]);
      chip.classList.toggle("query", token === this.query);
    }
  }

  format(value) {
    const { largestStep } = this.data;
    if (this.state.kind === "scores") return plain(value, Math.min(3, decimalsFor(largestStep)));
    return probability(value, largestStep > 0 ? 2 : 3);
  }

  drawWords() {
    const { tokens } = this.data;
    const [layer, head] = this.place;
    const name = inSentence(tokens, this.query);
    const what = this.state.way === "from" ? `where ${name} looks` : `who looks at ${name}`;
    this.heading.textContent = `Layer ${layer}, head ${head}: ${what}`;
    const reading = this.held && this.pointed !== null ? this.pointed : null;
    this.readout.replaceChildren(this.sentence(reading), this.topKeys());
    const [low, high] = this.scale;
    const caption = this.unit() + this.precision();
    this.legend.set({ scale: "sequential", low, high, format: (value) => this.format(value), caption });
    this.legend.mark(reading === null ? null : this.line[reading]);
  }

  unit() {
    return this.state.kind === "pattern" ? "attention (softmax of the scores)" : "score before the softmax";
  }

  precision() {
    const { largestStep } = this.data;
    if (!largestStep) return "";
    return `; scores are stored in steps of ${plain(largestStep, 4)} or finer`;
  }

  sentence(reading) {
    const { tokens } = this.data;
    if (reading === null) {
      const hint = this.held ? "Held. Point at any patch to read its value; Esc lets go." : "Point at a patch to look from there; click to hold it.";
      return make("p", { class: "hint" }, hint);
    }
    const [query, key] = this.state.way === "from" ? [this.query, reading] : [reading, this.query];
    const text = `${spokenName(tokens, query)} → ${spokenName(tokens, key)}: `;
    return make("p", { class: "hint" }, capitalized(text), make("b", { class: "value" }, this.format(this.line[reading])));
  }

  topKeys() {
    const order = Array.from(this.line.keys()).sort((a, b) => this.line[b] - this.line[a]);
    const items = order.slice(0, TOP_KEYS).map((token) => {
      const name = make("span", { class: "key" }, shortName(this.data.tokens, token));
      return make("li", {}, name, " ", make("b", { class: "value" }, this.format(this.line[token])));
    });
    return make("ol", { class: "top-keys", "aria-label": "Highest values" }, ...items);
  }

  drawThumbnails() {
    this.thumbnails.choose(this.chosen);
    const shade = color("sequential", 0).join();
    if (this.thumbnailsDrawn === shade) return; // nothing changed, not even the theme
    this.thumbnailsDrawn = shade;
    const { kind, scale } = this.state;
    const lines = this.thumbnails.buttons.map((_, i) => this.thumbnailLine(i));
    const onPatches = lines.map((line) => this.patches.cells.map((token) => line[token]));
    const shared = extent(onPatches, kind);
    const ranges = onPatches.map((line) => (scale === "own" ? extent([line], kind) : shared));
    this.thumbnails.draw(lines, ranges, ([low, high]) => `${this.format(low)} to ${this.format(high)} on the patches`);
    this.galleryNote.textContent = this.galleryScale(shared);
  }

  thumbnailLine(i) {
    const { kind, way, gallery } = this.state;
    const place = [Math.floor(i / this.attention.heads), i % this.attention.heads];
    if (gallery === "average") return this.attention.average(kind, ...place);
    const token = gallery === "start" ? this.data.tokens.special[0] : this.query;
    return this.attention.line(kind, way, ...place, token);
  }

  galleryScale([low, high]) {
    const start = this.state.kind === "pattern" ? "0" : "the smallest";
    if (this.state.scale === "own") return `Each thumbnail has its own scale, from ${start} to its largest value on the patches (shown when you point at it).`;
    return `All thumbnails share one scale, ${this.format(low)} to ${this.format(high)}.`;
  }
}

customElements.define("vt-attention-gallery", AttentionGallery);
