"use strict";
// A board's page: its table, whose sorting, filters and columns table-core keeps, and what the reader chose.

const NARROW = window.matchMedia("(max-width: 40rem)").matches;
const BAR = {width: NARROW ? 130 : 230, height: 22, pad: 6};
let board, table, axis, elements;

const of = name => ({id: name, ...board.columns[name]}); // title, about, number: as leaderboard/columns.py has them
const COLUMNS = () => [
  {id: "compare", title: "compare", about: "Tick two rows to compare them below.", fixed: true, plain: true, cell: row =>
    `<input type="checkbox" data-compare="${safe(row.id)}" aria-label="compare ${safe(rowTitle(row))}">`},
  {...of("rank"), value: row => (row.rank ? row.rank[0] * 10000 + row.rank[1] : undefined),
    cell: row => (row.rank ? safe(row.rank_text) : `<span class="none">—</span><small>${safe(row.why.filter(reason => reason !== `${board.headline} undefined` || board.metric === board.headline).join("; "))}</small>`)},
  {...of("method"), fixed: true, head: true, value: row => row.name,
    cell: row => `<a href="${safe(row.href)}">${safe(row.name)}</a>${row.suspicious ? ' <span class="badge bad">suspicious</span>' : ""}${row.superseded ? ` <span class="badge old">${safe(row.superseded)}</span>` : ""}${NARROW ? `<small>${safe(row.mods.join(", "))}</small>` : ""}`},
  {...of("modalities"), narrow: true, value: row => row.mods.join(", "), cell: row => safe(row.mods.join(", "))},
  {id: "score", title: board.metric, number: true, value: row => row.s?.[0], about: `${board.metric_name}. The bar is the 95 % interval over subjects; all bars have one axis. ${board.chance == null ? "" : `Chance is ${board.chance}.`}`,
    cell: row => (row.s ? `<span class="num"><b>${three(row.s[0])}</b> <small>${interval(row.s)}</small></span>${bar(row.s)}` : `<span class="none">undefined</span><small>${safe(row.undefined)}</small>`)},
  ...board.secondary.map(name => ({...of(name), id: `o-${name}`, off: true, value: row => row.o[name]?.[0],
    cell: row => (row.o[name] ? `<span title="${interval(row.o[name])}">${three(row.o[name][0])}</span>` : "—")})),
  {...of(board.asked ? "adds" : "controls"), number: false, value: row => (row.adds ? Number(!row.adds[0]) : row.controls ? row.not_cleared.length : undefined),
    cell: row => (row.adds ? (row.adds[0] ? `<span class="badge e-verified">adds</span> <small>${safe(row.adds[1].replace(/^adds /, ""))}</small>` : safe(row.adds[1])) : !row.controls ? '<span class="none">—</span>' : row.not_cleared.length ? `clears ${row.controls - row.not_cleared.length} of ${row.controls}${row.not_cleared.length < row.controls ? `<small>not ${safe(row.not_cleared.join(", "))}</small>` : ""}` : `<span class="badge e-verified">clears all ${row.controls}</span>`)},
  {...of("evidence"), narrow: true, value: row => row.evidence.level,
    cell: row => `<span class="badge e-${safe(row.evidence.level)}">${safe(row.evidence.label)}</span>${row.evidence.by ? `<small>by ${safe(row.evidence.by)}</small>` : ""}${row.evidence.on ? `<small>${safe(row.evidence.on)}</small>` : ""}`},
  ...board.plain.map(({id, on}) => ({...of(id), narrow: on, off: !on, value: row => row.cells[id][0] ?? undefined,
    cell: row => { const text = row.cells[id][1]; return `<span class="num">${safe(board.columns[id].number ? text.replace(/,.*/, "") : text)}</span>`; }})),
];

const x = value => BAR.pad + ((value - axis[0]) / (axis[1] - axis[0])) * (BAR.width - 2 * BAR.pad);

function setAxis() {
  const lines = [...board.rows, ...board.controls].filter(row => row.s).flatMap(row => row.s.filter(v => v != null));
  if (board.chance != null) lines.push(board.chance);
  const low = Math.min(...lines), high = Math.max(...lines), room = 0.03 * (high - low || 1);
  axis = lines.length ? [low - room, high + room] : [0, 1];
}

const atChance = control => control.fixed && board.chance != null && Math.abs(control.s[0] - board.chance) < 1e-6;
const drawn = () => board.controls.filter(control => control.s && !atChance(control));
const NAMES = [...new Set(DATA.flatMap(each => each.controls.map(control => control.name)))].sort();
const controlColour = control => `var(--d-${1 + (NAMES.indexOf(control.name) % 6)})`; // the same on all boards of a page

function rules(height) {
  const line = (value, colour, dash) => `<path d="M${x(value).toFixed(1)} 0V${height}" style="stroke:${colour}" stroke-width="1.5" stroke-dasharray="${dash}"/>`;
  return drawn().map(control => line(control.s[0], controlColour(control), "3 2")).join("") + (board.chance == null ? "" : line(board.chance, "var(--d-muted)", "none"));
}

function bar(s) {
  const middle = BAR.height / 2, ink = "var(--d-0)";
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
  const parts = [`<span><svg width="34" height="12" aria-hidden="true"><path d="M2 6H32" style="stroke:var(--d-0)" stroke-width="3" opacity=".55"/><circle cx="17" cy="6" r="4.5" style="fill:var(--d-0)"/></svg>score and 95 % interval</span>`];
  if (board.chance != null) {
    const still = board.controls.filter(control => control.s && atChance(control)).map(control => control.name);
    parts.push(`<span>${sample("var(--d-muted)", "none")}chance${still.length ? `, and by construction ${safe(still.join(", "))}` : ""}</span>`);
  }
  drawn().forEach(control => parts.push(`<span>${sample(controlColour(control), "3 2")}${safe(control.name)} ${three(control.s[0])}</span>`));
  byId("legend").innerHTML = parts.join("");
}

function controlsTable() {
  const names = board.secondary.filter(name => board.controls.some(control => control.o[name]));
  byId("controls").tHead.innerHTML = `<tr><th scope="col">control</th><th scope="col">${safe(board.metric)}</th>${names.map(name => `<th scope="col" class="n">${safe(name)}</th>`).join("")}</tr>`;
  byId("controls").tBodies[0].innerHTML = board.controls.map(control => `<tr><th scope="row">${safe(control.name)}</th><td>${control.s ? (control.fixed ? `${three(control.s[0])} by construction` : `<span class="num"><b>${three(control.s[0])}</b> <small>${interval(control.s)}</small></span>`) : "—"}</td>${names.map(name => `<td class="n">${three(control.o[name]?.[0])}</td>`).join("")}</tr>`).join("")
    || `<tr><td colspan="${2 + names.length}">No control applies.</td></tr>`;
}

const kept = row => filters => {
  const words = [row.name, row.mods.join(" "), row.id, row.pre.join(" "), row.cells.audit[1], row.why.join(" ")].join(" ").toLowerCase();
  return (filters.q ?? "").toLowerCase().split(/\s+/).every(word => words.includes(word)) &&
    (!filters.modality || row.mods.some(m => m.split("+").includes(filters.modality))) &&
    (!filters.kind || row.kind === filters.kind) &&
    (!filters.pretraining || (row.pre.length > 0) === (filters.pretraining === "some")) &&
    (!filters.evidence || row.evidence.level === filters.evidence) &&
    (!filters.clears || (row.adds ? row.adds[0] : row.controls > 0 && !row.not_cleared.length));
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

const usually = column => !column.off && !(NARROW && column.narrow);

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
  const rows = table.getRowModel().rows;
  byId("rows").tBodies[0].replaceChildren(...rows.map(row => {
    if (!elements.rows.has(row.id)) {
      const line = document.createElement("tr");
      line.dataset.row = row.id;
      line.innerHTML = columns.map(column => {
        const {cell, head: first, number, id} = column.columnDef.meta;
        const css = number && id !== "score" && id !== "rank" ? ' class="n"' : "";
        return first ? `<th scope="row">${cell(row.original)}</th>` : `<td${css}>${cell(row.original)}</td>`;
      }).join("");
      elements.rows.set(row.id, line);
    }
    return elements.rows.get(row.id);
  }));
  ticks();
  byId("found").textContent = `${rows.length} of ${board.rows.length} rows`;
}

function ticks() {
  const {a, b} = State.read();
  byId("rows").querySelectorAll("[data-compare]").forEach(box => { box.checked = [a, b].includes(box.dataset.compare); });
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
  makeTable(columns);
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
  controlsTable();
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
  const left = [a, b].filter(other => other && other !== id);
  const now = event.target.checked ? [...left, id].slice(-2) : left;
  choosePair(now[0] ?? "", now[1] ?? "");
});
for (const id of ["row-a", "row-b"]) byId(id).addEventListener("change", () => choosePair(byId("row-a").value, byId("row-b").value));
byId("cost-axis").addEventListener("change", event => {
  State.write({cost: event.target.value});
  Charts.cost(byId("cost-chart"), byId("cost-table"), board, event.target.value);
});
window.addEventListener("hashchange", open);
open();
