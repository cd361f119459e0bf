import { XMLParser } from 'fast-xml-parser';
import { PynqLlmError } from '../../errors/index.js';

/** Vivado's files have 1 to 5 MB; the largest designs stay far below this. */
const MAX_BYTES = 32 * 2 ** 20;
/** Vivado nests about ten deep. */
const MAX_DEPTH = 64;
/** Attributes are kept apart from child elements under this name, which no element can have. */
const ATTRIBUTES = '@';

/** One element: its children by tag, its attributes apart. */
export interface XmlElement {
  readonly [tag: string]: unknown;
}

/**
 * Parses XML from outside. A document type is refused, so nothing can declare an entity: no expansion, no external file.
 * @throws PynqLlmError FIRMWARE_HANDOFF_INVALID
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  if (bytes.length > MAX_BYTES) throw invalid(`it has ${bytes.length} bytes, more than ${MAX_BYTES}`);
  const text = new TextDecoder().decode(bytes);
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw invalid('it declares a document type, which Vivado never does');
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributesGroupName: ATTRIBUTES,
    attributeNamePrefix: '',
    parseAttributeValue: false,
    parseTagValue: false,
    processEntities: false,
    maxNestedTags: MAX_DEPTH,
    ignoreDeclaration: true,
  });
  try {
    const document: unknown = parser.parse(text, true);
    if (isElement(document)) return document;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  throw invalid('it has no elements');
}

/** The children with this tag, in order; none where there are none. */
export function children(element: XmlElement, tag: string): readonly XmlElement[] {
  if (!Object.hasOwn(element, tag)) return [];
  const found = element[tag];
  return (Array.isArray(found) ? found : [found]).filter(isElement);
}

/** The descendants along a path of tags. */
export function descendants(element: XmlElement, ...path: readonly string[]): readonly XmlElement[] {
  return path.reduce<readonly XmlElement[]>((at, tag) => at.flatMap((e) => children(e, tag)), [element]);
}

/** The value of an attribute, or undefined. */
export function attribute(element: XmlElement, name: string): string | undefined {
  const attributes = element[ATTRIBUTES];
  if (!isElement(attributes) || !Object.hasOwn(attributes, name)) return undefined;
  const value = attributes[name];
  return typeof value === 'string' ? value : undefined;
}

function isElement(value: unknown): value is XmlElement {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(why: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('FIRMWARE_HANDOFF_INVALID', `This is not a hardware handoff: ${why}.`, { cause });
}
