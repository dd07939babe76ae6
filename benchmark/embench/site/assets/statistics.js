"use strict";
// The comparison of two rows, as `embench compare` makes it: the same sign flips, allowance and interval. A test holds
// these figures to those of Python.

const Statistics = (() => {
  const SHARED_AT_MOST = 2;
  const MOST_GROUPS = 15; // all flips are enumerated up to here, else the drawn ones of assets/flips-N.js are used

  const sum = values => values.reduce((a, b) => a + b, 0);
  const mean = values => sum(values) / values.length;
  const known = value => value != null && Number.isFinite(value);

  // The sum of `values`, one a group, after each flip of signs; the first flips none.
  function signFlips(values) {
    const groups = values.length;
    if (groups <= MOST_GROUPS) {
      return Float64Array.from({length: 2 ** groups}, (_, way) =>
        values.reduce((total, value, g) => total + ((way >> g) & 1 ? -value : value), 0));
    }
    const packed = atob(window.FLIPS[groups]);
    const ways = Math.floor((packed.length * 8) / groups);
    const found = new Float64Array(ways);
    let at = 0;
    for (let way = 0; way < ways; way++) {
      let total = 0;
      for (let g = 0; g < groups; g++, at++) {
        const flipped = (packed.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1;
        total += flipped ? -values[g] : values[g];
      }
      found[way] = total;
    }
    return found;
  }

  // What subjects who train each other's models add to the variance; null where seeds do not show it.
  function sharedVariance(bySeed, trained) {
    const seeds = bySeed.map((_, s) => s).filter(s => bySeed[s].every(known));
    if (seeds.length < 2 || seeds.every(s => trained[s].join() === trained[seeds[0]].join())) return null;
    const groups = bySeed[0].length;
    const change = seeds.map(s => bySeed[s].slice());
    for (let g = 0; g < groups; g++) {
      const middle = mean(change.map(row => row[g]));
      change.forEach(row => { row[g] -= middle; });
    }
    let squaredShare = 0, moved = 0, movedSquared = 0, products = 0, productsSquared = 0;
    for (let i = 0; i < groups; i++) {
      for (let j = 0; j < groups; j++) {
        const free = seeds.map(s => Number(trained[s][i][j]));
        const share = mean(free);
        squaredShare += share ** 2;
        let product = 0;
        free.forEach((value, k) => {
          const move = (value - share) ** 2;
          moved += move;
          movedSquared += move ** 2;
          product += move * change[k][i] * change[k][j];
        });
        if (i !== j) {
          products += product;
          productsSquared += product ** 2;
        }
      }
    }
    const varied = sum(change.flat().map(value => value ** 2)) / (seeds.length - 1);
    const most = (squaredShare / (moved / (seeds.length - 1))) * varied;
    const scale = squaredShare / movedSquared;
    return Math.min(Math.max(scale * products + scale * Math.sqrt(2 * productsSquared), 0), most);
  }

  function permutationP(values, shared) {
    let first = values[0];
    if (shared != null) {
      const own = mean(Array.from(values, value => value ** 2));
      first /= Math.sqrt(1 + (own ? Math.min(shared / own, SHARED_AT_MOST) : 0));
    }
    let greatest = Math.abs(first);
    for (let k = 1; k < values.length; k++) greatest = Math.max(greatest, Math.abs(values[k]));
    const least = Math.abs(first) - 1e-9 * greatest;
    let count = 1;
    for (let k = 1; k < values.length; k++) if (Math.abs(values[k]) >= least) count++;
    return count / values.length;
  }

  // The standard error of the difference and its degrees of freedom, without what seeds share.
  function ownError(a, b, codes) {
    if (a.without && b.without) {
      const gaps = a.without.map((value, g) => (known(value) && known(b.without[g]) ? value - b.without[g] : null)).filter(known);
      if (gaps.length < 2) return null;
      const middle = mean(gaps);
      return {error: Math.sqrt(((gaps.length - 1) * sum(gaps.map(x => (x - middle) ** 2))) / gaps.length), df: gaps.length - 1};
    }
    if (!a.values || !b.values) return null;
    const gaps = a.values.map((value, p) => (known(value) && known(b.values[p]) ? value - b.values[p] : null));
    const subjects = gaps.filter(known);
    const middle = mean(subjects), sums = new Map();
    gaps.forEach((gap, p) => { if (known(gap)) sums.set(codes[p], (sums.get(codes[p]) ?? 0) + gap - middle); });
    if (sums.size < 2) return null;
    const squares = sum([...sums.values()].map(x => x ** 2));
    return {error: Math.sqrt((sums.size / (sums.size - 1)) * squares) / subjects.length, df: sums.size - 1};
  }

  function paired(a, b, fit) {
    const gaps = a.contributions.map((value, g) => value - b.contributions[g]);
    const bySeed = a.by_seed.map((seed, s) => seed.map((value, g) => (known(value) && known(b.by_seed[s][g]) ? value - b.by_seed[s][g] : null)));
    const shared = sharedVariance(bySeed, fit.trained);
    const found = {paired: true, difference: sum(gaps), p: permutationP(signFlips(gaps), shared), groups: gaps.length, gaps, seeds: a.seeds ?? b.seeds};
    const own = ownError(a, b, fit.codes);
    if (!own) return {...found, low: null, high: null, smallest: null};
    const error = Math.sqrt(own.error ** 2 + Math.min(shared ?? 0, SHARED_AT_MOST * own.error ** 2));
    const [quantile, factor] = fit.quantiles[own.df];
    return {...found, low: found.difference - quantile * error, high: found.difference + quantile * error, smallest: factor * error};
  }

  // Rows that cannot be paired: the intervals of both, as if they were independent, which is careful.
  function unpaired(one, other) {
    if (!one || !other) return null;
    const difference = one[0] - other[0];
    if (one[1] == null || other[1] == null) return {paired: false, difference, low: null, high: null};
    const half = Math.hypot((one[2] - one[1]) / 2, (other[2] - other[1]) / 2);
    return {paired: false, difference, low: difference - half, high: difference + half};
  }

  // Rows number `i` and `j` of a board.
  function compare(board, i, j) {
    const a = board.pairs[i], b = board.pairs[j];
    if (a && b && a.fits === b.fits) return paired(a, b, board.fits[a.fits]);
    return unpaired(board.rows[i].s, board.rows[j].s);
  }

  return {compare, signFlips, sharedVariance, permutationP};
})();
