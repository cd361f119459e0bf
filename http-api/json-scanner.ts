import { MAX_SCHEMA_DEPTH, MAX_VALUES } from '../protocol/index.js';
import { ApiError } from './api-error.js';

/** Lists within lists that overflow the stack of whatever walks them: a schema, and what a request has around one. */
export const MAX_BODY_DEPTH = MAX_SCHEMA_DEPTH + 4;

/** A body of `{},{},...` whose values become objects, many times its size: as many as a frame may have, keys included. */
export const MAX_BODY_VALUES = MAX_VALUES;

/** An object of a hundred thousand names, each of which the parser has to look up: a schema of the longest text has fewer. */
export const MAX_BODY_NAMES = 65_536;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Counts the values of a JSON text and how deep they nest while it comes, in pieces cut anywhere, so that too many are
 * refused before anything is built of them. Whether it is JSON is the parser's to say: what that builds of a broken text,
 * up to where it breaks, is counted like any other.
 */
export class JsonScanner {
  #values = 0;
  #names = 0;
  #depth = 0;
  #inString = false;
  /** The next byte of the string means itself. */
  #escaped = false;
  /** A number or a word goes on until something ends it. */
  #inScalar = false;

  /** Values so far; keys count, too. */
  get values(): number {
    return this.#values;
  }

  /** Takes the text's next bytes, UTF-8. @throws ApiError 400 `request_too_complex` */
  write(bytes: Uint8Array): void {
    let i = 0;
    while (i < bytes.length) i = this.#inString ? this.#skipString(bytes, i) : this.#takeOutside(bytes, i);
  }

  /** @returns where the string ends, or the bytes */
  #skipString(bytes: Uint8Array, start: number): number {
    let i = start;
    if (this.#escaped) {
      this.#escaped = false;
      i++;
    }
    for (; i < bytes.length; i++) {
      if (bytes[i] === QUOTE) {
        this.#inString = false;
        return i + 1;
      }
      if (bytes[i] === BACKSLASH) i++;
    }
    this.#escaped = i > bytes.length;
    return bytes.length;
  }

  /** @returns where a string begins, or the bytes end */
  #takeOutside(bytes: Uint8Array, start: number): number {
    for (let i = start; i < bytes.length; i++) {
      switch (bytes[i]) {
        case 0x20: // white space
        case 0x09:
        case 0x0a:
        case 0x0d:
        case 0x2c: // ,
          this.#inScalar = false;
          break;
        case 0x3a: // :
          if (++this.#names > MAX_BODY_NAMES)
            throw tooComplex(`has more than ${MAX_BODY_NAMES} names in its objects`);
          this.#inScalar = false;
          break;
        case QUOTE:
          this.#count();
          this.#inScalar = false;
          this.#inString = true;
          return i + 1;
        case 0x5b: // [
        case 0x7b: // {
          this.#count();
          this.#inScalar = false;
          if (++this.#depth > MAX_BODY_DEPTH)
            throw tooComplex(`nests more than ${MAX_BODY_DEPTH} levels deep`);
          break;
        case 0x5d: // ]
        case 0x7d: // }
          this.#depth--;
          this.#inScalar = false;
          break;
        default:
          // A byte order mark stands before the text; anything else above ASCII is not JSON.
          if (bytes[i] >= 0x80 || this.#inScalar) break;
          this.#count();
          this.#inScalar = true;
      }
    }
    return bytes.length;
  }

  #count(): void {
    if (++this.#values > MAX_BODY_VALUES) throw tooComplex(`has more than ${MAX_BODY_VALUES} values`);
  }
}

function tooComplex(what: string): ApiError {
  return new ApiError(400, `The request ${what}.`, 'request_too_complex');
}
