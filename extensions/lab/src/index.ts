/** Second Brain in JupyterLab: what is put where. */

import { ILabShell, ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { IDefaultFileBrowser, IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';

import { Actions } from './actions';
import { ChatView } from './chatView';
import { addCommands, CATEGORY, IDS } from './commands';
import { openOnHover } from './drop';
import { Inserter } from './inserter';
import { JobsStatus } from './jobs';
import { Library } from './library';
import { LibraryView } from './libraryView';
import { Source, Span } from './records';
import { SearchView } from './searchView';
import { Service } from './service';
import { Sidebar } from './sidebar';
import { SourceViewer, ViewerArgs } from './viewer';

const ID = 'sbf-lab:plugin';

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Research notebooks, cited search and chat beside the work.',
  autoStart: true,
  optional: [
    ILabShell,
    ISettingRegistry,
    ILayoutRestorer,
    ICommandPalette,
    ILauncher,
    IStatusBar,
    INotebookTracker,
    IFileBrowserFactory,
    IDefaultFileBrowser
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  labShell: ILabShell | null,
  settings: ISettingRegistry | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  statusBar: IStatusBar | null,
  notebooks: INotebookTracker | null,
  browsers: IFileBrowserFactory | null,
  browser: IDefaultFileBrowser | null
): void {
  const inserter = new Inserter(notebooks);
  inserter.listen(document);
  if (!labShell) {
    return; // Notebook 7 shows one document: no place for viewer tabs. Widgets insert there all the same.
  }
  const library = new Library(new Service());
  const actions = new Actions(library);

  const view = (args: ViewerArgs) => void app.commands.execute(IDS.view, { ...args } as any);
  const openSpan = ({ source_id, source, version_id, version, start, end, location, highlights }: Span) =>
    view({ source_id, source, version_id, version, start, end, location, highlights });
  const openSource = (source: Source) => view({ source_id: source.id, source: source.name });
  const sidebar = new Sidebar(
    library,
    actions,
    new LibraryView(library, actions, app.commands, openSource),
    new SearchView(library, inserter, openSpan),
    new ChatView(library, inserter, openSpan, () => void actions.newNotebook())
  );
  app.shell.add(sidebar, 'left', { rank: 250, type: 'Second Brain' });
  restorer?.add(sidebar, 'sbf-sidebar');
  openOnHover(sidebar.id, () => {
    sidebar.reveal('library');
    app.shell.activateById(sidebar.id);
  });

  const viewers = new WidgetTracker<MainAreaWidget<SourceViewer>>({ namespace: 'sbf-viewer' });
  addCommands({ app, sidebar, library, actions, inserter, viewers, browsers, browser });
  void restorer?.restore(viewers, {
    command: IDS.view,
    args: tab => ({ ...tab.content.args }) as any,
    name: tab => tab.id
  });
  for (const command of [IDS.open, IDS.search, IDS.chat, IDS.newNotebook, IDS.upload, IDS.address, IDS.text, IDS.quickstart]) {
    palette?.addItem({ command, category: CATEGORY });
  }
  launcher?.add({ command: IDS.open, category: CATEGORY, rank: 1, args: { launcher: true } });
  launcher?.add({ command: IDS.quickstart, category: CATEGORY, rank: 2, args: { launcher: true } });
  statusBar?.registerStatusItem('sbf-lab:jobs', { item: new JobsStatus(library), align: 'right', rank: 20 });
  void follow(settings, library, sidebar);
}

/** Take the settings, now and whenever they change. */
async function follow(registry: ISettingRegistry | null, library: Library, sidebar: Sidebar): Promise<void> {
  const settings = await registry?.load(ID).catch(() => null);
  const take = () => {
    const address = String(settings?.composite.serviceUrl ?? '').trim();
    library.preferred = String(settings?.composite.defaultNotebook ?? '').trim();
    if (address !== library.service.address) {
      library.service.address = address;
      if (library.ready || library.problem) {
        library.reset();
        void sidebar.begin(true);
      }
    }
  };
  take();
  settings?.changed.connect(take);
}

export default plugin;
