// Pictures side by side, each with a patch framed and values on its patches, all on one scale.

import { extent, part } from "vitreous/attention-data.js";
import { color } from "vitreous/colors.js";
import { choice, label, make } from "vitreous/dom.js";
import { Legend } from "vitreous/legend.js";
import { decimalsFor, plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

class PatchStrip extends Viewer {
  build() {
    const { pictures, tokens, labels, maps, caption, across } = this.data;
    const columns = `--narrow: ${across[0]}; --wide: ${across[1]}`;
    this.pointed = null; // { place, token }
    this.shown = maps ? "values" : "picture";
    this.lines = maps ? labels.map((_, place) => maps.row(place)) : [];
    this.range = extent(this.lines, "pattern");
    this.patches = pictures.map((picture, place) => new PatchPicture(picture, tokens, labels[place], { onPoint: (token) => this.point(place, token) }));
    const figures = this.patches.map((patches, place) => make("li", {}, patches.element, make("p", { class: "readout-line" }, label(labels[place]))));
    this.legend = new Legend();
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    const top = make("div", { class: "controls" }, caption ? make("h3", { dir: "auto" }, caption) : null, maps ? this.control() : null);
    this.replaceChildren(top, make("ul", { class: "strip", style: columns }, ...figures), ...(maps ? [this.legend.element] : []), this.readout);
  }

  control() {
    const set = (value) => {
      this.shown = value;
      this.draw();
    };
    return choice("Show", [["values", "attention"], ["picture", "picture"]], this.shown, set);
  }

  point(place, token) {
    this.pointed = token === null ? null : { place, token };
    this.schedule();
  }

  format(value) {
    return this.data.step ? plain(value, decimalsFor(this.data.step)) : probability(value);
  }

  draw() {
    this.patches.forEach((_, place) => this.drawOne(place));
    const [low, high] = this.range;
    const { unit, maps, tokens } = this.data;
    if (maps) this.legend.set({ scale: "sequential", low, high, format: (value) => this.format(value), caption: unit });
    const value = maps && this.pointed ? this.lines[this.pointed.place][this.pointed.token] : null;
    this.legend.mark(value);
    const name = this.pointed && capitalized(spokenName(tokens, this.pointed.token));
    this.readout.textContent = name ? (value === null ? name : `${name}: ${this.format(value)}`) : "Point at a patch.";
  }

  drawOne(place) {
    const { marked } = this.data;
    const colors = this.shown === "values" ? Array.from(this.lines[place], (value) => color("sequential", part(value, this.range))) : null;
    const rings = marked ? [{ token: marked[place], kind: "query" }] : [];
    if (this.pointed?.place === place) rings.push({ token: this.pointed.token, kind: "key" });
    this.patches[place].draw({ colors, rings });
  }
}

customElements.define("vt-patch-strip", PatchStrip);
