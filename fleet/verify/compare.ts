import type { FleetBoardReport, FleetDifference } from '../../protocol/index.js';

/** What the boards are compared with. */
export interface Expected {
  /** Version of the gateway. */
  readonly version: string;
  /** Digests of the models that every board is to have. */
  readonly models: readonly string[];
}

/** In what the boards of a fleet are not as they should be, or not alike, in the order of the boards. */
export function compareBoards(
  boards: readonly FleetBoardReport[],
  { version, models }: Expected,
): FleetDifference[] {
  // Boards may be of several kinds: what is called alike has to be alike.
  const descriptions = mostCommon(
    boards.flatMap(({ description }) => (description ? [[description.name, description.digest]] : [])),
  );
  const generations = mostCommon(
    boards.flatMap((board) => board.generations.map(({ model, digest }) => [model, digest])),
  );
  return boards.flatMap((report) => {
    const { name: board, agent, description, error } = report;
    if (error !== undefined || agent === undefined)
      return [{ board, what: 'answer', found: error ?? 'nothing', expected: 'an answer' }];
    const found: FleetDifference[] = [];
    const differ = (what: FleetDifference['what'], has: string, expected: string) =>
      void found.push({ board, what, found: has, expected });
    if (agent !== version) differ('version', agent, version);
    const alike = description && descriptions.get(description.name);
    if (description && alike !== undefined && alike !== description.digest)
      differ('description', `${description.name} ${short(description.digest)}`, short(alike));
    for (const model of models) {
      const state = report.models.find((one) => one.model === model)?.state ?? 'absent';
      if (state !== 'loaded') differ('models', `${short(model)} ${state}`, `${short(model)} loaded`);
    }
    for (const { model, digest, error: why } of report.generations) {
      const others = generations.get(model);
      if (digest === undefined)
        differ('generation', `${short(model)}: ${why ?? 'none'}`, short(others ?? 'one'));
      else if (digest !== others)
        differ('generation', `${short(model)}: ${short(digest)}`, `${short(model)}: ${short(others ?? '')}`);
    }
    return found;
  });
}

/** Of each name the value that comes most often; of several the first. */
function mostCommon(pairs: readonly (readonly (string | undefined)[])[]): Map<string, string> {
  const counts = new Map<string, Map<string, number>>();
  for (const [name, value] of pairs) {
    if (name === undefined || value === undefined) continue;
    const values = counts.get(name) ?? new Map<string, number>();
    counts.set(name, values.set(value, (values.get(value) ?? 0) + 1));
  }
  return new Map(
    [...counts].map(([name, values]) => {
      const [first, ...others] = [...values];
      const [value] = others.reduce((most, one) => (one[1] > most[1] ? one : most), first!);
      return [name, value];
    }),
  );
}

function short(digest: string): string {
  return digest.slice(0, 12);
}
