// A circuit by layer, from the input below to the logits above, and the edges of the part under the cursor.

import { arranged, curve } from "vitreous/circuit-layout.js";
import { CircuitTable } from "vitreous/circuit-table.js";
import { boxed, counted, PORT_NAMES, shortPart, spokenPart } from "vitreous/circuit-words.js";
import { choice, dropdown, make, svg } from "vitreous/dom.js";
import { plain, signed } from "vitreous/numbers.js";
import { saveDrawing } from "vitreous/svg-file.js";
import { capitalized } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

const WIDTHS = [0.9, 6]; // of edges without weight and of the largest, in pixels
const UNSCORED = 1.6;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class CircuitGraph extends Viewer {
  build() {
    const { included, shown } = this.data;
    this.edges = Array.from(this.data.order.values);
    this.divided = this.edges.some((edge) => !included.values[edge]);
    this.state = { count: shown, scope: "circuit", group: "all", nodes: "drawn" };
    Object.assign(this, { looked: null, focused: null, pinned: null, edge: null, pictured: "" });
    this.picture = svg("svg", { class: "circuit", role: "group", "aria-label": "Parts of the circuit, from the input below to the logits above" });
    this.scroller = make("div", { class: "scroller" }, this.picture);
    this.status = make("p", { class: "status", "aria-live": "polite" });
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    this.table = new CircuitTable(this.data, (edge) => this.pointAtEdge(edge));
    const left = make("div", { class: "side" }, this.scroller, this.readout, this.legend());
    const right = make("div", { class: "side" }, this.table.element);
    this.replaceChildren(this.controls(), this.status, make("div", { class: "stage circuit-graph" }, left, right));
    this.listen();
    new ResizeObserver(() => this.schedule()).observe(this.scroller);
  }

  controls() {
    const { groups } = this.data;
    this.slider = make("input", { type: "range", min: 1, step: 1, "aria-label": "Edges shown" });
    this.slider.addEventListener("input", () => this.set("count", Number(this.slider.value)));
    const many = make("label", { class: "dropdown many" }, make("span", {}, "Edges shown, the largest first"), this.slider);
    const scopes = [["circuit", "of the circuit"], ["all", "all"]];
    const tokens = [["all", "all"], ...groups.map((name, i) => [String(i), name])];
    this.scopes = this.divided ? choice("Edges", scopes, this.state.scope, (value) => this.set("scope", value)) : null;
    this.tokens = groups.length > 1 ? dropdown("Tokens", tokens, "all", (value) => this.set("group", value)) : null;
    const nodes = choice("Parts", [["drawn", "with edges"], ["all", "all"]], this.state.nodes, (value) => this.set("nodes", value));
    const save = make("button", { type: "button", class: "action" }, "Save PNG");
    save.addEventListener("click", () => saveDrawing("circuit.png", this.picture));
    return make("div", { class: "controls" }, many, this.scopes, this.tokens, nodes, make("div", { class: "actions" }, save));
  }

  set(name, value) {
    this.state[name] = value;
    this.schedule();
    this.remember();
  }

  legend() {
    const { ends, unit, scores } = this.data;
    const used = [1, 2, 3].filter((port) => this.edges.some((edge) => this.data.ports.values[edge] === port));
    const line = (classes, port, width) => svg("svg", { class: "circuit-key", viewBox: "0 0 34 8", "aria-hidden": "true" }, svg("line", { x1: 1, x2: 33, y1: 4, y2: 4, class: `edge ${classes} port-${port}`, "stroke-width": width }));
    const entry = (key, text) => make("li", {}, key, make("span", { dir: "auto" }, text));
    const signs = scores ? [entry(line("for", 0, 4), ends[0]), entry(line("against", 0, 4), ends[1])] : [];
    const sides = ["", "at the left", "in the middle", "at the right"];
    const ports = used.map((port) => entry(line("plain", port, 2), `${PORT_NAMES[port]}, enters ${sides[port]}`));
    this.scale = make("li", { dir: "auto" });
    this.unit = unit;
    return make("ul", { class: "circuit-legend" }, ...signs, ...(scores ? [this.scale] : []), ...ports);
  }

  listen() {
    const partOf = (event) => event.target.closest?.("[data-node]");
    const number = (element, name) => (element ? Number(element.dataset[name]) : null);
    this.picture.addEventListener("pointerover", (event) => {
      this.looked = number(partOf(event), "node");
      this.edge = number(event.target.closest("[data-edge]"), "edge");
      this.schedule();
    });
    this.picture.addEventListener("pointerleave", () => this.leave());
    this.picture.addEventListener("focusin", (event) => this.focusOn(number(partOf(event), "node")));
    this.picture.addEventListener("focusout", () => this.focusOn(null));
    this.picture.addEventListener("click", (event) => this.pin(number(partOf(event), "node")));
    this.picture.addEventListener("keydown", (event) => this.onKey(event, number(partOf(event), "node")));
  }

  leave() {
    Object.assign(this, { looked: null, edge: null });
    this.schedule();
  }

  focusOn(node) {
    this.focused = node;
    this.schedule();
  }

  pointAtEdge(edge) {
    this.edge = edge;
    this.schedule();
  }

  // A click pins a part, on the same part or beside all parts lets go.
  pin(node) {
    this.pinned = node === this.pinned ? null : node;
    this.schedule();
    this.remember();
  }

  onKey(event, node) {
    if (node === null) return;
    if (event.key in ARROWS) this.walk(node, ARROWS[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.pin(node);
    else if (event.key === "Escape" && this.pinned !== null) this.pin(this.pinned);
    else return;
    event.preventDefault();
  }

  // To the nearest part in a direction; what lies aside counts double.
  walk(node, [right, down]) {
    const from = this.arrangement.places.get(node);
    const away = ({ x, y }) => {
      const [dx, dy] = [x - from.x, y - from.y];
      const along = dx * right + dy * down;
      return along > 1 ? along + 2 * Math.abs(dx * down + dy * right) : Infinity;
    };
    const [best] = [...this.arrangement.places].filter(([i]) => i !== node).sort(([, one], [, other]) => away(one) - away(other));
    if (best && away(best[1]) < Infinity) this.picture.querySelector(`[data-node="${best[0]}"]`).focus();
  }

  get bookmark() {
    const { count, scope, group } = this.state;
    const part = this.pinned === null ? {} : { part: this.data.nodes[this.pinned].name };
    return { edges: count, of: scope, tokens: group, ...part };
  }

  restore({ edges, of, tokens, part }) {
    if (Number(edges) >= 1) this.state.count = Math.round(Number(edges));
    if (this.divided && of === "all") this.choose(this.scopes, "scope", of);
    if (this.tokens && tokens in this.data.groups) {
      this.state.group = tokens;
      this.tokens.querySelector("select").value = tokens;
    }
    const pinned = this.data.nodes.findIndex((node) => node.name === part);
    this.pinned = pinned < 0 ? null : pinned;
    this.draw();
  }

  choose(fieldset, name, value) {
    this.state[name] = value;
    fieldset.querySelector(`input[value="${value}"]`).checked = true;
  }

  candidates() {
    const { included, edgeGroups } = this.data;
    const { scope, group } = this.state;
    return this.edges.filter((edge) => (scope === "all" || included.values[edge]) && (group === "all" || edgeGroups.values[edge] === Number(group)));
  }

  get part() {
    return this.looked ?? this.focused ?? this.pinned;
  }

  draw() {
    const width = Math.max(this.scroller.clientWidth - 6, 280);
    const key = JSON.stringify([this.state, width]);
    if (key !== this.pictured) this.drawPicture(width);
    this.pictured = key;
    this.light();
  }

  drawPicture(width) {
    const { mostDrawn, nodes, scores, sources, destinations } = this.data;
    const candidates = this.candidates();
    const most = Math.min(candidates.length, mostDrawn);
    const count = Math.min(this.state.count, most);
    Object.assign(this.slider, { max: Math.max(most, 1), value: count, disabled: most < 2 });
    this.drawn = candidates.slice(0, count);
    this.largest = (scores && candidates.length && Math.abs(scores.values[candidates[0]])) || 1;
    const ends = new Set(this.drawn.flatMap((edge) => [sources.values[edge], destinations.values[edge]]));
    const seen = [...nodes.keys()].filter((i) => this.state.nodes === "all" || nodes[i].layer < 0 || ends.has(i));
    this.arrangement = arranged(nodes, seen, width);
    this.drawFrame(seen);
    this.status.textContent = this.summary(candidates, count);
    this.scale.textContent = `thickest: ${plain(this.largest)} (${this.unit})`;
  }

  drawFrame(seen) {
    const { width, height, layers, size } = this.arrangement;
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}`, "font-size": size })) this.picture.setAttribute(name, value);
    const names = layers.map(({ layer, y }) => svg("text", { class: "layer", x: 2, y: y + 4 }, `L${layer}`));
    const rules = layers.map(({ y }) => svg("line", { class: "rule", x1: 24, x2: width, y1: y, y2: y }));
    const edges = svg("g", { class: "edge-lines" }, ...this.drawn.map((edge, i) => this.line(edge, i)).reverse());
    const parts = seen.map((i, place) => this.box(i, place === 0));
    this.picture.replaceChildren(...rules, ...names, edges, ...parts);
  }

  line(edge, i) {
    const { sources, destinations, ports, scores } = this.data;
    const { places, slot } = this.arrangement;
    const value = scores ? scores.values[edge] : 0;
    const port = ports.values[edge];
    const path = curve(places.get(sources.values[edge]), places.get(destinations.values[edge]), port, slot, this.side(edge, i));
    const width = scores ? WIDTHS[0] + (WIDTHS[1] - WIDTHS[0]) * (Math.abs(value) / this.largest) : UNSCORED;
    const kind = scores ? (value < 0 ? "against" : "for") : "plain";
    const seen = svg("path", { d: path, class: `edge ${kind} port-${port}`, "stroke-width": width.toFixed(2) });
    const reach = svg("path", { d: path, class: "reach", "data-edge": edge });
    return svg("g", { class: "edge-line" }, seen, reach);
  }

  // Where an edge bends to that passes by parts: from the MLPs, which stand outermost, inward.
  side(edge, i) {
    const { nodes, sources } = this.data;
    return nodes[sources.values[edge]].kind === "mlp" || i % 2 === 0 ? -1 : 1;
  }

  box(i, first) {
    const { nodes } = this.data;
    const { x, y, width, height } = this.arrangement.places.get(i);
    const into = this.drawn.filter((edge) => this.data.destinations.values[edge] === i).length;
    const out = this.drawn.filter((edge) => this.data.sources.values[edge] === i).length;
    const told = [capitalized(spokenPart(nodes[i])), nodes[i].note, `${counted(into, "edge")} in, ${out} out`].filter(Boolean).join(": ");
    const rect = svg("rect", { x: x - width / 2, y: y - height / 2, width, height, rx: 5 });
    const text = svg("text", { x, y: y + 4, "text-anchor": "middle" }, boxed(nodes[i]));
    const bare = into || out ? "" : " bare";
    return svg("g", { class: `part ${nodes[i].kind}${bare}`, role: "button", tabindex: first ? 0 : -1, "aria-label": told, "aria-pressed": "false", "data-node": i }, rect, text);
  }

  summary(candidates, count) {
    const { leftOut, mostDrawn, scores } = this.data;
    const of = this.divided && this.state.scope === "circuit" ? " of the circuit" : "";
    if (!candidates.length) return `There are no edges${of}${this.state.group === "all" ? "" : " at these tokens"}.`;
    const range = scores ? `, scores of size ${plain(Math.abs(scores.values[this.drawn.at(-1)]))} and more` : "";
    const rest = candidates.length - count;
    const text = [`${count.toLocaleString("en-US")} of ${counted(candidates.length, "edge")}${of} are drawn${range}${rest ? `; ${rest.toLocaleString("en-US")} are left out` : ""}.`];
    if (candidates.length > mostDrawn) text.push(`A picture draws ${mostDrawn} at most.`);
    if (of) text.push(`${counted(this.edges.filter((edge) => !this.data.included.values[edge]).length, "other edge")} of the model aren’t in it.`);
    if (leftOut) text.push(`${counted(leftOut, "more edge")} with smaller scores ${leftOut === 1 ? "isn’t" : "aren’t"} on this page.`);
    return text.join(" ");
  }

  // What belongs to the part or the edge that is looked at stands out.
  light() {
    const { sources, destinations } = this.data;
    const part = this.arrangement.places.has(this.part) ? this.part : null;
    const belongs = (edge) => (this.edge === null ? sources.values[edge] === part || destinations.values[edge] === part : edge === this.edge);
    const near = new Set([part]);
    for (const line of this.picture.querySelectorAll(".edge-line")) {
      const edge = Number(line.lastChild.dataset.edge);
      const lit = (part !== null || this.edge !== null) && belongs(edge);
      line.classList.toggle("lit", lit);
      if (lit) for (const end of [sources.values[edge], destinations.values[edge]]) near.add(end);
    }
    this.picture.classList.toggle("asked", part !== null || this.edge !== null);
    for (const box of this.picture.querySelectorAll(".part")) {
      const node = Number(box.dataset.node);
      box.classList.toggle("near", near.has(node));
      box.classList.toggle("looked", node === part);
      box.setAttribute("aria-pressed", String(node === this.pinned));
      if (this.focused !== null) box.setAttribute("tabindex", node === this.focused ? 0 : -1);
    }
    this.say(part);
  }

  say(part) {
    if (this.said !== `${part},${this.pictured}`) this.table.show(part, this.drawn, this.largest);
    this.said = `${part},${this.pictured}`;
    const { nodes, sources, scores } = this.data;
    const edge = this.edge;
    if (edge === null) {
      this.readout.textContent = part === null ? "Read from below: each part reads what parts below it wrote." : `${capitalized(spokenPart(nodes[part]))}${part === this.pinned ? ", pinned" : ""}`;
      return;
    }
    const value = scores ? `: ${signed(scores.values[edge], 4)}` : "";
    this.readout.textContent = `${shortPart(nodes[sources.values[edge]])} → ${this.table.destination(edge)}${value}`;
  }
}

customElements.define("vt-circuit-graph", CircuitGraph);
