import type { BoardView } from './board-view.js';

/** What a request would get on a board, in milliseconds from now. */
export interface Prediction {
  /** Its first token. */
  readonly firstTokenMs: number;
  /** Of that its own prompt. */
  readonly promptMs: number;
}

/**
 * What a request would get behind all that a board has in hand: one prompt after the other, each beside the tokens of those that
 * generate, and with all places taken whoever is next waits for an answer's end, as far as that can be known.
 * @param prompt tokens that the board would have to compute
 */
export function predict(board: BoardView, prompt: number): Prediction {
  const course = new Course(board);
  const before = course.ms;
  course.compute(prompt);
  return { firstTokenMs: course.ms, promptMs: course.ms - before };
}

/** When each request that a board has in hand ends, by its id, in milliseconds from now. */
export function predictEnds(board: BoardView): ReadonlyMap<number, number> {
  const course = new Course(board);
  course.finish();
  return course.ends;
}

interface Answer {
  readonly id: number;
  left: number;
}

/** A board's work as it goes on: constructed, all prompts in hand are computed. */
class Course {
  readonly #board: BoardView;
  readonly #answers: Answer[];
  readonly ends = new Map<number, number>();
  ms = 0;

  constructor(board: BoardView) {
    this.#board = board;
    this.#answers = board.work
      .filter(({ promptLeft }) => promptLeft === 0)
      .map(({ id, expectedLeft }) => ({ id, left: expectedLeft }));
    for (const { id, promptLeft, expectedLeft } of board.work) {
      if (promptLeft === 0) continue;
      this.compute(promptLeft);
      this.#answers.push({ id, left: expectedLeft });
    }
  }

  /** Computes a prompt, once there is a place. */
  compute(promptLeft: number): void {
    const { promptColumns, places } = this.#board;
    while (this.#answers.length >= places) this.#endNext();
    const steps = Math.ceil(promptLeft / promptColumns);
    this.#pass(steps, Math.ceil(promptLeft / steps));
  }

  /** Lets all answers end. */
  finish(): void {
    while (this.#answers.length > 0) this.#endNext();
  }

  #endNext(): void {
    this.#pass(Math.max(1, Math.ceil(Math.min(...this.#answers.map(({ left }) => left)))), 0);
  }

  #pass(steps: number, columns: number): void {
    const count = this.#answers.length;
    this.ms += steps * this.#board.stepMs(count + columns, count);
    for (let i = count - 1; i >= 0; i--) {
      const answer = this.#answers[i]!;
      answer.left -= steps;
      if (answer.left > 0) continue;
      this.#answers.splice(i, 1);
      this.ends.set(answer.id, this.ms);
    }
  }
}
