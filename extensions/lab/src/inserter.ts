/** Puts text and code into the Jupyter notebook at hand, below the active cell. Runs nothing. */

import { Notification } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';

export type Kind = 'markdown' | 'code';

export class Inserter {
  constructor(private _notebooks: INotebookTracker | null) {}

  /** Insert a cell; says so when no Jupyter notebook is open. */
  insert(kind: Kind, text: string): boolean {
    const panel = this._notebooks?.currentWidget;
    const model = panel?.content.model;
    if (!panel || !model || model.readOnly) {
      Notification.warning('Open a Jupyter notebook first: the cell is inserted there.', { autoClose: 5000 });
      return false;
    }
    const at = Math.min(panel.content.activeCellIndex + 1, model.sharedModel.cells.length);
    model.sharedModel.insertCell(at, { cell_type: kind, source: text, metadata: kind === 'code' ? { trusted: true } : {} });
    panel.content.activeCellIndex = at;
    const cell = panel.content.activeCell;
    if (cell && kind === 'markdown') {
      (cell as any).rendered = true;
    }
    void panel.content.scrollToItem(at, 'smart').catch(() => undefined);
    Notification.success(`Inserted into ${panel.title.label}`, { autoClose: 2500 });
    return true;
  }

  /** Insert what widgets in outputs ask for by the event `sbf:insert`, `{kind, text}`. */
  listen(target: Document): void {
    target.addEventListener('sbf:insert', event => {
      const { kind, text } = (event as CustomEvent).detail ?? {};
      if ((kind === 'markdown' || kind === 'code') && typeof text === 'string') {
        if (this.insert(kind, text)) {
          event.preventDefault(); // the widget need not copy it then
        }
      }
    });
  }
}
