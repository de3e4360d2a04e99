// Scores and patterns of all heads, read out of the one array that travels: pattern = exp(score - logsumexp).
// A head is a slot of that array; a masked score is minus infinity, and its pattern zero.

export class AttentionData {
  constructor({ scores, logPartition, extents, heads, size }) {
    Object.assign(this, { scores, logPartition, extents, places: heads });
    [this.layers, this.heads] = size;
    [, this.queries, this.keys] = scores.shape;
    this.slots = new Int32Array(this.layers * this.heads).fill(-1);
    heads.forEach(([layer, head], slot) => (this.slots[layer * this.heads + head] = slot));
    this.averages = new Map();
  }

  // Where a head's numbers are, or -1 where the page doesn't hold them.
  slot(layer, head) {
    return head < this.heads ? (this.slots[layer * this.heads + head] ?? -1) : -1;
  }

  // One number per token. `way` "from": what `token` attends to; "to": who attends to `token`.
  line(kind, way, slot, token) {
    if (way === "from") return this.fromQuery(kind, slot, token);
    return Float64Array.from({ length: this.queries }, (_, query) => this.value(kind, slot, query, token));
  }

  fromQuery(kind, slot, query) {
    const scores = this.scores.row(slot, query);
    if (kind === "scores") return scores;
    const offset = this.logPartition.at(slot, query);
    return Float64Array.from(scores, (score) => Math.exp(score - offset));
  }

  value(kind, slot, query, key) {
    const score = this.scores.at(slot, query, key);
    return kind === "scores" ? score : Math.exp(score - this.logPartition.at(slot, query));
  }

  // The mean over all queries that see a key; kept, because it reads the whole head.
  average(kind, slot) {
    const name = `${kind}/${slot}`;
    if (!this.averages.has(name)) this.averages.set(name, this.computeAverage(kind, slot));
    return this.averages.get(name);
  }

  computeAverage(kind, slot) {
    const sum = new Float64Array(this.keys);
    const seen = new Float64Array(this.keys);
    for (let query = 0; query < this.queries; query += 1) {
      const row = this.fromQuery(kind, slot, query);
      for (let key = 0; key < this.keys; key += 1) {
        if (row[key] === -Infinity) continue;
        sum[key] += row[key];
        seen[key] += 1;
      }
    }
    return sum.map((value, key) => (seen[key] ? value / seen[key] : -Infinity));
  }

  // What a color scale spans over a head, or over all heads of the page; patterns start at zero.
  extent(kind, slot = null) {
    const slots = slot === null ? this.places.map((_, i) => i) : [slot];
    const column = (at) => slots.map((each) => this.extents.at(each, at));
    if (kind === "pattern") return [0, Math.max(...column(2))];
    return [Math.min(...column(0)), Math.max(...column(1))];
  }
}

// Smallest and largest of several lines, without what is masked; patterns start at zero.
export function extent(lines, kind) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of lines) {
    for (const value of line) {
      if (value === -Infinity) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (high < low) return [0, 0];
  return [kind === "pattern" ? 0 : low, high];
}

// Where a value lies on a scale, 0 to 1; on a scale of no length, at its start.
export function part(value, [low, high]) {
  return high > low ? (value - low) / (high - low) : 0;
}
