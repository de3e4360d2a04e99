// Heads and tokens side by side: cards that keep what was on the picture.

import { make } from "vitreous/dom.js";
import { PatchPicture } from "vitreous/patch-picture.js";

export const MOST_PINS = 8;

export class AttentionPins {
  // Calls `onPoint(token or null)` while the cursor is on one of the pictures.
  constructor(picture, tokens, { onPoint, onChange }) {
    Object.assign(this, { picture, tokens, onPoint, onChange, pins: [] });
    this.list = make("ul", { class: "pins", "aria-label": "Pinned" });
    this.element = make("div", { class: "pinned", hidden: true }, make("h3", {}, "Pinned"), this.list);
  }

  // `view`: { slot, way, token, title }; what is pinned already stays where it is.
  add(view) {
    if (this.pins.length >= MOST_PINS || this.pins.some(({ view: other }) => same(other, view))) return;
    const patches = new PatchPicture(this.picture, this.tokens, view.title, { onPoint: this.onPoint });
    const close = make("button", { type: "button", class: "unpin", "aria-label": `Unpin ${view.title}` }, "×");
    const range = make("span", { class: "range" });
    const value = make("b", { class: "value" });
    const head = make("p", { class: "pin-title" }, make("span", {}, view.title), close);
    const card = make("li", { class: "pin" }, head, patches.element, make("p", { class: "pin-values" }, range, " ", value));
    const pin = { view, patches, range, value, card };
    close.addEventListener("click", () => this.remove(pin));
    this.pins.push(pin);
    this.list.append(card);
    this.onChange();
  }

  remove(pin) {
    this.pins.splice(this.pins.indexOf(pin), 1);
    pin.card.remove();
    this.onChange();
  }

  // `read(view)`: { line, scale, shade(value) }, kept until `state` is another; `cursor`: the token that all of them mark.
  draw(state, read, format, cursor) {
    this.element.hidden = !this.pins.length;
    for (const pin of this.pins) {
      if (pin.state !== state) this.repaint(pin, read(pin.view), format);
      pin.state = state;
      const rings = [{ token: pin.view.token, kind: "query" }];
      if (cursor !== null && cursor !== pin.view.token) rings.push({ token: cursor, kind: "key" });
      pin.patches.draw({ rings });
      pin.value.textContent = cursor === null ? "" : format(pin.line[cursor]);
    }
  }

  repaint(pin, { line, scale, shade }, format) {
    pin.line = line;
    pin.patches.draw({ colors: Array.from(line, shade) });
    pin.range.textContent = `${format(scale[0])} to ${format(scale[1])}`;
  }
}

function same(one, other) {
  return ["slot", "way", "token"].every((name) => one[name] === other[name]);
}
