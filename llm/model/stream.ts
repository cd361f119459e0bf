import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import type { Workspace } from './workspace.js';

/**
 * Multiplies `group` with the norm of the residual stream, or with the stream itself where nothing comes before; what was still to
 * be added to the stream is added.
 */
export function multiplyStream(
  workspace: Workspace,
  norm: Norm | undefined,
  n: number,
  group: MatrixGroup,
): void {
  if (norm === undefined) {
    workspace.addUpdate(n * group.columns);
    group.multiply(workspace.hidden, n);
    return;
  }
  const to = group.blocksAddress;
  workspace.normalize(norm, n, to);
  group.multiply(workspace.normed, n, to !== 0);
}

/**
 * Ends a half of a layer, whose result is in `update`: it is normed and scaled where the family does that, and added to the residual
 * stream by whoever takes the stream next.
 */
export function leaveUpdate(workspace: Workspace, norm: Norm | undefined, n: number, scale: number): void {
  const { update, hidden, maxColumns } = workspace;
  if (norm !== undefined) workspace.normalizeRows(norm, update, n);
  if (scale !== 1) {
    const count = (n * hidden.length) / maxColumns;
    for (let i = 0; i < count; i++) update[i] *= scale;
  }
  workspace.hasUpdate = true;
}

/** Moves row `from` of `width` values to row `to`. */
export function moveRow(rows: Float32Array, width: number, from: number, to: number): void {
  if (from !== to) rows.copyWithin(to * width, from * width, (from + 1) * width);
}
