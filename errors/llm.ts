import type { ErrorEntry } from './entry.js';

/** Errors of llm/: numbers 4000 to 4999 (4100: maths, 4200: tokenizer, 4300: chat templates, 4400: sampling,
 * 4500: requests, 4600: keys and values, 4700: memory, 4800: stages of a pipeline). */
export const LLM_ERRORS = {
  LLM_UNSUPPORTED_ARCHITECTURE: {
    number: 4000,
    meaning: 'The model file is of an architecture that this package does not compute.',
    remedy: 'Use a model of another family; docs/models.md lists those that are computed.',
  },
  LLM_METADATA_MISSING: {
    number: 4001,
    meaning: 'The model file lacks a metadata key that the architecture needs.',
    remedy: 'Convert the model again with a current llama.cpp.',
  },
  LLM_METADATA_INVALID: {
    number: 4002,
    meaning: 'A metadata value of the model is of the wrong type, out of range, or contradicts another.',
    remedy:
      'Convert the model again with a current llama.cpp, or report the model if its makers meant it so.',
  },
  LLM_TENSOR_MISSING: {
    number: 4003,
    meaning: 'The model file lacks a tensor that the architecture needs.',
    remedy:
      'Fetch the file again and compare its SHA-256; or convert the model again with a current llama.cpp.',
  },
  LLM_TENSOR_SHAPE: {
    number: 4004,
    meaning: 'A tensor has another shape than the metadata ask for.',
    remedy: 'Convert the model again with a current llama.cpp.',
  },
  LLM_TENSOR_TYPE: {
    number: 4005,
    meaning: 'A tensor is stored in a type that it cannot have in its place.',
    remedy: 'Quantise the model again; norms and RoPE factors have to stay F32.',
  },
  LLM_ROPE_SCALING_UNSUPPORTED: {
    number: 4006,
    meaning: 'The model asks for a RoPE scaling that this package does not compute.',
    remedy: 'Use a model with scaling "none", "linear", "yarn" or LLaMA-3 factors.',
  },
  LLM_TENSOR_VALUES: {
    number: 4007,
    meaning: 'A tensor holds values that nothing can be computed with.',
    remedy: 'Fetch the file again and compare its SHA-256; or convert the model again.',
  },
  LLM_CONTEXT_LENGTH: {
    number: 4500,
    meaning: 'The asked context length is not a whole number from 1 to what the model was made for.',
    remedy: 'Ask for a context length within the range named.',
  },
  LLM_PROMPT_TOO_LONG: {
    number: 4501,
    meaning: 'The prompt has more tokens than the context holds.',
    remedy: 'Shorten the prompt, or load the model with a larger context length where it allows one.',
  },
  LLM_PROMPT_EMPTY: {
    number: 4502,
    meaning: 'There is no token to begin with: the prompt is empty and the vocabulary adds no BOS token.',
    remedy: 'Give a prompt of at least one token.',
  },
  LLM_TOKEN_RANGE: {
    number: 4503,
    meaning: 'A token id is not in the vocabulary.',
    remedy: "Give ids that this model's own tokenizer produced.",
  },
  LLM_DRAFT_MODEL: {
    number: 4511,
    meaning: 'A model was named to draft for another one whose vocabulary is not its own.',
    remedy: 'Name a smaller model of the same family: its tokens have to be the same ones.',
  },
  LLM_POSITION_RANGE: {
    number: 4504,
    meaning: "A column's position is beyond its cache, or would leave a gap in it.",
    remedy: 'Feed the tokens of a sequence in order, at most as many as its cache holds.',
  },
  LLM_REQUEST_INVALID: {
    number: 4505,
    meaning: 'A parameter of a generation or scoring request is outside its range.',
    remedy: 'Give the parameter a value in the range named.',
  },
  LLM_MODEL_CLOSED: {
    number: 4506,
    meaning: 'The model was used after it had been closed.',
    remedy: 'Load the model again.',
  },
  LLM_OVERLOADED: {
    number: 4507,
    meaning: 'More requests wait than can be served in time, and this one has the least claim.',
    remedy: 'Ask again after the time named in retryAfterMs, or give the request a higher class or priority.',
  },
  LLM_NOT_FINITE: {
    number: 4508,
    meaning: 'The model computed logits that are not finite numbers.',
    remedy:
      'The weights are probably damaged: compare the SHA-256 of the file with its source, then run the self-test.',
  },
  LLM_DEADLINE: {
    number: 4509,
    meaning: 'A request was not done by its deadline.',
    remedy:
      'Ask for fewer tokens, or give it more time or a higher priority; what was generated is in the error.',
  },
  LLM_PREDICTED_LATE: {
    number: 4512,
    meaning: 'A request is likely to take longer than whoever asked may wait for its answer.',
    remedy:
      'Stream the answer, or ask for fewer tokens or with a shorter prompt; where others are ahead, ask again later.',
  },
  LLM_CONTINUE_ENDED: {
    number: 4513,
    meaning: 'A generation was to go on after tokens with which, or before which, it had ended.',
    remedy:
      'Nothing is left to generate where `tokens` and `given` in the error are equal, and `reason` says how it ended. Else give its own tokens, with the prompt and options that it began with.',
  },
  LLM_CONTINUE_FORBIDDEN: {
    number: 4514,
    meaning: 'A generation was to go on after a token that its own options rule out.',
    remedy:
      'Give its own tokens, in order and from the first one, with the prompt and options that it began with.',
  },
  LLM_ANGLE_RANGE: {
    number: 4100,
    meaning: 'An angle is beyond the range in which sine and cosine are exact.',
    remedy: 'Check the context length and the RoPE frequencies in the model file.',
  },
  LLM_TOKENIZER_MISSING: {
    number: 4200,
    meaning: 'The model file carries no vocabulary.',
    remedy:
      "Convert the model again with its tokenizer's files beside it, or fetch a GGUF file of it that has them.",
  },
  LLM_TOKENIZER_INVALID: {
    number: 4201,
    meaning: 'Parts of the vocabulary in the model file contradict each other.',
    remedy: 'Convert the model again with a current llama.cpp; the file may be damaged.',
  },
  LLM_TOKENIZER_UNSUPPORTED: {
    number: 4202,
    meaning:
      'The model file names a kind of tokenizer, or of pre-tokenizer, that this package does not have.',
    remedy:
      'Use a model with a SentencePiece ("llama") or byte-pair ("gpt2") vocabulary and a pre-tokenizer named here.',
  },
  LLM_TEXT_UNENCODABLE: {
    number: 4203,
    meaning:
      'The vocabulary has no token for a character of the text, no bytes to spell it and no unknown token.',
    remedy: 'Leave the character out, or use a model with byte tokens.',
  },
  LLM_CHAT_TEMPLATE_MISSING: {
    number: 4300,
    meaning: 'The model file carries no chat template.',
    remedy:
      'Use plain completion: the model may not be made for chats. If it is, write its template into a copy of the file: pip install gguf, then gguf-new-metadata FILE COPY --chat-template TEXT.',
  },
  LLM_CHAT_TEMPLATE_INVALID: {
    number: 4301,
    meaning: 'The chat template cannot be parsed, fails while it runs, or exceeds its limits.',
    remedy:
      'Use plain completion, or write another template into a copy of the file: pip install gguf, then gguf-new-metadata FILE COPY --chat-template TEXT.',
  },
  LLM_CHAT_REFUSED: {
    number: 4302,
    meaning: "The model's chat template refuses this conversation.",
    remedy: 'Arrange the messages as the template asks; most want user and assistant in turns.',
  },
  LLM_CHAT_MESSAGES: {
    number: 4303,
    meaning: 'The list of chat messages is malformed.',
    remedy: 'Give at least one message; a role is one of system, developer, user, assistant and tool.',
  },
  LLM_CHAT_TURN_LOST: {
    number: 4304,
    meaning: "The model's chat template leaves out a part of the conversation, however it is put.",
    remedy: 'Leave that message out, or say it in a message of the user.',
  },
  LLM_SAMPLING_PARAMETER: {
    number: 4400,
    meaning: 'A sampling parameter is outside its range.',
    remedy: 'Give the parameter a value in the range named.',
  },
  LLM_SCHEMA_INVALID: {
    number: 4420,
    meaning: 'What was given as a JSON schema is none.',
    remedy: 'Mend the schema at the place named; docs/structured-output.md has examples.',
  },
  LLM_SCHEMA_UNSUPPORTED: {
    number: 4421,
    meaning:
      'The JSON schema uses something that output cannot be held to here, so it is refused, not ignored.',
    remedy: 'Leave it out or express it otherwise; docs/structured-output.md lists what is supported.',
  },
  LLM_SCHEMA_TOO_LARGE: {
    number: 4422,
    meaning: 'The JSON schema is larger, deeper or more ambiguous than the limits allow.',
    remedy: 'Make the schema smaller: fewer alternatives that begin alike, shorter lists, less nesting.',
  },
  LLM_SCHEMA_UNSATISFIABLE: {
    number: 4423,
    meaning: 'No finite document satisfies the JSON schema.',
    remedy: 'Look for bounds that exclude each other and for a part that requires itself.',
  },
  LLM_SCHEMA_VOCABULARY: {
    number: 4424,
    meaning: "The model's vocabulary cannot spell what the JSON schema asks for.",
    remedy: 'Use a model with byte tokens, or keep to characters that the vocabulary has.',
  },
  LLM_SAMPLING_NO_CANDIDATE: {
    number: 4401,
    meaning: 'The logit bias, or it together with a constraint, rules out every token.',
    remedy: 'Leave at least one token without a bias of -Infinity.',
  },
  LLM_THREADS: {
    number: 4710,
    meaning: 'So many threads cannot compute.',
    remedy: 'Ask for at least one thread and at most 64 (--threads), best for as many as the CPU has cores.',
  },
  LLM_THREAD_LOST: {
    number: 4711,
    meaning: 'A thread that computes beside the engine did not start, failed, or does not answer.',
    remedy:
      'Load the model again, with --threads 1 if it happens again: something took memory or time from the process.',
  },
  LLM_CORE_TYPES: {
    number: 4720,
    meaning: 'It was not said in a known way which matrices go to the core.',
    remedy: 'Use exact, padded or all (--core-types).',
  },
  LLM_KV_MEMORY: {
    number: 4600,
    meaning: 'The memory for keys and values is less than a page, or more than the process can have.',
    remedy: 'Give another amount (--kv-memory), or load the model with a smaller context length.',
  },
  LLM_KV_TYPE: {
    number: 4601,
    meaning: 'Keys and values of this model cannot be stored in the type that was asked for.',
    remedy: 'Use f16 (--kv-type f16).',
  },
  LLM_KV_FULL: {
    number: 4602,
    meaning: 'All pages of keys and values are in use.',
    remedy:
      'Wait for other generations to end, release pins, give more memory (--kv-memory), or use --kv-type int8.',
  },
  LLM_KV_TOO_LONG: {
    number: 4603,
    meaning: 'The prompt and the tokens asked for need more keys and values than there is memory for.',
    remedy:
      'Shorten the prompt, ask for fewer tokens, release pins, give more memory (--kv-memory), or use --kv-type int8.',
  },
  LLM_KV_PINNED: {
    number: 4605,
    meaning: 'Pinned prompts would take more than half of the memory for keys and values.',
    remedy:
      'Release pins, pin a shorter prompt, give more memory (--kv-memory), or use --kv-type int8. Prompts that are not pinned are kept too while there is room.',
  },
  LLM_KV_SPILL_FOLDER: {
    number: 4604,
    meaning: 'The folder for keys and values of generations that make room for others cannot be used.',
    remedy: 'Give a folder that the agent may write to (--kv-spill).',
  },
  LLM_MEMORY_DMA: {
    number: 4700,
    meaning: "The model's weights do not fit into the board's DMA memory. Nothing was loaded.",
    remedy: 'Make one of the changes that the error names; docs/memory.md explains the lines of its table.',
  },
  LLM_MEMORY_SYSTEM: {
    number: 4701,
    meaning: 'The model needs more memory beside its weights than the system has. Nothing was loaded.',
    remedy: 'Make one of the changes that the error names; docs/memory.md explains the lines of its table.',
  },
  LLM_STAGE_RANGE: {
    number: 4800,
    meaning: 'Layers were asked for that the model does not have, or something that needs other layers.',
    remedy: 'Ask for layers of the model; only the stage with the last layers samples and knows texts.',
  },
  LLM_STAGE_BATCH: {
    number: 4801,
    meaning: 'A micro-batch of a pipeline came out of order, or not with what the layers before left of it.',
    remedy: 'Give the plan up and make a new one: its sequences go on after the tokens that they have.',
  },
  LLM_STAGE_DIVERGED: {
    number: 4802,
    meaning: "A stage's memory of keys and values is not as that of the stage that schedules.",
    remedy:
      'Give the plan up and make a new one whose stages have the same context, pages and type of keys and values.',
  },
  LLM_STAGE_UNSUPPORTED: {
    number: 4803,
    meaning: 'The model, or an option, cannot be divided among stages in the way that was asked for.',
    remedy: 'Do what the error says, or compute the model on one board.',
  },
} as const satisfies Record<string, ErrorEntry>;
