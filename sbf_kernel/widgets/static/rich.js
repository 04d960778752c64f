// The little Markdown that answers use, as elements: paragraphs, headings, lists, quotations, code, bold, italic.
// Links and pictures stay what they are: text. `cite(numbers)` gives what stands for a marker [n], or null.

const INLINE = /(`[^`\n]+`)|\*\*([^*\n]+)\*\*|(?<![*\w])\*([^*\s][^*\n]*)\*(?![*\w])|\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]/g;

function inline(text, cite) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    let node = null;
    if (found[1]) node = h("code", {}, found[1].slice(1, -1));
    else if (found[2]) node = h("strong", {}, inline(found[2], cite));
    else if (found[3]) node = h("em", {}, inline(found[3], cite));
    else node = cite(found[4].split(",").map(Number));
    if (!node) continue;
    nodes.push(text.slice(at, found.index), node);
    at = found.index + found[0].length;
  }
  return [...nodes, text.slice(at)].flat();
}

const STARTS = [
  ["code", /^```/], ["head", /^#{1,6}\s+(.*)/], ["ul", /^\s{0,3}[-*•]\s+(.*)/], ["ol", /^\s{0,3}\d{1,3}[.)]\s+(.*)/], ["quote", /^>\s?(.*)/],
];

function rich(text, cite) {
  const blocks = [];
  let open = null;
  for (const line of text.split("\n")) {
    if (open?.kind === "code") {
      if (/^```/.test(line)) open = null;
      else open.lines.push(line);
      continue;
    }
    const [kind, pattern] = STARTS.find(([, start]) => start.test(line)) || ["p", null];
    if (kind === "p" && !line.trim()) {
      open = null;
      continue;
    }
    const words = kind === "p" || kind === "code" ? line : pattern.exec(line)[1];
    if (kind === "p" && open && (open.kind === "ul" || open.kind === "ol")) open.lines[open.lines.length - 1] += `\n${line.trim()}`;
    else if (open?.kind === kind && kind !== "head") open.lines.push(words);
    else blocks.push((open = { kind, lines: kind === "code" ? [] : [words] }));
  }
  return blocks.map(({ kind, lines }) => {
    if (kind === "code") return h("pre", { tabindex: "0" }, h("code", {}, lines.join("\n")));
    if (kind === "head") return h("h4", {}, inline(lines[0], cite));
    if (kind === "ul" || kind === "ol") return h(kind, {}, lines.map((line) => h("li", {}, inline(line, cite))));
    const broken = lines.flatMap((line, index) => [index ? h("br") : "", ...inline(line, cite)]);
    return h(kind === "quote" ? "blockquote" : "p", {}, broken);
  });
}
