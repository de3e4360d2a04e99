// Who told the reading token what: shares by source token on the picture, for one head, one layer, or all of them.

import { color, css, inkOn } from "vitreous/colors.js";
import { choice, make } from "vitreous/dom.js";
import { HeatTable } from "vitreous/heat-table.js";
import { Legend } from "vitreous/legend.js";
import { signed } from "vitreous/numbers.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized, inSentence, shortName, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

const STRONGEST = 5;

class SourceShares extends Viewer {
  build() {
    const { picture, tokens, layers, heads, headSums } = this.data;
    this.chosen = { layer: null, head: null };
    this.pointed = null;
    this.scale = "own";
    this.sums = new Map();
    this.extents = new Map();
    this.table = new HeatTable(
      { values: Array.from(headSums.values), rows: layers, columns: heads, rowAxis: "layer", columnAxis: "head", printed: false, caption: "By head" },
      { onPoint: (i) => this.pointAtHead(i), onChoose: (layer, head) => this.choose(layer, head) },
    );
    this.patches = new PatchPicture(picture, tokens, "Shares by source patch", { onPoint: (token) => this.point(token) });
    this.chips = tokens.special.map((token) => this.chip(token));
    this.heading = make("h3");
    this.balance = make("dl", { class: "balance" });
    this.hint = make("p", { class: "readout-line", "aria-live": "polite" });
    this.strongest = make("ul", { class: "top-keys" });
    this.legend = new Legend();
    const chips = make("div", { class: "chips", role: "group", "aria-label": "Tokens that are no patch" }, ...this.chips);
    const left = make("div", { class: "side" }, this.heading, this.chips.length ? chips : null, this.patches.element, this.hint, this.legend.element);
    const right = make("div", { class: "side" }, this.controls(), this.table.element, this.balance, this.strongest);
    this.replaceChildren(make("div", { class: "stage" }, left, right));
  }

  controls() {
    const scales = [["own", "its own"], ["shared", "one for all of its kind"]];
    const set = (value) => {
      this.scale = value;
      this.draw();
    };
    return make("div", { class: "controls" }, choice("Scale", scales, this.scale, set));
  }

  chip(token) {
    const { tokens } = this.data;
    const chip = make("button", { type: "button", class: "chip", "aria-label": spokenName(tokens, token) }, shortName(tokens, token));
    for (const event of ["pointerenter", "focus"]) chip.addEventListener(event, () => this.point(token));
    for (const event of ["pointerleave", "blur"]) chip.addEventListener(event, () => this.point(null));
    return chip;
  }

  point(token) {
    this.pointed = token;
    this.schedule();
  }

  // A head under the cursor shows itself; without one, what was chosen does.
  pointAtHead(i) {
    const columns = this.data.heads.length;
    this.looked = i < 0 ? null : { layer: Math.floor(i / columns), head: i % columns };
    this.schedule();
  }

  choose(layer, head) {
    const { chosen } = this;
    const again = chosen.layer === layer && chosen.head === head;
    this.chosen = again ? { layer: null, head: null } : { layer, head };
    this.schedule();
    this.remember();
  }

  get bookmark() {
    const { layer, head } = this.chosen;
    return { ...(layer === null ? {} : { layer }), ...(head === null ? {} : { head }) };
  }

  restore({ layer, head }) {
    const { layers, heads } = this.data;
    const known = Number(layer) in layers && layer !== undefined;
    this.chosen = { layer: known ? Number(layer) : null, head: known && head !== undefined && Number(head) in heads ? Number(head) : null };
    this.draw();
  }

  // By token, the shares of a head, or their sum over a layer's heads, or over all.
  shares({ layer, head }) {
    const key = `${layer},${head}`;
    if (!this.sums.has(key)) this.sums.set(key, this.summed(layer, head));
    return this.sums.get(key);
  }

  summed(layer, head) {
    const { shares, layers, heads, tokens } = this.data;
    const sum = new Float64Array(tokens.names.length);
    for (const l of layer === null ? layers.keys() : [layer]) {
      for (const h of head === null ? heads.keys() : [head]) {
        shares.row(l, h).forEach((value, token) => {
          sum[token] += value;
        });
      }
    }
    return sum;
  }

  // What the scale's ends stand for: the largest share of this one, or of all heads or all layers.
  extent(part) {
    const { layers, heads } = this.data;
    const kind = part.layer === null ? "all" : part.head === null ? "layers" : "heads";
    const key = this.scale === "own" ? `${part.layer},${part.head}` : kind;
    if (!this.extents.has(key)) {
      const parts = { all: [part], layers: [...layers.keys()].map((layer) => ({ layer, head: null })) };
      parts.heads = [...layers.keys()].flatMap((layer) => [...heads.keys()].map((head) => ({ layer, head })));
      const members = this.scale === "own" ? [part] : parts[kind];
      this.extents.set(key, Math.max(...members.map((one) => this.shares(one).reduce((most, value) => Math.max(most, Math.abs(value)), 0))) || 1);
    }
    return this.extents.get(key);
  }

  name({ layer, head }) {
    const { layers, heads } = this.data;
    if (layer === null) return "all heads";
    return head === null ? `layer ${layers[layer]}` : `layer ${layers[layer]}, head ${heads[head]}`;
  }

  draw() {
    const part = this.looked ?? this.chosen;
    const shares = this.shares(part);
    const extent = this.extent(part);
    const shades = Array.from(shares, (value) => color("diverging", 0.5 + 0.5 * (value / extent)));
    const rings = this.pointed === null ? [] : [{ token: this.pointed, kind: "key" }];
    this.heading.textContent = `${capitalized(this.name(part))}: what each token told the ${this.data.reader}`;
    this.patches.draw({ colors: shades, rings });
    this.data.tokens.special.forEach((token, i) => Object.assign(this.chips[i].style, { background: css(shades[token]), color: inkOn(shades[token]) }));
    this.table.choose(this.chosen.layer, this.chosen.head);
    this.table.draw();
    this.drawBalance(part, shares);
    this.drawHint(shares);
    const { unit, ends } = this.data;
    const format = (value) => (value === 0 ? "0" : signed(value, 3));
    this.legend.set({ scale: "diverging", low: -extent, high: extent, caption: unit, ends, format });
    this.legend.mark(this.pointed === null ? null : shares[this.pointed]);
  }

  // From the patches and the other tokens to the whole target.
  drawBalance(part, shares) {
    const { tokens, rest, reader } = this.data;
    const add = (list) => list.reduce((sum, token) => sum + shares[token], 0);
    const all = add([...shares.keys()]);
    const lines = [["from the patches", add(tokens.grid.flat())], ...tokens.special.map((token) => [`from ${inSentence(tokens, token)}`, shares[token]])];
    lines.push([this.name(part), all, "sum"]);
    if (part.layer === null && rest !== null) lines.push(["all that no head wrote", rest], ["target", all + rest, "sum"]);
    const rows = lines.map(([name, value, kind]) => make("div", { class: kind }, make("dt", {}, name), make("dd", {}, signed(value, 4))));
    this.balance.replaceChildren(...rows);
    const order = [...shares.keys()].sort((a, b) => Math.abs(shares[b]) - Math.abs(shares[a])).slice(0, STRONGEST);
    const entry = (token) => make("li", {}, make("span", { class: "key" }, shortName(tokens, token)), ` ${signed(shares[token], 3)}`);
    this.strongest.setAttribute("aria-label", `The strongest sources for the ${reader}`);
    this.strongest.replaceChildren(...order.map(entry));
  }

  drawHint(shares) {
    const { tokens } = this.data;
    const token = this.pointed;
    this.hint.textContent = token === null ? "Point at a patch to read its share; choose a head, or the name of a layer." : `${capitalized(spokenName(tokens, token))}: ${signed(shares[token], 4)}`;
  }
}

customElements.define("vt-source-shares", SourceShares);
