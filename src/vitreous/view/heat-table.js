// A table of signed values on a diverging scale centered at zero. Cells can be pointed at, and chosen.

import { color, css, inkOn } from "vitreous/colors.js";
import { label, make, roving } from "vitreous/dom.js";
import { signed } from "vitreous/numbers.js";

const MOST_PRINTED_COLUMNS = 8;

export class HeatTable {
  // `content`: { values, rows, columns, rowAxis, columnAxis, caption, rowTotals, columnTotals, printed }.
  // Calls `onPoint(cell or -1)` while the cursor or the focus moves; `onChoose(row or null, column or null)`
  // when a cell, the name of a row or the corner is pressed, if it is there to be called.
  constructor(content, { onPoint = () => {}, onChoose = null } = {}) {
    Object.assign(this, content, { onPoint, onChoose });
    this.extent = Math.max(...Array.from(this.values, Math.abs)) || 1;
    this.printed ??= this.columns.length <= MOST_PRINTED_COLUMNS;
    this.cells = [];
    this.heads = [];
    const table = make("table", { class: onChoose ? "heat choosing" : "heat", role: "grid" });
    if (this.caption) table.append(make("caption", { dir: "auto" }, this.caption));
    table.append(this.head(), this.body());
    roving(this.cells, this.columns.length, (i) => this.onPoint(i));
    table.addEventListener("pointerover", (event) => this.onPoint(this.cells.indexOf(event.target.closest("td"))));
    table.addEventListener("pointerleave", () => this.onPoint(-1));
    table.addEventListener("focusout", () => this.onPoint(-1));
    this.element = make("div", { class: "scroller" }, table);
  }

  head() {
    const { columns, rowAxis, columnAxis } = this;
    const axes = `${rowAxis} ↓  ${columnAxis} →`;
    const corner = make("th", { class: "axis" }, ...(this.onChoose ? [this.button(null, "all"), ` ${axes}`] : [axes]));
    const sum = this.rowTotals ? [make("th", { scope: "col", class: "total" }, "sum")] : [];
    return make("thead", {}, make("tr", {}, corner, ...columns.map((name) => make("th", { scope: "col" }, label(name))), ...sum));
  }

  body() {
    const { rows, columns, rowTotals, columnTotals } = this;
    const lines = rows.map((name, row) => {
      const cells = columns.map((_, column) => this.cell(row * columns.length + column));
      const head = this.onChoose ? this.button(row, name) : label(name);
      return make("tr", {}, make("th", { scope: "row" }, head), ...cells, ...(rowTotals ? [total(rowTotals[row])] : []));
    });
    if (columnTotals) {
      const all = rowTotals ? [total(columnTotals.reduce((sum, value) => sum + value, 0))] : [];
      lines.push(make("tr", { class: "totals" }, make("th", { scope: "row", class: "total" }, "sum"), ...columnTotals.map(total), ...all));
    }
    return make("tbody", {}, ...lines);
  }

  button(row, name) {
    const title = row === null ? "all" : `${this.rowAxis} ${name}`;
    const button = make("button", { type: "button", class: "pick", "aria-label": title, "aria-pressed": "false" }, label(name));
    button.addEventListener("click", () => this.onChoose(row, null));
    this.heads.push({ row, button });
    return button;
  }

  cell(i) {
    const cell = make("td", { role: "gridcell", "aria-label": `${this.name(i)}: ${signed(this.values[i], 4)}` });
    cell.textContent = this.printed ? signed(this.values[i], 2) : "";
    this.cells.push(cell);
    if (!this.onChoose) return cell;
    const choose = () => this.onChoose(Math.floor(i / this.columns.length), i % this.columns.length);
    cell.addEventListener("click", choose);
    cell.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
    return cell;
  }

  name(i) {
    const { rows, columns, rowAxis, columnAxis } = this;
    return `${rowAxis} ${rows[Math.floor(i / columns.length)]}, ${columnAxis} ${columns[i % columns.length]}`;
  }

  // Says which cell, row or corner is chosen.
  choose(row, column) {
    const chosen = row === null || column === null ? -1 : row * this.columns.length + column;
    this.cells.forEach((cell, i) => {
      cell.setAttribute("aria-selected", String(i === chosen));
      cell.classList.toggle("in-row", column === null && Math.floor(i / this.columns.length) === row);
    });
    for (const head of this.heads) head.button.setAttribute("aria-pressed", String(column === null && head.row === row));
  }

  draw() {
    this.cells.forEach((cell, i) => {
      const shade = color("diverging", 0.5 + 0.5 * (this.values[i] / this.extent));
      cell.style.background = css(shade);
      cell.style.color = inkOn(shade);
    });
  }
}

function total(value) {
  return make("td", { class: "total" }, signed(value, 2));
}
