// Small builders of elements. Texts are set as text, so that no label can become markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A label that may be written from right to left.
export function label(text) {
  return make("bdi", {}, text);
}

let groups = 0;

// A row of choices, one of which holds: radio buttons under the paint, so that arrow keys work.
export function choice(title, options, chosen, onChange) {
  groups += 1;
  const name = `choice-${groups}`;
  const buttons = options.map(([value, text]) => {
    const input = make("input", { type: "radio", name, value, checked: value === chosen });
    input.addEventListener("change", () => onChange(value));
    return make("label", {}, input, make("span", { dir: "auto" }, text));
  });
  const row = make("span", { class: "options" }, ...buttons);
  return make("fieldset", { class: "choice" }, make("legend", {}, title), row);
}

export function dropdown(title, options, chosen, onChange) {
  const select = make("select");
  for (const [value, text] of options) {
    select.append(make("option", { value, selected: value === chosen }, text));
  }
  select.addEventListener("change", () => onChange(select.value));
  return make("label", { class: "dropdown" }, make("span", {}, title), select);
}

// One focusable cell in a grid of cells; arrow keys move the focus, and `onFocus` hears of it.
export function roving(cells, columns, onFocus) {
  cells.forEach((cell, i) => {
    cell.tabIndex = i === 0 ? 0 : -1;
    cell.addEventListener("focus", () => {
      for (const other of cells) other.tabIndex = other === cell ? 0 : -1;
      onFocus(i);
    });
    cell.addEventListener("keydown", (event) => {
      const next = step(event.key, i, columns, cells.length);
      if (next === null) return;
      event.preventDefault();
      cells[next].focus();
    });
  });
}

// The cell that a key leads to from cell `i` of `count`, or null if the key leads nowhere.
export function step(key, i, columns, count) {
  const column = i % columns;
  const moves = {
    ArrowLeft: column > 0 ? i - 1 : i,
    ArrowRight: column < columns - 1 && i + 1 < count ? i + 1 : i,
    ArrowUp: i >= columns ? i - columns : i,
    ArrowDown: i + columns < count ? i + columns : i,
    Home: 0,
    End: count - 1,
  };
  return key in moves ? moves[key] : null;
}
