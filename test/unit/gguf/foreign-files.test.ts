import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { bytesSource, openGguf } from '../../../gguf/index.js';

const ascii = (text: string) => Buffer.from(text, 'latin1');
/** A safetensors file begins with the length of its header in 64 bits. */
const safetensors = Buffer.concat([
  Buffer.from([72, 0, 0, 0, 0, 0, 0, 0]),
  ascii('{"__metadata__":{"format":"pt"}}'),
]);

describe('a file that is no GGUF file says what it is, and what to do', () => {
  it.each<[string, Buffer, RegExp]>([
    [
      'a Git LFS pointer',
      ascii('version https://git-lfs.github.com/spec/v1\noid sha256:1\n'),
      /Git LFS pointer.*git lfs pull/,
    ],
    ['an HTML page', ascii('<!DOCTYPE html>\n<html class="">'), /a web page.*\/resolve\//],
    ['a page that begins late', ascii('\n  <html lang="en">'), /a web page/],
    [
      'an XML error of a server',
      ascii('<?xml version="1.0"?><Error><Code>AccessDenied</Code>'),
      /a web page.*message of the server/,
    ],
    ['safetensors', safetensors, /safetensors.*convert_hf_to_gguf\.py/],
    ['an old ggml file', ascii('tjgg\u0003\0\0\0'), /older ggml formats.*as GGUF/],
    ['the oldest', ascii('lmgg\0\0\0\0'), /older ggml formats/],
    ['PyTorch weights', ascii('PK\u0003\u0004\u0014\0'), /ZIP archive.*convert_hf_to_gguf/],
    ['gzip', ascii('\u001f\u008b\u0008\0'), /compressed.*gunzip/],
    ['zstd', ascii('(\u00b5/\u00fd\0\0'), /compressed/],
    ['room without a download', Buffer.alloc(4096), /nothing but zeros.*Let the download end/],
    ['JSON', ascii('{"error":"Repository not found"}'), /JSON/],
    ['text', ascii('Entry not found'), /is no GGUF file but text/],
    ['noise', Buffer.from([0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 0xff]), /starts with the bytes deadbeef/],
  ])('%s', (_, bytes, expected) => {
    let error: unknown;
    try {
      openGguf(bytesSource(bytes));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(PynqLlmError);
    expect((error as PynqLlmError).code).toBe('GGUF_BAD_MAGIC');
    expect((error as PynqLlmError).message).toMatch(expected);
  });
});
