import { type ClientNode, clientTree } from './client-tree.js';
import { MOST_AHEAD } from './order.js';
import { type ClientAccount, SERVICE_CLASSES, type SequenceView, type Snapshot } from './snapshot.js';

/**
 * Clients that had {@link MOST_AHEAD} columns more than one of their class that waits for a place or for memory: what they have begun goes
 * on at a column of each step, so that those who wait get theirs sooner. Without that whoever comes first with long prompts
 * or answers keeps the board until they are done.
 * @param running those that could have columns @param waiting those that cannot begin
 * @returns of each view of such a client, who has the one column: views of the same one share it
 */
export function heldBack(
  running: readonly SequenceView[],
  waiting: readonly SequenceView[],
  { clients }: Snapshot,
): ReadonlyMap<SequenceView, ClientNode> {
  const held = new Map<SequenceView, ClientNode>();
  for (const served of SERVICE_CLASSES) {
    const isOfClass = (view: SequenceView) => view.class === served;
    const late = waiting.filter(isOfClass);
    if (late.length > 0) holdBack(clientTree(running.filter(isOfClass)), clientTree(late), clients, held);
  }
  return held;
}

function holdBack(
  running: readonly ClientNode[],
  waiting: readonly ClientNode[],
  accounts: ReadonlyMap<string, ClientAccount> | undefined,
  held: Map<SequenceView, ClientNode>,
): void {
  const timeOf = (name: string) => accounts?.get(name)?.virtualTime ?? 0;
  const least = Math.min(...waiting.map(({ name }) => timeOf(name)));
  for (const node of running) {
    if (timeOf(node.name) - least > MOST_AHEAD) {
      for (const view of node.views) held.set(view, node);
      continue;
    }
    const same = waiting.find(({ name }) => name === node.name);
    if (same !== undefined) holdBack(node.inside, same.inside, accounts?.get(node.name)?.inside, held);
  }
}
