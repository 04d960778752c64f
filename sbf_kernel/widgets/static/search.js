// Search: hits with their words marked, why each ranks where it does, and the way to its place.

const TYPES = [["", "All types"], ["application/pdf", "PDF"], ["text/html", "Web pages"], ["text/plain,text/markdown", "Text"],
  ["text/csv,application/vnd.openxmlformats-officedocument.spreadsheetml,application/vnd.ms-excel,application/vnd.oasis.opendocument.spreadsheet", "Tables"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml,application/vnd.oasis.opendocument.text,application/rtf", "Documents"],
  ["application/epub", "Books"], ["application/x-ipynb", "Jupyter notebooks"]];
const MORE = 20;

class SearchView {
  constructor(frame, model) {
    this.frame = frame;
    this.state = model.get("state");
    this.reader = new Reader(frame, () => {});
    this.build();
    if (this.state.found) this.show(this.state.found);
    frame.link.call("hello").catch((error) => frame.fail(error));
  }

  build() {
    const { notebook, query, filters } = this.state;
    const options = (chosen, pairs) => pairs.map(([value, label]) => h("option", { value, selected: value === chosen }, label));
    const again = () => this.input.value.trim() && this.run();
    this.input = h("input", { type: "search", placeholder: notebook ? `Search ${notebook}` : "Search all notebooks", "aria-label": "Search for", value: query, autocomplete: "off",
      onkeydown: (event) => { if (event.key === "ArrowDown") { event.preventDefault(); this.go(0); } } });
    this.scope = h("select", { "aria-label": "Where", onchange: again }, options(filters.everywhere ? "all" : "here", [["here", "This notebook"], ["all", "All notebooks"]]));
    this.type = h("select", { "aria-label": "Type", onchange: again }, options((filters.media_types || []).join(), TYPES));
    this.arm = h("select", { "aria-label": "Search by", onchange: again }, options(filters.arm, [["hybrid", "Words and meaning"], ["lexical", "Words"], ["dense", "Meaning"]]));
    this.per = h("input", { type: "checkbox", checked: filters.per_source, onchange: again });
    this.facts = h("p", { class: "facts muted", hidden: true });
    this.list = h("ol", { class: "hits", "aria-label": "Hits", onkeydown: (event) => this.keys(event) });
    this.empty = h("div", { class: "empty" }, h("b", {}, "Search by words and meaning"), "Every hit leads to its exact place in the source.");
    this.frame.add(
      h("form", { class: "bar", role: "search", onsubmit: (event) => { event.preventDefault(); again(); } },
        h("div", { class: "ask" }, this.input, h("button", { type: "submit", class: "main" }, "Search"))),
      h("div", { class: "bar" }, notebook && this.scope, this.type, this.arm, h("label", {}, this.per, "Best of each source")),
      this.facts,
      h("div", { class: "split" }, h("div", { class: "left" }, this.list, this.empty), this.reader.node));
  }

  async run(limit = MORE) {
    const wanted = (this.wanted = {});
    this.list.setAttribute("aria-busy", "true");
    const found = await this.frame.ask("search", {
      query: this.input.value.trim(), everywhere: this.scope.value === "all", media_types: this.type.value.split(",").filter(Boolean),
      arm: this.arm.value, per_source: this.per.checked, limit,
    });
    if (wanted !== this.wanted) return;
    this.list.removeAttribute("aria-busy");
    if (found) this.show(found);
  }

  show(found) {
    this.found = found;
    const best = (name) => Math.max(...found.rows.map((row) => row[name] ?? 0), 1e-9);
    this.best = { lexical: best("lexical_score"), dense: best("dense_score") };
    const facts = [count(found.rows.length, "hit"), `${found.searched.toLocaleString("en")} passages searched in ${found.milliseconds} ms`, ...found.warnings];
    this.facts.textContent = facts.join(" · ");
    this.facts.hidden = false;
    const kept = this.place();
    fill(this.list, found.rows.map((row) => this.hit(row)), found.rows.length === found.limit && found.limit < 100 &&
      h("li", {}, button("More hits", () => this.run(Math.min(100, found.limit + MORE)), { class: "line" })));
    if (kept >= 0) this.go(kept);
    fill(this.empty, h("b", {}, "Nothing found"), found.advice);
    this.empty.hidden = found.rows.length > 0;
    this.frame.say(`${facts[0]} for ${found.query}`);
  }

  hit(row) {
    const text = h("p", { class: "text" }, row.before && "… ", marked(row.parts), row.after && " …");
    const why = h("div", { hidden: true }, this.why(row));
    const toggle = (button_, on) => button_.setAttribute("aria-expanded", String(on));
    const whyButton = button("Why here", () => { why.hidden = !why.hidden; toggle(whyButton, !why.hidden); }, { icon: "why", "aria-expanded": "false" });
    let whole = false;
    const fullButton = row.full && button("Whole passage", () => {
      whole = !whole;
      fill(text, whole ? marked(row.full) : [row.before && "… ", marked(row.parts), row.after && " …"]);
      toggle(fullButton, whole);
    }, { "aria-expanded": "false" });
    return h("li", {},
      h("div", { class: "top" }, h("span", { class: "rank" }, String(row.rank)),
        h("button", { type: "button", class: "place cut", onclick: (event) => this.open(row, event.currentTarget), "aria-label": `${row.source}${row.where ? `, ${row.where}` : ""}: open in source` }, row.source),
        h("span", { class: "muted cut" }, row.where)),
      text,
      h("div", { class: "acts" }, button("Open in source", (event) => this.open(row, event.currentTarget), { icon: "open" }),
        button("Insert into cell", () => this.insert(row), { icon: "insert" }), whyButton, fullButton),
      why);
  }

  // What each arm of the search says about a hit.
  why(row) {
    const line = (label, rank, score, best) => h("tr", {}, h("th", { scope: "row" }, label),
      h("td", {}, rank === null ? "not found" : `no. ${rank}`), h("td", {}, score === null ? "" : score.toFixed(3)),
      h("td", {}, score !== null && h("span", { class: "meter", "aria-hidden": "true" }, h("i", { style: `width:${Math.round((100 * Math.max(0, score)) / best)}%` }))));
    return h("table", { class: "why" },
      h("thead", {}, h("tr", {}, ["found by", "place", "score"].map((name) => h("th", { scope: "col" }, name)), h("td"))),
      h("tbody", {}, line("words (BM25)", row.lexical_rank, row.lexical_score, this.best.lexical),
        line("meaning (cosine)", row.dense_rank, row.dense_score, this.best.dense), line("both together", row.rank, row.score, 1)));
  }

  open(row, back) {
    this.frame.link.call("select", { rank: row.rank }).catch(() => {});
    this.reader.open(row, back);
  }

  insert(row) {
    this.frame.link.call("select", { rank: row.rank }).catch(() => {});
    this.frame.insert([row.cell]);
  }

  places() {
    return [...this.list.querySelectorAll(".place")];
  }

  place() {
    return [...this.list.children].findIndex((item) => item.contains(document.activeElement));
  }

  go(index) {
    const places = this.places();
    if (index < 0) this.input.focus();
    else places[Math.min(index, places.length - 1)]?.focus();
  }

  keys(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const at = this.place();
    if (event.key in steps) this.go(at + steps[event.key]);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(Infinity);
    else if (event.key === "i" && event.target.matches(".place")) this.insert(this.found.rows[at]);
    else return;
    event.preventDefault();
  }
}

const searchWidget = widget("Search", (frame, model) => {
  const view = new SearchView(frame, model);
  return () => view.reader.end();
});
