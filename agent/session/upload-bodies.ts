import type { Readable } from 'node:stream';
import type { Admission } from '../../access/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { ROLES, type UploadRange } from '../../protocol/index.js';

/** Each body under way takes the memory of a chunk: of all clients ... */
export const MAX_BODIES = 8;
/** ... and of one, so that others can send beside it. */
const MAX_BODIES_OF_SHARE = 4;

/** An upload that bytes can be sent to. */
export interface UploadTarget {
  /** Name of the token of the session that began it. */
  readonly tokenName: string | undefined;
  /** Takes bytes from what `open` gives, which is called once they are wanted. @throws as receiveChunks, AGENT_UPLOAD_ENDED */
  receive(range: UploadRange, open: () => Readable): Promise<void>;
}

/** The uploads of all sessions by their ids, and whose bytes are taken now. */
export class UploadBodies {
  readonly #targets = new Map<string, UploadTarget>();
  /** Bodies under way by the share of who sends them. */
  readonly #underWay = new Map<string, number>();

  add(id: string, target: UploadTarget): void {
    this.#targets.set(id, target);
  }

  remove(id: string): void {
    this.#targets.delete(id);
  }

  /**
   * Takes bytes of an upload; nothing is read before it is known that they are wanted.
   * @param open called then, gives the body, of which some may be left unread where it is refused
   * @throws PynqLlmError PROTOCOL_ROLE_REQUIRED, AGENT_UPLOAD_UNKNOWN, AGENT_UPLOADS_BUSY, as UploadTarget.receive
   */
  async receive(
    id: string,
    range: UploadRange,
    { role, tokenName, share }: Admission,
    open: () => Readable,
  ): Promise<void> {
    if (ROLES.indexOf(role) < ROLES.indexOf('infer'))
      throw new PynqLlmError(
        'PROTOCOL_ROLE_REQUIRED',
        `An upload needs the role infer; the token has ${role}.`,
        {
          context: { needed: 'infer', role },
        },
      );
    const target = this.#targets.get(id);
    // An id is as good as a secret, and yet no other token's client may send what one will take for its own.
    if (target === undefined || target.tokenName !== tokenName)
      throw new PynqLlmError('AGENT_UPLOAD_UNKNOWN', 'No upload has this id.');
    const leave = this.#enter(share.join(' / '));
    try {
      await target.receive(range, open);
    } finally {
      leave();
    }
  }

  #enter(share: string): () => void {
    const own = this.#underWay.get(share) ?? 0;
    const all = [...this.#underWay.values()].reduce((sum, one) => sum + one, 0);
    if (own >= MAX_BODIES_OF_SHARE || all >= MAX_BODIES)
      throw new PynqLlmError(
        'AGENT_UPLOADS_BUSY',
        `Bodies of ${all} uploads are under way, ${own} of them of this client.`,
      );
    this.#underWay.set(share, own + 1);
    return () => {
      const left = (this.#underWay.get(share) ?? 1) - 1;
      if (left > 0) this.#underWay.set(share, left);
      else this.#underWay.delete(share);
    };
  }
}
