// The text of a source, read in pieces as one scrolls; the words it is opened for are marked.

class Reader {
  constructor(frame, onclose = null) {
    this.frame = frame;
    this.onclose = onclose;
    this.page = 1;
    this.title = h("h3", { class: "grow cut" });
    this.facts = h("span", { class: "muted" });
    this.body = h("div", { class: "body", tabindex: "0", role: "region" });
    this.pager = h("span", { class: "pager", hidden: true });
    this.looker = button("Page", () => (this.looking ? this.show(this.piece, this.where) : this.look(this.page)), { class: "line", "aria-pressed": "false", hidden: true });
    this.node = h("div", { class: "reader", hidden: Boolean(onclose) },
      h("div", { class: "head" }, this.title, this.facts, this.pager, this.looker,
        button("To the marked words", () => this.center(), { icon: "search", silent: true, class: "icon" }),
        onclose && button("Close the text", () => this.close(), { icon: "close", silent: true, class: "icon" })),
      this.body);
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && onclose) this.close();
    });
    this.watch = new IntersectionObserver((seen) => this.near(seen), { root: this.body, rootMargin: "600px" });
  }

  // Open a source at `start` to `end`; `back` gets the focus when it is closed.
  async open({ source_id, version_id, start, end, source, where, page }, back = document.activeElement) {
    this.back = back;
    this.page = page || 1;
    this.node.hidden = false;
    this.title.textContent = source || "";
    this.title.title = source || "";
    this.facts.textContent = where || "";
    fill(this.body, h("p", { class: "muted" }, "Loading …"));
    const wanted = (this.wanted = `${source_id} ${version_id} ${start} ${end} ${performance.now()}`);
    let piece;
    try {
      piece = await this.frame.link.call("text", { source_id, version_id: version_id ?? null, start: start || 0, end: end || 0 });
    } catch (error) {
      if (wanted === this.wanted) fill(this.body, h("p", { role: "alert" }, words(error)));
      return;
    }
    if (wanted === this.wanted) this.show(piece, where);
  }

  show(piece, where = "") {
    this.piece = piece;
    this.where = where;
    this.lookAway(piece.pages > 0);
    this.from = piece.from;
    this.to = piece.to;
    this.title.textContent = piece.name;
    this.title.title = piece.name;
    this.facts.textContent = [where, `version ${piece.version}`].filter(Boolean).join(" · ");
    this.body.setAttribute("aria-label", `Text of ${piece.name}`);
    this.above = h("div", { class: "more muted" }, "…");
    this.below = h("div", { class: "more muted" }, "…");
    fill(this.body, this.above, this.paragraph(piece), this.below);
    this.edges();
    this.center();
    this.watch.disconnect();
    requestAnimationFrame(() => {
      this.watch.observe(this.above);
      this.watch.observe(this.below);
    });
    if (this.onclose) {
      this.body.focus({ preventScroll: true });
      this.node.scrollIntoView({ block: "nearest" });
    }
    const mark = this.body.querySelector("mark");
    this.frame.say(mark ? `${piece.name}, at: ${mark.textContent.slice(0, 200)}` : piece.name);
  }

  paragraph(piece) {
    return h("p", {}, marked(piece.parts));
  }

  edges() {
    this.above.hidden = this.from <= 0;
    this.below.hidden = this.to >= this.piece.length;
  }

  // The page as it is printed: a picture that the kernel draws, asked for when it is wanted.
  async look(page) {
    const { source_id, version_id, name } = this.piece;
    const wanted = (this.wanted = `picture ${version_id} ${page}`);
    const width = Math.min(2000, Math.round((Math.max(320, this.body.clientWidth - 40) * Math.min(2, window.devicePixelRatio || 1)) / 100) * 100);
    this.watch.disconnect();
    this.looking = true;
    this.looker.setAttribute("aria-pressed", "true");
    let drawn;
    try {
      drawn = await this.frame.link.call("picture", { source_id, version_id, page, width });
    } catch (error) {
      if (wanted === this.wanted) fill(this.body, h("p", { role: "alert" }, words(error)));
      return;
    }
    if (wanted !== this.wanted) return;
    this.page = page;
    const picture = h("img", { alt: `Page ${page} of ${name}`, width: drawn.width, height: drawn.height });
    if (/^image\/webp$/.test(drawn.media_type) && /^[A-Za-z0-9+/=]+$/.test(drawn.image)) picture.src = `data:image/webp;base64,${drawn.image}`;
    fill(this.body, picture);
    this.body.scrollTop = 0;
    const turn = (label, sign, to) => h("button", { type: "button", class: "icon", "aria-label": label, title: label, disabled: to < 1 || to > drawn.pages, onclick: () => this.look(to) }, sign);
    const at = [...this.pager.children].indexOf(document.activeElement);
    fill(this.pager, turn("Page before", "‹", page - 1), `${page} / ${drawn.pages}`, turn("Next page", "›", page + 1));
    if (at >= 0) this.pager.children[at]?.focus();
    this.pager.hidden = false;
    this.frame.say(`Page ${page} of ${drawn.pages}`);
  }

  lookAway(paged) {
    this.looking = false;
    this.looker.hidden = !paged;
    this.looker.setAttribute("aria-pressed", "false");
    this.pager.hidden = true;
    this.wanted = "text";
  }

  center() {
    const mark = this.body.querySelector("mark");
    if (!mark) return;
    const distance = mark.getBoundingClientRect().top - this.body.getBoundingClientRect().top;
    this.body.scrollTop += distance - this.body.clientHeight / 4;
  }

  async near(seen) {
    if (this.loading || !seen.some((entry) => entry.isIntersecting)) return;
    const up = seen.some((entry) => entry.isIntersecting && entry.target === this.above) && this.from > 0;
    if (!up && this.to >= this.piece.length) return;
    const wanted = this.wanted;
    this.loading = true;
    const { source_id, version_id } = this.piece;
    const at = up ? this.from : this.to;
    const piece = await this.frame.ask("text", { source_id, version_id, at, toward: up ? "start" : "end" });
    this.loading = false;
    if (!piece || wanted !== this.wanted) return;
    const before = this.body.scrollHeight;
    if (up) {
      this.above.after(this.paragraph(piece));
      this.from = piece.from;
      this.body.scrollTop += this.body.scrollHeight - before;
    } else {
      this.below.before(this.paragraph(piece));
      this.to = piece.to;
    }
    this.edges();
    for (const edge of [this.above, this.below]) {  // tells again when it is still near
      this.watch.unobserve(edge);
      this.watch.observe(edge);
    }
  }

  close() {
    this.node.hidden = true;
    this.wanted = "";
    this.watch.disconnect();
    this.onclose?.();
    if (this.back?.isConnected) this.back.focus();
  }

  end() {
    this.watch.disconnect();
  }
}

const viewerWidget = widget("Source", (frame, model) => {
  const { piece } = model.get("state");
  const reader = new Reader(frame);
  frame.add(reader.node);
  frame.link.call("hello").catch((error) => frame.fail(error));
  reader.wanted = "shown";
  requestAnimationFrame(() => reader.show(piece));
  return () => reader.end();
});
