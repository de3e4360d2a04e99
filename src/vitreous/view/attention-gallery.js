// Where each head looks: a gallery of all heads or the chosen one's matrix, beside the chosen one on the picture.

import { AttentionData, extent, part } from "vitreous/attention-data.js";
import { AttentionMatrix } from "vitreous/attention-matrix.js";
import { AttentionPins, MOST_PINS } from "vitreous/attention-pins.js";
import { AttentionWords } from "vitreous/attention-words.js";
import { color, css, inkOn } from "vitreous/colors.js";
import { choice, label, make } from "vitreous/dom.js";
import { HeadThumbnails } from "vitreous/head-thumbnails.js";
import { Legend } from "vitreous/legend.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { savePicture } from "vitreous/picture-file.js";
import { theme } from "vitreous/theme.js";
import { spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

// What an address may say about how a head is shown.
const KNOWN = { kind: ["pattern", "scores"], way: ["from", "to"], scale: ["token", "head", "all"], beside: ["heads", "matrix"] };

class AttentionGallery extends Viewer {
  build() {
    const { picture, tokens, largestStep, start } = this.data;
    this.attention = new AttentionData(this.data);
    this.words = new AttentionWords(tokens, largestStep);
    this.format = (value) => this.words.format(this.state.kind, value);
    const middle = tokens.grid[tokens.grid.length >> 1][tokens.grid[0].length >> 1];
    this.token = tokens.special[0] ?? middle;
    this.held = null; // a token that stays while one points elsewhere
    this.cursor = null; // the token that is pointed at
    this.reading = null; // the other end of the arrow whose value is told
    this.slot = this.attention.slot(...start);
    this.state = { kind: "pattern", way: "from", scale: "token", beside: "heads", thumbnails: "own", gallery: tokens.special.length ? "start" : "average" };
    this.patches = new PatchPicture(picture, tokens, "Attention on the patches of the picture", {
      onPoint: (token) => this.point(token),
      onPick: (token) => this.hold(token),
    });
    this.thumbnails = new HeadThumbnails(this.attention.layers, this.attention.heads, this.attention.slots, tokens.grid, (slot) => this.choose(slot), this.data.names);
    this.matrix = new AttentionMatrix(this.attention, {
      onPoint: (place) => this.pointCell(place),
      onPick: (place) => this.hold(this.ends(place).token),
    });
    this.pins = new AttentionPins(picture, tokens, { onPoint: (token) => this.read(token), onChange: () => this.schedule() });
    this.legend = new Legend();
    this.readout = make("div", { class: "readout", "aria-live": "polite" });
    this.replaceChildren(this.controls(), this.stage(), this.pins.element);
    this.addEventListener("keydown", (event) => this.onKey(event));
  }

  controls() {
    return make(
      "div",
      { class: "controls" },
      this.choice("Show", "kind", [["pattern", "pattern"], ["scores", "scores"]]),
      this.choice("Direction", "way", [["from", "looks at"], ["to", "is looked at by"]]),
      this.choice("Color scale of", "scale", [["token", "this token"], ["head", "this head"], ["all", "all heads"]]),
      this.choice("Beside the picture", "beside", [["heads", "all heads"], ["matrix", "matrix"]]),
    );
  }

  galleryControls() {
    const { special } = this.data.tokens;
    const first = special.length ? [["start", spokenName(this.data.tokens, special[0])]] : [];
    const galleries = [...first, ["average", "mean over queries"], ["query", "chosen token"]];
    return make(
      "div",
      { class: "controls" },
      this.choice("Thumbnails of", "gallery", galleries),
      this.choice("Thumbnail scale", "thumbnails", [["own", "each its own"], ["shared", "shared"]]),
    );
  }

  choice(title, name, options) {
    return choice(title, options, this.state[name], (value) => {
      this.state[name] = value;
      this.thumbnailsDrawn = false;
      this.draw();
      this.remember();
    });
  }

  stage() {
    this.heading = make("h3");
    this.chips = this.data.tokens.special.map((token) => this.chip(token));
    const chips = make("div", { class: "chips", role: "group", "aria-label": "Tokens that are no patch" }, ...this.chips);
    this.earned = this.data.names.some(Boolean) ? make("p", { class: "readout-line" }) : null;
    const side = make("div", { class: "side" }, this.heading, this.earned, this.chips.length ? chips : null, this.patches.element, this.legend.element, this.readout, this.actions());
    this.galleryNote = make("p", { class: "readout-line" });
    const heads = make("div", { class: "gallery-heads" }, this.galleryControls(), this.thumbnails.element, this.galleryNote);
    this.panels = { heads, matrix: this.matrix.element };
    return make("div", { class: "stage attention" }, make("div", { class: "gallery" }, heads, this.matrix.element), side);
  }

  actions() {
    this.pinButton = make("button", { type: "button", class: "action" }, "Pin");
    this.pinButton.addEventListener("click", () => this.pin());
    const save = make("button", { type: "button", class: "action" }, "Save PNG");
    save.addEventListener("click", () => this.savePng());
    return make("div", { class: "actions" }, this.pinButton, save);
  }

  chip(token) {
    const button = make("button", { type: "button", class: "chip", "data-token": token }, spokenName(this.data.tokens, token));
    button.addEventListener("pointerenter", () => this.point(token));
    button.addEventListener("pointerleave", () => this.point(null));
    button.addEventListener("click", () => this.hold(token));
    return button;
  }

  onKey(event) {
    if (event.key === "Escape") this.release();
    if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) this.pin();
  }

  choose(slot) {
    this.slot = slot;
    this.schedule();
    this.remember();
  }

  get bookmark() {
    const [layer, head] = this.attention.places[this.slot];
    const { kind, way, scale, beside } = this.state;
    const held = this.held === null ? {} : { token: this.held };
    return { layer, head, ...held, kind, way, scale, beside };
  }

  restore({ layer, head, token, ...state }) {
    const slot = this.attention.slot(Number(layer), Number(head));
    if (slot >= 0) this.slot = slot;
    for (const [name, values] of Object.entries(KNOWN)) if (values.includes(state[name])) this.state[name] = state[name];
    if (Number(token) in this.data.tokens.names) this.token = this.held = Number(token);
    this.firstElementChild.replaceWith(this.controls());
    this.thumbnailsDrawn = false;
    this.draw();
  }

  // Pointing chooses the token to look from, until a click holds one; then it reads values.
  point(token) {
    this.cursor = token;
    this.reading = this.held === null ? null : token;
    if (this.held === null && token !== null) this.setToken(token);
    this.schedule();
  }

  // On a cell of the matrix both ends are pointed at, whatever is held.
  pointCell(place) {
    const { token, other } = place === null ? { token: this.held ?? this.token, other: null } : this.ends(place);
    this.setToken(token);
    this.cursor = this.reading = other;
    this.schedule();
  }

  // On a pinned picture, values are read from where the other pictures look.
  read(token) {
    this.cursor = this.reading = token;
    this.schedule();
  }

  ends({ query, key }) {
    return this.state.way === "from" ? { token: query, other: key } : { token: key, other: query };
  }

  hold(token) {
    if (token === this.held) {
      this.release();
      return;
    }
    this.held = token;
    this.setToken(token);
    this.schedule();
    this.remember();
  }

  release() {
    this.held = null;
    this.reading = null;
    this.schedule();
    this.remember();
  }

  setToken(token) {
    if (token !== this.token && this.state.gallery === "query") this.thumbnailsDrawn = false;
    this.token = token;
  }

  pin() {
    const { slot, token } = this;
    const { way } = this.state;
    this.pins.add({ slot, way, token, title: this.title() });
  }

  title() {
    return this.words.title(this.attention.places[this.slot], this.state.way, this.token);
  }

  draw() {
    const { kind, way } = this.state;
    this.line = this.attention.line(kind, way, this.slot, this.token);
    this.scale = this.scaleOf(this.slot, this.line);
    this.shades = Array.from(this.line, (value) => shade(value, this.scale));
    const rings = [{ token: this.token, kind: "query" }];
    if (this.reading !== null && this.reading !== this.token) rings.push({ token: this.reading, kind: "key" });
    this.patches.draw({ colors: this.shades, rings });
    this.drawChips();
    this.drawWords();
    for (const [name, panel] of Object.entries(this.panels)) panel.inert = name !== this.state.beside;
    if (this.state.beside === "heads") this.drawThumbnails();
    else this.drawMatrix();
    this.drawPins();
  }

  scaleOf(slot, line) {
    const { kind, scale } = this.state;
    if (scale === "token") return extent([line], kind);
    return this.attention.extent(kind, scale === "head" ? slot : null);
  }

  drawChips() {
    for (const chip of this.chips) {
      const token = Number(chip.dataset.token);
      const paint = this.shades[token];
      chip.style.background = paint ? css(paint) : "";
      chip.style.color = paint ? inkOn(paint) : "";
      chip.classList.toggle("query", token === this.token);
      chip.classList.toggle("key", token === this.reading && token !== this.token);
    }
  }

  drawWords() {
    const { kind } = this.state;
    this.heading.textContent = this.title();
    this.earned?.replaceChildren(label(this.data.names[this.slot] || "a head without a name"));
    this.readout.replaceChildren(this.words.sentence(kind, this.arrow(), this.held !== null), this.words.topKeys(kind, this.line));
    const [low, high] = this.scale;
    this.legend.set({ scale: "sequential", low, high, format: this.format, caption: this.words.caption(kind) });
    this.legend.mark(this.reading === null ? null : this.line[this.reading]);
    this.pinButton.disabled = this.pins.pins.length >= MOST_PINS;
  }

  // The query and the key whose value is told.
  arrow() {
    if (this.reading === null) return null;
    const [query, key] = this.state.way === "from" ? [this.token, this.reading] : [this.reading, this.token];
    return { query, key, value: this.line[this.reading] };
  }

  drawMatrix() {
    const { kind, way, scale } = this.state;
    const range = this.attention.extent(kind, scale === "all" ? null : this.slot);
    const [query, key] = way === "from" ? [this.token, this.reading] : [this.reading, this.token];
    const [low, high] = range.map(this.format);
    const note = `The colors of the matrix span ${low} to ${high}, all values of ${scale === "all" ? "all heads" : "this head"}.`;
    this.matrix.draw(kind, this.slot, range, { query, key }, note);
  }

  drawPins() {
    const { kind, scale } = this.state;
    const read = ({ slot, way, token }) => {
      const line = this.attention.line(kind, way, slot, token);
      const range = this.scaleOf(slot, line);
      return { line, scale: range, shade: (value) => shade(value, range) };
    };
    this.pins.draw([kind, scale, theme()].join(), read, this.format, this.cursor);
  }

  drawThumbnails() {
    this.thumbnails.choose(this.slot);
    if (this.thumbnailsDrawn === theme()) return; // nothing changed, not even the theme
    this.thumbnailsDrawn = theme();
    const { kind, thumbnails } = this.state;
    const lines = this.attention.places.map((_, slot) => this.thumbnailLine(slot));
    const onPatches = lines.map((line) => this.patches.cells.map((token) => line[token]));
    const shared = extent(onPatches, kind);
    const ranges = onPatches.map((line) => (thumbnails === "own" ? extent([line], kind) : shared));
    this.thumbnails.draw(lines, ranges, ([low, high]) => `${this.format(low)} to ${this.format(high)} on the patches`);
    this.galleryNote.textContent = this.galleryScale(shared);
  }

  thumbnailLine(slot) {
    const { kind, way, gallery } = this.state;
    if (gallery === "average") return this.attention.average(kind, slot);
    const token = gallery === "start" ? this.data.tokens.special[0] : this.token;
    return this.attention.line(kind, way, slot, token);
  }

  galleryScale([low, high]) {
    const start = this.state.kind === "pattern" ? "0" : "the smallest";
    if (this.state.thumbnails === "own") return `Each thumbnail has its own scale, from ${start} to its largest value on the patches (shown when you point at it).`;
    return `All thumbnails share one scale, ${this.format(low)} to ${this.format(high)}.`;
  }

  savePng() {
    const { tokens } = this.data;
    const [layer, head] = this.attention.places[this.slot];
    const chips = tokens.special.map((token) => ({ name: tokens.names[token], shade: this.shades[token] }));
    const numbers = [this.scale[0], (this.scale[0] + this.scale[1]) / 2, this.scale[1]].map(this.format);
    const name = `attention-L${layer}H${head}-${tokens.names[this.token].replace(/[^\w-]+/g, "_")}.png`;
    return savePicture(name, this.patches, { title: this.title(), chips, numbers, caption: this.words.caption(this.state.kind) });
  }
}

function shade(value, range) {
  return value === -Infinity ? null : color("sequential", part(value, range));
}

customElements.define("vt-attention-gallery", AttentionGallery);
