// A drawing as a PNG file: what the page shows now, with the colors that it has here.

const SCALE = 2;
const MARGIN = 16;
const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "text-anchor"];

export async function saveDrawing(name, drawing) {
  const [width, height] = ["width", "height"].map((side) => Number(drawing.getAttribute(side)));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(styled(drawing)))}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: SCALE * (width + 2 * MARGIN), height: SCALE * (height + 2 * MARGIN) });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, SCALE * MARGIN, SCALE * MARGIN, SCALE * width, SCALE * height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A copy that needs no style sheet.
function styled(drawing) {
  const copy = drawing.cloneNode(true);
  const [originals, copies] = [drawing, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  originals.forEach((original, i) => {
    const computed = getComputedStyle(original);
    for (const style of STYLES) copies[i].style.setProperty(style, computed.getPropertyValue(style));
  });
  return copy;
}
