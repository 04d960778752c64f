/** The panel at the left: Library, Search, Chat. */

import { Message } from '@lumino/messaging';
import { PanelLayout, Widget } from '@lumino/widgets';

import { Actions } from './actions';
import { ChatView } from './chatView';
import { h, problemView } from './dom';
import { acceptDrops } from './drop';
import { brainIcon } from './icons';
import { Library } from './library';
import { LibraryView } from './libraryView';
import { SearchView } from './searchView';

/** How often what others changed is looked for, while somebody can see it. */
const LOOK_MILLISECONDS = 10000;

export type Tab = 'library' | 'search' | 'chat';

export class Sidebar extends Widget {
  private _tabs = h('div', { class: 'sbf-Tabs', role: 'tablist', 'aria-label': 'Second Brain' });
  private _notice = h('div', { class: 'sbf-Notice' });
  private _views: Record<Tab, Widget>;
  private _looking = 0;
  private _begun: Promise<boolean> | null = null;

  constructor(
    private _library: Library,
    actions: Actions,
    library: LibraryView,
    readonly search: SearchView,
    readonly chat: ChatView
  ) {
    super();
    this.id = 'sbf-sidebar';
    this.addClass('sbf-Sidebar');
    this.title.icon = brainIcon;
    this.title.caption = 'Second Brain';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Second Brain');
    this._views = { library, search, chat };
    const layout = (this.layout = new PanelLayout());
    layout.addWidget(new Widget({ node: this._tabs }));
    layout.addWidget(new Widget({ node: this._notice }));
    for (const [tab, view] of Object.entries(this._views)) {
      layout.addWidget(view);
      this._addTab(tab as Tab, view);
    }
    this._tabs.addEventListener('keydown', event => this._onKey(event));
    acceptDrops(this.node, this._library, actions);
    this.reveal('library');
  }

  /** Show a tab. */
  reveal(tab: Tab): void {
    for (const [name, view] of Object.entries(this._views)) {
      view.setHidden(name !== tab);
    }
    for (const it of this._tabs.querySelectorAll<HTMLElement>('[role=tab]')) {
      const on = it.dataset.tab === tab;
      it.setAttribute('aria-selected', String(on));
      it.tabIndex = on ? 0 : -1;
    }
  }

  /** Show a tab and move the focus to where one writes. */
  enter(tab: Tab): void {
    this.reveal(tab);
    this._views[tab].activate();
  }

  /**
   * Find the server half and open the workspace: when the panel is first seen, not when JupyterLab starts.
   * Tells whether the server half is there.
   */
  begin(again = false): Promise<boolean> {
    if (!this._begun || again) {
      this._begun = this._begin();
    }
    return this._begun;
  }

  private async _begin(): Promise<boolean> {
    const problem = await this._library.service.check();
    const blocked = problem !== null && problem.code !== 'version_mismatch';
    this._notice.replaceChildren(...(problem ? [problemView(problem, () => void this.begin(true))] : []));
    this.toggleClass('sbf-mod-blocked', blocked);
    if (blocked) {
      return false;
    }
    await this._library.refresh();
    const { current, loaded } = this._library;
    if (current && !loaded.size) {
      await this._library.load(current.id).catch(() => undefined);
    }
    return true;
  }

  protected override onAfterShow(_: Message): void {
    void this.begin();
    this._looking ||= window.setInterval(() => this._look(), LOOK_MILLISECONDS);
  }

  protected override onAfterAttach(message: Message): void {
    if (this.isVisible) {
      this.onAfterShow(message);
    }
  }

  protected override onAfterHide(_: Message): void {
    window.clearInterval(this._looking);
    this._looking = 0;
  }

  protected override onActivateRequest(_: Message): void {
    this._tabs.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
  }

  private _look(): void {
    if (!document.hidden && this._library.ready && !this._library.busy) {
      void this._library.refresh(true);
      void this.chat.renew(true);
    }
  }

  private _addTab(tab: Tab, view: Widget): void {
    view.id = `sbf-${tab}`;
    view.node.setAttribute('role', 'tabpanel');
    view.node.setAttribute('aria-labelledby', `sbf-tab-${tab}`);
    const label = tab[0].toUpperCase() + tab.slice(1);
    const props = { class: 'sbf-Tab', id: `sbf-tab-${tab}`, type: 'button', role: 'tab', 'aria-controls': view.id, 'data-tab': tab };
    this._tabs.append(h('button', { ...props, on: { click: () => this.enter(tab) } }, label));
  }

  private _onKey(event: KeyboardEvent): void {
    const tabs = [...this._tabs.querySelectorAll<HTMLElement>('[role=tab]')];
    const at = tabs.findIndex(it => it.getAttribute('aria-selected') === 'true');
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const next = tabs[(at + step + tabs.length) % tabs.length];
      this.reveal(next.dataset.tab as Tab);
      next.focus();
      event.preventDefault();
    }
  }
}
