// What all viewers share: they load their payload once, draw, and draw again when the theme changes.

import { addressed, remember } from "vitreous/address.js";
import { loadPayload } from "vitreous/arrays.js";
import { onTheme } from "vitreous/theme.js";

export class Viewer extends HTMLElement {
  async connectedCallback() {
    if (this.started) return;
    this.started = true;
    try {
      this.data = await loadPayload(this.dataset.payload);
      this.build();
      this.draw();
      this.recall();
      onTheme(() => this.draw());
      this.dataset.ready = "";
    } catch (error) {
      this.textContent = `This viewer could not be drawn: ${error.message}`;
      throw error;
    }
  }

  // Draws at the next frame, once, however often it was asked to until then.
  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  // Takes up the state that the address has for it. A viewer with a state has `bookmark` and `restore(bookmark)`.
  recall() {
    const { id, state } = addressed();
    if (this.id && id === this.id && this.restore) this.restore(state);
  }

  remember() {
    if (this.id) remember(this.id, this.bookmark);
  }
}
