"""How `/docs` looks."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: light-dark(#fbfbfa, #17181a);
  --quiet: light-dark(#f0f0ee, #212326);
  --line: light-dark(#dededb, #34373b);
  --text: light-dark(#1d1f21, #e6e6e3);
  --dim: light-dark(#5c6066, #a2a6ac);
  --accent: light-dark(#0b5cad, #7ab7f5);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  max-width: 1200px;
  display: grid;
  grid-template-columns: 300px minmax(0, 1fr);
  background: var(--ground);
  color: var(--text);
  font: 16px/1.6 system-ui, sans-serif;
}
nav {
  position: sticky;
  top: 0;
  height: 100vh;
  overflow: auto;
  padding: 24px 16px;
  border-right: 1px solid var(--line);
  font-size: 13px;
}
nav h2 { font-size: 13px; margin: 16px 0 4px; color: var(--dim); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: flex; padding: 2px 0; overflow-wrap: anywhere; }
main { padding: 24px 32px 96px; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav a { color: var(--text); }
h1 { font-size: 26px; }
main h2 { margin-top: 48px; border-bottom: 1px solid var(--line); }
h3 { margin: 0 0 4px; font-size: 16px; overflow-wrap: anywhere; }
h4 { margin: 16px 0 4px; font-size: 13px; color: var(--dim); }
section { padding: 20px 0; border-bottom: 1px solid var(--line); scroll-margin-top: 8px; }
section:target { background: var(--quiet); box-shadow: 0 0 0 12px var(--quiet); }
p { margin: 4px 0; max-width: 72ch; }
code { font: 13.5px/1.5 ui-monospace, monospace; }
b { display: inline-block; flex: 0 0 52px; min-width: 52px; font-size: 11px; color: var(--dim); }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top; }
th { font-weight: normal; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td:last-child { color: var(--dim); }
.errors { font-size: 13px; color: var(--dim); }
@media (max-width: 800px) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; }
  main { padding: 16px; }
}
"""
