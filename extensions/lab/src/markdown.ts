/**
 * The Markdown of answers as elements: headings, lists, quotes, code, emphasis, and markers `[n]`.
 *
 * Small on purpose: no HTML, no images, no links, so that nothing an answer says can run or be fetched.
 */

import { h } from './dom';

/** Makes the element for a marker `[n]`, or null when there is no such citation. */
export type MarkerMaker = (marker: number) => HTMLElement | null;

const FENCE = /^\s*```/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const BULLET = /^\s*[-*+•]\s+(.*)$/;
const NUMBERED = /^\s*\d{1,3}[.)]\s+(.*)$/;
const QUOTE = /^>\s?(.*)$/;
/** What counts inside a line: code, bold, italic, markers. */
export const INLINE = /(`[^`\n]+`)|\*\*([^*\n]+)\*\*|(?<![\w*])[*_]([^*_\n]+)[*_](?![\w*])|\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]/g;
/** What a line begins with that makes it a heading, an item of a list, or a quotation; and its words. */
export const LINE = /^(#{1,6}\s+|\s*[-*+•]\s+|\s*\d{1,3}[.)]\s+|>\s?|)(.*)$/s;

/** Return the elements of a text. */
export function markdown(text: string, marker: MarkerMaker): DocumentFragment {
  const out = document.createDocumentFragment();
  const lines = text.split('\n');
  let at = 0;
  const takeWhile = (pattern: RegExp): string[] => {
    const taken: string[] = [];
    for (let found; at < lines.length && (found = pattern.exec(lines[at])); at++) {
      taken.push(found[found.length - 1]);
    }
    return taken;
  };
  while (at < lines.length) {
    const line = lines[at];
    const heading = HEADING.exec(line);
    if (FENCE.test(line)) {
      const code: string[] = [];
      for (at++; at < lines.length && !FENCE.test(lines[at]); at++) {
        code.push(lines[at]);
      }
      at++;
      out.append(h('pre', { class: 'sbf-Code' }, h('code', {}, code.join('\n'))));
    } else if (heading) {
      out.append(h('p', { class: 'sbf-Heading' }, inline(heading[2], marker)));
      at++;
    } else if (BULLET.test(line) || NUMBERED.test(line)) {
      const pattern = BULLET.test(line) ? BULLET : NUMBERED;
      const items = takeWhile(pattern).map(item => h('li', {}, inline(item, marker)));
      out.append(h(pattern === BULLET ? 'ul' : 'ol', {}, ...items));
    } else if (QUOTE.test(line)) {
      out.append(h('blockquote', {}, inline(takeWhile(QUOTE).join('\n'), marker)));
    } else if (line.trim() === '') {
      at++;
    } else {
      const paragraph: string[] = [];
      for (; at < lines.length && lines[at].trim() && !isBlock(lines[at]); at++) {
        paragraph.push(lines[at]);
      }
      out.append(h('p', {}, inline(paragraph.join('\n'), marker)));
    }
  }
  return out;
}

function isBlock(line: string): boolean {
  return [FENCE, HEADING, BULLET, NUMBERED, QUOTE].some(pattern => pattern.test(line));
}

function inline(text: string, marker: MarkerMaker): DocumentFragment {
  const out = document.createDocumentFragment();
  let done = 0;
  for (const found of text.matchAll(INLINE)) {
    out.append(text.slice(done, found.index));
    done = found.index + found[0].length;
    const [whole, code, strong, emphasis, markers] = found;
    if (code) {
      out.append(h('code', {}, code.slice(1, -1)));
    } else if (strong) {
      out.append(h('strong', {}, inline(strong, marker)));
    } else if (emphasis) {
      out.append(h('em', {}, inline(emphasis, marker)));
    } else {
      const made = markers.split(',').map(n => marker(Number(n)));
      const stop = /^[.,;:!?)”"]*/.exec(text.slice(done))![0]; // stays on the marker's line
      out.append(made.every(Boolean) ? h('span', { class: 'sbf-Together' }, ...made, stop) : whole + stop);
      done += stop.length;
    }
  }
  out.append(text.slice(done));
  return out;
}
