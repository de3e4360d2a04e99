// Color scales. Lightness runs evenly from the paper to the ink, so that order survives gray print and
// every kind of color blindness; the diverging scale is orange against blue with the paper at zero.

import { theme } from "vitreous/theme.js";

const STOPS = {
  sequential: {
    light: ["#f4f6f4", "#c3e0d8", "#7fc0bf", "#3f97ae", "#24699a", "#233c77", "#1c1846"],
    dark: ["#12191d", "#1b3145", "#1e5169", "#257784", "#4fa08f", "#9bc797", "#f3edbd"],
  },
  diverging: {
    light: ["#7a2f05", "#b85a17", "#dd9556", "#f0cfae", "#f7f6f3", "#bcd7ea", "#74acd4", "#2e7ab2", "#0d4677"],
    dark: ["#ffc088", "#e08d46", "#a86127", "#5a3a22", "#171c20", "#20415a", "#2d70a0", "#5aa5d8", "#a8d6fb"],
  },
};
const SIZE = 256;
const tables = new Map();

// A scale's color at `t` in 0..1, as [red, green, blue] bytes.
export function color(scale, t) {
  const table = colorTable(scale, theme());
  const at = 3 * Math.round(Math.min(Math.max(t, 0), 1) * (SIZE - 1));
  return [table[at], table[at + 1], table[at + 2]];
}

export function css(rgb) {
  return `rgb(${rgb[0]} ${rgb[1]} ${rgb[2]})`;
}

// Black or white, whichever reads better on this color.
export function inkOn([red, green, blue]) {
  return lightness([red, green, blue]) > 0.62 ? "#10181c" : "#ffffff";
}

export function gradient(scale) {
  const stops = Array.from({ length: 33 }, (_, i) => css(color(scale, i / 32)));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// Perceived lightness (OKLab L), 0 black to 1 white.
export function lightness(rgb) {
  return toOklab(rgb)[0];
}

// A table's color at `t` in 0..1, as one opaque pixel of image data.
export function pixel(table, t) {
  const at = 3 * Math.round(Math.min(Math.max(t, 0), 1) * (SIZE - 1));
  return (255 << 24) | (table[at + 2] << 16) | (table[at + 1] << 8) | table[at];
}

// All colors of a scale on light or dark: red, green and blue bytes in turn.
export function colorTable(scale, shade) {
  const key = `${scale}/${shade}`;
  if (!tables.has(key)) tables.set(key, interpolate(STOPS[scale][shade].map(parse)));
  return tables.get(key);
}

function parse(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function interpolate(stops) {
  const labs = stops.map(toOklab);
  const table = new Uint8ClampedArray(3 * SIZE);
  for (let i = 0; i < SIZE; i += 1) {
    const position = (i / (SIZE - 1)) * (labs.length - 1);
    const left = Math.min(Math.floor(position), labs.length - 2);
    const part = position - left;
    const lab = labs[left].map((value, axis) => value + part * (labs[left + 1][axis] - value));
    table.set(fromOklab(lab), 3 * i);
  }
  return table;
}

// OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
function toOklab(rgb) {
  const [r, g, b] = rgb.map((byte) => {
    const c = byte / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightnessValue, a, b]) {
  const l = (lightnessValue + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightnessValue - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightnessValue - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((c) => 255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * Math.max(c, 0) ** (1 / 2.4) - 0.055));
}
