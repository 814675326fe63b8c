//! The page's style sheet.

/// Light and dark by the reader's own setting; contrasts of at least 4.5 to 1 in both.
pub(super) const SHEET: &str = "
:root{color-scheme:light dark;--back:#fff;--fore:#1b1f24;--soft:#57606a;--line:#d0d7de;--head:#f6f8fa;--link:#0550ae;--ok:#116329;--bad:#a40e26;--warn:#7d4e00}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--fore:#e6edf3;--soft:#9ea7b3;--line:#30363d;--head:#161b22;--link:#79c0ff;--ok:#56d364;--bad:#ff9492;--warn:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--back);color:var(--fore);font:16px/1.5 system-ui,sans-serif}
a{color:var(--link)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{position:static;display:inline-block;padding:.5rem}
h1{margin:.5rem 0;font-size:1.6rem}
h2{margin:1.5rem 0 .5rem;font-size:1.2rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.5rem 0;padding:0;list-style:none}
.soft{color:var(--soft)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
table{width:100%;border-collapse:collapse;font-size:.9rem}
th,td{padding:.35rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere;min-width:7rem}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--head);white-space:nowrap}
tbody th{font-weight:600}
.number{font-variant-numeric:tabular-nums;white-space:nowrap}
.state{font-weight:600;white-space:nowrap}
.ok{color:var(--ok)}
.bad{color:var(--bad)}
.warn{color:var(--warn)}
details{margin:.5rem 0}
summary{padding:.25rem 0;cursor:pointer}
";
