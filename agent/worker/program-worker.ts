import { workerData } from 'node:worker_threads';
import { compileSchema } from '../../constraint/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { ChatRenderer } from '../../llm/index.js';
import { Doorbell } from '../worker-link/doorbell.js';
import {
  type FromPrograms,
  type ProgramKind,
  type Programs,
  type ProgramsSetup,
  RENDER_MS,
  type ToPrograms,
} from './program-messages.js';

/**
 * The thread beside the device's: runs programs from outside, which cannot be paused, one after the other. The device's
 * thread is rung once there is an answer.
 */
const setup: ProgramsSetup = workerData;
const doorbell = new Doorbell(setup.doorbell);
/** Of the template that was used last: most boards have one model loaded. */
let latest: { readonly source: string; readonly renderer: ChatRenderer } | undefined;

setup.port.on('message', (message: ToPrograms) => {
  setup.port.postMessage(answer(message));
  doorbell.ring();
});

setup.port.postMessage({ ready: true } satisfies FromPrograms);
doorbell.ring();

function answer(message: ToPrograms): FromPrograms {
  try {
    return { id: message.id, answer: run(message) };
  } catch (error) {
    return { id: message.id, error: wireOf(error).toWire() };
  }
}

/** Without the protocol's own way, which would take the memory of its schemas here. */
function wireOf(error: unknown): PynqLlmError {
  if (isPynqLlmError(error)) return error;
  return new PynqLlmError('AGENT_INTERNAL', `An unexpected error: ${String(error)}.`, { cause: error });
}

function run(message: ToPrograms): Programs[ProgramKind]['answer'] {
  if (message.kind === 'schema') return compileSchema(message.asked);
  const { frame, conversation, addGenerationPrompt } = message.asked;
  if (latest?.source !== frame.source)
    latest = { source: frame.source, renderer: new ChatRenderer(frame.source, RENDER_MS) };
  return latest.renderer.render(frame, conversation, addGenerationPrompt);
}
