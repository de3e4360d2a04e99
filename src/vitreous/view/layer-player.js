// A slider over the layers, and a button that walks through them.

import { make } from "vitreous/dom.js";

const PAUSE = 800; // milliseconds at each layer

const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

export class LayerPlayer {
  // Calls `onLayer(layer)` whenever the layer changes, and `onRest()` when it stays for now.
  constructor(names, layer, onLayer, onRest) {
    Object.assign(this, { names, layer, onLayer, onRest, timer: null });
    this.slider = make("input", { type: "range", min: 0, max: names.length - 1, step: 1, value: layer, "aria-label": "Layer" });
    this.slider.addEventListener("input", () => this.to(Number(this.slider.value)));
    this.slider.addEventListener("change", onRest);
    this.button = make("button", { type: "button", class: "chip play", disabled: names.length < 2 });
    this.button.addEventListener("click", () => this.press());
    stillness.addEventListener("change", () => this.stop());
    this.stop();
  }

  // A reader who asked for less motion moves one layer with each press.
  press() {
    if (stillness.matches) this.show(this.next());
    else if (this.timer) this.stop();
    else this.play();
    this.onRest();
  }

  next() {
    return (this.layer + 1) % this.names.length;
  }

  play() {
    this.show(this.next());
    this.timer = setInterval(() => this.advance(), PAUSE);
    this.name();
  }

  advance() {
    if (!this.button.isConnected || this.layer === this.names.length - 1) this.stop();
    else this.show(this.layer + 1);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.name();
  }

  name() {
    const [mark, text] = this.timer ? ["❙❙", "pause"] : stillness.matches ? ["▸", "next"] : ["▸", "play"];
    this.button.replaceChildren(make("span", { "aria-hidden": "true" }, `${mark} `), text);
    this.button.setAttribute("aria-label", { pause: "Pause at this layer", next: "Next layer", play: "Play through the layers" }[text]);
  }

  // Goes to a layer by hand, which ends a walk.
  to(layer) {
    if (this.timer) this.stop();
    this.show(layer);
  }

  show(layer) {
    this.layer = layer;
    this.slider.value = layer;
    this.slider.setAttribute("aria-valuetext", this.names[layer]);
    this.onLayer(layer);
  }
}
