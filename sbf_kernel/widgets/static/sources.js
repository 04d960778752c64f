// Sources: drop, paste, follow, filter, remove with undo; ten thousand rows of which only the visible ones exist.

const PIECE = 512 * 1024;
const PAGE = 100;
const ROW = 54;
const STATES = { ready: ["Ready", "good"], processing: ["Processing", "busy"], pending: ["Waiting", ""], failed: ["Failed", "bad"] };

// The rows of the present filter: pages that are asked for when they come into sight.
class Pages {
  constructor(frame, changed) {
    Object.assign(this, { frame, changed, rows: new Map(), places: new Map(), asked: new Set(), total: 0, age: 0 });
    this.filter = { search: "", status: null, sort: "newest" };
  }

  take({ total, offset, rows }) {
    this.total = total;
    rows.forEach((row, at) => {
      this.rows.set(offset + at, row);
      this.places.set(row.id, offset + at);
    });
  }

  update(row) {
    const at = this.places.get(row.id);
    if (at !== undefined) this.rows.set(at, { ...this.rows.get(at), ...row });
    return at !== undefined;
  }

  // Ask for the pages of what is in sight, the others as they come into it.
  async need(first, end) {
    for (let page = Math.floor(first / PAGE); page * PAGE < Math.min(end, this.total); page++) {
      const known = this.rows.has(page * PAGE) && this.rows.has(Math.min(this.total, (page + 1) * PAGE) - 1);
      if (!known && !this.asked.has(page)) this.load(page);
    }
  }

  async load(page) {
    const age = this.age;
    this.asked.add(page);
    try {
      const found = await this.frame.link.call("page", { ...this.filter, offset: page * PAGE, limit: PAGE });
      if (age === this.age) {
        this.take(found);
        this.changed();
      }
    } catch (error) {
      this.frame.fail(error);
    } finally {
      if (age === this.age) this.asked.delete(page);
    }
  }

  // Look again; what is known stays until the new is here.
  async renew(around = 0) {
    const age = ++this.age;
    this.asked.clear();
    const page = Math.floor(around / PAGE);
    const found = await this.frame.ask("page", { ...this.filter, offset: page * PAGE, limit: PAGE });
    if (!found || age !== this.age) return;
    this.rows.clear();
    this.places.clear();
    this.take(found);
    this.changed();
  }
}

// Sends files in pieces, two at a time, and shows how far each is.
class Uploader {
  constructor(frame, added) {
    Object.assign(this, { frame, added, waiting: [], active: new Map(), serial: 0, failed: 0 });
    this.node = h("ul", { class: "uploads", hidden: true, "aria-label": "Files on their way" });
    this.rest = h("li", { class: "muted" });
  }

  add(files) {
    this.waiting.push(...files);
    this.draw();
    while (this.active.size < 2 && this.waiting.length) this.send(this.waiting.shift());
  }

  draw() {
    const shown = [...this.active.values()].map((upload) => upload.node);
    this.rest.textContent = this.waiting.length ? `and ${count(this.waiting.length, "more file")}` : "";
    fill(this.node, shown, this.waiting.length > 0 && this.rest);
    this.node.hidden = !shown.length;
  }

  async send({ file, path }) {
    const key = `${this.frame.link.prefix}-${++this.serial}`;
    const bar = h("i", { style: "width:0" });
    const upload = { stopped: false };
    upload.node = h("li", {}, h("span", { class: "grow cut" }, file.name),
      h("span", { class: "meter", role: "progressbar", "aria-label": `Sending ${file.name}`, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, bar),
      button(`Stop sending ${file.name}`, () => { upload.stopped = true; }, { icon: "close", silent: true, class: "icon" }));
    this.active.set(key, upload);
    this.draw();
    try {
      await this.frame.link.call("upload_begin", { key, path, size: file.size, media_type: file.type || "" });
      for (let at = 0; at < file.size && !upload.stopped; at += PIECE) {
        const piece = await file.slice(at, at + PIECE).arrayBuffer();
        await this.frame.link.call("upload_piece", { key, at }, [piece]);
        const share = Math.round((100 * Math.min(file.size, at + PIECE)) / file.size);
        bar.style.width = `${share}%`;
        upload.node.querySelector("[role=progressbar]").setAttribute("aria-valuenow", share);
      }
      if (upload.stopped) await this.frame.link.call("upload_drop", { key });
      else this.added(await this.frame.link.call("upload_end", { key }));
    } catch (error) {
      this.frame.fail({ message: `${file.name}: ${error.message || "cannot be read"}`, hint: error.hint });
    } finally {
      this.active.delete(key);
      this.add([]);
    }
  }
}

// All files of a drop, also those in folders.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      if (!file.name.startsWith(".")) found.push({ file, path: entry.fullPath });
    } else if (!entry.name.startsWith(".")) {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) break;
        for (const one of some) await walk(one);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

// What was pasted: addresses line by line, or else a text.
function pasted(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return lines.length && lines.every((line) => /^https?:\/\/\S+$/i.test(line)) ? { urls: [...new Set(lines)] } : { text };
}

function about(row) {
  const size = [row.kind, row.pages && count(row.pages, "page"), row.chunks && count(row.chunks, "passage"), row.language].filter(Boolean);
  if (row.status === "failed") return row.message || "it could not be read";
  if (row.status === "processing") return [row.stage, row.total ? `${row.done} of ${row.total}` : ""].filter(Boolean).join(" · ") || "reading";
  if (row.status === "pending") return row.stage === "queued" || !row.stage ? "waits for its turn" : row.stage;
  return [...size, row.stage === "duplicate" && row.message, row.stage === "unchanged" && "unchanged"].filter(Boolean).join(" · ");
}

class SourcesView {
  constructor(frame, model) {
    this.frame = frame;
    this.active = 0;
    this.reader = new Reader(frame, () => {});
    this.pages = new Pages(frame, () => this.changed());
    this.uploader = new Uploader(frame, (row) => this.added(row));
    this.can = true;
    this.build(model.get("state"));
    this.hear();
    this.hello();
  }

  build(state) {
    this.search = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name", oninput: () => this.typed() });
    this.sort = h("select", { "aria-label": "Order", onchange: () => this.choose({ sort: this.sort.value }) },
      h("option", { value: "newest" }, "Newest first"), h("option", { value: "added" }, "Oldest first"), h("option", { value: "updated" }, "Last changed"), h("option", { value: "name" }, "By name"));
    this.filters = h("div", { class: "filters", role: "group", "aria-label": "Show" });
    this.file = h("input", { type: "file", multiple: true, class: "hidden", "aria-label": "Files to add", tabindex: "-1",
      onchange: () => { this.uploader.add([...this.file.files].map((file) => ({ file, path: file.name }))); this.file.value = ""; } });
    this.adder = this.pasteForm();
    this.adds = h("span", {}, button("Add files", () => this.file.click(), { icon: "upload", class: "main" }), " ",
      (this.paster = button("Paste links or text", () => this.togglePaste(), { class: "line", "aria-expanded": "false" })));
    this.host = h("div", { class: "list", role: "grid", "aria-label": "Sources", "aria-rowcount": "0", onkeydown: (event) => this.keys(event) });
    this.empty = h("div", { class: "empty", hidden: true });
    this.detail = h("div", { class: "detail", hidden: true });
    this.rows = new Rows(this.host, ROW, (index) => this.row(index), (node, index) => this.refresh(node, index));
    this.rows.drawn = (first, end) => {
      clearTimeout(this.pause);  // not for what flies by
      this.pause = setTimeout(() => this.pages.need(first, end), this.pages.rows.size ? 60 : 0);
    };
    this.frame.rest = () => this.host.querySelector("[tabindex='0']")?.focus();
    this.frame.add(
      h("div", { class: "bar" }, h("h2", { class: "cut" }, state.notebook ? `Sources of ${state.notebook}` : "All sources"), this.file, h("span", { class: "grow" }), this.adds,
        button("Look again", () => this.renew(), { icon: "refresh", silent: true, class: "icon" })),
      this.adder, this.uploader.node,
      h("div", { class: "bar" }, this.filters, h("span", { class: "grow" }), this.search, this.sort),
      h("div", { class: "split" }, h("div", { class: "left" }, this.host, this.empty, this.detail), this.reader.node));
    this.dropping();
    this.take(state);
  }

  async hello() {
    const now = await this.frame.ask("hello");
    if (!now) return;
    this.can = now.can_add;
    this.adds.hidden = !this.can;
    this.take(now.state);
  }

  take(state) {
    this.counts(state.counts);
    this.pages.take(state);
    this.changed();
  }

  hear() {
    const { link } = this.frame;
    link.on("source", ({ row }) => {
      if (this.pages.update(row)) this.rows.later();
      else this.soon();
      if (row.status === "failed") this.frame.say(`${row.name} failed: ${row.message}`);
      if (row.status === "ready") this.frame.say(`${row.name} is ready`);
      if (row.status === "failed" || row.status === "ready") this.recount();
    });
    link.on("ran", () => this.host.isConnected && this.soon());
    link.on("moved", () => this.soon());
    link.on("settled", () => this.recount());
    link.on("lost", ({ error }) => this.frame.fail(error));
  }

  // A new source changes every place below it: look again, but not for each of a thousand.
  soon() {
    clearTimeout(this.renewing);
    this.renewing = setTimeout(() => this.renew(), 250);
  }

  added(row) {
    this.soon();
    if (row.stage === "duplicate" || row.stage === "unchanged") this.frame.toast(`${row.name}: ${row.message || "nothing has changed"}`);
    else this.frame.say(`${row.name} was added`);
  }

  async renew() {
    this.recount();
    await this.pages.renew(Math.floor(this.host.scrollTop / ROW));
  }

  recount() {
    clearTimeout(this.counting);
    this.counting = setTimeout(async () => this.counts(await this.frame.ask("counts")), 200);
  }

  counts(counts) {
    if (!counts) return;
    const all = Object.values(counts).reduce((sum, some) => sum + some, 0);
    const kinds = [[null, "All", all], ["ready", "Ready", counts.ready], ["processing", "Processing", counts.processing + 0], ["pending", "Waiting", counts.pending], ["failed", "Failed", counts.failed]];
    const focused = document.activeElement?.dataset?.status;
    fill(this.filters, kinds.filter(([status, , some]) => some || status === null || status === this.pages.filter.status).map(([status, label, some]) =>
      button(`${label} ${some.toLocaleString("en")}`, () => this.choose({ status }), { "aria-pressed": String(this.pages.filter.status === status), "data-status": String(status) })));
    if (focused !== undefined) this.filters.querySelector(`[data-status="${focused}"]`)?.focus();
    this.all = all;
    this.blank();
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.choose({ search: this.search.value.trim() }), 200);
  }

  choose(change) {
    Object.assign(this.pages.filter, change);
    for (const each of this.filters.children) each.setAttribute("aria-pressed", String(each.dataset.status === String(this.pages.filter.status)));
    this.active = 0;
    this.host.scrollTop = 0;
    this.pages.renew();
  }

  changed() {
    this.rows.total = this.pages.total;
    this.active = Math.min(this.active, Math.max(0, this.pages.total - 1));
    this.host.setAttribute("aria-rowcount", String(this.pages.total));
    this.host.classList.toggle("short", this.pages.total * ROW < 360);
    this.host.style.height = this.pages.total * ROW < 360 ? `${this.pages.total * ROW}px` : "";
    this.blank();
    this.rows.draw();
  }

  blank() {
    const none = !this.pages.total;
    this.host.hidden = none;
    this.empty.hidden = !none;
    const filtered = this.pages.filter.search || this.pages.filter.status;
    fill(this.empty, filtered && this.all ? [h("b", {}, "No source matches"), "Change the filter above."]
      : this.can ? [h("b", {}, "Drop files here"), "PDF, Word, web pages, books, tables, mail … or paste links and text."] : [h("b", {}, "No sources yet"), "Open a notebook to add some."]);
  }

  row(index) {
    const node = h("div", { class: "row", role: "row", "aria-rowindex": String(index + 1), tabindex: "-1",
      onfocus: () => this.activate(index), ondblclick: () => this.open(index) });
    node.name = h("div", { class: "name cut" });
    node.what = h("div", { class: "what cut" });
    node.bar = h("i");
    node.meter = h("span", { class: "meter", hidden: true }, node.bar);
    node.chip = h("span", { class: "chip" });
    node.acts = h("div", { class: "acts" });
    node.append(h("div", { class: "who", role: "gridcell" }, node.name, node.what), h("div", { role: "gridcell", style: "display:flex;gap:10px;align-items:center" }, node.meter, node.chip), h("div", { role: "gridcell" }, node.acts));
    return node;
  }

  refresh(node, index) {
    const row = this.pages.rows.get(index);
    const key = row ? JSON.stringify(row) + (index === this.active) : "";
    if (node.key === key) return;
    node.key = key;
    node.tabIndex = index === this.active ? 0 : -1;
    node.classList.toggle("failed", row?.status === "failed");
    if (!row) {
      node.name.textContent = "…";
      return;
    }
    const [label, tone] = STATES[row.status];
    node.name.textContent = row.name;
    node.name.title = row.origin;
    node.what.textContent = about(row);
    node.what.title = about(row);
    node.chip.className = `chip ${tone}`;
    node.chip.textContent = label;
    node.meter.hidden = row.status !== "processing" || !row.total;
    node.bar.style.width = row.total ? `${Math.round((100 * row.done) / row.total)}%` : "0";
    const had = node.acts.contains(document.activeElement) ? [...node.acts.children].indexOf(document.activeElement) : -1;
    fill(node.acts, this.actions(row, index));
    for (const each of node.acts.children) each.tabIndex = index === this.active ? 0 : -1;
    if (had >= 0) (node.acts.children[had] || node).focus();
  }

  actions(row, index) {
    const act = (label, picture, run) => button(`${label} ${row.name}`, run, { icon: picture, silent: true, class: "icon" });
    return [
      row.version > 0 && act("Read", "open", () => this.open(index)),
      (row.status === "failed" || row.status === "pending") && act("Retry", "refresh", () => this.retry(row)),
      (row.status === "processing" || row.status === "pending") && act("Cancel", "stop", () => this.cancel(row)),
      this.can && act("Remove", "trash", () => this.remove(row, index)),
    ].filter(Boolean);
  }

  activate(index) {
    const before = this.active;
    this.active = index;
    for (const at of [before, index]) {
      const node = this.rows.nodes.get(at);
      if (node) this.refresh(node, at);
    }
    const row = this.pages.rows.get(index);
    this.explain(row?.status === "failed" ? row : null);
  }

  keys(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      const index = Math.max(0, Math.min(this.pages.total - 1, this.active + steps[event.key]));
      this.rows.show(index)?.focus({ preventScroll: true });
    } else if (event.target.getAttribute("role") === "row") {
      const row = this.pages.rows.get(this.active);
      if (event.key === "Enter" && row) this.open(this.active);
      if (event.key === "Delete" && row && this.can) this.remove(row, this.active);
    }
  }

  open(index) {
    const row = this.pages.rows.get(index);
    if (!row) return;
    if (row.version > 0) this.reader.open({ source_id: row.id, source: row.name });
    else this.frame.toast(row.status === "failed" ? row.message : "It has no text yet: it is still being read");
  }

  // Why a source failed, what to do, and the way to do it; asks for a password where that is the cure.
  explain(row) {
    this.detail.hidden = !row;
    if (!row) return;
    const locked = row.reason === "source_encrypted";
    const password = locked && h("input", { type: "password", autocomplete: "off", placeholder: "Password", "aria-label": `Password of ${row.name}` });
    fill(this.detail, h("p", {}, locked ? `${row.name} is locked. Its password is used once and never kept.` : row.message),
      h("form", { onsubmit: (event) => { event.preventDefault(); this.retry(row, password ? password.value : null); } },
        password, h("button", { type: "submit", class: "line" }, locked ? "Unlock" : "Try again")));
  }

  async retry(row, password = null) {
    if (row.reason === "source_encrypted" && !password) {
      this.activate(this.pages.places.get(row.id));
      this.detail.querySelector("input")?.focus();
      return;
    }
    const now = await this.frame.ask("retry", { source_id: row.id, password });
    if (!now) return;
    this.pages.update(now);
    this.explain(null);
    this.rows.draw();
    this.rows.nodes.get(this.active)?.focus({ preventScroll: true });
  }

  async cancel(row) {
    const now = await this.frame.ask("cancel", { source_id: row.id });
    if (!now) return;
    this.pages.update(now);
    this.rows.draw();
    this.recount();
  }

  async remove(row, index) {
    if ((await this.frame.ask("remove", { source_id: row.id })) === undefined) return;
    this.explain(null);
    await this.renew();
    this.rows.show(Math.min(index, this.pages.total - 1))?.focus({ preventScroll: true });
    this.frame.toast(`${row.name} was removed`, "Undo", async () => {
      if (await this.frame.ask("restore", { source_id: row.id })) await this.renew();
    });
  }

  togglePaste(open = this.adder.hidden) {
    this.adder.hidden = !open;
    this.paster.setAttribute("aria-expanded", String(open));
    (open ? this.paste : this.paster).focus();
  }

  pasteForm() {
    this.paste = h("textarea", { rows: "4", "aria-label": "Links or text", placeholder: "https://… one per line, or any text", oninput: () => this.weigh() });
    this.title = h("input", { type: "text", "aria-label": "Name of the text", placeholder: "Name of the text", maxlength: "300", hidden: true });
    this.found = h("span", { class: "muted grow", role: "status" });
    return h("form", { class: "adding", hidden: true, onsubmit: (event) => { event.preventDefault(); this.addPasted(); },
      onkeydown: (event) => { if (event.key === "Escape") this.togglePaste(false); if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.addPasted(); } },
      this.paste, h("div", { class: "foot" }, this.title, this.found, button("Cancel", () => this.togglePaste(false)), h("button", { type: "submit", class: "main" }, "Add")));
  }

  weigh() {
    const { urls, text } = pasted(this.paste.value);
    this.title.hidden = Boolean(urls) || !text.trim();
    this.found.textContent = urls ? count(urls.length, "link") : text.trim() ? `a text of ${count(text.length, "character")}` : "";
  }

  async addPasted() {
    const { urls, text } = pasted(this.paste.value);
    if (!urls && !text.trim()) return this.paste.focus();
    const name = this.title.value.trim() || text?.trim().split("\n")[0].slice(0, 80);
    const sent = urls ? urls.map((url) => ["add_url", { url }]) : [["add_text", { text, name }]];
    this.paste.value = this.title.value = "";
    this.weigh();
    this.togglePaste(false);
    for (const [action, fields] of sent) {
      const row = await this.frame.ask(action, fields);
      if (row) this.added(row);
    }
  }

  dropping() {
    const sheet = h("div", { class: "drop", hidden: true }, "Drop to add");
    let depth = 0;
    const files = (event) => this.can && [...event.dataTransfer.types].includes("Files");
    const on = (kind, act) => this.frame.root.addEventListener(kind, (event) => {
      if (!files(event)) return;
      event.preventDefault();
      event.stopPropagation();
      act(event);
      sheet.hidden = depth <= 0;
    });
    on("dragenter", () => { depth += 1; });
    on("dragleave", () => { depth -= 1; });
    on("dragover", () => {});
    on("drop", async (event) => {
      depth = 0;
      this.uploader.add(await dropped(event.dataTransfer));
    });
    this.frame.root.append(sheet);
  }

  end() {
    for (const timer of [this.pause, this.typing, this.counting, this.renewing]) clearTimeout(timer);
    this.rows.close();
    this.reader.end();
  }
}

const sourcesWidget = widget("Sources", (frame, model) => {
  const view = new SourcesView(frame, model);
  return () => view.end();
});
