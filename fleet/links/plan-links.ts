import type { TLSSocket } from 'node:tls';
import { PynqLlmError } from '../../errors/index.js';
import type { LaneMemory, StageBatch } from '../../llm/index.js';
import { MOST_COLUMNS, stageBatch } from '../pipeline/batch-schema.js';
import { fromBytes, toBytes } from '../pipeline/hop.js';
import { encodeFrame, type Frame, type FrameKind, FrameReader } from './frame.js';
import { hearHello, sayHello, untilLetIn } from './greeting.js';
import type { LinkAddress, LinkPort } from './link-port.js';

/** Most bytes of a batch: as JSON, with the tokens of prompts that it shares pages of. */
const MOST_BATCH = 8 * 2 ** 20;
const KEEP_ALIVE_MS = 1_000;
const PINGS = 9;
const NOTHING = new Uint8Array(0);

export interface PlanLinksOptions {
  /** Number of the plan, which no other one had. */
  readonly plan: number;
  /** This board among the members, whose first one has the batches. */
  readonly own: number;
  readonly members: readonly LinkAddress[];
  /** The device thread's results, and where those of the others go. */
  readonly lane: LaneMemory;
  /** Bytes of a column's hidden state, with which batches come where other boards have the layers before; none otherwise. */
  readonly stateBytes?: number | undefined;
  /** How long all links may take to be there. */
  readonly openMs: number;
  /** Gives up opening them. */
  readonly signal?: AbortSignal | undefined;
  /** A batch of the first member, and what the layers before left of it. */
  readonly onBatch: (batch: StageBatch, hidden: Float32Array<ArrayBuffer> | undefined) => void;
}

/** A link to another member of the plan. */
interface Peer {
  readonly socket: TLSSocket;
  /** Messages up to this one have come. */
  received: number;
}

/**
 * The links of a plan: takes results from the lane of the own device's thread to the other members, and theirs to the lane. A link that
 * is lost, or a message that is none, ends the plan; who is silent while results are waited for ends it by the lane's deadline.
 */
export class PlanLinks {
  readonly #options: PlanLinksOptions;
  readonly #peers = new Map<number, Peer>();
  readonly #expectations: (() => void)[] = [];
  readonly #pongs = new Map<number, (lost?: PynqLlmError) => void>();
  /** Messages that have gone to the others. */
  #sent = 0;
  #pings = 0;
  #end: (error: PynqLlmError | undefined) => void = () => {};
  #hasEnded = false;
  /** Settles when the plan has ended: with the reason, or with nothing where it was closed. */
  readonly ended: Promise<PynqLlmError | undefined>;

  private constructor(options: PlanLinksOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /**
   * Opens the links: to the members before this one, and from those after it.
   * @throws PynqLlmError FLEET_LINK_REFUSED, FLEET_LINK_LOST
   */
  static async open(port: LinkPort, options: PlanLinksOptions): Promise<PlanLinks> {
    const links = new PlanLinks(options);
    const { signal, plan } = options;
    const givenUp = new PynqLlmError('FLEET_LINK_LOST', `Plan ${plan} was over before its links were there.`);
    let giveUp: () => void = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        giveUp = () => reject(givenUp);
        signal?.addEventListener('abort', giveUp, { once: true });
        if (signal?.aborted) giveUp();
        else links.#open(port).then(resolve, reject);
      });
    } catch (error) {
      links.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
    void links.#pump();
    return links;
  }

  async #open(port: LinkPort): Promise<void> {
    const { members, own, openMs } = this.#options;
    const end = performance.now() + openMs;
    await Promise.all(
      members.map((address, member) => {
        if (member === own) return undefined;
        return member < own ? this.#connect(port, address, member, end) : this.#await(port, address, member);
      }),
    );
  }

  /** Is let in by an earlier member. */
  async #connect(port: LinkPort, address: LinkAddress, member: number, end: number): Promise<void> {
    const { plan, own } = this.#options;
    await untilLetIn(end, async (timeoutMs) => {
      if (this.#hasEnded) throw new PynqLlmError('FLEET_TENSOR_ENDED', `Plan ${plan} is over.`);
      const socket = await port.connect(address, timeoutMs);
      const reader = new FrameReader(this.#most);
      sayHello(socket, plan, own);
      this.#adopt(socket, member, reader, await hearHello(socket, reader, { plan, member, timeoutMs }));
    });
  }

  /** Lets a later member in. */
  #await(port: LinkPort, { fingerprint }: LinkAddress, member: number): Promise<void> {
    const { plan, own, openMs } = this.#options;
    return new Promise((resolve, reject) => {
      const late = () => reject(this.#lost(member, `has opened no link within ${openMs} ms`));
      const timer = setTimeout(late, openMs);
      const letIn = async (socket: TLSSocket) => {
        const reader = new FrameReader(this.#most);
        try {
          const frames = await hearHello(socket, reader, { plan, member, timeoutMs: openMs });
          if (this.#peers.has(member)) throw this.#lost(member, 'has opened another link');
          sayHello(socket, plan, own);
          this.#adopt(socket, member, reader, frames);
          clearTimeout(timer);
          resolve();
        } catch {
          // Of an older plan, or a newer one that is not here yet: it may come again.
          port.refuse(socket);
        }
      };
      const stop = port.expect(fingerprint, (socket) => void letIn(socket));
      this.#expectations.push(() => {
        clearTimeout(timer);
        stop();
      });
    });
  }

  /** Tells the others what to compute. @param hidden what the layers before left of it, where other boards have them */
  sendBatch(batch: StageBatch, hidden?: Float32Array): void {
    const json = Buffer.from(JSON.stringify(batch));
    const bytes = hidden === undefined ? json : Buffer.concat([json, toBytes(hidden)]);
    for (const member of this.#peers.keys())
      this.#send(member, { kind: 'batch', batch: batch.number, number: json.length, bytes });
  }

  /** Round trip to the slowest of the others, in milliseconds: of each the median of some. @throws PynqLlmError FLEET_LINK_LOST */
  async roundTripMs(timeoutMs: number): Promise<number> {
    const medians: number[] = [];
    for (const member of this.#peers.keys()) {
      const times: number[] = [];
      for (let i = 0; i < PINGS; i++) times.push(await this.#ping(member, timeoutMs));
      medians.push(times.sort((a, b) => a - b)[PINGS >> 1]!);
    }
    return Math.max(...medians);
  }

  /** Ends the plan; harmless where it has ended. */
  close(): void {
    this.#endWith(undefined);
  }

  #ping(member: number, timeoutMs: number): Promise<number> {
    const number = ++this.#pings;
    const since = performance.now();
    return new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pongs.delete(number);
        reject(this.#lost(member, `has not answered within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pongs.set(number, (lost) => {
        clearTimeout(timer);
        if (lost !== undefined) reject(lost);
        else resolve(performance.now() - since);
      });
      if (this.#hasEnded) this.#endPings(this.#lost(member, 'is not waited for any more'));
      else this.#send(member, { kind: 'ping', number });
    });
  }

  #endPings(reason: PynqLlmError): void {
    for (const end of this.#pongs.values()) end(reason);
    this.#pongs.clear();
  }

  /** Takes what the device's thread has put into its outbox to the others. */
  async #pump(): Promise<void> {
    const { lane, own } = this.#options;
    while (!this.#hasEnded) {
      const { bell } = lane;
      const message = lane.look(own, this.#sent);
      if (message !== undefined) {
        this.#sent++;
        const { number, batch, bytes, forFirst } = message;
        for (const member of this.#peers.keys())
          if (!forFirst || member === 0) this.#send(member, { kind: 'part', batch, number, bytes });
      } else if (lane.ended !== undefined) {
        const { silent } = lane.ended;
        const what =
          silent === undefined ? 'A step has failed' : `Member ${silent} has sent no results in time`;
        const code = silent === undefined ? 'FLEET_TENSOR_ENDED' : 'FLEET_TENSOR_SILENT';
        this.#endWith(new PynqLlmError(code, `${what}: plan ${this.#options.plan} has ended.`));
      } else await lane.waitAsync(bell);
    }
  }

  get #most(): number {
    const { stateBytes = 0, lane } = this.#options;
    return Math.max(MOST_BATCH + MOST_COLUMNS * stateBytes, lane.capacity);
  }

  #adopt(socket: TLSSocket, member: number, reader: FrameReader, frames: readonly Frame[]): void {
    if (this.#hasEnded) {
      socket.destroy();
      return;
    }
    this.#peers.set(member, { socket, received: -1 });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('error', () => {});
    socket.on('close', () => this.#endWith(this.#lost(member, 'has closed its link')));
    const take = (all: Iterable<Frame>) => {
      try {
        for (const frame of all) this.#take(member, frame);
      } catch (error) {
        this.#endWith(error instanceof PynqLlmError ? error : this.#lost(member, String(error)));
      }
    };
    socket.on('data', (bytes: Buffer) => take(reader.read(bytes)));
    take(frames);
  }

  #send(
    member: number,
    { batch = 0, number = 0, bytes = NOTHING, ...frame }: { kind: FrameKind } & Partial<Frame>,
  ): void {
    const { plan } = this.#options;
    this.#peers.get(member)?.socket.write(encodeFrame({ plan, batch, number, bytes, kind: frame.kind }));
  }

  /** @throws PynqLlmError FLEET_LINK_FRAME */
  #take(member: number, { kind, plan, batch, number, bytes }: Frame): void {
    if (this.#hasEnded) return;
    const { lane, own, onBatch, stateBytes = 0 } = this.#options;
    const peer = this.#peers.get(member);
    const refuse = (why: string) =>
      new PynqLlmError('FLEET_LINK_FRAME', `Member ${member} has sent ${why}.`, {
        context: { member, kind, plan, batch, number, bytes: bytes.length },
      });
    if (plan !== this.#options.plan || peer === undefined) throw refuse(`a message of plan ${plan}`);
    if (kind === 'ping') this.#send(member, { kind: 'pong', number });
    else if (kind === 'pong') {
      this.#pongs.get(number)?.();
      this.#pongs.delete(number);
    } else if (kind === 'batch' && member === 0) {
      const read = parseBatch(bytes.subarray(0, number), refuse);
      const states = bytes.subarray(number);
      if (states.length !== read.columns.length * stateBytes)
        throw refuse(`${states.length} bytes of states for ${read.columns.length} columns`);
      onBatch(read, stateBytes === 0 ? undefined : fromBytes(states));
    } else if (kind === 'part') {
      // Nobody comes further than the message after the last one that this board has given: its place would still be in use.
      if (number <= peer.received || number > this.#sent || bytes.length > lane.capacity)
        throw refuse(`message ${number} out of turn`);
      peer.received = number;
      lane.put(member, { number, batch, forFirst: own === 0 && member !== 0, bytes });
    } else throw refuse(`a ${kind} that is not its turn`);
  }

  #lost(member: number, what: string): PynqLlmError {
    const { plan } = this.#options;
    return new PynqLlmError('FLEET_LINK_LOST', `Member ${member} of plan ${plan} ${what}.`, {
      context: { member, plan },
    });
  }

  #endWith(error: PynqLlmError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#end(error);
    for (const stop of this.#expectations.splice(0)) stop();
    const over = `Plan ${this.#options.plan} was over before its links were measured.`;
    this.#endPings(error ?? new PynqLlmError('FLEET_LINK_LOST', over));
    this.#options.lane.end();
    for (const { socket } of this.#peers.values()) socket.destroy();
  }
}

/** That its caches and positions are there is checked by those that follow it. */
function parseBatch(bytes: Uint8Array, refuse: (why: string) => PynqLlmError): StageBatch {
  try {
    return stageBatch.parse(JSON.parse(Buffer.from(bytes).toString()));
  } catch {
    throw refuse('a batch that is none');
  }
}
