import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { type SessionHost, Sessions, UploadBodies } from '../../agent/index.js';
import { type Lease, type LeaseWatch, takeLease, watchLeases } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { GATEWAY, LEADER } from '../subjects.js';
import { FLEET_CAPABILITIES } from './capabilities.js';
import { declareStores } from './declare-stores.js';
import { Gateway, type GatewayOptions } from './gateway.js';
import { mirrorModels } from './mirror-models.js';

/** Another gateway takes the lead where it has not heard of the one that leads for so long. */
const LEASE_MS = 3_000;
/** A standby asks for the lead for so long at a time. */
const CAMPAIGN_MS = 60_000;
const AGAIN_MS = 200;
/** Leases that a gateway does not know whether it leads: then its clients are to look for another one. */
const DOUBT_LEASES = 3;

export interface GatewayHostOptions
  extends Omit<GatewayOptions, 'term' | 'leads' | 'signal' | 'uploadBodies'> {
  /** Milliseconds of silence after which another gateway takes the lead: three seconds unless given; from 100. */
  readonly leaseMs?: number | undefined;
  /** What others call it; the machine's name unless given. */
  readonly name?: string | undefined;
}

/**
 * A process that serves a fleet's clients while it leads, of all that could: they agree on one by a lease. The others stand by: they let
 * nobody in, say who leads, and go on with what the one before had once its lease has ended.
 */
export class GatewayHost implements SessionHost {
  readonly uploadBodies = new UploadBodies();
  readonly #options: GatewayHostOptions;
  readonly #name: string;
  readonly #refused: Sessions;
  readonly #leaders: LeaseWatch;
  readonly #closing = new AbortController();
  #url: string | undefined;
  /** How others describe who leads, where one does. */
  #leader: string | undefined;
  #lease: Lease | undefined;
  #gateway: Gateway | undefined;
  #ended: Promise<void> = Promise.resolve();

  private constructor(options: GatewayHostOptions) {
    this.#options = options;
    const { bus, name = hostname() } = options;
    this.#name = name;
    this.#refused = new Sessions({
      ...options,
      capabilities: FLEET_CAPABILITIES,
      handlerOf: () => () => {
        throw this.#standsBy();
      },
    });
    this.#leaders = watchLeases(
      bus,
      bus.bucket(GATEWAY),
      (event) => {
        if (event.kind !== 'ready') this.#leader = event.kind === 'live' ? event.value : undefined;
      },
      LEADER,
    );
  }

  /** Leads at once where nobody else does. @throws PynqLlmError BUS_... */
  static async open(options: GatewayHostOptions): Promise<GatewayHost> {
    await declareStores(options.bus);
    const host = new GatewayHost(options);
    try {
      await host.#lead(await host.#first());
      if (host.#gateway === undefined)
        options.log.info({ leader: host.#leader }, 'another gateway leads the fleet: this one stands by');
      host.#ended = host.#stay();
      return host;
    } catch (error) {
      await host.close();
      throw error;
    }
  }

  /** The gateway that leads the fleet from this process, while it does. */
  get leading(): Gateway | undefined {
    return this.#lease?.held === true ? this.#gateway : undefined;
  }

  /** Says where it listens, for those who ask a standby. */
  async tellUrl(url: string): Promise<void> {
    this.#url = url;
    await this.#lease?.set(this.#describe());
  }

  openSession(
    ...[port, admit]: Parameters<SessionHost['openSession']>
  ): ReturnType<SessionHost['openSession']> {
    if (this.#gateway !== undefined) return this.#gateway.openSession(port, admit);
    return this.#refused.open(port, (token) => {
      // Who may not come in is not told who leads.
      admit(token);
      throw this.#standsBy();
    });
  }

  /** The same host, with what else ends when it is closed. @param close closes this one, too */
  closedBy(close: () => Promise<void>): SessionHost {
    return {
      uploadBodies: this.uploadBodies,
      openSession: (...client) => this.openSession(...client),
      drain: (ms) => this.drain(ms),
      close,
    };
  }

  async drain(ms: number): Promise<void> {
    await this.#gateway?.drain(ms);
  }

  /** Gives up the lead, which a standby then takes at once. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return this.#ended;
    this.#closing.abort();
    const reason = new PynqLlmError('AGENT_CLOSING', 'The gateway is shutting down.');
    this.#refused.end(reason);
    this.#stepDown(reason);
    await this.#lease?.release();
    await this.#ended;
    this.#leaders.close();
    await this.#options.store.close();
  }

  #describe(): string {
    return this.#url === undefined ? this.#name : `${this.#name} (${this.#url})`;
  }

  #standsBy(): PynqLlmError {
    // With the lead it is about to serve, and nobody does yet.
    const leader = this.#lease === undefined ? this.#leader : undefined;
    const who = leader === undefined ? 'No gateway leads the fleet now' : `Gateway ${leader} leads the fleet`;
    const what = `${who}; this one, ${this.#describe()}, stands by.`;
    return new PynqLlmError('FLEET_STANDBY', what, { context: leader === undefined ? {} : { leader } });
  }

  /** Takes the lead at the start: after the time of a lease whose holder says nothing, or not while he is heard. */
  async #first(): Promise<Lease | undefined> {
    const { bus, leaseMs = LEASE_MS } = this.#options;
    const heard = new AbortController();
    const listen = async () => {
      let isPast = true;
      for await (const { kind } of bus.bucket(GATEWAY).watch({ pattern: LEADER, signal: heard.signal }))
        if (kind === 'ready') isPast = false;
        else if (kind === 'value' && !isPast) heard.abort();
    };
    // Who cannot hear others waits for the time of their lease.
    const listening = listen().catch(() => {});
    try {
      return await this.#take(1.5 * leaseMs, heard.signal);
    } finally {
      heard.abort();
      await listening;
    }
  }

  /** Keeps the models of the fleet meanwhile. @returns the lead, once nobody else has it */
  async #standBy(): Promise<Lease | undefined> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#closing.signal]);
    const mirrored = mirrorModels(this.#options, signal);
    try {
      for (;;) {
        const lease = await this.#take(CAMPAIGN_MS, signal);
        if (lease !== undefined || signal.aborted) return lease;
      }
    } finally {
      over.abort();
      await mirrored;
    }
  }

  #take(waitMs: number, signal: AbortSignal): Promise<Lease | undefined> {
    const { bus, leaseMs = LEASE_MS } = this.#options;
    return takeLease(bus, bus.bucket(GATEWAY), LEADER, {
      owner: randomBytes(12).toString('hex'),
      ttlMs: leaseMs,
      value: this.#describe(),
      waitMs,
      signal: AbortSignal.any([signal, this.#closing.signal]),
    });
  }

  /** @throws PynqLlmError BUS_..., FLEET_OLD_TERM */
  async #lead(lease: Lease | undefined): Promise<void> {
    if (lease === undefined) return;
    const { log } = this.#options;
    this.#lease = lease;
    try {
      this.#gateway = await Gateway.open({
        ...this.#options,
        term: lease.term,
        leads: () => this.#lease?.held === true,
        signal: AbortSignal.any([lease.lost, this.#closing.signal]),
        uploadBodies: this.uploadBodies,
      });
      log.info({ term: lease.term }, 'this gateway leads the fleet');
    } catch (error) {
      this.#lease = undefined;
      await lease.release();
      throw error;
    }
  }

  /** Leads, stands by, and leads again, until it is closed. */
  async #stay(): Promise<void> {
    const { log } = this.#options;
    const closing = this.#closing.signal;
    while (!closing.aborted)
      try {
        if (this.#gateway === undefined) await this.#lead(await this.#standBy());
        else await this.#whileLeading(this.#gateway);
      } catch (err) {
        if (closing.aborted || isPynqLlmError(err, 'BUS_CLOSED')) return;
        if (isPynqLlmError(err)) log.warn({ err }, 'the fleet cannot be led now');
        else log.error({ err }, 'unexpected error of a gateway that stands by');
        await pause(AGAIN_MS);
      }
  }

  async #whileLeading(gateway: Gateway): Promise<void> {
    const { log } = this.#options;
    const closing = this.#closing.signal;
    const { lost } = this.#lease!;
    await aborted(AbortSignal.any([lost, closing]));
    if (closing.aborted) return;
    log.warn(
      { err: lost.reason },
      'whether this gateway leads is in doubt: it does nothing until that is known',
    );
    const again = await this.#regain();
    if (closing.aborted) return;
    if (again === undefined) {
      log.warn({ leader: this.#leader }, 'this gateway leads no more, and stands by');
      this.#lease = undefined;
      this.#stepDown(this.#standsBy());
    } else {
      this.#lease = again;
      log.info({}, 'this gateway still leads: nobody else did meanwhile');
      gateway.resume();
    }
  }

  /** The broker was away, or this process slept: what it has in hand is its own as long as nobody else had the lead. */
  async #regain(): Promise<Lease | undefined> {
    const until = performance.now() + DOUBT_LEASES * (this.#options.leaseMs ?? LEASE_MS);
    while (!this.#closing.signal.aborted && performance.now() < until)
      try {
        return await this.#lease?.regain();
      } catch (err) {
        if (!isPynqLlmError(err, 'BUS_UNAVAILABLE')) throw err;
        await pause(AGAIN_MS);
      }
    return undefined;
  }

  #stepDown(reason: PynqLlmError): void {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    gateway?.close(reason);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
