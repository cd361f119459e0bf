import type { MessagePort } from 'node:worker_threads';
import type { Grammar } from '../../constraint/index.js';
import type { WireError } from '../../errors/index.js';
import type { ChatFrame, Conversation } from '../../llm/index.js';

/** What the device's thread asks the thread beside it, and what that answers. */
export interface Programs {
  chat: {
    readonly asked: {
      readonly frame: ChatFrame;
      readonly conversation: Conversation;
      readonly addGenerationPrompt: boolean;
    };
    readonly answer: string;
  };
  schema: { readonly asked: string; readonly answer: Grammar };
}
export type ProgramKind = keyof Programs;

export type ToPrograms = {
  [K in ProgramKind]: { readonly id: number; readonly kind: K; readonly asked: Programs[K]['asked'] };
}[ProgramKind];

export type FromPrograms =
  /** The thread has started. */
  | { readonly ready: true }
  | { readonly id: number; readonly answer: Programs[ProgramKind]['answer'] }
  | { readonly id: number; readonly error: WireError };

/** What the thread is started with. */
export interface ProgramsSetup {
  readonly port: MessagePort;
  /** See Doorbell. */
  readonly doorbell: SharedArrayBuffer;
}

/**
 * A template that never ends, which would keep the templates and schemas of everybody else waiting. A conversation of a
 * thousand messages takes some 70 ms on x86-64, a slow board a hundred times as long.
 */
export const RENDER_MS = 20_000;
