/** The tree of research notebooks and their sources. */

import { Notification } from '@jupyterlab/apputils';
import { LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Message } from '@lumino/messaging';
import { Menu, Widget } from '@lumino/widgets';

import { Actions, sentence } from './actions';
import { button, h, iconButton, problemView } from './dom';
import * as icons from './icons';
import { finished, Library, Loaded, stopped } from './library';
import { Notebook, Source } from './records';

const FILTER_MILLISECONDS = 250;

const STATUS: Record<Source['status'] | 'stopped', [LabIcon, string]> = {
  stopped: [icons.stopIcon, 'Stopped'],
  ready: [icons.readyIcon, 'Ready'],
  pending: [icons.waitingIcon, 'Waiting'],
  processing: [icons.workingIcon, 'Processing'],
  failed: [icons.failedIcon, 'Failed']
};

export class LibraryView extends Widget {
  private _tree = h('div', { class: 'sbf-Tree', role: 'tree', 'aria-label': 'Research notebooks and sources' });
  private _filter = h('input', { class: 'sbf-Input', type: 'search', placeholder: 'Filter', 'aria-label': 'Filter notebooks and sources' });
  private _rows = new Map<string, HTMLElement>();
  private _waiting = 0;
  private _focused = '';

  constructor(
    private _library: Library,
    private _actions: Actions,
    private _commands: CommandRegistry,
    private _open: (source: Source) => void
  ) {
    super();
    this.addClass('sbf-Library');
    const add = iconButton(icons.addIcon, 'Add sources', () => this._addMenu(add), 'sbf-mod-accent');
    add.setAttribute('aria-haspopup', 'menu');
    this.node.append(
      h(
        'div',
        { class: 'sbf-Bar', role: 'toolbar', 'aria-label': 'Library' },
        this._filter,
        iconButton(icons.addNotebookIcon, 'New research notebook', () => void this._actions.newNotebook()),
        add,
        iconButton(icons.refreshIcon, 'Refresh', () => void this._library.refresh())
      ),
      this._tree
    );
    this._filter.addEventListener('input', () => this._filterSoon());
    this._tree.addEventListener('keydown', event => this._onKey(event));
    this._tree.addEventListener('focusin', event => this._rove(event.target as HTMLElement));
    _library.changed.connect(this._draw, this);
    _library.currentChanged.connect(this._draw, this);
    _library.sourceChanged.connect((_, source) => this._redraw(source));
    this._draw();
  }

  protected override onActivateRequest(_: Message): void {
    this._filter.focus();
  }

  private _filterSoon(): void {
    window.clearTimeout(this._waiting);
    const apply = () => this._library.setFilter(this._filter.value.trim()).catch(error => Notification.error(sentence(error)));
    this._waiting = window.setTimeout(apply, FILTER_MILLISECONDS);
  }

  private _draw(): void {
    const focused = this._tree.contains(document.activeElement) ? this._focused : '';
    const top = this._tree.scrollTop;
    const before = [...this._rows.keys()];
    this._rows.clear();
    const { problem, notebooks, ready } = this._library;
    const words = this._library.filter.toLowerCase();
    const shown = notebooks.filter(it => !words || this._library.loaded.has(it.id) || it.name.toLowerCase().includes(words));
    this._tree.setAttribute('aria-busy', String(this._library.opening));
    if (problem) {
      this._tree.replaceChildren(problemView(problem, () => void this._library.refresh()));
    } else if (!ready) {
      this._tree.replaceChildren(h('div', { class: 'sbf-Empty', role: 'status' }, h('span', { class: 'sbf-Spinner' }), 'Opening the workspace…'));
    } else if (!notebooks.length) {
      this._tree.replaceChildren(this._welcome());
    } else {
      this._tree.replaceChildren(...shown.flatMap(it => this._branch(it)));
    }
    this._tree.setAttribute('role', this._rows.size ? 'tree' : 'group'); // a tree holds nothing but rows
    this._tree.scrollTop = top;
    const first = this._rows.get(this._focused) ?? this._rows.get(this._library.current?.id ?? '') ?? [...this._rows.values()][0];
    first?.setAttribute('tabindex', '0');
    if (focused) {
      const at = before.indexOf(focused);
      const near = [...before.slice(at), ...before.slice(0, at).reverse()].find(it => this._rows.has(it));
      (this._rows.get(near ?? '') ?? this._filter).focus(); // the row itself, or one beside where it was
    }
  }

  private _welcome(): HTMLElement {
    return h(
      'div',
      { class: 'sbf-Empty' },
      icons.brainIcon.element({ tag: 'span', className: 'sbf-Empty-icon' }),
      h('p', {}, 'Bring in papers, pages and notes; search them and get answers that cite the exact words.'),
      button('New research notebook', () => void this._actions.newNotebook(), 'sbf-mod-accept'),
      h('p', { class: 'sbf-Faint' }, 'Then drag files here from the file browser.')
    );
  }

  private _branch(notebook: Notebook): HTMLElement[] {
    const list = this._library.loaded.get(notebook.id);
    const current = notebook.id === this._library.current?.id;
    const row = h(
      'div',
      {
        class: `sbf-Row sbf-Notebook${current ? ' sbf-mod-current' : ''}`,
        role: 'treeitem',
        tabindex: -1,
        'aria-level': 1,
        'aria-expanded': String(Boolean(list)),
        'aria-selected': String(current),
        'data-notebook': notebook.id,
        title: [notebook.name, notebook.description, notebook.owner && `shared by ${notebook.owner}`].filter(Boolean).join('\n'),
        on: { click: () => void this._toggle(notebook) }
      },
      h('span', { class: 'sbf-Twist', 'aria-hidden': 'true' }),
      icons.notebookIcon.element({ tag: 'span', className: 'sbf-Icon' }),
      h('span', { class: 'sbf-Name' }, notebook.name),
      notebook.owner ? h('span', { class: 'sbf-Faint sbf-Owner' }, notebook.owner) : null,
      h('span', { class: 'sbf-Count', 'aria-label': `${notebook.source_count} ${notebook.source_count === 1 ? 'source' : 'sources'}` }, String(notebook.source_count))
    );
    this._rows.set(notebook.id, row);
    return list ? [row, this._sources(notebook, list)] : [row];
  }

  private _sources(notebook: Notebook, list: Loaded): HTMLElement {
    const group = h('div', { role: 'group', class: 'sbf-Group' }, ...list.items.map(it => this._sourceRow(notebook, it)));
    if (!list.items.length) {
      const words = this._library.filter ? 'Nothing of that name' : 'Drag files here, or use +';
      group.append(h('div', { class: 'sbf-Row sbf-Faint sbf-mod-note' }, words));
    } else if (list.items.length < list.total) {
      group.append(this._more(notebook, list));
    }
    return group;
  }

  /** The row that stands for what is not loaded yet, and loads it when it comes into sight. */
  private _more(notebook: Notebook, list: Loaded): HTMLElement {
    const load = () => void this._library.load(notebook.id, true).catch(error => Notification.error(sentence(error)));
    const row = h('div', { class: 'sbf-Row sbf-Faint sbf-mod-note' }, `${list.total - list.items.length} more…`);
    const seen = new IntersectionObserver(entries => {
      if (entries.some(it => it.isIntersecting)) {
        seen.disconnect();
        load();
      }
    });
    seen.observe(row);
    return row;
  }

  private _sourceRow(notebook: Notebook, source: Source): HTMLElement {
    const status = stopped(source) ? 'stopped' : source.status;
    const [icon, label] = STATUS[status];
    const row = h(
      'div',
      {
        class: `sbf-Row sbf-Source sbf-is-${status}`,
        role: 'treeitem',
        tabindex: -1,
        'aria-level': 2,
        'aria-selected': 'false',
        'aria-label': `${source.name}, ${label}${source.message ? ': ' + source.message : ''}`,
        'data-notebook': notebook.id,
        'data-source': source.id,
        title: [source.name, source.origin, source.message].filter(Boolean).join('\n'),
        on: { click: () => this._activate(source) }
      },
      icon.element({ tag: 'span', className: 'sbf-Icon sbf-Status', title: label }),
      h('span', { class: 'sbf-Name' }, source.name),
      this._stage(source),
      h('span', { class: 'sbf-RowActions' }, ...this._buttons(notebook, source)),
      source.status === 'failed' ? h('span', { class: 'sbf-Reason' }, source.message || source.reason) : null
    );
    if (!finished(source) && source.total) {
      const label = `${source.name}: ${source.stage}`;
      row.append(h('progress', { class: 'sbf-Progress', max: source.total, value: source.done, 'aria-label': label }));
    }
    this._rows.set(`${notebook.id}/${source.id}`, row);
    return row;
  }

  private _stage(source: Source): HTMLElement | null {
    if (finished(source)) {
      return stopped(source) ? h('span', { class: 'sbf-Faint sbf-Stage' }, 'stopped') : null;
    }
    const share = source.total ? ` ${source.done}/${source.total}` : '';
    return h('span', { class: 'sbf-Faint sbf-Stage' }, (source.stage || 'waiting') + share);
  }

  private _buttons(notebook: Notebook, source: Source): HTMLElement[] {
    const remove = iconButton(icons.removeIcon, `Remove ${source.name}`, () => void this._actions.remove(notebook.id, source));
    const retry = iconButton(icons.refreshIcon, `Try ${source.name} again`, () => void this._actions.retry(source));
    const cancel = iconButton(icons.stopIcon, `Stop ${source.name}`, () => void this._actions.cancel(source));
    const shown = finished(source) ? [...(source.status === 'ready' ? [] : [retry]), remove] : [cancel];
    shown.forEach(it => (it.tabIndex = -1)); // the keys Delete and R do the same
    return shown;
  }

  /** Draw one source anew, where it stands. */
  private _redraw(source: Source): void {
    for (const notebook of this._library.notebooks) {
      const key = `${notebook.id}/${source.id}`;
      const old = this._rows.get(key);
      if (old) {
        const focused = old === document.activeElement;
        const row = this._sourceRow(notebook, source);
        row.tabIndex = old.tabIndex;
        old.replaceWith(row);
        if (focused) {
          row.focus();
        }
      }
    }
  }

  private _activate(source: Source): void {
    if (source.version) {
      this._open(source);
    }
  }

  private async _toggle(notebook: Notebook): Promise<void> {
    const open = this._library.loaded.has(notebook.id);
    const current = notebook.id === this._library.current?.id;
    this._focused = notebook.id;
    this._library.select(notebook.id);
    if (open && current) {
      this._library.unload(notebook.id);
    } else if (!open) {
      await this._library.load(notebook.id).catch(error => Notification.error(sentence(error)));
    }
  }

  private _rove(target: HTMLElement): void {
    const row = target.closest<HTMLElement>('[role=treeitem]');
    if (row) {
      this._rows.forEach(it => it.setAttribute('tabindex', it === row ? '0' : '-1'));
      this._focused = [...this._rows].find(([, it]) => it === row)?.[0] ?? '';
    }
  }

  private _onKey(event: KeyboardEvent): void {
    const rows = [...this._rows.values()];
    const row = (event.target as HTMLElement).closest<HTMLElement>('[role=treeitem]');
    const at = row ? rows.indexOf(row) : -1;
    const notebook = this._library.notebooks.find(it => it.id === row?.dataset.notebook);
    if (!row || !notebook || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const source = this._library.loaded.get(notebook.id)?.items.find(it => it.id === row.dataset.source);
    const open = this._library.loaded.has(notebook.id);
    const keys: Record<string, () => void> = {
      ArrowDown: () => rows[at + 1]?.focus(),
      ArrowUp: () => rows[at - 1]?.focus(),
      Home: () => rows[0].focus(),
      End: () => rows[rows.length - 1].focus(),
      ArrowRight: () => (source || open ? rows[at + 1]?.focus() : void this._toggle(notebook)),
      ArrowLeft: () => (source ? this._rows.get(notebook.id)?.focus() : open && this._library.unload(notebook.id)),
      Enter: () => (source ? this._activate(source) : void this._toggle(notebook)),
      ' ': () => (source ? this._activate(source) : void this._toggle(notebook)),
      F2: () => !source && void this._actions.renameNotebook(notebook),
      Delete: () => void (source ? this._actions.remove(notebook.id, source) : this._actions.deleteNotebook(notebook)),
      r: () => source && finished(source) && source.status !== 'ready' && void this._actions.retry(source)
    };
    if (keys[event.key]) {
      event.preventDefault();
      event.stopPropagation();
      keys[event.key]();
    }
  }

  private _addMenu(anchor: HTMLElement): void {
    const menu = new Menu({ commands: this._commands });
    for (const command of ['sbf:upload', 'sbf:add-address', 'sbf:add-text']) {
      menu.addItem({ command });
    }
    const { left, bottom } = anchor.getBoundingClientRect();
    menu.open(left, bottom);
    menu.aboutToClose.connect(() => anchor.focus());
  }
}
