/** Chooses the notebook that search or chat is about; follows the tree. */

import { h } from './dom';
import { Library } from './library';

export class ScopeSelect {
  /** Whether somebody chose all notebooks. */
  private _all = false;
  readonly node: HTMLSelectElement = h('select', { class: 'sbf-Select', 'aria-label': 'Research notebook' });

  constructor(
    private _library: Library,
    private _withAll: boolean
  ) {
    _library.changed.connect(this._draw, this);
    _library.currentChanged.connect(this._draw, this);
    this.node.addEventListener('change', () => {
      this._all = this.node.value === '';
      if (this.node.value) {
        _library.select(this.node.value);
      }
    });
    this._draw();
  }

  /** The notebooks to look through; none means all. */
  get ids(): string[] {
    return this.node.value ? [this.node.value] : [];
  }

  /** Name of the notebook; empty for all. */
  get name(): string {
    return this._library.notebooks.find(it => it.id === this.node.value)?.name ?? '';
  }

  private _draw(): void {
    const options = this._library.notebooks.map(it => h('option', { value: it.id }, it.name));
    if (this._withAll) {
      options.unshift(h('option', { value: '' }, 'All notebooks'));
    }
    this.node.replaceChildren(...options);
    this.node.value = this._all ? '' : (this._library.current?.id ?? '');
  }
}
