"use strict";
// A leaderboard's page: its table, whose sorting, filters and columns table-core keeps, and what the reader chose.

const NARROW = window.matchMedia("(max-width: 40rem)").matches;
const BAR = {width: NARROW ? 96 : 140, height: 20, pad: 6};
let board, table, axis, elements;

const of = name => ({id: name, ...board.columns[name]}); // title, about, number: as leaderboard/columns.py has them
const badge = (text, css, title = "") => `<span class="badge ${css}"${title ? ` title="${safe(title)}"` : ""}>${safe(text)}</span>`;
const ORDER = ["yes", "held constant", "not shown", "reversed"];
const COLUMNS = () => [
  {id: "compare", title: "compare", about: "Tick two entries to compare them.", fixed: true, plain: true, cell: row =>
    `<input type="checkbox" data-compare="${safe(row.id)}" aria-label="compare ${safe(rowTitle(row))}">`},
  {...of("rank"), narrow: true, value: row => (row.rank ? row.rank[0] * 10000 + row.rank[1] : undefined), text: rankOf,
    cell: row => (row.rank ? `<span class="num">${safe(row.rank_text)}</span>` : `<span class="none" title="${safe(row.why.join("; "))}">—<span class="hidden">: ${safe(row.why.join("; "))}</span></span>`)},
  {...of("method"), fixed: true, head: true, value: row => row.name,
    cell: row => `<a href="${safe(row.href)}" title="${safe(row.details)}">${safe(row.name)}</a>${row.suspicious ? ` ${badge("suspicious", "bad")}` : ""}${NARROW ? `<small>${safe([row.signals, row.rank && `rank ${row.rank_text}`].filter(Boolean).join("; "))}</small>` : ""}`},
  {...of("modalities"), narrow: true, value: row => row.signals, text: row => row.signals, cell: row => safe(row.signals)},
  {id: "score", title: board.metric_name, number: true, value: row => row.s?.[0], about: `The score with its 95 % confidence interval over subjects. All bars have one axis. ${board.chance == null ? "" : `Chance is ${board.chance}.`}`,
    cell: scoreCell},
  ...board.questions.map(name => ({...of(name), number: false, narrow: name !== "movement", value: row => ORDER.indexOf(row.answers[name]?.[0]) + 1 || undefined,
    cell: row => answerCell(row, name)})),
  ...board.secondary.map(name => ({...of(name), id: `o-${name}`, off: true, value: row => row.o[name]?.[0], cell: row => otherCell(row.o[name])})),
  {...of("evidence"), narrow: true, value: row => row.evidence?.level, text: evidenceOf,
    cell: row => `<span title="${safe(evidenceOf(row))}">${safe(row.evidence.label)}</span>`},
  ...board.plain.map(({id, on}) => ({...of(id), narrow: on, off: !on, value: row => row.cells?.[id][0] ?? undefined, text: row => row.cells[id][1],
    cell: row => { const text = row.cells[id][1]; return `<span class="num">${safe(board.columns[id].number ? text.replace(/,.*/, "") : text)}</span>`; }})),
];

const fails = (row, name) => name !== "chance" && (row.answers[name]?.[2] ?? "") !== (row.answers[name]?.[1] ?? "");
const yes = (row, name) => row.answers[name]?.[0] === "yes";
const does = row => yes(row, board.questions.includes("movement") ? "movement" : "chance");
const rankOf = row => (row.rank ? row.rank_text : `none: ${row.why.join("; ")}`);
const evidenceOf = row => [row.evidence.label, row.evidence.by && `by ${row.evidence.by}`, row.evidence.on].filter(Boolean).join(" ");
function answerCell(row, name) {
  const [word, number, whole] = row.answers[name] ?? [];
  if (!word) return "—";
  const failed = fails(row, name) ? " †" : "";
  const corrected = name === "movement" && word === "yes" && row.corrected ? " *" : "";
  return badge(word + corrected, word === "yes" ? "yes" : "") + (number ? `<small title="${safe(whole)}">${safe(number).replace(/\(.*?\)/, found => found.replaceAll(" ", "\u00a0"))}${failed}</small>` : "");
}

const otherCell = s => (s ? `<span title="${interval(s)}">${two(s[0])}</span>` : "—");

function scoreCell(row) {
  if (!row.s) return `<span class="none"${row.undefined ? ` title="${safe(row.undefined)}"` : ""}>undefined</span>`;
  const at = row.s_text.indexOf(" ");
  return `<span class="score"><span class="num"><b>${safe(at < 0 ? row.s_text : row.s_text.slice(0, at))}</b> <small>${safe(at < 0 ? "" : row.s_text.slice(at + 1))}</small></span>${bar(row.s, "var(--d-0)")}</span>`;
}

// Columns with one value for all entries, which are named once above the table.
function sameInAll(columns) {
  if (board.rows.length < 2) return [];
  return columns.filter(column => column.text && !column.off && new Set(board.rows.map(column.text)).size === 1);
}

const x = value => BAR.pad + ((value - axis[0]) / (axis[1] - axis[0])) * (BAR.width - 2 * BAR.pad);

function setAxis() {
  const lines = board.rows.filter(row => row.s).flatMap(row => row.s.filter(v => v != null));
  if (board.chance != null) lines.push(board.chance);
  if (board.best_model) lines.push(board.best_model[2]);
  const low = Math.min(...lines), high = Math.max(...lines), room = 0.03 * (high - low || 1);
  axis = lines.length ? [low - room, high + room] : [0, 1];
}

function rules(height) {
  const line = (value, colour, dash) => `<path d="M${x(value).toFixed(1)} 0V${height}" style="stroke:${colour}" stroke-width="1.5" stroke-dasharray="${dash}"/>`;
  return (board.best_model ? line(board.best_model[2], "var(--d-1)", "3 2") : "") + (board.chance == null ? "" : line(board.chance, "var(--d-muted)", "none"));
}

function bar(s, ink) {
  const middle = BAR.height / 2;
  const span = s[1] == null ? "" : `<path d="M${x(s[1]).toFixed(1)} ${middle}H${x(s[2]).toFixed(1)}" style="stroke:${ink}" stroke-width="3" stroke-linecap="round" opacity=".55"/>`;
  return `<svg class="axis" width="${BAR.width}" height="${BAR.height}" aria-hidden="true">${rules(BAR.height)}${span}<circle cx="${x(s[0]).toFixed(1)}" cy="${middle}" r="4.5" style="fill:${ink}"/></svg>`;
}

function axisLabels() {
  const texts = d3.ticks(axis[0], axis[1], NARROW ? 2 : 4).map(value =>
    `<text x="${x(value).toFixed(1)}" y="11" font-size="11" text-anchor="middle" style="fill:var(--d-muted)">${Number(value.toFixed(6))}</text>`);
  return `<svg class="axis" width="${BAR.width}" height="14" aria-hidden="true">${texts.join("")}</svg>`;
}

function legend() {
  const sample = (colour, dash) => `<svg width="10" height="16" aria-hidden="true"><path d="M5 0V16" style="stroke:${colour}" stroke-width="2" stroke-dasharray="${dash}"/></svg>`;
  const parts = [`<span><svg width="34" height="12" aria-hidden="true"><path d="M2 6H32" style="stroke:var(--d-0)" stroke-width="3" opacity=".55"/><circle cx="17" cy="6" r="4.5" style="fill:var(--d-0)"/></svg>score and 95 % confidence interval</span>`];
  if (board.chance != null) parts.push(`<span>${sample("var(--d-muted)", "none")}chance</span>`);
  if (board.best_model) parts.push(`<span>${sample("var(--d-1)", "3 2")}best model without any physiological signal: ${safe(board.best_model[0])} ${safe(board.best_model[1])}</span>`);
  if (board.questions.some(name => board.rows.some(row => fails(row, name)))) parts.push("<span>† the interval is above 0, but another condition fails: the entry names it</span>");
  if (board.rows.some(row => row.corrected && yes(row, "movement"))) parts.push("<span>* also after correction for all methods of this leaderboard (maximum statistic over subjects)</span>");
  byId("legend").innerHTML = parts.join("");
}

const kept = row => filters => {
  const words = [row.name, row.details, row.signals, row.mods.join(" "), row.id, row.pre.join(" "), row.cells.audit[1], row.why.join(" ")].join(" ").toLowerCase();
  return (filters.q ?? "").toLowerCase().split(/\s+/).every(word => words.includes(word)) &&
    (!filters.modality || row.mods.some(m => m.split("+").includes(filters.modality))) &&
    (!filters.kind || row.kind === filters.kind) &&
    (!filters.pretraining || (row.pre.length > 0) === (filters.pretraining === "some")) &&
    (!filters.evidence || row.evidence.level === filters.evidence) &&
    (!filters.clears || does(row));
};

function makeTable(columns) {
  let state = {sorting: [], columnVisibility: {}, globalFilter: {}};
  table = TableCore.createTable({
    data: board.rows,
    columns: columns.map(column => ({id: column.id, accessorFn: column.value ?? (() => null), enableSorting: !column.plain, sortUndefined: "last",
      sortingFn: column.number ? "basic" : "text", sortDescFirst: Boolean(column.number) && column.id !== "rank", meta: column})),
    state: {},
    globalFilterFn: (row, _, filters) => kept(row.original)(filters),
    getColumnCanGlobalFilter: () => true,
    getCoreRowModel: TableCore.getCoreRowModel(),
    getSortedRowModel: TableCore.getSortedRowModel(),
    getFilteredRowModel: TableCore.getFilteredRowModel(),
    getRowId: row => row.id,
    renderFallbackValue: null,
    onStateChange: () => {},
  });
  const update = change => {
    state = typeof change === "function" ? change(state) : change;
    table.setOptions(old => ({...old, state, onStateChange: next => { update(next); remember(); draw(); }}));
  };
  update({...table.initialState, ...state});
  table.change = part => update(old => ({...old, ...part}));
}

function remember() {
  const {sorting, columnVisibility} = table.getState();
  const shown = table.getAllLeafColumns().filter(column => columnVisibility[column.id] !== false).map(column => column.id);
  const usual = table.getAllLeafColumns().filter(column => usually(column.columnDef.meta)).map(column => column.id);
  State.write({
    sort: sorting.map(({id, desc}) => (desc ? "-" : "") + id).join(","),
    cols: shown.join() === usual.join() ? "" : shown.join(","),
  });
}

const usually = column => !column.off && !column.same && !(NARROW && column.narrow);

function draw() {
  const columns = table.getVisibleLeafColumns();
  const head = columns.map(column => {
    const {title, plain, number, id} = column.columnDef.meta;
    const order = {asc: "ascending", desc: "descending"}[column.getIsSorted()] ?? "none";
    const inner = plain ? `<span class="hidden">${title}</span>` : `<button type="button" data-sort="${id}">${safe(title)}</button>${id === "score" ? axisLabels() : ""}`;
    return `<th scope="col" ${plain ? "" : `aria-sort="${order}"`} class="${number && id !== "score" && id !== "rank" ? "n" : ""}">${inner}</th>`;
  });
  const focused = document.activeElement?.dataset?.sort;
  byId("rows").tHead.innerHTML = `<tr>${head.join("")}</tr>`;
  if (focused) byId("rows").tHead.querySelector(`[data-sort="${focused}"]`)?.focus();
  const layout = columns.map(column => column.id).join();
  if (elements.layout !== layout) {
    elements = {layout, rows: new Map()};
  }
  const lines = table.getRowModel().rows;
  const drawnLines = lines.map(line => {
    if (!elements.rows.has(line.id)) elements.rows.set(line.id, rowElement(line.original, columns));
    return elements.rows.get(line.id);
  });
  byId("rows").tBodies[0].replaceChildren(...(lines.length ? [] : [emptyElement(columns.length)]), ...drawnLines);
  ticks();
  fits();
  byId("found").textContent = `${lines.length} of ${board.rows.length} entries`;
}

function rowElement(row, columns) {
  const line = document.createElement("tr");
  line.dataset.row = row.id;
  line.innerHTML = columns.map(column => {
    const {cell, head: first, number, id} = column.columnDef.meta;
    const css = number && id !== "score" && id !== "rank" ? ' class="n"' : "";
    return first ? `<th scope="row">${cell(row)}</th>` : `<td${css}>${cell(row)}</td>`;
  }).join("");
  return line;
}

function emptyElement(width) {
  const line = document.createElement("tr"), alone = Object.entries(chosenFilters()).filter(([, value]) => value).map(([key]) => key).join() === "clears";
  const words = !alone ? "No entry matches." : "No entry has this answer.";
  line.className = "empty";
  line.innerHTML = `<td colspan="${width}">${words}</td>`;
  return line;
}

// A table that fits needs no box that scrolls; its head can then stay in sight.
function fits() {
  const box = byId("rows-box");
  box.classList.remove("fits");
  const all = byId("rows").offsetWidth <= box.clientWidth;
  box.classList.toggle("fits", all);
  box.tabIndex = all ? -1 : 0;
}

function ticks(refused = false) {
  const {a, b} = State.read();
  byId("rows").querySelectorAll("[data-compare]").forEach(box => { box.checked = [a, b].includes(box.dataset.compare); });
  const names = [a, b].map(id => board.rows.find(row => row.id === id)).map(row => row && rowTitle(row));
  const bar = byId("chosen"), both = names[0] && names[1];
  bar.hidden = !names[0] && !names[1];
  bar.querySelector("[data-do=compare]").hidden = !both;
  const told = names.map((name, k) => name && `${"AB"[k]}: ${name}`).filter(Boolean).join("; ");
  bar.querySelector("p").textContent = told + (refused ? ". Two entries are chosen: untick one to choose another." : both ? "" : ". Tick another entry to compare.");
}

function columnChoice() {
  byId("columns").querySelector("fieldset").innerHTML = "<legend>Columns that are shown</legend>" + table.getAllLeafColumns().filter(column => !column.columnDef.meta.fixed).map(column =>
    `<label><input type="checkbox" data-column="${column.id}" ${column.getIsVisible() ? "checked" : ""}> ${safe(column.columnDef.meta.title)}</label>`).join("");
}

function fill(id, values) {
  const select = byId(id);
  select.length = 1;
  for (const value of [...new Set(values)].sort()) select.add(new Option(value.replace("_", "-"), value));
}

const FILTERS = {q: "search", modality: "f-modality", kind: "f-kind", pretraining: "f-pretraining", evidence: "f-evidence", clears: "f-clears"};

function chosenFilters() {
  return Object.fromEntries(Object.entries(FILTERS).map(([key, id]) => [key, byId(id).type === "checkbox" ? byId(id).checked : byId(id).value]));
}

function filter() {
  const chosen = chosenFilters();
  table.change({globalFilter: chosen});
  State.write({...chosen, clears: chosen.clears ? "yes" : ""});
  draw();
}

// The page as its address says.
function open() {
  const state = State.read();
  board = DATA.find(each => each.key === state.board) ?? DATA[0];
  byId("board").value = board.key;
  document.querySelectorAll("[data-board]").forEach(part => { part.hidden = part.dataset.board !== board.key; });
  setAxis();
  elements = {layout: "", rows: new Map()};
  const columns = COLUMNS();
  const same = sameInAll(columns);
  same.forEach(column => { column.same = true; });
  byId("same").textContent = same.length ? `The same for all entries: ${same.map(column => `${column.title} (${column.text(board.rows[0])})`).join(", ")}.` : "";
  makeTable(columns);
  const clears = byId("f-clears").parentElement;
  const question = ["movement", "chance"].find(name => board.questions.includes(name));
  clears.hidden = !question;
  if (question) clears.querySelector("span").textContent = `only yes, ${board.columns[question].title}`;
  fill("f-modality", board.rows.flatMap(row => row.mods.flatMap(m => m.split("+"))));
  fill("f-evidence", board.rows.map(row => row.evidence.level));
  for (const [key, id] of Object.entries(FILTERS)) {
    if (byId(id).type === "checkbox") byId(id).checked = state[key] === "yes";
    else byId(id).value = state[key] ?? "";
  }
  const cols = state.cols?.split(",");
  const known = new Set(columns.filter(column => !column.plain).map(column => column.id));
  table.change({
    globalFilter: chosenFilters(),
    sorting: (state.sort ?? "").split(",").filter(Boolean).map(text => ({id: text.replace(/^-/, ""), desc: text.startsWith("-")})).filter(({id}) => known.has(id)),
    columnVisibility: Object.fromEntries(columns.map(column => [column.id, column.fixed || (cols ? cols.includes(column.id) : usually(column))])),
  });
  byId("explained").innerHTML = columns.map(column => `<dt>${safe(column.title)}</dt><dd>${safe(column.about)}</dd>`).join("");
  legend();
  columnChoice();
  draw();
  Compare.choices(board);
  Compare.show(board, state.a ?? "", state.b ?? "");
  byId("cost-axis").value = state.cost || "time_s";
  Charts.cost(byId("cost-chart"), byId("cost-table"), board, byId("cost-axis").value);
}

function choosePair(a, b) {
  State.write({a, b});
  ticks();
  Compare.show(board, a, b);
}

byId("board").addEventListener("change", event => {
  history.replaceState(null, "", "#");
  State.write({board: event.target.value});
  open();
});
byId("filters").addEventListener("input", event => {
  if (event.target.dataset.column) {
    table.getColumn(event.target.dataset.column).toggleVisibility(event.target.checked);
  } else {
    filter();
  }
});
byId("filters").addEventListener("submit", event => event.preventDefault());
byId("filters").addEventListener("reset", event => {
  event.preventDefault();
  const {board: key, a, b} = State.read();
  history.replaceState(null, "", "#");
  State.write({board: key, a, b});
  open();
});
byId("columns").addEventListener("keydown", event => {
  if (event.key === "Escape") {
    byId("columns").open = false;
    byId("columns").querySelector("summary").focus();
  }
});
document.addEventListener("click", event => {
  if (!byId("columns").contains(event.target)) byId("columns").open = false;
});
byId("rows").addEventListener("click", event => {
  const id = event.target.dataset.sort;
  if (id) table.getColumn(id).toggleSorting();
});
byId("rows").addEventListener("change", event => {
  const id = event.target.dataset.compare;
  if (!id) return;
  const {a, b} = State.read();
  if (!event.target.checked) choosePair(a === id ? "" : a ?? "", b === id ? "" : b ?? "");
  else if (!a) choosePair(id, b ?? "");
  else if (!b) choosePair(a, id);
  else ticks(true);
});
byId("chosen").addEventListener("click", event => {
  if (event.target.dataset.do === "clear") {
    const {a, b} = State.read();
    choosePair("", "");
    byId("rows").querySelector(`[data-compare="${CSS.escape(a || b)}"]`)?.focus({preventScroll: true});
  }
  if (event.target.dataset.do === "compare") {
    byId("compare-title").scrollIntoView();
    byId("compare-title").focus({preventScroll: true});
  }
});
window.addEventListener("resize", fits);
for (const id of ["row-a", "row-b"]) byId(id).addEventListener("change", () => choosePair(byId("row-a").value, byId("row-b").value));
byId("cost-axis").addEventListener("change", event => {
  State.write({cost: event.target.value});
  Charts.cost(byId("cost-chart"), byId("cost-table"), board, event.target.value);
});
window.addEventListener("hashchange", open);
byId("finder").open = !NARROW;
open();
