/** "Sources used": how much of each source a chat may use, and how the last answer spent the model's window. */

import { Notification } from '@jupyterlab/apputils';

import { sentence } from './actions';
import { h, problemView } from './dom';
import { Library } from './library';
import { Answer, Level, Page, Source } from './records';
import { ServiceError } from './service';

const PAGE = 100;
const LEVELS: [Level, string][] = [
  ['passages', 'Passages'],
  ['full', 'Full text'],
  ['off', 'Off']
];

export class LevelsView {
  private _told = h('span', { class: 'sbf-Faint sbf-Name' });
  private _button = h('button', { type: 'button', class: 'sbf-Disclosure', 'aria-expanded': 'false' }, h('span', { class: 'sbf-Twist', 'aria-hidden': 'true' }), 'Sources used', this._told);
  private _budget = h('div', { class: 'sbf-Budget' });
  private _list = h('div', { class: 'sbf-LevelList', role: 'list', 'aria-label': 'What each source may give' });
  private _body = h('div', { class: 'sbf-Levels-body', id: 'sbf-levels', hidden: true }, this._budget, this._list);
  readonly node = h('div', { class: 'sbf-Levels', role: 'group', 'aria-label': 'Sources used' }, this._button, this._body);
  private _levels: Record<string, Level> = {};
  private _notebookId = '';
  private _turn = 0;

  /** `change` stores the level of a source. */
  constructor(
    private _library: Library,
    private _change: (sourceId: string, level: Level) => Promise<void>
  ) {
    this._button.setAttribute('aria-controls', this._body.id);
    this._button.addEventListener('click', () => this._open(this._body.hidden));
    this.spent(null);
  }

  /** Show the levels of a chat over a notebook. */
  show(notebookId: string, levels: Record<string, Level>): void {
    const again = notebookId !== this._notebookId;
    this._notebookId = notebookId;
    this._levels = levels;
    this._summarise();
    for (const choice of this._list.querySelectorAll('select')) {
      choice.value = levels[choice.dataset.source!] ?? 'passages';
    }
    if (again) {
      this.reload();
    }
  }

  /** Show how an answer spent the window of its model. */
  spent(answer: Answer | null): void {
    this._budget.replaceChildren(...(answer?.budget ? budget(answer) : ['The tokens of the next answer are counted here.']));
  }

  /** Look for sources anew, where somebody can see it. */
  reload(): void {
    this._turn++;
    if (this._body.hidden || !this._notebookId) {
      this._list.replaceChildren();
    } else {
      void this._load(0);
    }
  }

  private _open(on: boolean): void {
    this._body.hidden = !on;
    this._button.setAttribute('aria-expanded', String(on));
    this.reload();
  }

  private async _load(offset: number): Promise<void> {
    const turn = this._turn;
    const wanted = { notebook_id: this._notebookId, sort: 'name', limit: PAGE, offset };
    try {
      const page = await this._library.service.call<Page<Source>>('ListSources', wanted);
      if (turn === this._turn) {
        this._draw(page, offset);
      }
    } catch (error) {
      if (turn === this._turn) {
        const problem = problemView(ServiceError.from(error), () => this.reload());
        this._list.replaceChildren(h('div', { role: 'listitem' }, problem));
      }
    }
  }

  private _draw(page: Page<Source>, offset: number): void {
    const before = offset ? [...this._list.children].slice(0, offset) : [];
    const rest = page.total - offset - page.items.length;
    this._list.replaceChildren(...before, ...page.items.map(it => this._row(it)), ...(rest > 0 ? [this._more(offset + PAGE, rest)] : []));
    if (!page.total) {
      this._list.replaceChildren(h('div', { class: 'sbf-Faint', role: 'listitem' }, 'No sources yet'));
    }
  }

  private _row(source: Source): HTMLElement {
    const props = { class: 'sbf-Select', 'data-source': source.id, 'aria-label': `What ${source.name} may give` };
    const choice = h('select', props, ...LEVELS.map(([value, label]) => h('option', { value }, label)));
    choice.value = this._levels[source.id] ?? 'passages';
    choice.addEventListener('change', () => void this._set(source.id, choice));
    return h('div', { class: 'sbf-Level', role: 'listitem' }, h('span', { class: 'sbf-Name', title: source.name }, source.name), choice);
  }

  private _more(offset: number, rest: number): HTMLElement {
    const more = () => void this._load(offset);
    return h('div', { role: 'listitem' }, h('button', { type: 'button', class: 'sbf-Button', on: { click: more } }, `${rest} more`));
  }

  private async _set(sourceId: string, choice: HTMLSelectElement): Promise<void> {
    choice.disabled = true;
    try {
      await this._change(sourceId, choice.value as Level);
    } catch (error) {
      Notification.error(sentence(error), { autoClose: 8000 });
      choice.value = this._levels[sourceId] ?? 'passages';
    }
    choice.disabled = false;
    choice.focus();
  }

  private _summarise(): void {
    const given = Object.values(this._levels);
    const count = (level: Level) => given.filter(it => it === level).length;
    const parts = [count('full') && `${count('full')} in full`, count('off') && `${count('off')} off`].filter(Boolean);
    this._told.textContent = parts.length ? parts.join(', ') : 'passages of all';
  }
}

/** How much of the window was used, and what was left out. */
function budget({ budget: spent, provenance, usage }: Answer): Node[] {
  const tokens = (count: number) => count.toLocaleString('en');
  const facts = [
    spent.window ? `${tokens(spent.used)} of ${tokens(spent.window)} tokens` : '',
    `${spent.passages} ${spent.passages === 1 ? 'passage' : 'passages'} read`,
    spent.cut ? `${spent.cut} left out${spent.cut_sources.length ? ` (${spent.cut_sources.slice(0, 5).join(', ')})` : ''}` : '',
    provenance.model,
    usage.cost_usd ? `$${usage.cost_usd.toFixed(4)}` : ''
  ];
  const told = h('span', {}, `Last answer: ${facts.filter(Boolean).join(' · ')}`);
  const meter = h('progress', { class: 'sbf-Meter', max: spent.window || 1, value: spent.used, 'aria-label': 'Tokens used' });
  return spent.window ? [meter, told] : [told];
}
