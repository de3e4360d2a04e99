// The classes on the patches, with their colors and counts; one of them can be put in the light.

import { label, make } from "vitreous/dom.js";

const MOST = 10;

export class ClassLegend {
  // Calls `onSpotlight(class or null)` while the cursor or the focus is on a class, and when one is pressed.
  constructor(data, onSpotlight) {
    Object.assign(this, { data, onSpotlight, pressed: null });
    this.caption = make("div", { class: "legend-caption" });
    this.list = make("ul", { class: "classes" });
    this.element = make("div", { class: "legend class-legend" }, this.caption, this.list);
  }

  draw(layer) {
    const order = this.data.counts(layer);
    const patches = this.data.tokens.grid.flat().length;
    this.caption.textContent = `class of each token's top label; ${order.length} on the ${patches} patches of this layer`;
    const key = order.flat().join();
    if (key === this.drawn) return;
    this.drawn = key;
    const shown = order.slice(0, MOST).map(([index, count]) => this.entry(index, count));
    const more = order.length > MOST ? [make("li", { class: "more" }, `and ${order.length - MOST} more`)] : [];
    this.list.replaceChildren(...shown, ...more);
  }

  entry(index, count) {
    const { hex, groups } = this.data;
    const swatch = make("i", { class: "swatch", style: `background: ${hex[index]}` });
    const title = groups ? groups[index] : null;
    const held = String(this.pressed === index);
    const button = make("button", { type: "button", "aria-pressed": held, title }, swatch, label(this.data.named(index)), make("span", { class: "count" }, String(count)));
    button.addEventListener("pointerenter", () => this.onSpotlight(index));
    button.addEventListener("pointerleave", () => this.onSpotlight(this.pressed));
    button.addEventListener("focus", () => this.onSpotlight(index));
    button.addEventListener("blur", () => this.onSpotlight(this.pressed));
    button.addEventListener("click", () => this.press(index, button));
    return make("li", {}, button);
  }

  press(index, button) {
    this.pressed = this.pressed === index ? null : index;
    for (const other of this.list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button && this.pressed === index));
    this.onSpotlight(this.pressed);
  }
}
