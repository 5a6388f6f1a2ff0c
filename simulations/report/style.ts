/** The report's look: one style sheet, light and dark, no font or picture from elsewhere. */
export const STYLE = `
:root { color-scheme: light dark; --ink:#1c2330; --soft:#5b6577; --line:#dfe4ec; --card:#fff; --page:#f5f7fa; --accent:#2563eb; --good:#0f766e; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6eaf2; --soft:#9aa5b8; --line:#2c3443; --card:#171c26; --page:#0f131a; --accent:#7aa2ff; --good:#5eead4; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--ink); font:16px/1.55 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size:1.9rem; margin:0; letter-spacing:-.01em; } h2 { font-size:1.15rem; margin:0 0 .75rem; }
.motto { color:var(--soft); margin:.25rem 0 2rem; font-style:italic; }
.facts { display:grid; grid-template-columns:repeat(auto-fit,minmax(175px,1fr)); gap:.75rem; margin:0 0 1.25rem; padding:0; }
.facts div, section { background:var(--card); border:1px solid var(--line); border-radius:12px; }
.facts div { padding:.75rem 1rem; } .facts dt { color:var(--soft); font-size:.8rem; } .facts dd { margin:0; overflow-wrap:anywhere; font-size:1.15rem; font-weight:600; font-variant-numeric:tabular-nums; }
section { padding:1.25rem 1.4rem; margin:0 0 1.25rem; overflow-x:auto; }
table + table { margin-top:1.25rem; } table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; } th,td { padding:.45rem .6rem; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap; }
th:first-child,td:first-child { text-align:left; white-space:normal; } thead th { color:var(--soft); font-weight:600; font-size:.85rem; }
tr.ours td { font-weight:650; } td small { color:var(--soft); font-weight:400; }
table.confusion td, table.confusion th { padding:.25rem .4rem; font-size:.85rem; } p.note { color:var(--soft); font-size:.9rem; margin:.75rem 0 0; } .chart { position:relative; height:320px; }
pre { overflow:auto; font-size:.8rem; background:var(--page); border-radius:8px; padding:1rem; } code { word-break:break-all; }
ul { margin:.25rem 0; padding-left:1.2rem; }
`;
