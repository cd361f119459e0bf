import type { ClientAccount } from './snapshot.js';

/** Clients remembered while they have no requests; who had the least is forgotten first. */
const MAX_ABSENT = 1_000;

/** What each client has had of the board, in columns by its weight. */
export class ClientAccounts {
  readonly #accounts = new Map<string, ClientAccount>();
  readonly #requests = new Map<string, number>();
  readonly #weights: ReadonlyMap<string, number>;
  /** The virtual time of a client that has had exactly its part of what was computed. */
  #clock = 0;

  /** @param weights shares relative to the other clients', 1 unless given */
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
  enter(client: string): void {
    const present = this.#requests.get(client) ?? 0;
    this.#requests.set(client, present + 1);
    if (present > 0) return;
    const others = [...this.#requests.keys()].filter((one) => one !== client);
    const least = Math.min(...others.map((one) => this.#accounts.get(one)?.virtualTime ?? 0));
    if (others.length > 0) this.#clock = Math.max(this.#clock, least);
    const before = this.#accounts.get(client);
    this.#accounts.set(client, {
      virtualTime: Math.max(before?.virtualTime ?? 0, this.#clock),
      weight: this.#weightOf(client),
      servedAt: before?.servedAt ?? Number.NEGATIVE_INFINITY,
    });
  }

  /** One of the client's requests is gone. */
  leave(client: string): void {
    const present = (this.#requests.get(client) ?? 0) - 1;
    if (present > 0) {
      this.#requests.set(client, present);
      return;
    }
    this.#requests.delete(client);
    if (this.#requests.size === 0) {
      this.#accounts.clear();
      this.#clock = 0;
    } else if (this.#accounts.size - this.#requests.size > MAX_ABSENT) this.#forgetOne();
  }

  /** One of the client's requests begins. */
  begin(client: string, now: number): void {
    this.#change(client, { servedAt: now });
  }

  /** So many columns were computed for the client. */
  charge(client: string, columns: number): void {
    const account = this.#accounts.get(client);
    if (account === undefined) return;
    this.#change(client, { virtualTime: account.virtualTime + columns / account.weight });
    const weights = [...this.#requests.keys()].reduce((sum, one) => sum + this.#weightOf(one), 0);
    this.#clock += columns / weights;
  }

  #weightOf(client: string): number {
    return this.#weights.get(client) ?? 1;
  }

  #change(client: string, change: Partial<ClientAccount>): void {
    const account = this.#accounts.get(client);
    if (account !== undefined) this.#accounts.set(client, { ...account, ...change });
  }

  #forgetOne(): void {
    const absent = [...this.#accounts].filter(([client]) => !this.#requests.has(client));
    const [least] = absent.reduce((a, b) => (b[1].virtualTime < a[1].virtualTime ? b : a));
    this.#accounts.delete(least);
  }
}
