// Jobs: what runs and how far it is; cancel, try again.

const JOB_STATES = { queued: ["Waiting", ""], running: ["Running", "busy"], done: ["Done", "good"], failed: ["Will be tried again", "warn"], dead: ["Failed", "bad"], cancelled: ["Cancelled", ""] };
// A job that has found out that a source cannot be read is done, but nobody calls that so.
const stateOf = (row) => JOB_STATES[row.failed ? "dead" : row.status];
const ENDED = new Set(["done", "dead", "cancelled"]);
const STEP = 50;

class JobsView {
  constructor(frame, model) {
    this.frame = frame;
    this.rows = new Map();
    this.nodes = new Map();
    this.status = h("select", { "aria-label": "Show", onchange: () => this.renew() }, h("option", { value: "" }, "All jobs"),
      Object.entries(JOB_STATES).map(([value, [label]]) => h("option", { value }, label)));
    this.list = h("ul", { class: "jobs", "aria-label": "Jobs", tabindex: "0", onkeydown: (event) => this.keys(event) });
    this.empty = h("div", { class: "empty" });
    this.running = h("span", { class: "muted grow" });
    this.more = button("Older jobs", () => this.older(), { class: "line", hidden: true });
    frame.add(h("div", { class: "bar" }, h("h2", {}, "Jobs"), this.running, this.status, button("Look again", () => this.renew(), { icon: "refresh", silent: true, class: "icon" })),
      this.list, this.empty, this.more);
    frame.link.on("job", ({ row }) => this.changed(row));
    frame.link.on("ran", () => this.list.isConnected && this.renew());
    frame.link.on("lost", ({ error }) => frame.fail(error));
    this.take(model.get("state"), true);
    frame.ask("hello").then((now) => now && this.take(now.state, true));
  }

  take({ total, rows }, anew) {
    if (anew) this.rows.clear();
    for (const row of rows) this.rows.set(row.id, row);
    this.more.hidden = this.rows.size >= total;
    this.draw();
  }

  changed(row) {
    const before = this.rows.get(row.id);
    this.rows.set(row.id, row);
    if (before?.status !== row.status && ENDED.has(row.status)) this.frame.say(`${row.subject}: ${stateOf(row)[0]}`);
    this.draw();
  }

  async renew() {
    const found = await this.frame.ask("page", { limit: STEP, status: this.status.value });
    if (found) this.take(found, true);
  }

  async older() {
    const found = await this.frame.ask("page", { limit: STEP, status: this.status.value, offset: this.rows.size });
    if (found) this.take(found, false);
  }

  draw() {
    const rows = [...this.rows.values()];
    const open = rows.filter((row) => !ENDED.has(row.status)).length;
    this.running.textContent = open ? `${open.toLocaleString("en")} running or waiting` : "nothing runs";
    for (const id of this.nodes.keys()) if (!this.rows.has(id)) this.nodes.delete(id);
    const focused = document.activeElement;
    const held = this.list.contains(focused) ? focused.closest("li") : null;
    const nodes = rows.map((row) => this.item(row));
    if (nodes.length !== this.list.children.length || nodes.some((node, at) => node !== this.list.children[at])) fill(this.list, nodes);
    if (held && !this.list.contains(document.activeElement)) (held.querySelector("button") || this.status).focus();
    this.list.hidden = !rows.length;
    this.empty.hidden = rows.length > 0;
    fill(this.empty, h("b", {}, "No jobs"), this.status.value ? "None in this state." : "What is added, rebuilt or written in the background shows here.");
  }

  // One node for each job, changed in place: so nothing flickers and the focus stays.
  item(row) {
    let node = this.nodes.get(row.id);
    const key = JSON.stringify(row);
    if (node?.key === key) return node;
    if (!node) {
      node = h("li");
      this.nodes.set(row.id, node);
    }
    node.key = key;
    const [label, tone] = stateOf(row);
    const share = row.total ? Math.round((100 * row.done) / row.total) : 0;
    const facts = [row.kind, row.total > 0 && `${row.done} of ${row.total}`, row.attempts > 0 && count(row.attempts, "failed attempt"), row.crashes > 0 && (row.crashes === 1 ? "1 crash" : `${row.crashes} crashes`), row.message];
    const act = ENDED.has(row.status)
      ? row.status !== "done" && button(`Try ${row.subject || row.kind} again`, () => this.act("retry", row), { icon: "refresh", silent: true, class: "icon" })
      : button(`Cancel ${row.subject || row.kind}`, () => this.act("cancel", row), { icon: "stop", silent: true, class: "icon" });
    fill(node, h("div", {}, h("div", { class: "subject cut" }, row.subject || row.kind), h("div", { class: "muted" }, facts.filter(Boolean).join(" · "))),
      h("span", { class: `chip ${tone}` }, label), h("span", { class: "acts" }, act),
      row.status === "running" && row.total > 0 && h("span", { class: "meter", role: "progressbar", "aria-label": `Progress of ${row.subject || row.kind}`, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": share }, h("i", { style: `width:${share}%` })));
    return node;
  }

  async act(action, row) {
    const now = await this.frame.ask(action, { job_id: row.id });
    if (now) this.changed(now);
  }

  keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...this.list.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
  }
}

const jobsWidget = widget("Jobs", (frame, model) => {
  new JobsView(frame, model);
});
