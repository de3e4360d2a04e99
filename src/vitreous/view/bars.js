// One horizontal bar per value, with its label and its number.

import { color, css } from "vitreous/colors.js";
import { label, make } from "vitreous/dom.js";
import { percent, signed } from "vitreous/numbers.js";
import { Viewer } from "vitreous/viewer.js";

class Bars extends Viewer {
  build() {
    const { labels, values, kind, caption, total, unit, intervals } = this.data;
    this.values = Array.from(values.values);
    const shown = intervals ? [...this.values, ...intervals.values] : this.values;
    this.largest = kind === "probability" ? 1 : Math.max(...shown.map(Math.abs), 1e-30);
    this.bars = [];
    const body = make("tbody");
    labels.forEach((text, i) => body.append(...this.groupRow(i), this.row(text, this.values[i], i)));
    if (total) body.append(this.totalRow(total));
    const heading = unit ? `${caption} (${unit})` : caption;
    const table = make("table", { class: `bars ${kind}` }, caption ? make("caption", { dir: "auto" }, heading) : null, body);
    this.replaceChildren(table);
  }

  groupRow(i) {
    const { groups } = this.data;
    if (!groups || groups[i] === groups[i - 1]) return [];
    return [make("tr", { class: "group" }, make("th", { colspan: "3", scope: "rowgroup", dir: "auto" }, groups[i]))];
  }

  row(text, value, i) {
    const bar = make("i", { class: "bar" });
    this.bars.push(bar);
    const number = this.written(value);
    const ends = this.data.intervals ? Array.from(this.data.intervals.row(i), (end) => this.written(end)).join(" to ") : null;
    return make(
      "tr",
      { "data-row": i, title: `${text}: ${value}${ends ? ` (${ends})` : ""}` },
      make("th", { scope: "row" }, label(text)),
      make("td", { class: "track", "aria-hidden": "true" }, bar, ends && this.whisker(i)),
      make("td", { class: "number" }, number, ends && make("small", { class: "interval" }, ends)),
    );
  }

  written(value) {
    return this.data.kind === "probability" ? percent(value) : signed(value);
  }

  // Where a value stands on the track, in percent.
  along(value) {
    const part = (100 * value) / this.largest;
    return this.data.kind === "probability" ? part : 50 + part / 2;
  }

  whisker(i) {
    const [low, high] = Array.from(this.data.intervals.row(i), (end) => this.along(end));
    return make("i", { class: "whisker", style: `left: ${low}%; width: ${high - low}%` });
  }

  totalRow(text) {
    const sum = this.values.reduce((total, value) => total + value, 0);
    return make(
      "tr",
      { class: "total" },
      make("th", { scope: "row" }, label(text)),
      make("td", { class: "track" }),
      make("td", { class: "number" }, signed(sum, 4)),
    );
  }

  draw() {
    const { kind } = this.data;
    this.bars.forEach((bar, i) => {
      const part = this.values[i] / this.largest;
      const length = 100 * Math.abs(part);
      if (kind === "probability") {
        Object.assign(bar.style, { left: 0, width: `${length}%`, background: css(color("sequential", 0.62)) });
        return;
      }
      const left = part < 0 ? 50 - length / 2 : 50;
      const shade = css(color("diverging", part < 0 ? 0.17 : 0.83));
      Object.assign(bar.style, { left: `${left}%`, width: `${length / 2}%`, background: shade });
    });
  }
}

customElements.define("vt-bars", Bars);
