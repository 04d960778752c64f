/** Elements without a library. Text is set as text: nothing that comes from a source is ever read as HTML. */

import { LabIcon } from '@jupyterlab/ui-components';

type Handlers = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
type Child = Node | string | null | undefined | false;

export interface Props {
  class?: string;
  on?: Handlers;
  [attribute: string]: string | number | boolean | Handlers | null | undefined;
}

/** Make an element; attributes that are false, null or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'on') {
      for (const [event, handler] of Object.entries(value as Handlers)) {
        element.addEventListener(event, handler as EventListener);
      }
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...(children.filter(Boolean) as (Node | string)[]));
  return element;
}

/** A button that shows an icon; its label is its name and tooltip. */
export function iconButton(icon: LabIcon, label: string, act: () => void, extra = ''): HTMLButtonElement {
  const props = { type: 'button', class: `sbf-IconButton ${extra}`, title: label, 'aria-label': label };
  const stop = (event: Event) => {
    event.stopPropagation();
    act();
  };
  return h('button', { ...props, on: { click: stop } }, icon.element({ tag: 'span', 'aria-hidden': 'true' } as any));
}

/** A button with words. */
export function button(label: string, act: () => void, extra = ''): HTMLButtonElement {
  return h('button', { type: 'button', class: `sbf-Button ${extra}`, on: { click: act } }, label);
}

/** What went wrong, and what to do next. */
export function problemView(error: { message: string; hint?: string }, again?: () => void): HTMLElement {
  return h(
    'div',
    { class: 'sbf-Problem', role: 'alert' },
    h('p', {}, error.message),
    error.hint ? h('p', { class: 'sbf-Problem-hint' }, error.hint) : null,
    again ? button('Try again', again) : null
  );
}

/** Move the focus among the items of a list with the arrow keys, Home and End. */
export function moveFocus(event: KeyboardEvent, items: HTMLElement[]): void {
  const at = items.indexOf(document.activeElement as HTMLElement);
  const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (target !== undefined && at >= 0 && items[target]) {
    items[target].focus();
    event.preventDefault();
  }
}
