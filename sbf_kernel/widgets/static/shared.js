// What all SBF widgets share. Text is only ever put in as text: nothing here turns it into HTML.

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const ICONS = {
  add: "M8 3v10M3 8h10",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M6 6h7v7H6zM10 3H3v7",
  insert: "M3 3h10v10H3zM8 5.5v5M5.5 8h5",
  note: "M4 2.5h6l2.5 2.5v8.5H4zM6 7h5M6 9.5h5",
  open: "M2.5 3.5h4.5a1 1 0 0 1 1 1v8.5a1 1 0 0 0-1-1H2.5zM13.5 3.5H9a1 1 0 0 0-1 1v8.5a1 1 0 0 1 1-1h4.5z",
  refresh: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
  search: "M7 12a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM11 11l3 3",
  send: "M8 13V3M4 7l4-4 4 4",
  stop: "M5 5h6v6H5z",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9",
  upload: "M8 10.5V3M5 6l3-3 3 3M3 10.5v3h10v-3",
  why: "M3 13V9M8 13V3M13 13V6",
  chats: "M2.5 3.5h11v7.5H8l-3 2.5V11H2.5z",
  levels: "M2.5 5h6M12 5h1.5M10.2 3.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM2.5 11h1.5M7.5 11h6M5.8 9.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4z",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(label, onclick, options = {}) {
  const { icon: picture, class: name, silent, ...attributes } = options;
  const said = silent ? { "aria-label": label, title: label } : {};
  return h("button", { type: "button", class: name || null, onclick, ...said, ...attributes },
    picture && icon(picture), picture && !silent ? " " : null, silent ? null : label);
}

function marked(parts) {
  return parts.map(([text, on]) => (on ? h("mark", {}, text) : text));
}

// Give a node these children. Those that are there already are not touched: what has the focus keeps it.
function fill(node, ...children) {
  const wanted = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  const kept = new Set(wanted);
  for (const child of [...node.childNodes]) if (!kept.has(child)) child.remove();
  let at = node.firstChild;
  for (const child of wanted) {
    if (child === at) at = at.nextSibling;
    else node.insertBefore(typeof child === "string" ? document.createTextNode(child) : child, at);
  }
}

const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
const words = (error) => (error.hint ? `${error.message} → ${error.hint}` : error.message);

const GONE = { message: "the kernel is gone", hint: "run this cell again" };

// Speaks with the kernel: call() asks and resolves with the reply, on() hears what happens by itself.
class Link {
  constructor(model, busy) {
    this.model = model;
    this.busy = busy;
    this.waiting = new Map();
    this.unheard = new Set();
    this.listeners = {};
    this.gone = false;
    this.prefix = Math.random().toString(36).slice(2);
    this.count = 0;
    this.hear = (message) => this.received(message);
    model.on("msg:custom", this.hear);
    this.cut = () => this.lose();
    model.on("comm_live_update", this.cut);  // told when the kernel restarts
    // The kernel listens for this widget where it was last spoken to. JupyterLab opens a way past running
    // cells (a subshell) a moment after the widget is there: one word on it, and everything takes that way.
    this.settling = setTimeout(() => this.call("here", {}, undefined, true).catch(() => {}), 1500);
  }

  call(action, fields = {}, buffers = undefined, quiet = false) {
    if (this.gone) return Promise.reject(GONE);
    const call = `${this.prefix}-${++this.count}`;
    return new Promise((resolve, reject) => {
      this.waiting.set(call, { resolve, reject });
      if (!quiet) this.unheard.add(call);
      setTimeout(() => this.unheard.has(call) && this.busy(true), 900);
      this.model.send({ ...fields, action, call }, undefined, buffers);
    });
  }

  received(message) {
    if (message.ack !== undefined) {
      this.unheard.delete(message.ack);
      if (!this.unheard.size) this.busy(false);
    } else if (message.reply !== undefined) {
      const waiting = this.waiting.get(message.reply);
      if (!waiting) return;
      this.waiting.delete(message.reply);
      if (message.error) waiting.reject(message.error);
      else waiting.resolve(message.result);
    } else if (message.event) {
      for (const listener of this.listeners[message.event] || []) listener(message);
    }
  }

  // The other end is gone for good, and whoever waits would wait for ever.
  lose() {
    this.gone = true;
    this.unheard.clear();
    for (const listener of this.listeners.gone || []) listener();
    for (const { reject } of this.waiting.values()) reject(GONE);
    this.waiting.clear();
  }

  on(event, listener) {
    (this.listeners[event] ||= []).push(listener);
  }

  close() {
    clearTimeout(this.settling);
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.cut);
    this.unheard.clear();
  }
}

// The frame around a widget: a named region whose keys never reach the notebook, notices, and what is said aloud.
class Frame {
  constructor(model, el, label) {
    this.root = h("section", { class: "sbf-w", "aria-label": label });
    for (const kind of ["keydown", "keyup", "keypress", "paste", "copy", "cut"]) {
      this.root.addEventListener(kind, (event) => event.stopPropagation());
    }
    this.notice = h("div", { class: "notice", role: "status", hidden: true });
    this.aloud = h("div", { class: "unseen", role: "status", "aria-live": "polite" });
    this.link = new Link(model, (busy) => this.busy(busy));
    this.link.on("gone", () => {
      this.notice.hidden = false;
      fill(this.notice, "The kernel is gone: run this cell again.");
    });
    this.root.append(this.notice, this.aloud);
    el.append(this.root);
  }

  add(...children) {
    this.notice.before(...children);
  }

  busy(busy) {
    this.notice.hidden = !busy;
    fill(this.notice, busy ? "The kernel is busy, or gone. What you asked for waits until the running cell has ended; after a restart, run this cell again." : "");
  }

  say(text) {
    this.aloud.textContent = text;
  }

  // Tell something in passing, with one thing to do about it.
  toast(text, label = null, act = null) {
    clearTimeout(this.timer);
    this.shown?.remove();
    const gone = () => {
      clearTimeout(this.timer);
      if (this.shown?.contains(document.activeElement)) this.rest?.();
      this.shown?.remove();
    };
    this.shown = h("div", { class: "toast" }, h("span", {}, text),
      label && button(label, () => { gone(); act(); }),
      button("Dismiss", gone, { icon: "close", silent: true, class: "icon" }));
    this.root.append(this.shown);
    this.say(text);
    const wait = () => {
      const held = this.shown?.matches(":hover") || this.shown?.contains(document.activeElement);
      this.timer = setTimeout(held ? wait : gone, label ? 12000 : 4000);
    };
    this.timer = setTimeout(wait, label ? 8000 : 4000);
  }

  fail(error) {
    this.toast(words(error));
  }

  // Run a call; what goes wrong is told.
  async ask(action, fields, buffers) {
    try {
      return await this.link.call(action, fields, buffers);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
      const back = document.activeElement;
      area.value = text;
      this.root.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      back?.focus();
      return done;
    }
  }

  // Hand Markdown cells to whoever can insert them (the JupyterLab extension does, and then
  // prevents the default, which is to copy them).
  async insert(cells) {
    const text = cells.join("\n\n");
    this.link.call("inserted", { text }).catch(() => {});
    const taken = cells.map((cell) => !this.root.dispatchEvent(new CustomEvent("sbf:insert", {
      bubbles: true, composed: true, cancelable: true, detail: { kind: "markdown", text: cell },
    })));
    if (taken.every(Boolean)) return this.toast(cells.length === 1 ? "Inserted below" : `${cells.length} cells inserted below`);
    return this.toast(await this.copy(text) ? "Copied: paste it into a Markdown cell" : "Your browser does not let SBF copy");
  }

  close() {
    clearTimeout(this.timer);
    this.link.close();
  }
}

// Rows of equal height of which only the visible ones exist. `make(index)` gives a node, `refresh(node, index)` updates it.
class Rows {
  constructor(host, height, make, refresh) {
    Object.assign(this, { host, height, make, refresh, total: 0, nodes: new Map() });
    this.room = h("div", { role: "presentation", style: "position:relative" });
    host.append(this.room);
    host.addEventListener("scroll", () => this.later(), { passive: true });
    this.size = new ResizeObserver(() => this.later());
    this.size.observe(host);
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  span() {
    const first = Math.max(0, Math.floor(this.host.scrollTop / this.height) - 6);
    return [first, Math.min(this.total, Math.ceil((this.host.scrollTop + this.host.clientHeight) / this.height) + 6)];
  }

  draw() {
    this.room.style.height = `${this.total * this.height}px`;
    const [first, end] = this.span();
    for (const [index, node] of this.nodes) {
      if ((index < first || index >= end) && !node.contains(document.activeElement)) {
        node.remove();
        this.nodes.delete(index);
      } else if (index >= this.total) {
        node.remove();
        this.nodes.delete(index);
      }
    }
    for (let index = first; index < end; index++) {
      let node = this.nodes.get(index);
      if (!node) {
        node = this.make(index);
        node.style.cssText = `position:absolute;left:0;right:0;height:${this.height}px;top:${index * this.height}px`;
        this.nodes.set(index, node);
        this.room.append(node);
      }
      this.refresh(node, index);
    }
    this.drawn?.(first, end);
  }

  show(index) {
    const top = index * this.height;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (top + this.height > this.host.scrollTop + this.host.clientHeight) this.host.scrollTop = top + this.height - this.host.clientHeight;
    this.draw();
    return this.nodes.get(index);
  }

  close() {
    this.size.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

// Make a widget: `build(frame, model)` draws it and may return what is to be done when the view goes away.
function widget(label, build) {
  return {
    render({ model, el }) {
      const frame = new Frame(model, el, label);
      const end = build(frame, model);
      return () => {
        end?.();
        frame.close();
      };
    },
  };
}
