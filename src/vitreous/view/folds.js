// Sections that fold. An address opens the one that it names; paper shows all of them.

import { addressed } from "vitreous/address.js";

const folds = [...document.querySelectorAll("details.fold")];
let before = null;

export function reveal() {
  const { id, state } = addressed();
  const target = id && document.getElementById(id);
  if (!target) return;
  const fold = target.closest("details.fold") ?? target.querySelector("details.fold");
  if (fold) fold.open = true;
  if (target.dataset.ready !== undefined) target.restore?.(state);
  target.scrollIntoView();
}

function unfoldForPaper() {
  before ??= folds.map((fold) => fold.open);
  for (const fold of folds) fold.open = true;
}

function foldAsBefore() {
  folds.forEach((fold, i) => {
    fold.open = before?.[i] ?? fold.open;
  });
  before = null;
}

// A button that folds all sections, or unfolds them where one is folded.
export function bindFoldAll(button) {
  const name = () => {
    button.textContent = folds.every((fold) => fold.open) ? "Fold all" : "Unfold all";
  };
  button.addEventListener("click", () => {
    const open = !folds.every((fold) => fold.open);
    for (const fold of folds) fold.open = open;
  });
  for (const fold of folds) fold.addEventListener("toggle", name);
  name();
}

window.addEventListener("hashchange", reveal);
window.addEventListener("beforeprint", unfoldForPaper);
window.addEventListener("afterprint", foldAsBefore);
