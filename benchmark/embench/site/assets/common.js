"use strict";
// What several scripts of a leaderboard's page use: text that is safe in HTML, numbers as words, the state in the address.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

function safe(text) {
  return String(text).replace(/[&<>"']/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})[c]);
}

// Numbers are written as in number_style.py: a minus sign, and a digit before the point.
const three = x => (x == null ? "—" : x.toFixed(3).replace(/^-(?=0\.000$)/, "").replace("-", "\u2212"));
const signed = x => (x > 0 ? "+" : "") + three(x);
const pText = p => (p < 0.001 ? "< 0.001" : three(p));
const two = x => (x == null ? "—" : x.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "\u2212"));
const interval = s => (s[1] == null ? "" : `(${two(s[1])} to ${two(s[2])})`);
const rowTitle = row => row.name + (row.signals ? " on " + row.signals : "");

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
