// Scores and patterns of all heads, read out of the one array that travels: pattern = exp(score - logsumexp).

export class AttentionData {
  constructor(scores, logPartition) {
    Object.assign(this, { scores, logPartition });
    [this.layers, this.heads, this.queries, this.keys] = scores.shape;
    this.averages = new Map();
  }

  // One number per token. `way` "from": what `token` attends to; "to": who attends to `token`.
  line(kind, way, layer, head, token) {
    if (way === "from") return this.fromQuery(kind, layer, head, token);
    return Float64Array.from({ length: this.queries }, (_, query) => this.value(kind, layer, head, query, token));
  }

  fromQuery(kind, layer, head, query) {
    const scores = this.scores.row(layer, head, query);
    if (kind === "scores") return scores;
    const offset = this.logPartition.at(layer, head, query);
    return Float64Array.from(scores, (score) => Math.exp(score - offset));
  }

  value(kind, layer, head, query, key) {
    const score = this.scores.at(layer, head, query, key);
    return kind === "scores" ? score : Math.exp(score - this.logPartition.at(layer, head, query));
  }

  // The mean over all queries; kept, because it reads the whole head.
  average(kind, layer, head) {
    const name = `${kind}/${layer}/${head}`;
    if (!this.averages.has(name)) this.averages.set(name, this.computeAverage(kind, layer, head));
    return this.averages.get(name);
  }

  computeAverage(kind, layer, head) {
    const sum = new Float64Array(this.keys);
    for (let query = 0; query < this.queries; query += 1) {
      const row = this.fromQuery(kind, layer, head, query);
      for (let key = 0; key < this.keys; key += 1) sum[key] += row[key];
    }
    return sum.map((value) => value / this.queries);
  }
}

// Smallest and largest of several lines; patterns start at zero.
export function extent(lines, kind) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of lines) {
    for (const value of line) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [kind === "pattern" ? 0 : low, high];
}
