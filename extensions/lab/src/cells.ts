/** What is put into cells and on the clipboard: Markdown in which the words of others are words, never markup. */

import { INLINE, LINE } from './markdown';
import { place, Span } from './records';

/** Code that is code wherever it stands: nothing in it could become markup should its backticks pair otherwise. */
const HARMLESS = /^`[\w\s.,:;()=+*/'"%-]+`$/;

/** A span as a quote that names its source. */
export function quote(span: Span & { text: string }): string {
  const lines = span.text.trim().split('\n').map(line => `> ${escapeMarkdown(line)}`.trimEnd());
  const where = [span.source, place(span.location), `version ${span.version}`].filter(Boolean).join(', ');
  return `${lines.join('\n')}\n>\n> — *${escapeMarkdown(where)}*`;
}

/** Text that Markdown shows as it is. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|$~&!]/g, '\\$&').replace(/\s+/g, ' ');
}

/**
 * An answer for a cell: headings, lists, quotes, code and emphasis stay, all else is words.
 *
 * A picture in it would be fetched by whoever renders the cell, and tell its server what was read.
 */
export function answerMarkdown(text: string): string {
  let code = false;
  const lines = text.trim().split('\n').map(line => {
    if (/^\s*```/.test(line)) {
      code = !code;
      return '```'; // without its language: some are drawn
    }
    const [, start, words] = LINE.exec(line)!;
    return code ? line : start + tame(words);
  });
  return [...lines, ...(code ? ['```'] : [])].join('\n');
}

/** The code that repeats a search. */
export function searchCode(query: string, notebook: string): string {
  const over = notebook ? `ws.notebooks.get(${JSON.stringify(notebook)})` : 'ws';
  return `import sbf_kernel as sbf\n\nws = sbf.connect()\n${over}.search(${JSON.stringify(query)})`;
}

function tame(text: string): string {
  let out = '';
  let done = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, strong, emphasis] = found;
    out += escapeMarkdown(text.slice(done, found.index));
    done = found.index + whole.length;
    if (strong) {
      out += `**${tame(strong)}**`;
    } else if (emphasis) {
      out += `*${tame(emphasis)}*`;
    } else if (code) {
      out += HARMLESS.test(code) && text[found.index - 1] !== '`' && text[done] !== '`' ? code : escapeMarkdown(code);
    } else {
      out += /[([:]/.test(text[done] ?? '') ? escapeMarkdown(whole) : whole; // [1](…) would be a link
    }
  }
  return out + escapeMarkdown(text.slice(done));
}
