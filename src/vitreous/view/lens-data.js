// What a lens's page holds: the highest labels of each token at each layer, and the courses of some labels.

const NO_LABEL = 65535;

export const OWN = "own";

export class LensData {
  constructor(data) {
    Object.assign(this, data);
    this.hex = data.colors;
    this.rgb = data.colors.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
    this.ranges = new Map();
  }

  best(layer, token) {
    return this.top.at(layer, token, 0);
  }

  // The classes of the patches' top labels at a layer, as [class, patches], the most frequent first.
  counts(layer) {
    const counts = new Map();
    for (const token of this.tokens.grid.flat()) {
      const best = this.best(layer, token);
      counts.set(best, (counts.get(best) ?? 0) + 1);
    }
    return [...counts].sort(([a, many], [b, more]) => more - many || a - b);
  }

  // "🐱 cat"
  named(index) {
    return this.emoji ? `${this.emoji[index]} ${this.labels[index]}` : this.labels[index];
  }

  logit(layer, token, place) {
    return place === OWN ? this.topLogits.at(layer, token, 0) : this.courseLogits.at(layer, token, place);
  }

  // Whether the place's label is among what was kept there.
  knows(layer, token, place) {
    return place === OWN || this.courseRanks.at(layer, token, place) > 0;
  }

  probability(layer, token, logit) {
    return Math.exp(logit - this.logPartition.at(layer, token));
  }

  value(layer, token, place, by) {
    if (!this.knows(layer, token, place)) return null;
    const logit = this.logit(layer, token, place);
    return by === "logit" ? logit : this.probability(layer, token, logit);
  }

  // The lowest and the highest value over all layers and tokens, so that the slider compares like with like.
  range(place, by) {
    if (by !== "logit") return [0, 1];
    if (!this.ranges.has(place)) this.ranges.set(place, this.logitRange(place));
    return this.ranges.get(place);
  }

  logitRange(place) {
    const array = place === OWN ? this.topLogits : this.courseLogits;
    let [low, high] = [Infinity, -Infinity];
    for (let i = place === OWN ? 0 : place; i < array.values.length; i += array.width) {
      if (place !== OWN && this.courseRanks.values[i] === 0) continue;
      low = Math.min(low, array.values[i]);
      high = Math.max(high, array.values[i]);
    }
    return low > high ? [0, 1] : [low, high];
  }

  // Of one token, for each of its followed and leading labels: the label, and where it stands at each layer.
  courses(token, by) {
    return Array.from(this.courseLabels.row(token), (label, place) => {
      if (label === NO_LABEL) return null;
      const points = this.layers.map((_, layer) => ({
        rank: this.courseRanks.at(layer, token, place),
        value: this.value(layer, token, place, by),
        probability: this.value(layer, token, place, "probability"),
        logit: this.value(layer, token, place, "logit"),
      }));
      return { label, points, followed: place < this.followed.length };
    });
  }
}
