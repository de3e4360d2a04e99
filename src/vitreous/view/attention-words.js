// Attention in words: what is on the picture, and numbers with no more digits than the page vouches for.

import { make } from "vitreous/dom.js";
import { decimalsFor, plain, probability } from "vitreous/numbers.js";
import { capitalized, inSentence, shortName, spokenName } from "vitreous/tokens.js";

const TOP_KEYS = 5;
const HINTS = {
  free: "Point at a patch to look from there; click to hold it, P pins it.",
  held: "Held. Point at any patch to read its value; Esc lets go, P pins it.",
};

export class AttentionWords {
  constructor(tokens, largestStep) {
    Object.assign(this, { tokens, largestStep });
  }

  title([layer, head], way, token) {
    const name = inSentence(this.tokens, token);
    return `Layer ${layer}, head ${head}: ${way === "from" ? `where ${name} looks` : `who looks at ${name}`}`;
  }

  format(kind, value) {
    const step = this.largestStep;
    if (value === -Infinity) return "masked";
    if (kind === "scores") return plain(value, Math.min(3, decimalsFor(step)));
    return probability(value, step > 0.01 ? 1 : step > 0 ? 2 : 3);
  }

  caption(kind) {
    const unit = kind === "pattern" ? "attention (softmax of the scores)" : "score before the softmax";
    return this.largestStep ? `${unit}; scores are stored in steps of ${plain(this.largestStep, 4)} or finer` : unit;
  }

  // What is under the cursor; or, with nothing to read, what one can do.
  sentence(kind, reading, held) {
    if (reading === null) return make("p", { class: "hint" }, held ? HINTS.held : HINTS.free);
    const { query, key, value } = reading;
    const text = `${spokenName(this.tokens, query)} → ${spokenName(this.tokens, key)}: `;
    return make("p", { class: "hint" }, capitalized(text), make("b", { class: "value" }, this.format(kind, value)));
  }

  topKeys(kind, line) {
    const seen = Array.from(line.keys()).filter((token) => line[token] > -Infinity);
    const items = seen
      .sort((a, b) => line[b] - line[a])
      .slice(0, TOP_KEYS)
      .map((token) => {
        const name = make("span", { class: "key" }, shortName(this.tokens, token));
        return make("li", {}, name, " ", make("b", { class: "value" }, this.format(kind, line[token])));
      });
    return make("ol", { class: "top-keys", "aria-label": "Highest values" }, ...items);
  }
}
