/** One message of a chat: its words, its citations, and what can be done with it. */

import { Notification } from '@jupyterlab/apputils';

import { sentence } from './actions';
import { answerMarkdown, escapeMarkdown } from './cells';
import { h, iconButton, problemView } from './dom';
import * as icons from './icons';
import { Inserter } from './inserter';
import { Library } from './library';
import { markdown } from './markdown';
import { Citation, citationsOf, Message, MessageDelta, place, Span } from './records';
import { ServiceError } from './service';

export class MessageView {
  readonly node: HTMLElement;
  private _body = h('div', { class: 'sbf-Words' });
  private _foot = h('div', { class: 'sbf-Message-foot' });
  private _citations = new Map<number, Citation>();
  private _frame = 0;

  constructor(
    public message: Message,
    private _library: Library,
    private _inserter: Inserter,
    private _open: (span: Span) => void
  ) {
    const who = message.role === 'user' ? 'You' : 'Second Brain';
    const props = { class: `sbf-Message sbf-is-${message.role}`, role: 'article', 'aria-label': who };
    this.node = h('div', props, this._body, this._foot);
    this.set(message);
  }

  /** Take a piece that was just written. */
  add(delta: MessageDelta): void {
    const written = [...this.message.text];
    const text = written.slice(0, delta.start).join('') + delta.text;
    this.message = { ...this.message, id: delta.message_id, text: delta.text ? text : this.message.text };
    if (delta.citation) {
      this._citations.set(delta.citation.marker, delta.citation);
    }
    this._frame ||= window.requestAnimationFrame(() => this._draw());
  }

  /** Take the message as it is stored. */
  set(message: Message): void {
    this.message = message;
    citationsOf(message.answer).forEach(it => this._citations.set(it.marker, it));
    this._draw();
  }

  /** Show that it could not be written. */
  fail(error: ServiceError): void {
    const stopped = error.code === 'cancelled';
    this.message = { ...this.message, status: stopped ? 'stopped' : 'failed', error: stopped ? '' : sentence(error) };
    this._draw();
  }

  private _draw(): void {
    window.cancelAnimationFrame(this._frame);
    this._frame = 0;
    const { role, text, status, error } = this.message;
    this.node.classList.toggle('sbf-is-writing', status === 'writing');
    this.node.dataset.status = status;
    if (role === 'user') {
      this._body.textContent = text;
      return;
    }
    this._body.replaceChildren(markdown(text, n => this._marker(n)));
    if (status === 'writing' && !text) {
      this._body.append(h('span', { class: 'sbf-Faint' }, h('span', { class: 'sbf-Spinner' }), 'Reading the sources…'));
    }
    const stopped = status === 'stopped' ? h('span', { class: 'sbf-Faint' }, 'Stopped') : null;
    const failed = status === 'failed' ? problemView({ message: error || 'This answer failed.' }) : null;
    this._foot.replaceChildren(...([failed, stopped, ...this._actions()].filter(Boolean) as Node[]));
  }

  private _marker(marker: number): HTMLElement | null {
    const citation = this._citations.get(marker);
    if (!citation) {
      return null;
    }
    const where = [citation.source, place(citation.location)].filter(Boolean).join(', ');
    const bad = citation.status !== 'verified';
    const label = `${bad ? 'Unverified citation' : 'Citation'} ${marker}: ${where}`;
    return h(
      'button',
      {
        type: 'button',
        class: `sbf-Marker${bad ? ' sbf-mod-unverified' : ''}`,
        title: `${bad ? 'Unverified: these words were not found in the source\n' : ''}${where}\n“${citation.quote.slice(0, 400)}”`,
        'aria-label': label,
        'data-marker': marker,
        on: { click: () => this._open(citation) }
      },
      String(marker)
    );
  }

  private _actions(): HTMLElement[] {
    const { status, text, answer } = this.message;
    if (status === 'writing' || !text) {
      return [];
    }
    const copy = () => void navigator.clipboard.writeText(this._asMarkdown()).then(() => Notification.success('Copied', { autoClose: 1500 }));
    const insert = () => this._inserter.insert('markdown', this._asMarkdown());
    const actions = [
      iconButton(icons.copyIcon, 'Copy with references', copy),
      iconButton(icons.insertIcon, 'Insert into the Jupyter notebook', insert)
    ];
    if (answer) {
      const code = `import sbf_kernel as sbf\n\nanswer = sbf.connect().answers.get("${answer.id}")\nanswer`;
      actions.push(
        iconButton(icons.codeIcon, 'Insert as code', () => this._inserter.insert('code', code)),
        iconButton(icons.noteIcon, 'Save as a note', () => void this._save())
      );
    }
    return actions;
  }

  private async _save(): Promise<void> {
    const { text, answer } = this.message;
    const notebookId = this._library.current?.id;
    const title = (answer?.question || text).slice(0, 120);
    try {
      await this._library.service.call('CreateNote', { notebook_id: notebookId, title, text, answer_id: answer?.id ?? null });
      Notification.success('Saved as a note', { autoClose: 2500 });
    } catch (error) {
      Notification.error(sentence(error), { autoClose: 8000 });
    }
  }

  /** The answer with its references, for a Markdown cell or the clipboard. */
  private _asMarkdown(): string {
    const used = [...this._citations.values()].sort((a, b) => a.marker - b.marker);
    const references = used.map(it => {
      const where = [it.source, place(it.location), `version ${it.version}`].filter(Boolean).join(', ');
      const doubt = it.status === 'verified' ? '' : ' (unverified)';
      return `${it.marker}. *${escapeMarkdown(where)}*${doubt}: “${escapeMarkdown(it.quote)}”`;
    });
    return [answerMarkdown(this.message.text), ...(references.length ? ['', '**References**', '', ...references] : [])].join('\n');
  }
}
