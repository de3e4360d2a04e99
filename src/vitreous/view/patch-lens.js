// What each patch says at each layer: a picture of captioned patches, a slider, and the tokens' histories.

import { color, css, inkOn } from "vitreous/colors.js";
import { choice, dropdown, label, make } from "vitreous/dom.js";
import { Legend } from "vitreous/legend.js";
import { plain, probability } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

const OWN = "own";

class PatchLens extends Viewer {
  build() {
    const { picture, tokens, layers, emoji } = this.data;
    const middle = tokens.grid[tokens.grid.length >> 1][tokens.grid[0].length >> 1];
    this.held = tokens.special[0] ?? middle;
    this.lastPatch = middle;
    this.pointed = null;
    this.layer = layers.length - 1;
    this.state = { show: emoji ? "emoji" : "names", by: "probability", of: OWN };
    this.patches = new PatchPicture(picture, tokens, "Patches of the picture, each with its top label", {
      onPoint: (token) => this.point(token),
      onPick: (token) => this.hold(token),
    });
    this.legend = new Legend();
    this.readout = make("div", { class: "readout", "aria-live": "polite" });
    const side = make("div", { class: "side" }, this.controls(), this.readout, this.legend.element);
    const stage = make("div", { class: "stage" }, this.patches.element, side);
    this.replaceChildren(stage, this.timeline());
  }

  controls() {
    const { emoji, followed } = this.data;
    const shows = [["emoji", "emoji"], ["names", "names"], ["nothing", "nothing"]].filter(([value]) => emoji || value !== "emoji");
    const set = (name) => (value) => {
      this.state[name] = value;
      this.draw();
    };
    const ofs = [[OWN, "its own top label"], ...followed.map((index, i) => [String(i), this.named(index)])];
    return make(
      "div",
      { class: "controls" },
      choice("On each patch", shows, this.state.show, set("show")),
      choice("Color by", [["probability", "probability"], ["logit", "logit"]], "probability", set("by")),
      dropdown("of", ofs, OWN, set("of")),
    );
  }

  timeline() {
    const { layers } = this.data;
    this.slider = make("input", { type: "range", min: 0, max: layers.length - 1, step: 1, value: this.layer, "aria-label": "Layer" });
    this.slider.addEventListener("input", () => this.setLayer(Number(this.slider.value)));
    this.rows = [...this.data.tokens.special, null].map((token) => this.timelineRow(token));
    this.heads = layers.map((name, layer) => {
      const head = make("th", { scope: "col" }, name);
      head.addEventListener("click", () => this.setLayer(layer));
      return head;
    });
    const sliderRow = make("tr", {}, make("th", { scope: "row" }, "layer"), make("td", { class: "slider", colspan: layers.length }, this.slider));
    const table = make(
      "table",
      { class: "timeline", style: `--layers: ${layers.length}` },
      make("thead", {}, sliderRow, make("tr", {}, make("td"), ...this.heads)),
      make("tbody", {}, ...this.rows.map((row) => row.element)),
    );
    return make("div", { class: "scroller" }, table);
  }

  // A token's top label at every layer; `null` stands for the patch last pointed at.
  timelineRow(token) {
    const head = make("th", { scope: "row" });
    const cells = this.data.layers.map((_, layer) => {
      const cell = make("td", { class: "moment" });
      cell.addEventListener("click", () => this.setLayer(layer));
      return cell;
    });
    const element = make("tr", {}, head, ...cells);
    element.addEventListener("pointerenter", () => this.point(token ?? this.lastPatch));
    element.addEventListener("pointerleave", () => this.point(null));
    return { token, head, cells, element };
  }

  setLayer(layer) {
    this.layer = layer;
    this.slider.value = layer;
    this.schedule();
  }

  point(token) {
    this.pointed = token;
    if (token !== null && !this.data.tokens.special.includes(token)) this.lastPatch = token;
    this.schedule();
  }

  hold(token) {
    const { special } = this.data.tokens;
    this.held = this.held === token && special.length ? special[0] : token;
    this.schedule();
  }

  get focused() {
    return this.pointed ?? this.held;
  }

  named(index) {
    const { emoji, labels } = this.data;
    return emoji ? `${emoji[index]} ${labels[index]}` : labels[index];
  }

  // The value that a token is colored by.
  value(layer, token) {
    const { topLogits, followedLogits, logPartition } = this.data;
    const { by, of } = this.state;
    const logit = of === OWN ? topLogits.at(layer, token, 0) : followedLogits.at(layer, token, Number(of));
    return by === "logit" ? logit : Math.exp(logit - logPartition.at(layer, token));
  }

  // One scale for all layers, so that the slider compares like with like.
  range() {
    const { by, of } = this.state;
    if (by === "probability") return [0, 1];
    const { topLogits, followedLogits } = this.data;
    const [array, place] = of === OWN ? [topLogits, 0] : [followedLogits, Number(of)];
    let [low, high] = [Infinity, -Infinity];
    for (let i = place; i < array.values.length; i += array.width) {
      low = Math.min(low, array.values[i]);
      high = Math.max(high, array.values[i]);
    }
    return [low, high];
  }

  shade(layer, token) {
    const [low, high] = this.scale;
    return color("sequential", (this.value(layer, token) - low) / (high - low || 1));
  }

  text(layer, token) {
    const { top, emoji, labels } = this.data;
    if (this.state.show === "nothing") return "";
    return (this.state.show === "emoji" ? emoji : labels)[top.at(layer, token, 0)];
  }

  draw() {
    this.scale = this.range();
    const tokens = this.data.tokens.names.map((_, token) => token);
    this.patches.draw({
      colors: tokens.map((token) => this.shade(this.layer, token)),
      texts: tokens.map((token) => this.text(this.layer, token)),
      large: this.state.show === "emoji",
      rings: [{ token: this.focused, kind: "query" }],
    });
    this.drawTimeline();
    this.drawReadout();
    this.drawLegend();
  }

  drawTimeline() {
    this.slider.setAttribute("aria-valuetext", this.data.layers[this.layer]);
    this.heads.forEach((head, layer) => head.classList.toggle("now", layer === this.layer));
    for (const row of this.rows) {
      const token = row.token ?? this.lastPatch;
      row.head.textContent = spokenName(this.data.tokens, token);
      row.element.classList.toggle("focused", token === this.focused);
      row.cells.forEach((cell, layer) => this.drawMoment(cell, layer, token));
    }
  }

  drawMoment(cell, layer, token) {
    const shade = this.shade(layer, token);
    const first = this.named(this.data.top.at(layer, token, 0));
    cell.replaceChildren(label(this.text(layer, token)));
    cell.title = `${first}, ${this.data.layers[layer]}`;
    cell.style.background = css(shade);
    cell.style.color = inkOn(shade);
    cell.classList.toggle("now", layer === this.layer);
    cell.classList.toggle("large", this.state.show === "emoji");
  }

  drawReadout() {
    const { top, topLogits, logPartition, layers, tokens } = this.data;
    const token = this.focused;
    const lines = Array.from(top.row(this.layer, token), (index, rank) => {
      const logit = topLogits.at(this.layer, token, rank);
      const share = Math.exp(logit - logPartition.at(this.layer, token));
      return this.readoutLine(this.named(index), share, logit);
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
    const subject = of === OWN ? "each token's own top label" : this.named(this.data.followed[Number(of)]);
    const format = by === "probability" ? (value) => String(value) : (value) => plain(value, 2);
    const caption = `${by} of ${subject}; one scale for all layers`;
    this.legend.set({ scale: "sequential", low: this.scale[0], high: this.scale[1], format, caption });
    this.legend.mark(this.value(this.layer, this.focused));
  }
}

customElements.define("vt-patch-lens", PatchLens);
