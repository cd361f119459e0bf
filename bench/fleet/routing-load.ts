import { log, Random } from '../../llm/index.js';
import { PAGE_TOKENS, type RoutedRequest } from './board-queue.js';

/** How people's requests come: conversations under a few system prompts, of which some are common. */
export interface RoutingLoad {
  readonly conversations: number;
  /** Pages of the system prompts, the most common first: the n-th comes as often as 1/n. */
  readonly systemPages: readonly number[];
  /** Mean milliseconds from one conversation's beginning to the next one's. */
  readonly gapMs: number;
  /** Mean milliseconds from one turn to the next one. */
  readonly thinkMs: number;
  readonly mostTurns: number;
  readonly seed: number;
}

/** Shares of answers, and their shortest and longest: most are short, and nobody knows beforehand which. */
const ANSWERS = [
  { share: 0.7, from: 10, to: 60 },
  { share: 0.25, from: 60, to: 200 },
  { share: 0.05, from: 200, to: 600 },
] as const;
const USER_TOKENS = { from: 12, to: 80 };

/** Requests in the order of their times. */
export function routedRequests(load: RoutingLoad): RoutedRequest[] {
  const random = new Random(load.seed);
  const between = ({ from, to }: { readonly from: number; readonly to: number }) =>
    from + Math.floor(random.nextDouble() * (to - from));
  const gap = (mean: number) => -log(1 - random.nextDouble()) * mean;
  const weights = load.systemPages.map((_, i) => 1 / (i + 1));
  let nextPage = load.systemPages.reduce((sum, pages) => sum + pages, 0);
  const newPages = (upTo: number, { length }: readonly number[]) =>
    Array.from({ length: Math.floor(upTo / PAGE_TOKENS) - length }, () => nextPage++);
  const firstPages = load.systemPages.map((_, i) =>
    load.systemPages.slice(0, i).reduce((sum, pages) => sum + pages, 0),
  );
  const requests: Omit<RoutedRequest, 'id'>[] = [];
  let begins = 0;
  for (let i = 0; i < load.conversations; i++) {
    begins += gap(load.gapMs);
    const system = pick(weights, random.nextDouble());
    let pages = Array.from({ length: load.systemPages[system]! }, (_, page) => firstPages[system]! + page);
    let tokens = PAGE_TOKENS * pages.length;
    let at = begins;
    for (let turn = between({ from: 0, to: load.mostTurns }); turn >= 0; turn--) {
      tokens += between(USER_TOKENS);
      pages = [...pages, ...newPages(tokens, pages)];
      const answerTokens = between(
        ANSWERS[
          pick(
            ANSWERS.map(({ share }) => share),
            random.nextDouble(),
          )
        ]!,
      );
      const answerPages = newPages(tokens + answerTokens, pages);
      requests.push({ at, pages, promptTokens: tokens, answerPages, answerTokens });
      pages = [...pages, ...answerPages];
      tokens += answerTokens;
      at += gap(load.thinkMs);
    }
  }
  return requests.toSorted((a, b) => a.at - b.at).map((request, id) => ({ ...request, id }));
}

/** Index of a weight, each as likely as it is large. */
function pick(weights: readonly number[], at: number): number {
  let left = at * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return weights.length - 1;
}
