import type { Context, Hono } from 'hono';
import { z } from 'zod';
import { MAX_PROMPT_TOKENS, tokenList } from '../protocol/index.js';
import type { Env } from './guard.js';
import type { ServedModels } from './served-models.js';
import { tokenText } from './token-text.js';

// Routes of llama.cpp's server that tools of its ecosystem ask for, in its shapes.

const model = z.string().min(1).max(1_000).nullish();
const tokenizeRequest = z.object({
  model,
  content: z.string(),
  add_special: z.boolean().nullish(),
  parse_special: z.boolean().nullish(),
  with_pieces: z.boolean().nullish(),
});
const detokenizeRequest = z.object({ model, tokens: tokenList({ min: 0, max: MAX_PROMPT_TOKENS }) });
/** @param bodyOf reads a request's JSON */
export function addNativeRoutes(
  app: Hono<Env>,
  models: ServedModels,
  bodyOf: (context: Context<Env>) => Promise<unknown>,
): void {
  app.post('/tokenize', async (context) => {
    const request = tokenizeRequest.parse(await bodyOf(context));
    const { model: served, piecesOf } = await models.get(request.model);
    const ids = await served.tokenize(request.content, {
      addSpecial: request.add_special ?? false,
      parseSpecial: request.parse_special ?? true,
    });
    if (!request.with_pieces) return context.json({ tokens: ids });
    const pieceOf = await piecesOf(ids);
    // A piece that is no text of its own is the list of its bytes.
    const piece = (bytes: Uint8Array) => {
      const text = tokenText(bytes);
      return Buffer.from(text).equals(bytes) ? text : [...bytes];
    };
    return context.json({ tokens: ids.map((id) => ({ id, piece: piece(pieceOf(id)) })) });
  });
  app.post('/detokenize', async (context) => {
    const request = detokenizeRequest.parse(await bodyOf(context));
    const { model: served } = await models.get(request.model);
    return context.json({ content: await served.detokenize(request.tokens) });
  });
  app.get('/props', async (context) => {
    const { model: served, id } = await models.get(context.req.query('model'));
    const { name, contextLength, hasChatTemplate } = served.info;
    return context.json({
      default_generation_settings: {
        n_ctx: contextLength,
        params: { temperature: 1, top_k: 0, top_p: 1, min_p: 0 },
      },
      total_slots: 1,
      model_alias: id,
      model_path: name,
      has_chat_template: hasChatTemplate,
      modalities: { vision: false, audio: false },
      bos_token_id: served.info.bosToken ?? null,
      build_info: 'pynq-llm',
    });
  });
}

/** `GET /`: whoever opens the address in a browser is told what it is. */
export const WELCOME = `pynq-llm serves language models of a board here, under the OpenAI API.

  POST /v1/chat/completions   chats, with functions and JSON schemas
  POST /v1/responses          the same, as current SDKs ask
  POST /v1/completions        text continuation, scores of prompts
  GET  /v1/models             the models that there are
  POST /tokenize, /detokenize
  GET  /props, /health, /metrics

Point an OpenAI client's base URL to /v1 here. docs/http-api.md has it all.
`;
