import { notInBrowsers } from './in-browser.js';

export const MOST_BYTES = 0;

const refuse = () => Promise.reject(notInBrowsers('Golden vectors cannot be read'));

/** In browsers, in the place of ../vector-files.ts: nothing is read, so nothing is measured. */
export const readLists = refuse;
export const sizeOf = refuse;
export const readVectorFile = refuse;
export function requireSize(): void {}
export function byteLengthOf(text: string): number {
  return text.length;
}
