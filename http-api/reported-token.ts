/** A token as an answer reports it. */
export interface ReportedToken {
  readonly id: number;
  /** Null where nothing came before it. */
  readonly logprob: number | null;
  /** Its text where that is another one than inside of a text: at the beginning a tokenizer may take a space away. */
  readonly textAtStart?: string | undefined;
  readonly top?: readonly (readonly [id: number, logprob: number])[] | undefined;
}

/** A prompt that is sent back before its answers. */
export interface Echo {
  readonly text: string;
  readonly tokens: readonly ReportedToken[];
}

/** Of tokens and of those reported beside them. */
export function idsOf(tokens: readonly ReportedToken[]): number[] {
  return tokens.flatMap(({ id, top = [] }) => [id, ...top.map(([other]) => other)]);
}
