import { AXI_DMA_REGISTERS, type BoardFault, DMASR, decodeRegister } from '../board/index.js';
import { type ErrorCodeName, type ErrorContext, PynqLlmError } from '../errors/index.js';
import type { CoreStatus } from './core-status.js';
import type { DmaChannel } from './dma/channel.js';

/** Everything known at the moment when a wait ended badly. */
export interface FaultScene {
  /** What the driver was waiting for, for people. */
  readonly waitedFor: string;
  readonly deadlineUs: number;
  /** Whether the deadline passed; otherwise the transfers ended, but not as they should. */
  readonly timedOut: boolean;
  /** Channels of all lanes, with DMASR just read. */
  readonly channels: readonly DmaChannel[];
  /** Those that had a transfer to make. */
  readonly active: readonly DmaChannel[];
  /** Whether lane A has sent all that it was given: the core has then taken what it needs of the other lanes too. */
  readonly isSent: boolean;
  readonly core: CoreStatus;
  readonly faults: readonly BoardFault[];
}

/** Codes of the faults that a board can name by itself (the mock's table): better knowledge than any symptom. */
const NAMED_FAULTS: Readonly<Record<string, ErrorCodeName>> = {
  'dma-never-completes': 'DRIVER_DMA_TIMEOUT',
  'dma-decode-error': 'DRIVER_DMA_DECODE_ERROR',
  'dma-slave-error': 'DRIVER_DMA_SLAVE_ERROR',
  'dma-internal-error': 'DRIVER_DMA_INTERNAL_ERROR',
  'no-tlast': 'DRIVER_RESULT_WITHOUT_TLAST',
  'result-short': 'DRIVER_RESULT_LENGTH',
  'result-long': 'DRIVER_RESULT_LENGTH',
  'core-stuck': 'DRIVER_CORE_STUCK',
  'stream-desynchronised': 'DRIVER_STREAM_DESYNCHRONISED',
  'capacity-exceeded': 'DRIVER_CAPACITY_EXCEEDED',
  'stale-cache': 'DRIVER_STALE_BUFFER',
};

/** Likely causes, the likeliest first. */
const CAUSES: Partial<Record<ErrorCodeName, readonly string[]>> = {
  DRIVER_DMA_TIMEOUT: [
    'the core does not take words: wrong bitstream, or its clock is off',
    'the core waits for words on another lane, whose transfer carried fewer than its header announced',
    'an earlier fault left the core or the engine in the middle of a packet',
    'LENGTH is narrower than the board description says',
  ],
  DRIVER_DMA_DECODE_ERROR: [
    'the DMA memory of the board description is not where the engine can reach it',
    'the port between engine and memory is not enabled in this bitstream',
  ],
  DRIVER_DMA_SLAVE_ERROR: [
    'the memory controller refused the access: protected or secure memory',
    'a burst crossed the end of the memory',
  ],
  DRIVER_DMA_INTERNAL_ERROR: [
    'the core sent more results than the program computes, after a desynchronised stream',
    'LENGTH is narrower than the board description says, so that it was written as 0',
  ],
  DRIVER_RESULT_LENGTH: [
    'an earlier fault left results in the way out',
    'the core computed with other steps than the program asked for',
  ],
  DRIVER_RESULT_WITHOUT_TLAST: [
    'the bitstream does not raise TLAST with the last result',
    'words were taken as no-ops after a desynchronised stream',
  ],
  DRIVER_CORE_STUCK: [
    'the bitstream was built without this weight type',
    'a wrong number of words per block',
  ],
  DRIVER_STREAM_DESYNCHRONISED: [
    'a transfer carried fewer words than its header announced',
    'an earlier fault left the core inside an instruction',
  ],
  DRIVER_STALE_BUFFER: ['a buffer was not handed over to the device before a transfer'],
  DRIVER_CAPACITY_EXCEEDED: ['an instruction stream made elsewhere than in this driver'],
  DRIVER_DEVICE_FAULT: [],
};

/** The typed error for a wait that ended badly: what was waited for, decoded status, bytes moved, likely causes in order. */
export function describeFault(scene: FaultScene): PynqLlmError {
  const code = classify(scene);
  const channels = scene.channels
    .filter((channel) => scene.active.includes(channel) || channel.failed)
    .map(describeChannel);
  const core = scene.core.describe();
  const faults = scene.faults.map(nameFault);
  const causes = CAUSES[code] ?? [];
  const how = scene.timedOut ? `was not over after ${scene.deadlineUs} us` : 'ended wrongly';
  const context: ErrorContext = {
    waitedFor: scene.waitedFor,
    deadlineUs: scene.deadlineUs,
    timedOut: scene.timedOut,
    bytesMoved: scene.active.reduce((sum, channel) => sum + channel.moved, 0),
    channels,
    core,
    faults,
    causes,
  };
  const sentences = [
    `${scene.waitedFor} ${how}.`,
    faults.length > 0 ? `The board reports ${faults.join('; ')}.` : '',
    `Channels: ${channels.join('; ')}. Core: ${core.join(', ')}.`,
    causes.length > 0 ? `Likely causes: ${causes.join('; ')}.` : '',
  ];
  return new PynqLlmError(code, sentences.filter(Boolean).join(' '), { context });
}

/**
 * The typed error for faults that the board reported although all transfers ended well.
 * @param meanwhile what was done then, such as `the weights were multiplied`
 */
export function reportedFault(faults: readonly BoardFault[], meanwhile: string): PynqLlmError {
  const code = namedCode(faults) ?? 'DRIVER_DEVICE_FAULT';
  const names = faults.map(nameFault);
  return new PynqLlmError(code, `While ${meanwhile}, the board reported ${names.join('; ')}.`, {
    context: { faults: names, causes: CAUSES[code] ?? [] },
  });
}

function nameFault({ name, detail }: BoardFault): string {
  return `${name}: ${detail.replace(/\.$/, '')}`;
}

function namedCode(faults: readonly BoardFault[]): ErrorCodeName | undefined {
  return faults.map(({ name }) => NAMED_FAULTS[name]).find((code) => code !== undefined);
}

function classify({ timedOut, channels, isSent, core, faults }: FaultScene): ErrorCodeName {
  const named = namedCode(faults);
  if (named) return named;
  const bits = channels.reduce((all, { status }) => all | status, 0);
  if (bits & DMASR.DECODE_ERROR) return 'DRIVER_DMA_DECODE_ERROR';
  if (bits & DMASR.SLAVE_ERROR) return 'DRIVER_DMA_SLAVE_ERROR';
  if (bits & DMASR.INTERNAL_ERROR) return 'DRIVER_DMA_INTERNAL_ERROR';
  if (!timedOut) return faults.length > 0 ? 'DRIVER_DEVICE_FAULT' : 'DRIVER_RESULT_LENGTH';
  if (core.isStuck) return 'DRIVER_CORE_STUCK';
  if (isSent) return core.isIdle ? 'DRIVER_RESULT_WITHOUT_TLAST' : 'DRIVER_STREAM_DESYNCHRONISED';
  return 'DRIVER_DMA_TIMEOUT';
}

function describeChannel(channel: DmaChannel): string {
  const set = decodeRegister(AXI_DMA_REGISTERS.MM2S_DMASR, channel.status)
    .filter(({ name, value }) => value !== 0 && !name.startsWith('IRQ_'))
    .map(({ name }) => name);
  const way = channel.direction === 'MM2S' ? 'sent' : 'received';
  return `${channel.name} ${way} ${channel.moved} of ${channel.length} bytes (${set.join(' ') || 'no status bit'})`;
}
