/** The jobs at work, in the status bar: how many, and on a click which, how far, and a way to stop them. */

import { Popup, showPopup } from '@jupyterlab/statusbar';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { h, iconButton } from './dom';
import * as icons from './icons';
import { Library } from './library';
import { Job, Page } from './records';

const BUSY_MILLISECONDS = 2000;
const IDLE_MILLISECONDS = 20000;
const SHOWN = 20;

export class JobsStatus extends Widget {
  private _jobs: Job[] = [];
  private _total = 0;
  private _timer = 0;
  private _popup: Popup | null = null;
  private _label = h('button', { type: 'button', class: 'sbf-JobsLabel jp-StatusBar-TextItem' });

  constructor(private _library: Library) {
    super();
    this.addClass('sbf-Jobs');
    this.addClass('jp-mod-highlighted');
    this.node.append(this._label);
    this._label.addEventListener('click', () => this._toggle());
    _library.changed.connect(() => this._soon(100));
    _library.sourceChanged.connect(() => this._soon(BUSY_MILLISECONDS));
    this._draw();
  }

  protected override onBeforeDetach(_: Message): void {
    window.clearTimeout(this._timer);
  }

  private _soon(milliseconds: number): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => void this._poll(), milliseconds);
  }

  /** Ask what runs and waits; not while nobody looks, nor before the workspace was opened for something else. */
  private async _poll(): Promise<void> {
    if (this._library.ready && !document.hidden) {
      const list = (status: string) =>
        this._library.service.call<Page<Job>>('ListJobs', { status, limit: SHOWN }, true).catch(() => ({ items: [], total: 0 }));
      const [running, queued] = [await list('running'), await list('queued')];
      this._jobs = [...running.items, ...queued.items].slice(0, SHOWN);
      this._total = running.total + queued.total;
      this._draw();
    }
    this._soon(this._total || this._library.busy ? BUSY_MILLISECONDS : IDLE_MILLISECONDS);
  }

  private _draw(): void {
    const words = this._total ? `${this._total} ${this._total === 1 ? 'job' : 'jobs'}` : '';
    const icon = (this._total ? icons.workingIcon : icons.brainIcon).element({ tag: 'span', className: 'sbf-Icon' });
    icon.classList.toggle('sbf-mod-turning', this._total > 0);
    this._label.replaceChildren(icon, words);
    this._label.title = this._total ? 'Second Brain is at work' : 'Second Brain: no jobs';
    this._label.setAttribute('aria-label', this._label.title + (words && `: ${words}`));
    this._list.replaceChildren(...this._rows());
  }

  private _list = h('div', { class: 'sbf-JobList', role: 'list', 'aria-label': 'Jobs' });

  private _rows(): HTMLElement[] {
    if (!this._jobs.length) {
      return [h('div', { class: 'sbf-Row sbf-Faint', role: 'listitem' }, 'Nothing runs or waits')];
    }
    const rest = this._total - this._jobs.length;
    const rows = this._jobs.map(job => this._row(job));
    return rest > 0 ? [...rows, h('div', { class: 'sbf-Row sbf-Faint', role: 'listitem' }, `${rest} more`)] : rows;
  }

  private _row(job: Job): HTMLElement {
    const share = job.total ? ` ${job.done}/${job.total}` : '';
    const cancel = () => void this._library.service.call('CancelJob', { job_id: job.id }).finally(() => this._soon(0));
    return h(
      'div',
      { class: 'sbf-Row', role: 'listitem' },
      h('span', { class: 'sbf-Name', title: job.message }, job.subject || job.kind),
      h('span', { class: 'sbf-Faint' }, `${job.status}${share}`),
      iconButton(icons.stopIcon, `Stop ${job.subject || job.kind}`, cancel)
    );
  }

  private _toggle(): void {
    if (this._popup && !this._popup.isDisposed) {
      this._popup.dispose();
      this._popup = null;
      return;
    }
    this._soon(0);
    const body = new Widget({ node: this._list });
    this._popup = showPopup({ body, anchor: this, align: 'right', hasDynamicSize: true });
  }
}
