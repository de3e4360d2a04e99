// Names of tokens as a reader says them.

const SPECIAL = { cls: "class token", dist: "distillation token", distillation: "distillation token", readout: "whole head" };

export function spokenName(tokens, token) {
  const place = positionOf(tokens, token);
  if (place) return `patch row ${place.row}, column ${place.column}`;
  const name = tokens.names[token];
  const register = /^reg(?:ister)?_?(\d+)$/.exec(name);
  return register ? `register ${register[1]}` : (SPECIAL[name] ?? name);
}

// The same inside of a sentence.
export function inSentence(tokens, token) {
  const name = spokenName(tokens, token);
  return / (token|head)$/.test(name) ? `the ${name}` : name;
}

export function shortName(tokens, token) {
  return tokens.names[token];
}

export function positionOf(tokens, token) {
  for (const [row, line] of tokens.grid.entries()) {
    const column = line.indexOf(token);
    if (column >= 0) return { row, column };
  }
  return null;
}

export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
