import type { ErrorEntry } from './entry.js';

/** Errors of fleet/gateway/ and fleet/member/: numbers 10500 to 10699. */
export const FLEET_ERRORS = {
  FLEET_NOT_SERVED: {
    number: 10500,
    meaning: 'A fleet was asked for what only one board has, such as registers or DMA memory.',
    remedy:
      "Connect to the board's own agent; `pynq-llm fleet status` names the boards, and `pynq-llm fleet top` shows what they do.",
  },
  FLEET_NOT_A_FLEET: {
    number: 10501,
    meaning: 'One board was asked for what only a fleet has.',
    remedy:
      'Name the gateway of the fleet by the address that it printed: --device ws://HOST:PORT, or PYNQ_LLM_DEVICE.',
  },
  FLEET_NO_BOARDS: {
    number: 10502,
    meaning: 'No board of the fleet that could serve the request was there for as long as it may wait.',
    remedy:
      "`pynq-llm fleet status` says which boards are there and what they have loaded. A board joins when its agent has --fleet with the URL of the gateway's broker; its log says why where it cannot.",
  },
  FLEET_POISON: {
    number: 10503,
    meaning: 'Every board that worked on the request failed meanwhile; it is not given to another one.',
    remedy:
      "Look for the reason in the boards' logs before the request is sent again: it may be what makes them fail.",
  },
  FLEET_BAD_MESSAGE: {
    number: 10504,
    meaning: 'A message on the bus is not one of the fleet, or of another version of it.',
    remedy: 'Run the same version on the gateway and on all boards.',
  },
  FLEET_MODEL_FAILED: {
    number: 10505,
    meaning: 'No board of the fleet could load the model.',
    remedy: 'The message has what the boards say; `pynq-llm inspect MODEL --board NAME` says what would fit.',
  },
  FLEET_LOAD_STALLED: {
    number: 10506,
    meaning: 'Boards that load a model made no progress for a while.',
    remedy: "Look at the boards' logs; the model is loaded as soon as they go on.",
  },
  FLEET_DIVERGED: {
    number: 10507,
    meaning:
      'Two boards computed different tokens for the same request: one of them, or its memory, is at fault.',
    remedy: 'Run `pynq-llm selftest` on the boards that the message names.',
  },
  FLEET_BOARD_NAME: {
    number: 10508,
    meaning: 'The name of a board in its fleet is not one, or another board has it.',
    remedy: 'Give 1 to 63 lower-case letters, digits and "-", another name for each board.',
  },
  FLEET_CORE_TYPES: {
    number: 10509,
    meaning:
      'A fleet was to load a model with matrices in other forms for the core, which depend on the board: boards would differ in their bits.',
    remedy:
      'Leave out --core-types. `pynq-llm quantize --pad` makes a file whose matrices are all for the core, with the same bits on every board.',
  },
  FLEET_STAGE_LOST: {
    number: 10620,
    meaning:
      'A model is cut over several boards, and one of them was lost, failed, or took too long: what ran on them goes on in a new plan.',
    remedy:
      'Nothing has to be done where boards are left or come. `pynq-llm fleet status` shows the plans and their boards.',
  },
  FLEET_STAGE_ONLY: {
    number: 10621,
    meaning: 'A board has only some layers of the model, and was asked for what takes all of them.',
    remedy: "Ask the fleet's gateway, or the board that has the last layers.",
  },
  FLEET_STAGE_DRAFT: {
    number: 10622,
    meaning: 'A model that is cut over several boards cannot draft for another one.',
    remedy:
      'Leave out the draft model, or serve the fleet with `--pipeline auto`, which cuts only models that no board can hold.',
  },
  FLEET_NO_PLAN: {
    number: 10623,
    meaning: 'There are not enough boards to cut the model over them as the fleet was told to.',
    remedy: 'Let more boards join, or serve the fleet with a smaller `--pipeline`.',
  },
  FLEET_HOP_TOO_LARGE: {
    number: 10624,
    meaning: "The hidden state of one token is larger than the broker's messages: the model cannot be cut.",
    remedy: "Raise max_payload in the broker's configuration.",
  },
  FLEET_HISTORY_SHORT: {
    number: 10695,
    meaning:
      'A fleet was asked how many boards it should have before its gateway had looked at it for long enough.',
    remedy: 'Ask again a minute later, or give `pynq-llm fleet advise` a file.',
  },
  FLEET_BOARD_UNKNOWN: {
    number: 10675,
    meaning: 'No board of this name is there, or none is enrolled.',
    remedy:
      '`pynq-llm fleet status` names the boards that are there, `pynq-llm fleet enrol` those that are enrolled.',
  },
  FLEET_USERS_FILE: {
    number: 10676,
    meaning: "The list of who may enter a fleet's broker cannot be read or written, or is another file.",
    remedy:
      'Name the right file with --users, with rights to write it (sudo); a list of your own is changed by hand, with the entry of --print.',
  },
  FLEET_ENROLLED: {
    number: 10677,
    meaning:
      'A member was to be enrolled under a name that another key has, or with a key that has another name.',
    remedy:
      'Choose another name. Where the old key is gone with its card, or was stolen, withdraw it first: `pynq-llm fleet enrol NAME --remove`.',
  },
  FLEET_BROKER_RELOAD: {
    number: 10678,
    meaning: 'The broker could not be told to read the list of its members again.',
    remedy:
      'The list is written. Have the broker read it: `sudo systemctl reload nats-server`, or SIGHUP to its process.',
  },
  FLEET_KEY_INVALID: {
    number: 10679,
    meaning: 'A public key of a member has not the form of one.',
    remedy:
      'Give what `pynq-llm fleet key FILE` prints where the key lies: U and 55 letters and digits. Never a seed (SU…).',
  },
  FLEET_LAST_KEY: {
    number: 10680,
    meaning:
      "The last member was to be taken out of a broker's list: a broker without any lets everybody in.",
    remedy: 'Enrol another one first, or stop the broker.',
  },
  FLEET_DRAIN_SLOW: {
    number: 10681,
    meaning: 'A board that is drained had requests longer than was waited for.',
    remedy:
      'It takes no new ones: wait longer with --wait, or let what it has go on elsewhere by stopping its agent.',
  },
  FLEET_STANDBY: {
    number: 10665,
    meaning: 'This gateway does not lead the fleet: another one does, or none does just now.',
    remedy:
      'Connect to the gateway that the message names, or give the SDK and the command line the URLs of all gateways with commas between them: they find the one that leads.',
  },
  FLEET_OLD_TERM: {
    number: 10666,
    meaning: 'A gateway told a board what to do after another one had taken the lead.',
    remedy: 'Nothing: what it had in hand is with the gateway that leads now.',
  },
  FLEET_GENERATION_UNKNOWN: {
    number: 10667,
    meaning:
      'A generation was to be resumed that the leading gateway does not know: it is over, or older than what the log of the fleet keeps for a gateway that takes over.',
    remedy:
      'Ask once more, with the tokens that are there as `continueFrom`: what comes after them has the same bits.',
  },
  FLEET_BROKER_AWAY: {
    number: 10660,
    meaning: 'The gateway could not reach its broker, or got no answer in time: the request was not taken.',
    remedy: 'Ask again; where it lasts, check that the broker runs and that the gateway reaches it.',
  },
} as const satisfies Record<string, ErrorEntry>;
