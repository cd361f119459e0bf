import { endWindow } from '../../bench/board/marks.js';
import { GgmlType, rowBytes } from '../../gguf/index.js';
import { coreForm, RowConverter } from '../../llm/core-form/index.js';
import { COUNTED_COLUMNS, COUNTED_ROWS, COUNTED_TYPES } from './core-rows-types.js';

/** Rows until their code is compiled for good. */
const WARM_UP = 2000;

/** Makes rows for the core under the counter: for each type a window to warm up and one that counts. */
for (const name of COUNTED_TYPES) {
  const [type, columns] = [GgmlType[name], COUNTED_COLUMNS];
  const form = coreForm(type, columns, 'all');
  if (form === undefined) throw new Error(`no form of ${name}`);
  const converter = new RowConverter(columns);
  const row = Uint8Array.from({ length: rowBytes(type, columns) }, (_, i) => (i * 37) % 97);
  for (const rows of [WARM_UP, COUNTED_ROWS]) {
    for (let i = 0; i < rows; i++) converter.convert({ type, columns }, form, row);
    endWindow();
  }
}
