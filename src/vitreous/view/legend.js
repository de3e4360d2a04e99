// A color scale with its numbers, and a mark at the value under the cursor.

import { gradient } from "vitreous/colors.js";
import { make } from "vitreous/dom.js";

export class Legend {
  constructor() {
    this.bar = make("div", { class: "legend-bar" });
    this.needle = make("i", { class: "legend-needle", hidden: true });
    this.bar.append(this.needle);
    this.low = make("span");
    this.middle = make("span");
    this.high = make("span");
    this.numbers = make("div", { class: "legend-numbers" }, this.low, this.middle, this.high);
    this.caption = make("div", { class: "legend-caption", dir: "auto" });
    this.element = make("div", { class: "legend" }, this.caption, this.bar, this.numbers);
  }

  set({ scale, low, high, format, caption, ends = ["", ""] }) {
    Object.assign(this, { from: low, to: high });
    this.bar.style.background = gradient(scale);
    const spelled = [ends[0] && `${ends[0]}  ${format(low)}`, "", ends[1] && `${format(high)}  ${ends[1]}`];
    this.low.textContent = spelled[0] || format(low);
    this.middle.textContent = format((low + high) / 2);
    this.high.textContent = spelled[2] || format(high);
    this.caption.textContent = caption;
  }

  mark(value) {
    const known = value !== null && value !== undefined;
    this.needle.hidden = !known;
    if (!known) return;
    const part = (value - this.from) / (this.to - this.from || 1);
    this.needle.style.left = `${100 * Math.min(Math.max(part, 0), 1)}%`;
  }
}
