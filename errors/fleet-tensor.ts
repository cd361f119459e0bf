import type { ErrorEntry } from './entry.js';

/** Errors of llm/tensor/ and fleet/links/: numbers 10640 to 10659. */
export const FLEET_TENSOR_ERRORS = {
  FLEET_TENSOR_SHARE: {
    number: 10640,
    meaning:
      'A part of every matrix of a model was to be loaded that its cut does not have, or in a form that others would not have.',
    remedy: 'Load it with the cut that was planned for this model, and with exact types.',
  },
  FLEET_TENSOR_SILENT: {
    number: 10641,
    meaning: 'A board that computes a part of every matrix has not sent its results in time.',
    remedy:
      'Look whether that board and its link are there; the plan has ended, and what it computed goes on elsewhere.',
  },
  FLEET_TENSOR_ENDED: {
    number: 10642,
    meaning:
      'The boards that compute a model together have ended their plan while a step waited for results.',
    remedy: "The first board's error has the reason.",
  },
  FLEET_TENSOR_OUT_OF_STEP: {
    number: 10643,
    meaning:
      'Boards that compute a model together are at different places of it: results do not belong to the step that waits.',
    remedy:
      'Run the same version on all boards; where they do, this is a fault of the program: please report it.',
  },
  FLEET_TENSOR_DEVICE: {
    number: 10644,
    meaning:
      'The device of a board failed twice at the same matrix, in a step that several boards compute together.',
    remedy: "The cause has the driver's error; run `pynq-llm selftest` on that board.",
  },
  FLEET_LINK_REFUSED: {
    number: 10645,
    meaning:
      'A board has refused a link: whoever asked for it is none of the plan, or of a plan that is over.',
    remedy:
      'Look whether both boards are in the same fleet, and whether something else listens at that address.',
  },
  FLEET_LINK_LOST: {
    number: 10646,
    meaning:
      'A link between boards that compute a model together was closed, or could not be opened in time.',
    remedy: 'Look whether both boards are there and whether the port of its links is reachable.',
  },
  FLEET_LINK_FRAME: {
    number: 10647,
    meaning: 'A message on a link between boards is not one, or not of the step that is computed.',
    remedy: 'Run the same version on all boards.',
  },
  FLEET_LINKS_OFF: {
    number: 10648,
    meaning: 'A model was to be cut by rows over boards that have no links with each other.',
    remedy:
      'Start the agents of these boards with `--links PORT`, or plan a pipeline (`--pipeline`), which needs no links.',
  },
  FLEET_LINKS_PORT: {
    number: 10649,
    meaning:
      'A board could not open the port of its links with other boards, or not find out how they reach it.',
    remedy: 'Give another port, and the address with it: `--links HOST:PORT`.',
  },
} as const satisfies Record<string, ErrorEntry>;
