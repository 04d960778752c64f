/** The printed page beside the text: a picture that the server draws, asked for when it comes into sight. */

import { h, iconButton, problemView } from './dom';
import * as icons from './icons';
import { Source, SourceText } from './records';
import { Service, ServiceError } from './service';

/** Widths are rounded up to this, so that the same picture fits many windows and is found in the cache. */
const STEP = 200;
const WIDEST = 2000;

export class PageView {
  private _picture = h('div', { class: 'sbf-Page-picture' });
  private _number = h('input', { class: 'sbf-Input', type: 'number', min: 1, 'aria-label': 'Page' });
  private _count = h('span', { class: 'sbf-Faint' });
  private _before = iconButton(icons.beforeIcon, 'Page before', () => this._turn(this._page - 1));
  private _after = iconButton(icons.afterIcon, 'Next page', () => this._turn(this._page + 1));
  private _bar = h('div', { class: 'sbf-Page-bar', role: 'group', 'aria-label': 'Pages' }, this._before, this._number, this._count, this._after);
  readonly node = h('section', { class: 'sbf-Page', 'aria-label': 'Printed page', hidden: true }, this._bar, this._picture);
  /** Hides the picture and brings it back. */
  readonly toggle = iconButton(icons.pageIcon, 'Printed page', () => this._show(this.node.hidden));
  private _source: SourceText | null = null;
  private _page = 1;
  private _pages = 1;
  private _url = '';
  private _asking: AbortController | null = null;
  private _seen = new IntersectionObserver(entries => entries.some(it => it.isIntersecting) && void this._load());

  constructor(private _service: Service) {
    this.toggle.hidden = true;
    this._number.addEventListener('change', () => this._turn(Number(this._number.value)));
  }

  /** Find out whether a source has pages; to be called before its text is drawn, which then stands where it stays. */
  async begin(sourceId: string): Promise<void> {
    const source = await this._service.call<Source>('GetSource', { source_id: sourceId }).catch(() => null);
    const paged = source?.media_type === 'application/pdf' && Boolean(source.page_count);
    this._pages = source?.page_count ?? 1;
    this.toggle.hidden = !paged;
    this._show(paged);
  }

  /** Show a page of this version. */
  show(source: SourceText, page: number): void {
    this._source = source;
    this._turn(page);
  }

  end(): void {
    this._asking?.abort();
    this._seen.disconnect();
    URL.revokeObjectURL(this._url);
  }

  private _show(on: boolean): void {
    this.node.hidden = !on;
    this.toggle.setAttribute('aria-pressed', String(on));
  }

  private _turn(page: number): void {
    this._page = Math.min(Math.max(1, Math.round(page) || 1), this._pages);
    this._draw();
    this._picture.setAttribute('aria-busy', 'true');
    this._seen.disconnect(); // observed anew, it tells at once whether it is in sight
    this._seen.observe(this._picture);
  }

  private _draw(): void {
    this._number.value = String(this._page);
    this._number.max = String(this._pages);
    this._count.textContent = `of ${this._pages}`;
    this._before.disabled = this._page <= 1;
    this._after.disabled = this._page >= this._pages;
  }

  private async _load(): Promise<void> {
    this._seen.disconnect();
    this._asking?.abort();
    const { source_id, version_id, name } = this._source!;
    const page = this._page;
    const asking = (this._asking = new AbortController());
    const pixels = this._picture.clientWidth * Math.min(2, window.devicePixelRatio || 1);
    const width = Math.min(WIDEST, Math.max(1, Math.ceil(pixels / STEP)) * STEP);
    try {
      const { picture, pages } = await this._service.page({ source_id, version_id, page, width }, asking.signal);
      URL.revokeObjectURL(this._url);
      this._url = URL.createObjectURL(picture);
      this._pages = pages;
      this._draw();
      this._picture.replaceChildren(h('img', { src: this._url, alt: `Page ${page} of ${name}` }));
    } catch (error) {
      if (!asking.signal.aborted) {
        this._picture.replaceChildren(problemView(ServiceError.from(error), () => this._turn(page)));
      }
    }
    if (this._asking === asking) {
      this._picture.removeAttribute('aria-busy');
    }
  }
}
