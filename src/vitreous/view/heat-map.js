// Signed values in a table, on a diverging scale centered at zero.

import { color, css, inkOn } from "vitreous/colors.js";
import { label, make, roving } from "vitreous/dom.js";
import { Legend } from "vitreous/legend.js";
import { signed } from "vitreous/numbers.js";
import { Viewer } from "vitreous/viewer.js";

const MOST_PRINTED_COLUMNS = 8;

class HeatMap extends Viewer {
  build() {
    const { values, columns, caption } = this.data;
    this.values = Array.from(values.values);
    this.extent = Math.max(...this.values.map(Math.abs)) || 1;
    this.pointed = null;
    this.legend = new Legend();
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    const table = make("table", { class: "heat", role: "grid" });
    if (caption) table.append(make("caption", { dir: "auto" }, caption));
    table.append(this.head(), this.body());
    roving(this.cells, columns.length, (i) => this.point(i));
    table.addEventListener("pointerover", (event) => this.point(this.cells.indexOf(event.target.closest("td"))));
    table.addEventListener("pointerleave", () => this.point(-1));
    table.addEventListener("focusout", () => this.point(-1));
    this.replaceChildren(make("div", { class: "scroller" }, table), this.readout, this.legend.element);
  }

  head() {
    const { columns, rowAxis, columnAxis } = this.data;
    const corner = make("th", { class: "axis" }, `${rowAxis} ↓  ${columnAxis} →`);
    return make("thead", {}, make("tr", {}, corner, ...columns.map((name) => make("th", { scope: "col" }, label(name)))));
  }

  body() {
    const { rows, columns } = this.data;
    this.cells = [];
    const lines = rows.map((name, row) => {
      const cells = columns.map((_, column) => this.cell(row * columns.length + column));
      return make("tr", {}, make("th", { scope: "row" }, label(name)), ...cells);
    });
    return make("tbody", {}, ...lines);
  }

  cell(i) {
    const printed = this.data.columns.length <= MOST_PRINTED_COLUMNS;
    const cell = make("td", { role: "gridcell", "aria-label": `${this.name(i)}: ${signed(this.values[i], 4)}` });
    cell.textContent = printed ? signed(this.values[i], 2) : "";
    this.cells.push(cell);
    return cell;
  }

  name(i) {
    const { rows, columns, rowAxis, columnAxis } = this.data;
    const row = rows[Math.floor(i / columns.length)];
    return `${rowAxis} ${row}, ${columnAxis} ${columns[i % columns.length]}`;
  }

  point(i) {
    this.pointed = i < 0 ? null : i;
    this.drawReadout();
  }

  draw() {
    const { unit, ends } = this.data;
    this.cells.forEach((cell, i) => {
      const shade = color("diverging", 0.5 + 0.5 * (this.values[i] / this.extent));
      cell.style.background = css(shade);
      cell.style.color = inkOn(shade);
    });
    const scale = { scale: "diverging", low: -this.extent, high: this.extent, caption: unit, ends };
    this.legend.set({ ...scale, format: (value) => (value === 0 ? "0" : signed(value, 2)) });
    this.drawReadout();
  }

  drawReadout() {
    const i = this.pointed;
    this.readout.textContent = i === null ? "Point at a cell to read its value." : `${this.name(i)}: ${signed(this.values[i], 4)}`;
    this.legend.mark(i === null ? null : this.values[i]);
  }
}

customElements.define("vt-heat-map", HeatMap);
