import { type ClientNode, clientTree } from './client-tree.js';
import { MOST_AHEAD } from './order.js';
import type { ClientAccount, SequenceView, Snapshot } from './snapshot.js';

type HasPlace = (view: SequenceView) => boolean;

/** The parts of a class's places that its clients have: equal ones, at each level of their names. */
export class Places {
  readonly #places: number;
  readonly #clients: readonly ClientNode[];
  readonly #accounts: Snapshot['clients'];

  /** @param views requests of the class, those that have places and those that wait */
  constructor(places: number, views: readonly SequenceView[], accounts: Snapshot['clients']) {
    this.#places = places;
    this.#clients = clientTree(views);
    this.#accounts = accounts;
  }

  /**
   * Whether the request's client has less than its part, as has everybody whom it divides a part with, and has not had much
   * more of the board than somebody who waits. What one client has beyond its part is not held against those beside it.
   */
  isBelowPart({ client }: SequenceView, hasPlace: HasPlace): boolean {
    let clients = this.#clients;
    let accounts: Snapshot['clients'] | undefined = this.#accounts;
    let part = this.#places;
    for (let level = 0; clients.length > 0; level++) {
      part = partOf(part, clients);
      const node = clients.find(({ name }) => name === (client[level] ?? ''));
      if (node === undefined || used(node, part, hasPlace) >= part) return false;
      if (isAhead(node, clients, accounts, hasPlace)) return false;
      clients = node.inside;
      accounts = accounts?.get(node.name)?.inside;
    }
    return true;
  }
}

function partOf(places: number, clients: readonly ClientNode[]): number {
  return Math.max(1, Math.floor(places / clients.length));
}

function used({ views, inside }: ClientNode, places: number, hasPlace: HasPlace): number {
  if (inside.length === 0) return views.filter(hasPlace).length;
  const part = partOf(places, inside);
  return inside.reduce((sum, node) => sum + Math.min(part, used(node, part, hasPlace)), 0);
}

function isAhead(
  { name }: ClientNode,
  clients: readonly ClientNode[],
  accounts: ReadonlyMap<string, ClientAccount> | undefined,
  hasPlace: HasPlace,
): boolean {
  const timeOf = (one: string) => accounts?.get(one)?.virtualTime ?? 0;
  const own = timeOf(name);
  return clients.some(
    (other) => own - timeOf(other.name) > MOST_AHEAD && other.views.some((view) => !hasPlace(view)),
  );
}
