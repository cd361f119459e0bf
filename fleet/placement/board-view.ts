/** A request that a board has in hand. */
export interface Work {
  readonly id: number;
  /** Tokens of its prompt that are yet to be computed; 0 where it generates. */
  readonly promptLeft: number;
  /** Tokens that its answer is likely to get yet. */
  readonly expectedLeft: number;
  /** Whether anything was computed of it: what has not begun can be taken back. */
  readonly begun: boolean;
}

/** A board as who places requests knows it. */
export interface BoardView {
  readonly name: string;
  /** Milliseconds of a step, by the core's cycles in the board's own timing. */
  readonly stepMs: (columns: number, logits?: number) => number;
  /** Columns of prompts that a step takes. */
  readonly promptColumns: number;
  /** Sequences at a time. */
  readonly places: number;
  /** It gets nothing new. */
  readonly isDraining: boolean;
  /** In the order in which they begin. */
  readonly work: readonly Work[];
}

/** A request that no board has. */
export interface Waiting {
  readonly id: number;
  readonly promptTokens: number;
  readonly expectedTokens: number;
  /** Tokens of its prompt whose pages a board has said to hold; the last token is always computed. */
  readonly found: (board: string) => number;
  /** Board that it was meant for when it was last looked at. */
  readonly meantFor?: string | undefined;
}

/** Tokens of a prompt that a board would have to compute. */
export function promptLeftOn(board: BoardView, { promptTokens, found }: Waiting): number {
  return Math.max(1, promptTokens - found(board.name));
}

/** The board with a request more in hand. */
export function withWork(board: BoardView, request: Waiting): BoardView {
  const { id, expectedTokens: expectedLeft } = request;
  const work = { id, promptLeft: promptLeftOn(board, request), expectedLeft, begun: false };
  return { ...board, work: [...board.work, work] };
}
