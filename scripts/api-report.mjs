// Writes api-report.txt: everything that programs can import from the package, with its types, from the emitted
// declarations; with --check only says whether it is as written. Types derived from schemas are written out, which
// API Extractor would leave as the schema's name: a change of a field has to be seen.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import ts from 'typescript';

const FILE = 'api-report.txt';
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.entries(exports).flatMap(([name, { types }]) =>
  types === undefined ? [] : [{ name: name.replace('.', 'pynq-llm'), file: resolve(types) }],
);
const program = ts.createProgram(
  entries.map(({ file }) => file),
  {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    exactOptionalPropertyTypes: true,
    lib: ['lib.es2023.d.ts', 'lib.es2024.string.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    skipLibCheck: true,
  },
);
const checker = program.getTypeChecker();
const { TypeFormatFlags: F, SymbolFlags: S } = ts;
const FLAGS = F.NoTruncation | F.UseSingleQuotesForStringLiteralType | F.WriteArrowStyleSignature;

const report = `${entries.map(entry).join('\n')}`;
if (!process.argv.includes('--check')) writeFileSync(FILE, report);
else if (readFileSync(FILE, 'utf8') !== report) {
  console.error(
    `The package's public surface is not what ${FILE} says: npm run api-report, and look at the difference.`,
  );
  process.exit(1);
}

function entry({ name, file }) {
  const source = program.getSourceFile(file);
  if (source === undefined) throw new Error(`${file} is not there: npm run build`);
  const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(source));
  const lines = symbols.toSorted((a, b) => (a.name < b.name ? -1 : 1)).flatMap(declaration);
  return `# ${name}\n\n${lines.join('\n')}\n`;
}

function declaration(exported) {
  const symbol = exported.flags & S.Alias ? checker.getAliasedSymbol(exported) : exported;
  const { name } = exported;
  if (symbol.flags & S.Class) {
    const statics = checker
      .getPropertiesOfType(checker.getTypeOfSymbol(symbol))
      .filter((one) => one.name !== 'prototype');
    return block(`class ${name}`, [
      ...constructors(symbol),
      ...statics.map((one) => `static ${member(one)}`),
      ...members(checker.getDeclaredTypeOfSymbol(symbol)),
    ]);
  }
  if (symbol.flags & S.Interface)
    return block(`interface ${name}`, members(checker.getDeclaredTypeOfSymbol(symbol)));
  if (symbol.flags & S.TypeAlias) {
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    return [`type ${name} = ${text(type, F.InTypeAlias | F.MultilineObjectLiterals)}`];
  }
  if (symbol.flags & (S.Function | S.Variable))
    return [`const ${name}: ${text(checker.getTypeOfSymbol(symbol))}`];
  throw new Error(`${name} is of a kind that this report does not know`);
}

function constructors(symbol) {
  const hidden = symbol.members?.get('__constructor')?.declarations ?? [];
  if (hidden.some((one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Private)) return [];
  const signatures = checker.getSignaturesOfType(checker.getTypeOfSymbol(symbol), ts.SignatureKind.Construct);
  return signatures.map((one) => `new ${checker.signatureToString(one, undefined, FLAGS)}`);
}

/** Its own and inherited members; those of Error and other types of the language are known. */
function members(type) {
  return checker.getPropertiesOfType(type).filter(isOurs).map(member).sort();
}

function isOurs(symbol) {
  if (/^(__)?#/.test(symbol.name)) return false;
  return (symbol.declarations ?? []).some(
    (one) =>
      !one.getSourceFile().fileName.includes('/node_modules/') &&
      !(ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Private),
  );
}

function member(symbol) {
  const optional = symbol.flags & S.Optional ? '?' : '';
  const readonly = (symbol.declarations ?? []).some(
    (one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Readonly,
  );
  const name = symbol.name.replace(/^__@(\w+)@\d+$/, '[Symbol.$1]');
  return `${readonly ? 'readonly ' : ''}${name}${optional}: ${text(checker.getTypeOfSymbol(symbol))}`;
}

function block(head, lines) {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}

function text(type, more = 0) {
  return checker.typeToString(type, undefined, FLAGS | more);
}
