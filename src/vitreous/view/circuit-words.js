// What parts and edges of a circuit are called.

export const PORT_NAMES = ["", "query", "key", "value"];

export function shortPart({ kind, name, layer, head }) {
  if (kind === "head") return `L${layer}H${head}`;
  return kind === "mlp" ? `MLP ${layer}` : name;
}

export function spokenPart({ kind, name, layer, head }) {
  if (kind === "head") return `layer ${layer}, head ${head}`;
  return kind === "mlp" ? `MLP of layer ${layer}` : name;
}

// What stands in a part's box.
export function boxed({ kind, name, head }) {
  if (kind === "head") return `h${head}`;
  return kind === "mlp" ? "MLP" : name;
}

export function counted(count, one) {
  return `${count.toLocaleString("en-US")} ${one}${count === 1 ? "" : "s"}`;
}
