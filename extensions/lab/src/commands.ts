/** The commands: for the palette, menus, launcher, and for other extensions. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { IDefaultFileBrowser, IFileBrowserFactory } from '@jupyterlab/filebrowser';

import { Actions } from './actions';
import * as icons from './icons';
import { Inserter } from './inserter';
import { finished, Library } from './library';
import { makeQuickstart } from './quickstart';
import { Notebook, Source } from './records';
import { Sidebar, Tab } from './sidebar';
import { SourceViewer, ViewerArgs, viewerTab } from './viewer';

export const CATEGORY = 'Second Brain';

export const IDS = {
  open: 'sbf:open',
  search: 'sbf:search',
  chat: 'sbf:chat',
  view: 'sbf:view-source',
  insert: 'sbf:insert',
  newNotebook: 'sbf:new-notebook',
  addSelected: 'sbf:add-selected',
  upload: 'sbf:upload',
  address: 'sbf:add-address',
  text: 'sbf:add-text',
  quickstart: 'sbf:quickstart',
  renameNotebook: 'sbf:rename-notebook',
  deleteNotebook: 'sbf:delete-notebook',
  openSource: 'sbf:open-source',
  retrySource: 'sbf:retry-source',
  removeSource: 'sbf:remove-source'
};

export interface Parts {
  app: JupyterFrontEnd;
  sidebar: Sidebar;
  library: Library;
  actions: Actions;
  inserter: Inserter;
  viewers: WidgetTracker<MainAreaWidget<SourceViewer>>;
  browsers: IFileBrowserFactory | null;
  browser: IDefaultFileBrowser | null;
}

/** Register all commands. */
export function addCommands(parts: Parts): void {
  addOpening(parts);
  addAdding(parts);
  addRowCommands(parts);
}

function addOpening({ app, sidebar, inserter, viewers, library, browser }: Parts): void {
  const { commands } = app;
  const enter = async (tab: Tab) => {
    app.shell.activateById(sidebar.id);
    sidebar.enter(tab);
    await sidebar.begin();
  };
  commands.addCommand(IDS.open, {
    label: args => (args.launcher ? 'Second Brain' : 'Open Second Brain'),
    caption: 'Research notebooks, search and chat, at the left',
    icon: icons.brainIcon,
    execute: () => enter('library')
  });
  commands.addCommand(IDS.search, {
    label: 'Search the Sources',
    icon: icons.searchIcon,
    execute: async args => {
      await enter('search');
      return args.query ? sidebar.search.search(String(args.query)) : undefined;
    }
  });
  commands.addCommand(IDS.chat, {
    label: 'Chat with the Sources',
    icon: icons.chatIcon,
    execute: async args => {
      await enter('chat');
      return args.question ? sidebar.chat.ask(String(args.question)) : undefined;
    }
  });
  commands.addCommand(IDS.view, {
    label: 'Show a Source',
    execute: async args => {
      const wanted = args as unknown as ViewerArgs;
      const same = viewers.find(
        it => it.content.args.source_id === wanted.source_id && (it.content.args.version_id ?? null) === (wanted.version_id ?? null)
      );
      const tab = same ?? viewerTab(new SourceViewer(wanted, library.service, inserter));
      if (!same) {
        void viewers.add(tab);
        app.shell.add(tab, 'main');
      } else {
        void tab.content.display(wanted);
        void viewers.save(tab);
      }
      app.shell.activateById(tab.id);
      return tab;
    }
  });
  commands.addCommand(IDS.insert, {
    label: 'Insert a Cell',
    execute: args => inserter.insert(args.kind === 'code' ? 'code' : 'markdown', String(args.text ?? ''))
  });
  commands.addCommand(IDS.quickstart, {
    label: args => (args.launcher ? 'Quickstart' : 'New Jupyter Notebook from the Quickstart'),
    caption: 'A Jupyter notebook that shows the first steps',
    icon: icons.notebookIcon,
    execute: async args => {
      const folder = String(args.cwd ?? browser?.model.path ?? '');
      await app.serviceManager.kernelspecs.ready;
      const path = await makeQuickstart(app.serviceManager.contents, app.serviceManager.kernelspecs.specs, folder);
      return commands.execute('docmanager:open', { path });
    }
  });
}

function addAdding({ app, sidebar, actions, browsers }: Parts): void {
  const { commands } = app;
  const add = (id: string, label: string, execute: () => unknown, more: object = {}) =>
    commands.addCommand(id, { label, execute, ...more });
  const selected = () => {
    const drive = app.serviceManager.contents;
    return [...(browsers?.tracker.currentWidget?.selectedItems() ?? [])].map(it => drive.localPath(it.path));
  };
  add(
    IDS.addSelected,
    'Add to Second Brain',
    async () => {
      const paths = selected();
      app.shell.activateById(sidebar.id);
      sidebar.reveal('library');
      if (await sidebar.begin()) {
        await actions.addPaths(paths);
      }
    },
    // Only for the menu of the file browser: elsewhere nobody sees what is selected there.
    { icon: icons.brainIcon, isEnabled: () => selected().length > 0, caption: 'Add what is selected in the file browser' }
  );
  add(IDS.upload, 'Add Files of This Computer…', () => actions.chooseUploads());
  add(IDS.address, 'Add a Web Page…', () => actions.addAddress());
  add(IDS.text, 'Add Text…', () => actions.addText());
  add(IDS.newNotebook, 'New Research Notebook…', () => actions.newNotebook(), { icon: icons.addNotebookIcon });
}

/** The commands of the tree's context menus: about the row that was clicked. */
function addRowCommands({ app, library, actions }: Parts): void {
  const { commands } = app;
  const row = () => app.contextMenuHitTest(node => Boolean(node.dataset.notebook))?.dataset;
  const notebook = (): Notebook | undefined => library.notebooks.find(it => it.id === row()?.notebook);
  const source = (): Source | undefined => {
    const at = row();
    return library.loaded.get(at?.notebook ?? '')?.items.find(it => it.id === at?.source);
  };
  const onNotebook = (id: string, label: string, act: (it: Notebook) => unknown) =>
    commands.addCommand(id, { label, isEnabled: () => Boolean(notebook()), execute: () => act(notebook()!) });
  const onSource = (id: string, label: string, act: (it: Source, notebookId: string) => unknown, fits = (_: Source) => true) =>
    commands.addCommand(id, {
      label,
      isEnabled: () => Boolean(source() && fits(source()!)),
      execute: () => act(source()!, row()!.notebook!)
    });
  onNotebook(IDS.renameNotebook, 'Rename…', it => actions.renameNotebook(it));
  onNotebook(IDS.deleteNotebook, 'Delete…', it => actions.deleteNotebook(it));
  onSource(IDS.openSource, 'Open', it => commands.execute(IDS.view, { source_id: it.id, source: it.name }), it => it.version > 0);
  onSource(IDS.retrySource, 'Try Again', it => actions.retry(it), it => finished(it) && it.status !== 'ready');
  onSource(IDS.removeSource, 'Remove', (it, notebookId) => actions.remove(notebookId, it));
}
