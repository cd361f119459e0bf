import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { isPynqLlmError } from '../../errors/index.js';
import { errorToWire, type GenerateEvent } from '../../protocol/index.js';
import { openBoard, takesRealTime } from '../boards/open-board.js';
import { systemMemoryOf } from '../boards/system-memory.js';
import { Doorbell } from '../worker-link/doorbell.js';
import type { DeviceCall, FromWorker, ToWorker, WorkerSetup } from '../worker-link/messages.js';
import { changesMemory } from '../worker-link/methods.js';
import { RegisterMailbox } from '../worker-link/register-mailbox.js';
import type { FromStage } from '../worker-link/stage-messages.js';
import { DeviceService } from './device-service.js';

/** A flood of requests must not keep generations from their steps. */
const MESSAGES_PER_STEP = 64;

/**
 * The device's thread: owns the board, the accelerator and the loaded models. It runs steps of the engines and slices of
 * work on texts, and takes messages between them, until it is closed; it never returns to its event loop before.
 */
const setup: WorkerSetup = workerData;
const { port } = setup;
const doorbell = new Doorbell(setup.doorbell);
const registerMailbox = new RegisterMailbox(setup.registerMailbox);
const post = (message: FromWorker): void => port.postMessage(message);
const postStage = (message: FromStage): void =>
  port.postMessage(message, message.kind === 'stage-ran' ? [message.hidden.buffer as ArrayBuffer] : []);

let events: { generation: string; event: GenerateEvent }[] = [];
let reportSteps = false;
let steps = 0;
let open = true;

const service = openService();
if (service !== undefined) run(service);

function openService(): DeviceService | undefined {
  doorbell.tick();
  try {
    const known = {
      ...setup,
      systemMemory: systemMemoryOf(setup.device),
      takesRealTime: takesRealTime(setup.device),
      onTile: () => doorbell.tick(),
    };
    const opened = new DeviceService(openBoard(setup.device), known, {
      onEvent: (generation, event) => events.push({ generation, event }),
      onProgress: (id, done, total, unit) => {
        doorbell.tick();
        post({ kind: 'progress', id, done, total, unit });
      },
      onAnswer: (id, outcome) => {
        if ('error' in outcome) fail(id, outcome.error);
        else post({ kind: 'reply', id, result: outcome.result });
      },
      onNote: (text) => post({ kind: 'note', text }),
      onStage: postStage,
      programs: {
        start: (thread, programs) =>
          port.postMessage({ kind: 'start-programs', thread, port: programs } satisfies FromWorker, [
            programs,
          ]),
        end: (thread) => post({ kind: 'end-programs', thread }),
      },
    });
    post({ kind: 'ready', description: plain(opened.description), dmaMemory: opened.dmaMemory });
    return opened;
  } catch (error) {
    post({ kind: 'open-failed', error: errorToWire(error, 'AGENT_INTERNAL') });
    return undefined;
  }
}

function run(service: DeviceService): void {
  let lastMessageAt = 0;
  while (open) {
    const rings = doorbell.rings;
    let idle = true;
    if (registerMailbox.isAsked) {
      doorbell.tick();
      answerRegisters(service);
      lastMessageAt = performance.now();
      idle = false;
    }
    for (let taken = 0; taken < MESSAGES_PER_STEP; taken++) {
      const next = receiveMessageOnPort(port);
      if (next === undefined) break;
      doorbell.tick();
      take(service, next.message);
      lastMessageAt = performance.now();
      idle = false;
    }
    flushEvents();
    if (!open) break;
    if (!idle) service.models.nudge();
    if (slice(service)) continue;
    if (service.models.hasWork) step(service);
    else if (idle) {
      doorbell.sleep(rings, lastMessageAt);
      // Somebody's time may be over.
      service.models.nudge();
    }
  }
  service.close();
  port.close();
}

function take(service: DeviceService, message: ToWorker): void {
  switch (message.kind) {
    case 'call':
      answer(service, message);
      return;
    case 'grant':
      service.models.grant(message.generation, message.credit);
      return;
    case 'cancel':
      service.models.cancel(message.generation);
      return;
    case 'cancel-score':
      service.models.scores.cancel(message.call);
      return;
    case 'end-session':
      service.endSession(message.session);
      return;
    case 'stage-begin':
    case 'stage-end':
    case 'stage-run':
    case 'stage-hidden':
      service.models.takeStage(message);
      return;
    case 'programs-ended':
      service.models.programs.onEnded(message.thread, message.reason);
      return;
    case 'report-steps':
      reportSteps = message.on;
      return;
    case 'close':
      open = false;
  }
}

function answer(service: DeviceService, call: DeviceCall): void {
  try {
    const result = service.answer(call);
    if (changesMemory(call.method)) post({ kind: 'memory', dmaMemory: service.dmaMemory });
    if (result !== undefined) post({ kind: 'reply', id: call.id, result });
  } catch (error) {
    fail(call.id, error);
  }
}

function answerRegisters(service: DeviceService): void {
  registerMailbox.answer(
    (place) => service.readRegister(place),
    (call, answer) => {
      if ('error' in answer) fail(call, answer.error);
      else post({ kind: 'reply', id: call, result: answer });
    },
  );
}

function fail(id: number, error: unknown): void {
  post({
    kind: 'failure',
    id,
    error: errorToWire(error, 'AGENT_INTERNAL'),
    stack: isPynqLlmError(error) ? undefined : String(error instanceof Error ? error.stack : error),
  });
}

/** Works on texts, if it is their turn. @returns whether messages and then the next slice or step are due at once */
function slice({ models }: DeviceService): boolean {
  if (!models.texts.isDue(models.hasWork)) return false;
  doorbell.tick();
  const isOn = models.texts.slice();
  models.nudge();
  return isOn;
}

function step(service: DeviceService): void {
  doorbell.tick();
  const before = reportSteps ? { ...service.traffic } : undefined;
  const start = performance.now();
  service.models.step();
  service.models.texts.sawStep(performance.now() - start);
  steps++;
  const taken = events;
  events = [];
  if (before === undefined) {
    if (taken.length > 0) post({ kind: 'step', events: taken });
    return;
  }
  const { traffic } = service;
  post({
    kind: 'step',
    events: taken,
    step: {
      step: steps,
      durationMs: performance.now() - start,
      tokens: taken.filter(({ event }) => event.type === 'token').length,
      traffic: difference(traffic, before),
    },
  });
}

/** Events of what ended outside of a step, such as a cancelled generation that waited. */
function flushEvents(): void {
  if (events.length === 0) return;
  post({ kind: 'step', events });
  events = [];
}

function difference(
  after: DeviceService['traffic'],
  before: DeviceService['traffic'],
): DeviceService['traffic'] {
  const change = { ...after };
  for (const key of Object.keys(change) as (keyof typeof change)[]) change[key] -= before[key];
  return change;
}

/** A description as a message carries it: without `readonly`. */
function plain({ weightTypes, dmaMemory, windows, fpga, ...rest }: DeviceService['description']) {
  return {
    ...rest,
    setup: fpga?.setup,
    weightTypes: [...weightTypes],
    dmaMemory: [...dmaMemory],
    windows: { ...windows },
  };
}
