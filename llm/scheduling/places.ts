import { type ClientNode, clientTree } from './client-tree.js';
import type { SequenceView } from './snapshot.js';

/** The parts of a class's places that its clients have: equal ones, at each level of their names. */
export class Places {
  readonly #places: number;
  readonly #clients: readonly ClientNode[];

  /** @param views requests of the class, those that have places and those that wait */
  constructor(places: number, views: readonly SequenceView[]) {
    this.#places = places;
    this.#clients = clientTree(views);
  }

  /**
   * Whether the request's client has less than its part, and so has everybody whom it divides a part with. What one of
   * them has beyond its own is not held against the others.
   */
  isBelowPart({ client }: SequenceView, hasPlace: (view: SequenceView) => boolean): boolean {
    let clients = this.#clients;
    let part = this.#places;
    for (let level = 0; clients.length > 0; level++) {
      part = partOf(part, clients);
      const node = clients.find(({ name }) => name === (client[level] ?? ''));
      if (node === undefined || used(node, part, hasPlace) >= part) return false;
      clients = node.inside;
    }
    return true;
  }
}

function partOf(places: number, clients: readonly ClientNode[]): number {
  return Math.max(1, Math.floor(places / clients.length));
}

function used(
  { views, inside }: ClientNode,
  places: number,
  hasPlace: (view: SequenceView) => boolean,
): number {
  if (inside.length === 0) return views.filter(hasPlace).length;
  const part = partOf(places, inside);
  return inside.reduce((sum, node) => sum + Math.min(part, used(node, part, hasPlace)), 0);
}
