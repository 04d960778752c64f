/** What buttons, menus and commands do: one place that says how it went. */

import { Dialog, InputDialog, Notification, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { h, problemView } from './dom';
import { Library } from './library';
import { Notebook, Source } from './records';
import { ServiceError } from './service';

/** Longest name of a notebook. */
const NAME_LENGTH = 300;

export class Actions {
  constructor(private _library: Library) {}

  /** Ask for a name and make a notebook. */
  async newNotebook(name?: string): Promise<Notebook | null> {
    const wanted = name ?? (await ask('New research notebook', 'Create', 'Name', 'AI Research', '', NAME_LENGTH));
    return wanted ? this._tell(() => this._library.create(wanted)) : null;
  }

  async renameNotebook(notebook: Notebook): Promise<void> {
    const name = await ask('Rename notebook', 'Rename', 'Name', notebook.name, notebook.name, NAME_LENGTH);
    if (name && name !== notebook.name) {
      await this._tell(() => this._call('UpdateNotebook', { notebook_id: notebook.id, name }));
      await this._library.refresh();
    }
  }

  async deleteNotebook(notebook: Notebook): Promise<void> {
    const answer = await showDialog({
      title: `Delete “${notebook.name}”?`,
      body: 'Its chats and notes go with it. Its sources stay stored.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })]
    });
    if (answer.button.accept) {
      await this._tell(() => this._call('DeleteNotebook', { notebook_id: notebook.id }));
      await this._library.refresh();
    }
  }

  /** Add files and folders of the file browser. */
  async addPaths(paths: string[]): Promise<void> {
    const notebook = await this._target();
    if (!notebook || !paths.length) {
      return;
    }
    let added = 0;
    const failures: string[] = [];
    const toast = Notification.emit(`Adding to ${notebook.name}…`, 'in-progress', { autoClose: false });
    try {
      for await (const line of this._library.service.addFiles(notebook.id, paths)) {
        if (line.error) {
          failures.push(`${line.name ?? line.path}: ${line.error.message}`);
        } else {
          added++;
          this._library.put(notebook.id, line.value);
        }
        Notification.update({ id: toast, message: `Adding to ${notebook.name}: ${added}…`, type: 'in-progress' });
      }
    } catch (error) {
      failures.push(sentence(error));
    }
    const message = failures.length
      ? `${added} added to ${notebook.name}, ${failures.length} not: ${failures.slice(0, 3).join('; ')}`
      : `${added} ${added === 1 ? 'source' : 'sources'} added to ${notebook.name}`;
    Notification.update({ id: toast, message, type: failures.length ? 'error' : 'success', autoClose: 5000 });
    await this._library.refresh(true);
  }

  /** Add files of this computer. */
  async addUploads(files: File[]): Promise<void> {
    const notebook = await this._target();
    for (const file of notebook ? files : []) {
      await this._tell(async () => this._put(notebook!, await this._library.service.upload<Source>(notebook!.id, file)));
    }
  }

  /** Let somebody choose files of this computer. */
  chooseUploads(): void {
    const input = h('input', { type: 'file', multiple: true });
    input.addEventListener('change', () => void this.addUploads([...(input.files ?? [])]));
    input.click();
  }

  async addAddress(): Promise<void> {
    const notebook = await this._target();
    const text = notebook && (await ask('Add a web page', 'Add', 'Address', 'https://…'));
    for (const url of (text || '').split(/\s+/).filter(Boolean)) {
      const fields = { notebook_id: notebook!.id, name: url.slice(0, 300), origin: url, url };
      await this._tell(async () => this._put(notebook!, await this._call<Source>('AddSource', fields)));
    }
  }

  async addText(): Promise<void> {
    const notebook = await this._target();
    if (notebook) {
      await this._askText(notebook, new TextBody());
    }
  }

  /** Ask for a text and add it; what could not be added is shown again, with the reason. */
  private async _askText(notebook: Notebook, body: TextBody): Promise<void> {
    const { button, value } = await showDialog({ title: 'Add text', body, buttons: okCancel('Add'), focusNodeSelector: 'textarea' });
    if (!button.accept || !value?.text.trim()) {
      return;
    }
    const file = new File([value.text], value.name || value.text.trim().split('\n')[0].slice(0, 80));
    try {
      this._put(notebook, await this._library.service.upload<Source>(notebook.id, file));
    } catch (error) {
      await this._askText(notebook, new TextBody(value, ServiceError.from(error)));
    }
  }

  async retry(source: Source): Promise<void> {
    let password: string | undefined;
    if (source.reason === 'source_encrypted') {
      const given = await InputDialog.getPassword({ title: `Password of ${source.name}`, okLabel: 'Open' });
      if (!given.button.accept) {
        return;
      }
      password = given.value ?? undefined;
    }
    await this._tell(async () => {
      const begun = await this._call<Source>('RetrySource', { source_id: source.id, ...(password && { password }) });
      this._library.put('', begun);
    });
  }

  async cancel(source: Source): Promise<void> {
    await this._tell(() => this._call('CancelSources', { source_ids: [source.id] }));
  }

  /** Take a source out of a notebook, with a way back. */
  async remove(notebookId: string, source: Source): Promise<void> {
    const where = { notebook_id: notebookId, source_id: source.id };
    if ((await this._tell(async () => (await this._call('RemoveSource', where), true))) === null) {
      return;
    }
    const undo = async () => {
      await this._tell(() => this._call('LinkSource', where));
      await this._library.load(notebookId);
    };
    Notification.info(`${source.name} removed`, {
      autoClose: 8000,
      actions: [{ label: 'Undo', callback: () => void undo(), displayType: 'accent' }]
    });
    await this._library.load(notebookId);
  }

  /** Return the notebook that things go into; asks for one to be made when there is none. */
  private async _target(): Promise<Notebook | null> {
    if (!this._library.ready) {
      await this._library.refresh();
    }
    if (this._library.problem) {
      await showErrorMessage('Second Brain', sentence(this._library.problem));
      return null;
    }
    const notebook = this._library.current ?? (await this.newNotebook());
    if (notebook && !this._library.loaded.has(notebook.id)) {
      await this._library.load(notebook.id);
    }
    return notebook;
  }

  private _put(notebook: Notebook, source: Source): void {
    this._library.put(notebook.id, source);
    void this._library.refresh(true);
  }

  private _call<T = null>(name: string, fields: object): Promise<T> {
    return this._library.service.call<T>(name, fields);
  }

  /** Do something; null and a message when it cannot be done. */
  private async _tell<T>(act: () => Promise<T>): Promise<T | null> {
    try {
      return await act();
    } catch (error) {
      Notification.error(sentence(error), { autoClose: 8000 });
      return null;
    }
  }
}

/** Return an error as what happened and what to do next. */
export function sentence(error: unknown): string {
  const { message, hint } = ServiceError.from(error);
  return hint ? `${message} → ${hint}` : message;
}

async function ask(title: string, okLabel: string, label: string, placeholder: string, text = '', longest?: number): Promise<string> {
  const body = new LineBody(label, placeholder, text, longest);
  const given = await showDialog({ title, body, buttons: okCancel(okLabel), focusNodeSelector: 'input' });
  return given.button.accept ? (given.value ?? '').trim() : '';
}

function okCancel(label: string): Dialog.IButton[] {
  return [Dialog.cancelButton(), Dialog.okButton({ label })];
}

/** The body of a dialog that asks for one line. The Lab's own takes more than can be stored. */
class LineBody extends Widget implements Dialog.IBodyWidget<string> {
  private _line: HTMLInputElement;

  constructor(label: string, placeholder: string, text: string, longest?: number) {
    super();
    this.addClass('sbf-TextBody');
    this._line = h('input', { class: 'jp-mod-styled sbf-Input', placeholder, maxlength: longest });
    this._line.value = text;
    this.node.append(h('label', {}, label, this._line));
  }

  getValue(): string {
    return this._line.value;
  }

  protected override onAfterAttach(_: Message): void {
    this._line.select();
  }
}

/** The body of the dialog that takes a pasted text. */
class TextBody extends Widget implements Dialog.IBodyWidget<{ name: string; text: string }> {
  private _name = h('input', { class: 'jp-mod-styled sbf-Input', placeholder: 'Name (or the first line)', 'aria-label': 'Name', maxlength: NAME_LENGTH });
  private _text = h('textarea', { class: 'jp-mod-styled sbf-Paste', rows: 12, placeholder: 'Paste text here', 'aria-label': 'Text' });

  /** `given` was written before, and `problem` is why it could not be added. */
  constructor(given = { name: '', text: '' }, problem?: ServiceError) {
    super();
    this.addClass('sbf-TextBody');
    this._name.value = given.name;
    this._text.value = given.text;
    this.node.append(...(problem ? [problemView(problem)] : []), this._name, this._text);
  }

  getValue(): { name: string; text: string } {
    return { name: this._name.value.trim(), text: this._text.value };
  }
}
