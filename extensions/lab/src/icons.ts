/** Our own icons, drawn for 16 px and coloured by the theme. */

import { LabIcon } from '@jupyterlab/ui-components';

function stroke(name: string, path: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="16" height="16" fill="none" ' +
    'stroke="#616161" class="jp-icon3" jp-icon3-stroke="" stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round">' +
    `<g class="sbf-stroke">${path}</g></svg>`;
  return new LabIcon({ name: `sbf:${name}`, svgstr });
}

/** Two halves of a brain, the right one a web of notes. */
export const brainIcon = stroke(
  'brain',
  '<path d="M8 3.2C7.6 2 5.6 1.8 4.9 3 3.5 3 2.7 4.3 3.2 5.4 1.8 6 1.6 8 2.7 8.8 2.1 10.2 3 11.7 4.4 11.7 4.8 13.4 7.4 13.8 8 12.2Z"/>' +
    '<path d="M8 3.2V12.2M8 5.2H10.2L11.4 3.6M8 7.9H12.6M8 10.4H10L11.3 12.3"/>' +
    '<circle cx="12" cy="2.9" r="1"/><circle cx="13.6" cy="7.9" r="1"/><circle cx="11.9" cy="13.1" r="1"/>'
);
export const notebookIcon = stroke('notebook', '<path d="M4 2h8.5v12H4zM6.5 2v12M2.8 4.8h2M2.8 8h2M2.8 11.2h2"/>');
export const sourceIcon = stroke('source', '<path d="M4 1.8h5l3.2 3.2v9.2H4zM9 1.8V5h3.2M6 8h4.2M6 10.8h4.2"/>');
export const readyIcon = stroke('ready', '<circle cx="8" cy="8" r="6"/><path d="M5.2 8.2l2 2 3.8-4.2"/>');
export const waitingIcon = stroke('waiting', '<circle cx="8" cy="8" r="6"/><path d="M8 4.6V8l2.2 1.6"/>');
export const workingIcon = stroke('working', '<path d="M8 2a6 6 0 1 1-6 6"/>');
export const failedIcon = stroke('failed', '<circle cx="8" cy="8" r="6"/><path d="M8 4.8v3.8M8 11v.2"/>');
export const addNotebookIcon = stroke('add-notebook', '<path d="M9 14H4V2h8.5v5M6.5 2v12M12 10v4.4M9.8 12.2h4.4"/>');
export const addIcon = stroke('add', '<path d="M8 3v10M3 8h10"/>');
export const refreshIcon = stroke('refresh', '<path d="M13 8a5 5 0 1 1-1.6-3.7M13 2.4v2.8h-2.8"/>');
export const removeIcon = stroke('remove', '<path d="M4 4l8 8M12 4l-8 8"/>');
export const trashIcon = stroke('trash', '<path d="M3 4.4h10M6.2 4.4V2.6h3.6v1.8M4.2 4.4l.6 9h6.4l.6-9M6.8 7v4M9.2 7v4"/>');
export const stopIcon = stroke('stop', '<path d="M3.6 3.6h8.8v8.8H3.6z"/>');
export const insertIcon = stroke('insert', '<path d="M3 3h10M3 6h10M8 8.4v5.2M5.8 11.4L8 13.6l2.2-2.2"/>');
export const copyIcon = stroke('copy', '<path d="M6 6h7.2v7.4H6zM3 10V2.8h7.2"/>');
export const noteIcon = stroke('note', '<path d="M3 3h10v7l-3 3H3zM10 13v-3h3M5.4 6h5M5.4 8.6h3"/>');
export const codeIcon = stroke('code', '<path d="M5.6 4.4L2 8l3.6 3.6M10.4 4.4L14 8l-3.6 3.6"/>');
export const sendIcon = stroke('send', '<path d="M2.6 3l11 5-11 5 1.8-5zM4.4 8h4"/>');
export const searchIcon = stroke('search', '<circle cx="7" cy="7" r="4.4"/><path d="M10.4 10.4L14 14"/>');
export const chatIcon = stroke('chat', '<path d="M2.4 3h11.2v8H7.4L4.6 13.6V11H2.4z"/>');
export const pageIcon = stroke('page', '<path d="M2.6 2.4h10.8v11.2H2.6zM8 2.4v11.2M4.4 5.4h1.8M4.4 8h1.8"/>');
export const beforeIcon = stroke('before', '<path d="M9.8 3.6L5.4 8l4.4 4.4"/>');
export const afterIcon = stroke('after', '<path d="M6.2 3.6L10.6 8l-4.4 4.4"/>');
