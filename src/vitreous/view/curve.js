// A line over a logarithmic axis of sizes; the point under the cursor says its numbers.

import { make, svg } from "vitreous/dom.js";
import { plain } from "vitreous/numbers.js";
import { Viewer } from "vitreous/viewer.js";

const HEIGHT = 240;
const MARGIN = { left: 44, right: 16, top: 12, bottom: 30 };

class Curve extends Viewer {
  build() {
    const { caption, sizeAxis, valueAxis } = this.data;
    this.pointed = null;
    this.chart = svg("svg", { class: "curve", height: HEIGHT, role: "group", "aria-label": caption || `${valueAxis} by ${sizeAxis}` });
    this.frame = make("div", {}, this.chart);
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    this.replaceChildren(...(caption ? [make("h3", { dir: "auto" }, caption)] : []), this.frame, this.readout);
    for (const event of ["pointerover", "focusin"]) this.chart.addEventListener(event, (moved) => this.point(moved.target.dataset.point ?? null));
    for (const event of ["pointerleave", "focusout"]) this.chart.addEventListener(event, () => this.point(null));
    this.chart.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.schedule()).observe(this.frame);
  }

  point(place) {
    this.pointed = place === null ? null : Number(place);
    this.say();
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = step && this.chart.querySelector(`[data-point="${Number(event.target.dataset.point) + step}"]`);
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  // From numbers to pixels.
  scales() {
    const { sizes, values, mark, rules } = this.data;
    const width = Math.max(this.frame.clientWidth, 240);
    const across = [...sizes.values, ...(mark ? [mark[0]] : [])].map(Math.log);
    const heights = [...values.values, ...(mark ? [mark[1]] : []), ...rules];
    const [left, right] = [Math.min(...across), Math.max(...across)];
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    const x = (size) => MARGIN.left + ((Math.log(size) - left) / (right - left || 1)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => HEIGHT - MARGIN.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    return { x, y, width };
  }

  draw() {
    const { sizes, values, rules, sizeAxis, mark, markLabel, labels } = this.data;
    const { x, y, width } = this.scales();
    const points = Array.from(sizes.values, (size, i) => [x(size), y(values.values[i])]);
    const lines = rules.flatMap((value) => [svg("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }), svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, plain(value, 1))]);
    const curve = svg("polyline", { points: points.map((point) => point.join(" ")).join(", ") });
    const dots = points.map(([cx, cy], i) => svg("circle", { cx, cy, r: 5, "data-point": i, tabindex: i ? -1 : 0, role: "img", "aria-label": `${labels[i]}: ${plain(values.values[i])}` }));
    const chosen = mark ? [svg("circle", { class: "mark", cx: x(mark[0]), cy: y(mark[1]), r: 7, "data-point": points.length, tabindex: -1, role: "img", "aria-label": `${markLabel}: ${plain(mark[1])}` })] : [];
    const ends = [[sizes.values[0], "start"], [sizes.values.at(-1), "end"]].map(([size, anchor]) => svg("text", { x: x(size), y: HEIGHT - 8, "text-anchor": anchor }, size.toLocaleString("en-US")));
    const axis = svg("text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, sizeAxis);
    for (const [name, value] of Object.entries({ width, viewBox: `0 0 ${width} ${HEIGHT}` })) this.chart.setAttribute(name, value);
    this.chart.replaceChildren(...lines, curve, ...dots, ...chosen, ...ends, axis);
    this.say();
  }

  say() {
    const { labels, values, valueAxis, mark, markLabel } = this.data;
    const i = this.pointed;
    if (i === null) this.readout.textContent = mark ? `Ringed: ${markLabel}. Point at a dot to read it.` : "Point at a dot to read it.";
    else if (i < labels.length) this.readout.textContent = `${labels[i]}: ${valueAxis} ${plain(values.values[i])}`;
    else this.readout.textContent = `${markLabel}: ${valueAxis} ${plain(mark[1])}`;
  }
}

customElements.define("vt-curve", Curve);
