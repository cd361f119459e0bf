import { PynqLlmError } from '../../errors/index.js';
import type { GgufFile } from '../../gguf/index.js';
import { Metadata } from '../metadata.js';
import { BytePair } from './byte-pair.js';
import { preTokenizerOf } from './pre-tokenizers.js';
import { SentencePiece } from './sentencepiece.js';
import { SpecialTokens, stripsRightOfSpecials } from './special-tokens.js';
import type { TextEncoding } from './text-encoding.js';
import { Tokenizer } from './tokenizer.js';
import { readVocabulary, type Vocabulary } from './vocabulary.js';

/**
 * The tokenizer that a model file describes (`tokenizer.*` of the GGUF specification).
 *
 * @param assumed gets what is taken for granted because a key is missing or odd, for people
 * @throws PynqLlmError LLM_TOKENIZER_MISSING, LLM_TOKENIZER_INVALID, LLM_TOKENIZER_UNSUPPORTED, LLM_METADATA_INVALID
 */
export function createTokenizer(values: GgufFile['metadata'], assumed?: Set<string>): Tokenizer {
  const metadata = new Metadata(values, assumed);
  const template = metadata.optionalText('tokenizer.chat_template', '');
  // A blank one is none.
  const hasTemplate = template.trim() !== '';
  if (!hasTemplate && metadata.scalar('tokenizer.chat_template') === template)
    metadata.assume('tokenizer.chat_template', 'none');
  const { vocabulary, encoding } = readEncoding(metadata);
  return new Tokenizer({
    vocabulary,
    encoding,
    specials: new SpecialTokens(vocabulary, stripsRightOfSpecials(metadata.optionalText('general.name', ''))),
    chatTemplate: hasTemplate ? template : undefined,
  });
}

function readEncoding(metadata: Metadata): { vocabulary: Vocabulary; encoding: TextEncoding } {
  const model = metadata.text('tokenizer.ggml.model', 'none');
  switch (model) {
    case 'llama': {
      const read = readVocabulary(metadata, { bosId: 1, eosId: 2, addBos: true });
      // SentencePiece has an unknown token always; files that do not mark it have it by its name, or first.
      const unknownId = read.unknownId ?? Math.max(0, read.texts.indexOf('<unk>'));
      const vocabulary = { ...read, unknownId };
      return { vocabulary, encoding: new SentencePiece(metadata, vocabulary) };
    }
    case 'gpt2': {
      // Files from before the key existed were made for what is now called "default".
      if (!metadata.has('tokenizer.ggml.pre')) metadata.assume('tokenizer.ggml.pre', '"default"');
      const preTokenizer = preTokenizerOf(metadata.text('tokenizer.ggml.pre', 'default'));
      // llama.cpp's defaults,: 11 is a comma in GPT-2's vocabulary, and files that name no end would end at it there too.
      const vocabulary = readVocabulary(metadata, { bosId: 11, eosId: 11, addBos: preTokenizer.addBos });
      return { vocabulary, encoding: new BytePair(metadata, vocabulary, preTokenizer) };
    }
    case 'none':
    case 'no_vocab':
      throw new PynqLlmError(
        'LLM_TOKENIZER_MISSING',
        'The model file names no tokenizer (tokenizer.ggml.model).',
      );
    default:
      throw new PynqLlmError(
        'LLM_TOKENIZER_UNSUPPORTED',
        `The tokenizer ${JSON.stringify(model)} is not known.`,
        {
          context: { model },
        },
      );
  }
}
