"""How a report's page looks: light or dark as the reader prefers, and plain on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #5b6470; --rule: #d4d9df; --bar: #2563a8;
  --partly: #b7791f; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e9ed; --faint: #9aa4b0; --rule: #343b44; --bar: #6aa9ef; --partly: #e0b050;
    --band: #1d2228; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
.about, .remarks, caption { color: var(--faint); }
.sums { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; padding: 0; }
.sums div { min-width: 7rem; }
.sums dt { color: var(--faint); font-size: 0.85rem; }
.sums dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 0 2rem; }
.charts .wide { grid-column: 1 / -1; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg .bar { fill: var(--bar); }
svg .partly { fill: var(--partly); }
svg .base { stroke: var(--faint); stroke-width: 1; }
svg text { fill: var(--ink); }
svg .peak, svg .name { fill: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.4rem; }
th, td { padding: 0.3rem 0.6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
.word { text-align: left; white-space: normal; }
th:first-child { text-align: left; font-weight: normal; }
thead th { font-weight: 600; white-space: normal; vertical-align: bottom; border-bottom: 2px solid var(--faint); }
.group th, .group td, tfoot th, tfoot td { font-weight: 600; }
.group { background: var(--band); }
tfoot td, tfoot th { border-top: 2px solid var(--faint); border-bottom: 0; }
@media print {
  :root { --paper: #ffffff; --ink: #000000; --faint: #444444; --rule: #bbbbbb; --bar: #555555; --partly: #999999;
    --band: #ffffff; }
  body { max-width: none; padding: 0; font-size: 9pt; }
  tr, svg { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
}
"""
