// Where the parts of a circuit stand: by layer from below, its heads in a row, the MLP beside and above them.

const NARROWEST = 26; // of a head's place, in pixels
const WIDEST = 88;
const LEFT = 26; // for the names of layers
const ROWS = [66, 104]; // the lowest and the highest row
const USUAL = 640; // the height that rows share
const END = 46; // above and below, for what is neither
const BOX = 22; // height of a part
const PORTS = [0, -0.3, 0, 0.3]; // where an edge enters, in widths of a box: no port, query, key, value

// `seen`: indices of the nodes that are drawn; a head's column is its number, whoever else is drawn.
export function arranged(nodes, seen, width) {
  const columns = Math.max(1, ...nodes.map((node) => node.head + 1));
  const across = columns + (nodes.some((node) => node.kind === "mlp") ? 1 : 0);
  const slot = Math.min(Math.max((width - LEFT) / across, NARROWEST), WIDEST);
  const whole = Math.max(width, LEFT + slot * across);
  const left = LEFT + (whole - LEFT - slot * across) / 2;
  const layers = [...new Set(seen.map((i) => nodes[i].layer))].filter((layer) => layer >= 0).sort((a, b) => a - b);
  const row = Math.min(Math.max(USUAL / Math.max(layers.length, 1), ROWS[0]), ROWS[1]);
  const height = 2 * END + Math.max(layers.length, 0.5) * row;
  const yOf = (layer) => height - END - (layers.indexOf(layer) + 0.5) * row + 0.1 * row;
  const centers = {
    input: () => [left + (slot * columns) / 2, height - BOX / 2 - 4],
    output: () => [left + (slot * columns) / 2, BOX / 2 + 4],
    head: ({ head, layer }) => [left + slot * (head + 0.5), yOf(layer)],
    mlp: ({ layer }) => [left + slot * (columns + 0.5), yOf(layer) - 0.46 * row],
  };
  const box = Math.min(0.82 * slot, 46);
  const places = new Map();
  for (const i of seen) {
    const node = nodes[i];
    const [x, y] = centers[node.kind](node);
    places.set(i, { x, y, width: node.layer < 0 ? 62 : node.kind === "mlp" ? Math.max(box, 26) : box, height: BOX, row: node.layer < 0 ? null : layers.indexOf(node.layer) });
  }
  return { places, layers: layers.map((layer) => ({ layer, y: yOf(layer) })), slot, width: whole, height, size: slot < 34 ? 10 : 12 };
}

// A curve from the top of one part to the port of another. One that would run through the parts between bends aside.
export function curve(from, to, port, slot, side) {
  const [x1, y1] = [from.x, from.y - from.height / 2];
  const [x2, y2] = [to.x + PORTS[port] * to.width, to.y + to.height / 2];
  const lift = 0.45 * Math.max(y1 - y2, 24);
  const passes = Math.abs(from.x - to.x) < slot / 2 && y1 - y2 > 150;
  const bend = passes ? 0.75 * slot * side : 0;
  const points = [x1, y1, x1 + bend, y1 - lift, x2 + bend, y2 + lift, x2, y2].map((value) => value.toFixed(1));
  return `M${points[0]} ${points[1]}C${points.slice(2).join(" ")}`;
}
