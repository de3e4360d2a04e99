// The edges of one part, or the largest of all, as a table.

import { PORT_NAMES, shortPart } from "vitreous/circuit-words.js";
import { label, make } from "vitreous/dom.js";
import { signed } from "vitreous/numbers.js";

const LARGEST = 12;

export class CircuitTable {
  // Calls `onPoint(edge or null)` while the cursor is over a row.
  constructor(data, onPoint) {
    Object.assign(this, { data, onPoint });
    this.heading = make("h3");
    this.note = make("p", { class: "readout-line", dir: "auto" });
    this.body = make("table", { class: "edges" });
    this.element = make("div", { class: "edge-table" }, this.heading, this.note, make("div", { class: "edge-rows", tabindex: 0, role: "region", "aria-label": "Edges" }, this.body));
  }

  // All that is drawn of a part, or the largest of what is drawn.
  show(node, drawn, largest) {
    const { nodes, sources, destinations } = this.data;
    this.largest = largest;
    if (node === null) {
      this.heading.textContent = drawn.length ? "Largest edges" : "No edges";
      this.note.hidden = false;
      this.note.textContent = "Point at a part for its own edges; click it to keep them here.";
      this.body.replaceChildren(...this.part(null, drawn.slice(0, LARGEST), (edge) => [shortPart(nodes[sources.values[edge]]), " → ", this.destination(edge)]));
      return;
    }
    const into = drawn.filter((edge) => destinations.values[edge] === node);
    const out = drawn.filter((edge) => sources.values[edge] === node);
    this.heading.textContent = shortPart(nodes[node]);
    this.note.textContent = nodes[node].note;
    this.note.hidden = !nodes[node].note;
    this.body.replaceChildren(
      ...this.part(`Reads ${into.length ? "" : "nothing that is drawn"}`, into, (edge) => [shortPart(nodes[sources.values[edge]]), this.port(edge, " as ")]),
      ...this.part(`Is read by ${out.length ? "" : "nothing that is drawn"}`, out, (edge) => [this.destination(edge)]),
    );
  }

  destination(edge) {
    return `${shortPart(this.data.nodes[this.data.destinations.values[edge]])}${this.port(edge, " ")}`;
  }

  port(edge, before) {
    const port = this.data.ports.values[edge];
    return port ? `${before}${PORT_NAMES[port]}` : "";
  }

  part(title, edges, named) {
    const head = title === null ? [] : [make("tr", { class: "group" }, make("th", { colspan: 3, scope: "rowgroup" }, title))];
    return [make("tbody", {}, ...head, ...edges.map((edge) => this.row(edge, named(edge))))];
  }

  row(edge, texts) {
    const { groups, edgeGroups, scores } = this.data;
    const tokens = groups.length > 1 ? make("span", { class: "tokens" }, " at ", label(groups[edgeGroups.values[edge]])) : "";
    const row = make("tr", { "data-edge": edge }, make("th", { scope: "row" }, label(texts.join("")), tokens));
    if (scores) row.append(...this.score(scores.values[edge]));
    row.addEventListener("pointerenter", () => this.onPoint(edge));
    row.addEventListener("pointerleave", () => this.onPoint(null));
    return row;
  }

  score(value) {
    const length = 50 * Math.min(Math.abs(value) / this.largest, 1);
    const style = `left: ${value < 0 ? 50 - length : 50}%; width: ${length}%`;
    const bar = make("i", { class: value < 0 ? "bar against" : "bar for", style });
    return [make("td", { class: "track", "aria-hidden": "true" }, bar), make("td", { class: "number" }, signed(value))];
  }
}
