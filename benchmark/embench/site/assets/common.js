"use strict";
// What several scripts of a board's page use: text that is safe in HTML, numbers as words, the state in the address.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

function safe(text) {
  return String(text).replace(/[&<>"']/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})[c]);
}

// Numbers are written as in number_style.py: a minus sign, and a digit before the point.
const three = x => (x == null ? "—" : x.toFixed(3).replace(/^-(?=0\.000$)/, "").replace("-", "\u2212"));
const signed = x => (x > 0 ? "+" : "") + three(x);
const pText = p => (p < 0.001 ? "< 0.001" : three(p));
const interval = s => (s[1] == null ? "" : `[${three(s[1])}, ${three(s[2])}]`);
const rowTitle = row => row.name + (row.mods.length ? " on " + row.mods.join(", ") : "");

// Everything that a reader chose stands in the address, so that a link shows the same.
const State = {
  read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  },
  write(changes) {
    const all = {...State.read(), ...changes};
    const kept = Object.entries(all).filter(([, value]) => value !== "" && value != null && value !== false);
    const text = kept.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
    history.replaceState(null, "", "#" + text);
  },
};
