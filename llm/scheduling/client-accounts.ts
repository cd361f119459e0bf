import type { ClientAccount, ClientPath } from './snapshot.js';

/**
 * Clients of a level that are remembered while they have no requests; who had the least is forgotten first. Names that are
 * never used again cost memory, and a client that is forgotten gains no more than one that calls itself anew: within
 * its level.
 */
const MAX_ABSENT = 256;

/** What each client of a level has had of what the level had, in columns by its weight, and so on inside of it. */
export class ClientAccounts {
  readonly #accounts = new Map<string, Account>();
  readonly #present = new Set<Account>();
  readonly #weights: ReadonlyMap<string, number>;
  /** The virtual time of a client that has had exactly its part of what was computed. */
  #clock = 0;

  /** @param weights parts by name relative to the level's other clients, 1 unless given */
  constructor(weights: ReadonlyMap<string, number>) {
    this.#weights = weights;
  }

  get all(): ReadonlyMap<string, ClientAccount> {
    return this.#accounts;
  }

  /**
   * Another request of the client is there. One that had none has no claim to the time of its absence: it begins where one
   * would be that has had exactly its part all the time, and not below all who are present. So clients that come later, however
   * many, begin later than one that waits.
   */
  enter([name = '', ...names]: ClientPath): void {
    const account = this.#accounts.get(name) ?? new Account(this.#weights.get(name) ?? 1, this.#weights);
    this.#accounts.set(name, account);
    if (account.requests++ === 0) {
      const least = Math.min(...[...this.#present].map(({ virtualTime }) => virtualTime));
      if (this.#present.size > 0) this.#clock = Math.max(this.#clock, least);
      account.virtualTime = Math.max(account.virtualTime, this.#clock);
      this.#present.add(account);
    }
    if (name !== '') account.accounts.enter(names);
  }

  /** One of the client's requests is gone. */
  leave([name = '', ...names]: ClientPath): void {
    const account = this.#accounts.get(name);
    if (account === undefined) return;
    if (name !== '') account.accounts.leave(names);
    if (--account.requests > 0) return;
    this.#present.delete(account);
    if (this.#present.size === 0) {
      this.#accounts.clear();
      this.#clock = 0;
    } else if (this.#accounts.size - this.#present.size > MAX_ABSENT) this.#forgetOne();
  }

  /** One of the client's requests begins. */
  begin([name = '', ...names]: ClientPath, now: number): void {
    const account = this.#accounts.get(name);
    if (account === undefined) return;
    account.servedAt = now;
    if (name !== '') account.accounts.begin(names, now);
  }

  /** So many columns were computed for the client. */
  charge([name = '', ...names]: ClientPath, columns: number): void {
    const account = this.#accounts.get(name);
    if (account === undefined) return;
    account.virtualTime += columns / account.weight;
    let weights = 0;
    for (const { weight } of this.#present) weights += weight;
    this.#clock += columns / weights;
    if (name !== '') account.accounts.charge(names, columns);
  }

  #forgetOne(): void {
    const absent = [...this.#accounts].filter(([, account]) => !this.#present.has(account));
    const [least] = absent.reduce((a, b) => (b[1].virtualTime < a[1].virtualTime ? b : a));
    this.#accounts.delete(least);
  }
}

class Account implements ClientAccount {
  virtualTime = 0;
  servedAt = Number.NEGATIVE_INFINITY;
  /** Those of the client that have not ended. */
  requests = 0;
  readonly accounts: ClientAccounts;

  constructor(
    readonly weight: number,
    weights: ReadonlyMap<string, number>,
  ) {
    this.accounts = new ClientAccounts(weights);
  }

  get inside(): ReadonlyMap<string, ClientAccount> {
    return this.accounts.all;
  }
}
