// Signed values in a table, with a legend and the value under the cursor.

import { make } from "vitreous/dom.js";
import { HeatTable } from "vitreous/heat-table.js";
import { Legend } from "vitreous/legend.js";
import { signed } from "vitreous/numbers.js";
import { Viewer } from "vitreous/viewer.js";

class HeatMap extends Viewer {
  build() {
    this.values = Array.from(this.data.values.values);
    this.pointed = null;
    this.table = new HeatTable({ ...this.data, values: this.values }, { onPoint: (i) => this.point(i) });
    this.legend = new Legend();
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    this.replaceChildren(this.table.element, this.readout, this.legend.element);
  }

  point(i) {
    this.pointed = i < 0 ? null : i;
    this.drawReadout();
  }

  draw() {
    const { unit, ends } = this.data;
    const { extent } = this.table;
    this.table.draw();
    const scale = { scale: "diverging", low: -extent, high: extent, caption: unit, ends };
    this.legend.set({ ...scale, format: (value) => (value === 0 ? "0" : signed(value, 2)) });
    this.drawReadout();
  }

  drawReadout() {
    const i = this.pointed;
    this.readout.textContent = i === null ? "Point at a cell to read its value." : `${this.table.name(i)}: ${signed(this.values[i], 4)}`;
    this.legend.mark(i === null ? null : this.values[i]);
  }
}

customElements.define("vt-heat-map", HeatMap);
