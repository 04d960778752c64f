/** The Jupyter notebook that the launcher makes: the first five minutes with Second Brain. */

import { Contents, KernelSpec } from '@jupyterlab/services';

const CELLS: ['markdown' | 'code', string][] = [
  [
    'markdown',
    '# Second Brain\n\nBring in sources, search them by words and meaning, and get answers whose every `[n]` resolves to exact words. ' +
      'The same research notebooks are in the sidebar at the left.'
  ],
  ['code', 'import sbf_kernel as sbf\n\nws = sbf.connect()\nws.notebooks.list()'],
  ['code', 'nb = ws.notebooks.open("AI Research")  # makes it if it is new'],
  ['markdown', 'Files, folders, globs, web addresses and DataFrames can be added:'],
  ['code', '# nb.add("paper.pdf", "https://example.org/post")\nnb.add_text("Ferns grow in the shade of old trees.", "ferns")'],
  ['code', 'nb.search("where do ferns grow?")'],
  ['code', 'nb.ask("Where do ferns grow?")']
];

/** Write the quickstart into a new notebook file of a folder and return its path. */
export async function makeQuickstart(contents: Contents.IManager, specs: KernelSpec.ISpecModels | null, folder: string): Promise<string> {
  const file = await contents.newUntitled({ path: folder, type: 'notebook' });
  const kernel = specs?.kernelspecs['sbf'] ?? specs?.kernelspecs[specs.default];
  const kernelspec = kernel && { name: kernel.name, display_name: kernel.display_name, language: kernel.language };
  const cells = CELLS.map(([cell_type, source], index) => ({
    cell_type,
    id: `quickstart-${index}`,
    metadata: {},
    source,
    ...(cell_type === 'code' && { execution_count: null, outputs: [] })
  }));
  const content = { nbformat: 4, nbformat_minor: 5, metadata: { ...(kernelspec && { kernelspec }) }, cells };
  await contents.save(file.path, { type: 'notebook', format: 'json', content });
  return file.path;
}
