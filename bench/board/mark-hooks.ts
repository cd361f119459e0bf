import { MARKED_CALLS, type MarkedCall } from './parts.js';

const ROOT = new URL('../../', import.meta.url).href;
const MARKS = new URL('./marks.js', import.meta.url).href;
/** Asks for the module itself. */
const ITSELF = '?itself';

type Loaded = { readonly format: string; readonly source: unknown; readonly shortCircuit?: boolean };

/**
 * Node's hook for loading modules: in the place of a module of MARKED_CALLS comes one that exports the same, with the calls
 * marked. So the code that is measured has no hooks, and costs nothing more where nobody measures.
 */
export async function load(
  url: string,
  context: unknown,
  next: (url: string, context: unknown) => Promise<Loaded>,
): Promise<Loaded> {
  const module = url.startsWith(ROOT) ? url.slice(ROOT.length) : '';
  const calls = MARKED_CALLS.filter((call) => call.module === module);
  if (calls.length === 0) return next(url, context);
  const lines = [
    `import * as itself from ${JSON.stringify(url + ITSELF)};`,
    `import { marked, markKernels, markMethod } from ${JSON.stringify(MARKS)};`,
    `export * from ${JSON.stringify(url + ITSELF)};`,
    ...calls.filter(({ kernel }) => kernel === undefined).map(lineOf),
    ...kernelLines(calls),
  ];
  return { format: 'module', source: lines.join('\n'), shortCircuit: true };
}

function lineOf({ part, export: name, method }: MarkedCall): string {
  return method === undefined
    ? `export const ${name} = marked(${JSON.stringify(part)}, itself.${name});`
    : `markMethod(${JSON.stringify(part)}, itself.${name}, ${JSON.stringify(method)});`;
}

function kernelLines(calls: readonly MarkedCall[]): string[] {
  const classes = new Map<string, Record<string, string>>();
  for (const { part, export: name, kernel } of calls)
    if (kernel !== undefined) classes.set(name, { ...classes.get(name), [kernel]: part });
  return Array.from(
    classes,
    ([name, kernels]) => `export const ${name} = markKernels(itself.${name}, ${JSON.stringify(kernels)});`,
  );
}
