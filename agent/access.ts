import { createHash, timingSafeEqual } from 'node:crypto';
import { PynqLlmError } from '../errors/index.js';
import type { Clock, Role } from '../protocol/index.js';

/** Tokens by the role that they give. */
export type Tokens = Partial<Record<Role, string>>;

/** Guessing: so many wrong tokens from one address within the window, then none is looked at. */
const MAX_ATTEMPTS = 5;
const ATTEMPT_WINDOW_MS = 60_000;
/** Addresses remembered; with more, the oldest are forgotten. */
const MAX_ADDRESSES = 1_024;
const MIN_TOKEN_LENGTH = 16;

/** Who may do what: compares tokens in constant time and slows down guessing. */
export class AccessControl {
  readonly #digests: readonly { readonly role: Role; readonly digest: Buffer }[];
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; since: number }>();

  /** @throws PynqLlmError AGENT_TOKEN_INVALID */
  constructor(tokens: Tokens, clock: Clock) {
    this.#clock = clock;
    this.#digests = Object.entries(tokens).map(([role, token]) => {
      if (token.length < MIN_TOKEN_LENGTH)
        throw new PynqLlmError(
          'AGENT_TOKEN_INVALID',
          `The token for the role ${role} has ${token.length} characters.`,
        );
      return { role: role as Role, digest: digestOf(token) };
    });
  }

  get hasTokens(): boolean {
    return this.#digests.length > 0;
  }

  /**
   * The role of a client. Without tokens everybody who can reach the agent is its administrator: it then listens
   * only where the operating system keeps others out.
   * @param address where the client comes from, for counting wrong tokens
   * @throws PynqLlmError AGENT_UNAUTHORISED, AGENT_TOO_MANY_ATTEMPTS
   */
  admit(token: string | undefined, address: string): Role {
    if (!this.hasTokens) return 'admin';
    const failures = this.#failures.get(address);
    const now = this.#clock.now();
    const recent = failures !== undefined && now - failures.since < ATTEMPT_WINDOW_MS ? failures : undefined;
    if (recent !== undefined && recent.count >= MAX_ATTEMPTS)
      throw new PynqLlmError('AGENT_TOO_MANY_ATTEMPTS', `${recent.count} wrong tokens came from ${address}.`);
    const digest = digestOf(token ?? '');
    // Every token is compared, so that the time tells nothing.
    const found = this.#digests.filter((entry) => timingSafeEqual(entry.digest, digest)).at(0);
    if (found !== undefined) return found.role;
    this.#failures.delete(address);
    this.#failures.set(address, { count: (recent?.count ?? 0) + 1, since: recent?.since ?? now });
    if (this.#failures.size > MAX_ADDRESSES) {
      const [oldest] = this.#failures.keys();
      this.#failures.delete(oldest);
    }
    throw new PynqLlmError(
      'AGENT_UNAUTHORISED',
      token === undefined ? 'No token was given.' : 'The token is wrong.',
    );
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
