"use strict";
// "Is A better than B?": two entries of the leaderboard, compared in the page.

const Compare = (() => {
  function choices(board) {
    const options = board.rows.map(row => `<option value="${safe(row.id)}">${safe(`${row.rank_text === "—" ? "" : row.rank_text + "  "}${rowTitle(row)}`)} (${safe(row.id.slice(-6))})</option>`);
    for (const id of ["row-a", "row-b"]) byId(id).innerHTML = '<option value="">choose an entry</option>' + options.join("");
  }

  function show(board, a, b) {
    byId("row-a").value = a;
    byId("row-b").value = b;
    const place = byId("comparison"), chart = byId("comparison-chart");
    chart.replaceChildren();
    const i = board.rows.findIndex(row => row.id === a), j = board.rows.findIndex(row => row.id === b);
    if (i < 0 || j < 0) {
      place.innerHTML = "";
      return;
    }
    if (i === j) {
      place.innerHTML = '<p class="note">A and B are the same entry.</p>';
      return;
    }
    const found = Statistics.compare(board, i, j);
    place.innerHTML = found ? words(board, board.rows[i], board.rows[j], found) : '<p class="note">One of the two has no score.</p>';
    if (found && found.paired) Charts.groups(chart, found, board.short);
  }

  function words(board, one, other, found) {
    const range = found.low == null ? "unknown" : `${signed(found.low)} to ${signed(found.high)}`;
    const facts = [["A minus B", signed(found.difference)], ["95 % interval", range]];
    let verdict, notes;
    if (found.paired) {
      facts.push(["p", pText(found.p)], ["groups of subjects", found.groups]);
      if (found.smallest != null) facts.push(["smallest detectable difference", three(found.smallest)]);
      const better = found.difference > 0 ? "A" : "B", worse = better === "A" ? "B" : "A";
      verdict = found.p < 0.05
        ? `${better} is better than ${worse} by ${three(Math.abs(found.difference))} of ${safe(board.metric_name)}.`
        : "A and B cannot be told apart.";
      notes = `p is from sign flips over ${found.groups} groups of subjects, with the training-overlap correction, as in <code>embench compare</code>. It is valid for one comparison chosen beforehand: of many pairs, some differ by chance. `;
      if (found.seeds) notes += `The difference is computed in the partitions ${found.seeds.join(", ")}, which all entries have; the scores above are over all seeds of an entry. `;
      if (found.smallest != null) notes += `The smallest detectable difference is ${three(found.smallest)} (80 % power); smaller ones are often missed. `;
      notes += "The interval lets labels vary with subjects and the test does not, so at the edge the two may disagree; the test decides.";
    } else {
      const apart = found.low != null && (found.low > 0 || found.high < 0);
      verdict = apart ? `The intervals tell them apart: ${found.difference > 0 ? "A" : "B"} is better.` : "The intervals do not tell A and B apart.";
      notes = "These two entries cannot be compared subject by subject here: an entry lacks the contributions of subjects, or the entries were tested on different units. The interval assumes independent scores, which is conservative; there is no p. If both runs are at hand, <code>embench compare</code> pairs them.";
    }
    return `<p class="verdict">${verdict}</p><p>A: ${safe(rowTitle(one))}, ${one.s_text || "—"}<br>B: ${safe(rowTitle(other))}, ${other.s_text || "—"}</p>` +
      `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${safe(value)}</dd></div>`).join("")}</dl><p class="note">${notes}</p>`;
  }

  return {choices, show};
})();
