// Rows of texts and numbers; the name of a column sorts by it.

import { label, make } from "vitreous/dom.js";
import { signed } from "vitreous/numbers.js";
import { Viewer } from "vitreous/viewer.js";

const TURNS = { none: "descending", descending: "ascending", ascending: "none" };

class Table extends Viewer {
  build() {
    const { caption, columns, rows } = this.data;
    this.heads = columns.map((name, column) => this.head(name, column));
    this.lines = rows.map((cells) => make("tr", {}, ...cells.map((cell, column) => this.cell(cell, column))));
    this.body = make("tbody");
    const table = make("table", { class: "cells" });
    if (caption) table.append(make("caption", { dir: "auto" }, caption));
    table.append(make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.replaceChildren(make("div", { class: "scroller" }, table));
  }

  head(name, column) {
    const button = make("button", { type: "button", class: "pick", title: "Sort" }, label(name));
    button.addEventListener("click", () => this.sort(column));
    return make("th", { scope: "col", "aria-sort": "none", class: this.isNumeric(column) ? "number" : null }, button);
  }

  isNumeric(column) {
    return this.data.kinds[column] !== "text";
  }

  cell(value, column) {
    const numeric = this.isNumeric(column);
    const attributes = { scope: column === 0 ? "row" : null, class: numeric ? "number" : null };
    return make(column === 0 ? "th" : "td", attributes, numeric ? this.written(value, column) : label(value === null ? "–" : String(value)));
  }

  written(value, column) {
    if (value === null) return "–";
    return this.data.kinds[column] === "count" ? value.toLocaleString("en-US").replace("-", "−") : signed(value, this.data.decimals);
  }

  sort(column) {
    const order = TURNS[this.heads[column].getAttribute("aria-sort")];
    for (const head of this.heads) head.setAttribute("aria-sort", "none");
    this.heads[column].setAttribute("aria-sort", order);
    this.draw();
  }

  // What isn't there stands last, whichever way.
  draw() {
    const column = this.heads.findIndex((head) => head.getAttribute("aria-sort") !== "none");
    const order = [...this.lines.keys()];
    if (column >= 0) {
      const turn = this.heads[column].getAttribute("aria-sort") === "ascending" ? 1 : -1;
      order.sort((one, other) => compared(this.data.rows[one][column], this.data.rows[other][column], turn));
    }
    this.body.replaceChildren(...order.map((i) => this.lines[i]));
  }
}

function compared(one, other, turn) {
  if (one === null || other === null) return (one === null) - (other === null);
  return turn * (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other)));
}

customElements.define("vt-table", Table);
