import { PynqLlmError } from '../errors/index.js';
import type { ByteSource } from './byte-source.js';

/** Bytes that are looked at to tell what a file is. */
const LOOKED_AT = 512;

/** A kind of file that people take for a model's, and what to do about it. */
interface ForeignKind {
  readonly what: string;
  readonly remedy: string;
  is(text: string, bytes: Uint8Array): boolean;
}

const CONVERT =
  "Fetch the model's GGUF file, or convert its folder with llama.cpp's convert_hf_to_gguf.py and llama-quantize.";

/** gzip, xz, zstd, 7z, bzip2. */
const COMPRESSED = ['\u001f\u008b', '\u00fd7zXZ', '(\u00b5/\u00fd', '7z\u00bc\u00af', 'BZh'];

/** By its first bytes, the telling before the general. */
const KINDS: readonly ForeignKind[] = [
  {
    what: 'a Git LFS pointer: a few lines that stand for the model, not the model',
    remedy: 'Fetch the model itself: run git lfs pull in its folder, or download the file from its page.',
    is: (text) => text.startsWith('version https://git-lfs.github.com/spec/'),
  },
  {
    what: 'a web page: what was downloaded is the page about the model, or a message of the server',
    remedy:
      'Download the file itself (on Hugging Face the address with /resolve/, not /blob/), logged in where the model asks for it.',
    is: (text) => /^\s*<(?:!doctype|html|head|body|\?xml|script)\b/i.test(text),
  },
  {
    what: 'a safetensors file: the weights before conversion',
    remedy: CONVERT,
    // A length of 64 bits, then JSON.
    is: (text, bytes) => bytes.length > 8 && bytes[7] === 0 && /^\{\s*"/.test(text.slice(8)),
  },
  {
    what: "a file of llama.cpp's older ggml formats, from before GGUF",
    remedy: 'Fetch the model as GGUF: no current tool reads this format.',
    // Their magic numbers are words, so the letters stand in the file from right to left.
    is: (text) => ['lmgg', 'fmgg', 'tjgg', 'algg'].includes(text.slice(0, 4)),
  },
  {
    what: 'a ZIP archive, as PyTorch saves weights in, or a packed download',
    remedy: `Unpack it if there is a .gguf file in it. ${CONVERT}`,
    is: (text) => text.startsWith('PK\u0003\u0004'),
  },
  {
    what: 'a compressed file',
    remedy: 'Unpack it first, with gunzip, xz -d, zstd -d or 7z x.',
    is: (text) => COMPRESSED.some((magic) => text.startsWith(magic)),
  },
  {
    what: 'nothing but zeros where it begins: room for a download that did not come',
    remedy: 'Let the download end, or fetch the file again and compare its SHA-256.',
    is: (_, bytes) => bytes.every((byte) => byte === 0),
  },
  {
    what: 'JSON: a setting of the model or a message of a server, not the model',
    remedy: 'Give the .gguf file of the model, or fetch it again if this is what came.',
    is: (text) => /^\s*[{[]\s*["{[]/.test(text),
  },
  {
    what: 'text',
    remedy: 'Give the .gguf file of the model, or fetch it again if this text is what came.',
    is: (text) => /^[\t\n\r\x20-\x7e]+$/.test(text),
  },
];

/** The error of a file that does not begin as GGUF does: it says what the file is, as far as its beginning tells. */
export function foreignFile(source: ByteSource): PynqLlmError {
  const bytes = new Uint8Array(Math.min(LOOKED_AT, source.size));
  source.readInto(0, bytes);
  const text = String.fromCharCode(...bytes);
  const found = KINDS.find((kind) => kind.is(text, bytes));
  const start = Buffer.from(bytes.subarray(0, 4)).toString('hex');
  const what =
    found === undefined
      ? `The file starts with the bytes ${start}, not with the letters GGUF, and is of no kind that is known here.`
      : `The file is no GGUF file but ${found.what}.`;
  return new PynqLlmError('GGUF_BAD_MAGIC', what, {
    context: { offset: 0, start },
    ...(found && { remedy: found.remedy }),
  });
}
