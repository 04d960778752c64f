/** Chat over a notebook: sessions, messages as they are written, citations that open their words. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { Message as LuminoMessage } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { sentence } from './actions';
import { button, h, iconButton, problemView } from './dom';
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
  /** How many messages of the chat were read. */
  private _shown = 0;
  /** A question that failed, and why. */
  private _failed: MessageView[] = [];
  private _loaded: Promise<void> = Promise.resolve();
  private _writing: { view: MessageView; leave: AbortController } | null = null;
  private _notebookId = '';
  private _sourceCount = 0;

  constructor(
    private _library: Library,
    private _inserter: Inserter,
    private _open: (span: Span) => void,
    private _makeNotebook: () => void
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
        iconButton(icons.addIcon, 'New chat', () => this._beginHere()),
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

  /** Read anew what was said elsewhere, for example in a widget. `background`: nobody asked for it. */
  async renew(background = false): Promise<void> {
    const id = this._notebookId;
    if (!id || !this.isVisible || this._writing) {
      return;
    }
    const page = await this._listChats(id, background).catch(() => null);
    if (!page || id !== this._notebookId || this._writing) {
      return;
    }
    this._know(page.items);
    if (this._chat && this._chat.message_count !== this._shown) {
      await this._show(this._chat);
    }
  }

  protected override onActivateRequest(_: LuminoMessage): void {
    this._input.focus();
  }

  protected override onAfterShow(_: LuminoMessage): void {
    this._load(this._library.current?.id === this._notebookId ? this.renew() : this._follow());
  }

  override dispose(): void {
    this._leave();
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
    if (this._log.firstElementChild?.classList.contains('sbf-Empty')) {
      this._welcome();
    }
    if (id === this._notebookId || !this.isVisible) {
      return;
    }
    this._notebookId = id;
    this._chats = [];
    this._begin();
    try {
      const page = id ? await this._listChats(id) : null;
      if (page && this._notebookId === id) {
        this._know(page.items);
        if (!this._writing && !this._chat) {
          await this._choose(this._chats[0]?.id ?? '');
        }
      }
    } catch (error) {
      this._log.replaceChildren(problemView(ServiceError.from(error)));
    }
  }

  private _listChats(notebookId: string, background = false): Promise<Page<Chat>> {
    return this._library.service.call<Page<Chat>>('ListChats', { notebook_id: notebookId, limit: 50 }, background);
  }

  /** Take in how the chats are now; somebody may have begun one meanwhile. */
  private _know(chats: Chat[]): void {
    const before = JSON.stringify(this._chats);
    const known = new Map(this._chats.map(it => [it.id, it]));
    this._chats = chats.map(it => Object.assign(known.get(it.id) ?? {}, it));
    if (this._chat && !this._chats.includes(this._chat)) {
      this._chats.push(this._chat);
    }
    if (before !== JSON.stringify(this._chats)) {
      this._drawSessions();
    }
  }

  private _begin(): void {
    this._leave();
    this._chat = null;
    this._fresh = {};
    this._levels.spent(null);
    this._welcome();
    this._drawSessions();
  }

  private _beginHere(): void {
    this._begin();
    this._input.focus();
  }

  /** Look elsewhere: what is being written goes on without a reader. */
  private _leave(): void {
    this._writing?.leave.abort();
    this._writing = null;
    this._shown = 0;
    this._failed = [];
    this._busy(false);
  }

  private async _choose(id: string): Promise<void> {
    this._leave();
    this._chat = this._chats.find(it => it.id === id) ?? null;
    this._drawSessions();
    if (this._chat) {
      await this._show(this._chat);
    } else {
      this._welcome();
    }
  }

  /** Show the messages of a chat as they are stored, and go on reading one that is being written. */
  private async _show(chat: Chat): Promise<void> {
    const page = await this._latest(chat);
    if (!page || this._chat !== chat || this._writing) {
      return;
    }
    const [said, told] = page.items.slice(-2);
    if (told?.status === 'failed' && said.text === this._failed[0]?.message.text) {
      this._failed = []; // it is stored, with the reason
    }
    const views = page.items.map(it => this._view(it));
    this._log.replaceChildren(...[...views, ...this._failed].map(it => it.node));
    this._shown = page.total;
    this._levels.spent(page.items.filter(it => it.answer).pop()?.answer ?? null);
    this._toEnd();
    if (told?.status === 'writing') {
      const place = { chat_id: chat.id, message_id: told.id, after: [...told.text].length };
      void this._take(views[views.length - 1], leave => this._library.service.stream('FollowMessage', place, leave));
    }
  }

  private async _latest(chat: Chat): Promise<Page<Message> | null> {
    const first = await this._page(chat, 0);
    return first && first.total > first.items.length ? this._page(chat, first.total - 100) : first;
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
    const id = this._notebookId;
    this._input.value = '';
    await this._loaded;
    await this.renew();
    if (this._writing || this._notebookId !== id) {
      this._giveBack(text);
      return;
    }
    this._failed.splice(0).forEach(it => it.node.remove());
    if (!this._chat) {
      this._log.replaceChildren();
    }
    const asked = { id: '', chat_id: '', role: 'user', text, status: 'done', answer: null, error: '' } as Message;
    const question = this._view(asked);
    const view = this._view({ ...asked, role: 'assistant', text: '', status: 'writing' });
    this._log.append(question.node, view.node);
    this._toEnd();
    if (!(await this._take(view, leave => this._sent(text, leave)))) {
      return;
    }
    if (view.message.status === 'failed') {
      this._failed = [question, view];
      this._giveBack(text);
    } else {
      this._shown += 2;
    }
    await this.renew();
  }

  /** Put a question that was not answered back, so that nobody has to write it again. */
  private _giveBack(text: string): void {
    this._input.value ||= text;
  }

  private async *_sent(text: string, leave: AbortSignal): AsyncGenerator<Line> {
    const { service } = this._library;
    if (!this._chat) {
      const chat = await service.call<Chat>('CreateChat', { notebook_id: this._notebookId, levels: this._fresh });
      if (leave.aborted) {
        this._giveBack(text); // somebody stopped it, or another notebook is shown by now
        throw new ServiceError('cancelled', 'Stopped.');
      }
      this._chat = chat;
      this._chats.unshift(chat);
      this._drawSessions();
    }
    yield* service.stream('SendMessage', { chat_id: this._chat.id, text }, leave);
  }

  /** Show a message while it is written. Tells whether it was still looked at in the end. */
  private async _take(view: MessageView, begin: (leave: AbortSignal) => AsyncGenerator<Line>): Promise<boolean> {
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
    }
    const here = this._writing === writing;
    if (here) {
      this._writing = null;
      this._busy(false);
    }
    return here;
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
    const [writing, chat] = [this._writing, this._chat];
    const id = writing && chat && (writing.view.message.id || (await this._latest(chat))?.items.find(it => it.status === 'writing')?.id);
    try {
      if (id) {
        writing.view.set(await this._library.service.call<Message>('StopMessage', { chat_id: chat.id, message_id: id }));
      }
    } catch {
      // It had ended by itself: the stream tells how.
    }
    writing?.leave.abort();
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
    const { current, ready } = this._library;
    const homeless = ready && !current;
    const words = homeless
      ? 'A chat is about the sources of a research notebook, and there is none yet.'
      : current?.source_count === 0
        ? 'This notebook is empty: add sources in the Library, then ask about them.'
        : 'Ask about the sources of this notebook. Every [n] in an answer opens the exact words it stands on.';
    this._log.replaceChildren(
      h('div', { class: 'sbf-Empty' }, icons.chatIcon.element({ tag: 'span', className: 'sbf-Empty-icon' }), h('p', {}, words),
        homeless && button('New research notebook', this._makeNotebook, 'sbf-mod-accept'))
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
