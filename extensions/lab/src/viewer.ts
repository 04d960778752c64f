/** A tab in the main area with the stored text of a source, the cited words highlighted and in sight. */

import { MainAreaWidget, Notification } from '@jupyterlab/apputils';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { quote } from './cells';
import { h, iconButton, problemView } from './dom';
import * as icons from './icons';
import { Inserter } from './inserter';
import { PageView } from './pageView';
import { place, SourceText, Span, utf16 } from './records';
import { Service, ServiceError } from './service';

/** So many UTF-16 units or more stand in a block: the browser lays out only the blocks in sight. */
const BLOCK = 4000;

/** Where a part of a text begins and ends, in UTF-16 units. */
type Marked = [number, number];

/** What a viewer shows: a source, or a span of it. */
export interface ViewerArgs {
  source_id: string;
  source: string;
  version_id?: string | null;
  version?: number;
  start?: number;
  end?: number;
  location?: Span['location'];
  highlights?: Span['highlights'];
}

export class SourceViewer extends Widget {
  private _text = h('div', { class: 'sbf-Text', role: 'document', tabindex: 0 });
  private _where = h('span', { class: 'sbf-Faint' });
  private _tools = h('span');
  private _pages: PageView;
  private _loaded: SourceText | null = null;

  constructor(
    public args: ViewerArgs,
    private _service: Service,
    private _inserter: Inserter
  ) {
    super();
    this.addClass('sbf-Viewer');
    this._pages = new PageView(_service);
    const name = h('strong', { class: 'sbf-Name' }, args.source);
    this.node.append(
      h('div', { class: 'sbf-Viewer-head' }, name, this._where, h('span', { class: 'sbf-RowActions' }, this._tools, this._pages.toggle)),
      h('div', { class: 'sbf-Viewer-body' }, this._text, this._pages.node)
    );
    void this.display(args);
  }

  /** Show a span of this source. */
  async display(args: ViewerArgs): Promise<void> {
    this.args = args;
    try {
      if (!this._loaded || (args.version_id && args.version_id !== this._loaded.version_id)) {
        this._text.setAttribute('aria-busy', 'true');
        const wanted = { source_id: args.source_id, version_id: args.version_id ?? null };
        const text = this._service.call<SourceText>('GetSourceText', wanted);
        [this._loaded] = await Promise.all([text, this._pages.begin(args.source_id)]);
      }
      this._draw(this._loaded);
    } catch (error) {
      this._text.replaceChildren(problemView(ServiceError.from(error), () => void this.display(args)));
    } finally {
      this._text.removeAttribute('aria-busy');
    }
  }

  protected override onActivateRequest(_: Message): void {
    this._text.focus({ preventScroll: true });
  }

  override dispose(): void {
    this._pages.end();
    super.dispose();
  }

  private _draw(loaded: SourceText): void {
    const { start, end, location, highlights } = this.args;
    const at = (index: number) => utf16(loaded.text, index);
    const cited: Marked = start !== undefined && end !== undefined ? [at(start), at(end)] : [0, 0];
    const matches: Marked[] = (highlights ?? []).map(([from, to]) => [at(start! + from), at(start! + to)]);
    const where = [location ? place(location) : '', `version ${loaded.version}`, `${loaded.text.length.toLocaleString()} characters`];
    this._where.textContent = where.filter(Boolean).join(' · ');
    const blocks = cut(loaded.text).map(([from, to]) => h('div', { class: 'sbf-Block' }, ...pieces(loaded.text, [from, to], cited, matches)));
    this._text.replaceChildren(...blocks);
    this._text.setAttribute('aria-label', loaded.name);
    this._pages.show(loaded, location?.page ?? 1);
    this._tools.replaceChildren(...(cited[1] > cited[0] ? this._citing(loaded, cited) : []));
    const mark = this._text.querySelector('mark mark') ?? this._text.querySelector('mark');
    if (mark) {
      window.requestAnimationFrame(() => mark.scrollIntoView({ block: 'center' }));
      // Blocks that come into sight get their real height: what was in the middle may have moved.
      window.setTimeout(() => mark.scrollIntoView({ block: 'center' }), 150);
    }
  }

  private _citing(loaded: SourceText, [from, to]: Marked): HTMLElement[] {
    const words = loaded.text.slice(from, to);
    const span = { ...this.args, version: loaded.version, text: words } as any;
    const copy = () => void navigator.clipboard.writeText(words).then(() => Notification.success('Copied', { autoClose: 1500 }));
    return [
      iconButton(icons.insertIcon, 'Insert as a quote with its source', () => this._inserter.insert('markdown', quote(span))),
      iconButton(icons.copyIcon, 'Copy these words', copy)
    ];
  }
}

/** Make the tab for a viewer. */
export function viewerTab(viewer: SourceViewer): MainAreaWidget<SourceViewer> {
  const tab = new MainAreaWidget({ content: viewer });
  tab.id = `sbf-viewer-${viewer.args.source_id}-${viewer.args.version_id ?? 'newest'}`;
  tab.title.label = viewer.args.source;
  tab.title.caption = viewer.args.source;
  tab.title.icon = icons.sourceIcon;
  tab.title.closable = true;
  tab.toolbar.hide();
  return tab;
}

/** Cut a text into blocks that end with a line. */
function cut(text: string): Marked[] {
  const blocks: Marked[] = [];
  for (let from = 0; from < text.length; ) {
    const line = text.indexOf('\n', from + BLOCK);
    const to = line < 0 ? text.length : line + 1;
    blocks.push([from, to]);
    from = to;
  }
  return blocks;
}

/** A block of the text, with what of the cited words is in it marked, and in these what matches a query. */
function pieces(text: string, [from, to]: Marked, [start, end]: Marked, matches: Marked[]): (Node | string)[] {
  const first = Math.max(from, start);
  const last = Math.min(to, end);
  if (last <= first) {
    return [text.slice(from, to)];
  }
  const mark = h('mark', { class: `sbf-Cited${matches.length ? ' sbf-mod-passage' : ''}` });
  let at = first;
  for (const [begin, stop] of matches.filter(it => it[0] >= first && it[1] <= last)) {
    mark.append(text.slice(at, begin), h('mark', {}, text.slice(begin, stop)));
    at = stop;
  }
  mark.append(text.slice(at, last));
  return [text.slice(from, first), mark, text.slice(last, to)];
}
