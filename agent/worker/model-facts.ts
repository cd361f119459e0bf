import { PynqLlmError } from '../../errors/index.js';
import type { Model } from '../../llm/index.js';
import type { ModelFacts, Params } from '../../protocol/index.js';

type Asked = Pick<Params<'models.load'>, 'contextLength' | 'kvType' | 'kvBytes' | 'maxColumns' | 'coreTypes'>;

/** Settings that are asked for have to be those that the model is loaded with. @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE */
export function checkLoadedAs(model: Model, asked: Asked): void {
  const otherwise = loadedOtherwise(model, asked);
  if (otherwise !== undefined) throw otherwise;
}

/** @returns what is wrong where a model is loaded with other settings than are asked for */
export function loadedOtherwise(
  { contextLength, kvPool, maxColumns, coreTypes }: Model,
  asked: Asked,
): PynqLlmError | undefined {
  const loaded = {
    contextLength,
    kvType: kvPool.stats.type,
    kvBytes: kvPool.askedBytes,
    maxColumns,
    coreTypes,
  };
  for (const name of ['contextLength', 'kvType', 'kvBytes', 'maxColumns', 'coreTypes'] as const) {
    if (asked[name] === undefined || asked[name] === loaded[name]) continue;
    return new PynqLlmError(
      'AGENT_MODEL_LOADED_OTHERWISE',
      `The model is loaded with ${name} ${loaded[name]}, not ${asked[name]}.`,
      { context: { loaded: loaded[name], asked: asked[name] } },
    );
  }
  return undefined;
}

/** What clients are told of a model. Without its last layers nothing is known of its texts. */
export function factsOf(model: Model): ModelFacts {
  const { config, contextLength, kvPool } = model;
  const tokenizer = model.isLast ? model.tokenizer : undefined;
  const { type, bytes } = kvPool.stats;
  return {
    name: config.name,
    layers: config.layers,
    embeddingLength: config.embedding,
    feedForwardLength: config.feedForward,
    heads: config.heads,
    keyValueHeads: config.kvHeads,
    vocabularySize: config.vocabSize,
    trainedContextLength: config.trainedContext,
    contextLength,
    keyValues: { type, bytes, tokens: kvPool.maxTokens },
    hasChatTemplate: tokenizer?.chatTemplate !== undefined,
    ...(tokenizer?.addsBos && tokenizer.bosId !== undefined ? { bosToken: tokenizer.bosId } : {}),
  };
}
