// How labels fare at one token from layer to layer: a line each, above the layers' columns, and its ranks.

import { lightness } from "vitreous/colors.js";
import { label, make, svg } from "vitreous/dom.js";
import { plain, probability } from "vitreous/numbers.js";

const HEIGHT = 132;
const MARGIN = 8;
const ALIKE = 0.25; // colors nearer than this need dashes to be told apart
const UNKNOWN = "below the highest ones, which alone were kept";
const DASHES = ["none", "6 4", "2 3", "9 3 2 3"];

export class LensCourse {
  // Calls `onLayer(layer)` when a column of it is clicked.
  constructor(data, onLayer) {
    Object.assign(this, { data, onLayer, lit: null });
    this.title = make("span", { class: "course-title" });
    this.high = make("span", { class: "tick" });
    this.low = make("span", { class: "tick" });
    this.chart = svg("svg", { class: "chart", height: HEIGHT, role: "img", preserveAspectRatio: "none" });
    this.cell = make("td", { class: "course", colspan: data.layers.length }, this.chart);
    this.cell.addEventListener("click", (event) => onLayer(this.layerAt(event)));
    const axis = make("th", { scope: "row", class: "axis" }, make("div", {}, this.high, this.title, this.low));
    this.chartRow = make("tr", {}, axis, this.cell);
    this.rankHead = make("th", { colspan: data.layers.length + 1, scope: "colgroup" });
    this.rows = Array.from({ length: data.courseLabels.width }, (_, place) => this.rankRow(place));
    const body = [this.chartRow, make("tr", { class: "group" }, this.rankHead), ...this.rows.map((row) => row.element)];
    this.element = make("tbody", { class: "courses" }, ...body);
    this.width = 0;
    new ResizeObserver(([{ contentRect }]) => this.resize(contentRect.width)).observe(this.cell);
  }

  resize(width) {
    this.width = width;
    if (this.last) this.drawChart();
  }

  rankRow(place) {
    const head = make("th", { scope: "row" });
    const cells = this.data.layers.map((_, layer) => {
      const cell = make("td", { class: "rank" });
      cell.addEventListener("click", () => this.onLayer(layer));
      return cell;
    });
    const element = make("tr", {}, head, ...cells);
    element.addEventListener("pointerenter", () => this.light(place));
    element.addEventListener("pointerleave", () => this.light(null));
    return { element, head, cells };
  }

  light(place) {
    this.lit = place;
    this.drawChart();
  }

  layerAt(event) {
    const box = this.cell.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(Math.floor(part * this.data.layers.length), 0), this.data.layers.length - 1);
  }

  // `name`: of the token, inside of a sentence.
  draw(token, name, layer, by) {
    const courses = this.data.courses(token, by);
    this.last = { courses, layer, by, dashes: this.dashes(courses), range: this.range(courses, by) };
    this.title.textContent = by;
    const unknown = courses.some((course) => course?.points.some(({ rank }) => !rank));
    this.rankHead.textContent = `At ${name}: rank among all ${this.data.labels.length} labels${unknown ? `; “·” ${UNKNOWN}` : ""}`;
    this.chart.setAttribute("aria-label", `${by} of ${courses.filter(Boolean).length} labels at ${name}, by layer`);
    this.drawChart();
    this.rows.forEach((row, place) => this.drawRanks(row, courses[place], place));
  }

  range(courses, by) {
    if (by === "probability") return [0, 1];
    const values = courses.flatMap((course) => (course ? course.points.map((point) => point.value) : []));
    const known = values.filter((value) => value !== null);
    return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  }

  // Labels of alike colors are told apart by the dashes of their lines.
  dashes(courses) {
    const places = courses.map((course, i) => {
      if (!course) return 0;
      const alike = (other) => other && distance(this.data.rgb[other.label], this.data.rgb[course.label]) < ALIKE ** 2;
      return courses.slice(0, i).filter(alike).length;
    });
    return places.map((place) => DASHES[place % DASHES.length]);
  }

  drawChart() {
    const { width } = this;
    if (!width) return;
    const { courses, layer, by, range } = this.last;
    const column = width / this.data.layers.length;
    this.chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const place = (value) => {
      const part = (value - range[0]) / (range[1] - range[0] || 1);
      return HEIGHT - MARGIN - part * (HEIGHT - 2 * MARGIN);
    };
    const now = svg("rect", { class: "now", x: layer * column, y: 0, width: column, height: HEIGHT });
    const frame = [range[0], range[1]].map((value) => svg("line", { class: "rule", x1: 0, x2: width, y1: place(value), y2: place(value) }));
    const x = (i) => (i + 0.5) * column;
    const lines = courses.flatMap((course, i) => (course ? this.line(course, i, x, place) : []));
    this.chart.replaceChildren(now, ...frame, ...lines);
    const format = by === "probability" ? String : (value) => plain(value, 1);
    [this.low.textContent, this.high.textContent] = range.map(format);
  }

  line(course, i, x, place) {
    const dim = this.lit !== null && this.lit !== i;
    const style = `stroke: ${this.data.hex[course.label]}; stroke-dasharray: ${this.last.dashes[i]}`;
    const parts = [];
    let run = [];
    course.points.forEach(({ value }, layer) => {
      if (value !== null) run.push(`${x(layer).toFixed(1)},${place(value).toFixed(1)}`);
      if (value === null || layer === course.points.length - 1) {
        if (run.length) parts.push(run);
        run = [];
      }
    });
    const group = svg("g", { class: dim ? "dim" : "", "data-label": course.label });
    for (const run of parts) group.append(svg("polyline", { points: run.join(" "), style }));
    for (const point of parts.flat()) {
      const [cx, cy] = point.split(",");
      group.append(svg("circle", { cx, cy, r: 2.4, style: `fill: ${this.data.hex[course.label]}` }));
    }
    return group;
  }

  drawRanks(row, course, place) {
    row.element.classList.toggle("empty", !course);
    if (!course) {
      row.head.replaceChildren("\u00a0");
      for (const cell of row.cells) cell.replaceChildren();
      return;
    }
    const style = `stroke: ${this.data.hex[course.label]}; stroke-dasharray: ${this.last.dashes[place]}`;
    const key = svg("svg", { class: "key", viewBox: "0 0 20 8", "aria-hidden": "true" });
    key.append(svg("line", { x1: 0, x2: 20, y1: 4, y2: 4, style }));
    row.head.replaceChildren(key, label(this.data.named(course.label)));
    row.head.title = this.data.named(course.label);
    row.cells.forEach((cell, layer) => this.drawRank(cell, course.points[layer], layer));
  }

  drawRank(cell, { rank, probability: share, logit }, layer) {
    cell.textContent = rank || "·";
    cell.title = rank ? `${this.data.layers[layer]}: probability ${probability(share)}, logit ${plain(logit, 2)}` : UNKNOWN;
    cell.classList.toggle("first", rank === 1);
    cell.classList.toggle("now", layer === this.last.layer);
  }
}

function distance(one, other) {
  return one.reduce((sum, byte, i) => sum + ((byte - other[i]) / 255) ** 2, (lightness(one) - lightness(other)) ** 2);
}
