// What each patch says at each layer: a picture of captioned patches, and the layers as columns below it.

import { ClassLegend } from "vitreous/class-legend.js";
import { color, css } from "vitreous/colors.js";
import { choice, dropdown, label, make } from "vitreous/dom.js";
import { LayerMultiples } from "vitreous/layer-multiples.js";
import { Legend } from "vitreous/legend.js";
import { LensData, OWN } from "vitreous/lens-data.js";
import { LensTimeline } from "vitreous/lens-timeline.js";
import { plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { onPaper, theme } from "vitreous/theme.js";
import { capitalized, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

const MOST_NAMED_COLUMNS = 20; // names don't fit on smaller patches

class PatchLens extends Viewer {
  build() {
    const { picture, tokens, layers, emoji } = this.data;
    this.lens = new LensData(this.data);
    const columns = tokens.grid[0].length;
    this.layer = layers.length - 1;
    this.held = tokens.special[0] ?? tokens.grid[tokens.grid.length >> 1][columns >> 1];
    this.pointed = null;
    this.spotlight = null;
    const named = columns > MOST_NAMED_COLUMNS ? "nothing" : "names";
    this.state = { show: emoji ? "emoji" : named, by: "probability", of: OWN, layers: "one" };
    this.patches = new PatchPicture(picture, tokens, "Patches of the picture, each with its top label", {
      onPoint: (token) => this.point(token),
      onPick: (token) => this.hold(token),
    });
    this.legend = new Legend();
    this.classes = new ClassLegend(this.lens, (index) => this.light(index));
    this.readout = make("div", { class: "readout", "aria-live": "polite" });
    this.timeline = new LensTimeline(this.lens, this.layer, {
      onLayer: (layer) => this.setLayer(layer),
      onRest: () => this.remember(),
      onPoint: (token) => this.point(token),
    });
    this.stage = make("div", { class: "stage lens" });
    this.replaceChildren(this.stage, this.timeline.element);
    this.arrange();
  }

  // Puts the controls as the state says, and the picture of one layer or those of all.
  arrange() {
    const side = make("div", { class: "side" }, this.controls(), this.readout, this.legend.element, this.classes.element);
    const all = this.state.layers === "all";
    if (all) this.multiples ??= this.makeMultiples();
    this.stage.classList.toggle("all-layers", all);
    this.stage.replaceChildren(all ? this.multiples.element : this.patches.element, side);
  }

  controls() {
    const { emoji, followed, layers } = this.data;
    const { show, by, of } = this.state;
    const shows = [["emoji", "emoji"], ["names", "names"], ["nothing", "nothing"]].filter(([value]) => emoji || value !== "emoji");
    const ofs = [[OWN, "its own top label"], ...followed.map((index, i) => [String(i), this.lens.named(index)])];
    const colors = [["probability", "probability"], ["logit", "logit"], ["class", "class"]];
    const many = [["one", "one"], ["all", "all at once"]];
    this.of = dropdown("of", ofs, of, (value) => this.choose("of", value));
    return make(
      "div",
      { class: "controls" },
      choice("On each patch", shows, show, (value) => this.choose("show", value)),
      choice("Color by", colors, by, (value) => this.choose("by", value)),
      this.of,
      layers.length > 1 ? choice("Layers", many, this.state.layers, (value) => this.chooseLayers(value)) : null,
    );
  }

  choose(name, value) {
    this.state[name] = value;
    this.draw();
    this.remember();
  }

  // The controls are built anew; the focus goes back to the one that was used.
  chooseLayers(value) {
    this.state.layers = value;
    this.arrange();
    this.draw();
    this.querySelector(`.choice input[value="${value}"]`).focus({ preventScroll: true });
    this.remember();
  }

  makeMultiples() {
    const { tokens, layers } = this.data;
    const point = (token, layer) => {
      if (token !== null) this.timeline.player.to(layer);
      this.point(token);
    };
    const pick = (token, layer) => {
      this.timeline.player.to(layer);
      this.hold(token);
    };
    return new LayerMultiples(this.patches.image.src, tokens, layers, {
      onPoint: point,
      onPick: pick,
      onLayer: (layer) => this.timeline.player.to(layer),
    });
  }

  setLayer(layer) {
    this.layer = layer;
    this.schedule();
  }

  point(token) {
    this.pointed = token;
    this.schedule();
  }

  light(index) {
    this.spotlight = index;
    this.schedule();
  }

  hold(token) {
    const { special } = this.data.tokens;
    this.held = this.held === token && special.length ? special[0] : token;
    this.schedule();
    this.remember();
  }

  get focused() {
    return this.pointed ?? this.held;
  }

  get place() {
    return this.state.of === OWN || this.state.by === "class" ? OWN : Number(this.state.of);
  }

  // What part of the state an address keeps.
  get bookmark() {
    const { names } = this.data.tokens;
    return { layer: this.layer, token: names[this.held], ...this.state };
  }

  restore({ layer, token, ...state }) {
    const { tokens, layers } = this.data;
    const known = { show: ["emoji", "names", "nothing"], by: ["probability", "logit", "class"], layers: ["one", "all"] };
    known.of = [OWN, ...this.data.followed.map((_, i) => String(i))];
    if (!this.data.emoji) known.show.shift();
    for (const [name, values] of Object.entries(known)) {
      if (values.includes(state[name])) this.state[name] = state[name];
    }
    if (tokens.names.includes(token)) this.held = tokens.names.indexOf(token);
    if (Number(layer) in layers) this.timeline.player.to(Number(layer));
    this.arrange();
    this.draw();
  }

  // The color that a token's value or class has; null where it is unknown or out of the light.
  shade(layer, token) {
    const { by } = this.state;
    const best = this.lens.best(layer, token);
    if (by === "class") return this.spotlight === null || this.spotlight === best ? this.lens.rgb[best] : null;
    const value = this.lens.value(layer, token, this.place, by);
    const [low, high] = this.scale;
    return value === null ? null : color("sequential", (value - low) / (high - low || 1));
  }

  text(layer, token) {
    const { emoji, labels } = this.data;
    if (this.state.show === "nothing") return "";
    return (this.state.show === "emoji" ? emoji : labels)[this.lens.best(layer, token)];
  }

  content(layer) {
    const tokens = this.data.tokens.names.map((_, token) => token);
    return {
      colors: tokens.map((token) => this.shade(layer, token)),
      texts: tokens.map((token) => this.text(layer, token)),
      large: this.state.show === "emoji",
    };
  }

  draw() {
    const { by, layers, show } = this.state;
    this.scale = this.lens.range(this.place, by);
    if (layers === "one") this.drawPicture();
    else this.drawMultiples();
    const moment = (layer, token) => ({ shade: this.shade(layer, token), text: this.text(layer, token), large: show === "emoji" });
    this.timeline.draw(this.focused, this.layer, by === "logit" ? "logit" : "probability", moment, this.look());
    this.drawReadout();
    this.drawLegend();
  }

  // All on which colors and texts depend, but for the layer.
  look() {
    return [theme(), onPaper(), this.spotlight, ...Object.values(this.state)].join();
  }

  // Paints the patches when what they show changed; pointing only moves the ring.
  drawPicture() {
    const look = `${this.layer},${this.look()}`;
    const content = look === this.painted ? {} : this.content(this.layer);
    this.painted = look;
    this.patches.draw({ ...content, rings: [{ token: this.focused, kind: "query" }] });
  }

  drawMultiples() {
    if (this.painted !== this.look()) {
      this.painted = this.look();
      this.multiples.draw(this.data.layers.map((_, layer) => ({ ...this.content(layer), summary: this.summary(layer) })));
    }
    this.multiples.mark(this.focused, this.layer);
  }

  summary(layer) {
    const [index, count] = this.lens.counts(layer)[0];
    return `${count} of ${this.data.tokens.grid.flat().length} patches say ${this.lens.named(index)}`;
  }

  drawReadout() {
    const { top, topLogits, layers, tokens } = this.data;
    const token = this.focused;
    const lines = Array.from(top.row(this.layer, token), (index, rank) => {
      const logit = topLogits.at(this.layer, token, rank);
      return this.readoutLine(this.lens.named(index), this.lens.probability(this.layer, token, logit), logit);
    });
    const title = make("h3", {}, `${capitalized(spokenName(tokens, token))}, ${layers[this.layer]}`);
    const head = make("tr", {}, ...["says", "", "probability", "logit"].map((text) => make("th", { scope: "col" }, text)));
    this.readout.replaceChildren(title, make("table", { class: "says" }, make("thead", {}, head), make("tbody", {}, ...lines)));
  }

  readoutLine(name, share, logit) {
    const bar = make("i", { class: "bar", style: `width: ${100 * share}%; background: ${css(color("sequential", 0.62))}` });
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, label(name)),
      make("td", { class: "track", "aria-hidden": "true" }, bar),
      make("td", { class: "number" }, probability(share)),
      make("td", { class: "number" }, plain(logit, 2)),
    );
  }

  drawLegend() {
    const { by, of } = this.state;
    const byClass = by === "class";
    this.legend.element.hidden = this.of.hidden = byClass;
    this.classes.element.hidden = !byClass;
    if (byClass) {
      this.classes.draw(this.layer);
      return;
    }
    const subject = of === OWN ? "each token's own top label" : this.lens.named(this.data.followed[Number(of)]);
    const format = by === "probability" ? (value) => String(value) : (value) => plain(value, 2);
    const caption = `${by} of ${subject}; one scale for all layers`;
    this.legend.set({ scale: "sequential", low: this.scale[0], high: this.scale[1], format, caption });
    this.legend.mark(this.lens.value(this.layer, this.focused, this.place, by));
  }
}

customElements.define("vt-patch-lens", PatchLens);
