// A picture as a PNG file: the patches as they are on the page, with title and legend.

import { color, css, inkOn } from "vitreous/colors.js";
import { theme } from "vitreous/theme.js";

const WIDTH = 960;
const MARGIN = 32;
const TITLE = 64;
const LEGEND = 84;
const CHIP = 44;
const PAPER = { light: "#fcfcfa", dark: "#0f1518" };
const INK = { light: "#182126", dark: "#e4eaec" };
const FAMILY = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

// `chips`: [{ name, shade }] for tokens that are no patch; `numbers`: the legend's three texts.
export async function savePicture(name, patches, { title, chips, numbers, caption }) {
  await patches.image.decode();
  const picture = composed(patches);
  const canvas = blank(WIDTH + 2 * MARGIN, TITLE + picture.height + (chips.length ? CHIP : 0) + LEGEND + MARGIN);
  const context = canvas.getContext("2d");
  context.fillStyle = PAPER[theme()];
  context.fillRect(0, 0, canvas.width, canvas.height);
  write(context, title, MARGIN, 42, 26, "left", WIDTH);
  context.drawImage(picture, MARGIN, TITLE);
  const below = TITLE + picture.height + (chips.length ? CHIP : 0);
  drawChips(context, chips, TITLE + picture.height + 34);
  drawLegend(context, numbers, caption, below + 14);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(name, blob);
}

// The gray picture under its paint, and the marks on top, at the size of the file.
function composed(patches) {
  const height = Math.round((WIDTH * patches.image.naturalHeight) / patches.image.naturalWidth);
  const [canvas, paint] = [blank(WIDTH, height), blank(WIDTH, height)];
  const context = canvas.getContext("2d");
  context.drawImage(patches.image, 0, 0, WIDTH, height);
  veil(context);
  patches.drawPaint(paint.getContext("2d"));
  context.globalCompositeOperation = theme() === "dark" ? "screen" : "multiply";
  context.drawImage(paint, 0, 0);
  context.globalCompositeOperation = "source-over";
  patches.drawGround(context, 2);
  patches.drawRings(context, 2);
  return canvas;
}

function veil(context) {
  const { width, height } = context.canvas;
  const image = context.getImageData(0, 0, width, height);
  const [floor, share] = theme() === "dark" ? [0, 0.22] : [0.75 * 255, 0.25];
  for (let i = 0; i < image.data.length; i += 4) {
    const [red, green, blue] = image.data.subarray(i, i + 3);
    image.data.fill(floor + share * (0.2126 * red + 0.7152 * green + 0.0722 * blue), i, i + 3);
  }
  context.putImageData(image, 0, 0);
}

function drawChips(context, chips, y) {
  let x = MARGIN;
  for (const { name, shade } of chips) {
    context.font = `20px ${FAMILY}`;
    const width = context.measureText(name).width + 28;
    if (x + width > MARGIN + WIDTH) return; // as many as fit; the page has them all
    context.fillStyle = shade ? css(shade) : PAPER[theme()];
    context.fillRect(x, y - 24, width, 34);
    write(context, name, x + 14, y, 20, "left", WIDTH, shade ? inkOn(shade) : INK[theme()]);
    x += width + 10;
  }
}

function drawLegend(context, numbers, caption, top) {
  write(context, caption, MARGIN, top + 18, 20, "left", WIDTH);
  for (let i = 0; i < WIDTH; i += 1) {
    context.fillStyle = css(color("sequential", i / (WIDTH - 1)));
    context.fillRect(MARGIN + i, top + 30, 1, 18);
  }
  const places = [[MARGIN, "left"], [MARGIN + WIDTH / 2, "center"], [MARGIN + WIDTH, "right"]];
  numbers.forEach((text, i) => write(context, text, places[i][0], top + 74, 20, places[i][1], WIDTH));
}

function write(context, text, x, y, size, align, most, ink = INK[theme()]) {
  context.font = `${size}px ${FAMILY}`;
  context.fillStyle = ink;
  context.textAlign = align;
  context.textBaseline = "alphabetic";
  context.fillText(text, x, y, most);
}

function blank(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function download(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
