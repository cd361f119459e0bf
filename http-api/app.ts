import { setTimeout as delay } from 'node:timers/promises';
import { type Context, Hono } from 'hono';
import { isPynqLlmError } from '../errors/index.js';
import { systemClock } from '../protocol/index.js';
import type { LoadSettings } from '../sdk/index.js';
import { type AccessEntry, tellAccesses } from './access-log.js';
import { answerStreamed, answerWhole } from './answer.js';
import type { AnswerFormat } from './answer-format.js';
import { ApiError, toApiError } from './api-error.js';
import { BodyTurns } from './body-turns.js';
import { chatFormat, conversationOf } from './chat.js';
import {
  type Choice,
  type ServiceOptions,
  startChoices,
  type ToContinue,
  toGenerateOptions,
  toService,
  usageOf,
} from './choices.js';
import { completionFormat, DEFAULT_MAX_TOKENS, lengthOf, promptsOf } from './completions.js';
import { echoOf } from './echo.js';
import { translateFields } from './foreign-fields.js';
import { type Env, type GuardOptions, guardOrigins, guardRoles, isAdmitted } from './guard.js';
import { InFlight } from './in-flight.js';
import { ApiMetrics } from './metrics.js';
import { addNativeRoutes, WELCOME } from './native-routes.js';
import { readBody } from './read-body.js';
import { traceRequests } from './request-trace.js';
import { respondStreamed, respondWhole } from './responses/answer.js';
import { readResponsesRequest } from './responses/request.js';
import {
  type CompletionPrompt,
  chatRequest,
  completionRequest,
  embeddingsRequest,
  type SamplingFields,
} from './schemas.js';
import type { DeviceHealth, ServedDevice } from './served-device.js';
import { type ServedModel, ServedModels } from './served-models.js';
import { LONGEST_SILENCE_MS } from './silence.js';
import { type ToolRequest, toolRequestOf } from './tools/tool-request.js';

export interface AppOptions extends GuardOptions {
  /** How models are loaded that are not. */
  readonly load: LoadSettings;
  /** Milliseconds that an answer which is not streamed may be likely to take; 0 for any, 50 s unless given. */
  readonly maxSilentMs?: number | undefined;
  /** Once aborted, `/health` answers 503 and no new work is taken. */
  readonly draining: AbortSignal;
  /** Told of errors that are nobody's doing but ours. */
  readonly onUnexpected: (error: unknown) => void;
  /** Told of each request once its answer is sent. */
  readonly onAnswered?: ((entry: AccessEntry) => void) | undefined;
}

/** Proxies of the ecosystem give up after 60 s without a byte. */
const MAX_SILENT_MS = 50_000;

/** How much of an answer is wanted. */
interface HowMuch {
  readonly maxTokens: number | null | undefined;
  /** Whether log-probabilities are reported. */
  readonly logprobs?: boolean;
  /** Likeliest tokens to report beside each. */
  readonly top?: number;
  readonly bestOf?: number | undefined;
  readonly tools?: ToolRequest;
  /** Called once all answers have ended. */
  readonly ended: () => void;
}

/** The routes of the OpenAI API over one board. */
export function createApp(device: ServedDevice, options: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  const models = new ServedModels(device, options.load);
  const metrics = new ApiMetrics();
  const turns = new BodyTurns(systemClock);
  const bodyOf = (context: Context<Env>) => readBody(context.env, context.var.share.join(' / '), turns);
  const inFlight = new InFlight();

  traceRequests(app);
  if (options.onAnswered !== undefined) tellAccesses(app, options.onAnswered);
  app.use(async (context, next) => {
    await next();
    metrics.answered(context.req.routePath, context.res.status);
  });
  /** What a client is told of an error. */
  const fail = (error: unknown): ApiError => {
    const failure = toApiError(error);
    metrics.failed(failure.code);
    if (failure.isUnexpected) options.onUnexpected(error);
    return failure;
  };
  app.onError((error, context) => {
    const { body, status, retryAfterMs, isWorthRetrying } = fail(error);
    // Clients ask again after a 503, after the same time and in vain, unless they are told.
    if (!isWorthRetrying) context.header('x-should-retry', 'false');
    if (retryAfterMs !== undefined) context.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
    return context.json(body, status);
  });
  app.notFound((context) => {
    const { method, path } = context.req;
    const { body } = fail(new ApiError(404, `There is no ${method} ${path}.`, 'not_found'));
    return context.json(body, 404);
  });
  guardOrigins(app, options);
  app.get('/health', async (context) => {
    const { status, ...wrong }: Omit<DeviceHealth, 'status'> & { status: string } = options.draining.aborted
      ? { status: 'draining' }
      : await device.health();
    if (status !== 'ok') context.header('retry-after', '1');
    // What is wrong with the device is no stranger's business.
    const detail = isAdmitted(context, options) ? wrong : {};
    return context.json({ status, ...detail }, status === 'ok' ? 200 : 503);
  });
  app.get('/', (context) => context.text(WELCOME));
  guardRoles(app, options);
  app.get('/metrics', async (context) =>
    context.body(await metrics.text(device.board), 200, { 'content-type': metrics.contentType }),
  );
  addNativeRoutes(app, models, bodyOf);
  app.get('/v1/models', async (context) => context.json({ object: 'list', data: await models.list() }));
  app.get('/v1/models/:id{.+}', async (context) => {
    return context.json(await models.look(context.req.param('id')));
  });
  app.post('/v1/completions', async (context) => {
    const request = completionRequest.parse(translateFields(await bodyOf(context), 'completion'));
    const prompts = promptsOf(request);
    const bestOf = request.best_of ?? undefined;
    const answers = prompts.length * (bestOf ?? request.n ?? 1);
    return counted(context, answers, async (ended) => {
      const served = await models.get(request.model);
      const top = request.logprobs ?? undefined;
      const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? DEFAULT_MAX_TOKENS;
      const how = { ...serviceOf(context, request), signal: context.req.raw.signal };
      const echo = (prompt: CompletionPrompt) => {
        const scored = request.echo ? echoOf(served, prompt, top, how) : undefined;
        scored?.catch(() => {});
        return scored;
      };
      const toContinue = await Promise.all(
        prompts.map(async (prompt) => ({
          prompt,
          echo: echo(prompt),
          promptTokens: maxTokens === 0 ? await lengthOf(served, prompt) : undefined,
        })),
      );
      const echoes = Promise.all(toContinue.map((one) => one.echo));
      // A stream has a head in time: what is wrong with a prompt is known by then.
      await (request.stream
        ? Promise.race([echoes, delay(LONGEST_SILENCE_MS, undefined, { ref: false })])
        : echoes);
      return answer(context, served, request, toContinue, completionFormat(request, served), {
        maxTokens: maxTokens === 0 ? undefined : maxTokens,
        logprobs: typeof request.logprobs === 'number',
        top: request.logprobs ?? 0,
        bestOf,
        ended,
      });
    });
  });
  app.post('/v1/chat/completions', async (context) => {
    const request = chatRequest.parse(translateFields(await bodyOf(context), 'chat'));
    return counted(context, request.n ?? 1, async (ended) => {
      const served = await models.get(request.model);
      if (!served.model.info.hasChatTemplate) context.header('x-pynq-llm-chat-template', 'none');
      const tools = toolRequestOf(request);
      return answer(
        context,
        served,
        request,
        [{ prompt: conversationOf(request, served, tools) }],
        chatFormat(request, served),
        {
          tools,
          maxTokens: request.max_completion_tokens ?? request.max_tokens,
          logprobs: request.logprobs ?? false,
          top: request.logprobs ? (request.top_logprobs ?? 0) : 0,
          ended,
        },
      );
    });
  });
  app.post('/v1/responses', async (context) => {
    const { chat, repeated } = readResponsesRequest(translateFields(await bodyOf(context), 'responses'));
    return counted(context, 1, async (ended) => {
      const served = await models.get(chat.model);
      const tools = toolRequestOf(chat);
      const prompt = conversationOf(chat, served, tools);
      const maxTokens = chat.max_completion_tokens;
      const [choice] = await start(context, served, chat, [{ prompt }], { maxTokens, tools, ended });
      const toRespond = { model: chat.model ?? served.id, choice, repeated, metrics, fail };
      return chat.stream ? respondStreamed(context, toRespond) : respondWhole(context, toRespond);
    });
  });
  app.post('/v1/embeddings', async (context) => {
    const { model } = embeddingsRequest.parse(await bodyOf(context));
    await models.get(model);
    throw new ApiError(400, `The model "${model}" has no embeddings.`, 'unsupported', 'model');
  });

  /** Counts answers of a client from here until `work` fails, or calls what it is given once they have ended. */
  async function counted(
    context: Context<Env>,
    answers: number,
    work: (ended: () => void) => Promise<Response>,
  ): Promise<Response> {
    const ended = inFlight.enter(context.var.share, answers);
    try {
      return await work(ended);
    } catch (error) {
      ended();
      throw isPynqLlmError(error, 'LLM_PREDICTED_LATE') ? toApiError(error, answers) : error;
    }
  }

  /** Whoever gets nothing before the end is not let wait for longer than proxies do. */
  function serviceOf(context: Context<Env>, request: SamplingFields): ServiceOptions {
    const { maxSilentMs = MAX_SILENT_MS } = options;
    const isSilent = !request.stream && maxSilentMs > 0;
    return {
      ...toService(request, context.var.share),
      ...(isSilent ? { maxPredictedMs: maxSilentMs } : {}),
      ...context.var.trace,
    };
  }

  /** Starts the answers of a request. @throws ApiError 400, 503, PynqLlmError LLM_..., AGENT_... */
  async function start(
    context: Context<Env>,
    served: ServedModel,
    request: SamplingFields,
    prompts: readonly ToContinue[],
    how: HowMuch,
  ): Promise<Choice[]> {
    const { maxTokens, top = 0, bestOf, tools, ended } = how;
    if (options.draining.aborted) throw new ApiError(503, 'The server is shutting down.', 'shutting_down');
    const perPrompt = bestOf ?? request.n ?? 1;
    const draft = request.draft_model ? (await models.get(request.draft_model)).model : undefined;
    const generate = {
      ...toGenerateOptions(request, maxTokens, {
        // Which answers are the best is said by them too.
        logprobs: (how.logprobs ?? false) || perPrompt > (request.n ?? 1),
        top,
      }),
      ...serviceOf(context, request),
      draftModel: draft,
    };
    if (generate.beams !== undefined && bestOf !== undefined)
      throw new ApiError(
        400,
        'The best of all beams are sent: best_of has no meaning.',
        'invalid_value',
        'best_of',
      );
    const choices = startChoices(served, prompts, perPrompt, generate, context.req.raw.signal, tools);
    const all = Promise.allSettled(choices.map(({ generation }) => generation.done));
    void all.then(ended);
    context.set('work', { model: request.model ?? served.id });
    void Promise.all(choices.map(({ generation }) => generation.done)).then(
      (done) => {
        const { prompt_tokens: promptTokens, completion_tokens: generatedTokens } = usageOf(done, perPrompt);
        context.set('work', { ...context.var.work, promptTokens, generatedTokens });
      },
      () => {},
    );
    return choices;
  }

  async function answer(
    context: Context<Env>,
    served: ServedModel,
    request: SamplingFields,
    prompts: readonly ToContinue[],
    format: AnswerFormat,
    how: HowMuch,
  ): Promise<Response> {
    const sentPerPrompt = request.n ?? 1;
    const perPrompt = how.bestOf ?? sentPerPrompt;
    const logprobs = format.logprobs !== undefined;
    const choices = await start(context, served, request, prompts, { ...how, logprobs });
    const toAnswer = {
      model: request.model ?? served.id,
      choices,
      perPrompt,
      sentPerPrompt,
      format,
      withProgress: request.return_progress ?? false,
      metrics,
      fail,
    };
    return request.stream
      ? answerStreamed(context, toAnswer, request.stream_options?.include_usage ?? false)
      : answerWhole(context, toAnswer);
  }

  return app;
}
