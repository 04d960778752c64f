/** Search: a question, where to look, and hits with the words that match. */

import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { quote, searchCode } from './cells';
import { h, iconButton, moveFocus, problemView } from './dom';
import * as icons from './icons';
import { Inserter } from './inserter';
import { Library } from './library';
import { Hit, Hits, place, Span, utf16 } from './records';
import { ScopeSelect } from './scopeSelect';
import { ServiceError } from './service';

const HITS = 20;
/** So much is shown of a hit, in UTF-16 units. */
const SNIPPET = 260;

export class SearchView extends Widget {
  private _input = h('input', { class: 'sbf-Input', type: 'search', placeholder: 'Search in words or meaning', 'aria-label': 'Search' });
  private _list = h('div', { class: 'sbf-Hits', role: 'list', 'aria-label': 'Hits' });
  private _status = h('div', { class: 'sbf-Faint sbf-SearchStatus', role: 'status' });
  private _scope: ScopeSelect;
  private _latest = 0;

  constructor(
    private _library: Library,
    private _inserter: Inserter,
    private _open: (span: Span) => void
  ) {
    super();
    this.addClass('sbf-Search');
    this._scope = new ScopeSelect(_library, true);
    this._scope.node.addEventListener('change', () => this._input.value.trim() && void this._search());
    const search = (event: Event) => {
      event.preventDefault();
      void this._search();
    };
    const go = iconButton(icons.searchIcon, 'Search', () => void this._search());
    this.node.append(
      h('form', { class: 'sbf-Bar', role: 'search', on: { submit: search } }, this._input, go),
      h('div', { class: 'sbf-Bar' }, this._scope.node),
      this._status,
      this._list
    );
    this._input.addEventListener('keydown', event => {
      if (event.key === 'ArrowDown') {
        this._list.querySelector<HTMLElement>('.sbf-Hit')?.focus();
        event.preventDefault();
      }
    });
    this._list.addEventListener('keydown', event => this._onKey(event));
  }

  /** Search for something now. */
  async search(query: string): Promise<void> {
    this._input.value = query;
    await this._search();
  }

  protected override onActivateRequest(_: Message): void {
    this._input.focus();
    this._input.select();
  }

  private async _search(): Promise<void> {
    const query = this._input.value.trim();
    const turn = ++this._latest;
    if (!query) {
      this._list.replaceChildren();
      this._status.textContent = '';
      return;
    }
    this._status.textContent = 'Searching…';
    this._list.setAttribute('aria-busy', 'true');
    try {
      const fields = { query, limit: HITS, notebook_ids: this._scope.ids };
      const hits = await this._library.service.call<Hits>('Search', fields);
      if (turn === this._latest) {
        this._show(hits);
      }
    } catch (error) {
      if (turn === this._latest) {
        this._status.textContent = '';
        const problem = problemView(ServiceError.from(error), () => void this._search());
        this._list.replaceChildren(h('div', { role: 'listitem' }, problem));
      }
    } finally {
      this._list.removeAttribute('aria-busy');
    }
  }

  private _show(hits: Hits): void {
    const found = hits.items.length;
    const scope = `${hits.searched_chunks.toLocaleString()} passages`;
    const told = found ? `${found} hits in ${scope}, ${Math.round(hits.milliseconds)} ms` : `Nothing found in ${scope}`;
    this._status.textContent = [told, ...hits.warnings].join(' · ');
    this._list.replaceChildren(...hits.items.map(hit => this._hit(hit)));
    this._list.scrollTop = 0;
  }

  private _hit(hit: Hit): HTMLElement {
    const where = place(hit.location);
    const insert = () => this._inserter.insert('markdown', quote(hit));
    const code = () => this._inserter.insert('code', searchCode(this._input.value.trim(), this._scope.name));
    return h(
      'div',
      { class: 'sbf-Hit', role: 'listitem', tabindex: 0, 'data-rank': hit.rank, on: { click: () => this._open(hit) } },
      h(
        'div',
        { class: 'sbf-Hit-head' },
        h('span', { class: 'sbf-Hit-rank' }, String(hit.rank)),
        h('span', { class: 'sbf-Name', title: hit.source }, hit.source),
        h(
          'span',
          { class: 'sbf-RowActions' },
          iconButton(icons.insertIcon, 'Insert as a quote with its source (I)', insert),
          iconButton(icons.codeIcon, 'Insert this search as code', code)
        )
      ),
      snippet(hit),
      h('div', { class: 'sbf-Faint sbf-Hit-foot' }, h('span', {}, where), h('span', { title: RANKS }, ranks(hit)))
    );
  }

  private _onKey(event: KeyboardEvent): void {
    const items = [...this._list.querySelectorAll<HTMLElement>('.sbf-Hit')];
    const focused = document.activeElement as HTMLElement;
    if (event.key === 'ArrowUp' && focused === items[0]) {
      this._input.focus();
    } else if (event.key === 'Enter' && focused.classList.contains('sbf-Hit')) {
      focused.click();
    } else if (event.key === 'i' && focused.classList.contains('sbf-Hit')) {
      focused.querySelector<HTMLElement>('.sbf-IconButton')?.click();
      event.preventDefault();
    } else {
      moveFocus(event, items);
    }
  }
}

const RANKS = 'Where the search by words and the search by meaning ranked it';

function ranks(hit: Hit): string {
  const arm = (name: string, rank: number | null) => `${name} ${rank === null ? '–' : '#' + rank}`;
  return `${arm('words', hit.lexical_rank)} · ${arm('meaning', hit.dense_rank)}`;
}

/** The part of a hit around its first match, with all matches marked. */
function snippet(hit: Hit): HTMLElement {
  const marks = hit.highlights.map(([start, end]) => [utf16(hit.text, start), utf16(hit.text, end)]);
  const first = marks[0]?.[0] ?? 0;
  const from = first < SNIPPET * 0.7 ? 0 : hit.text.indexOf(' ', first - SNIPPET / 3) + 1;
  const to = Math.min(hit.text.length, from + SNIPPET);
  const out = h('div', { class: 'sbf-Snippet' }, from > 0 ? '… ' : null);
  let at = from;
  for (const [start, end] of marks) {
    if (start >= at && end <= to) {
      out.append(hit.text.slice(at, start), h('mark', {}, hit.text.slice(start, end)));
      at = end;
    }
  }
  out.append(hit.text.slice(at, to), to < hit.text.length ? ' …' : '');
  return out;
}
