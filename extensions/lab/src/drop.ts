/** Takes files that are dragged onto the sidebar: from the file browser, or from outside the browser. */

import { Drag } from '@lumino/dragdrop';

import { Actions } from './actions';
import { Library } from './library';

/** What the file browser's drags carry: paths inside the contents root. */
const CONTENTS_MIME = 'application/x-jupyter-icontents';

/** Call `open` when somebody drags files over the sidebar's tab: the file browser may stand where the sidebar will. */
export function openOnHover(id: string, open: () => void): void {
  document.body.addEventListener('lm-dragenter', event => {
    const drag = event as Drag.Event;
    const tab = (drag.target as Element).closest?.('.lm-TabBar-tab');
    if (tab?.getAttribute('data-id') === id && drag.mimeData.hasData(CONTENTS_MIME)) {
      open();
    }
  });
}

/** Let an element take dropped files: into the notebook they are dropped on, else the current one. */
export function acceptDrops(node: HTMLElement, library: Library, actions: Actions): void {
  const target = (event: Event) => (event.target as Element).closest<HTMLElement>('[data-notebook]')?.dataset.notebook;
  const show = (event: Event | null) => {
    const id = (event && target(event)) ?? library.current?.id;
    const notebook = library.notebooks.find(it => it.id === id);
    node.classList.toggle('sbf-mod-drop', event !== null);
    node.dataset.drop = `Add to ${notebook?.name ?? 'a new notebook'}`;
    for (const row of node.querySelectorAll<HTMLElement>('.sbf-Notebook')) {
      row.classList.toggle('sbf-mod-target', event !== null && row.dataset.notebook === id);
    }
  };
  const take = (event: Event, add: () => Promise<void>) => {
    const id = target(event);
    show(null);
    if (id) {
      library.select(id);
    }
    void add();
  };
  acceptPaths(node, show, (event, paths) => take(event, () => actions.addPaths(paths)));
  acceptFiles(node, show, (event, files) => take(event, () => actions.addUploads(files)));
}

/** Take entries of the file browser. */
function acceptPaths(node: HTMLElement, show: (at: Event | null) => void, take: (at: Event, paths: string[]) => void): void {
  const on = (name: string, handle: (event: Drag.Event) => void) =>
    node.addEventListener(name, event => {
      const drag = event as Drag.Event;
      if (drag.mimeData.hasData(CONTENTS_MIME)) {
        drag.preventDefault();
        drag.stopPropagation();
        handle(drag);
      }
    });
  on('lm-dragenter', show);
  on('lm-dragleave', event => show(event.relatedTarget && node.contains(event.relatedTarget as Node) ? event : null));
  on('lm-dragover', event => {
    show(event);
    event.dropAction = event.proposedAction;
  });
  on('lm-drop', event => {
    event.dropAction = event.proposedAction;
    take(event, event.mimeData.getData(CONTENTS_MIME) as string[]);
  });
}

/** Take files from outside the browser. */
function acceptFiles(node: HTMLElement, show: (at: Event | null) => void, take: (at: Event, files: File[]) => void): void {
  const on = (name: 'dragover' | 'dragleave' | 'drop', handle: (event: DragEvent) => void) =>
    node.addEventListener(name, event => {
      if (event.dataTransfer?.types.includes('Files')) {
        event.preventDefault();
        event.stopPropagation();
        handle(event);
      }
    });
  on('dragover', show);
  on('dragleave', event => show(event.relatedTarget && node.contains(event.relatedTarget as Node) ? event : null));
  on('drop', event => take(event, [...(event.dataTransfer?.files ?? [])]));
}
