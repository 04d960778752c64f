/** What the panels show: notebooks, their sources as far as they were loaded, which notebook is current. */

import { ISignal, Signal } from '@lumino/signaling';

import { Notebook, Page, Source } from './records';
import { Service, ServiceError } from './service';

const PAGE = 100;
const MOST_NOTEBOOKS = 1000;

/** The loaded beginning of a notebook's sources. */
export interface Loaded {
  items: Source[];
  total: number;
}

export class Library {
  notebooks: Notebook[] = [];
  /** Why there is nothing to show. */
  problem: ServiceError | null = null;
  /** Whether the notebooks were loaded once. */
  ready = false;
  /** Whether the workspace is being opened. */
  opening = false;
  readonly loaded = new Map<string, Loaded>();
  /** Name or id of the notebook to begin with, from the settings. */
  preferred = '';
  filter = '';
  private _currentId = '';
  private _turn = 0;
  private _changed = new Signal<this, void>(this);
  private _sourceChanged = new Signal<this, Source>(this);
  private _currentChanged = new Signal<this, void>(this);
  private _watched = new Set<string>();
  private _watching: AbortController | null = null;

  constructor(readonly service: Service) {}

  /** Notebooks or the lists of sources have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** One source has changed, for example how far it is. */
  get sourceChanged(): ISignal<this, Source> {
    return this._sourceChanged;
  }

  /** Another notebook is current. */
  get currentChanged(): ISignal<this, void> {
    return this._currentChanged;
  }

  /** The notebook that files go into, and that search and chat are about. */
  get current(): Notebook | null {
    return this.notebooks.find(it => it.id === this._currentId) ?? null;
  }

  /** Whether sources are being processed, as far as this page knows. */
  get busy(): boolean {
    return this._watched.size > 0;
  }

  select(id: string): void {
    if (id !== this._currentId) {
      this._currentId = id;
      this._currentChanged.emit();
    }
  }

  /** Load the notebooks, and what is open of their sources. `background`: nobody asked for it. */
  async refresh(background = false): Promise<void> {
    if (!this.ready && !background) {
      this.opening = true;
      this._changed.emit();
    }
    try {
      const before = JSON.stringify(this.notebooks);
      const turn = ++this._turn;
      const [own, shared] = await Promise.all([
        this._allNotebooks({}, background),
        this._allNotebooks({ shared: true }, background).catch(() => [])
      ]);
      if (turn !== this._turn) {
        return; // what was asked for since is newer
      }
      const known = new Set(own.map(it => it.id));
      this.notebooks = [...own, ...shared.filter(it => !known.has(it.id))];
      this._keepCurrent();
      if (background && this.ready && !this.problem && before === JSON.stringify(this.notebooks)) {
        return;
      }
      await Promise.all([...this.loaded.keys()].map(id => this._reload(id, background)));
      this.problem = null;
      this.ready = true;
    } catch (error) {
      if (!background) {
        this.problem = ServiceError.from(error);
      }
    } finally {
      this.opening = false;
    }
    this._changed.emit();
  }

  /** Forget everything, as after a change of the service. */
  reset(): void {
    this._watching?.abort();
    this._watched.clear();
    this.loaded.clear();
    this.notebooks = [];
    this.ready = false;
    this._keepCurrent();
    this._changed.emit();
  }

  async create(name: string): Promise<Notebook> {
    const made = await this.service.call<Notebook>('CreateNotebook', { name });
    this._turn++;
    this.notebooks = [made, ...this.notebooks];
    this.loaded.set(made.id, { items: [], total: 0 });
    this.select(made.id);
    void this.refresh(true);
    return made;
  }

  /** Load the first, or with `more` the next sources of a notebook. */
  async load(id: string, more = false, background = false): Promise<void> {
    const old = more ? this.loaded.get(id) : undefined;
    const fields = { notebook_id: id, search: this.filter, limit: PAGE, offset: old?.items.length ?? 0 };
    const page = await this.service.call<Page<Source>>('ListSources', fields, background);
    this.loaded.set(id, { items: [...(old?.items ?? []), ...page.items], total: page.total });
    this.watch(page.items);
    this._changed.emit();
  }

  /** Show only sources whose name has these words; of the notebooks that are open. */
  async setFilter(filter: string): Promise<void> {
    this.filter = filter;
    await Promise.all([...this.loaded.keys()].map(id => this.load(id)));
    this._changed.emit();
  }

  /** Let go of the sources of a notebook that was folded. */
  unload(id: string): void {
    this.loaded.delete(id);
    this._changed.emit();
  }

  /** Take in what is known of a source, and follow it until it has ended. */
  put(notebookId: string, source: Source): void {
    const list = this.loaded.get(notebookId);
    if (list && !list.items.some(it => it.id === source.id)) {
      list.items.unshift(source);
      list.total++;
      this._changed.emit();
    } else {
      this._update(source);
    }
    this.watch([source]);
  }

  /** Follow sources that are not finished: one stream for all, since a browser has few connections. */
  watch(sources: Source[]): void {
    const fresh = sources.filter(it => !finished(it) && !this._watched.has(it.id));
    if (fresh.length) {
      fresh.forEach(it => this._watched.add(it.id));
      this._watching?.abort();
      this._watching = new AbortController();
      void this._follow(this._watching.signal);
    }
  }

  private async _follow(signal: AbortSignal): Promise<void> {
    try {
      const ids = [...this._watched];
      for await (const line of this.service.stream('WatchSources', { source_ids: ids }, signal)) {
        const source: Source = line.value;
        if (finished(source)) {
          this._watched.delete(source.id);
        }
        this._update(source);
      }
    } catch {
      // A lost connection ends the watching; the next refresh begins anew.
    }
    if (!signal.aborted) {
      this._watched.clear();
      await this.refresh(true);
    }
  }

  private _update(source: Source): void {
    for (const list of this.loaded.values()) {
      const at = list.items.findIndex(it => it.id === source.id);
      if (at >= 0) {
        list.items[at] = source;
      }
    }
    this._sourceChanged.emit(source);
  }

  private async _reload(id: string, background: boolean): Promise<void> {
    if (this.notebooks.some(it => it.id === id)) {
      await this.load(id, false, background);
    } else {
      this.loaded.delete(id);
    }
  }

  private async _allNotebooks(fields: object, background: boolean): Promise<Notebook[]> {
    const found: Notebook[] = [];
    for (;;) {
      const wanted = { ...fields, limit: PAGE, offset: found.length };
      const page = await this.service.call<Page<Notebook>>('ListNotebooks', wanted, background);
      found.push(...page.items);
      if (!page.items.length || found.length >= Math.min(page.total, MOST_NOTEBOOKS)) {
        return found;
      }
    }
  }

  /** Keep a current notebook: the one from before, the preferred one, else the one last worked on. */
  private _keepCurrent(): void {
    if (!this.current) {
      const preferred = this.notebooks.find(it => this.preferred && [it.id, it.name].includes(this.preferred));
      this.select((preferred ?? this.notebooks[0])?.id ?? '');
    }
  }
}

/** Tell whether nothing more will happen to a source by itself. */
export function finished(source: Source): boolean {
  return source.status === 'ready' || source.status === 'failed' || stopped(source);
}

/** Tell whether somebody stopped its processing; it can go on where it was. */
export function stopped(source: Source): boolean {
  return source.status === 'pending' && source.stage === 'cancelled';
}
