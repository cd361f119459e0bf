import type { ErrorEntry } from './entry.js';

/** Errors of fleet/plan/ and fleet/advice/: numbers 10700 to 10799. */
export const FLEET_PLAN_ERRORS = {
  FLEET_PLAN_TOO_MANY_BOARDS: {
    number: 10700,
    meaning: 'A model cannot be cut over so many boards: each has at least one of its layers.',
    remedy: 'Plan with fewer boards, or run several pipelines side by side.',
  },
  FLEET_PLAN_DOES_NOT_FIT: {
    number: 10701,
    meaning: 'No cut of a model by layers fits the memory of these boards with all weights resident.',
    remedy: 'The message has what would fit: more boards, more of their memory for DMA, or less context.',
  },
  FLEET_PLAN_OPTIONS: {
    number: 10702,
    meaning: 'What a plan was asked for contradicts itself or names boards that cannot be so.',
    remedy: 'The message says which value; `pynq-llm fleet plan --help` has all of them.',
  },
  FLEET_HISTORY: {
    number: 10703,
    meaning: 'A file is not the history of what a fleet had to do.',
    remedy:
      'Give a file of JSON lines {"at","busyBoards"}: a time, and how many boards were busy on average.',
  },
  FLEET_TENSOR_UNSUPPORTED: {
    number: 10710,
    meaning: "A model's matrices cannot be cut by rows and heads over these boards.",
    remedy: 'Plan a pipeline (`fleet plan` without --tensor), which cuts any model by layers.',
  },
  FLEET_TENSOR_DOES_NOT_FIT: {
    number: 10711,
    meaning: "A board's part of every matrix does not fit its memory.",
    remedy: 'Plan with more boards, or with more of their memory for DMA.',
  },
  FLEET_TENSOR_DOES_NOT_PAY: {
    number: 10712,
    meaning: 'Cut by rows, a model would be slower on these boards than on one of them.',
    remedy: 'Use links with a shorter round trip, as the message computes it, or plan a pipeline.',
  },
} as const satisfies Record<string, ErrorEntry>;
