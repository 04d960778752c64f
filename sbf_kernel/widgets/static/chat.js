// Chat: the answer as it is written, stop, sessions, what each source may give, citations that lead to their words.

const LEVELS = [["passages", "Passages"], ["full", "Full text"], ["off", "Off"]];
const LEVEL_ROW = 38;
const UNHEARD_MS = 5000;  // after which nobody waits for Stop any more

class ChatView {
  constructor(frame, model) {
    this.frame = frame;
    this.writing = null;
    this.reader = new Reader(frame, () => {});
    this.state = model.get("state");
    this.build();
    this.hear();
    this.draw();
    frame.ask("hello").then((now) => now && !this.touched && this.take(now.state));
  }

  build() {
    this.title = h("h2", { class: "grow cut" });
    this.chatsButton = button("Chats", () => this.toggle("chats"), { icon: "chats", "aria-expanded": "false" });
    this.levelsButton = button("Sources used", () => this.toggle("levels"), { icon: "levels", "aria-expanded": "false" });
    this.exporter = button("Insert all into cells", () => this.cells(null), { icon: "insert", silent: true, class: "icon" });
    this.chats = h("div", { class: "pane", hidden: true, role: "group", "aria-label": "Chats" });
    this.levels = h("div", { class: "pane", hidden: true, role: "group", "aria-label": "What each source may give" });
    this.earlier = button("Earlier messages", () => this.more(), { class: "link" });
    this.list = h("ol", { class: "messages", "aria-label": "Messages", tabindex: "0" });
    this.input = h("textarea", { rows: "1", "aria-label": "Your question", placeholder: "Ask your sources …", oninput: () => this.grow(),
      onkeydown: (event) => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          this.send();
        }
      } });
    this.sender = h("button", { type: "submit", class: "main icon", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
    this.stopper = button("Stop", () => this.stop(), { icon: "stop", class: "line", hidden: true });
    this.frame.add(
      h("div", { class: "bar" }, this.title, this.chatsButton, this.levelsButton, this.exporter, button("New chat", () => this.open(null), { icon: "add", class: "line" })),
      this.chats, this.levels,
      h("div", { class: "split" }, h("div", { class: "left" }, this.list,
        h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); this.send(); } }, this.input, this.sender, this.stopper)), this.reader.node));
  }

  hear() {
    const { link } = this.frame;
    link.on("begun", ({ written }) => this.begin(written));
    link.on("delta", (piece) => this.write(piece));
    link.on("now", ({ state }) => this.take(state));
    link.on("lost", ({ error }) => this.frame.fail(error));
    link.on("gone", () => this.breakOff());
    link.on("ran", () => this.renew());
    this.seen = () => document.visibilityState === "visible" && this.renew();
    document.addEventListener("visibilitychange", this.seen);
    this.frame.root.addEventListener("focusin", (event) => this.frame.root.contains(event.relatedTarget) || this.renew());
  }

  // The chat may have gone on elsewhere. Nobody has asked for this, so nobody is told that the kernel is busy.
  renew() {
    if (!this.writing && this.list.isConnected) this.frame.link.call("renew", {}, undefined, true).catch(() => {});
  }

  take(state) {
    this.state = state;
    if (!state.rows.some((row) => row.status === "writing")) this.writing = null;  // else it is being read along
    if (state.written) this.begin(state.written);
    else this.draw();
  }

  draw() {
    const { chat, rows, offset, notebook } = this.state;
    this.title.textContent = chat ? chat.title : `Ask ${notebook}`;
    this.exporter.hidden = !rows.length;
    this.stopper.hidden = !this.writing;
    this.sender.hidden = Boolean(this.writing);
    const shown = rows.filter((row) => !(this.writing && row.status === "writing"));
    this.nodes ||= new Map();
    const kept = new Map(shown.map((row) => {
      const before = this.nodes.get(row.id);
      return [row.id, before && before.key === JSON.stringify(row) ? before : this.message(row)];
    }));
    this.nodes = kept;
    fill(this.list, offset > 0 && h("li", {}, this.earlier), [...kept.values()], this.writing?.nodes,
      !shown.length && !this.writing && h("li", { class: "empty" }, this.blank().map((line, at) => h(at ? "span" : "b", {}, line))));
    this.list.classList.toggle("bare", !shown.length && !this.writing);
    this.list.scrollTop = this.list.scrollHeight;
    if (!this.chats.hidden) this.drawChats();
  }

  blank() {
    const { empty, gone } = this.state;
    if (empty) return ["This notebook is empty", `${empty}.`];
    if (gone) return ["This chat was deleted", "Ask, and a new one begins."];
    return ["Ask anything about your sources", "Every statement leads to the exact words it stands on."];
  }

  // One's question and the place where the answer will be written.
  begin(written) {
    const said = h("div", { class: "said writing", "aria-busy": "true" }, h("span", { class: "thinking" }, "Reading the sources …"));
    const asked = written.asked && this.state.rows.at(-1)?.text !== written.asked && this.state.rows.at(-2)?.text !== written.asked;
    this.writing = { ...written, citations: [...written.citations], said, spoken: 0,
      nodes: [asked && this.question(written.asked), h("li", {}, said)].filter(Boolean) };
    this.draw();
    if (written.text) this.paint();
    this.frame.say("Reading the sources");
  }

  write({ piece, text, citation }) {
    const written = this.writing;
    if (!written || piece <= written.pieces) return;
    written.pieces = piece;
    written.text += text;
    if (citation) written.citations.push(citation);
    written.frame ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    const written = this.writing;
    if (!written) return;
    written.frame = 0;
    const low = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
    if (written.text) fill(written.said, rich(written.text, this.citer(written.citations)));
    if (low) this.list.scrollTop = this.list.scrollHeight;
    const end = Math.max(...[". ", "! ", "? ", ".\n"].map((mark) => written.text.lastIndexOf(mark)));
    if (end > written.spoken) {  // read aloud sentence by sentence, not word by word
      this.frame.say(written.text.slice(written.spoken, end + 1).replace(/\[\d[\d, ]*\]/g, ""));
      written.spoken = end + 1;
    }
  }

  // The rest of what is being written will not come here: what there is stays to be read.
  breakOff() {
    const written = this.writing;
    if (!written) return;
    this.writing = null;
    written.said.classList.remove("writing");
    written.said.removeAttribute("aria-busy");
    fill(written.said, written.text && rich(written.text, this.citer(written.citations)), h("p", {}, h("span", { class: "chip warn" }, "Broken off")));
    this.stopper.hidden = true;
    this.stopper.disabled = this.sender.hidden = false;
  }

  async send() {
    const text = this.input.value.trim();
    if (!text || this.writing) return;
    this.touched = true;
    this.input.value = "";
    this.grow();
    this.begin({ id: null, asked: text, text: "", citations: [], pieces: 0 });
    try {
      await this.frame.link.call("ask", { text });
      this.frame.say("The answer is complete");
    } catch (error) {
      if (!this.input.value) this.input.value = text;
      this.grow();
      this.frame.fail(error);
      const now = await this.frame.ask("hello");
      if (now) this.take(now.state);
      else this.breakOff();
    }
    const at = document.activeElement;
    if (at === document.body || at === this.stopper || this.input.form.contains(at)) this.input.focus({ preventScroll: true });
  }

  async stop() {
    this.stopper.disabled = true;
    const unheard = setTimeout(() => this.breakOff(), UNHEARD_MS);  // should it only be busy, it tells all in the end
    await this.frame.ask("stop");
    clearTimeout(unheard);
    this.stopper.disabled = false;
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(180, this.input.scrollHeight + 2)}px`;
  }

  question(text) {
    return h("li", { class: "user" }, h("div", {}, h("span", { class: "unseen" }, "You: "), text));
  }

  message(row) {
    const node = row.role === "user" ? this.question(row.text) : this.answer(row);
    node.key = JSON.stringify(row);
    return node;
  }

  answer(row) {
    const citations = row.citations || [];
    const doubtful = citations.filter((cited) => cited.status !== "verified").length;
    const quotes = h("ol", { class: "quotes", hidden: true }, citations.map((cited) => this.quote(cited)));
    const quotesButton = citations.length > 0 && button(count(citations.length, "quote"), () => {
      quotes.hidden = !quotes.hidden;
      quotesButton.setAttribute("aria-expanded", String(!quotes.hidden));
    }, { "aria-expanded": "false" });
    return h("li", {},
      h("div", { class: "said" }, rich(row.text, this.citer(citations))),
      row.status === "failed" && h("p", { class: "problem" }, row.error || "The answer failed."),
      row.status === "stopped" && h("p", {}, h("span", { class: "chip warn" }, "Stopped")),
      row.answered === false && h("p", {}, h("span", { class: "chip warn" }, "Not answered by the sources")),
      doubtful > 0 && h("p", {}, h("span", { class: "chip warn" }, `${count(doubtful, "quote")} not found word for word`)),
      row.text && h("div", { class: "foot-line" },
        button("Copy", async () => this.frame.toast(await this.frame.copy(row.text) ? "Copied" : "Your browser does not let SBF copy"), { icon: "copy" }),
        row.answer_id && button("Save to note", () => this.note(row), { icon: "note" }),
        button("Insert into cell", () => this.cells(row.id), { icon: "insert" }), quotesButton, row.budget && this.budget(row.budget)),
      quotes);
  }

  budget({ window: room, used, passages, cut, cut_sources: left, model, cost_usd: cost, milliseconds }) {
    const facts = [passages && `${count(passages, "passage")} read`, cut && `${cut} left out${left.length ? ` (${left.join(", ")})` : ""}`,
      model, cost && `$${cost.toFixed(4)}`, milliseconds && `${(milliseconds / 1000).toFixed(1)} s`].filter(Boolean);
    const share = room ? Math.round((100 * used) / room) : 0;
    return h("span", { class: "budget muted" }, room > 0 && h("span", { class: "meter", "aria-hidden": "true" }, h("i", { style: `width:${share}%` })),
      room > 0 && `${used.toLocaleString("en")} of ${room.toLocaleString("en")} tokens · `, facts.join(" · "));
  }

  // What stands for the markers of one text: buttons that open the cited words.
  citer(citations) {
    const left = new Map();
    for (const cited of citations) left.set(cited.marker, [...(left.get(cited.marker) || []), cited]);
    return (numbers) => {
      if (!numbers.every((number) => left.has(number))) return null;
      return numbers.map((number) => {
        const all = left.get(number);
        return this.cite(all.length > 1 ? all.shift() : all[0]);
      });
    };
  }

  cite(cited) {
    const sure = cited.status === "verified";
    const where = [cited.source, cited.where].filter(Boolean).join(", ");
    return h("button", { type: "button", class: `cite${sure ? "" : " doubt"}`, title: `${where}${sure ? "" : " (not found word for word)"}\n“${cited.quote}”`,
      "aria-label": `Citation ${cited.marker}: ${where}${sure ? "" : ", not found word for word"}`, onclick: (event) => this.reader.open(cited, event.currentTarget) },
    sure ? String(cited.marker) : `${cited.marker} ?`);
  }

  quote(cited) {
    const sure = cited.status === "verified";
    return h("li", {}, h("div", { class: "line" }, this.cite(cited), h("b", { class: "cut" }, cited.source), h("span", { class: "muted" }, cited.where),
      h("span", { class: `chip ${sure ? "good" : "warn"}` }, sure ? "verified" : "not found word for word"), h("span", { class: "grow" }),
      button(`Insert quote ${cited.marker} into cell`, () => this.frame.insert([cited.cell]), { icon: "insert", silent: true, class: "icon" })),
    h("blockquote", {}, cited.quote));
  }

  async note(row) {
    const title = await this.frame.ask("note", { message_id: row.id });
    if (title) this.frame.toast(`Saved as note “${title}”`);
  }

  async cells(message_id) {
    const cells = await this.frame.ask("cells", { message_id });
    if (cells?.length) this.frame.insert(cells);
  }

  async more() {
    const found = await this.frame.ask("earlier", { offset: this.state.offset });
    if (!found) return;
    const below = this.list.scrollHeight - this.list.scrollTop;
    this.state = { ...this.state, rows: [...found.rows, ...this.state.rows], offset: found.offset };
    this.draw();
    this.list.scrollTop = this.list.scrollHeight - below;
    this.list.focus({ preventScroll: true });
  }

  toggle(name) {
    for (const each of ["chats", "levels"]) {
      const open = each === name && this[each].hidden;
      this[each].hidden = !open;
      this[`${each}Button`].setAttribute("aria-expanded", String(open));
    }
    if (!this.chats.hidden) this.drawChats();
    if (!this.levels.hidden) this.drawLevels();
  }

  drawChats() {
    const current = this.state.chat?.id;
    const items = this.state.chats.map((chat) => {
      const item = h("li", {}, h("button", { type: "button", class: "cut", "aria-current": chat.id === current ? "true" : null, "aria-pressed": String(chat.id === current), onclick: () => this.open(chat.id) }, chat.title),
        h("span", { class: "muted" }, count(chat.messages, "message")),
        button(`Rename ${chat.title}`, () => this.rename(item, chat), { icon: "note", silent: true, class: "icon" }),
        button(`Delete ${chat.title}`, (event) => this.confirm(event.currentTarget, chat), { icon: "trash", silent: true, class: "icon" }));
      return item;
    });
    fill(this.chats, items.length ? h("ul", { class: "chats" }, items) : h("div", { class: "empty" }, "No chats yet"));
  }

  async open(chat_id) {
    if ((await this.frame.ask("open", { chat_id })) === undefined) return;
    this.reader.close();
    this.input.focus({ preventScroll: true });
  }

  rename(item, chat) {
    const input = h("input", { type: "text", value: chat.title, maxlength: "300", "aria-label": "New title" });
    const done = async () => {
      if (input.value.trim()) await this.frame.ask("rename", { chat_id: chat.id, title: input.value.trim() });
      this.drawChats();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") done();
      if (event.key === "Escape") this.drawChats();
    });
    fill(item, input, button("Save", done, { class: "line" }));
    input.select();
  }

  // Deleting is for good: the button asks once more, in its own place.
  confirm(asked, chat) {
    const sure = button("Delete for good?", () => this.frame.ask("delete", { chat_id: chat.id }), { class: "line", "aria-label": `Delete ${chat.title} for good?`, onblur: () => setTimeout(() => this.drawChats(), 150) });
    asked.replaceWith(sure);
    sure.focus();
  }

  drawLevels() {
    this.rows?.close();
    const host = h("div", { class: "levels" });
    this.sources = new Map();
    const make = () => h("div", { class: "row" }, h("label", { class: "cut" }), h("select", {}, LEVELS.map(([value, label]) => h("option", { value }, label))));
    const refresh = (node, index) => {
      const source = this.sources.get(index);
      const [label, choice] = node.children;
      if (!source || node.source === source.id) return;
      node.source = source.id;
      label.textContent = source.name;
      choice.setAttribute("aria-label", `What ${source.name} may give`);
      choice.value = this.state.chat?.levels[source.id] || "passages";
      choice.onchange = () => this.level(source.id, choice.value);
    };
    this.rows = new Rows(host, LEVEL_ROW, make, refresh);
    this.rows.drawn = (first, end) => this.needSources(first, end);
    fill(this.levels, host);
    this.needSources(0, 1);
  }

  async needSources(first, end) {
    for (let offset = Math.floor(first / 100) * 100; offset < end; offset += 100) {
      if (this.sources.has(offset) || this.asking === offset) continue;
      this.asking = offset;
      const found = await this.frame.ask("page", { offset, limit: 100, sort: "name" });
      this.asking = null;
      if (!found) return;
      found.rows.forEach((row, at) => this.sources.set(offset + at, row));
      this.rows.total = found.total;
      if (!found.total) fill(this.levels, h("div", { class: "empty" }, "No sources yet"));
      this.rows.host.style.height = `${Math.min(200, found.total * LEVEL_ROW)}px`;
      this.rows.draw();
    }
  }

  async level(source_id, level) {
    const chat = await this.frame.ask("level", { source_id, level });
    if (!chat) return;
    this.state = { ...this.state, chat };
    this.title.textContent = chat.title;
  }

  end() {
    document.removeEventListener("visibilitychange", this.seen);
    this.reader.end();
    this.rows?.close();
  }
}

const chatWidget = widget("Chat", (frame, model) => {
  const view = new ChatView(frame, model);
  return () => view.end();
});
