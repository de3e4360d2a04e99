// A picture cut into patches; the one under the cursor is named.

import { make } from "vitreous/dom.js";
import { PatchPicture } from "vitreous/patch-picture.js";
import { capitalized, spokenName } from "vitreous/tokens.js";
import { Viewer } from "vitreous/viewer.js";

class ImageGrid extends Viewer {
  build() {
    const { picture, tokens, alt } = this.data;
    this.pointed = null;
    this.patches = new PatchPicture(picture, tokens, alt, { onPoint: (token) => this.point(token) });
    this.readout = make("p", { class: "readout-line", "aria-live": "polite" });
    this.replaceChildren(this.patches.element, this.readout);
  }

  point(token) {
    this.pointed = token;
    this.schedule();
  }

  draw() {
    const { tokens } = this.data;
    const size = `${tokens.grid.length} × ${tokens.grid[0].length} patches`;
    this.readout.textContent = this.pointed === null ? size : capitalized(spokenName(tokens, this.pointed));
    this.patches.draw({ rings: this.pointed === null ? [] : [{ token: this.pointed, kind: "key" }] });
  }
}

customElements.define("vt-image-grid", ImageGrid);
