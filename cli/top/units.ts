import type { Figures, UnitFigures } from './figures.js';
import type { FigureHistory } from './history.js';
import { bar, type TopLook, WIDE } from './layout.js';
import { type Line, line } from './line.js';

/** A counter that counts every cycle, or every one since the first load, is the clock of the others and says nothing of its unit. */
const TELLS_NOTHING = /^(always|after-)/;
/** Lanes A to D do the same work at the same time. */
const LANE = /-[a-d]$/;

interface Row {
  readonly name: string;
  readonly units: readonly UnitFigures[];
}

/** Each unit's share of cycles in the state that its counter counts, the rest, and how it was before. */
export function unitLines(figures: Figures, history: FigureHistory, { columns, allUnits }: TopLook): Line[] {
  const rows = allUnits
    ? figures.units.map((unit) => ({ name: unit.name, units: [unit] }))
    : tellingRows(figures.units);
  if (rows.length === 0) return [];
  const isWide = columns >= WIDE;
  const nameWidth = Math.max(4, ...rows.map(({ name }) => name.length));
  const states = rows.map(({ units }) => units[0].countedState ?? '');
  const stateWidth = Math.max(5, ...states.map((state) => state.length));
  const barWidth = isWide ? 20 : 8;
  const sparkWidth = isWide ? 30 : Math.max(0, columns - nameWidth - stateWidth - barWidth - 14);
  const heading = `${'unit'.padEnd(nameWidth)}  ${'state'.padEnd(stateWidth)}  ${'share of cycles'.padEnd(barWidth + 8)}`;
  const more = isWide ? `  ${'otherwise'.padStart(9)}  now` : '';
  return [
    line({ text: `${heading}${isWide ? `  ${''.padEnd(sparkWidth)}` : ''}${more}`, colour: 'faint' }),
    ...rows.map(({ name, units }, i) => {
      const share = shareOf(units);
      const past = history.sparkline((one) => shareOf(sameUnits(one, units)), sparkWidth, 1);
      const otherwise = `${((1 - share) * 100).toFixed(1)} %`.padStart(9);
      return line(
        `${name.padEnd(nameWidth)}  ${states[i].padEnd(stateWidth)}  `,
        ...bar(share, barWidth),
        '  ',
        { text: past.padEnd(isWide ? sparkWidth : 0), colour: 'mark' },
        isWide ? `  ${otherwise}  ${units[0].stateNow ?? ''}` : '',
      );
    }),
  ];
}

function tellingRows(units: readonly UnitFigures[]): Row[] {
  const telling = units.filter(({ countedState }) => !TELLS_NOTHING.test(countedState ?? ''));
  const groups = new Map<string, UnitFigures[]>();
  for (const unit of telling) {
    const name = unit.name.replace(LANE, '');
    groups.set(name, [...(groups.get(name) ?? []), unit]);
  }
  return [...groups].map(([name, its]) => ({ name, units: its }));
}

function sameUnits({ units }: Figures, wanted: readonly UnitFigures[]): readonly UnitFigures[] {
  return units.filter(({ name }) => wanted.some((one) => one.name === name));
}

/** The mean of several lanes. */
function shareOf(units: readonly UnitFigures[]): number {
  return units.reduce((sum, { share }) => sum + share, 0) / Math.max(1, units.length);
}
