/** What a fleet has on its bus. One broker, one fleet. */
export const WORK_QUEUE = 'FLEET_WORK';
export const LOG = 'FLEET_LOG';
export const BOARDS = 'FLEET_BOARDS';
/** Models that are cut over boards. */
export const PLANS = 'FLEET_PLANS';
/** Who leads, and from where on the log is needed. */
export const GATEWAY = 'FLEET_GATEWAY';
export const LEADER = 'leader';
export const MARK = 'journal';
/** What boards are to have loaded, by digest. */
export const MODELS = 'FLEET_MODELS';

/**
 * What the subjects of the broker's JetStream interface begin with for boards' keys: they are in an account without one of its own,
 * since a broker sends answers to whatever subject the question names, and would delete a stream for it.
 */
export const BOARDS_API = 'FLEET.api';

/** Where the gateway tells what a model's file is, and sends pieces of it. */
export const MODEL_FILE = 'FLEET.model';
export const MODEL_PIECE = 'FLEET.piece';

/** Where a board answers requests. */
export const callsOf = (board: string): string => `FLEET.call.${board}`;
/** Where a board hears of credit and cancels. */
export const controlOf = (board: string): string => `FLEET.control.${board}`;
/** What one board's stage of a model tells another one: who says it is in the subject, which a broker can check. */
export const hopOf = (to: string, from: string): string => `FLEET.stage.${to}.${from}`;
/** All that others tell a board's stages. */
export const hopsTo = (board: string): string => `FLEET.stage.${board}.*`;

/** Where a board tells which prefix pages came and went; nothing of it is kept. */
export const pagesOf = (board: string): string => `FLEET.pages.${board}`;
export const ALL_PAGES = pagesOf('*');

/** Entries of the log: what was asked for; below the name of a board that it began with it, its tokens, and how it ended. */
export const REQUESTS = 'req';
export const BEGINNINGS = 'begun';
export const TOKENS = 'tok';
export const ENDS = 'end';
/** Of the gateways themselves: which board a request was given to, what it ended with for its client, and that another one leads from here on. */
export const GIVEN = 'given';
export const OVER = 'over';
export const TERMS = 'term';
