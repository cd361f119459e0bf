import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { PynqLlmError } from '../errors/index.js';
import { type Clock, type Role, systemClock } from '../protocol/index.js';

/** A token and the role that it gives. */
export interface Token {
  readonly role: Role;
  readonly token: string;
  /** Whose share of the board it is; the role's name unless given. */
  readonly name?: string | undefined;
}

/** Tokens, or one by each role that it gives. */
export type Tokens = readonly Token[] | Partial<Record<Role, string>>;

/** Who was let in. */
export interface Admission {
  readonly role: Role;
  /** Name of the token that was given; undefined where none is needed. */
  readonly tokenName?: string;
  /**
   * Whose share of the board its requests use, as names of the scheduler's, the outermost first: the token's name and the
   * address, without tokens the address. Nothing of it is the client's to choose.
   */
  readonly share: readonly string[];
}

/** Guessing: so many wrong tokens from one place, and it has to wait before the next one is looked at... */
const FREE_ATTEMPTS = 5;
const FIRST_WAIT_MS = 60_000;
/** ...twice as long for each further one, up to this. */
const LONGEST_WAIT_MS = 3_600_000;
/** A place that was quiet for so long after its wait begins anew. */
const FORGET_MS = 3_600_000;
/** Places remembered; with more, those that were quiet the longest are forgotten. */
const MAX_PLACES = 1_024;
const MIN_TOKEN_LENGTH = 16;

/** Wrong tokens that came from one place. */
interface Failures {
  readonly count: number;
  /** By the clock; until then no token is looked at. */
  readonly waitUntil: number;
}

/** Who may do what: compares tokens in constant time and slows down guessing. */
export class AccessControl {
  readonly #digests: readonly { readonly role: Role; readonly name: string; readonly digest: Buffer }[];
  readonly #clock: Clock;
  readonly #failures = new Map<string, Failures>();

  /** @throws PynqLlmError AGENT_TOKEN_INVALID */
  constructor(tokens: Tokens, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#digests = listOf(tokens).map(({ role, token, name = role }) => {
      if (token.length < MIN_TOKEN_LENGTH)
        throw new PynqLlmError(
          'AGENT_TOKEN_INVALID',
          `The token for the role ${role} has ${token.length} characters.`,
        );
      return { role, name, digest: digestOf(token) };
    });
    const names = this.#digests.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice !== undefined)
      throw new PynqLlmError(
        'AGENT_TOKEN_INVALID',
        `Two tokens have the name ${twice}; a token without one has its role's.`,
      );
    if (new Set(this.#digests.map(({ digest }) => digest.toString('hex'))).size < names.length)
      throw new PynqLlmError('AGENT_TOKEN_INVALID', 'One token is there twice, under different names.');
  }

  get hasTokens(): boolean {
    return this.#digests.length > 0;
  }

  /**
   * The role of a client, and whose share it uses. Without tokens everybody who can reach the server is its administrator: it
   * then listens only where the operating system keeps others out.
   * @param address where the client comes from; wrong tokens are counted by it
   * @throws PynqLlmError AGENT_UNAUTHORISED, AGENT_TOO_MANY_ATTEMPTS
   */
  admit(token: string | undefined, address: string): Admission {
    const place = placeOf(address);
    if (!this.hasTokens) return { role: 'admin', share: [place] };
    // No token is no guess: a client that forgot its own must not lock out those who share its address.
    if (token === undefined) throw new PynqLlmError('AGENT_UNAUTHORISED', 'No token was given.');
    const before = this.#failuresOf(place);
    const wait = before.waitUntil - this.#clock.now();
    if (wait > 0)
      throw new PynqLlmError(
        'AGENT_TOO_MANY_ATTEMPTS',
        `${before.count} wrong tokens came from ${place}: none is looked at for ${Math.ceil(wait / 1000)} s.`,
        { context: { retryAfterMs: Math.ceil(wait) } },
      );
    const digest = digestOf(token);
    // Every token is compared, so that the time tells nothing.
    const found = this.#digests.filter((entry) => timingSafeEqual(entry.digest, digest)).at(0);
    // A right token forgives nothing: who has one of a lesser role may guess at another.
    if (found !== undefined) {
      const { role, name } = found;
      return { role, tokenName: name, share: [name, place] };
    }
    this.#remember(place, before.count + 1);
    throw new PynqLlmError('AGENT_UNAUTHORISED', 'The token is wrong.');
  }

  #failuresOf(place: string): Failures {
    const failures = this.#failures.get(place);
    if (failures === undefined || this.#clock.now() - failures.waitUntil > FORGET_MS)
      return { count: 0, waitUntil: 0 };
    return failures;
  }

  #remember(place: string, count: number): void {
    const now = this.#clock.now();
    const wait =
      count < FREE_ATTEMPTS ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (count - FREE_ATTEMPTS));
    // Put at the end, behind those that were quiet for longer.
    this.#failures.delete(place);
    this.#failures.set(place, { count, waitUntil: now + wait });
    if (this.#failures.size > MAX_PLACES) {
      const [oldest] = this.#failures.keys();
      this.#failures.delete(oldest);
    }
  }
}

function listOf(tokens: Tokens): readonly Token[] {
  if (Array.isArray(tokens)) return tokens;
  return Object.entries(tokens).map(([role, token]) => ({ role: role as Role, token }));
}

/**
 * What one guesser can hardly have more of: an IPv4 address, or the first 64 bits of an IPv6 address, since every
 * machine gets as many of the others as it wants (RFC 4291, 2.5.1).
 */
function placeOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1];
  if (isIP(address) !== 6) return address;
  const [head, tail] = address.split('%')[0].split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0');
  return `${[...front, ...zeros, ...back].slice(0, 4).join(':')}::/64`;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
