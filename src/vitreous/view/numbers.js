// Numbers as text. A true minus sign, and no more digits than the data can vouch for.

export function plain(value, digits = 3) {
  return withMinus(rounded(value, digits));
}

export function signed(value, digits = 3) {
  const text = rounded(value, digits);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : withMinus(text);
}

// A probability: 0.873, 0.0042, or 3.1e-7 where zeros would fill the line.
export function probability(value, digits = 3) {
  if (value === 0) return "0";
  if (value >= 0.9995 && value < 1 && digits >= 3) return `1 − ${power(1 - value, 1)}`;
  if (value < 1e-4) return power(value, Math.min(digits, 2));
  return trimmed(value.toPrecision(digits));
}

export function percent(value) {
  const hundred = 100 * value;
  if (hundred >= 99.95 && hundred < 100) return "> 99.9%";
  if (hundred >= 1 || hundred === 0) return `${hundred.toFixed(1)}%`;
  return hundred < 0.005 ? "< 0.01%" : `${hundred.toFixed(2)}%`;
}

// Decimals that a number rounded to steps of `step` can carry.
export function decimalsFor(step) {
  return step > 0 ? Math.max(0, Math.floor(-Math.log10(step))) : 3;
}

function rounded(value, digits) {
  const size = Math.abs(value);
  if (digits > 2 && size !== 0 && size < 0.5 * 10 ** -digits) return power(value, 2);
  return value.toFixed(digits).replace(/^-(0\.0+)$/, "$1");
}

function power(value, digits) {
  return value.toExponential(digits - 1).replace("e-", "e−").replace("e+", "e");
}

function trimmed(text) {
  return text.includes("e") ? String(Number(text)) : text;
}

function withMinus(text) {
  return text.replace(/^-/, "−");
}
