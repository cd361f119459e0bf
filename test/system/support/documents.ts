import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The documents that people read, by their paths. */
export function documents(): ReadonlyMap<string, string> {
  const folders = ['.', 'docs', 'docs/decisions', 'examples', 'models', 'vectors'];
  const paths = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  );
  return new Map(paths.map((path) => [path, readFileSync(path, 'utf8')]));
}

/** What begins a command of this project. */
const BEGINS = /^(?:npx pynq-llm|pynq-llm|npm|npx|node) /;

/** The commands in a document: lines of its shell blocks and indented ones, and code in its text. Without what the shell does around them. */
export function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].flatMap(([, block]) =>
    block!.replaceAll(/\\\n\s*/g, ' ').split('\n'),
  );
  const unfenced = text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '');
  const inline = [...unfenced.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!);
  const indented = [...unfenced.replaceAll(/\\\n\s*/g, ' ').matchAll(/^ {4,}(?:\$ )?(\S.*)$/gm)].map(
    ([, line]) => line!,
  );
  return [...blocks, ...indented, ...inline]
    .flatMap((line) => line.split(/ && | \| |; |<\(/))
    .map((line) =>
      line
        .trim()
        .replace(/^(?:sudo )?(?:[A-Z_]+=\S+ )*/, '')
        .replace(/\s+#.*$/, '')
        .replace(/ [<>]+ ?\S+/g, '')
        .replace(/[)&]+$/, '')
        .trim(),
    )
    .filter((line) => BEGINS.test(line) && !/…|\.\.\.|\\n/.test(line));
}
