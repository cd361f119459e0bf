/** A line of a plot: for every value how large a share of all is not above it. */
export interface Distribution {
  readonly name: string;
  readonly colour: string;
  /** Milliseconds. */
  readonly values: readonly number[];
}

const WIDTH = 640;
const HEIGHT = 320;
const MARGIN = { left: 50, right: 150, top: 40, bottom: 45 };
/** Decades of milliseconds on the horizontal axis. */
const DECADES = [1, 10, 100, 1_000, 10_000, 100_000];

/** Distributions as an SVG: milliseconds from left to right, by powers of ten, and shares from 0 to 1 upwards. */
export function plotDistributions(title: string, distributions: readonly Distribution[]): string {
  const [first, last] = [DECADES[0]!, DECADES.at(-1)!];
  const across = (ms: number) => {
    const part = Math.log10(Math.min(last, Math.max(first, ms)) / first) / Math.log10(last / first);
    return MARGIN.left + part * (WIDTH - MARGIN.left - MARGIN.right);
  };
  const up = (share: number) => HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const text = (x: number, y: number, content: string, more = '') =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(content)}</text>`;
  const grid = [
    ...DECADES.flatMap((ms) => [
      `<path class="grid" d="M${across(ms)} ${up(0)}V${up(1)}"/>`,
      text(across(ms), up(0) + 16, ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`, 'text-anchor="middle"'),
    ]),
    ...[0, 0.5, 0.95, 1].flatMap((share) => [
      `<path class="grid" d="M${across(first)} ${up(share)}H${across(last)}"/>`,
      text(MARGIN.left - 6, up(share) + 4, String(share), 'text-anchor="end"'),
    ]),
  ];
  const lines = distributions.map(({ colour, values }) => {
    const inOrder = values.toSorted((a, b) => a - b);
    const steps = inOrder.map(
      (ms, i) => `H${across(ms).toFixed(1)}V${up((i + 1) / inOrder.length).toFixed(1)}`,
    );
    return `<path fill="none" stroke-width="2" stroke="${colour}" d="M${across(first)} ${up(0)}${steps.join('')}"/>`;
  });
  const legend = distributions.map(({ name, colour }, i) =>
    text(WIDTH - MARGIN.right + 12, MARGIN.top + 18 * (i + 1), name, `fill="${colour}"`),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    '<style>.grid{stroke:#ccc;fill:none}</style>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(MARGIN.left, 22, title, 'font-size="14"'),
    ...grid,
    ...lines,
    ...legend,
    '</svg>\n',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
