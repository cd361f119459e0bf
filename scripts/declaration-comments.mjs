// Fails where a part of the SDK's public surface has no comment in the declarations that are shipped: what sdk/index.ts
// exports, followed through parameters, options and results. A type derived from a schema has none, whatever the schema says.
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { config } = ts.readConfigFile(`${root}/tsconfig.json`, ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const entry = `${root}/sdk/index.ts`;
const program = ts.createProgram([entry], { ...options, noEmit: true, incremental: false });
const checker = program.getTypeChecker();

const missing = new Map();
const seen = new Set();

const isOurs = (node) => {
  const { fileName } = node.getSourceFile();
  return fileName.startsWith(`${root}/`) && !fileName.includes('/node_modules/');
};
const isHidden = (node) =>
  (ts.getCombinedModifierFlags(node) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) !== 0 ||
  (node.name !== undefined && (ts.isPrivateIdentifier(node.name) || ts.isComputedPropertyName(node.name)));
/** Whether its comment stands in the declaration: one in an expression, such as a schema, stays in the source. */
const isDeclared = (node) => !ts.isPropertyAssignment(node) && !ts.isShorthandPropertyAssignment(node);
/** What tells the members of a union apart says what it is. */
const isDiscriminant = (type) => type.isStringLiteral();

function check(symbol, node, name) {
  if (isDeclared(node) && symbol.getDocumentationComment(checker).length > 0) return;
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  missing.set(`${relative(root, file.fileName)}:${line + 1} ${symbol.name}`, name);
}

function visitSignature(signature, name) {
  for (const parameter of signature.getParameters())
    visitType(checker.getTypeOfSymbol(parameter), `${name}(${parameter.name})`);
  visitType(signature.getReturnType(), `${name}()`);
}

function visitType(type, name) {
  if (seen.has(type)) return;
  seen.add(type);
  for (const argument of type.aliasTypeArguments ?? []) visitType(argument, name);
  if (type.isUnionOrIntersection()) {
    for (const part of type.types) visitType(part, name);
    return;
  }
  if ((type.flags & ts.TypeFlags.Object) === 0) return;
  if ((type.objectFlags & ts.ObjectFlags.Reference) !== 0)
    for (const argument of checker.getTypeArguments(type)) visitType(argument, name);
  for (const index of checker.getIndexInfosOfType(type)) visitType(index.type, `${name}[]`);
  for (const signature of type.getCallSignatures()) visitSignature(signature, name);
  for (const property of checker.getPropertiesOfType(type)) {
    const node = property.valueDeclaration ?? property.declarations?.[0];
    if (node === undefined || !isOurs(node) || isHidden(node)) continue;
    const own = `${type.aliasSymbol?.name ?? (type.symbol?.name.startsWith('__') ? name : (type.symbol?.name ?? name))}.${property.name}`;
    const its = checker.getTypeOfSymbol(property);
    if (!isDiscriminant(its)) check(property, node, own);
    visitType(its, own);
  }
}

/** Of a class that is exported as a type nobody outside calls the constructor or what is static. */
const isTypeOnly = ({ declarations }) =>
  declarations.every(
    (node) => ts.isExportSpecifier(node) && (node.isTypeOnly || node.parent.parent.isTypeOnly),
  );

const module = checker.getSymbolAtLocation(program.getSourceFile(entry));
const exported = checker.getExportsOfModule(module);
for (const alias of exported) {
  const symbol = alias.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(alias) : alias;
  const node = symbol.valueDeclaration ?? symbol.declarations[0];
  check(symbol, node, alias.name);
  if (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias))
    visitType(checker.getDeclaredTypeOfSymbol(symbol), alias.name);
  if (symbol.flags & ts.SymbolFlags.Value && !isTypeOnly(alias)) {
    const value = checker.getTypeOfSymbol(symbol);
    visitType(value, alias.name);
    for (const signature of value.getConstructSignatures()) {
      if (!isHidden(signature.declaration ?? node)) visitSignature(signature, alias.name);
    }
  }
}
if (exported.length === 0) throw new Error('sdk/index.ts exports nothing');
for (const [at, name] of [...missing].sort())
  console.error(`${at.split(' ')[0]}: ${name} has no comment in its declaration`);
if (missing.size > 0) {
  console.error(`${missing.size} of the public surface have none`);
  process.exitCode = 1;
}
