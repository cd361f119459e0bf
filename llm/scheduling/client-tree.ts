import type { SequenceView } from './snapshot.js';

/** Requests of clients that share a name, or a place's name and all before it. */
export interface ClientNode {
  readonly name: string;
  readonly views: readonly SequenceView[];
  /** By their next names; none where no request has one. */
  readonly inside: readonly ClientNode[];
}

/** Requests by the names of their clients, outermost first. One without a name at a level has the empty name there. */
export function clientTree(views: readonly SequenceView[], level = 0): ClientNode[] {
  const named = new Map<string, SequenceView[]>();
  for (const view of views) {
    const name = view.client[level] ?? '';
    const same = named.get(name);
    if (same === undefined) named.set(name, [view]);
    else same.push(view);
  }
  return [...named].map(([name, same]) => ({
    name,
    views: same,
    inside: same.some(({ client }) => client.length > level + 1) ? clientTree(same, level + 1) : [],
  }));
}
