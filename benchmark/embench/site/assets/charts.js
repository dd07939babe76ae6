"use strict";
// The charts of a leaderboard's page. Dots can be reached with the keyboard: one stop, then the arrow keys.

const Charts = (() => {
  function frame(place, plot, label) {
    const box = document.createElement("div");
    box.className = "chart";
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", label);
    plot.removeAttribute("aria-describedby");
    plot.querySelectorAll("g[aria-label]").forEach(g => { g.removeAttribute("aria-label"); g.removeAttribute("aria-description"); });
    box.append(plot);
    place.replaceChildren(box);
    return box;
  }

  function describe(box, dots, texts) {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    box.append(tip);
    const show = k => {
      const dot = dots[k].getBoundingClientRect(), around = box.getBoundingClientRect();
      tip.textContent = texts[k];
      tip.hidden = false;
      const left = dot.left - around.left + 10;
      tip.style.left = `${Math.max(0, Math.min(left, around.width - tip.offsetWidth))}px`;
      tip.style.top = `${dot.top - around.top + 14}px`;
    };
    dots.forEach((dot, k) => {
      dot.setAttribute("tabindex", k ? "-1" : "0");
      dot.setAttribute("role", "img");
      dot.setAttribute("aria-label", texts[k]);
      dot.addEventListener("pointerenter", () => show(k));
      dot.addEventListener("pointerleave", () => { tip.hidden = true; });
      dot.addEventListener("focus", () => show(k));
      dot.addEventListener("blur", () => { tip.hidden = true; });
      dot.addEventListener("keydown", event => {
        const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
        if (!step) return;
        event.preventDefault();
        const next = (k + step + dots.length) % dots.length;
        dots.forEach((other, n) => other.setAttribute("tabindex", n === next ? "0" : "-1"));
        dots[next].focus();
      });
    });
  }

  const width = place => Math.max(300, Math.min(1100, place.clientWidth || 900));

  function span(points, chance) {
    const ends = points.flatMap(row => row.s).concat(chance).filter(value => value != null);
    return [Math.min(...ends), Math.max(...ends)];
  }

  function cost(place, table, board, axis) {
    const costOf = row => row.cells[axis][0];
    const points = board.rows.filter(row => row.s && costOf(row)).sort((a, b) => costOf(a) - costOf(b));
    const called = axis === "time_s" ? "time of all stages, s" : "parameters";
    const text = row => row.cells[axis][1];
    table.tHead.innerHTML = `<tr><th scope="col">entry</th><th scope="col">${called}</th><th scope="col">${safe(board.metric_name)}</th></tr>`;
    table.tBodies[0].innerHTML = points.map(row =>
      `<tr><th scope="row">${safe(rowTitle(row))}</th><td>${safe(text(row))}</td><td>${safe(row.s_text)}</td></tr>`).join("");
    if (!points.length) {
      place.innerHTML = '<p class="note">No entry has both a score and this cost.</p>';
      return;
    }
    const colour = row => (row.kind === "network" ? "var(--d-1)" : "var(--d-0)");
    const plot = Plot.plot({
      width: width(place), height: 360, marginLeft: 52, marginBottom: 42, style: {background: "none", fontSize: "12px"},
      insetLeft: 10, insetRight: 10,
      x: {type: "log", label: `${called} (log scale) →`, grid: true, tickFormat: "~s"},
      y: {label: `↑ ${board.short}`, grid: true, nice: true, domain: span(points, board.chance)},
      marks: [
        ...(board.chance == null ? [] : [Plot.ruleY([board.chance], {stroke: "var(--d-muted)", strokeDasharray: "2 3"})]),
        Plot.ruleX(points.filter(row => row.s[1] != null), {x: costOf, y1: row => row.s[1], y2: row => row.s[2], stroke: colour, strokeOpacity: 0.35}),
        Plot.dot(points, {x: costOf, y: row => row.s[0], r: 5, fill: colour, sort: null}),
      ],
    });
    const box = frame(place, plot, `${board.metric_name} against ${called}, ${points.length} entries; the table below has the numbers`);
    describe(box, [...plot.querySelectorAll("circle")], points.map(row => `${rowTitle(row)}: ${row.s_text}, ${text(row)}`));
    const key = document.createElement("p");
    key.className = "legend";
    key.innerHTML = '<span><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" fill="var(--d-0)"/></svg>features</span>' +
      '<span><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" fill="var(--d-1)"/></svg>network</span><span>lines: 95 % intervals</span>';
    box.prepend(key);
  }

  function groups(place, found, metric) {
    const bars = [...found.gaps].sort((a, b) => b - a).map((gap, k) => ({k: k + 1, gap: gap * found.groups}));
    const plot = Plot.plot({
      width: width(place), height: 220, marginLeft: 52, style: {background: "none", fontSize: "12px"},
      x: {label: "groups of subjects, sorted →", type: "band", ticks: []},
      y: {label: `↑ difference of ${metric}`, grid: true},
      marks: [
        Plot.barY(bars, {x: "k", y: "gap", fill: bar => (bar.gap >= 0 ? "var(--d-0)" : "var(--d-1)")}),
        Plot.ruleY([0], {stroke: "var(--d-ink)"}),
        Plot.ruleY([found.difference], {stroke: "var(--d-ink)", strokeDasharray: "4 3"}),
      ],
    });
    const above = bars.filter(bar => bar.gap > 0).length;
    plot.setAttribute("role", "img");
    const words = `Contributions of ${found.groups} groups of subjects to the difference: ${above} in favour of A, ${bars.filter(bar => bar.gap < 0).length} in favour of B`;
    const box = frame(place, plot, words);
    plot.setAttribute("role", "img");
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `${words}. A group contains the subjects recorded together, mostly one. Bars are scaled so that their mean is the difference (dashed line).`;
    box.append(note);
  }

  return {cost, groups};
})();
