/** Chat over a notebook: sessions, messages as they are written, citations that open their words. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { Message as LuminoMessage } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { sentence } from './actions';
import { h, iconButton, problemView } from './dom';
import * as icons from './icons';
import { Inserter } from './inserter';
import { LevelsView } from './levelsView';
import { Library } from './library';
import { MessageView } from './messageView';
import { Chat, Level, Message, MessageDelta, Page, Span } from './records';
import { ScopeSelect } from './scopeSelect';
import { Line, ServiceError } from './service';

export class ChatView extends Widget {
  private _sessions = h('select', { class: 'sbf-Select', 'aria-label': 'Chat' });
  private _log = h('div', { class: 'sbf-Log', role: 'log', 'aria-label': 'Messages', tabindex: 0 });
  private _input = h('textarea', { class: 'sbf-Input', rows: 2, placeholder: 'Ask the sources', 'aria-label': 'Question' });
  private _send = iconButton(icons.sendIcon, 'Send (Enter)', () => void this._submit(), 'sbf-mod-accent');
  private _stop = iconButton(icons.stopIcon, 'Stop writing', () => void this._halt(), 'sbf-mod-accent');
  private _levels: LevelsView;
  /** The levels of a chat that has not begun. */
  private _fresh: Chat['levels'] = {};
  private _chats: Chat[] = [];
  private _chat: Chat | null = null;
  private _loaded: Promise<void> = Promise.resolve();
  private _writing: { view: MessageView; leave: AbortController } | null = null;
  private _notebookId = '';
  private _sourceCount = 0;

  constructor(
    private _library: Library,
    private _inserter: Inserter,
    private _open: (span: Span) => void
  ) {
    super();
    this.addClass('sbf-Chat');
    this._levels = new LevelsView(_library, (sourceId, level) => this._setLevel(sourceId, level));
    this.node.append(
      h('div', { class: 'sbf-Bar' }, new ScopeSelect(_library, false).node),
      h(
        'div',
        { class: 'sbf-Bar' },
        this._sessions,
        iconButton(icons.addIcon, 'New chat', () => this._begin()),
        iconButton(icons.trashIcon, 'Delete this chat', () => void this._delete())
      ),
      this._levels.node,
      this._log,
      h('div', { class: 'sbf-Composer' }, this._input, this._send, this._stop)
    );
    this._input.addEventListener('keydown', event => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        void this._submit();
      } else if (event.key === 'Escape' && this._writing) {
        event.stopPropagation();
        void this._halt();
      }
    });
    this._sessions.addEventListener('change', () => this._load(this._choose(this._sessions.value)));
    _library.currentChanged.connect(() => this._load(this._follow()));
    _library.changed.connect(() => this._load(this._follow()));
    this._busy(false);
    this._welcome();
  }

  /** Ask something now. */
  async ask(text: string): Promise<void> {
    this._input.value = text;
    await this._submit();
  }

  protected override onActivateRequest(_: LuminoMessage): void {
    this._input.focus();
  }

  protected override onAfterShow(_: LuminoMessage): void {
    this._load(this._follow());
  }

  override dispose(): void {
    this._writing?.leave.abort();
    super.dispose();
  }

  /** Note what is being loaded: what is asked meanwhile comes after it. */
  private _load(work: Promise<void>): void {
    this._loaded = Promise.all([this._loaded, work]).then(() => undefined);
  }

  /** Show the chats of the notebook that is current now. */
  private async _follow(): Promise<void> {
    const id = this._library.current?.id ?? '';
    this._input.disabled = !id;
    if (id === this._notebookId && this._library.current?.source_count !== this._sourceCount) {
      this._levels.reload();
    }
    this._sourceCount = this._library.current?.source_count ?? 0;
    if (id === this._notebookId || !this.isVisible) {
      return;
    }
    this._notebookId = id;
    this._writing?.leave.abort();
    this._chats = [];
    this._begin();
    try {
      const page = id ? await this._library.service.call<Page<Chat>>('ListChats', { notebook_id: id, limit: 50 }) : null;
      if (page && this._notebookId === id) {
        const begun = this._chats; // somebody may have asked already
        this._chats = [...begun, ...page.items.filter(it => !begun.some(mine => mine.id === it.id))];
        if (!this._writing && !this._chat) {
          await this._choose(this._chats[0]?.id ?? '');
        } else {
          this._drawSessions();
        }
      }
    } catch (error) {
      this._log.replaceChildren(problemView(ServiceError.from(error)));
    }
  }

  private _begin(): void {
    this._writing?.leave.abort();
    this._chat = null;
    this._fresh = {};
    this._levels.spent(null);
    this._welcome();
    this._drawSessions();
    this._input.focus();
  }

  private async _choose(id: string): Promise<void> {
    this._writing?.leave.abort();
    this._chat = this._chats.find(it => it.id === id) ?? null;
    this._drawSessions();
    if (!this._chat) {
      this._welcome();
      return;
    }
    const chat = this._chat;
    const first = await this._page(chat, 0);
    const page = first && first.total > first.items.length ? await this._page(chat, first.total - 100) : first;
    if (page && this._chat === chat) {
      this._log.replaceChildren(...page.items.map(it => this._view(it).node));
      this._levels.spent(page.items.filter(it => it.answer).pop()?.answer ?? null);
      this._toEnd();
      const last = page.items[page.items.length - 1];
      if (last?.status === 'writing') {
        const view = this._view(last);
        this._log.lastElementChild?.replaceWith(view.node);
        const place = { chat_id: chat.id, message_id: last.id, after: [...last.text].length };
        void this._take(view, leave => this._library.service.stream('FollowMessage', place, leave));
      }
    }
  }

  private async _page(chat: Chat, offset: number): Promise<Page<Message> | null> {
    try {
      return await this._library.service.call<Page<Message>>('ListMessages', { chat_id: chat.id, limit: 100, offset });
    } catch (error) {
      this._log.replaceChildren(problemView(ServiceError.from(error), () => this._load(this._choose(chat.id))));
      return null;
    }
  }

  private async _submit(): Promise<void> {
    const text = this._input.value.trim();
    if (!text || this._writing || !this._notebookId) {
      return;
    }
    this._input.value = '';
    await this._loaded;
    if (this._writing) {
      this._input.value = text;
      return;
    }
    if (!this._chat) {
      this._log.replaceChildren();
    }
    const asked = { id: '', chat_id: '', role: 'user', text, status: 'done', answer: null, error: '' } as Message;
    const view = this._view({ ...asked, role: 'assistant', text: '', status: 'writing' });
    this._log.append(this._view(asked).node, view.node);
    this._toEnd();
    await this._take(view, leave => this._sent(text, leave));
    void this._refreshTitle();
  }

  private async *_sent(text: string, leave: AbortSignal): AsyncGenerator<Line> {
    const { service } = this._library;
    if (!this._chat) {
      const chat = await service.call<Chat>('CreateChat', { notebook_id: this._notebookId, levels: this._fresh });
      if (leave.aborted) {
        return; // another notebook is shown by now
      }
      this._chat = chat;
      this._chats.unshift(chat);
      this._drawSessions();
    }
    yield* service.stream('SendMessage', { chat_id: this._chat.id, text }, leave);
  }

  /** Show a message while it is written. */
  private async _take(view: MessageView, begin: (leave: AbortSignal) => AsyncGenerator<Line>): Promise<void> {
    const writing = (this._writing = { view, leave: new AbortController() });
    this._busy(true);
    try {
      for await (const line of begin(writing.leave.signal)) {
        const atEnd = this._atEnd();
        if (line.record === 'MessageDelta') {
          view.add(line.value as MessageDelta);
        } else if (line.record === 'Message') {
          view.set(line.value as Message);
          this._levels.spent(view.message.answer);
        }
        if (atEnd) {
          this._toEnd();
        }
      }
    } catch (error) {
      if (view.message.status === 'writing') {
        view.fail(ServiceError.from(error));
      }
    } finally {
      if (this._writing === writing) {
        this._writing = null;
        this._busy(false);
      }
    }
  }

  private async _setLevel(sourceId: string, level: Level): Promise<void> {
    const chat = this._chat;
    const wanted = { chat_id: chat?.id, levels: { [sourceId]: level } };
    if (chat) {
      chat.levels = (await this._library.service.call<Chat>('UpdateChat', wanted)).levels;
    } else {
      this._fresh = { ...this._fresh, [sourceId]: level };
    }
    this._drawSessions();
  }

  /** Stop the writing; what was written stays. */
  private async _halt(): Promise<void> {
    const writing = this._writing;
    if (!writing || !this._chat || !writing.view.message.id) {
      writing?.leave.abort();
      return;
    }
    try {
      const place = { chat_id: this._chat.id, message_id: writing.view.message.id };
      writing.view.set(await this._library.service.call<Message>('StopMessage', place));
    } catch {
      // It had ended by itself: the stream tells how.
    }
    writing.leave.abort();
  }

  private async _refreshTitle(): Promise<void> {
    const chat = this._chat;
    if (chat) {
      const now = await this._library.service.call<Chat>('GetChat', { chat_id: chat.id }).catch(() => chat);
      Object.assign(chat, now);
      this._drawSessions();
    }
  }

  private async _delete(): Promise<void> {
    const chat = this._chat;
    const sure = chat && (await showDialog({
      title: 'Delete this chat?',
      body: chat.title,
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })]
    }));
    if (chat && sure?.button.accept) {
      try {
        await this._library.service.call('DeleteChat', { chat_id: chat.id });
        this._chats = this._chats.filter(it => it !== chat);
        this._begin();
      } catch (error) {
        Notification.error(sentence(error), { autoClose: 8000 });
      }
    }
  }

  private _view(message: Message): MessageView {
    return new MessageView(message, this._library, this._inserter, this._open);
  }

  private _welcome(): void {
    this._log.replaceChildren(
      h('div', { class: 'sbf-Empty' }, icons.chatIcon.element({ tag: 'span', className: 'sbf-Empty-icon' }),
        h('p', {}, 'Ask about the sources of this notebook. Every [n] in an answer opens the exact words it stands on.'))
    );
  }

  private _drawSessions(): void {
    const options = this._chats.map(it => h('option', { value: it.id }, it.title || 'New chat'));
    this._sessions.replaceChildren(...(this._chat ? [] : [h('option', { value: '' }, 'New chat')]), ...options);
    this._sessions.value = this._chat?.id ?? '';
    this._levels.show(this._notebookId, this._chat?.levels ?? this._fresh);
  }

  private _busy(writing: boolean): void {
    this._send.hidden = writing;
    this._stop.hidden = !writing;
    this._log.setAttribute('aria-busy', String(writing));
  }

  private _atEnd(): boolean {
    return this._log.scrollHeight - this._log.scrollTop - this._log.clientHeight < 40;
  }

  private _toEnd(): void {
    this._log.scrollTop = this._log.scrollHeight;
  }
}
