import { endWindow } from '../../bench/board/marks.js';
import { GgmlType, rowBytes } from '../../gguf/index.js';
import { coreForm, RowConverter } from '../../llm/core-form/index.js';
import { KernelMemory } from '../../llm/kernels/kernels.js';
import { MatrixInput } from '../../llm/model/matrix-input.js';
import { COUNTED_COLUMNS, COUNTED_ROWS, COUNTED_TYPES, MULTIPLIED_TYPES } from './core-rows-types.js';

/** Rows until their code is compiled for good. */
const WARM_UP = 2000;

const columns = COUNTED_COLUMNS;
const rowOf = (type: GgmlType) =>
  Uint8Array.from({ length: rowBytes(type, columns) }, (_, i) => (i * 37) % 97);

/** A window to warm up, and one that counts. */
function count(work: () => void): void {
  for (const rows of [WARM_UP, COUNTED_ROWS]) {
    for (let i = 0; i < rows; i++) work();
    endWindow();
  }
}

// Rows made for the core, then rows multiplied with a column on the CPU, under the counter.
for (const name of COUNTED_TYPES) {
  const type = GgmlType[name];
  const form = coreForm(type, columns, 'all');
  if (form === undefined) throw new Error(`no form of ${name}`);
  const converter = new RowConverter(columns);
  const row = rowOf(type);
  count(() => converter.convert({ type, columns }, form, row));
}
const memory = new KernelMemory(MatrixInput.bytes(columns, 1) + 4 * columns);
const input = new MatrixInput(memory, columns, 1);
input.set(memory.floats(columns).fill(0.5), 1, columns, false);
for (const name of MULTIPLIED_TYPES) {
  const row = rowOf(GgmlType[name]);
  count(() => input.multiplySmall(GgmlType[name], row, columns, 1));
}
