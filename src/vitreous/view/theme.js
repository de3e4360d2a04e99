// Light, dark, or what the system prefers. Whoever paints pixels listens with `onTheme`.

const media = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
let printing = false;

// Whether the page is on its way to paper, which is light and knows no blending.
export function onPaper() {
  return printing;
}

export function theme() {
  if (printing) return "light";
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return media.matches ? "dark" : "light";
}

export function onTheme(listener) {
  listeners.add(listener);
}

function announce() {
  document.documentElement.classList.toggle("on-dark", theme() === "dark");
  for (const listener of listeners) listener(theme());
}

export function bindToggle(button) {
  const order = ["auto", "light", "dark"];
  button.addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
    button.textContent = `Theme: ${root.dataset.theme}`;
    announce();
  });
}

function setPrinting(value) {
  printing = value;
  announce();
}

media.addEventListener("change", announce);
window.addEventListener("beforeprint", () => setPrinting(true));
window.addEventListener("afterprint", () => setPrinting(false));
announce();
